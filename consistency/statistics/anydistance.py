"""Krippendorff's alpha for answers of any kind (texts, spans, boxes): all it needs is a distance between two answers.

α = 1 - D_o / D_e, D_o the distances within items (each pair of an item weighted 1/(r-1)), D_e those between any two
answers. Alphas of different distances cannot be compared with each other and depend on how far apart answers happen to
lie; two descriptions by Braylan, Alonso and Lease (2022) do not: `separation` (the Kolmogorov-Smirnov statistic between
the two distributions of distances) and `sigma` (the share of within-item distances among the smallest 5 % of all).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .estimate import Estimate
from .intervals import Basis, Kind, Variances, effective_raters, items_variance, make_estimate, raters_variance
from .labels import factorize

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

EXACT = 2000  # answers up to which every pair is compared


@dataclass(frozen=True, slots=True)
class AnyAgreement:
    """`alpha` with its interval; `observed` D_o, `expected` D_e; `separation` and `sigma` in [0, 1]; `pairs` compared
    for D_e, all of them where `exact`."""

    alpha: Estimate
    observed: float | None = None
    expected: float | None = None
    separation: float | None = None
    sigma: float | None = None
    pairs: int = 0
    exact: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Distances:
    """Answers (item, rater), the compared pairs (u, v) of different answers with d, and the pairs within items."""

    item: IntArray
    rater: IntArray
    u: IntArray
    v: IntArray
    d: FloatArray
    within_u: IntArray
    within_v: IntArray
    within_d: FloatArray

    def alpha(self, keep: npt.NDArray[np.bool_]) -> float:
        """Alpha over the answers kept (those alone on their item drop out)."""
        r = np.bincount(self.item[keep], minlength=int(self.item.max()) + 1)
        keep = keep & (r[self.item] >= 2)
        n = int(keep.sum())
        if n < 2:
            return float("nan")
        both = keep[self.within_u] & keep[self.within_v]
        rest = r[self.item[self.within_u[both]]] - 1
        observed = 2 * float((self.within_d[both] / rest).sum()) / n
        any_two = keep[self.u] & keep[self.v]
        expected = float(self.d[any_two].mean()) if any_two.any() else 0.0
        return 1 - observed / expected if expected > 0 else float("nan")


def alpha_any(
    item: Any,
    rater: Any,
    answers: Sequence[Any],
    distance: Callable[[Any, Any], float],
    *,
    interval: Kind = "auto",
    confidence: float = 0.95,
    exact: int = EXACT,
    pairs: int = 200_000,
    seed: int = 0,
) -> AnyAgreement:
    """Alpha of answers under a distance.

    Parameters
    ----------
    item, rater : columns
    answers : sequence
        One per row; None is missing. Of several answers of one (item, rater) the first counts.
    distance : callable
        Symmetric, 0 for equal answers, never negative.
    exact : int
        Up to so many answers D_e compares every pair; lower it where the distance is slow.
    pairs : int
        Pairs drawn for D_e above that.

    Returns
    -------
    AnyAgreement

    Raises
    ------
    ValueError
        A distance that is negative or no number, named with its two answers; columns of unequal length.

    Examples
    --------
    >>> a = alpha_any([1, 1, 2, 2], ["g", "h", "g", "h"], ["aa", "aa", "b", "c"], lambda x, y: float(x != y))
    >>> round(a.alpha.value, 3), a.observed
    (0.4, 0.5)
    """
    data, counts = _compared(item, rater, answers, distance, exact, pairs, seed)
    n, total = counts["answers"], counts["raters"]
    r = np.bincount(data.item) if n else np.zeros(0, np.int64)
    per_rater = np.bincount(data.rater) if n else np.zeros(0, np.int64)
    different = np.zeros(len(r), np.bool_)
    different[data.item[data.within_u[data.within_d > 0]]] = True
    basis = Basis(
        n_items=counts["items"],
        n_raters=total,
        n_ratings=counts["ratings"],
        pairable=int((r >= 2).sum()),
        disagreeing=int(different.sum()),
        raters=int((per_rater > 0).sum()),
        effective_raters=effective_raters(per_rater),
        excluded={
            "missing_labels": counts["missing"],
            "single_rating_items": counts["singles"],
            "repeats": counts["repeats"],
        },
    )
    every = np.ones(n, np.bool_)
    reason = None
    if not counts["ratings"]:
        reason = "there are no ratings"
    elif total == 1:
        reason = "only one rater: agreement needs at least two"
    elif not n:
        reason = "no item has ratings by two raters"
    elif float(data.d.sum()) == 0:
        reason = "all answers are the same: agreement by chance is certain, nothing is left to measure"
    if reason is not None:
        nothing = Estimate.missing(
            reason, level=confidence, n_items=basis.n_items, n_raters=total, n_ratings=counts["ratings"]
        )
        return AnyAgreement(nothing)
    value = data.alpha(every)
    expected = float(data.d.mean())
    observed = (1 - value) * expected
    variances = _variances(data, r, observed, expected)
    estimate = make_estimate(
        value, variances, basis, kind=interval, confidence=confidence, chance=1 - expected / float(data.d.max())
    )
    within, between = np.sort(data.within_d), np.sort(data.d)
    at = np.concatenate([within, between])
    gap = np.searchsorted(within, at, side="right") / len(within) - np.searchsorted(between, at, side="right") / len(
        between
    )
    low = float(np.quantile(between, 0.05, method="inverted_cdf"))
    return AnyAgreement(
        estimate,
        observed,
        expected,
        float(np.abs(gap).max()),
        float((within <= low).mean()),
        len(data.d),
        n <= exact,
    )


def _compared(
    item: Any,
    rater: Any,
    answers: Sequence[Any],
    distance: Callable[[Any, Any], float],
    exact: int,
    pairs: int,
    seed: int,
) -> tuple[_Distances, dict[str, int]]:
    codes, names, _ = factorize(item)
    raters, rater_names, _ = factorize(rater)
    there = np.array([a is not None for a in answers], np.bool_)
    if not len(codes) == len(raters) == len(there):
        raise ValueError(
            f"{len(codes)} items, {len(raters)} raters and {len(there)} answers: the columns must be equally long"
        )
    order = np.flatnonzero(there)
    order = order[np.lexsort((raters[order], codes[order]))]
    key = codes[order] * max(1, len(rater_names)) + raters[order]
    first = np.append(True, key[1:] != key[:-1])[: len(key)]
    repeats, order = int((~first).sum()), order[first]
    r = np.bincount(codes[order], minlength=len(names))
    singles = int((r == 1).sum())
    counts = {
        "items": int((r > 0).sum()),
        "raters": len(np.unique(raters[order])),
        "ratings": len(order),
        "missing": int((~there).sum()),
        "singles": singles,
        "repeats": repeats,
    }
    order = order[r[codes[order]] >= 2]
    n = counts["answers"] = len(order)
    mine = [answers[i] for i in order.tolist()]
    item_code = np.unique(codes[order], return_inverse=True)[1].astype(np.int64)
    rater_code = raters[order]
    known: dict[Any, float] = {}
    texts = all(isinstance(a, (str, int, float, tuple, frozenset)) for a in mine)

    def d(x: int, y: int) -> float:
        key = (mine[x], mine[y]) if texts else (x, y)
        found = known.get(key)
        if found is None:
            found = float(distance(mine[x], mine[y]))
            if not found >= 0:
                raise ValueError(
                    f"the distance of {mine[x]!r} and {mine[y]!r} is {found}: it must be a number from 0 up"
                )
            known[key] = found
            if texts:
                known[mine[y], mine[x]] = found
        return found

    if n <= exact:
        u, v = np.triu_indices(n, 1)
    else:
        rng = np.random.default_rng(seed)
        u = rng.integers(0, n, pairs)
        v = (u + rng.integers(1, n, pairs)) % n
    ends = np.searchsorted(item_code, np.arange(item_code.max(initial=-1) + 1), side="right")
    within = [(i, j) for i in range(n) for j in range(i + 1, int(ends[item_code[i]]))]
    wu, wv = (np.array([w[s] for w in within], np.int64) for s in (0, 1))
    return (
        _Distances(
            item_code,
            rater_code,
            u.astype(np.int64),
            v.astype(np.int64),
            np.array([d(a, b) for a, b in zip(u.tolist(), v.tolist(), strict=True)], np.float64),
            wu,
            wv,
            np.array([d(a, b) for a, b in within], np.float64),
        ),
        counts,
    )


def _variances(data: _Distances, r: IntArray, observed: float, expected: float) -> Variances:
    """Vi and Vir from linear influences of D_o and D_e, Vr by leaving out each rater."""
    n, n_items = len(data.item), len(r)
    rest = r[data.item[data.within_u]] - 1
    of_answer = np.bincount(data.within_u, weights=data.within_d, minlength=n)
    of_answer += np.bincount(data.within_v, weights=data.within_d, minlength=n)
    of_item = 2 * np.bincount(data.item[data.within_u], weights=data.within_d / rest, minlength=n_items)
    number = np.bincount(data.u, minlength=n) + np.bincount(data.v, minlength=n)
    far = np.bincount(data.u, weights=data.d, minlength=n) + np.bincount(data.v, weights=data.d, minlength=n)
    away = np.where(number > 0, far / np.maximum(number, 1), expected) - expected  # mean distance to any other answer
    by_o, by_e = -1 / expected, observed / expected**2
    influence = by_o * (of_item - r * observed) / n
    influence += by_e * 2 * np.bincount(data.item, weights=away, minlength=n_items) / n
    vi = items_variance(influence, np.ones(n_items), n_items)
    # one answer less: its item has r - 1, or disappears with the other answer
    ri = r[data.item]
    left = (of_item[data.item] * (ri - 1) - 2 * of_answer) / np.maximum(ri - 2, 1)
    two = ri == 2
    change_o = np.where(two, -of_item[data.item], left - of_item[data.item]) + np.where(two, 2, 1) * observed
    pair_away = np.bincount(data.item, weights=away, minlength=n_items)[data.item]
    change_e = -2 * np.where(two, pair_away, away)
    vir = float((((by_o * change_o + by_e * change_e) / n) ** 2).sum())
    without = np.array([data.alpha(data.rater != g) for g in np.unique(data.rater).tolist()])
    return Variances(vi, raters_variance(without), vir)
