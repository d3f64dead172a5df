"""The queue of the bench: which cases an address asks for, and each as a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone

from labeling.access import Seat
from labeling.models import Batch, GuidelineVersion, Project
from labeling.queries.definitions import definitions_for_desk, shown_fields
from labeling.views.item_html import one_line
from labeling.vocabulary import Cohort

from ..models import Disagreement
from ..queries import bench as reads
from ..queries.bench import CaseLine, QueueFilter
from ..vocabulary import CANNOT, SEPARATOR, DisagreementKind, DisagreementStatus
from .votes import draw

ORDER_WORDS = (("severity", "Most divided first"), ("cluster", "By cluster of the same confusion"))
STATUS_WORDS = (
    ("waiting", "Waiting for a ruling"),
    ("early", "Still being answered"),
    ("discussing", "In discussion"),
    ("ruled", "Ruled"),
    ("dismissed", "Agree by now, or withdrawn"),
)
KIND_WORDS = {
    DisagreementKind.LABELS: "Different labels",
    DisagreementKind.OUTCOME: "A label, or not enough information",
    DisagreementKind.COHORTS: "Cohorts differ",
    DisagreementKind.AUDIT: "Random audit",
}


def filter_from(given: QueryDict | Mapping[str, Any], project: Project) -> QueueFilter:
    """The queue's filter in an address; what is mistyped is left out."""
    metadata = {}
    name, _, value = str(given.get("meta", "")).partition(":")
    if name and value and "__" not in name:
        metadata[name] = value
    return QueueFilter(
        status=_one_of(given.get("status"), reads.STATUSES, "waiting"),
        kind=_one_of(given.get("kind"), DisagreementKind.values, ""),
        pair=str(given.get("pair", ""))[:400].replace("\x00", ""),
        cohort=_one_of(given.get("cohort"), Cohort.values, ""),
        slice=str(given.get("slice", ""))[:60].replace("\x00", ""),
        metadata=metadata,
        order=_one_of(given.get("order"), reads.ORDERS, "severity"),
    )


def _one_of(raw: Any, known: Any, default: str) -> str:
    return str(raw) if raw in known else default


def query_of(wanted: QueueFilter, batch: Batch) -> str:
    """The filter as it stands in addresses."""
    pairs = {
        "batch": str(batch.uuid),
        "status": wanted.status if wanted.status != "waiting" else "",
        "kind": wanted.kind,
        "pair": wanted.pair,
        "cohort": wanted.cohort,
        "slice": wanted.slice,
        "meta": ":".join(next(iter(wanted.metadata.items()))) if wanted.metadata else "",
        "order": wanted.order if wanted.order != "severity" else "",
    }
    return urlencode({name: value for name, value in pairs.items() if value})


def uuid_of(raw: Any) -> UUID | None:
    try:
        return UUID(str(raw))
    except ValueError:
        return None


def values_of(version: GuidelineVersion, project: Project) -> list[dict[str, Any]]:
    """The labels with the digits they have at the bench: 1 and 0 where there are two, else 1 to 9 and 0."""
    labels = definitions_for_desk(version, project)
    digits = ["1", "0"] if len(labels) == 2 else [*"1234567890"]
    return [{**label, "digit": digits[at] if at < len(digits) else ""} for at, label in enumerate(labels)]


def confusion_words(confusion: str, names: Mapping[str, str]) -> str:
    """“Defect against No defect”."""
    parts = [
        "not enough information" if key == CANNOT and key not in names else names.get(key, key)
        for key in confusion.split(SEPARATOR)
    ]
    return " against ".join(parts) if confusion else ""


def line_context(line: CaseLine, seat: Seat, values: list[dict[str, Any]], query: str = "") -> dict[str, Any]:
    """A row of the queue."""
    names = {label["key"]: label["name"] for label in values}
    case = line.case
    return {
        "case": case,
        "url": reverse("consistency:bench_case", args=[seat.project.slug, case.uuid]) + (f"?{query}" if query else ""),
        "title": case.batch_item.item.external_id,
        "split": " : ".join(str(count) for count in line.split),
        "words": _why(case, seat.project, len(values)) or confusion_words(case.confusion, names),
        "marks": draw(line.answers, [label["key"] for label in values], names),
        "held": held_by_other(case, seat),
    }


def _why(case: Disagreement, project: Project, labels: int) -> str:
    """A few words of a case for its row: what a text begins with; of a picture, who differs."""
    if case.kind == DisagreementKind.AUDIT:
        return KIND_WORDS[DisagreementKind.AUDIT]
    if not any(one.get("kind") == "image" for one in shown_fields(project)):
        return one_line(case.batch_item.item, project, 40)
    if labels > 2:
        return ""
    if case.kind == DisagreementKind.LABELS:
        return ", ".join(f"{Cohort(cohort).label.lower()}s" for cohort in case.cohorts_split)
    return "cohorts differ" if case.kind == DisagreementKind.COHORTS else "enough to see?"


def held_by_other(case: Disagreement, seat: Seat) -> bool:
    return (
        case.status == DisagreementStatus.HELD
        and case.holder_id != seat.membership.pk
        and case.hold_until is not None
        and case.hold_until >= timezone.now()
    )
