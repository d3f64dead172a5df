"""Canonical JSON and its hash: equal values have equal bytes on every database and in every export."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

# One encoder for all calls: `json.dumps` with options builds a new one each time, which costs an import twice the work.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, non-ASCII characters as themselves, no NaN.

    >>> canonical_json({"b": 1, "a": "ä"})
    '{"a":"ä","b":1}'
    """
    text = _ENCODER.encode(value)
    if "e+" in text or "-0.0" in text:
        # jsonb gives 1e22 back as an integer and -0.0 as 0.0; the hash must be the same before and after.
        text = _ENCODER.encode(_plain(value))
    return text


def _plain(value: Any) -> Any:
    """The value with each float that is written with a positive exponent as the integer it is, and without -0.0."""
    if isinstance(value, float):
        return int(Decimal(repr(value))) if abs(value) >= 1e16 else value + 0.0
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of the canonical JSON. jsonb reorders keys, so hashes are never taken over what a database returns."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def answer_sha256(value: Any, outcome: str, borderline: bool, second_value: Any) -> str:
    """The hash an annotation carries: over what was answered, not over comment, reason or time."""
    return sha256_json({"value": value, "outcome": str(outcome), "borderline": borderline, "second": second_value})
