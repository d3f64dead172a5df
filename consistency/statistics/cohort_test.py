"""Does it matter which cohort a rater belongs to? A permutation test of raters between two cohorts.

Statistic D = xRR - (alpha_X + alpha_Y) / 2, one-sided low. With few raters the number of ways to split them bounds how
small p can get; that floor is always given (docs/statistics.md A.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from .bylabel import d_of_split, d_of_splits
from .cohort_sums import PairSums
from .patterns import row_blocks
from .ratings import RatingsTable

__all__ = ["MOST_EXACT", "SAMPLED", "SplitTest", "permute_raters", "permute_raters_by_label", "smallest_p"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST_EXACT = 20_000
SAMPLED = 9_999
# items x categories x splits; beyond it a seeded sample of the items is tested
WORK = 100_000_000


def smallest_p(first: int, second: int, *, most_exact: int = MOST_EXACT, sampled: int = SAMPLED) -> float:
    """The smallest p the test can give with this many raters: 1/C, or 2/C for equal cohorts, C = C(first+second, first).

    Swapping two cohorts of equal size gives the same D, hence the 2. With more than `most_exact` splits `sampled` of
    them are drawn, and p is at least 1 / (sampled + 1).

    >>> [round(smallest_p(a, b), 3) for a, b in ((2, 2), (2, 3), (3, 3), (2, 5))]
    [0.333, 0.1, 0.1, 0.048]
    """
    splits = comb(first + second, first)
    floor = (2 if first == second else 1) / splits
    return floor if splits <= most_exact else max(floor, 1 / (sampled + 1))


@dataclass(frozen=True)
class SplitTest:
    """Result of the permutation test.

    `p` one-sided (low D), None when D is undefined; `floor` the smallest p possible; `splits` how many were looked at,
    `exact` whether those were all; `n_items` items tested, `sampled` whether they are a sample of the common table;
    `degenerate` splits without a D (some cohort without an item of two ratings), counted against the finding.
    """

    p: float | None
    floor: float
    splits: int
    exact: bool
    n_items: int
    sampled: bool
    degenerate: int


def _splits(
    n_raters: int, n_second: int, most_exact: int, sampled: int, rng: np.random.Generator
) -> tuple[Floats, bool]:
    """Membership of the second cohort, one column per split: (R, B) of 0 and 1; and whether these are all splits."""
    if comb(n_raters, n_second) <= most_exact:
        chosen = np.array(list(combinations(range(n_raters), n_second)), dtype=np.int64)
        member = np.zeros((n_raters, len(chosen)))
        member[chosen.T, np.arange(len(chosen))] = 1.0
        return member, True
    member = np.zeros((n_raters, sampled))
    member[:n_second] = 1.0
    return rng.permuted(member, axis=0), False


def permute_raters(
    table: RatingsTable,
    in_second: npt.NDArray[np.bool_],
    sums: PairSums,
    *,
    most_exact: int = MOST_EXACT,
    sampled: int = SAMPLED,
    seed: int = 0,
    work: int = WORK,
) -> SplitTest:
    """Test D by exchanging raters between the two cohorts of `table`.

    Parameters
    ----------
    table
        Ratings of the two cohorts only.
    in_second : bool (R,)
        Which raters form the second cohort.
    sums
        Layout and metric.
    most_exact, sampled
        All splits are looked at up to `most_exact`; above it `sampled` seeded ones (1 is then added to both counts).
    seed, work
        Above `work` (items x categories x splits) a seeded sample of the items is tested: valid, with less power.

    Returns
    -------
    SplitTest
    """
    n_raters, n_second = table.n_raters, int(in_second.sum())
    floor = smallest_p(n_raters - n_second, n_second, most_exact=most_exact, sampled=sampled)
    rng = np.random.default_rng(seed)
    member, exact = _splits(n_raters, n_second, most_exact, sampled, rng)
    items, weight = _alike(table, rng)
    nominal = not isinstance(sums.metric, str) and np.array_equal(sums.metric, 1 - np.eye(sums.k))
    # the general path makes whole vectors, about ten times the work
    most = max(50, int(work / (sums.k * (1 if nominal else 10) * (member.shape[1] + 1))))
    some = len(items) > most
    if some:
        kept = np.sort(rng.permutation(len(items))[:most])
        items, weight = items[kept], weight[kept]
    tensor = _one_hot(table, items)
    value_of = _nominal_d if nominal else _general_d
    observed = value_of(sums, tensor, weight, in_second.astype(float)[:, None])[0]
    if not np.isfinite(observed):
        return SplitTest(None, floor, 0, exact, int(weight.sum()), some, 0)
    values = np.concatenate(
        [
            value_of(sums, tensor, weight, member[:, block])
            for block in row_blocks(member.shape[1], len(items), 100_000 if nominal else 20_000)
        ]
    )
    return _result(observed, values, floor, exact, int(weight.sum()), some)


def permute_raters_by_label(
    table: RatingsTable,
    in_second: npt.NDArray[np.bool_],
    level: str,
    *,
    most_exact: int = MOST_EXACT,
    sampled: int = SAMPLED,
    seed: int = 0,
    work: int = WORK,
) -> SplitTest:
    """`permute_raters` at level interval or ordinal, from the labels themselves; see there.

    At level ordinal the ranks are made anew for every split, about ten times the work.
    """
    n_raters, n_second = table.n_raters, int(in_second.sum())
    floor = smallest_p(n_raters - n_second, n_second, most_exact=most_exact, sampled=sampled)
    rng = np.random.default_rng(seed)
    member, exact = _splits(n_raters, n_second, most_exact, sampled, rng)
    per_item = n_raters if level == "interval" else 10 * max(1, table.n_ratings // max(1, table.n_items))
    most = max(50, int(work / (per_item * (member.shape[1] + 1))))
    some = table.n_items > most
    if some:
        kept = np.zeros(table.n_items, np.bool_)
        kept[rng.permutation(table.n_items)[:most]] = True
        # raters without a label on these items stay, as rows of `member`: they are only dropped with their column
        names = dict(zip(table.raters, range(n_raters), strict=True))
        table = table.subset(items=kept)
        at = np.array([names[rater] for rater in table.raters], np.int64)
        member, in_second = member[at], in_second[at]
    if level == "interval":
        observed = float(d_of_splits(table, in_second.astype(float)[:, None])[0])
    else:
        observed = d_of_split(table, in_second, level)
    if not np.isfinite(observed):
        return SplitTest(None, floor, 0, exact, table.n_items, some, 0)
    if level == "interval":
        values = d_of_splits(table, member)
    else:
        values = np.array([d_of_split(table, column > 0, level) for column in member.T])
    return _result(observed, values, floor, exact, table.n_items, some)


def _result(observed: float, values: Floats, floor: float, exact: bool, n_items: int, some: bool) -> SplitTest:
    degenerate = ~np.isfinite(values)
    # the same split summed in another order differs in the last digits
    low = int((degenerate | (np.where(degenerate, 0.0, values) <= observed + 1e-9)).sum())
    p = low / len(values) if exact else (low + 1) / (len(values) + 1)
    return SplitTest(float(p), floor, len(values), exact, n_items, some, int(degenerate.sum()))


def _alike(table: RatingsTable, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """One item for every distinct set of (rater, label) pairs, and how many items have it.

    Items are told apart by the sum of random 64-bit numbers, one per (rater, label): 1e6 distinct items collide with
    probability 3e-8.
    """
    k = max(1, table.n_categories)
    token = rng.integers(0, 2**63, size=table.n_raters * k, dtype=np.uint64)
    starts = np.flatnonzero(np.append(True, table.item[1:] != table.item[:-1]))
    code = np.add.reduceat(token[table.rater.astype(np.int64) * k + table.value], starts)
    _, first, count = np.unique(code, return_index=True, return_counts=True)
    return first.astype(np.int64), count.astype(float)


def _one_hot(table: RatingsTable, items: Ints) -> list[Any]:
    """For each category the (items x R) matrix of who gave it, sparse where that is smaller."""
    from scipy.sparse import coo_array

    place = np.full(table.n_items, -1, np.int64)
    place[items] = np.arange(len(items))
    rows = place[table.item] >= 0
    item, rater, value = place[table.item[rows]], table.rater[rows].astype(np.int64), table.value[rows]
    out: list[Any] = []
    for k in range(table.n_categories):
        mine = value == k
        matrix = coo_array((np.ones(int(mine.sum())), (item[mine], rater[mine])), shape=(len(items), table.n_raters))
        dense = matrix.shape[0] * matrix.shape[1] <= 4 * max(1, len(item))
        out.append(matrix.toarray() if dense else matrix.tocsr())
    return out


def _nominal_d(sums: PairSums, tensor: list[Any], weight: Floats, member: Floats) -> Floats:
    """D of every split (columns of `member`) with the nominal metric, all splits at once.

    Numbers of the size (items x splits) are made a fixed few times and then written over: with ten thousand splits
    fresh ones would cost more than the arithmetic.
    """
    n_items, n_splits = len(weight), member.shape[1]
    labels_of_item = [np.asarray(a.sum(axis=1)).reshape(-1, 1) for a in tensor]
    y = [np.asarray(a @ member) for a in tensor]
    shape = (n_items, n_splits)
    x, work = np.empty(shape), np.empty(shape)
    ry = np.zeros(shape)
    for one in y:
        ry += one
    rx = np.add.reduce(labels_of_item) - ry
    both = (rx > 0) & (ry > 0)
    w = weight[:, None]
    # what turns a count into its item's share, or into a pairable label, with the item's weight in it
    share_x, share_y = w * both / np.maximum(rx, 1), w * both / np.maximum(ry, 1)
    pair_x, pair_y = w * (rx >= 2), w * (ry >= 2)
    xx, xy, yy = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    per_k = np.empty((4, len(tensor), n_splits))
    for k, (total, one) in enumerate(zip(labels_of_item, y, strict=True)):
        np.subtract(total, one, out=x)
        for row, (scale, count) in enumerate(((share_x, x), (share_y, one), (pair_x, x), (pair_y, one))):
            per_k[row, k] = np.einsum("ib,ib->b", scale, count)
        for into, left, right in ((xx, x, x), (xy, x, one), (yy, one, one)):
            np.multiply(left, right, out=work)
            into += work
    with np.errstate(invalid="ignore", divide="ignore"):
        n = weight @ both
        chance = (per_k[0] * per_k[1]).sum(axis=0) / n**2
        xy /= np.maximum(rx, 1)
        meet = np.einsum("ib,ib->b", share_y, xy)
        xrr = 1 - np.where(1 - chance > 1e-12, (1 - meet / n) / (1 - chance), np.nan)
        alphas = []
        for pairable, squares, r, scale in ((per_k[2], xx, rx, pair_x), (per_k[3], yy, ry, pair_y)):
            np.multiply(r, r, out=work)
            work -= squares
            work /= np.maximum(r - 1, 1)
            apart = np.einsum("ib,ib->b", scale, work)
            all_labels = pairable.sum(axis=0)
            expected = all_labels**2 - (pairable**2).sum(axis=0)
            alphas.append(1 - (all_labels - 1) * np.where(expected > 1e-12, apart / expected, np.nan))
    out: Floats = xrr - (alphas[0] + alphas[1]) / 2
    return out


def _general_d(sums: PairSums, tensor: list[Any], weight: Floats, member: Floats) -> Floats:
    """D of every split with any metric, through the same vectors as the estimate."""
    total = np.stack([np.asarray(a.sum(axis=1)).reshape(-1) for a in tensor], axis=1)
    out = np.empty(member.shape[1])
    for split in range(member.shape[1]):
        y = np.stack([a @ member[:, split] for a in tensor], axis=1)
        counts = np.column_stack([total - y, y]).round().astype(np.int64)
        out[split] = sums.d(weight @ sums.vectors(counts, np.zeros(0, np.int64)))
    return out
