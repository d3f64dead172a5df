"""How many places of a batch are still open for a cohort: what home and the desk tell a rater is left."""

from __future__ import annotations

import operator
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Q

from ..db.compiled import Values, text, whole
from ..models import Assignment, Batch
from ..vocabulary import PlaceStatus

# Counting fewer open places than this costs less than a cache is worth.
COUNT_FRESH_BELOW = 2000
COUNT_AGE_SECONDS = 60.0
# A count is kept so many times longer than it took, so that counting millions takes no noticeable share of the time.
AGE_PER_COST = 1000
OLDEST_SECONDS = 1800.0
KEEP_SECONDS = 24 * 60 * 60
COUNTING_SECONDS = 30

Counts = dict[int | None, int]


@dataclass(frozen=True)
class _Known:
    counts: Counts
    good_until: float


def _open() -> Any:
    return Assignment.objects.filter(status=PlaceStatus.OPEN).order_by()


ONE = Values(
    lambda: (
        _open()
        .filter(batch=whole("batch"), cohort=text("cohort"))
        .values_list("batch_id", "reserved_for")
        .annotate(count=Count("pk"))
    )
)


def _count(wanted: Sequence[tuple[Batch, str]]) -> dict[int, Counts]:
    if len(wanted) == 1:
        ((batch, cohort),) = wanted
        rows: Any = ONE.run(batch=batch.pk, cohort=cohort)
    else:
        which = reduce(operator.or_, (Q(batch=batch, cohort=cohort) for batch, cohort in wanted))
        rows = _open().filter(which).values_list("batch_id", "reserved_for").annotate(count=Count("pk"))
    counted: dict[int, Counts] = {batch.pk: {} for batch, _ in wanted}
    for batch_id, reserved_for, count in rows:
        counted[batch_id][reserved_for] = count
    return counted


def count_open_places(wanted: Sequence[tuple[Batch, str]]) -> dict[tuple[int, int | None], int]:
    """{(batch id, member a place is reserved for, or None): open places} for (batch, cohort)s, in one query at most.

    A large count may be a minute old, and older where counting takes long: a thousand times as long as it took. When it
    is due again one request counts and the others go on with the old one.
    """
    keys = {f"places_open:{batch.uuid}:{cohort}": (batch, cohort) for batch, cohort in wanted}
    known: dict[str, _Known] = cache.get_many(keys)
    now = time.time()
    due = [
        key
        for key in keys
        if key not in known or (known[key].good_until < now and cache.add(f"{key}:counting", 1, COUNTING_SECONDS))
    ]
    if due:
        began = time.perf_counter()
        counted = _count([keys[key] for key in due])
        age = min(OLDEST_SECONDS, max(COUNT_AGE_SECONDS, AGE_PER_COST * (time.perf_counter() - began)))
        fresh = {key: _Known(counted[keys[key][0].pk], now + age) for key in due}
        if large := {key: count for key, count in fresh.items() if sum(count.counts.values()) >= COUNT_FRESH_BELOW}:
            cache.set_many(large, KEEP_SECONDS)
        if small := [key for key in due if key in known and key not in large]:
            cache.delete_many(small)
        cache.delete_many([f"{key}:counting" for key in due])
        known |= fresh
    return {
        (keys[key][0].pk, reserved_for): count
        for key, value in known.items()
        for reserved_for, count in value.counts.items()
    }
