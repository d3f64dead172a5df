"""How two cohorts differ in what they say: flips of their majorities, and how often each uses a label.

A difference in how often a label is given is a difference of threshold, not noise; flips with an exact McNemar test say
whether it goes one way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .bootstrap import MOST_PATTERNS
from .estimate import Estimate
from .intervals import Kind, Scale, Variances
from .item_sums import Function, ItemGroups, Sums, ratio, sums_of
from .ratings import RatingsTable
from .two_body import rater_positions, two_body_estimate

__all__ = ["Flips", "LabelFlip", "LabelUse", "compare_consensus", "compare_label_use"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

RESAMPLES = 2000


@dataclass(frozen=True)
class LabelFlip:
    """Items whose majority is this label in one cohort only, and McNemar's exact two-sided p.

    `p_adjusted` is after Benjamini-Hochberg over the labels; with two labels both have the same p.
    """

    label: str
    only_a: int
    only_b: int
    p: float | None
    p_adjusted: float | None


@dataclass(frozen=True)
class Flips:
    """How often the cohorts' majorities differ, on items where both have one.

    `rate` is the share of such items; `ties` items were left out because a cohort's majority is tied.
    """

    rate: Estimate
    labels: tuple[LabelFlip, ...]
    ties: int


@dataclass(frozen=True)
class LabelUse:
    """How differently two cohorts use the labels, on items both rated, every item alike.

    `js` is the Jensen-Shannon divergence in bits (0 same, 1 nothing in common); `shares_a`, `shares_b` the cohorts'
    shares by label; `differences` b's share less a's, by label.
    """

    js: Estimate
    shares_a: dict[str, float]
    shares_b: dict[str, float]
    differences: dict[str, Estimate]


def _majority(counts: Ints) -> Ints:
    """The single most frequent label per row, -1 for a tie or nothing."""
    top = counts.max(axis=1)
    tied = (counts == top[:, None]).sum(axis=1) > 1
    return np.where((top == 0) | tied, -1, counts.argmax(axis=1))


def _estimate(
    sums: Sums,
    value: float,
    variances: Variances,
    second: npt.NDArray[np.bool_],
    kind: Kind,
    confidence: float,
    *,
    scale: Scale,
    excluded: Mapping[str, int] | None = None,
) -> Estimate:
    groups, used = sums.groups, sums.used
    sets = rater_positions(groups, second, used)
    m = groups.multiplicity
    return two_body_estimate(
        value,
        variances,
        (len(sets[0]), len(sets[1])),
        int(m[used].sum()),
        scale=scale,
        kind=kind,
        confidence=confidence,
        n_ratings=int(m[used] @ groups.per_item[used]),
        excluded=excluded,
    )


def compare_consensus(
    table: RatingsTable,
    groups: ItemGroups,
    second: npt.NDArray[np.bool_],
    *,
    kind: Kind = "auto",
    confidence: float = 0.95,
) -> Flips:
    """Compare the majorities of two cohorts item by item (`groups` of `joint_groups`)."""
    k = table.n_categories

    def vectors(c: Ints, _: Ints) -> Floats:
        a, b = _majority(c[:, :k]), _majority(c[:, k:])
        valid = (a >= 0) & (b >= 0)
        return np.column_stack([valid, valid & (a != b)]).astype(float)

    a, b = _majority(groups.counts[:, :k]), _majority(groups.counts[:, k:])
    common = (groups.counts[:, :k].sum(axis=1) > 0) & (groups.counts[:, k:].sum(axis=1) > 0)
    valid = (a >= 0) & (b >= 0)
    m = groups.multiplicity
    ties = int(m[common & ~valid].sum())
    n = int(m[valid].sum())
    if not n:
        reason = "no item was rated by both cohorts" if not common.any() else "on no item have both cohorts a majority"
        return Flips(Estimate.missing(reason, level=confidence, excluded={"ties": ties}), (), ties)
    sums = sums_of(groups, vectors, valid)
    rate = float(ratio(sums.total))
    slope = np.array([-rate, 1.0]) / n
    (variances,) = sums.variances([(ratio, slope)], rater_sets=rater_positions(groups, second, valid))
    estimate = _estimate(sums, rate, variances, second, kind, confidence, scale="unit", excluded={"ties": ties})
    return Flips(estimate, _mcnemar(table, a[valid], b[valid], m[valid]), ties)


def _mcnemar(table: RatingsTable, a: Ints, b: Ints, m: Ints) -> tuple[LabelFlip, ...]:
    from scipy.special import bdtr

    found: list[tuple[str, int, int, float | None]] = []
    for k, label in enumerate(table.categories):
        only_a, only_b = int(m[(a == k) & (b != k)].sum()), int(m[(a != k) & (b == k)].sum())
        n = only_a + only_b
        # exact and two-sided: the binomial with 1/2 is symmetric
        p = min(1.0, 2 * float(bdtr(min(only_a, only_b), n, 0.5))) if n else None
        found.append((label, only_a, only_b, p))
    tested = [p for *_, p in found if p is not None]
    adjusted: list[float] = list(tested)
    if len(table.categories) > 2 and len(tested) > 1:
        from statsmodels.stats.multitest import multipletests

        adjusted = [float(q) for q in multipletests(tested, method="fdr_bh")[1]]
    left = iter(adjusted)
    return tuple(LabelFlip(*one, p_adjusted=None if one[3] is None else next(left)) for one in found)


def _drawn_shares(rows: Floats, multiplicity: Ints, seed: int) -> Floats:
    """Mean of `rows` over resampled items, (RESAMPLES, 2K): exact multinomial draws, or their normal limit when there
    are too many different rows for that."""
    rng = np.random.default_rng(seed)
    n = int(multiplicity.sum())
    if len(rows) <= MOST_PATTERNS:
        return np.asarray(rng.multinomial(n, multiplicity / n, size=RESAMPLES) @ rows / n)
    mean = multiplicity @ rows / n
    spread = rows - mean
    covariance = (spread * multiplicity[:, None]).T @ spread / n**2
    drawn: Floats = np.maximum(rng.multivariate_normal(mean, covariance, size=RESAMPLES, method="eigh"), 0.0)
    return drawn


def compare_label_use(
    table: RatingsTable,
    groups: ItemGroups,
    second: npt.NDArray[np.bool_],
    *,
    kind: Kind = "auto",
    confidence: float = 0.95,
    seed: int = 0,
) -> LabelUse:
    """Compare how often two cohorts give each label, on the items both rated, every item alike."""
    from .drift import _js

    k = table.n_categories

    def vectors(c: Ints, _: Ints) -> Floats:
        x, y = c[:, :k].astype(float), c[:, k:].astype(float)
        rx, ry = x.sum(axis=1, keepdims=True), y.sum(axis=1, keepdims=True)
        both = (rx > 0) & (ry > 0)
        return np.column_stack([both, x / np.maximum(rx, 1) * both, y / np.maximum(ry, 1) * both]).astype(float)

    common = (groups.counts[:, :k].sum(axis=1) > 0) & (groups.counts[:, k:].sum(axis=1) > 0)
    if not common.any():
        return LabelUse(Estimate.missing("no item was rated by both cohorts", level=confidence), {}, {}, {})
    sums = sums_of(groups, vectors, common)
    n = sums.total[0]
    p, q = sums.total[1 : 1 + k] / n, sums.total[1 + k :] / n

    def difference_of(j: int) -> Function:
        def value_of(t: Floats) -> Floats:
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.where(t[..., 0] > 1e-9, (t[..., 1 + k + j] - t[..., 1 + j]) / t[..., 0], np.nan)

        return value_of

    figures: list[tuple[Function, Floats]] = []
    for j in range(k):
        slope = np.zeros(1 + 2 * k)
        slope[0], slope[1 + j], slope[1 + k + j] = -(q[j] - p[j]) / n, -1 / n, 1 / n
        figures.append((difference_of(j), slope))
    found = sums.variances(figures, rater_sets=rater_positions(groups, second, common))
    differences = {
        label: _estimate(sums, float(q[j] - p[j]), found[j], second, kind, confidence, scale="raw")
        for j, label in enumerate(table.categories)
    }
    js = float(_js(p, q))
    m = groups.multiplicity[common]
    items = int(m.sum())
    low = high = se = None
    if items > 1 and int(common.sum()) > 1:
        shares = _drawn_shares(vectors(groups.counts[common], np.zeros(0, np.int64))[:, 1:], m, seed)
        values = _js(shares[:, :k], shares[:, k:])
        # a divergence only ever grows by resampling: its mean excess is taken off
        shift = float(values.mean()) - js
        tail = (1 - confidence) / 2
        low, high = (float(max(0.0, v - shift)) for v in np.quantile(values, [tail, 1 - tail]))
        se = float(values.std(ddof=1))
    estimate = Estimate(
        value=js,
        low=low,
        high=high,
        se=se,
        level=confidence,
        method="items" if low is not None else "none",
        population="for these raters, on items like these",
        n_items=items,
        n_raters=len(second),
        n_ratings=int(m @ groups.per_item[common]),
    )
    names = table.categories
    return LabelUse(
        estimate,
        dict(zip(names, map(float, p), strict=True)),
        dict(zip(names, map(float, q), strict=True)),
        differences,
    )
