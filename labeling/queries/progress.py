"""How far a batch is: derived from its places each time, never stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.cache import cache
from django.db.models import Avg, Count, Exists, Max, Min, OuterRef, Q, QuerySet

from ..models import Acknowledgement, Assignment, Batch, BatchItem, Item, ItemTag, Job, Membership, Project, Quota
from ..vocabulary import Cohort, JobStatus, PlaceStatus

# A figure that took a walk over this many places may be as old as this.
WALK_IS_LONG = 20_000
WALK_AGE_SECONDS = 20


@dataclass(frozen=True)
class CohortProgress:
    """A cohort's places in a batch; `raters` is 0 where the batch has no quota for it (imported labels).

    `wanted` is items × overlap. `done`, `in_hand` and `open` count places; `skipped` places have their replacement
    among them. `short_items` are finished with fewer answers than the overlap.
    """

    cohort: str
    raters: int
    max_raters: int | None
    wanted: int
    done: int
    in_hand: int
    open: int
    skipped: int
    void: int
    short_items: int

    @property
    def total(self) -> int:
        """Answers that are there or may still come."""
        return self.done + self.in_hand + self.open


@dataclass(frozen=True)
class RaterProgress:
    """One member's places in a batch."""

    member: Membership
    done: int
    in_hand: int
    skipped: int
    last_at: datetime | None


def count_items(batch: Batch) -> int:
    """Items of the batch. Ranks are given without gaps, so the highest tells; one look into an index."""
    highest: int | None = BatchItem.objects.filter(batch=batch).aggregate(highest=Max("rank"))["highest"]
    return 0 if highest is None else highest + 1


def cohort_progress(batch: Batch, quotas: Sequence[Quota] | None = None) -> list[CohortProgress]:
    """One row per cohort with a quota or places, in the cohorts' fixed order. Queries do not grow with items, places or raters."""
    quotas = list(batch.quotas.all()) if quotas is None else quotas
    counts: dict[str, dict[str, int]] = {}
    rows = Assignment.objects.filter(batch=batch).order_by().values_list("cohort", "status").annotate(n=Count("pk"))
    for cohort, status, number in rows:
        counts.setdefault(cohort, {})[status] = number
    items = count_items(batch) if counts else 0
    by_cohort = {quota.cohort: quota for quota in quotas}
    result = []
    for cohort in Cohort.values:
        quota, own = by_cohort.get(cohort), counts.get(cohort, {})
        if quota is None and not own:
            continue
        # Only where places were skipped or voided can an item be short: else the walk is spared.
        given_up = own.get(PlaceStatus.SKIPPED, 0) + own.get(PlaceStatus.VOID, 0)
        result.append(
            CohortProgress(
                cohort=cohort,
                raters=quota.raters if quota else 0,
                max_raters=quota.max_raters if quota else None,
                wanted=items * quota.raters if quota else 0,
                done=own.get(PlaceStatus.SUBMITTED, 0),
                in_hand=own.get(PlaceStatus.CLAIMED, 0),
                open=own.get(PlaceStatus.OPEN, 0),
                skipped=own.get(PlaceStatus.SKIPPED, 0),
                void=own.get(PlaceStatus.VOID, 0),
                short_items=_count_short(batch, quota, sum(own.values())) if quota and given_up else 0,
            )
        )
    return result


def short_items(batch: Batch, quota: Quota) -> QuerySet[Assignment, Any]:
    """Rows {batch_item, answers} of items that are settled for the cohort with fewer answers than its overlap."""
    unfinished = Q(status__in=(PlaceStatus.OPEN, PlaceStatus.CLAIMED))
    return (
        Assignment.objects.filter(batch=batch, cohort=quota.cohort)
        .order_by()
        .values("batch_item")
        .annotate(
            unfinished=Count("pk", filter=unfinished), answers=Count("pk", filter=Q(status=PlaceStatus.SUBMITTED))
        )
        .filter(unfinished=0, answers__lt=quota.raters)
    )


def _count_short(batch: Batch, quota: Quota, places: int) -> int:
    return _remembered(f"short:{batch.uuid}:{quota.cohort}:{quota.raters}", places, short_items(batch, quota).count)


def _remembered(key: str, places: int, read: Any) -> Any:
    """What `read` returns; for a long walk an answer of the last seconds will do."""
    if places < WALK_IS_LONG:
        return read()
    value = cache.get(key)
    if value is None:
        value = read()
        cache.set(key, value, WALK_AGE_SECONDS)
    return value


def rater_progress(batch: Batch, places: int) -> list[RaterProgress]:
    """Everyone who has or had a place in the batch, most answers first; two queries. `places`: how many it has."""
    counts = _remembered(f"raters:{batch.uuid}", places, lambda: _rater_counts(batch))
    members = {
        member.pk: member
        for member in Membership.objects.filter(project=batch.project_id).select_related("user")
        if member.pk in counts
    }
    rows = [RaterProgress(members[pk], *numbers) for pk, numbers in counts.items() if pk in members]
    return sorted(rows, key=lambda row: (-row.done, row.member.pk))


def _rater_counts(batch: Batch) -> dict[int, tuple[int, int, int, datetime | None]]:
    rows = (
        Assignment.objects.filter(batch=batch, member__isnull=False)
        .order_by()
        .values_list("member_id")
        .annotate(
            done=Count("pk", filter=Q(status=PlaceStatus.SUBMITTED)),
            in_hand=Count("pk", filter=Q(status=PlaceStatus.CLAIMED)),
            skipped=Count("pk", filter=Q(status=PlaceStatus.SKIPPED)),
            last_at=Max("finished_at"),
        )
    )
    return {pk: (done, in_hand, skipped, last_at) for pk, done, in_hand, skipped, last_at in rows}


@dataclass(frozen=True)
class CohortPeople:
    """Who can label for a cohort: active members, those who have read the version, and what a label costs them.

    The costs are of members whose cost is known: null when nobody's is.
    """

    cohort: str
    members: int
    read: int
    cost_known: int
    lowest: Decimal | None
    usual: Decimal | None
    highest: Decimal | None


def cohort_people(project: Project, version_id: int | None = None) -> dict[str, CohortPeople]:
    """{cohort: its people} of a project; one query."""
    acknowledged = Acknowledgement.objects.filter(member=OuterRef("pk"), guideline_version=version_id)
    rows = (
        Membership.objects.filter(project=project, active=True, cohort__isnull=False, user__is_active=True)
        .annotate(has_read=Exists(acknowledged))
        .values("cohort")
        .annotate(
            members=Count("pk"),
            read=Count("pk", filter=Q(has_read=True)),
            cost_known=Count("cost_per_label"),
            lowest=Min("cost_per_label"),
            usual=Avg("cost_per_label"),
            highest=Max("cost_per_label"),
        )
        .order_by()
    )
    return {str(row["cohort"]): CohortPeople(**row) for row in rows}  # type: ignore[arg-type]


@dataclass(frozen=True)
class BatchRow:
    """A batch in the list of a project's batches."""

    batch: Batch
    items: int
    done: int
    in_hand: int
    open: int

    @property
    def total(self) -> int:
        return self.done + self.in_hand + self.open


def batch_rows(batches: Iterable[Batch]) -> list[BatchRow]:
    """Batches of one page with their counts; two queries."""
    batches = list(batches)
    ids = [batch.pk for batch in batches]
    ranks = dict(
        BatchItem.objects.filter(batch__in=ids).order_by().values_list("batch_id").annotate(highest=Max("rank"))
    )
    items = {pk: highest + 1 for pk, highest in ranks.items()}
    key = "batches:" + ",".join(map(str, ids))
    counts = _remembered(key, sum(items.values()), lambda: _place_counts(ids))
    rows = []
    for batch in batches:
        own = counts.get(batch.pk, {})
        done, in_hand, free = (own.get(status, 0) for status in SHOWN_STATUSES)
        rows.append(BatchRow(batch, items.get(batch.pk, 0), done, in_hand, free))
    return rows


SHOWN_STATUSES = (PlaceStatus.SUBMITTED, PlaceStatus.CLAIMED, PlaceStatus.OPEN)


def _place_counts(ids: list[int]) -> dict[int, dict[str, int]]:
    counts: dict[int, dict[str, int]] = {}
    rows = Assignment.objects.filter(batch__in=ids).order_by().values_list("batch_id", "status")
    for batch_id, status, number in rows.annotate(n=Count("pk")):
        counts.setdefault(batch_id, {})[status] = number
    return counts


def jobs_of(batch: Batch) -> QuerySet[Job]:
    """Jobs that lay out, add or void places of the batch, newest first."""
    return (
        Job.objects.filter(project=batch.project_id, kind__in=BATCH_JOBS, parameters__batch=batch.pk)
        .select_related("by")
        .order_by("-pk")
    )


BATCH_JOBS = ("open_batch", "open_relabel_batch", "add_items", "top_up_places", "void_open_places")


def shown_jobs(batch: Batch, most: int = 3) -> list[Job]:
    """What the batch page tells of: jobs that wait or run, and the newest one if it failed."""
    rows = list(jobs_of(batch)[:most])
    return [
        job
        for number, job in enumerate(rows)
        if job.status in (JobStatus.QUEUED, JobStatus.RUNNING) or (number == 0 and job.status == JobStatus.FAILED)
    ]


def metadata_fields(project: Project, sample: int = 200) -> list[str]:
    """Names of the metadata fields of the newest items: what a filter can be set on."""
    names: dict[str, None] = {}
    rows = Item.objects.available().filter(project=project).order_by("-pk").values_list("metadata", flat=True)
    for metadata in rows[:sample]:
        names.update(dict.fromkeys(metadata or {}))
    return sorted(names)


def tags_of(project: Project, most: int = 200) -> list[str]:
    """Tags in use on the project's items."""
    rows = ItemTag.objects.filter(item__project=project, removed_at__isnull=True)
    return list(rows.order_by("tag").values_list("tag", flat=True).distinct()[:most])
