"""Room 7, the bench: an SME holds a case for ten minutes, so that no other rules on it meanwhile."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from labeling import sweeps, transitions
from labeling.access import Seat, require
from labeling.events import event, record
from labeling.refusals import Refusal

from . import bench
from .bench import DISCUSSING, HELD, OPEN
from .comparing_steps import NOT_HELD
from .models import Disagreement

HOLD = timedelta(minutes=10)


def hold_disagreement(*, by: Seat, disagreement: Disagreement, at: datetime | None = None) -> Disagreement:
    """Hold a case for ten minutes: its row then has `hold_token` and `hold_until`. Holding it again renews the hold.

    Raises `held_by_other`, `ruled`, `dismissed`, `not_complete` (people are still answering) or NotAllowed for someone
    who rated the item.
    """
    at = at or timezone.now()
    require(by.membership, "adjudicate")
    with transaction.atomic():
        case = bench.case_of(by, disagreement)
        bench.refuse_unless_free(case, by.membership, at)
        bench.refuse_raters(case, by.membership)
        if bench.unfinished(case):
            raise Refusal(
                "not_complete",
                "People are still answering this item; it can be ruled on once all have. Nothing is lost.",
            )
        if case.status == HELD and case.holder_id == by.membership.pk:
            Disagreement.objects.filter(pk=case.pk, hold_token=case.hold_token).update(hold_until=at + HOLD)
            case.hold_until = at + HOLD
            return case
        events = []
        if case.status == HELD:
            events += lapse(case, at)
        if not transitions.move(case, HELD, holder=by.membership, hold_token=uuid.uuid4(), hold_until=at + HOLD):
            raise Refusal("changed_meanwhile", "Someone else took this case just now. Take the next one.")
        record(*events, event("held", case, by=by.user, at=at, project=by.project))
    return case


def extend_hold(
    *, by: Seat, disagreement: Disagreement, token: uuid.UUID | str, at: datetime | None = None
) -> Disagreement:
    """The case is still on the screen: its hold lasts ten minutes from now. Raises `hold_lost`."""
    at = at or timezone.now()
    require(by.membership, "adjudicate")
    kept = Disagreement.objects.filter(
        pk=disagreement.pk, status=HELD, holder=by.membership, hold_token=bench.as_uuid(token)
    ).update(hold_until=at + HOLD)
    if not kept:
        raise bench.hold_lost()
    return bench.case_of(by, disagreement, lock=False)


def release_hold(*, by: Seat, disagreement: Disagreement, token: uuid.UUID | str, at: datetime | None = None) -> None:
    """Give a case back unruled. Saying it twice changes nothing."""
    at = at or timezone.now()
    require(by.membership, "adjudicate")
    with transaction.atomic():
        case = bench.case_of(by, disagreement)
        if case.status != HELD or case.holder_id != by.membership.pk or case.hold_token != bench.as_uuid(token):
            return
        if transitions.move(case, _resting(case), where={"hold_token": case.hold_token}, **NOT_HELD):
            record(event("released", case, by=by.user, at=at, project=by.project, status=case.status))


@sweeps.each_minute("lapsed_holds")
def sweep_holds(now: datetime | None = None) -> int:
    """Give back cases whose holder went away; returns how many."""
    now = now or timezone.now()
    count = 0
    for pk in list(Disagreement.objects.filter(status=HELD, hold_until__lt=now).values_list("pk", flat=True)[:500]):
        with transaction.atomic():
            case = bench.all_cases().select_for_update(of=("self",), no_key=True).filter(pk=pk, status=HELD).first()
            if case is not None and case.hold_until is not None and case.hold_until < now:
                events = lapse(case, now)
                record(*events)
                count += len(events)
    return count


def lapse(case: Disagreement, at: datetime) -> list[Any]:
    """Give back a held case; the event to be written, none when it was no longer held so."""
    if not transitions.move(case, _resting(case), where={"hold_token": case.hold_token}, **NOT_HELD):
        return []
    project = case.batch.project_id
    return [event("lapsed", case, by=None, at=at, project_id=project, implicit=True, status=case.status)]


def _resting(case: Disagreement) -> str:
    """Where a case goes when it is held no longer: back to its discussion, if it has one."""
    return DISCUSSING if case.batch_item.revealed_at is not None else OPEN
