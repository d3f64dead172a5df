"""After commit: is an item settled for a cohort?"""

from __future__ import annotations

from django.db import transaction

from .db.compiled import Values, text, whole
from .models import Assignment, Batch, BatchItem, Item, User
from .signals import item_settled
from .vocabulary import PlaceStatus


def is_settled(batch_item_id: int, cohort: str) -> bool:
    """Whether no place of the item for the cohort is open or claimed."""
    return not UNFINISHED.run(batch_item=batch_item_id, cohort=cohort)


UNFINISHED = Values(
    lambda: Assignment.objects.filter(
        batch_item=whole("batch_item"), cohort=text("cohort"), status__in=(PlaceStatus.OPEN, PlaceStatus.CLAIMED)
    ).values_list("pk")[:1]
)


def tell_if_settled(batch_item_id: int, cohort: str) -> bool:
    """Send `item_settled` when the item is settled for the cohort; whether it was."""
    settled = is_settled(batch_item_id, cohort)
    if settled:
        item_settled.send_robust(sender=Assignment, batch_item_id=batch_item_id, cohort=cohort)
    return settled


def watch_settling(batch_item_id: int, cohort: str) -> None:
    """Ask after commit whether the item is settled.

    Inside the transaction two simultaneous last submitters would each still see the other's place unfinished.
    """
    transaction.on_commit(lambda: tell_if_settled(batch_item_id, cohort), robust=True)


def watch_withdrawn(item: Item) -> None:
    """After commit tell of the item in every batch that holds it: what people said of it counts no more."""

    def tell() -> None:
        for batch_item_id in BatchItem.objects.filter(item=item).order_by("pk").values_list("pk", flat=True):
            item_settled.send_robust(sender=Item, batch_item_id=batch_item_id, cohort="")

    transaction.on_commit(tell, robust=True)


def tell_batch_settled(batch: Batch, by: User | None) -> None:
    """Many items of the batch settled, or changed, at once: the signal is sent once for all of them.

    Not robust: what receivers queue stands or falls with the sender's transaction, where there is one.
    """
    item_settled.send(sender=Batch, batch=batch, by=by)
