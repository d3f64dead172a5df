"""What a project's overview stands on: stored figures of its batches, how fast places are filled, who waits how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Min, Q

from labeling.models import Assignment, Batch, Membership, Project
from labeling.queries.progress import WALK_IS_LONG, CohortProgress, cohort_progress
from labeling.vocabulary import BatchKind, BatchStatus, PlaceStatus

from ..models import AgreementRun, Disagreement
from ..statistics.estimate import Estimate
from ..vocabulary import DisagreementStatus, RunKind
from .figures import CODE_VERSION, Figures, figures_of
from .gains import GAIN_VERSION

MOST_BATCHES = 8
PACE_DAYS = 3
WAITING = (DisagreementStatus.OPEN, DisagreementStatus.HELD, DisagreementStatus.DISCUSSING)


@dataclass(frozen=True, eq=False)
class Measured:
    """A batch with its newest stored figures.

    `unselected`, `unselected_hlp`: of a finished relabel batch, {cohort: α, or one against the rest} on the items that
    nobody chose by their answers, as comparisons store it. Its own figures are by the roles of the items, which are
    chosen or few.
    """

    batch: Batch
    agreement: Figures | None
    hlp: Figures | None
    unselected: Mapping[str, Estimate] = field(default_factory=dict)
    unselected_hlp: Mapping[str, Estimate] = field(default_factory=dict)


def measured_batches(project: Project) -> list[Measured]:
    """The newest batches that can have figures, the oldest first; four queries and one per run."""
    rows = (
        Batch.objects.filter(project=project, status__in=(BatchStatus.OPEN, BatchStatus.CLOSED))
        .exclude(kind=BatchKind.RETEST, parent__isnull=False)
        .exclude(kind=BatchKind.QUALIFICATION)
        .select_related("guideline_version", "project")
        .order_by("-pk")[:MOST_BATCHES]
    )
    batches = sorted(rows, key=lambda batch: (batch.opened_at or batch.created_at, batch.pk))
    newest: dict[tuple[int, str], AgreementRun] = {}
    runs = AgreementRun.objects.filter(
        batch__in=[batch.pk for batch in batches], kind__in=(RunKind.AGREEMENT, RunKind.HLP), code_version=CODE_VERSION
    ).order_by("pk")
    for run in runs:
        if run.batch_id is not None and not run.parameters.get("pooled"):
            newest[run.batch_id, run.kind] = run
    unselected = _unselected([batch for batch in batches if batch.kind == BatchKind.RELABEL])
    found = []
    for batch in batches:
        pair = []
        for kind in (RunKind.AGREEMENT, RunKind.HLP):
            latest = newest.get((batch.pk, kind))
            if latest is not None:
                latest.batch, latest.project = batch, project
            pair.append(figures_of(latest) if latest is not None else None)
        found.append(Measured(batch, pair[0], pair[1], *unselected.get(batch.pk, ({}, {}))))
    return found


def _unselected(batches: Sequence[Batch]) -> dict[int, tuple[dict[str, Estimate], dict[str, Estimate]]]:
    """{relabel batch: ({cohort: α}, {cohort: HLP})} from the history that comparisons of finished batches tell; one query."""
    if not batches:
        return {}
    runs = AgreementRun.objects.filter(
        kind=RunKind.COMPARISON, batch__in=[batch.pk for batch in batches], code_version=GAIN_VERSION,
        parameters__arm="after",
    ).order_by("pk")  # fmt: skip
    by_uuid = {str(batch.uuid): batch.pk for batch in batches}
    found: dict[int, tuple[dict[str, Estimate], dict[str, Estimate]]] = {}
    for run in runs:
        for point in run.findings.get("history") or ():
            if point["uuid"] not in by_uuid or not point["complete"]:
                continue
            told, hlp = dict(point["figures"]), point.get("hlp", {})
            everyone = told.pop("", None)
            if not told and everyone is not None and len(hlp) == 1:
                told = dict.fromkeys(hlp, everyone)  # one cohort alone stands under all raters
            found[by_uuid[point["uuid"]]] = (_estimates(told), _estimates(hlp))
    return found


def _estimates(told: Mapping[str, Mapping[str, Any]]) -> dict[str, Estimate]:
    return {name: Estimate(**{**one, "notes": tuple(one["notes"])}) for name, one in told.items()}


@dataclass(frozen=True)
class Forecast:
    """A cohort's places in an open batch, and when they would be filled at the pace of the last days.

    `a_day` counts answers of the last days with answers; `ready` is None where nobody answered lately.
    """

    batch: Batch
    progress: CohortProgress
    a_day: float
    ready: datetime | None

    @property
    def left(self) -> int:
        return self.progress.total - self.progress.done


def forecasts(project: Project, now: datetime) -> list[Forecast]:
    """Progress and forecast of each open batch by cohort, the newest batch first."""
    found = []
    batches = Batch.objects.filter(project=project, status=BatchStatus.OPEN).order_by("-pk")[:MOST_BATCHES]
    for batch in batches.prefetch_related("quotas").select_related("guideline_version"):
        every = cohort_progress(batch, list(batch.quotas.all()))
        pace = _pace(batch, now, sum(progress.total for progress in every))
        for progress in every:
            n, first = pace.get(progress.cohort, (0, None))
            # at least a day: a burst in the last hour is no pace to promise by
            days = max(1.0, (now - first).total_seconds() / 86_400) if first is not None else 1.0
            a_day = n / days
            left = progress.total - progress.done
            ready = now + timedelta(days=left / a_day) if a_day and left else now if not left else None
            found.append(Forecast(batch, progress, a_day, ready))
    return found


def _pace(batch: Batch, now: datetime, places: int) -> dict[str, tuple[int, datetime]]:
    """{cohort: (answers of the last days, the first of them)}; of a large batch at most a minute old."""
    key = f"pace:{batch.uuid}"
    if places >= WALK_IS_LONG and (known := cache.get(key)) is not None:
        found: dict[str, tuple[int, datetime]] = known
        return found
    rows = (
        Assignment.objects.filter(
            batch=batch, status=PlaceStatus.SUBMITTED, finished_at__gt=now - timedelta(days=PACE_DAYS)
        )
        .order_by()
        .values_list("cohort")
        .annotate(n=Count("pk"), first=Min("finished_at"))
    )
    pace = {cohort: (n, first) for cohort, n, first in rows}
    if places >= WALK_IS_LONG:
        cache.set(key, pace, 60)
    return pace


@dataclass(frozen=True)
class Waiting:
    """Cases at the bench by how long they have waited."""

    ages: tuple[tuple[str, int], ...]
    oldest: timedelta | None

    @property
    def all(self) -> int:
        return sum(n for _, n in self.ages)


def waiting(project: Project, now: datetime) -> Waiting:
    """How long open cases have waited; one query."""
    day, three = now - timedelta(days=1), now - timedelta(days=3)
    rows = Disagreement.objects.filter(batch__project=project, status__in=WAITING).aggregate(
        under=Count("pk", filter=Q(found_at__gt=day)),
        some=Count("pk", filter=Q(found_at__lte=day, found_at__gt=three)),
        more=Count("pk", filter=Q(found_at__lte=three)),
        oldest=Min("found_at"),
    )
    ages = (("under 1 day", rows["under"]), ("1 to 3 days", rows["some"]), ("more than 3 days", rows["more"]))
    return Waiting(ages, now - rows["oldest"] if rows["oldest"] else None)


def costs_of(project: Project) -> dict[str, Decimal]:
    """{member uuid: cost of a label} of members whose cost is known; one query."""
    rows = Membership.objects.filter(project=project, cost_per_label__isnull=False)
    return {str(uuid): cost for uuid, cost in rows.values_list("uuid", "cost_per_label") if cost is not None}


def mean_cost(labels: Mapping[str, int], costs: Mapping[str, Decimal]) -> tuple[Decimal | None, bool]:
    """(mean cost of the labels whose cost is known, whether that is all of them) from labels by member uuid."""
    known = {uuid: n for uuid, n in labels.items() if uuid in costs and n}
    total = sum(known.values())
    if not total:
        return None, False
    paid = sum((costs[uuid] * n for uuid, n in known.items()), Decimal(0))
    return paid / total, total == sum(labels.values())


def currency(project: Project) -> str:
    """What costs are given in; a setting of the project, empty where nobody said."""
    return str(project.settings.get("currency", ""))
