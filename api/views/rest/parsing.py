"""Reading JSON strictly and by a limit, whatever the announced length."""

from __future__ import annotations

import json
from typing import IO, Any

from django.http import UnreadablePostError
from rest_framework.parsers import BaseParser

from labeling.formats.rows import unstorable

from .errors import BadRequest, TooLarge

JSON_BYTES = 1 << 20


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def read_json(raw: bytes) -> Any:
    """The JSON value in `raw`. Raises BadRequest with one clear sentence."""
    try:
        value = json.loads(raw.decode(), parse_constant=_no_constant, object_pairs_hook=_unique)
    except RecursionError:
        raise BadRequest("bad_json", "The body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise BadRequest("bad_json", "The body is not UTF-8 text.") from None
    except ValueError as error:
        raise BadRequest("bad_json", f"The body is not valid JSON: {error}.") from None
    if "\\u" in raw.decode() and (why := _unstorable(value)):
        raise BadRequest("bad_json", f"A text in the body {why}.")
    return value


def _unstorable(value: Any) -> str:
    try:
        return unstorable(value)
    except RecursionError:
        return "is nested too deeply"


class StrictJSONParser(BaseParser):
    """application/json, at most JSON_BYTES. An empty body is an empty object."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            raw = stream.read(JSON_BYTES + 1)
        except UnreadablePostError:
            raise BadRequest("broken_off", "The request broke off on its way. Send it again.") from None
        if len(raw) > JSON_BYTES:
            raise TooLarge("too_large", f"The body may have {JSON_BYTES >> 10} KiB at most.", limit=JSON_BYTES)
        return read_json(raw) if raw.strip() else {}
