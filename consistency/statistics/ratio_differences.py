"""Differences of shares between two tables: leave-one-out HLP, accuracy against a reference, agreement on one label.

Each is Σ numerator / Σ denominator over items, so an item's influence is (numerator - θ denominator) / Σ denominator;
the rules for items, raters and intervals are those of `differences` (docs/statistics.md A.9).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .credits import own_credit_sum
from .differences import Difference, difference_of
from .gold_figures import gold_codes
from .influence import Influences
from .intervals import Variances, items_variance, raters_variance
from .ratings import RatingsTable

__all__ = ["gold_difference", "label_difference", "leave_one_out_difference"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Share = Callable[[Ints, Ints], tuple[Floats, Floats]]
"""Count rows (n, K) and reference codes (n,) to denominators and numerators (n,)."""


def leave_one_out_difference(before: RatingsTable, after: RatingsTable, *, confidence: float = 0.95) -> Difference:
    """Change of leave-one-out HLP (rating weight)."""

    def share(counts: Ints, _: Ints) -> tuple[Floats, Floats]:
        r = counts.sum(axis=1).astype(float)
        return r * (r >= 2), own_credit_sum(counts)

    return _difference(before, after, "leave_one_out", share, "no item has two ratings", confidence=confidence)


def label_difference(before: RatingsTable, after: RatingsTable, label: str, *, confidence: float = 0.95) -> Difference:
    """Change of the specific agreement of a label: given that one rater gave it, how likely a second one does.

    Examples
    --------
    >>> a = RatingsTable.from_matrix([["x", "y"], ["x", "x"], ["y", "y"], ["x", "y"]])
    >>> b = RatingsTable.from_matrix([["x", "x"], ["x", "x"], ["y", "y"], ["x", "y"]])
    >>> d = label_difference(a, b, "x")
    >>> round(d.before, 2), round(d.after, 2)
    (0.5, 0.8)
    """

    def share_of(table: RatingsTable) -> Share:
        k = table.categories.index(label) if label in table.categories else -1

        def share(counts: Ints, _: Ints) -> tuple[Floats, Floats]:
            if k < 0:
                return np.zeros(len(counts)), np.zeros(len(counts))
            m, r = counts[:, k].astype(float), counts.sum(axis=1).astype(float)
            return m * (r - 1), m * (m - 1)

        return share

    reason = f"nobody gave {label!r} to an item that two people labeled"
    return _difference(before, after, "specific_agreement", share_of, reason, by_table=True, confidence=confidence)


def gold_difference(
    before: RatingsTable,
    after: RatingsTable,
    gold_before: Mapping[Any, Any],
    gold_after: Mapping[Any, Any],
    *,
    confidence: float = 0.95,
) -> Difference:
    """Change of the share of ratings equal to the reference, each table against its own; items without are left out."""

    def share(counts: Ints, gold: Ints) -> tuple[Floats, Floats]:
        known = gold >= 0
        inside = known & (gold < counts.shape[1])
        hits = np.where(inside, counts[np.arange(len(counts)), np.where(inside, gold, 0)], 0)
        return counts.sum(axis=1) * known.astype(float), hits.astype(float)

    golds = iter((gold_before, gold_after))
    return _difference(
        before, after, "against_gold", share, "no rated item has a reference label", golds=golds, alone=True,
        confidence=confidence,
    )  # fmt: skip


def _difference(
    before: RatingsTable,
    after: RatingsTable,
    name: str,
    share: Any,
    reason: str,
    *,
    golds: Any = None,
    by_table: bool = False,
    alone: bool = False,
    confidence: float,
) -> Difference:
    def find(table: RatingsTable) -> Influences | str:
        gold = next(golds) if golds is not None else None
        return _take_apart(table, share(table) if by_table else share, gold, reason)

    return difference_of(before, after, name, find, alone=alone, confidence=confidence)


def _take_apart(table: RatingsTable, share: Share, gold: Mapping[Any, Any] | None, reason: str) -> Influences | str:
    """A share's value, its influences by item and by label, and its values without each rater."""
    patterns = table.patterns()
    assert patterns.index is not None
    counts = patterns.counts[patterns.index].astype(np.int64)
    codes = np.full(table.n_items, -1, np.int64) if gold is None else gold_codes(table, gold)[0]
    below, above = share(counts, codes)
    total = float(below.sum())
    if total <= 0:
        return reason
    value = float(above.sum()) / total
    by_item = (above - value * below) / total
    used = below > 0
    # one label less: what the item's terms become
    less = counts[table.item]
    less[np.arange(len(less)), table.value] -= 1
    below_less, above_less = share(less, codes[table.item])
    change_below, change_above = below_less - below[table.item], above_less - above[table.item]
    by_label = (change_above - value * change_below) / total
    without: dict[int, float] = {}
    counted = used[table.item]
    present = np.unique(table.rater[counted])
    if len(present) >= 3:
        for g in present.tolist():
            mine = table.rater == g
            rest = total + float(change_below[mine].sum())
            if rest > 1e-9:
                without[g] = (float(above.sum()) + float(change_above[mine].sum())) / rest
    variances = Variances(
        items=items_variance(by_item[used], np.ones(int(used.sum())), int(used.sum())),
        raters=raters_variance(np.array(list(without.values()))) if len(without) == len(present) else None,
        labels=float((by_label**2).sum()),
    )
    return Influences(value, variances, by_item, by_label, without, used, len(present))
