"""Krippendorff's alpha and xRR from the labels themselves, for scales with more points than a table of categories bears.

At level interval and ordinal a label is a position on a line (at ordinal its mid-rank): sums of positions and of their
squares are all that is needed, Σ_kl C_k C_l (x_k - x_l)² = 2 (r Σx² - (Σx)²). At level ratio the distances are worked
out in blocks. Time and memory go with the number of labels, not with the square of the number of categories; values,
influences and jackknife are those of the pattern engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .patterns import row_blocks, within_item_pairs
from .ratings import RatingsTable
from .sums import mid_ranks

FloatArray = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RATIO_WORK = 1_000_000_000  # distances worked out at most at level ratio
NEGATIVE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """One statistic taken apart over a table's items, labels and raters.

    Attributes
    ----------
    value : float
    influence : float64 (N,)
        First-order effect of each item; 0 where it does not belong to the statistic.
    loss : float64 (n,)
        First-order effect of losing each label.
    without : float64 (R,)
        The value without each rater, nan where undefined; the value itself for raters without a part in it.
    """

    value: float
    influence: FloatArray
    loss: FloatArray
    without: FloatArray


def pairable_labels(table: RatingsTable, body: Bools | None = None) -> Bools:
    """Which labels (of the raters in `body`) lie on items that have two or more of them: bool (n,)."""
    mine = np.ones(table.n_ratings, np.bool_) if body is None else body[table.rater]
    r = np.bincount(table.item[mine], minlength=table.n_items)
    paired: Bools = mine & (r >= 2)[table.item]
    return paired


def too_much_for_ratio(table: RatingsTable) -> bool:
    """Whether the distances at level ratio are too many to be worked out."""
    labels = np.bincount(table.rater, minlength=table.n_raters).astype(np.float64)
    return table.n_categories**2 + float((np.minimum(2 * labels, table.n_categories) ** 2).sum()) > RATIO_WORK


def alpha_by_label(table: RatingsTable, level: str, body: Bools | None = None) -> Linear | None:
    """Krippendorff's alpha of a table (of the raters in `body`, a mask), taken apart; None where nothing varies.

    Parameters
    ----------
    level : 'interval', 'ordinal' or 'ratio'
    """
    keep = np.flatnonzero(pairable_labels(table, body))
    if not len(keep):
        return None
    labels = _Labels(
        table.item[keep], table.rater[keep], table.value[keep], table.n_items, table.n_raters, table.n_categories
    )
    if level == "ratio":
        assert table.numeric is not None
        found = _alpha_ratio(labels, table.numeric)
    else:
        found = _alpha_on_a_line(labels, _scale(table, level))
    return _over_all_ratings(found, keep, table.n_ratings)


def _over_all_ratings(
    found: Linear | None, keep: npt.NDArray[np.intp] | npt.NDArray[np.bool_], n_ratings: int
) -> Linear | None:
    """The figure with the loss of every rating of the table: zero for those that took no part."""
    if found is None:
        return None
    loss = np.zeros(n_ratings)
    loss[keep] = found.loss
    return Linear(found.value, found.influence, loss, found.without)


@dataclass(frozen=True, slots=True, eq=False)
class _Labels:
    """Labels by item: sorted by item, codes in the table's own items, raters and categories."""

    item: npt.NDArray[np.int64]
    rater: npt.NDArray[np.int32]
    value: npt.NDArray[np.int32]
    n_items: int
    n_raters: int
    k: int

    def only(self, keep: Bools) -> _Labels:
        return _Labels(self.item[keep], self.rater[keep], self.value[keep], self.n_items, self.n_raters, self.k)

    def per_item(self, weights: FloatArray | None = None) -> FloatArray:
        return np.bincount(self.item, weights=weights, minlength=self.n_items).astype(np.float64)

    def used(self) -> FloatArray:
        return np.bincount(self.value, minlength=self.k).astype(np.float64)


def _scale(table: RatingsTable, level: str) -> FloatArray | None:
    """Fixed positions of the categories, centred and of spread 1; None where they follow from the labels (ordinal)."""
    if level == "ordinal":
        return None
    assert table.numeric is not None
    x = table.numeric[table.value]
    spread = float(x.std())
    fixed: FloatArray = (table.numeric - x.mean()) / (spread if spread > 0 else 1.0)
    return fixed


def _positions(labels: _Labels, fixed: FloatArray | None) -> FloatArray:
    """Positions of the categories (K,); at level ordinal mid-ranks as shares of all labels, which alpha does not see."""
    if fixed is not None:
        return fixed
    n = labels.used()
    ranks: FloatArray = mid_ranks(n) / max(n.sum(), 1.0) - 0.5
    return ranks


def _apart(r: FloatArray, s: FloatArray, q: FloatArray) -> FloatArray:
    """Σ_kl C_k C_l (x_k - x_l)² / (r - 1) of items with r labels, their sum s and their sum of squares q."""
    apart: FloatArray = np.divide(2 * np.maximum(r * q - s * s, 0), r - 1, out=np.zeros_like(r), where=r >= 2)
    return apart


def _alpha_value(n: float, s: float, q: float, observed: float) -> float:
    expected = 2 * (n * q - s * s)
    return 1 - (n - 1) * observed / expected if expected > NEGATIVE * max(n * q, 1e-300) else np.nan


def _alpha_alone(labels: _Labels, fixed: FloatArray | None) -> float:
    """The value, of labels of which some may stand alone on their item."""
    r = labels.per_item()
    labels = labels.only(r[labels.item] >= 2)
    if not len(labels.item):
        return np.nan
    x = _positions(labels, fixed)[labels.value]
    r, s, q = labels.per_item(), labels.per_item(x), labels.per_item(x * x)
    return _alpha_value(float(r.sum()), float(s.sum()), float(q.sum()), float(_apart(r, s, q).sum()))


def _alpha_on_a_line(labels: _Labels, fixed: FloatArray | None) -> Linear | None:
    at = _positions(labels, fixed)
    x = at[labels.value]
    r, s, q = labels.per_item(), labels.per_item(x), labels.per_item(x * x)
    apart = _apart(r, s, q)
    n, total, squares, observed = (float(one.sum()) for one in (r, s, q, apart))
    value = _alpha_value(n, total, squares, observed)
    if np.isnan(value):
        return None
    expected = 2 * (n * squares - total * total)
    by_o, by_e = -(n - 1) / expected, (n - 1) * observed / expected**2
    by_n, by_s, by_q = -observed / expected + by_e * 2 * squares, -by_e * 4 * total, by_e * 2 * n
    influence = by_n * r + by_s * s + by_q * q + by_o * apart
    mine_r, mine_s, mine_q = r[labels.item], s[labels.item], q[labels.item]
    left = mine_r - 1
    alone = left < 2  # the other label is alone then, and drops out
    change = np.stack(
        [
            np.where(alone, -mine_r, -1.0),
            np.where(alone, -mine_s, -x),
            np.where(alone, -mine_q, -x * x),
            _apart(left, mine_s - x, mine_q - x * x) - apart[labels.item],
        ]
    )
    loss = np.array([by_n, by_s, by_q, by_o]) @ change
    if fixed is None:
        # the positions follow the labels: ∂/∂(mid-rank of c), then mid-rank of c by the count of g: 1 below c, 1/2 at c
        moved_o = 4 * (mine_r * x - mine_s) / (mine_r - 1)
        by_position: FloatArray = np.bincount(labels.value, weights=by_o * moved_o, minlength=labels.k).astype(
            np.float64
        )
        by_position += by_e * 4 * labels.used() * (n * at - total)
        of_label = _rank_effect(by_position, n)[labels.value]
        influence = influence + labels.per_item(of_label)
        loss = loss - np.where(alone, labels.per_item(of_label)[labels.item], of_label)
        without = _by_leaving_out(labels, lambda kept: _alpha_alone(kept, None), value)
    else:
        shift = np.stack(
            [np.bincount(labels.rater, weights=one, minlength=labels.n_raters) for one in change]
        ) + np.array([[n], [total], [squares], [observed]])
        without = np.array([_alpha_value(*one) for one in shift.T.tolist()])
    return Linear(value, influence, loss, without)


def _rank_effect(by_position: FloatArray, n: float) -> FloatArray:
    """What one more label of each category does through the mid-ranks (in shares of n labels) of all categories."""
    above = np.cumsum(by_position[::-1])[::-1] - by_position
    effect: FloatArray = (above + by_position / 2) / n
    return effect


def _by_leaving_out(labels: _Labels, value_of: Callable[[_Labels], float], value: float) -> FloatArray:
    out = np.full(labels.n_raters, value)
    for g in np.unique(labels.rater).tolist():
        out[g] = value_of(labels.only(labels.rater != g))
    return out


# ---------------------------------------------------------------- level ratio


def _ratios(x: FloatArray, y: FloatArray) -> FloatArray:
    """((x - y) / (x + y))², 0 where both are 0."""
    total = x + y
    share = np.divide(x - y, total, out=np.zeros(np.broadcast_shapes(x.shape, y.shape)), where=total > 0)
    squares: FloatArray = share * share
    return squares


def _mixed(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Σ_l weights_l δ²(x_k, y_l) for each k, in blocks."""
    out = np.empty(len(x))
    for rows in row_blocks(len(x), max(1, len(y))):
        out[rows] = _ratios(x[rows][:, None], y[None, :]) @ weights
    return out


def _alpha_ratio(labels: _Labels, numeric: FloatArray) -> Linear | None:
    used = labels.used()
    some = np.flatnonzero(used)
    n = float(used.sum())
    far = np.zeros(labels.k)
    far[some] = _mixed(numeric[some], numeric[some], used[some])
    expected = float(used @ far)
    if expected <= NEGATIVE * n * n:
        return None
    x = numeric[labels.value]
    own = np.zeros(len(x))  # Σ of the distances to the item's other labels
    for i, j in within_item_pairs(labels.item):
        gap = _ratios(x[i], x[j])
        own[i] += gap
        own[j] += gap
    r = labels.per_item()
    together = labels.per_item(own)
    apart = np.divide(together, r - 1, out=np.zeros_like(r), where=r >= 2)
    observed = float(apart.sum())
    by_o, by_e = -(n - 1) / expected, (n - 1) * observed / expected**2
    of_label = (-observed / expected + by_e * 2 * far)[labels.value]
    influence = by_o * apart + labels.per_item(of_label)
    mine = r[labels.item]
    left = np.divide(together[labels.item] - 2 * own, mine - 2, out=np.zeros_like(mine), where=mine >= 3)
    change = left - apart[labels.item]
    alone = mine < 3
    loss = by_o * change - np.where(alone, labels.per_item(of_label)[labels.item], of_label)
    without = np.full(labels.n_raters, 1 - (n - 1) * observed / expected)
    for g in np.unique(labels.rater).tolist():
        rows = labels.rater == g
        gone = rows | (alone & np.isin(labels.item, labels.item[rows & alone]))
        code, lost = np.unique(labels.value[gone], return_counts=True)
        n_g = n - float(lost.sum())
        expected_g = (
            expected
            - 2 * float(lost @ far[code])
            + float(lost @ _mixed(numeric[code], numeric[code], lost.astype(np.float64)))
        )
        observed_g = observed + float(change[rows].sum())
        without[g] = 1 - (n_g - 1) * observed_g / expected_g if expected_g > NEGATIVE * max(n_g, 1) ** 2 else np.nan
    return Linear(1 - (n - 1) * observed / expected, influence, loss, without)


# ---------------------------------------------------------------- across two bodies of raters


def xrr_by_label(table: RatingsTable, second: Bools, level: str) -> Linear | None:
    """Cross-replication reliability of two bodies of raters at level interval or ordinal; None where undefined.

    Parameters
    ----------
    second : bool (R,)
        Raters of the second body; the others are the first.
    """
    on_second = second[table.rater]
    of_each = [np.bincount(table.item[side], minlength=table.n_items) for side in (~on_second, on_second)]
    common = (of_each[0] > 0) & (of_each[1] > 0)
    keep = np.flatnonzero(common[table.item])
    if not len(keep):
        return None
    labels = _Labels(
        table.item[keep], table.rater[keep], table.value[keep], table.n_items, table.n_raters, table.n_categories
    )
    found = _xrr_on_a_line(labels, second, _scale(table, level))
    return _over_all_ratings(found, keep, table.n_ratings)


@dataclass(frozen=True, slots=True, eq=False)
class _Cross:
    """Per item: whether both bodies rated it, each body's labels, their mean and mean square, and the mean distance."""

    both: FloatArray
    r: FloatArray  # (2, N)
    mean: FloatArray  # (2, N), 0 off the common items
    square: FloatArray
    apart: FloatArray

    @classmethod
    def of(cls, r: FloatArray, s: FloatArray, q: FloatArray) -> _Cross:
        """From the bodies' numbers of labels, sums and sums of squares, (2, …) each."""
        both = ((r[0] > 0) & (r[1] > 0)).astype(np.float64)
        mean = np.divide(s, r, out=np.zeros_like(s), where=(r > 0) & (both > 0))
        square = np.divide(q, r, out=np.zeros_like(q), where=(r > 0) & (both > 0))
        return cls(both, r, mean, square, np.maximum(square[0] - 2 * mean[0] * mean[1] + square[1], 0))

    def rows(self) -> FloatArray:
        """(6, …): what is summed over items."""
        return np.stack([self.both, self.mean[0], self.mean[1], self.square[0], self.square[1], self.apart])


def _xrr_value(t: FloatArray) -> float:
    n, a, b, aa, bb, apart = t.tolist()
    if n < 0.5:
        return np.nan
    expected = (aa + bb) / n - 2 * a * b / n**2
    return 1 - apart / n / expected if expected > NEGATIVE * max((aa + bb) / n, 1e-300) else np.nan


def _sides(labels: _Labels, second: Bools, x: FloatArray) -> tuple[_Cross, FloatArray, FloatArray]:
    side = second[labels.rater]
    sums = [
        np.stack(
            [labels.only(side == which).per_item(None if w is None else w[side == which]) for which in (False, True)]
        )
        for w in (None, x, x * x)
    ]
    return _Cross.of(*sums), sums[1], sums[2]


def _xrr_alone(labels: _Labels, second: Bools, fixed: FloatArray | None) -> float:
    cross, _, _ = _sides(labels, second, np.zeros(len(labels.item)))
    labels = labels.only(cross.both[labels.item] > 0)
    if not len(labels.item):
        return np.nan
    x = _positions(labels, fixed)[labels.value]
    return _xrr_value(_sides(labels, second, x)[0].rows().sum(axis=1))


def _xrr_on_a_line(labels: _Labels, second: Bools, fixed: FloatArray | None) -> Linear | None:
    at = _positions(labels, fixed)
    x = at[labels.value]
    cross, s, q = _sides(labels, second, x)
    rows = cross.rows()
    t = rows.sum(axis=1)
    value = _xrr_value(t)
    if np.isnan(value):
        return None
    n, a, b, aa, bb, apart = t.tolist()
    observed, expected = apart / n, (aa + bb) / n - 2 * a * b / n**2
    by_o, by_e = -1 / expected, observed / expected**2
    slope = np.array(
        [
            -by_o * observed / n + by_e * (-(aa + bb) / n**2 + 4 * a * b / n**3),
            -by_e * 2 * b / n**2,
            -by_e * 2 * a / n**2,
            by_e / n,
            by_e / n,
            by_o / n,
        ]
    )
    influence = slope @ rows
    side, i = second[labels.rater].astype(np.int64), labels.item
    r_left, s_left, q_left = cross.r[:, i].copy(), s[:, i].copy(), q[:, i].copy()
    here = np.arange(len(i))
    r_left[side, here] -= 1
    s_left[side, here] -= x
    q_left[side, here] -= x * x
    change = _Cross.of(r_left, s_left, q_left).rows() - rows[:, i]
    loss = slope @ change
    if fixed is None:
        mine, other = cross.r[side, i], cross.mean[1 - side, i]
        moved_o = 2 * (x - other) / mine / n
        share = [
            np.bincount(labels.value[side == which], weights=1 / mine[side == which], minlength=labels.k) / n
            for which in (0, 1)
        ]
        by_position: FloatArray = np.bincount(labels.value, weights=by_o * moved_o, minlength=labels.k).astype(
            np.float64
        )
        by_position += by_e * 2 * (share[0] * (at - b / n) + share[1] * (at - a / n))
        of_label = _rank_effect(by_position, float(len(i)))[labels.value]
        influence = influence + labels.per_item(of_label)
        loss = loss - np.where(mine == 1, labels.per_item(of_label)[i], of_label)
        without = _by_leaving_out(labels, lambda kept: _xrr_alone(kept, second, None), value)
    else:
        shift = np.stack([np.bincount(labels.rater, weights=one, minlength=labels.n_raters) for one in change])
        without = np.array([_xrr_value(one) for one in (t[:, None] + shift).T])
    return Linear(value, influence, loss, without)


def chance_of_alpha(table: RatingsTable) -> float | None:
    """1 - D_e of alpha at level interval, the distances as shares of the largest one between the labels given."""
    assert table.numeric is not None
    x = table.numeric[table.value[pairable_labels(table)]]
    low, high = float(x.min()), float(x.max())
    if high <= low:
        return None
    x = (x - low) / (high - low)
    n, s, q = float(len(x)), float(x.sum()), float((x * x).sum())
    return 1 - 2 * (n * q - s * s) / (n * (n - 1))


def chance_on_a_line(table: RatingsTable, second: Bools) -> float | None:
    """1 - D_e of xRR at level interval, the distances as shares of the largest one between the categories."""
    assert table.numeric is not None
    on_second = second[table.rater]
    of_each = [np.bincount(table.item[side], minlength=table.n_items) for side in (~on_second, on_second)]
    keep = ((of_each[0] > 0) & (of_each[1] > 0))[table.item]
    labels = _Labels(
        table.item[keep], table.rater[keep], table.value[keep], table.n_items, table.n_raters, table.n_categories
    )
    low, high = float(table.numeric.min()), float(table.numeric.max())
    if high <= low:
        return None
    x = (table.numeric[labels.value] - low) / (high - low)
    n, a, b, aa, bb, _ = _sides(labels, second, x)[0].rows().sum(axis=1).tolist()
    return float(1 - ((aa + bb) / n - 2 * a * b / n**2))


def d_of_split(table: RatingsTable, second: Bools, level: str) -> float:
    """D = xRR - (alpha_X + alpha_Y) / 2 of one split of the raters, nan where a part is undefined."""
    labels = _Labels(table.item, table.rater, table.value, table.n_items, table.n_raters, table.n_categories)
    fixed = _scale(table, level)
    parts = [_alpha_alone(labels.only(second[labels.rater] == which), fixed) for which in (False, True)]
    return _xrr_alone(labels, second, fixed) - (parts[0] + parts[1]) / 2


def d_of_splits(table: RatingsTable, member: FloatArray) -> FloatArray:
    """D of many splits at level interval, columns of `member` (R, B): 1 for a rater of the second body."""
    fixed = _scale(table, "interval")
    assert fixed is not None
    shape = (table.n_items, table.n_raters)
    place = table.item, table.rater
    x = fixed[table.value]
    have, first, square = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    have[place], first[place], square[place] = 1.0, x, x * x
    out = np.empty(member.shape[1])
    for block in row_blocks(member.shape[1], table.n_items, 400_000):
        sums = []
        for matrix in (have, first, square):
            y = matrix @ member[:, block]
            sums.append(np.stack([matrix.sum(axis=1, keepdims=True) - y, y]))
        r, s, q = sums
        t = _Cross.of(r, s, q).rows().sum(axis=1)  # (6, B)
        n = np.where(t[0] > 0.5, t[0], np.nan)
        expected = (t[3] + t[4]) / n - 2 * t[1] * t[2] / n**2
        with np.errstate(invalid="ignore", divide="ignore"):
            xrr = 1 - np.where(expected > NEGATIVE * (t[3] + t[4]) / n, t[5] / n / expected, np.nan)
            two = r >= 2
            n_a, s_a, q_a = ((one * two).sum(axis=1) for one in (r, s, q))
            apart = (_apart(r, s, q) * two).sum(axis=1)
            expected_a = 2 * (n_a * q_a - s_a * s_a)
            alpha = 1 - (n_a - 1) * np.where(expected_a > NEGATIVE * n_a * q_a, apart / expected_a, np.nan)
        out[block] = xrr - alpha.mean(axis=0)
    return out
