"""Room 3, the rater's side: places come into a rater's hand and leave it again.

One code path for SQLite and PostgreSQL. Three guards make over-assignment and double answers impossible: a place is
claimed by compare-and-set, a rater has one place per item (unique), a hand has one place per slot (unique). The
member's row is locked first in every act, so two tabs of one rater take turns and the daily cap holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from . import access, sweeps, transitions
from .db.compiled import Change, Given, Rows, Values, moment, text, uuid, whole
from .db.retry import retry_deadlocks
from .events import event, record
from .models import Acknowledgement, Assignment, Batch, Event, GuidelineVersion, Membership, User
from .refusals import NotSeen, Refusal
from .settling import watch_settling
from .vocabulary import BatchStatus, PlaceStatus

SLOTS = 4  # one shown, three ahead
UNSHOWN_LEASE = timedelta(minutes=2)
# Renewing writes; a lease is renewed only when less than this is left of it.
RENEW_BELOW = timedelta(minutes=1)
LOOK_AHEAD = 8
# How far the clocks of two servers may differ before a lease counts as written by a wrong one.
SLACK = timedelta(minutes=5)


@dataclass
class Empty:
    """Why nothing can be served: a reason for programs, words for people."""

    reason: str  # done, cap, waiting, later, unread, closed, opening
    title: str
    message: str
    opens_at: datetime | None = None


@dataclass
class Hand:
    """The places a rater holds in a batch, by slot, with their items loaded; `empty` says why when there is none."""

    batch: Batch
    member: Membership
    places: list[Assignment] = field(default_factory=list)
    empty: Empty | None = None


def lock_member(by: User, batch: Batch | GuidelineVersion) -> Membership:
    """The person's membership in the project of the batch (or version), locked for this transaction.

    Raises NotSeen or NotAllowed.

    Locked before any place: a submission and a claim of the same rater in two tabs would otherwise take place and
    member in opposite order, and PostgreSQL would end one of them as a deadlock.
    """
    member = MEMBER_LOCKED.first(user=by.pk, project=batch.project_id)
    if member is None or not member.active:
        raise NotSeen("not_found", "There is no such batch for you.")
    member.user, member.project = by, batch.project
    access.require(member, "label")
    return member


MEMBER_LOCKED = Rows(
    lambda: Membership.objects.select_for_update(no_key=True).filter(user=whole("user"), project=whole("project"))
)


def start_of_day(project_zone: str, at: datetime) -> datetime:
    """Midnight before `at` in the project's time zone: where the daily cap starts to count."""
    return at.astimezone(ZoneInfo(project_zone)).replace(hour=0, minute=0, second=0, microsecond=0)


def done_today(member: Membership, at: datetime) -> int:
    """Places the member submitted since midnight in the project's time zone, over all batches."""
    return Assignment.objects.filter(
        member=member, status=PlaceStatus.SUBMITTED, finished_at__gte=start_of_day(member.project.time_zone, at)
    ).count()


def has_read(member: Membership, version_id: int) -> bool:
    """Whether the member has acknowledged the guideline version."""
    return Acknowledgement.objects.filter(member=member, guideline_version_id=version_id).exists()


def hand_of(member: Membership, batch: Batch) -> list[Assignment]:
    """What the member holds now, by slot, with batch item and item loaded: one query."""
    return HELD.run(batch=batch.pk, member=member.pk)


HELD = Rows(
    lambda: (
        Assignment.objects.select_related("batch_item__item")
        .filter(batch=whole("batch"), member=whole("member"), status=PlaceStatus.CLAIMED)
        .order_by("slot")
    )
)


def renew(places: Sequence[Assignment], batch: Batch, at: datetime, *, everything: bool = False) -> None:
    """Extend leases that run out soon: two minutes for places ahead, the batch's lease for shown ones.

    With `everything`, shown ones too (a heartbeat); a plain request renews only what is not shown yet.
    """
    for shown, lease in ((False, UNSHOWN_LEASE), (True, timedelta(minutes=batch.lease_minutes))):
        if shown and not everything:
            continue
        due = [
            place
            for place in places
            if (place.shown_at is not None) is shown
            and place.lease_until is not None
            and (everything or not at + RENEW_BELOW <= place.lease_until <= _furthest(batch, at))
        ]
        if due:
            # The token in the compare: a place that lapsed and went to someone else meanwhile is not ours to extend.
            for place in due:
                if RENEW.run(place=place.pk, token=place.claim_token, lease_until=at + lease):
                    place.lease_until = at + lease


def _still_held() -> QuerySet[Assignment]:
    return Assignment.objects.filter(pk=whole("place"), status=PlaceStatus.CLAIMED, claim_token=uuid("token"))


RENEW = Change(_still_held, lease_until=moment("lease_until"))
SHOW = Change(
    lambda: Assignment.objects.filter(pk=whole("place"), claim_token=uuid("token")),
    shown_at=moment("shown_at"),
    lease_until=moment("lease_until"),
)


@dataclass(frozen=True)
class _Candidate:
    """An open place that the rater may claim."""

    pk: int
    rank: int
    batch_item: int
    place: Assignment | None = None  # with its item, where it was read at once


def open_places(cursor: Given | None = None) -> QuerySet[Assignment]:
    """Open places that a rater may claim, in order: behind the rank `cursor`, or behind their latest claim.

    Parameters of the compiled query: batch, member, cohort, at, and cursor where it is given.
    """
    batch, member = whole("batch"), whole("member")
    # A subquery that is looked up for each candidate, where NOT EXISTS could become a join with all the rater ever did.
    own = Assignment.objects.filter(batch_item=OuterRef("batch_item"), member=member).values("pk")[:1]
    latest = Assignment.objects.filter(batch=batch, member=member).order_by("-claimed_at", "-rank")
    return (
        Assignment.objects.alias(own=Subquery(own))
        .filter(
            Q(reserved_for__isnull=True) | Q(reserved_for=member),
            Q(not_before__isnull=True) | Q(not_before__lte=moment("at")),
            batch=batch,
            cohort=text("cohort"),
            status=PlaceStatus.OPEN,
            rank__gt=cursor or Coalesce(Subquery(latest.values("rank")[:1]), -1),
            own__isnull=True,
        )
        .order_by("rank", "ordinal")
    )


COLUMNS = ("pk", "rank", "batch_item_id")


def _candidates(given: bool, most: int) -> Values:
    return Values(lambda: open_places(whole("cursor") if given else None).values_list(*COLUMNS)[:most])


# {whether the cursor is given: {how many: query}}
OPEN = {given: {most: _candidates(given, most) for most in (LOOK_AHEAD, LOOK_AHEAD * SLOTS)} for given in (False, True)}
# One that nobody else is claiming this moment. Raters who ask at the same time would else all wait for the same place, and
# after its commit all for the next.
FREE = Rows(
    lambda: (
        open_places()
        .select_related("batch_item__item")
        .select_for_update(skip_locked=True, no_key=True, of=("self",))[:1]
    )
)


def _open_places(
    member: Membership, batch: Batch, at: datetime, *, behind: int | None = None, many: bool = False, free: bool = False
) -> list[_Candidate]:
    """The next places to try, behind the rank `behind` or else behind the rater's latest claim.

    `free`: one that nobody is claiming right now. That there is none does not say that nothing is left.
    """
    given = {"batch": batch.pk, "member": member.pk, "cohort": member.cohort, "at": at, "cursor": behind}
    if free:
        return [_Candidate(place.pk, place.rank, place.batch_item_id, place) for place in FREE.run(**given)]
    query = OPEN[behind is not None][LOOK_AHEAD * SLOTS if many else LOOK_AHEAD]
    return [_Candidate(*row) for row in query.run(**given)]


def _claim(place_id: int, member: Membership, slot: int, at: datetime, *, unguarded: bool = False) -> UUID | None:
    """Compare-and-set one place into a slot; the token, or None when someone was faster.

    Raises IntegrityError inside its own savepoint: (batch item, member) or (batch, member, slot) taken already.
    `unguarded` exists for the race tests' negative control only: it drops the compare.
    """
    token = uuid4()
    with transaction.atomic():
        claim = CLAIM_UNGUARDED if unguarded else CLAIM
        taken = claim.run(
            place=place_id, member=member.pk, slot=slot, token=token, at=at, lease_until=at + UNSHOWN_LEASE
        )
    return token if taken else None


def _as_claimed(place: Assignment, member: Membership, slot: int, token: UUID, at: datetime) -> Assignment:
    """The loaded place as `_claim` left it in the database."""
    place.status, place.member, place.slot, place.claim_token = PlaceStatus.CLAIMED, member, slot, token
    place.claimed_at, place.shown_at, place.lease_until, place.finished_at = at, None, at + UNSHOWN_LEASE, None
    return place


TO_CLAIMED: dict[str, Any] = {
    "status": PlaceStatus.CLAIMED,
    "member": whole("member"),
    "slot": whole("slot"),
    "claim_token": uuid("token"),
    "claimed_at": moment("at"),
    "shown_at": None,
    "lease_until": moment("lease_until"),
    "finished_at": None,
}
CLAIM = Change(lambda: Assignment.objects.filter(pk=whole("place"), status=PlaceStatus.OPEN), **TO_CLAIMED)
CLAIM_UNGUARDED = Change(lambda: Assignment.objects.filter(pk=whole("place")), **TO_CLAIMED)


def _free_slots(held: Sequence[Assignment], slots: int, most: int) -> list[int]:
    taken = {place.slot for place in held}
    return [slot for slot in range(1, slots + 1) if slot not in taken][: max(0, most - len(held))]


def _fill(
    member: Membership, batch: Batch, held: list[Assignment], slots: int, most: int, at: datetime
) -> tuple[list[Assignment], list[Event]]:
    """Claim places into the free slots until the rater holds `most`; returns the hand, and the events of what was claimed."""
    free = _free_slots(held, slots, most)
    claimed: list[int] = []
    taken: Assignment | None = None
    known = True  # whether `held` is still what the rater holds beside `claimed`
    behind: int | None = None
    wrapped = False
    alone = len(free) == 1
    while free:
        candidates = _open_places(member, batch, at, behind=behind, many=len(free) > 1, free=alone)
        if not candidates and alone:
            alone = False
            continue
        alone = False
        if not candidates:
            if wrapped:
                break
            # From the start once: places given back, replacements, and leases that ran out lie behind the cursor.
            wrapped, behind = True, -1
            lapse(batch, at)
            known = False
            continue
        tried: set[int] = set()
        for candidate in candidates:
            behind = candidate.rank
            if candidate.batch_item in tried:
                continue
            try:
                token = _claim(candidate.pk, member, free[0], at)
            except IntegrityError:
                # Mine already through another tab, or that tab filled the slot: look again at what I hold.
                tried.add(candidate.batch_item)
                held, known = hand_of(member, batch), False
                free = _free_slots(held, slots, most)
                if not free:
                    break
                continue
            if token is None:
                continue  # someone was faster; another place of the same item may still be open
            tried.add(candidate.batch_item)
            claimed.append(candidate.pk)
            slot = free.pop(0)
            if candidate.place is not None:
                taken = _as_claimed(candidate.place, member, slot, token, at)
            if not free:
                break
    if known and taken is not None and len(claimed) == 1:
        held = sorted([*held, taken], key=lambda place: place.slot or 0)
    elif claimed or not known:
        held = hand_of(member, batch)
    return held, [
        event("claimed", ("assignment", pk), by=member.user, at=at, project_id=batch.project_id) for pk in claimed
    ]


@retry_deadlocks
def claim_next(
    *,
    by: User,
    batch: Batch,
    at: datetime | None = None,
    slots: int = SLOTS,
    shown_next: UUID | str | None = None,
    show_first: bool = False,
) -> Hand:
    """Renew what the rater holds in the batch, fill the free slots, and return the whole hand.

    `shown_next` is the place of the hand that the rater's page shows by now; with `show_first` it is the first one, as
    for a program that works on what it claims. Returns an empty hand with its reason when nothing can be served.
    Raises NotSeen for strangers, NotAllowed without a cohort.
    """
    at = at or timezone.now()
    with transaction.atomic():
        member = lock_member(by, batch)
        hand, events = fill_hand(member, batch, at, slots)
        record(*events)
        if show_first and hand.places:
            shown_next = hand.places[0].uuid
        if shown_next is not None:
            mark_shown(hand, shown_next, at)
    return hand


def fill_hand(
    member: Membership, batch: Batch, at: datetime, slots: int = SLOTS, held: list[Assignment] | None = None
) -> tuple[Hand, list[Event]]:
    """The body of `claim_next` for a caller that holds the member's lock; returns the events still to be written.

    `held`: what the member holds, from a caller that has just read it under that lock.
    """
    hand = Hand(batch, member)
    if batch.status not in (BatchStatus.OPEN, BatchStatus.CLOSED):
        hand.empty = _not_open(batch)
        return hand, []
    if held is None:
        held = hand_of(member, batch)
    # Whoever holds a place has read the version: it was asked when they claimed.
    if not held and not has_read(member, batch.guideline_version_id):
        hand.empty = Empty(
            "unread",
            f"Please read definition {batch.guideline_version} first",
            "It says what the labels mean in this batch. Reading it once is enough.",
        )
        return hand, []
    renew(held, batch, at)
    events: list[Event] = []
    room = slots - len(held)
    capped = False
    if room > 0 and member.daily_cap is not None:
        allowed = max(0, member.daily_cap - done_today(member, at) - _in_hand_elsewhere(member, batch) - len(held))
        capped = allowed < room
        room = min(room, allowed)
    if batch.status == BatchStatus.OPEN and room > 0:
        held, events = _fill(member, batch, held, slots, len(held) + room, at)
    hand.places = held
    if not held:
        hand.empty = _why_empty(member, batch, at, capped)
    return hand, events


def _in_hand_elsewhere(member: Membership, batch: Batch) -> int:
    return Assignment.objects.filter(member=member, status=PlaceStatus.CLAIMED).exclude(batch=batch).count()


def _not_open(batch: Batch) -> Empty:
    if batch.status == BatchStatus.OPENING:
        return Empty("opening", "This batch is being prepared", "It opens in a moment.")
    return Empty("closed", "This batch is not open", "The project's owner opens it when it is ready.")


def _why_empty(member: Membership, batch: Batch, at: datetime, capped: bool) -> Empty:
    if batch.status == BatchStatus.CLOSED:
        return Empty("closed", "This batch is closed", "Your answers are kept. Nothing is left to do here.")
    if capped:
        tomorrow = start_of_day(member.project.time_zone, at) + timedelta(days=1, hours=2)
        return Empty(
            "cap",
            "Done for today",
            f"You have reached your limit of {member.daily_cap} labels a day. Your place is kept.",
            start_of_day(member.project.time_zone, tomorrow),
        )
    mine = Assignment.objects.filter(batch_item=OuterRef("batch_item"), member=member)
    left = Assignment.objects.filter(
        Q(reserved_for__isnull=True) | Q(reserved_for=member), ~Exists(mine), batch=batch, cohort=member.cohort
    )
    later = (
        left.filter(status=PlaceStatus.OPEN, not_before__gt=at)
        .order_by("not_before")
        .values_list("not_before", flat=True)
    ).first()
    if later is not None:
        return Empty(
            "later", "The rest comes later", "There is a pause before the next items, so that they feel new.", later
        )
    if left.filter(status=PlaceStatus.CLAIMED).exists():
        return Empty(
            "waiting",
            "Waiting for others",
            "Every open item is in someone's hands. If one is given back, it comes to you.",
        )
    return Empty("done", "Your part is done", "You have answered every item that was meant for you. Thank you.")


def lapse(batch: Batch, at: datetime) -> int:
    """Give back claims whose lease ran out (void them when the batch is closed); returns how many."""
    # skip_locked: a place whose rater is submitting it this moment is not lapsed, and waiting for it while holding
    # places of our own could end in a deadlock.
    expired = Assignment.objects.select_for_update(skip_locked=True, no_key=True).filter(
        _lapsed(at, _furthest(batch, at)),
        batch=batch,
        status=PlaceStatus.CLAIMED,
    )
    rows = list(expired.values_list("pk", "member_id", "batch_item_id", "cohort", "claim_token", "lease_until")[:500])
    closed = batch.status == BatchStatus.CLOSED
    lapsed = []
    for pk, member_id, batch_item_id, cohort, token, lease_until in rows:
        # The lease in the compare: a heartbeat that came meanwhile keeps the place.
        if Assignment.objects.filter(
            pk=pk, status=PlaceStatus.CLAIMED, claim_token=token, lease_until=lease_until
        ).update(status=PlaceStatus.VOID if closed else PlaceStatus.OPEN, **GIVEN_BACK):
            lapsed.append(
                event(
                    "lapsed",
                    ("assignment", pk),
                    by=None,
                    at=at,
                    project_id=batch.project_id,
                    implicit=True,
                    member=member_id,
                )
            )
            if closed:
                watch_settling(batch_item_id, cohort)
    record(*lapsed)
    return len(lapsed)


def _furthest(batch: Batch, at: datetime) -> datetime:
    """Later than any lease of the batch that was given by `at`."""
    return at + UNSHOWN_LEASE + timedelta(minutes=batch.lease_minutes) + SLACK


def _lapsed(at: datetime, furthest: datetime) -> Q:
    """Leases that ran out, and those that reach further than any is given: written before the clock was set back."""
    return Q(lease_until__lt=at) | Q(lease_until__gt=furthest)


GIVEN_BACK = {
    "member": None,
    "slot": None,
    "claim_token": None,
    "claimed_at": None,
    "shown_at": None,
    "lease_until": None,
}


@sweeps.each_minute("lapsed_claims")
def sweep_lapsed(at: datetime | None = None) -> int:
    """Give back lapsed claims of every batch that has some: the worker's minute sweep."""
    at = at or timezone.now()
    batches = Batch.objects.filter(
        pk__in=Assignment.objects.filter(_lapsed(at, at + UNSHOWN_LEASE + SLACK), status=PlaceStatus.CLAIMED).values(
            "batch"
        )
    )
    count = 0
    for batch in batches:
        with transaction.atomic():
            count += lapse(batch, at)
    return count


def _held(by: User, batch: Batch, assignment: UUID | str, token: UUID | str) -> tuple[Membership, Assignment]:
    """The place, when the person holds it by that token; raises the `lease_lost` refusal otherwise."""
    member = lock_member(by, batch)
    place = Assignment.objects.select_related("batch_item").filter(batch=batch, uuid=assignment).first()
    if place is None:
        raise NotSeen("not_found", "There is no such place in this batch.")
    if place.status != PlaceStatus.CLAIMED or place.member_id != member.pk or str(place.claim_token) != str(token):
        raise lease_lost()
    return member, place


def lease_lost() -> Refusal:
    return Refusal(
        "lease_lost", "This item went back to the queue while you were away. What you wrote is kept on this page."
    )


def show_place(
    *, by: User, batch: Batch, assignment: UUID | str, token: UUID | str, at: datetime | None = None
) -> Assignment:
    """The item is on the rater's screen: its lease becomes the batch's, and the time on it starts now."""
    at = at or timezone.now()
    with transaction.atomic():
        _member, place = _held(by, batch, assignment, token)
        place.shown_at = place.shown_at or at
        place.lease_until = at + timedelta(minutes=batch.lease_minutes)
        SHOW.run(place=place.pk, token=place.claim_token, shown_at=place.shown_at, lease_until=place.lease_until)
    return place


def mark_shown(hand: Hand, assignment: UUID | str, at: datetime) -> None:
    """As `show_place`, for a caller that holds the member's lock and the hand; a place not in it is left alone."""
    for place in hand.places:
        if str(place.uuid) == str(assignment):
            place.shown_at = place.shown_at or at
            place.lease_until = at + timedelta(minutes=hand.batch.lease_minutes)
            SHOW.run(place=place.pk, token=place.claim_token, shown_at=place.shown_at, lease_until=place.lease_until)


def heartbeat(*, by: User, batch: Batch, at: datetime | None = None) -> Hand:
    """Extend every lease the rater holds in the batch; returns the hand as it is."""
    at = at or timezone.now()
    with transaction.atomic():
        member = lock_member(by, batch)
        hand = Hand(batch, member, hand_of(member, batch))
        renew(hand.places, batch, at, everything=True)
    return hand


def release_place(
    *, by: User, batch: Batch, assignment: UUID | str, token: UUID | str, at: datetime | None = None
) -> None:
    """Give a place back unanswered; another rater, or the same one later, may claim it."""
    at = at or timezone.now()
    with transaction.atomic():
        _member, place = _held(by, batch, assignment, token)
        status = PlaceStatus.VOID if batch.status == BatchStatus.CLOSED else PlaceStatus.OPEN
        if not transitions.move(place, status, where={"claim_token": place.claim_token}, **GIVEN_BACK):
            raise lease_lost()
        record(event("released", place, by=by, at=at, project_id=batch.project_id))
        if status == PlaceStatus.VOID:
            watch_settling(place.batch_item_id, place.cohort)


def acknowledge_version(*, by: User, batch: Batch, at: datetime | None = None) -> None:
    """The member has read the batch's guideline version. Saying it twice changes nothing."""
    at = at or timezone.now()
    with transaction.atomic():
        _acknowledge(lock_member(by, batch), batch.guideline_version_id, at)


def acknowledge_guideline(*, by: User, version: GuidelineVersion, at: datetime | None = None) -> None:
    """As `acknowledge_version`, for a version reached by itself. Raises `not_published` for a draft."""
    at = at or timezone.now()
    if version.published_at is None:
        raise Refusal("not_published", "This version is a draft; only a published one is read and labeled by.")
    with transaction.atomic():
        _acknowledge(lock_member(by, version), version.pk, at)


def _acknowledge(member: Membership, version_id: int, at: datetime) -> None:
    _, created = Acknowledgement.objects.get_or_create(
        member=member, guideline_version_id=version_id, defaults={"at": at}
    )
    if created:
        record(event("read", ("guidelineversion", version_id), by=member.user, at=at, project_id=member.project_id))
