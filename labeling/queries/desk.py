"""What a rater's desk reads: their own counts, answers and replies. Nothing here reads another rater's answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.core.cache import cache
from django.db.models import Count, Exists, FilteredRelation, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from ..db.compiled import Rows, Values, moment, whole
from ..db.compiled import uuid as given_uuid
from ..models import (
    Annotation,
    Assignment,
    Batch,
    BatchItem,
    GuidelineVersion,
    LabelDefinition,
    Membership,
    Question,
    Quota,
)
from ..vocabulary import BatchKind, BatchStatus, PlaceStatus
from .open_places import count_open_places


def batch_for_desk(uuid: UUID) -> Batch | None:
    """The batch with its project and guideline version, but for the version's text, which no label needs."""
    return BATCH.first(uuid=uuid)


BATCH = Rows(
    lambda: (
        Batch.objects.select_related("project", "guideline_version")
        .defer("selection", "guideline_version__body")
        .filter(uuid=given_uuid("uuid"))
        .order_by()
    )
)


@dataclass(frozen=True)
class OwnCounts:
    """A rater's places in a batch: answered, and all they ever had there that are still theirs (skipped included)."""

    answered: int
    all: int


@dataclass(frozen=True)
class Standing:
    """Where a rater stands: answered and passed on in the batch, how many items it has, answered today in all batches."""

    answered: int
    skipped: int
    items: int
    today: int


# A tally ends so long ago, because no transaction that writes an answer takes so long: what it counted stays as it is.
TALLY_BEFORE = timedelta(seconds=45)
# A new one is made when so many answers came since the last, and so much time went by.
TALLY_AFTER = 300
TALLY_STEP = timedelta(seconds=15)
TALLY_KEPT_SECONDS = 60 * 60
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Tally:
    """What a rater had answered before a moment: submitted places never change, so it need not be counted again."""

    until: datetime
    answered: int
    midnight: datetime
    today: int


def _highest_rank() -> Subquery:
    return Subquery(BatchItem.objects.filter(batch=whole("batch")).order_by("-rank").values("rank")[:1])


def _passed_on() -> Subquery:
    skipped = Assignment.objects.filter(batch=whole("batch"), member=whole("member"), status=PlaceStatus.SKIPPED)
    return Subquery(skipped.order_by().values("member").annotate(count=Count("pk")).values("count"))


# Joined to the member, so that there is a row without any answer too.
STANDING = Values(
    lambda: (
        Membership.objects.filter(pk=whole("member"))
        .annotate(
            answer=FilteredRelation(
                "assignments",
                condition=Q(assignments__status=PlaceStatus.SUBMITTED, assignments__finished_at__gte=moment("since")),
            )
        )
        .values("pk")
        .annotate(
            answered=Count("answer", filter=Q(answer__batch=whole("batch"))),
            today=Count("answer", filter=Q(answer__finished_at__gte=moment("midnight"))),
            skipped=Coalesce(_passed_on(), 0),
            items=Coalesce(_highest_rank() + 1, 0),
        )
        .order_by()
        .values_list("answered", "today", "skipped", "items")
    )
)
BEFORE = Values(
    lambda: (
        Assignment.objects.filter(
            member=whole("member"),
            status=PlaceStatus.SUBMITTED,
            finished_at__gte=moment("since"),
            finished_at__lt=moment("until"),
        )
        .order_by()
        .values("member")
        .annotate(
            answered=Count("pk", filter=Q(batch=whole("batch"))),
            today=Count("pk", filter=Q(finished_at__gte=moment("midnight"))),
        )
        .values_list("answered", "today")
    )
)


def standing(member: Membership, batch: Batch, at: datetime, midnight: datetime) -> Standing:
    """Where the rater stands: one query, and once in some hundred answers another."""
    key = f"tally:{member.uuid}:{batch.uuid}"
    tally: _Tally | None = cache.get(key)
    # A clock that was put back would leave answers out that lie before the tally's end.
    if tally is None or tally.until > at or tally.midnight != midnight:
        tally = _Tally(LONG_AGO, 0, midnight, 0)
    given = {"member": member.pk, "batch": batch.pk, "since": tally.until, "midnight": midnight}
    answered, today, skipped, items = STANDING.run(**given)[0]
    until = at - TALLY_BEFORE
    if max(answered, today) > TALLY_AFTER and until - tally.until > TALLY_STEP:
        rows = BEFORE.run(**given, until=until)
        earlier, earlier_today = rows[0] if rows else (0, 0)
        kept = _Tally(until, tally.answered + earlier, midnight, tally.today + earlier_today)
        cache.set(key, kept, TALLY_KEPT_SECONDS)
    return Standing(tally.answered + answered, skipped, items, tally.today + today)


def own_counts(member: Membership, batch: Batch) -> OwnCounts:
    """One query over the rater's own places."""
    counts = Assignment.objects.filter(batch=batch, member=member).aggregate(
        answered=Count("pk", filter=Q(status=PlaceStatus.SUBMITTED)), all=Count("pk")
    )
    return OwnCounts(**counts)


def items_left(member: Membership, batch: Batch, own: Standing, held: int) -> int:
    """How many items may still come to the rater, at most: items not theirs yet, and places still open for them."""
    if batch.status != BatchStatus.OPEN or member.cohort is None:
        return 0
    places = count_open_places([(batch, member.cohort)])
    open_for_me = places.get((batch.pk, None), 0) + places.get((batch.pk, member.pk), 0)
    return max(0, min(own.items - own.answered - own.skipped - held, open_for_me))


def next_batch(members: Iterable[Membership], exclude: Batch) -> Batch | None:
    """The next open batch, other than `exclude`, that has something to do: by membership as given, then by priority."""
    for member in members:
        if member.cohort is None:
            continue
        mine = Assignment.objects.filter(batch_item=OuterRef("batch_item"), member=member)
        waiting = Assignment.objects.filter(
            Q(reserved_for__isnull=True) | Q(reserved_for=member),
            ~Exists(mine),
            batch=OuterRef("pk"),
            cohort=member.cohort,
            status=PlaceStatus.OPEN,
            not_before__isnull=True,
        )
        held = Assignment.objects.filter(batch=OuterRef("pk"), member=member, status=PlaceStatus.CLAIMED)
        found = (
            Batch.objects.filter(project=member.project_id, status=BatchStatus.OPEN)
            .exclude(pk=exclude.pk)
            .filter(Exists(Quota.objects.filter(batch=OuterRef("pk"), cohort=member.cohort)))
            .filter(Exists(waiting) | Exists(held))
            .select_related("project", "guideline_version")
            .order_by("-priority", "id")
            .first()
        )
        if found is not None:
            return found
    return None


@dataclass(frozen=True)
class OwnAnswer:
    """One of the rater's own answers: the place, the annotation in force, and whether it may still be changed."""

    place: Assignment
    annotation: Annotation
    editable: bool


def latest_annotations(places: Iterable[Assignment]) -> dict[int, Annotation]:
    """{place id: its annotation of the highest revision}, for at most a page of places."""
    newest: dict[int, Annotation] = {}
    for annotation in Annotation.objects.filter(assignment__in=[place.pk for place in places]).order_by("revision"):
        newest[annotation.assignment_id] = annotation
    return newest


def put_away(member: Membership) -> Exists:
    """Condition on places: the member has the same item to label again now, so their old answer is not shown to them."""
    again = Assignment.objects.filter(
        batch_item__item=OuterRef("batch_item__item"),
        reserved_for=member,
        batch__kind=BatchKind.RELABEL,
        status__in=(PlaceStatus.OPEN, PlaceStatus.CLAIMED),
    ).exclude(batch=OuterRef("batch"))
    return Exists(again)


def count_put_away(member: Membership, batch: Batch) -> int:
    """How many of the member's answers in the batch are put away while they label those items again."""
    mine = Assignment.objects.filter(batch=batch, member=member, status=PlaceStatus.SUBMITTED)
    return mine.filter(put_away(member)).count()


def own_answers(
    member: Membership, batch: Batch, *, size: int, before: tuple[datetime, int] | None = None
) -> tuple[list[OwnAnswer], bool]:
    """A page of the rater's answers in the batch, newest first, and whether older ones follow; two queries.

    Without those of items they have to label again now: relabeling is blind to the old answers.
    `before`: (finished_at, place id) of the last row of the page before.
    """
    places: QuerySet[Assignment] = Assignment.objects.filter(
        ~put_away(member), batch=batch, member=member, status=PlaceStatus.SUBMITTED
    )
    if before is not None:
        at, pk = before
        places = places.filter(Q(finished_at__lt=at) | Q(finished_at=at, pk__lt=pk))
    rows = list(places.select_related("batch_item__item").order_by("-finished_at", "-pk")[: size + 1])
    newest = latest_annotations(rows[:size])
    is_open = batch.status == BatchStatus.OPEN
    answers = [
        OwnAnswer(place, newest[place.pk], is_open and place.batch_item.ruled_at is None) for place in rows[:size]
    ]
    return answers, len(rows) > size


def last_answer(member: Membership, batch: Batch) -> Assignment | None:
    """The rater's latest finished place in the batch, answered or skipped: what undo brings back."""
    return (
        Assignment.objects.filter(batch=batch, member=member, status__in=(PlaceStatus.SUBMITTED, PlaceStatus.SKIPPED))
        .order_by("-finished_at", "-pk")
        .first()
    )


def new_replies(member: Membership, batch: Batch, since: datetime | None) -> list[Question]:
    """Answered questions of the rater in the batch that they have not read, or read after `since`."""
    unread = Q(seen_at__isnull=True)
    if since is not None:
        unread |= Q(seen_at__gt=since)
    return list(
        Question.objects.filter(unread, by=member, batch_item__batch=batch, answered_at__isnull=False)
        .select_related("answered_by")
        .order_by("answered_at")[:20]
    )


def own_answer(member: Membership, batch: Batch, assignment: UUID) -> OwnAnswer | None:
    """The rater's answer at that place; None when the place is not theirs, has no answer yet, or is put away."""
    place = (
        Assignment.objects.select_related("batch_item__item")
        .filter(~put_away(member), batch=batch, member=member, uuid=assignment, status=PlaceStatus.SUBMITTED)
        .first()
    )
    if place is None:
        return None
    editable = batch.status == BatchStatus.OPEN and place.batch_item.ruled_at is None
    return OwnAnswer(place, latest_annotations([place])[place.pk], editable)


def shown_at(user_id: int, batch: Batch, assignment: UUID) -> datetime | None:
    """When the person's place came on their screen; None when it is not theirs or was never shown."""
    return (
        Assignment.objects.filter(batch=batch, member__user=user_id, uuid=assignment)
        .values_list("shown_at", flat=True)
        .first()
    )


def label_names(version: GuidelineVersion) -> dict[str, str]:
    """{label key: its name} under a version."""
    return dict(LabelDefinition.objects.filter(version=version).values_list("key", "name"))
