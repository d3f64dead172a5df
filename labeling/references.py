"""Gold that comes from a rater: one person's labels adopted as the reference of a definition."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from .access import Seat, require
from .events import event, record
from .models import Batch, Gold, Membership
from .queries.annotations import that_resolve
from .refusals import NotSeen, Refusal
from .vocabulary import GoldOrigin, Outcome

ROWS_PER_INSERT = 500


@dataclass(frozen=True)
class Adopted:
    """How many labels became gold, and how many were gold of this author with this value already."""

    new: int
    same: int


def adopt_reference(*, by: Seat, batch: Batch, member: Membership, at: datetime | None = None) -> Adopted:
    """The member's labels in the batch become `single_rater` gold of the batch's version. Twice changes nothing.

    The gold's author is the member: their own labels never count against it. Adopt again for each version whose figure
    needs a reference. Raises Refusal `no_labels` where they gave none.
    """
    at = at or timezone.now()
    require(by.membership, "define")
    if batch.project_id != by.project.pk or member.project_id != by.project.pk:
        raise NotSeen("not_found", "There is no such batch or member in this project.")
    rows = (
        that_resolve([batch])
        .filter(assignment__member=member, outcome=Outcome.LABELED)
        .order_by("assignment__batch_item__item_id")
        .values_list("assignment__batch_item__item_id", "value")
    )
    given = dict(rows.iterator())
    if not given:
        raise Refusal("no_labels", "This rater has given no labels in this batch that count.")
    with transaction.atomic():
        known = _in_force(batch)
        new = [
            Gold(
                item_id=item, guideline_version_id=batch.guideline_version_id, value=value,
                origin=GoldOrigin.SINGLE_RATER, author=member, by=by.user, at=at,
            )
            for item, value in given.items()
            if known.get(item) != (member.pk, value)
        ]  # fmt: skip
        Gold.objects.bulk_create(new, batch_size=ROWS_PER_INSERT)
        record(
            event(
                "adopted_reference",
                batch,
                by=by.user,
                at=at,
                project=by.project,
                member=str(member.uuid),
                items=len(new),
            )
        )
    return Adopted(len(new), len(given) - len(new))


def _in_force(batch: Batch) -> dict[int, tuple[int | None, object]]:
    """{item: (author, value)} of the batch's items: the newest single-rater gold of its version."""
    rows = Gold.objects.filter(
        item__batch_items__batch=batch, guideline_version=batch.guideline_version_id, origin=GoldOrigin.SINGLE_RATER
    ).order_by("pk")
    return {item: (author, value) for item, author, value in rows.values_list("item_id", "author_id", "value")}
