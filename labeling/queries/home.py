"""What a person finds on their first page: their batches with the reason for their state, and what projects wait for."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from statistics import median
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery

from ..models import (
    Acknowledgement,
    Annotation,
    Assignment,
    Batch,
    BatchItem,
    GuidelineVersion,
    Item,
    Membership,
    Project,
    Question,
    User,
)
from ..vocabulary import BatchStatus, PlaceStatus, Role, VersionStatus
from .open_places import count_open_places

MOST_BATCHES = 50
CLOSED_FOR = timedelta(days=14)
ANSWERED_FOR = timedelta(days=14)
ENOUGH_FOR_A_PACE = 10


def seats_of(user: User) -> list[Membership]:
    """The person's active memberships with their projects: projects in use first, by name."""
    rows = Membership.objects.filter(user=user, active=True).select_related("project", "user")
    return sorted(rows, key=lambda seat: (seat.project.archived_at is not None, seat.project.name.casefold(), seat.pk))


# --- a rater's batches ----------------------------------------------------------------------------
@dataclass(frozen=True)
class OwnBatch:
    """A batch as one rater stands in it.

    `state`: open, unread, cap, later, waiting, done, opening or closed; the first two can be worked on now.
    `left` is how many items may still come, at most. `others_wait`: places of others are still open.
    """

    batch: Batch
    member: Membership
    done: int
    left: int
    state: str
    opens_at: datetime | None = None
    others_wait: bool = False

    @property
    def total(self) -> int:
        return self.done + self.left

    @property
    def workable(self) -> bool:
        return self.state in ("open", "unread")


def own_batches(
    seats: Sequence[Membership], at: datetime, done_today: Mapping[int, int], *, most: int = MOST_BATCHES
) -> list[OwnBatch]:
    """The batches that ask for the person's cohort, by priority; at most six queries, however many there are.

    `done_today` as from `count_today`. Batches closed within the last fortnight follow when the person answered there.
    """
    members = {seat.project_id: seat for seat in seats if seat.cohort is not None and seat.project.archived_at is None}
    if not members:
        return []
    user_id = next(iter(members.values())).user_id
    batches: list[Any] = [batch for batch in _batches_for(user_id, at)[:most] if batch.project_id in members]
    counts = _own_counts(user_id, batches)
    places = count_open_places([(batch, str(members[batch.project_id].cohort)) for batch in batches])
    in_hand: dict[int, int] = {}
    for answered_held in counts.values():
        in_hand[answered_held.member] = in_hand.get(answered_held.member, 0) + answered_held.held
    stuck = [batch for batch in batches if batch.status == BatchStatus.OPEN and not batch.can_claim]
    reasons = _why_stuck(stuck, user_id, at)
    rows = []
    for batch in batches:
        member = members[batch.project_id]
        own = counts.get(batch.pk, _Counts(member.pk))
        state, opens_at, others = _state_of(batch, member, own, at, done_today, in_hand.get(member.pk, 0), reasons)
        left = own.held
        if batch.status == BatchStatus.OPEN and (batch.can_claim or state == "later"):
            items = 0 if batch.highest_rank is None else batch.highest_rank + 1
            open_for_me = places.get((batch.pk, None), 0) + places.get((batch.pk, member.pk), 0)
            left += max(0, min(items - own.all, open_for_me))
        rows.append(OwnBatch(batch, member, own.answered, left, state, opens_at, others))
    return rows


@dataclass(frozen=True)
class _Counts:
    member: int
    answered: int = 0
    held: int = 0
    all: int = 0


def _mine(user_id: int) -> QuerySet[Assignment]:
    return Assignment.objects.filter(batch_item=OuterRef("batch_item"), member__user=user_id)


def _batches_for(user_id: int, at: datetime) -> QuerySet[Batch]:
    """Batches with a quota for the cohort the person has in the batch's project."""
    claimable = Assignment.objects.filter(
        Q(reserved_for__isnull=True) | Q(reserved_for__user=user_id),
        Q(not_before__isnull=True) | Q(not_before__lte=at),
        ~Exists(_mine(user_id)),
        batch=OuterRef("pk"),
        cohort=OuterRef("quotas__cohort"),
        status=PlaceStatus.OPEN,
    )
    took_part = Assignment.objects.filter(
        batch=OuterRef("pk"), member__user=user_id, status__in=(PlaceStatus.SUBMITTED, PlaceStatus.CLAIMED)
    )
    ranks = BatchItem.objects.filter(batch=OuterRef("pk")).order_by("-rank").values("rank")[:1]
    read = Acknowledgement.objects.filter(member__user=user_id, guideline_version=OuterRef("guideline_version"))
    return (
        Batch.objects.filter(
            project__memberships__user=user_id,
            project__memberships__active=True,
            project__memberships__cohort=F("quotas__cohort"),
            project__archived_at__isnull=True,
        )
        .filter(
            Q(status__in=(BatchStatus.OPEN, BatchStatus.OPENING))
            | Q(status=BatchStatus.CLOSED, closed_at__gt=at - CLOSED_FOR) & Exists(took_part)
        )
        .annotate(can_claim=Exists(claimable), highest_rank=Subquery(ranks), read_at=Subquery(read.values("at")[:1]))
        .select_related("project", "guideline_version")
        .order_by(F("closed_at").desc(nulls_first=True), "-priority", "id")
    )


def _own_counts(user_id: int, batches: Sequence[Batch]) -> dict[int, _Counts]:
    rows = (
        Assignment.objects.filter(batch__in=[batch.pk for batch in batches], member__user=user_id)
        .values_list("batch_id", "member_id")
        .annotate(
            answered=Count("pk", filter=Q(status=PlaceStatus.SUBMITTED)),
            held=Count("pk", filter=Q(status=PlaceStatus.CLAIMED)),
            all=Count("pk"),
        )
    )
    return {batch: _Counts(member, answered, held, count) for batch, member, answered, held, count in rows}


@dataclass(frozen=True)
class _Stuck:
    later: datetime | None
    in_other_hands: bool
    others_wait: bool


def _why_stuck(batches: Sequence[Batch], user_id: int, at: datetime) -> dict[int, _Stuck]:
    """For open batches where nothing can be claimed now: what is still to come."""
    if not batches:
        return {}
    of_batch = Assignment.objects.filter(batch=OuterRef("pk"))
    of_cohort = of_batch.filter(~Exists(_mine(user_id)), cohort=OuterRef("quotas__cohort"))
    later = of_cohort.filter(
        Q(reserved_for__isnull=True) | Q(reserved_for__user=user_id), status=PlaceStatus.OPEN, not_before__gt=at
    )
    rows = Batch.objects.filter(
        pk__in=[batch.pk for batch in batches],
        project__memberships__user=user_id,
        project__memberships__cohort=F("quotas__cohort"),
    ).values_list(
        "pk",
        Subquery(later.order_by("not_before").values("not_before")[:1]),
        Exists(of_cohort.filter(status=PlaceStatus.CLAIMED)),
        Exists(of_batch.filter(status__in=(PlaceStatus.OPEN, PlaceStatus.CLAIMED)).exclude(member__user=user_id)),
    )
    return {pk: _Stuck(*reasons) for pk, *reasons in rows}


def _state_of(
    batch: Any,  # a Batch with the annotations of `_batches_for`
    member: Membership,
    own: _Counts,
    at: datetime,
    done_today: Mapping[int, int],
    in_hand: int,
    reasons: Mapping[int, _Stuck],
) -> tuple[str, datetime | None, bool]:
    """(state, when it opens, whether others still have places), as `claim_next` would answer."""
    if batch.status == BatchStatus.OPENING:
        return "opening", None, False
    if batch.status == BatchStatus.CLOSED:
        return ("open" if own.held else "closed"), None, False
    if own.held or batch.can_claim:
        if batch.read_at is None:
            return "unread", None, False
        capped = member.daily_cap is not None and done_today.get(member.pk, 0) + in_hand >= member.daily_cap
        return ("cap" if capped and not own.held else "open"), None, False
    stuck = reasons.get(batch.pk, _Stuck(None, False, False))
    if stuck.later is not None:
        return "later", stuck.later, True
    return ("waiting" if stuck.in_other_hands else "done"), None, stuck.others_wait


def count_today(seats: Iterable[Membership], midnights: Mapping[str, datetime]) -> dict[int, int]:
    """{membership id: places submitted since its project's midnight}; `midnights` by time zone. One query."""
    by_zone: dict[str, list[int]] = {}
    for seat in seats:
        if seat.cohort is not None:
            by_zone.setdefault(seat.project.time_zone, []).append(seat.pk)
    if not by_zone:
        return {}
    which = reduce(operator.or_, (Q(member__in=ids, finished_at__gte=midnights[zone]) for zone, ids in by_zone.items()))
    rows = Assignment.objects.filter(which, status=PlaceStatus.SUBMITTED).values_list("member_id")
    return dict(rows.annotate(count=Count("pk")))


def seconds_per_item(member: Membership, batch: Batch) -> float | None:
    """Median seconds of the rater's last 50 answers in the batch; None below ten of them."""
    answers = Annotation.objects.filter(assignment__member=member, assignment__batch=batch, revision=1)
    latest = answers.order_by("-assignment__claimed_at").values_list("seconds", flat=True)[:50]
    seconds = [spent for spent in latest if spent is not None]
    return median(seconds) if len(seconds) >= ENOUGH_FOR_A_PACE else None


def recent_replies(user: User, at: datetime, most: int = 3) -> list[Question]:
    """The person's questions that were answered within the last fortnight, newest first."""
    return list(
        Question.objects.filter(by__user=user, answered_at__gt=at - ANSWERED_FOR)
        .select_related("answered_by", "batch_item__batch")
        .order_by("-answered_at")[:most]
    )


# --- projects and what they wait for --------------------------------------------------------------
@dataclass
class ProjectFacts:
    """What stands in a project: enough to say what comes next."""

    has_items: bool = False
    published: int | None = None  # number of the newest published version
    draft: int | None = None
    raters: dict[str, int] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)


def facts_of(project_ids: Sequence[int]) -> dict[int, ProjectFacts]:
    """{project: its facts}, for one page of projects; four queries."""
    facts = {pk: ProjectFacts() for pk in project_ids}
    items = Item.objects.available().filter(project=OuterRef("pk"))
    for pk, has_items in Project.objects.filter(pk__in=project_ids).values_list("pk", Exists(items)):
        facts[pk].has_items = has_items
    versions = GuidelineVersion.objects.filter(project__in=project_ids).order_by("number")
    for pk, number, status in versions.values_list("project_id", "number", "status"):
        if status == VersionStatus.DRAFT:
            facts[pk].draft = number
        elif status == VersionStatus.PUBLISHED:
            facts[pk].published = number
    people = Membership.objects.filter(project__in=project_ids, active=True, cohort__isnull=False)
    for pk, cohort, count in people.values_list("project_id", "cohort").annotate(count=Count("pk")).order_by():
        facts[pk].raters[cohort] = count
    batches = Batch.objects.filter(project__in=project_ids)
    for pk, status, count in batches.values_list("project_id", "status").annotate(count=Count("pk")).order_by():
        facts[pk].batches[status] = count
    return facts


def setup_seats(seats: Iterable[Membership]) -> list[Membership]:
    """The seats from which a project is set up, answered or read: every role but rater."""
    return [seat for seat in seats if seat.role != Role.RATER]
