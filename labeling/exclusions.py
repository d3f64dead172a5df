"""Set a rater aside: their answers count for no figure and no resolution until this is lifted; the ledger stays."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, Max, OuterRef
from django.utils import timezone

from . import jobs, transitions
from .access import Seat, require
from .dispatch import ITEMS_PER_CHUNK
from .events import event, record
from .models import Assignment, Batch, BatchItem, Event, Exclusion, Membership, Quota
from .refusals import BadValue, NotSeen, Refusal
from .settling import tell_batch_settled, tell_if_settled
from .vocabulary import BatchStatus, PlaceOrigin, PlaceStatus

LONGEST_REASON = 2_000
GIVEN_UP = (PlaceStatus.SKIPPED, PlaceStatus.VOID)


def set_aside(
    *, by: Seat, member: Membership, reason: str, reopen_places: bool = False, at: datetime | None = None
) -> Exclusion:
    """Leave the member's answers out of figures and resolutions. Nothing is deleted; `lift` brings them back.

    `reopen_places`: items of open batches that have too few answers without theirs get a place for someone else.
    Raises BadValue without a reason, and Refusal `aside_already`.
    """
    at = at or timezone.now()
    require(by.membership, "manage_members")
    _of_this_project(by, member)
    reason = reason.strip()
    if not reason:
        raise BadValue("empty", "Say why: whoever reads the figures later will ask.", field="reason")
    if len(reason) > LONGEST_REASON:
        raise BadValue("too_long", f"Keep the reason within {LONGEST_REASON:,} characters.", field="reason")
    try:
        with transaction.atomic():
            found = Exclusion.objects.create(member=member, reason=reason, by=by.user, at=at)
            record(
                event("set_aside", member, by=by.user, at=at, project=by.project, reason=reason, reopened=reopen_places)
            )
            _tell(by, member, "reopen_places" if reopen_places else "")
    except IntegrityError:
        raise Refusal("aside_already", "This rater is set aside already.") from None
    return found


def lift(*, by: Seat, exclusion: Exclusion, at: datetime | None = None) -> Exclusion:
    """Let the member's answers count again, as if they had never been set aside. Lifting twice changes nothing.

    Places that were opened in their stead and that nobody has taken are given up.
    """
    at = at or timezone.now()
    require(by.membership, "manage_members")
    member = exclusion.member
    if member is None:
        raise Refusal("one_place", "One place is set aside here, not a rater.")
    _of_this_project(by, member)
    with transaction.atomic():
        if Exclusion.objects.filter(pk=exclusion.pk, lifted_at__isnull=True).update(lifted_at=at):
            exclusion.lifted_at = at
            record(
                event("lifted", member, by=by.user, at=at, project=by.project, set_aside_at=exclusion.at.isoformat())
            )
            _tell(by, member, "give_up_spare_places")
    return exclusion


def aside_of(member: Membership) -> Exclusion | None:
    """Why the member is set aside now, or None."""
    return Exclusion.objects.filter(member=member, lifted_at__isnull=True).select_related("by").first()


def _of_this_project(by: Seat, member: Membership) -> None:
    if member.project_id != by.project.pk:
        raise NotSeen("not_found", "There is no such member in this project.")


def _tell(by: Seat, member: Membership, places: str) -> None:
    """Queue what follows for each batch the member answered in: its places, and its comparison anew."""
    answered = Assignment.objects.filter(batch=OuterRef("pk"), member=member, status=PlaceStatus.SUBMITTED)
    for batch in Batch.objects.filter(Exists(answered), project=by.project).order_by("pk"):
        if places and batch.status == BatchStatus.OPEN:
            jobs.enqueue(
                kind=places,
                by=by.user,
                project=by.project,
                dedup_key=f"{places}:{batch.pk}:{member.pk}",
                parameters={"batch": batch.pk, "member": member.pk},
            )
        tell_batch_settled(batch, by.user)


def _ranges(batch: Batch) -> range:
    highest: int | None = BatchItem.objects.filter(batch=batch).aggregate(highest=Max("rank"))["highest"]
    return range(0, (-1 if highest is None else highest) + 1, ITEMS_PER_CHUNK)


def _counted(batch: Batch, cohort: str, first: int) -> dict[int, list[tuple[int, str, bool, int, str, int]]]:
    """{batch item: (place, status, whether its rater is set aside, ordinal, origin, rank)} of a chunk of ranks."""
    aside = Exclusion.objects.filter(member=OuterRef("member"), lifted_at__isnull=True)
    rows = (
        Assignment.objects.filter(batch=batch, cohort=cohort, rank__gte=first, rank__lt=first + ITEMS_PER_CHUNK)
        .annotate(aside=Exists(aside))
        .order_by("batch_item_id", "ordinal")
        .values_list("batch_item_id", "pk", "status", "aside", "ordinal", "origin", "rank")
    )
    found: dict[int, list[tuple[int, str, bool, int, str, int]]] = {}
    for item, *place in rows:
        found.setdefault(item, []).append(tuple(place))  # type: ignore[arg-type]
    return found


@jobs.handles("reopen_places")
def reopen_places_job(run: jobs.JobRun) -> dict[str, Any]:
    """Open a place for each item that is short of its overlap once the answers of who is set aside do not count.

    Only items the member answered; `max_raters` holds. Running again adds nothing, since the new places count.
    """
    batch = Batch.objects.get(pk=run.parameters["batch"])
    mine = set(
        Assignment.objects.filter(
            batch=batch, member=run.parameters["member"], status=PlaceStatus.SUBMITTED
        ).values_list("batch_item_id", flat=True)
    )
    ranges, added = _ranges(batch), 0
    for first in ranges:
        with transaction.atomic():
            # Locked: a close that comes in between would leave the new places open for ever.
            status = Batch.objects.select_for_update(no_key=True).values_list("status", flat=True).get(pk=batch.pk)
            still = Exclusion.objects.filter(member=run.parameters["member"], lifted_at__isnull=True).exists()
            if status != BatchStatus.OPEN or not still:
                break
            for quota in Quota.objects.filter(batch=batch):
                new = _reopen(batch, quota, first, mine)
                record(*_said("replaced", [place.pk for place in new], batch, run))
                added += len(new)
        run.report(min(first + ITEMS_PER_CHUNK, ranges.stop), ranges.stop, "opening places")
    return {"places": added}


def _said(verb: str, places: list[int], batch: Batch, run: jobs.JobRun) -> list[Event]:
    now = timezone.now()
    return [
        event(verb, ("assignment", pk), by=run.job.by, at=now, project_id=batch.project_id, implicit=True)
        for pk in places
    ]


def _reopen(batch: Batch, quota: Quota, first: int, mine: set[int]) -> list[Assignment]:
    new: list[Assignment] = []
    for item, places in _counted(batch, quota.cohort, first).items():
        if item not in mine:
            continue
        counting = sum(status not in GIVEN_UP and not aside for _, status, aside, *_ in places)
        kept = sum(status != PlaceStatus.VOID for _, status, *_ in places)
        want = quota.raters - counting
        if quota.max_raters is not None:
            want = min(want, quota.max_raters - kept)
        highest, rank = max(ordinal for *_, ordinal, _, _ in places), places[0][5]
        new += [
            Assignment(
                batch_item_id=item, batch_id=batch.pk, cohort=quota.cohort, ordinal=highest + step, rank=rank,
                origin=PlaceOrigin.REPLACEMENT,
            )
            for step in range(1, want + 1)
        ]  # fmt: skip
    return Assignment.objects.bulk_create(new)


@jobs.handles("give_up_spare_places")
def give_up_spare_places_job(run: jobs.JobRun) -> dict[str, Any]:
    """Void open replacement places beyond the overlap, now that the member's answers count again. What someone has in
    hand stays theirs."""
    batch = Batch.objects.get(pk=run.parameters["batch"])
    ranges, voided = _ranges(batch), 0
    for first in ranges:
        told: list[tuple[int, str]] = []
        with transaction.atomic():
            status = Batch.objects.select_for_update(no_key=True).values_list("status", flat=True).get(pk=batch.pk)
            if status != BatchStatus.OPEN:
                break
            for quota in Quota.objects.filter(batch=batch):
                spare = []
                for item, places in _counted(batch, quota.cohort, first).items():
                    over = sum(s not in GIVEN_UP and not aside for _, s, aside, *_ in places) - quota.raters
                    free = [
                        pk
                        for pk, s, _, _, origin, _ in places
                        if s == PlaceStatus.OPEN and origin == PlaceOrigin.REPLACEMENT
                    ]
                    if over > 0 and free:
                        spare += free[-over:]
                        told.append((item, quota.cohort))
                voided += _give_up(spare, batch, run)
        for item, cohort in told:
            tell_if_settled(item, cohort)
        run.report(min(first + ITEMS_PER_CHUNK, ranges.stop), ranges.stop, "giving up places")
    return {"places": voided}


def _give_up(places: list[int], batch: Batch, run: jobs.JobRun) -> int:
    """Void those of the places that are still open: what is being claimed this moment is honoured."""
    for start in range(0, len(places), 500):
        open_ones = Assignment.objects.select_for_update(skip_locked=True, no_key=True).filter(
            pk__in=places[start : start + 500], status=PlaceStatus.OPEN
        )
        found = list(open_ones.values_list("pk", flat=True))
        transitions.move_all(Assignment.objects.filter(pk__in=found), PlaceStatus.OPEN, PlaceStatus.VOID)
        record(*_said("voided", found, batch, run))
    return len(places)
