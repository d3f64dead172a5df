"""Item by item: agreement, entropy, margin, with an interval that respects how few ratings an item has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .patterns import row_blocks

FloatArray = npt.NDArray[np.float64]

MANY = 64
"""Categories above which those an item does not have are drawn once for all items with as many."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemStatistics:
    """Arrays (N,), nan where an item has too few ratings.

    Attributes
    ----------
    ratings : int64
    agreement : float64
        Share of agreeing pairs Σ m(m-1) / (r(r-1)); needs two ratings.
    entropy : float64
        Of the observed shares, in bits; biased low for few ratings: never rank items with different r by it.
    entropy_corrected : float64
        Miller-Madow: entropy + (categories seen - 1) / (2 r ln 2).
    entropy_share : float64
        Entropy divided by log2 K, in [0, 1].
    margin : float64
        Share of the first category minus share of the second.
    minority : float64
        1 - share of the most frequent category.
    """

    ratings: npt.NDArray[np.int64]
    agreement: FloatArray
    entropy: FloatArray
    entropy_corrected: FloatArray
    entropy_share: FloatArray
    margin: FloatArray
    minority: FloatArray


def item_statistics(counts: npt.ArrayLike) -> ItemStatistics:
    """Statistics of each row of an items x categories table of counts.

    Examples
    --------
    >>> s = item_statistics([[3, 0], [2, 1]])
    >>> s.agreement.round(3).tolist(), s.entropy.round(3).tolist()
    ([1.0, 0.333], [0.0, 0.918])
    """
    c = np.asarray(counts, np.float64)
    r = c.sum(axis=1)
    nothing = np.full(len(c), np.nan)
    some, two = r > 0, r >= 2
    p = np.divide(c, r[:, None], out=np.zeros_like(c), where=some[:, None])
    logs = np.log2(p, out=np.zeros_like(p), where=p > 0)
    entropy = np.where(some, np.abs(-(p * logs).sum(axis=1)), np.nan)
    seen = (c > 0).sum(axis=1)
    corrected = entropy + np.divide(seen - 1, 2 * r * np.log(2), out=nothing.copy(), where=some)
    k = c.shape[1]
    ranked = np.sort(p, axis=1)
    second = ranked[:, -2] if k > 1 else np.zeros(len(c))
    return ItemStatistics(
        ratings=r.astype(np.int64),
        agreement=np.divide((c * (c - 1)).sum(axis=1), r * (r - 1), out=nothing.copy(), where=two),
        entropy=entropy,
        entropy_corrected=corrected,
        entropy_share=entropy / np.log2(k) if k > 1 else np.where(some, 0.0, np.nan),
        margin=np.where(some, ranked[:, -1] - second, np.nan),
        minority=np.where(some, 1 - ranked[:, -1], np.nan),
    )


@dataclass(frozen=True, slots=True, eq=False)
class ItemIntervals:
    """Bounds (N, 2): of the chance that two further raters agree on the item, and of the entropy of its raters (bits)."""

    agreement: FloatArray
    entropy: FloatArray


def item_intervals(
    counts: npt.ArrayLike, *, confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> ItemIntervals:
    """Equal-tailed intervals from the posterior Dirichlet(1/2 + m) of an item's label probabilities.

    They stay wide for an item with two or three ratings, however unanimous those are. Equal count vectors get equal
    intervals, whatever else is in the table: each vector has its own seeded draws.

    Parameters
    ----------
    counts : int array (N, K)
    draws : int
        Posterior draws per distinct count vector.

    Examples
    --------
    >>> b = item_intervals([[3, 0], [30, 0]]).agreement
    >>> bool(b[0, 0] < 0.6 < b[1, 0])
    True
    """
    c = np.asarray(counts, np.int64)
    rows, inverse = np.unique(c, axis=0, return_inverse=True)
    tail = [(1 - confidence) / 2, (1 + confidence) / 2]
    agreement, entropy = np.empty((len(rows), 2)), np.empty((len(rows), 2))
    for i, row in enumerate(rows):
        together, bits = _drawn(row, draws, seed) if len(row) <= MANY else _drawn_few(row, draws, seed)
        agreement[i], entropy[i] = np.quantile(together, tail), np.quantile(bits, tail)
    inverse = inverse.reshape(-1)
    return ItemIntervals(agreement[inverse], entropy[inverse])


def _drawn(row: npt.NDArray[np.int64], draws: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Σp² and the entropy (bits) of posterior draws."""
    p = np.random.default_rng([seed, *row.tolist()]).dirichlet(row + 0.5, size=draws)
    logs = np.log2(p, out=np.zeros_like(p), where=p > 0)
    return (p * p).sum(axis=1), -(p * logs).sum(axis=1)


def _drawn_few(row: npt.NDArray[np.int64], draws: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """The same by gamma draws, those of the many categories the item does not have shared by all items alike."""
    has = np.sort(row[row > 0])  # which labels they are does not matter here
    g = np.random.default_rng([seed, *has.tolist()]).standard_gamma(has + 0.5, size=(draws, len(has)))
    total, squares, logs = _of_absent(len(row) - len(has), draws, seed)
    total = total + g.sum(axis=1)
    squares = squares + (g * g).sum(axis=1)
    logs = logs + (g * np.log2(np.maximum(g, 1e-300))).sum(axis=1)
    return squares / total**2, np.log2(total) - logs / total


@lru_cache(maxsize=64)
def _of_absent(k: int, draws: int, seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Σg, Σg² and Σg·log2 g of k draws from gamma(1/2), `draws` times."""
    rng = np.random.default_rng([seed, k])
    out = np.zeros((3, draws))
    for rows in row_blocks(draws, k, 1_000_000):
        g = rng.standard_gamma(0.5, size=(rows.stop - rows.start, k))
        out[0, rows], out[1, rows] = g.sum(axis=1), (g * g).sum(axis=1)
        out[2, rows] = (g * np.log2(np.maximum(g, 1e-300))).sum(axis=1)
    return out[0], out[1], out[2]
