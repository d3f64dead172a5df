"""What a relabel batch holds and how far it is; what relabeling under a new version would take."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.db.models import Count, Exists, OuterRef, QuerySet

from labeling.models import Annotation, Assignment, Batch, BatchItem, GuidelineVersion, Item
from labeling.queries.annotations import that_measure
from labeling.queries.relabeling import count_gone, quotas_of, raters_of
from labeling.selection import shown_as_examples
from labeling.vocabulary import BatchKind, BatchStatus, Cohort, ItemRole, PlaceOrigin, PlaceStatus, VersionStatus

from ..models import Disagreement
from ..vocabulary import DisagreementKind, DisagreementStatus

COMPARED = (BatchKind.LABEL, BatchKind.RELABEL, BatchKind.IMPORT)
SECONDS_READ = 5000
UNFINISHED = (PlaceStatus.OPEN, PlaceStatus.CLAIMED)


# ------------------------------------------------------------------------------------------------ how far it is


@dataclass(frozen=True)
class Progress:
    """How far a relabel batch is.

    unfinished: ids of items that someone who has begun still has to label; waiting: places that are open or in hand.
    never_came: members for whom places were kept and who labeled none of them; cohorts_never_came: cohorts without a
    single answer.
    """

    items: int
    unfinished: frozenset[int]
    waiting: int
    never_came: tuple[int, ...]
    cohorts_never_came: tuple[str, ...]

    @property
    def done(self) -> int:
        """Items that everyone who has begun is through with."""
        return self.items - len(self.unfinished)

    @property
    def complete(self) -> bool:
        """Nobody will label here any more: every place is answered, or the batch was closed over the rest."""
        return self.items > 0 and not self.waiting


def progress_of(batch: Batch) -> Progress:
    """How far a batch is. Who has not begun makes no item unfinished: what the others did can be compared."""
    places = Assignment.objects.filter(batch=batch)
    answered = places.filter(status=PlaceStatus.SUBMITTED).order_by()
    begun = set(answered.values_list("member_id", flat=True).distinct())
    cohorts = set(answered.values_list("cohort", flat=True).distinct())
    unfinished: set[int] = set()
    never: set[int] = set()
    missing: set[str] = set()
    waiting = 0
    rows = places.filter(status__in=(*UNFINISHED, PlaceStatus.VOID)).order_by()
    for item, cohort, reserved, status in rows.values_list(
        "batch_item__item_id", "cohort", "reserved_for_id", "status"
    ).iterator():
        open_now = status in UNFINISHED
        waiting += open_now
        if reserved is not None and reserved not in begun:
            never.add(reserved)
        elif open_now and (reserved is not None or cohort in cohorts):
            unfinished.add(item)
        if cohort not in cohorts:
            missing.add(cohort)
    items = BatchItem.objects.filter(batch=batch)
    if not begun:
        unfinished = set(items.values_list("item_id", flat=True))
    came = tuple(cohort for cohort in Cohort.values if cohort in missing)
    return Progress(items.count(), frozenset(unfinished), waiting, tuple(sorted(never)), came)


def covers_whole(parent: Batch, child: Batch) -> bool:
    """Whether every item of the earlier batch is in the later one, but for withdrawn ones and examples."""
    again = BatchItem.objects.filter(batch=child, item=OuterRef("item"))
    left = (
        BatchItem.objects.filter(batch=parent, item__withdrawn_at__isnull=True)
        .exclude(item__in=shown_as_examples(child.guideline_version_id))
        .filter(~Exists(again))
    )
    return not left.exists() and BatchItem.objects.filter(batch=child).exclude(role=ItemRole.FRESH).exists()


# ------------------------------------------------------------------------------------------------ the offer


@dataclass(frozen=True)
class CohortLoad:
    """A cohort's share of a relabel batch: labels, what they cost, how long they take."""

    cohort: str
    raters: int
    per_item: float
    cost_per_label: Decimal | None
    seconds: float | None
    cap: int | None

    def labels(self, items: int) -> int:
        return round(self.per_item * items)

    def cost(self, items: int) -> Decimal | None:
        return None if self.cost_per_label is None else self.cost_per_label * self.labels(items)

    def hours(self, items: int) -> float | None:
        """Hours of one rater of the cohort."""
        if self.seconds is None or not self.raters:
            return None
        return self.labels(items) * self.seconds / self.raters / 3600

    def days(self, items: int) -> int | None:
        """Days at the members' daily limits; None without limits."""
        if not self.cap or not self.raters:
            return None
        return -(-self.labels(items) // (self.raters * self.cap))


@dataclass(frozen=True)
class Offer:
    """What relabeling a batch under a version could hold.

    affected: disputed or ruled items; untouched: those nobody disputed or ruled; rest: items that are neither (audit
    cases); fresh: items in no batch. Examples of the version are in none of them.
    """

    parent: Batch
    version: GuidelineVersion
    affected: tuple[int, ...]
    untouched: tuple[int, ...]
    rest: tuple[int, ...]
    fresh: int
    examples: int
    gone: int
    loads: tuple[CohortLoad, ...]
    raters: int = 0
    children: tuple[Batch, ...] = field(default=())

    @property
    def items(self) -> int:
        return len(self.affected) + len(self.untouched) + len(self.rest)


def parents_for(version: GuidelineVersion) -> QuerySet[Batch]:
    """Batches of earlier versions with answers, the likeliest to be labeled again first."""
    answered = Assignment.objects.filter(batch=OuterRef("pk"), status=PlaceStatus.SUBMITTED)
    return (
        Batch.objects.filter(project=version.project_id, kind__in=COMPARED)
        .filter(status__in=(BatchStatus.OPEN, BatchStatus.CLOSED))
        .exclude(guideline_version=version)
        .filter(Exists(answered))
        .select_related("project", "guideline_version")
        .order_by("-guideline_version__number", "-pk")
    )


def offer_for(parent: Batch, version: GuidelineVersion) -> Offer:
    """What could be labeled again; the number of queries does not grow with the items."""
    examples = set(shown_as_examples(version.pk).values_list("item_id", flat=True))
    rows = BatchItem.objects.filter(batch=parent, item__withdrawn_at__isnull=True).order_by("rank")
    items = list(rows.values_list("item_id", flat=True))
    disputed: dict[int, tuple[str, str]] = {
        item: (kind, status)
        for item, kind, status in Disagreement.objects.filter(batch=parent).values_list(
            "batch_item__item_id", "kind", "status"
        )
    }
    affected: list[int] = []
    untouched: list[int] = []
    rest: list[int] = []
    for item in items:
        if item in examples:
            continue
        if item not in disputed:
            untouched.append(item)
            continue
        kind, status = disputed[item]
        live = kind != DisagreementKind.AUDIT and status != DisagreementStatus.DISMISSED
        (affected if live else rest).append(item)
    return Offer(
        parent=parent,
        version=version,
        affected=tuple(affected),
        untouched=tuple(untouched),
        rest=tuple(rest),
        fresh=fresh_items(version).count(),
        examples=sum(item in examples for item in items),
        gone=count_gone(parent),
        loads=tuple(_loads(parent, len(items))),
        raters=len(raters_of(parent)),
        children=tuple(
            Batch.objects.filter(parent=parent, guideline_version=version, kind=BatchKind.RELABEL).order_by("pk")
        ),
    )


def fresh_items(version: GuidelineVersion) -> QuerySet[Item]:
    """Items of the project that are in no batch and are no example of the version or of another published one."""
    taken = BatchItem.objects.filter(item=OuterRef("pk"))
    shown = GuidelineVersion.objects.filter(project=version.project_id, labels__examples__item=OuterRef("pk")).exclude(
        status=VersionStatus.DRAFT
    )
    return (
        Item.objects.available()
        .filter(project=version.project_id)
        .filter(~Exists(taken), ~Exists(shown))
        .exclude(pk__in=shown_as_examples(version.pk))
        .order_by("pk")
    )


def _loads(parent: Batch, items: int) -> list[CohortLoad]:
    raters = raters_of(parent)
    quotas = quotas_of(parent)
    counts = dict(
        Assignment.objects.filter(batch=parent, status=PlaceStatus.SUBMITTED)
        .exclude(origin=PlaceOrigin.EXTRA)
        .order_by()
        .values_list("cohort")
        .annotate(n=Count("pk"))
    )
    loads = []
    for cohort in Cohort.values:
        mine = [rater for rater in raters if rater.cohort == cohort]
        if cohort not in counts and cohort not in quotas:
            continue
        costs = [rater.cost_per_label for rater in mine if rater.cost_per_label is not None]
        caps = [rater.daily_cap for rater in mine if rater.daily_cap]
        loads.append(
            CohortLoad(
                cohort=cohort,
                raters=len(mine),
                per_item=counts.get(cohort, 0) / items if items else 0.0,
                cost_per_label=sum(costs, Decimal(0)) / len(costs) if costs else None,
                seconds=_median_seconds(that_measure([parent]).filter(assignment__cohort=cohort)),
                cap=min(caps) if caps else None,
            )
        )
    return loads


def _median_seconds(rows: QuerySet[Annotation]) -> float | None:
    """The median time of an answer, of the first few thousand."""
    read = rows.filter(seconds__isnull=False).order_by().values_list("seconds", flat=True)[:SECONDS_READ]
    found: Sequence[float] = [seconds for seconds in read if seconds is not None]
    return statistics.median(found) if found else None
