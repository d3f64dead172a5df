"""The ledger and the desk as programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from labeling.models import Annotation, Assignment, Batch, Membership, Project
from labeling.queries.desk import latest_annotations
from labeling.vocabulary import BatchStatus, PlaceStatus

from ..models import AnnotationFeed


def feed_after(project: Project, number: int, limit: int, batch: str | None = None) -> list[AnnotationFeed]:
    """At most `limit` entries of the project's feed behind `number`, with everything that is told of them; one query."""
    rows = AnnotationFeed.objects.filter(project=project, number__gt=number).select_related(
        "annotation__guideline_version",
        "annotation__assignment__batch",
        "annotation__assignment__member__user",
        "annotation__assignment__batch_item__item",
    )
    if batch:
        rows = rows.filter(annotation__assignment__batch__uuid=batch)
    return list(rows.order_by("number")[:limit])


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
