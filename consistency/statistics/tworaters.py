"""What only two raters have: the contingency table, prevalence and bias, PABAK, Bangdiwala's B."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .engine import basis_of, grouped_of
from .estimate import Estimate
from .intervals import Variances, items_variance, make_estimate, missing
from .ratings import RatingsTable

FloatArray = npt.NDArray[np.float64]


def contingency(table: RatingsTable) -> npt.NDArray[np.int64]:
    """Items both raters rated, first rater in rows: int64 (K, K). More or fewer raters are a ValueError."""
    if table.n_raters != 2:
        raise ValueError(f"a contingency table has two raters, here are {table.n_raters}")
    k = table.n_categories
    out = np.zeros((k, k), np.int64)
    both = table.ratings_per_item()[table.item] == 2
    value = table.value[both].reshape(-1, 2)
    np.add.at(out, (value[:, 0], value[:, 1]), 1)
    return out


@dataclass(frozen=True, slots=True)
class TwoByTwo:
    """Why kappa of a 2 x 2 table is what it is (Byrt, Bishop and Carlin 1993).

    `prevalence_index` |a - d| / n: near 1 kappa is low however well raters agree. `bias_index` |b - c| / n: raters use
    the labels in different proportions. `pabak` = 2 p_o - 1 is kappa without both.
    """

    prevalence_index: float
    bias_index: float
    pabak: float
    positive_agreement: float | None
    negative_agreement: float | None


def two_by_two(counts: npt.ArrayLike) -> TwoByTwo:
    """Indices of a 2 x 2 table [[a, b], [c, d]]; a table without items is a ValueError.

    >>> two_by_two([[80, 10], [5, 5]]).prevalence_index
    0.75
    """
    t = np.asarray(counts, np.float64)
    if t.shape != (2, 2):
        raise ValueError(f"the indices are for a 2 x 2 table, not {t.shape}")
    n = float(t.sum())
    if n <= 0:
        raise ValueError("the table is empty")
    (a, b), (c, d) = t.tolist()
    return TwoByTwo(
        prevalence_index=abs(a - d) / n,
        bias_index=abs(b - c) / n,
        pabak=2 * (a + d) / n - 1,
        positive_agreement=2 * a / (2 * a + b + c) if a + b + c else None,
        negative_agreement=2 * d / (2 * d + b + c) if d + b + c else None,
    )


def bangdiwala_b(table: RatingsTable, *, confidence: float = 0.95) -> Estimate:
    """Bangdiwala's B (1985): Σ n_kk² / Σ n_k. n_.k, the agreement chart's dark share of the rectangles."""
    basis = basis_of(grouped_of(table))
    if table.n_raters != 2:
        return missing(f"Bangdiwala's B is for two raters, here are {table.n_raters}", basis, confidence)
    n = contingency(table).astype(np.float64)
    total = int(n.sum())
    rows, columns = n.sum(axis=1), n.sum(axis=0)
    if not total:
        return missing("these two raters have no item in common", basis, confidence)
    bottom = float(rows @ columns)
    if bottom == 0:
        return missing("the two raters share no label at all", basis, confidence)
    top = float((np.diag(n) ** 2).sum())
    b = top / bottom
    influence = (2 * np.diag(np.diag(n)) - b * (columns[:, None] + rows[None, :])) / bottom
    seen = n > 0
    vi = items_variance(influence[seen], n[seen], total)
    return make_estimate(
        b, Variances(vi), basis, scale="unit", confidence=confidence, chance=0.0 if b < 1 or seen.sum() > 1 else None
    )
