"""Room 6: a settled item becomes a resolution, or a disagreement for the bench.

Comparing is idempotent: the same answers again write nothing. It runs after commit, under the lock of the batch item
that a rater's revision and an SME's ruling take too, so that each sees what the others wrote.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from labeling import jobs, sweeps, transitions
from labeling.db.compiled import Rows, insert, whole
from labeling.db.retry import retry_deadlocks
from labeling.events import event, record
from labeling.models import Assignment, Batch, BatchItem, Event, Job, User
from labeling.vocabulary import BatchKind, BatchStatus

from .comparing_steps import NOTED, KnownCase, Standing, Step, step_of
from .models import Disagreement, Resolution, SweepMark
from .queries.answers import Judging, verdicts, verdicts_between
from .resolving import next_resolution, resolutions_in_force
from .vocabulary import DisagreementStatus

logger = logging.getLogger("concord.comparing")

# A retest asks the same person again, and a qualification has its answers: neither says which label an item has.
KINDS = (BatchKind.LABEL, BatchKind.RELABEL, BatchKind.IMPORT)
ITEMS_PER_CHUNK = 250
ITEMS_PER_WINDOW = 2_000
# What a transaction may take before the sweep reads its events; nothing that raters or SMEs do takes that long.
SWEEP_LAG = timedelta(minutes=2)
SWEEP_MOST = 20_000
PLACE_VERBS = ("submitted", "revised", "skipped", "voided", "lapsed", "took_back_skip")
BATCH_VERBS = ("closed", "imported", "raised_overlap")

# One item is compared whenever a rater's answer settles it, so what that asks is compiled once.
BATCH_OF = Rows(
    lambda: (
        Batch.objects.select_related("project", "guideline_version")
        .defer("selection", "guideline_version__body")
        .filter(batch_items=whole("item"), kind__in=KINDS)
        .exclude(status__in=(BatchStatus.DRAFT, BatchStatus.OPENING))
        .order_by()
    )
)
ONE_ITEM = Rows(lambda: BatchItem.objects.select_for_update(no_key=True).filter(pk=whole("item"), batch=whole("batch")))
ONE_DISAGREEMENT = Rows(
    lambda: Disagreement.objects.select_for_update(no_key=True).filter(batch_item=whole("item")).order_by()
)


@retry_deadlocks
def compare_items(
    *,
    batch: Batch,
    batch_item_ids: Sequence[int],
    at: datetime | None = None,
    judging: Judging | None = None,
    unguarded: bool = False,
) -> dict[str, int]:
    """Compare the answers of some items of a batch in one transaction; returns what was written, by kind.

    `unguarded` exists for the tests' negative control only: it does not lock the items.
    """
    at = at or timezone.now()
    wrote: dict[str, int] = defaultdict(int)
    with transaction.atomic():
        if len(batch_item_ids) == 1 and not unguarded:
            batch_items = ONE_ITEM.run(batch=batch.pk, item=batch_item_ids[0])
        else:
            rows = BatchItem.objects.filter(pk__in=batch_item_ids, batch=batch).order_by("pk")
            batch_items = list(rows if unguarded else rows.select_for_update(no_key=True))
        if not batch_items:
            return {}
        ids = [batch_item.pk for batch_item in batch_items]
        cases: Iterable[Disagreement] = (
            ONE_DISAGREEMENT.run(item=ids[0])
            if len(ids) == 1
            else Disagreement.objects.select_for_update(no_key=True).filter(batch_item_id__in=ids).order_by("pk")
        )
        known = {case.batch_item_id: case for case in cases}
        last = resolutions_in_force(ids)
        found: list[Disagreement] = []
        resolved: list[Resolution] = []
        events: list[Event] = []
        said = verdicts(batch, batch_items, judging)
        # Asked only where it matters: most items settle without a case.
        gone = withdrawn_among(ids) if known or any(verdict.kind for verdict in said.values()) else frozenset()
        for batch_item, verdict in zip(batch_items, said.values(), strict=True):
            case, standing = known.get(batch_item.pk), last.get(batch_item.pk)
            step = step_of(case, standing, verdict, withdrawn=batch_item.pk in gone)
            if step.verb == "found":
                found.append(
                    Disagreement(batch_item=batch_item, batch=batch, found_at=at, changed_at=at, **step.columns)
                )
            elif case is not None and step.verb and _take(step, case, at) and step.verb != NOTED:
                events.append(event(step.verb, case, by=None, at=at, project_id=batch.project_id, implicit=True))
                wrote[step.verb] += 1
            if step.method:
                resolved.append(
                    next_resolution(
                        batch_item,
                        standing,
                        verdict,
                        method=step.method,
                        value=verdict.value,
                        at=at,
                        confidence=verdict.confidence,
                    )
                )
        if len(ids) == 1:
            insert(*found)
            insert(*resolved)
        else:
            Disagreement.objects.bulk_create(found)
            Resolution.objects.bulk_create(resolved)
        events += [
            event("found", one, by=None, at=at, project_id=batch.project_id, implicit=True, kind=one.kind)
            for one in found
        ]
        record(*events)
        wrote["found"] += len(found)
        wrote["resolved"] += len(resolved)
    return {name: count for name, count in wrote.items() if count}


def withdrawn_among(batch_item_ids: Sequence[int]) -> frozenset[int]:
    """Those of these batch items whose item was withdrawn, for at most a chunk."""
    rows = BatchItem.objects.filter(pk__in=batch_item_ids, item__withdrawn_at__isnull=False)
    return frozenset(rows.values_list("pk", flat=True))


def _take(step: Step, case: Disagreement, at: datetime) -> bool:
    if step.verb == NOTED:
        return bool(Disagreement.objects.filter(pk=case.pk).update(changed_at=at, **step.columns))
    status = DisagreementStatus.DISMISSED if step.verb == "dismissed" else DisagreementStatus.OPEN
    return transitions.move(case, status, changed_at=at, **step.columns)


def compare_item(batch_item_id: int, *, at: datetime | None = None) -> dict[str, int]:
    """Compare one item's answers; the same answers again change nothing."""
    batch = BATCH_OF.first(item=batch_item_id)
    return compare_items(batch=batch, batch_item_ids=[batch_item_id], at=at) if batch is not None else {}


def on_item_settled(
    *, batch_item_id: int | None = None, batch: Batch | None = None, by: User | None = None, **_: Any
) -> None:
    """Receiver of `item_settled`: once per settled cohort, after each revision of a settled item, and once for a batch
    of which many items settled."""
    if batch is not None:
        enqueue_comparison(batch=batch, by=by)
    elif batch_item_id is not None:
        compare_item(batch_item_id)


# --- whole batches, and what a lost signal missed ---------------------------------------------------------------------


def enqueue_comparison(*, batch: Batch, by: User | None = None) -> Job:
    """Compare a whole batch in the background: after an import, a close, or when a rater is set aside or back."""
    return jobs.enqueue(
        kind="compare_batch",
        by=by,
        project=batch.project,
        dedup_key=f"compare_batch:{batch.pk}",
        parameters={"batch": batch.pk},
    )


@jobs.handles("compare_batch")
def compare_batch_job(run: jobs.JobRun) -> dict[str, Any]:
    """Compare every item of a batch, a chunk of items per transaction."""
    batch = Batch.objects.select_related("project", "guideline_version").get(pk=run.parameters["batch"])
    total = BatchItem.objects.filter(batch=batch).count()
    counts = _compare_all(batch, lambda done: run.report(done, total, "comparing answers"))
    return {"items": total if batch.kind in KINDS else 0, **counts}


def compare_batch(*, batch: Batch, at: datetime | None = None) -> dict[str, int]:
    """Compare every item of a batch now: what the job does, for commands and stories."""
    return _compare_all(batch, lambda done: None, at)


def _compare_all(batch: Batch, report: Callable[[int], None], at: datetime | None = None) -> dict[str, int]:
    """First look without locks which items something changed of, then compare those, a chunk per transaction.

    What changes while it looks tells of itself: whoever submits, revises or rules has the item compared after commit.
    """
    counts: dict[str, int] = defaultdict(int)
    if batch.kind not in KINDS or batch.status in (BatchStatus.DRAFT, BatchStatus.OPENING):
        return {}
    judging = Judging(batch)
    done = 0
    for window in _windows(batch):
        changed = changed_items(window, judging)
        for chunk in _slices(changed, ITEMS_PER_CHUNK):
            for name, count in compare_items(batch=batch, batch_item_ids=chunk, at=at, judging=judging).items():
                counts[name] += count
            done += len(chunk)
            report(done)
        done += len(window) - len(changed)
        report(done)
    return dict(counts)


def changed_items(audit: dict[int, bool], judging: Judging) -> list[int]:
    """Of these batch items ({id: whether drawn for audit}) those whose stored state is not what their answers say now."""
    first, last = min(audit), max(audit)
    cases = {
        pk: KnownCase(*columns)
        for pk, *columns in Disagreement.objects.filter(batch_item_id__gte=first, batch_item_id__lte=last)
        .values_list("batch_item_id", *KnownCase._fields)
        .iterator(2000)
    }
    standing = {
        pk: Standing(*columns)
        for pk, *columns in Resolution.objects.filter(batch_item_id__gte=first, batch_item_id__lte=last)
        .order_by("batch_item_id", "revision")
        .values_list("batch_item_id", *Standing._fields)
        .iterator(2000)
    }
    said = verdicts_between(audit, judging)
    among = BatchItem.objects.filter(pk__gte=first, pk__lte=last, item__withdrawn_at__isnull=False)
    gone = frozenset(among.values_list("pk", flat=True))
    return [
        pk for pk, verdict in said.items() if step_of(cases.get(pk), standing.get(pk), verdict, withdrawn=pk in gone)
    ]


def _windows(batch: Batch) -> Iterator[dict[int, bool]]:
    """{id: whether drawn for audit} of the batch's items by rank, so many at a time."""
    rank = -1
    while True:
        rows = list(
            BatchItem.objects.filter(batch=batch, rank__gt=rank)
            .order_by("rank")
            .values_list("pk", "audit", "rank")[:ITEMS_PER_WINDOW]
        )
        if not rows:
            return
        rank = rows[-1][2]
        yield {pk: drawn for pk, drawn, _ in rows}


MARK = "compared_events"


@sweeps.each_minute("uncompared_items")
def sweep_uncompared(now: datetime | None = None) -> int:
    """Compare what a lost signal missed: items and batches of which something was recorded since the last sweep.

    It follows the events, so its cost is that of what happened, not of what there is. Events younger than the lag wait:
    one with a lower number may still be uncommitted. Returns how many items were compared.
    """
    before = (now or timezone.now()) - SWEEP_LAG
    mark = SweepMark.objects.filter(name=MARK).values_list("position", flat=True).first() or 0
    # Read without a filter: the mark then moves on past what is of no interest.
    rows: list[tuple[int, str, str, int]] = []
    for pk, at, verb, subject_type, subject_id in (
        Event.objects.filter(pk__gt=mark)
        .order_by("pk")
        .values_list("pk", "at", "verb", "subject_type", "subject_id")[:SWEEP_MOST]
    ):
        if at >= before:
            break
        rows.append((pk, verb, subject_type, subject_id))
    if not rows:
        return 0
    places = sorted({pk for _, verb, kind, pk in rows if kind == "assignment" and verb in PLACE_VERBS})
    batches = sorted({pk for _, verb, kind, pk in rows if kind == "batch" and verb in BATCH_VERBS})
    for batch in Batch.objects.select_related("project").filter(pk__in=batches, kind__in=KINDS):
        enqueue_comparison(batch=batch)
    items = sorted({pk for _, verb, kind, pk in rows if kind == "item" and verb == "withdrawn"})
    compared = _compare_places(places) + _compare_withdrawn(items)
    # The highest of two sweeps stays; a sweep that was slower may set it back, which costs a repeat and loses nothing.
    SweepMark.objects.update_or_create(name=MARK, defaults={"position": rows[-1][0]})
    return compared


def _compare_places(places: Sequence[int]) -> int:
    """Compare the items of these places, by batch; how many items."""
    items: dict[int, set[int]] = defaultdict(set)
    for chunk in _slices(places, 500):
        for batch_id, batch_item_id in Assignment.objects.filter(pk__in=chunk).values_list("batch_id", "batch_item_id"):
            items[batch_id].add(batch_item_id)
    return _compare_of(items)


def _compare_withdrawn(withdrawn: Sequence[int]) -> int:
    """Compare these items in every batch that holds them; how many."""
    items: dict[int, set[int]] = defaultdict(set)
    for chunk in _slices(withdrawn, 500):
        for batch_id, batch_item_id in BatchItem.objects.filter(item__in=chunk).values_list("batch_id", "pk"):
            items[batch_id].add(batch_item_id)
    return _compare_of(items)


def _compare_of(items: dict[int, set[int]]) -> int:
    count = 0
    for batch_id, ids in items.items():
        batch = Batch.objects.select_related("project", "guideline_version").get(pk=batch_id)
        if batch.kind not in KINDS or batch.status in (BatchStatus.DRAFT, BatchStatus.OPENING):
            continue
        for chunk in _slices(sorted(ids), ITEMS_PER_CHUNK):
            compare_items(batch=batch, batch_item_ids=chunk)
            count += len(chunk)
    return count


def _slices(ids: Sequence[int], size: int) -> Iterable[Sequence[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
