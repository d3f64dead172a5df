"""One rater at a time: how often the others of an item agree with them, and which labels meet on an item."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .estimate import Estimate
from .intervals import Basis, Variances, items_variance, make_estimate
from .ratings import RatingsTable

__all__ = ["agreement_with_others", "label_meetings"]

ALONE = "nobody else labeled the same items"


def agreement_with_others(table: RatingsTable, *, confidence: float = 0.95) -> dict[str, Estimate]:
    """How often another rater of the item gave the same label, for each rater by name.

    Mean over the rater's items with two or more ratings of (m - 1) / (r - 1), m the ratings equal to theirs. The interval
    is over items: it speaks about this rater among these others.

    Examples
    --------
    >>> t = RatingsTable.from_matrix([[1, 1, 2], [1, 1, 1]])
    >>> {name: one.value for name, one in agreement_with_others(t).items()}
    {'1': 0.75, '2': 0.75, '3': 0.5}
    """
    r = table.ratings_per_item()
    k = max(1, table.n_categories)
    mine = table.item * k + table.value
    same = np.bincount(mine, minlength=table.n_items * k)[mine] - 1
    others = r[table.item] - 1
    used = others > 0
    score = np.zeros(len(same))
    np.divide(same, others, out=score, where=used)
    found: dict[str, Estimate] = {}
    order = np.argsort(table.rater, kind="stable")
    bounds = np.searchsorted(table.rater[order], np.arange(table.n_raters + 1))
    for g, name in enumerate(table.raters):
        rows = order[bounds[g] : bounds[g + 1]]
        rows = rows[used[rows]]
        n = len(rows)
        if not n:
            found[name] = Estimate.missing(ALONE, level=confidence, n_raters=1)
            continue
        own = score[rows]
        value = float(own.mean())
        variance = items_variance((own - value) / n, np.ones(n), n)
        basis = Basis(n, 1, n, n, int((own < 1).sum()), 2, 2.0)
        estimate = make_estimate(value, Variances(variance), basis, scale="unit", kind="items", confidence=confidence)
        found[name] = replace(estimate, population="this rater among these others, on items like these")
    return found


def label_meetings(counts: npt.NDArray[np.int64], multiplicity: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pairs of ratings of one item by their two labels: symmetric (K, K); the diagonal holds pairs that agree.

    Examples
    --------
    >>> label_meetings(np.array([[2, 1], [0, 2]]), np.array([1, 3])).tolist()
    [[1, 2], [2, 3]]
    """
    c = counts.astype(np.int64)
    both = (c * multiplicity[:, None]).T @ c
    single = multiplicity @ c
    out: npt.NDArray[np.int64] = both - np.diag(single)
    out[np.diag_indices_from(out)] //= 2
    return out
