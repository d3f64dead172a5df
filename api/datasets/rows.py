"""A dataset's rows: first as they were read, then with the same columns and types in every row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from labeling.hashing import canonical_json
from labeling.vocabulary import Outcome

from .definition import Definition
from .reading import Labeled

# More metadata fields than this make one JSON column: no table of people's making has a thousand columns.
MOST_FIELDS = 200
NESTED = ("payload", "metadata", "distribution", "cohorts")


def raw_rows(labeled: Labeled, definition: Definition) -> Iterator[dict[str, Any]]:
    """The rows of an item: one, or one for each of its annotations. The split is set when all items are known."""
    item = labeled.item
    base = {
        "item": item["external_id"],
        "item_uuid": str(item["uuid"]),
        "payload": item["payload"],
        "metadata": item["metadata"] or {},
        "tags": labeled.tags,
        "split": None,
    }
    total = sum(labeled.counts.values())
    summary = {
        "value": labeled.value,
        "method": str(labeled.method) or None,
        "confidence": labeled.confidence,
        "unresolved": labeled.why or None,
        "raters": sum(labeled.cohorts.values()),
        "cohorts": dict(labeled.cohorts),
        "cannot_label": labeled.cannot_label,
        "borderline": labeled.borderline,
        "guideline_version": labeled.version.number if labeled.version else None,
        "guideline_sha256": labeled.version.body_sha256 or None if labeled.version else None,
        "mapped": labeled.mapped,
        "ruling": labeled.ruling["uuid"] if labeled.ruling else None,
        "ruling_cause": labeled.ruling["cause"] if labeled.ruling else None,
        "ruling_outcome": labeled.ruling["outcome"] if labeled.ruling else None,
        "batch": labeled.batch or None,
        "resolution": labeled.resolution,
        "import_run": labeled.import_run,
    }
    if definition.labels == "annotations":
        for answer in labeled.answers:
            yield {**base, **_annotation(answer), **{f"item_{name}": summary[name] for name in ("value", "method")},
                   **{name: summary[name] for name in ("guideline_version", "guideline_sha256", "batch", "import_run")}}  # fmt: skip
        return
    shares = {key: round(count / total, 6) for key, count in sorted(labeled.counts.items())} if total else {}
    yield {
        **base,
        **summary,
        "distribution": shares,
        "annotations": [str(answer["uuid"]) for answer in labeled.answers],
    }


def _annotation(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "annotation": str(answer["uuid"]),
        "rater": answer["rater"],
        "cohort": answer["assignment__cohort"],
        "outcome": answer["outcome"],
        "value": answer.get("read_as") if answer["outcome"] == Outcome.LABELED else None,
        "value_as_given": answer["value"],
        "borderline": answer["borderline"],
        "second_value": answer["second_value"],
        "reason": answer["reason"] or None,
        "comment": answer["comment"] or None,
        "confidence": answer["confidence"],
        "seconds": answer["seconds"],
        "origin": answer["origin"],
        "assisted_by": answer["assisted_by"] or None,
        "blind": answer["blind"],
        "revision": answer["revision"],
        "at": _time(answer["at"]),
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


TEXT, NUMBER, INTEGER, FLAG, LIST = "text", "number", "integer", "flag", "list"
FIXED = {
    "confidence": NUMBER, "seconds": NUMBER, "raters": INTEGER, "cannot_label": INTEGER, "guideline_version": INTEGER,
    "revision": INTEGER, "mapped": FLAG, "blind": FLAG, "tags": LIST, "annotations": LIST,
}  # fmt: skip
# Columns that hold a label's value: of one type throughout the dataset.
VALUES = ("value", "item_value", "value_as_given", "second_value")
# How a nested field is called where a row is one level; the others keep their name.
FLAT_NAME = {"distribution": "share", "cohorts": "raters"}
COUNTS = ("borderline",)  # a count per item, a mark per annotation


@dataclass
class Shape:
    """Columns and types of a dataset, gathered from all its rows: readers want the same in each.

    `fields[nested]` = {field: type}; a field with values of several types becomes text, each value as JSON.
    """

    definition: Definition
    fields: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in NESTED})
    values: str = ""

    def see(self, row: dict[str, Any]) -> None:
        """Take a row's fields into account."""
        for name in NESTED:
            known = self.fields[name]
            for key, value in (row.get(name) or {}).items():
                kind = _kind(value)
                if kind and known.get(key, kind) != kind:
                    known[key] = NUMBER if {known[key], kind} == {NUMBER, INTEGER} else TEXT
                elif kind or key not in known:
                    known[key] = kind or known.get(key, "")
        for name in VALUES:
            kind = _kind(row.get(name))
            if kind:
                self.values = kind if self.values in ("", kind) else TEXT

    @property
    def metadata_as_json(self) -> bool:
        return len(self.fields["metadata"]) > MOST_FIELDS

    def nested(self) -> list[str]:
        names = ["payload", "metadata"]
        return names if self.definition.labels == "annotations" else [*names, "distribution", "cohorts"]

    def even(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with every field of the dataset, each of its type."""
        out = dict(row)
        for name in self.nested():
            given = row.get(name) or {}
            if name == "metadata" and self.metadata_as_json:
                out[name] = canonical_json(given)
                continue
            empty = {"distribution": 0.0, "cohorts": 0}.get(name)
            out[name] = {
                key: _as(given.get(key, empty), kind or TEXT) for key, kind in sorted(self.fields[name].items())
            }
        for name in VALUES:
            if name in out:
                out[name] = _as(out[name], self.values or TEXT)
        return out

    def flat(self, row: dict[str, Any]) -> dict[str, Any]:
        """The even row as one level: `payload.text`, `metadata.camera`, `share.defect`, `raters.expert`."""
        out: dict[str, Any] = {}
        for name, value in self.even(row).items():
            if isinstance(value, dict):
                out |= {f"{FLAT_NAME.get(name, name)}.{key}": inner for key, inner in value.items()}
            else:
                out[name] = value
        return out

    def flat_types(self, sample: dict[str, Any]) -> dict[str, str]:
        """{column: type} of the flat rows, in order; `sample` is any row of the dataset."""
        types: dict[str, str] = {}
        for name in sample:
            if name in self.nested():
                if name == "metadata" and self.metadata_as_json:
                    types[name] = TEXT
                    continue
                prefix = FLAT_NAME.get(name, name)
                fixed = {"distribution": NUMBER, "cohorts": INTEGER}.get(name)
                types |= {f"{prefix}.{key}": fixed or kind or TEXT for key, kind in sorted(self.fields[name].items())}
            elif name in VALUES:
                types[name] = self.values or TEXT
            elif name in COUNTS:
                types[name] = FLAG if self.definition.labels == "annotations" else INTEGER
            else:
                types[name] = FIXED.get(name, TEXT)
        return types


def _kind(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return FLAG
    if isinstance(value, int):
        return INTEGER if -(2**63) <= value < 2**63 else TEXT
    if isinstance(value, float):
        return NUMBER
    if isinstance(value, str):
        return TEXT
    return "json"


def _as(value: Any, kind: str) -> Any:
    """The value as its column holds it."""
    if value is None:
        return None
    if kind == NUMBER:
        return float(value)
    if kind == TEXT:
        return value if isinstance(value, str) else canonical_json(value)
    if kind == "json":
        return canonical_json(value)
    return value
