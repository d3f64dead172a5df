"""What the bench's queue reads: which cases, in which order, with their answers. No rater's name is loaded here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import (
    Case,
    Count,
    Exists,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Cast
from django.utils import timezone

from labeling.models import Annotation, Batch, Membership, Project
from labeling.queries.annotations import that_resolve
from labeling.selection import Selection, matching
from labeling.vocabulary import Cohort, Outcome

from ..models import Disagreement, Slice
from ..vocabulary import DisagreementStatus, value_key
from .slices import SliceFilter, items_in

WAITING = (DisagreementStatus.OPEN, DisagreementStatus.HELD)
UNRULED = (*WAITING, DisagreementStatus.DISCUSSING)
ORDERS = ("severity", "cluster")
STATUSES = ("waiting", "early", "discussing", "ruled", "dismissed")
CLUSTERS_RANKED = 50
COHORT_ORDER = tuple(Cohort.values)


@dataclass(frozen=True)
class QueueFilter:
    """Which cases, in which order. `pair`: a confusion, as its row has it; `metadata`: {field: value} of the item."""

    status: str = "waiting"
    kind: str = ""
    pair: str = ""
    cohort: str = ""
    slice: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    order: str = "severity"


@dataclass(frozen=True)
class CaseLine:
    """A case as a row of the queue: its row, and its answers as (cohort, label key; None for not enough information)."""

    case: Disagreement
    answers: tuple[tuple[str, str | None], ...]

    @property
    def split(self) -> tuple[int, ...]:
        """How many for each answer, the most first."""
        return tuple(sorted(Counter(key for _, key in self.answers).values(), reverse=True))


@dataclass(frozen=True)
class QueuePage:
    """A page of the queue; `after` is the case to go on behind, None at the end."""

    lines: list[CaseLine]
    after: UUID | None
    count: int


def queue_page(batch: Batch, wanted: QueueFilter, *, size: int, after: UUID | None = None) -> QueuePage:
    """A page of a batch's cases by keyset, with their answers; the same few queries for ten cases and for a thousand."""
    rows = _ordered(_filtered(batch, wanted), wanted, batch)
    inside = _members(batch.project, wanted)
    count = (
        rows.count()
        if inside is None
        else sum(pk in inside for pk in rows.values_list("batch_item__item_id", flat=True))
    )
    if after is not None:
        rows = _behind(rows, batch, wanted, after)
    rows = rows.select_related("batch_item__item", "holder__user")
    found: list[Disagreement] = []
    if inside is None:
        found = list(rows[: size + 1])
    else:
        for case in rows.iterator(chunk_size=500):
            if case.batch_item.item_id in inside:
                found.append(case)
                if len(found) > size:
                    break
    shown = found[:size]
    return QueuePage(lines_of(batch, shown), shown[-1].uuid if len(found) > size else None, count)


def _filtered(batch: Batch, wanted: QueueFilter) -> QuerySet[Disagreement]:
    rows = Disagreement.objects.filter(batch=batch)
    if wanted.status == "waiting":
        rows = rows.filter(status__in=WAITING, complete=True)
    elif wanted.status == "early":  # people are still answering
        rows = rows.filter(status__in=UNRULED, complete=False)
    else:
        rows = rows.filter(status=wanted.status)
    if wanted.kind:
        rows = rows.filter(kind=wanted.kind)
    if wanted.pair:
        rows = rows.filter(confusion=wanted.pair)
    if wanted.cohort:
        rows = rows.annotate(split_text=Cast("cohorts_split", TextField())).filter(
            split_text__contains=f'"{wanted.cohort}"'
        )
    if wanted.metadata:
        rows = rows.filter(
            batch_item__item__in=matching(batch.project, Selection(metadata=dict(wanted.metadata))).order_by()
        )
    if wanted.slice and (one := _slice(batch.project, wanted.slice)) is not None:
        given = SliceFilter.from_json(one.filter)
        if not given.ranges:
            chosen = matching(batch.project, Selection(metadata=dict(given.metadata or {}), tags=given.tags))
            rows = rows.filter(batch_item__item__in=chosen.order_by())
    return rows


def _slice(project: Project, key: str) -> Slice | None:
    return Slice.objects.filter(project=project, key=key).first()


def _members(project: Project, wanted: QueueFilter) -> set[int] | None:
    """Items of a slice that SQL cannot tell (ranges of numbers); None where it can."""
    one = _slice(project, wanted.slice) if wanted.slice else None
    if one is None:
        return None
    given = SliceFilter.from_json(one.filter)
    return set(items_in(project, given).tolist()) if given.ranges else None


def clusters(batch: Batch, *, status: str = "waiting") -> list[tuple[str, int]]:
    """(confusion, cases), the largest first: which labels are mixed up."""
    rows = (
        _filtered(batch, QueueFilter(status=status))
        .exclude(confusion="")
        .order_by()
        .values_list("confusion")
        .annotate(count=Count("pk"))
        .order_by("-count", "confusion")
    )
    return list(rows[:CLUSTERS_RANKED])


def _ordered(rows: QuerySet[Disagreement], wanted: QueueFilter, batch: Batch) -> QuerySet[Disagreement]:
    if wanted.order == "cluster" and not wanted.pair:
        ranked = [
            When(confusion=name, then=Value(at)) for at, (name, _) in enumerate(clusters(batch, status=wanted.status))
        ]
        rows = rows.annotate(
            cluster_rank=Case(*ranked, default=Value(CLUSTERS_RANKED), output_field=IntegerField())
            if ranked
            else Value(0, output_field=IntegerField())
        )
        return rows.order_by("cluster_rank", "confusion", "-distance", "-entropy", "id")
    return rows.order_by("-distance", "-entropy", "id")


def _behind(rows: QuerySet[Disagreement], batch: Batch, wanted: QueueFilter, after: UUID) -> QuerySet[Disagreement]:
    last = Disagreement.objects.filter(batch=batch, uuid=after).first()
    if last is None:
        return rows
    less_severe = (
        Q(distance__lt=last.distance)
        | Q(distance=last.distance, entropy__lt=last.entropy)
        | Q(distance=last.distance, entropy=last.entropy, id__gt=last.pk)
    )
    if wanted.order == "cluster" and not wanted.pair:
        ranks = {name: at for at, (name, _) in enumerate(clusters(batch, status=wanted.status))}
        rank = ranks.get(last.confusion, CLUSTERS_RANKED) if ranks else 0
        return rows.filter(
            Q(cluster_rank__gt=rank)
            | Q(cluster_rank=rank, confusion__gt=last.confusion)
            | Q(Q(cluster_rank=rank, confusion=last.confusion) & less_severe)
        )
    return rows.filter(less_severe)


def lines_of(batch: Batch, cases: Sequence[Disagreement]) -> list[CaseLine]:
    """Cases with their answers, for at most a page of them; one query."""
    ids = [case.batch_item_id for case in cases]
    said: dict[int, list[tuple[str, str | None]]] = {pk: [] for pk in ids}
    for batch_item_id, cohort, outcome, value in (
        that_resolve([batch])
        .filter(assignment__batch_item_id__in=ids[:500])
        .values_list("assignment__batch_item_id", "assignment__cohort", "outcome", "value")
    ):
        said[batch_item_id].append((cohort, None if outcome == Outcome.CANNOT_LABEL else value_key(value)))
    return [
        CaseLine(
            case,
            tuple(sorted(said[case.batch_item_id], key=lambda one: (COHORT_ORDER.index(one[0]), one[1] or "~"))),
        )
        for case in cases
    ]


def count_waiting(project_ids: Sequence[int]) -> dict[int, int]:
    """{project: its cases that wait for a ruling}, without those that have none: what the top bar says."""
    cases = Disagreement.objects.filter(batch__project__in=project_ids, status__in=UNRULED, complete=True)
    rows = cases.order_by().values("batch__project").annotate(count=Count("pk"))
    return dict(rows.values_list("batch__project", "count"))


@dataclass(frozen=True)
class BatchCount:
    """A batch with cases: how many wait, are still being answered, discussed, ruled on, or agree by now."""

    batch: Batch
    waiting: int
    early: int
    discussing: int
    ruled: int
    dismissed: int


def batches_with_cases(project: Project) -> list[BatchCount]:
    """The project's batches that have cases, the newest first; two queries."""
    counts: dict[int, Counter[str]] = {}
    rows = (
        Disagreement.objects.filter(batch__project=project)
        .order_by()
        .values_list("batch_id", "status", "complete")
        .annotate(count=Count("pk"))
    )
    for batch_id, status, complete, count in rows:
        early = status in UNRULED and not complete
        counts.setdefault(batch_id, Counter())["early" if early else status] += count
    batches = Batch.objects.filter(project=project, disagreements__isnull=False).distinct()
    return [
        BatchCount(
            batch,
            sum(counts[batch.pk][status] for status in WAITING),
            counts[batch.pk]["early"],
            counts[batch.pk][DisagreementStatus.DISCUSSING],
            counts[batch.pk][DisagreementStatus.RULED],
            counts[batch.pk][DisagreementStatus.DISMISSED],
        )
        for batch in batches.select_related("guideline_version", "project").order_by("-pk")
        if batch.pk in counts
    ]


def next_case(
    batch: Batch, wanted: QueueFilter, *, after: Disagreement | None, member: Membership
) -> Disagreement | None:
    """The next case that the member could take: free, answered by everyone, and not an item they rated."""
    rows = _ordered(_filtered(batch, wanted), wanted, batch).filter(complete=True)
    now = timezone.now()
    rows = rows.exclude(Q(status=DisagreementStatus.HELD, hold_until__gte=now) & ~Q(holder=member))
    rated = Annotation.objects.filter(
        assignment__member=member, assignment__batch_item__item=OuterRef("batch_item__item")
    )
    rows = rows.filter(~Exists(rated))
    if after is not None:
        following = _behind(rows, batch, wanted, after.uuid).first()
        if following is not None:
            return following
        rows = rows.exclude(pk=after.pk)
    return rows.first()
