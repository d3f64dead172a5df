"""Taking an item out of use: nobody labels it any more and the next datasets leave it out; what was said of it stays."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from . import access, transitions
from .access import Seat
from .claiming import GIVEN_BACK
from .db.retry import retry_deadlocks
from .events import event, record
from .models import Assignment, Batch, Item
from .refusals import BadValue, NotSeen
from .settling import watch_settling, watch_withdrawn
from .vocabulary import PlaceStatus


@retry_deadlocks
def withdraw_item(*, by: Seat, item: Item, reason: str, at: datetime | None = None) -> Item:
    """Withdraw an item for good: its open places and those in hand are voided, its answers stay in the ledger.

    Withdrawing it again changes nothing. Raises BadValue without a reason, NotAllowed, NotSeen.
    """
    access.require(by.membership, "manage")
    access.refuse_archived(by.project)
    at = at or timezone.now()
    reason = " ".join(str(reason or "").split())
    if not 1 <= len(reason) <= 500:
        raise BadValue("bad_value", "Say why the item is withdrawn, in up to 500 characters.", field="reason")
    if item.project_id != by.project.pk:
        raise NotSeen("not_found", "There is no such item in this project.")
    with transaction.atomic():
        if Item.objects.filter(pk=item.pk, withdrawn_at__isnull=True).update(withdrawn_at=at):
            record(event("withdrawn", item, by=by.user, at=at, project=by.project, reason=reason))
            _void_places(by, item, at)
            watch_withdrawn(item)
    item.refresh_from_db(fields=["withdrawn_at"])
    return item


def _void_places(by: Seat, item: Item, at: datetime) -> None:
    """A rater who holds one is told on submitting that the place is no longer theirs; the page keeps what they wrote.

    The batches are locked first: a skip would otherwise put a replacement beside the places that are voided here.
    """
    list(Batch.objects.select_for_update(no_key=True).filter(batch_items__item=item).order_by("pk"))
    places = Assignment.objects.select_for_update(no_key=True).filter(
        batch_item__item=item, status__in=(PlaceStatus.OPEN, PlaceStatus.CLAIMED)
    )
    events = []
    for place in places.order_by("pk"):
        nobody = GIVEN_BACK if place.status == PlaceStatus.CLAIMED else {}
        if transitions.move(place, PlaceStatus.VOID, **nobody):
            events.append(event("voided", place, by=by.user, at=at, project=by.project, implicit=True, why="withdrawn"))
            watch_settling(place.batch_item_id, place.cohort)
    record(*events)
