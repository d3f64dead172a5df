"""Reading answers and what they say: one item as its rater settles it, or the items of a batch by the thousand.

Places are read before answers everywhere: an item whose places are all finished then has all its answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Q

from labeling import task_types
from labeling.db.compiled import Values, whole
from labeling.guideline_settings import version_settings
from labeling.models import Assignment, Batch, BatchItem
from labeling.queries.annotations import latest_within, that_resolve
from labeling.vocabulary import PlaceStatus

from ..verdict import Measure, Said, Verdict, judge

UNFINISHED = (PlaceStatus.OPEN, PlaceStatus.CLAIMED)
ANSWER = ("assignment__batch_item_id", "assignment__cohort", "outcome", "value", "value_sha256", "borderline")
NOBODY: frozenset[str] = frozenset()
# Most batches have a few hundred different sets of answers; where each item has its own, what is kept stays small.
MOST_KNOWN = 10_000

# One item is compared whenever a rater's answer settles it, so what that asks is compiled once.
ONE_UNFINISHED = Values(
    lambda: Assignment.objects.filter(batch_item=whole("item"), status__in=UNFINISHED).values_list(
        "batch_item_id", "cohort"
    )
)
ONE_ANSWERS = Values(
    lambda: (
        that_resolve(Batch.objects.filter(pk=whole("batch")).order_by())
        .filter(assignment__batch_item=whole("item"))
        .order_by("assignment_id")
        .values_list(*ANSWER)
    )
)


def measure_of(batch: Batch) -> Measure:
    """How differences are measured under the batch's definition."""
    task = task_types.get(batch.project.task_type)
    return Measure.of(task.distance, version_settings(batch.guideline_version))


class Judging:
    """Verdicts under one batch's definition; the same answers are judged once."""

    def __init__(self, batch: Batch) -> None:
        self.measure = measure_of(batch)
        self._known: dict[Any, Verdict] = {}

    def verdict(self, said: list[Said], unfinished: frozenset[str], audit: bool) -> Verdict:
        # the digest of an answer stands for its value, outcome and mark
        key = (tuple([(one.cohort, one.sha256) for one in said]), unfinished, audit)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            known = self._known[key] = judge(said, unfinished=unfinished, measure=self.measure, audit=audit)
        return known


def answers_of(batch: Batch, batch_item_ids: Sequence[int]) -> dict[int, list[Said]]:
    """{batch item: its answers that count}, for at most a chunk of items."""
    if len(batch_item_ids) == 1:
        return _said(ONE_ANSWERS.run(batch=batch.pk, item=batch_item_ids[0]))
    rows = that_resolve([batch]).filter(assignment__batch_item_id__in=batch_item_ids)
    return _said(rows.order_by("assignment_id").values_list(*ANSWER))


def unfinished_cohorts(batch_item_ids: Sequence[int]) -> dict[int, frozenset[str]]:
    """{batch item: cohorts with a place that is open or in hand}."""
    if len(batch_item_ids) == 1:
        return _cohorts(ONE_UNFINISHED.run(item=batch_item_ids[0]))
    return _cohorts(_unfinished(Q(batch_item_id__in=batch_item_ids)))


def verdicts(batch: Batch, batch_items: Sequence[BatchItem], judging: Judging | None = None) -> dict[int, Verdict]:
    """{batch item: what its answers say now}. Three queries for a chunk."""
    ids = [batch_item.pk for batch_item in batch_items]
    unfinished = unfinished_cohorts(ids)
    said = answers_of(batch, ids)
    judging = judging or Judging(batch)
    return {
        batch_item.pk: judging.verdict(
            said.get(batch_item.pk, []), unfinished.get(batch_item.pk, NOBODY), batch_item.audit
        )
        for batch_item in batch_items
    }


def verdicts_between(audit: dict[int, bool], judging: Judging) -> dict[int, Verdict]:
    """The same for many batch items, given as {id: whether drawn for audit}, by the range of their ids: two queries.

    A batch is laid down in one go, so its ids lie close together; rows of another batch between them are passed over.
    """
    first, last = min(audit), max(audit)
    unfinished = _cohorts(_unfinished(Q(batch_item_id__gte=first, batch_item_id__lte=last)))
    rows = latest_within(Q(assignment__batch_item_id__gte=first, assignment__batch_item_id__lte=last))
    said = _said(rows.order_by("assignment__batch_item_id", "assignment_id").values_list(*ANSWER).iterator(2000))
    return {pk: judging.verdict(said.get(pk, []), unfinished.get(pk, NOBODY), drawn) for pk, drawn in audit.items()}


def _unfinished(which: Q) -> Iterable[tuple[Any, ...]]:
    return Assignment.objects.filter(which, status__in=UNFINISHED).values_list("batch_item_id", "cohort")


def _said(rows: Iterable[tuple[Any, ...]]) -> dict[int, list[Said]]:
    found: dict[int, list[Said]] = defaultdict(list)
    for batch_item_id, *said in rows:
        found[batch_item_id].append(Said(*said))
    return found


def _cohorts(rows: Iterable[tuple[Any, ...]]) -> dict[int, frozenset[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for batch_item_id, cohort in rows:
        found[batch_item_id].add(cohort)
    return {pk: frozenset(cohorts) for pk, cohorts in found.items()}
