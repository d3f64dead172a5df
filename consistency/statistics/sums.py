"""The additive sums from which every pooled coefficient is computed.

For a count vector C with r = ΣC_k ratings, the row of features is

    [r ≥ 1,  r ≥ 2,  a,  C_k / r (K),  C_k·[r ≥ 2] (K),  disagreement]

with a = Σ_k C_k((WC)_k - 1) / (r(r-1)) the item's weighted agreement, and the disagreement part either the single number
Σ_kl C_k C_l δ²_kl / (r-1) of a fixed metric or, for the ordinal metric (which depends on the sums themselves), the upper
triangle of the coincidences C_k C_l / (r-1). Sums over items of these rows are all that the coefficients need.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Layout of the feature rows for K categories.

    Attributes
    ----------
    k : int
    weights : float64 (K, K) or None
        Agreement weights; None for identity.
    metric : float64 (K, K), 'ordinal' or None
        δ² of Krippendorff's alpha; None leaves the disagreement out.
    """

    k: int
    weights: FloatArray | None = None
    metric: FloatArray | str | None = None
    _upper: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.metric, str) and self.metric != "ordinal":
            raise ValueError(f"unknown metric {self.metric!r}")
        size = self.k if isinstance(self.metric, str) else 1
        object.__setattr__(self, "_upper", np.triu_indices(size, 1))

    @property
    def width(self) -> int:
        tail = 0 if self.metric is None else len(self._upper[0]) if isinstance(self.metric, str) else 1
        return 3 + 2 * self.k + tail

    @property
    def shares(self) -> slice:
        return slice(3, 3 + self.k)

    @property
    def pairable(self) -> slice:
        return slice(3 + self.k, 3 + 2 * self.k)

    @property
    def disagreement(self) -> slice:
        return slice(3 + 2 * self.k, self.width)

    def features(self, counts: npt.NDArray[np.int32]) -> FloatArray:
        """Feature rows (n, width) of count rows (n, K); a row of zeros is an item without ratings."""
        c = counts.astype(np.float64)
        r = c.sum(axis=1)
        two = r >= 2
        out = np.zeros((len(c), self.width))
        out[:, 0] = r >= 1
        out[:, 1] = two
        together = (np.einsum("ij,ij->i", c, c) if self.weights is None else quadratic_forms(c, self.weights)) - r
        np.divide(together, r * (r - 1), out=out[:, 2], where=two)
        np.divide(c, r[:, None], out=out[:, self.shares], where=(r > 0)[:, None])
        out[:, self.pairable] = c * two[:, None]
        if isinstance(self.metric, str):
            i, j = self._upper
            rest = np.where(two, r - 1, 1.0)
            out[:, self.disagreement] = c[:, i] * c[:, j] * (two / rest)[:, None]
        elif self.metric is not None:
            apart = quadratic_forms(c, self.metric)
            np.divide(apart, r - 1, out=out[:, -1], where=two)
        return out

    def expand(self, upper: FloatArray) -> FloatArray:
        """Coincidences (..., K, K), symmetric with an empty diagonal, from their upper triangle (..., K(K-1)/2)."""
        full = np.zeros((*upper.shape[:-1], self.k, self.k))
        i, j = self._upper
        full[..., i, j] = upper
        full[..., j, i] = upper
        return full

    def fold(self, full: FloatArray) -> FloatArray:
        """Upper triangle of a symmetric K x K matrix."""
        picked: FloatArray = full[..., self._upper[0], self._upper[1]]
        return picked


DENSE = 64
"""Categories up to which a plain product is quicker than picking out those an item has."""


def quadratic_forms(c: FloatArray, m: FloatArray) -> FloatArray:
    """cᵀ M c of each row of counts c (n, K): over the few categories an item has where K is large."""
    k = c.shape[1]
    if k <= DENSE:
        plain: FloatArray = np.einsum("ij,ij->i", c @ m, c)
        return plain
    out = np.zeros(len(c))
    row, column = np.nonzero(c)
    start = np.searchsorted(row, np.arange(len(c) + 1))
    width = np.diff(start)
    for w in np.unique(width[width > 0]).tolist():
        rows = np.flatnonzero(width == w)
        if w * w * 4 > k * k:
            out[rows] = np.einsum("ij,ij->i", c[rows] @ m, c[rows])
            continue
        step = max(1, 4_000_000 // (w * w))
        for at in range(0, len(rows), step):
            part = rows[at : at + step]
            has = column[start[part][:, None] + np.arange(w)]
            count = np.take_along_axis(c[part], has, axis=1)
            out[part] = np.einsum("iv,ivw,iw->i", count, m[has[:, :, None], has[:, None, :]], count)
    return out


def mid_ranks(n: FloatArray) -> FloatArray:
    """Mid-ranks of the categories from their pairable counts n (..., K): δ²_ordinal is their squared difference."""
    ranks: FloatArray = np.cumsum(n, axis=-1) - n / 2.0
    return ranks


def squared_gaps(x: FloatArray) -> FloatArray:
    """(x_k - x_l)² for (..., K): (..., K, K)."""
    squares: FloatArray = (x[..., :, None] - x[..., None, :]) ** 2
    return squares
