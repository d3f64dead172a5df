"""All rater pairs at once: one sparse product holds every pair's table of co-ratings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .coefficients import ONE, ONE_CATEGORY
from .continuous import MOST_CATEGORIES, too_many
from .estimate import Estimate
from .intervals import Basis, Variances, make_estimate
from .patterns import DIRECT, Grouped, PairTable, distinct_codes, within_item_pairs
from .ratings import RatingsTable
from .weights import weight_matrix

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

JOINED = 6_000_000  # pairs of ratings up to which joining the rows beats the sparse product
NO_COMMON = "these two raters have no item in common"


def pair_table(table: RatingsTable, *, by_product: bool | None = None) -> PairTable:
    """Items rated by two raters, by (rater, rater, label, label).

    Few raters per item: the two ratings are joined row by row. Many: the upper blocks of AᵀA, A the sparse one-hot
    matrix items x (rater, category), so that the table stays as small as the number of raters allows. `by_product`
    forces one of the two; the numbers are the same.
    """
    r = table.ratings_per_item()
    if by_product is None:
        by_product = int((r * (r - 1)).sum()) // 2 > JOINED
    return _by_product(table) if by_product else _by_join(table)


def _by_join(table: RatingsTable) -> PairTable:
    found = list(within_item_pairs(table.item))
    i, j = (np.concatenate([rows[side] for rows in found] or [np.zeros(0, np.int64)]) for side in (0, 1))
    rater, value = table.rater, table.value
    ones = np.ones(len(i), np.int32)
    return PairTable(rater[i], rater[j], value[i], value[j], ones, table.n_raters, (i, j))


def _by_product(table: RatingsTable) -> PairTable:
    from scipy.sparse import coo_array, csr_array

    k, r = max(1, table.n_categories), table.n_raters
    column = table.rater.astype(np.int64) * k + table.value
    ones = np.ones(len(column), np.int32)
    starts = np.searchsorted(table.item, np.arange(table.n_items + 1))
    a = csr_array((ones, column, starts), shape=(table.n_items, r * k))
    g = coo_array(a.T @ a)
    row, col = np.asarray(g.coords[0], np.int64), np.asarray(g.coords[1], np.int64)
    upper = row // k < col // k
    row, col, count = row[upper], col[upper], g.data[upper].astype(np.int64)
    return PairTable(row // k, col // k, row % k, col % k, count, r)


@dataclass(frozen=True, eq=False)
class PairStatistics:
    """Cohen's kappa and percent agreement of every pair of raters who share an item: arrays (M,).

    Attributes
    ----------
    rater_a, rater_b : int64
        rater_a < rater_b, indices into `raters`.
    items : int64
        Items both rated; `differing` of them with different labels.
    agreement, agreement_se : float64
        (Weighted) percent agreement.
    kappa, kappa_se : float64
        nan where undefined. Standard errors by the delta method (Fleiss, Cohen and Everitt 1969), times
        sqrt(n/(n-1)) as everywhere here; nan for a single common item.
    chance : float64
        p_e of each pair.
    """

    raters: Sequence[str]
    rater_a: IntArray
    rater_b: IntArray
    items: IntArray
    differing: IntArray
    agreement: FloatArray
    agreement_se: FloatArray
    kappa: FloatArray
    kappa_se: FloatArray
    chance: FloatArray
    by_a: FloatArray  # (M, K): W q, the expected weight of each label of rater a
    by_b: FloatArray  # (M, K): W p
    influence: FloatArray  # (T,): of each entry of the pair table on its pair's kappa, times the pair's items
    pair: npt.NDArray[np.int32]  # (T,): the pair of each entry
    confidence: float = 0.95
    reason: str | None = None  # why no pair has a figure

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def _place(self) -> IntArray | None:
        n = len(self.raters)
        if n * n > DIRECT:
            return None
        place = np.full(n * n, -1, np.int64)
        place[self.rater_a * n + self.rater_b] = np.arange(len(self))
        return place

    def position(self, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> IntArray:
        """Where the pairs (a, b), a < b, are: int64, for arrays of rater indices that do share items."""
        key = np.asarray(a, np.int64) * len(self.raters) + b
        if self._place is not None:
            found: IntArray = self._place[key]
        else:
            found = np.searchsorted(self.rater_a * len(self.raters) + self.rater_b, key).astype(np.int64)
        return found

    def cohen_kappa(self, i: int) -> Estimate:
        """Cohen's kappa of pair number `i`, for these two raters."""
        return self._estimate(i, float(self.kappa[i]), float(self.kappa_se[i]), kappa=True)

    def percent_agreement(self, i: int) -> Estimate:
        """Percent agreement of pair number `i`, for these two raters."""
        return self._estimate(i, float(self.agreement[i]), float(self.agreement_se[i]), kappa=False)

    def _estimate(self, i: int, value: float, se: float, *, kappa: bool) -> Estimate:
        n = int(self.items[i])
        basis = Basis(n, 2, 2 * n, n, int(self.differing[i]), 2, 2.0)
        if np.isnan(value):
            return Estimate.missing(
                self.reason or ONE_CATEGORY, level=self.confidence, n_items=n, n_raters=2, n_ratings=2 * n
            )
        variances = Variances(None if np.isnan(se) else se * se)
        return make_estimate(
            value,
            variances,
            basis,
            scale="kappa" if kappa else "unit",
            confidence=self.confidence,
            chance=float(self.chance[i]) if kappa else 0.0,
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """One dict per pair: a, b, items, cohen_kappa and percent_agreement (Estimates)."""
        for i in range(len(self)):
            yield {
                "a": self.raters[int(self.rater_a[i])],
                "b": self.raters[int(self.rater_b[i])],
                "items": int(self.items[i]),
                "cohen_kappa": self.cohen_kappa(i),
                "percent_agreement": self.percent_agreement(i),
            }


def pair_statistics(
    pairs: PairTable, weights: FloatArray, raters: Sequence[str] = (), *, confidence: float = 0.95
) -> PairStatistics:
    """Statistics of every pair in a PairTable under agreement weights (K, K)."""
    k = len(weights)
    key = np.asarray(pairs.rater_a, np.int64) * pairs.n_raters + np.asarray(pairs.rater_b, np.int64)
    ca, cb = np.asarray(pairs.category_a), np.asarray(pairs.category_b)
    count = np.asarray(pairs.count, np.float64)
    distinct, pair = distinct_codes(key, pairs.n_raters**2)
    m = len(distinct)

    def total(per_entry: FloatArray) -> FloatArray:
        return np.bincount(pair, weights=per_entry, minlength=m).astype(np.float64)

    n = total(count)
    identity = np.array_equal(weights, np.eye(k))
    weight = (ca == cb).astype(np.float64) if identity else weights[ca, cb]
    pa = total(count * weight) / n
    at_a, at_b = pair.astype(np.int64) * k, pair.astype(np.int64) * k
    at_a += ca
    at_b += cb
    p = np.bincount(at_a, weights=count, minlength=m * k).reshape(m, k) / n[:, None]
    q = np.bincount(at_b, weights=count, minlength=m * k).reshape(m, k) / n[:, None]
    by_a, by_b = (q, p) if identity else (q @ weights, p @ weights)
    pe = (p * by_a).sum(axis=1)
    room = 1 - pe
    defined = room > ONE
    kappa = np.divide(pa - pe, room, out=np.full(m, np.nan), where=defined)
    on_agreement = weight - pa[pair]
    with np.errstate(invalid="ignore", divide="ignore"):
        phi = (on_agreement - (1 - kappa[pair]) * (by_a.ravel()[at_a] + by_b.ravel()[at_b] - 2 * pe[pair])) / room[pair]
        correction = np.where(n > 1, n / (n - 1), np.nan)
    kappa_se = np.sqrt(total(count * phi**2) * correction) / n
    agreement_se = np.sqrt(total(count * on_agreement**2) * correction) / n
    return PairStatistics(
        raters=raters if len(raters) else [str(g) for g in range(pairs.n_raters)],
        rater_a=distinct // pairs.n_raters,
        rater_b=distinct % pairs.n_raters,
        items=n.astype(np.int64),
        differing=total(count * (ca != cb)).astype(np.int64),
        agreement=pa,
        agreement_se=agreement_se,
        kappa=kappa,
        kappa_se=kappa_se,
        chance=pe,
        by_a=by_a,
        by_b=by_b,
        influence=phi,
        pair=pair,
        confidence=confidence,
    )


def pairs(
    table: RatingsTable | Grouped, *, weights: str | npt.ArrayLike = "identity", confidence: float = 0.95
) -> PairStatistics:
    """Cohen's kappa and percent agreement, with standard errors, of all pairs of raters who share an item.

    Examples
    --------
    >>> t = RatingsTable.from_matrix([[1, 1], [1, 2], [2, 2], [2, 2]])
    >>> [(row["a"], row["b"], row["items"], round(row["cohen_kappa"].value, 3)) for row in pairs(t).rows()]
    [('1', '2', 4, 0.5)]
    """
    if isinstance(table, Grouped):
        if table.pairs is None:
            raise ValueError("this table was grouped without its rater pairs")
        source, names = table.patterns, table.raters
        w = weight_matrix(weights, source.categories, source.numeric)
        return pair_statistics(table.pairs, w, names, confidence=confidence)
    if table.n_categories > MOST_CATEGORIES:
        return _without_figures(
            pair_table(table, by_product=False), table.raters, too_many(table.n_categories), confidence
        )
    w = weight_matrix(weights, table.categories, table.numeric)
    return pair_statistics(pair_table(table), w, table.raters, confidence=confidence)


def _without_figures(pairs: PairTable, raters: Sequence[str], reason: str, confidence: float) -> PairStatistics:
    """Who shares how many items with whom, and one reason why no more is said."""
    key = np.asarray(pairs.rater_a, np.int64) * pairs.n_raters + np.asarray(pairs.rater_b, np.int64)
    distinct, pair = distinct_codes(key, pairs.n_raters**2)
    m = len(distinct)
    differ = np.asarray(pairs.category_a) != np.asarray(pairs.category_b)
    unknown = np.full(m, np.nan)
    return PairStatistics(
        raters=raters,
        rater_a=distinct // pairs.n_raters,
        rater_b=distinct % pairs.n_raters,
        items=np.bincount(pair, weights=pairs.count, minlength=m).astype(np.int64),
        differing=np.bincount(pair, weights=pairs.count * differ, minlength=m).astype(np.int64),
        agreement=unknown,
        agreement_se=unknown,
        kappa=unknown,
        kappa_se=unknown,
        chance=unknown,
        by_a=np.zeros((m, 0)),
        by_b=np.zeros((m, 0)),
        influence=np.zeros(0),
        pair=pair,
        confidence=confidence,
        reason=reason,
    )
