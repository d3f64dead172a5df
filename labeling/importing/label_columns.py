"""Which column of a labels file says who labeled what how, and which cohort its cohort names mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..refusals import BadValue
from ..vocabulary import Cohort
from .mapping import parse_pairs

USUAL: dict[str, tuple[str, ...]] = {
    "item": ("item_id", "external_id", "item", "id"),
    "rater": ("rater_id", "rater", "annotator_id", "annotator", "worker_id", "worker", "user"),
    "label": ("label", "value", "answer"),
    "cohort": ("cohort",),
    "gold": ("gold",),
    "session": ("session",),
    "timestamp": ("timestamp", "at", "created_at"),
}
NEEDED = ("item", "rater", "label")
ROLES = tuple(USUAL)


@dataclass(frozen=True)
class LabelMapping:
    """How a file of labels is read, one label a row.

    item, rater, label, cohort, gold, session, timestamp: columns; empty where the file has none. cohorts: {name in the
    file: cohort}. all_cohort: the cohort of every rater, for a file that does not say. labels: the declared labels in
    their order; empty means those found. create_items: make an item without content where the project has none.
    skip_refused: leave refused rows out instead of refusing the file.
    """

    item: str = ""
    rater: str = ""
    label: str = ""
    cohort: str = ""
    gold: str = ""
    session: str = ""
    timestamp: str = ""
    cohorts: dict[str, str] = field(default_factory=dict)
    all_cohort: str = ""
    labels: tuple[str, ...] = ()
    create_items: bool = False
    skip_refused: bool = False
    format: str = "auto"
    encoding: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "labels": list(self.labels)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> LabelMapping:
        known = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw}
        return cls(**{**known, "labels": tuple(known.get("labels", ()))})


def suggest_label_columns(columns: Iterable[str]) -> dict[str, str]:
    """{role: column} by the usual names; empty where none fits."""
    by_lower = {column.lower(): column for column in columns}
    return {role: next((by_lower[name] for name in names if name in by_lower), "") for role, names in USUAL.items()}


def parse_cohorts(text: str) -> tuple[dict[str, str], str]:
    """({name in the file: cohort}, the cohort of everyone) from `crowd=generalist,control=expert` or one bare cohort.

    >>> parse_cohorts("crowd=generalist"), parse_cohorts("expert")
    (({'crowd': 'generalist'}, ''), ({}, 'expert'))
    """
    pairs = parse_pairs(text) if "=" in text else {}
    everyone = "" if pairs else text.strip()
    for cohort in [*pairs.values(), *([everyone] if everyone else [])]:
        if cohort not in Cohort.values:
            raise BadValue(
                "bad_value", f"“{cohort}” is no cohort. Use {', '.join(Cohort.values)}: as crowd=generalist, or one for all.",
                field="cohorts",
            )  # fmt: skip
    return pairs, everyone


def map_labels(
    columns: Iterable[str], *, given: Mapping[str, str], cohorts: str, labels: str, **options: Any
) -> LabelMapping:
    """The columns that are given, the others by their usual names; `cohorts` and `labels` as people write them.

    Raises BadValue for a cohort nobody knows, or both a column of cohorts and one cohort for all.
    """
    names, everyone = parse_cohorts(cohorts)
    chosen: dict[str, Any] = {**suggest_label_columns(columns), **given}
    if everyone and chosen["cohort"]:
        if given.get("cohort"):
            raise BadValue("both", "Give the column of the cohort, or one cohort for all, not both.", field="cohorts")
        chosen["cohort"] = ""
    declared = tuple(label.strip() for label in labels.split(",") if label.strip())
    return LabelMapping(**chosen, cohorts=names, all_cohort=everyone, labels=declared, **options)


def check_label_mapping(mapping: LabelMapping, columns: Iterable[str]) -> None:
    """Raise BadValue naming the column that does not fit the file, or the cohort nobody knows."""
    columns = list(columns)
    listed = ", ".join(columns[:20]) + (", …" if len(columns) > 20 else "")
    for role in ROLES:
        column = getattr(mapping, role)
        if column and column not in columns:
            raise BadValue("no_column", f"The file has no column “{column}”. Its columns are: {listed}.", field=role)
        if role in NEEDED and not column:
            raise BadValue(
                "no_column", f"Say which column holds the {role}. The file's columns are: {listed}.", field=role
            )
    if not mapping.cohort and not mapping.all_cohort:
        raise BadValue(
            "no_cohort", f"The file does not say which cohort its raters are. Say it for all: {', '.join(Cohort.values)}.",
            field="cohorts",
        )  # fmt: skip
    if len(set(mapping.labels)) != len(mapping.labels):
        raise BadValue("twice", "A label is declared twice.", field="labels")
