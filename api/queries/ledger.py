"""The ledger and the desk as programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, QuerySet

from labeling.models import Annotation, Assignment, Batch, Membership, Project
from labeling.queries.desk import latest_annotations
from labeling.vocabulary import BatchStatus, PlaceStatus

from ..models import AnnotationFeed

# Columns of the feed by the names under which they are told. No rows as objects: nine of them would stand behind each
# entry, one with the whole text of a definition.
FEED = {
    **{
        name: F(f"annotation__{name}")
        for name in (
            "uuid", "revision", "outcome", "value", "value_sha256", "second_value", "borderline", "reason", "comment",
            "confidence", "seconds", "origin", "assisted_by", "blind", "at",
        )
    },
    "assignment": F("annotation__assignment__uuid"),
    "batch": F("annotation__assignment__batch__uuid"),
    "item": F("annotation__assignment__batch_item__item__uuid"),
    "external_id": F("annotation__assignment__batch_item__item__external_id"),
    "cohort": F("annotation__assignment__cohort"),
    "member": F("annotation__assignment__member_id"),
    "guideline": F("annotation__guideline_version__uuid"),
    "guideline_number": F("annotation__guideline_version__number"),
}  # fmt: skip


def feed_after(project: Project, number: int, limit: int, batch: str | None = None) -> list[dict[str, Any]]:
    """At most `limit` entries of the project's feed behind `number`, as told, the rater as a member's key; one query."""
    rows: Any = AnnotationFeed.objects.filter(project=project, number__gt=number)
    if batch:
        rows = rows.filter(annotation__assignment__batch__uuid=batch)
    return list(rows.order_by("number").values("number", **FEED)[:limit])


def answered_places(member: Membership, batch: Batch) -> QuerySet[Assignment]:
    """The member's own answered places in the batch, with their items."""
    return Assignment.objects.filter(batch=batch, member=member, status=PlaceStatus.SUBMITTED).select_related(
        "batch_item__item"
    )


@dataclass(frozen=True)
class OwnAnswer:
    """One of the member's own answers: the place, the annotation in force, whether it may still be changed."""

    place: Assignment
    annotation: Annotation
    editable: bool


def own_answers(places: Sequence[Assignment], batch: Batch) -> list[OwnAnswer]:
    """The answers at these places; one query."""
    newest = latest_annotations(places)
    is_open = batch.status == BatchStatus.OPEN
    return [
        OwnAnswer(place, newest[place.pk], is_open and place.batch_item.ruled_at is None)
        for place in places
        if place.pk in newest
    ]
