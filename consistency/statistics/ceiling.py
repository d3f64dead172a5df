"""The convention ceiling: what a predictor that knows every item's majority would score against a random rater.

E_i max_k p_ik, where p_ik is the share of *all* raters who would give item i label k. The plug-in mean_i max_k m_ik/r_i
is far too high with few raters (1 from a single label), so items are shrunk towards the overall label shares by as
much as their pairwise agreement calls for, and the result is kept inside bounds that hold whatever the items are like
(docs/statistics.md A.6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .credits import own_credit_sum
from .estimate import Estimate
from .intervals import ALIKE, NO_DISAGREEMENT
from .patterns import row_blocks

__all__ = ["Ceiling", "bracket", "convention_ceiling", "expected_largest_share"]

DRAWS = 2000
SHRINK = (0.001, 0.999)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ceiling:
    """The ceiling with the bounds it was kept in.

    `estimate` carries the interval; `lower` is leave-one-out HLP, `upper` the smaller of the plug-in and the largest
    value the pairwise agreement allows (never below `lower`); `shrinkage` is the kappa that sets how far single items
    are trusted (0.001: the items look alike but for chance; 0.999: each item is its own), None when undefined.
    """

    estimate: Estimate
    lower: float | None
    upper: float | None
    shrinkage: float | None


def expected_largest_share(counts: NDArray[np.int64], prior: Floats) -> Floats:
    """E max_k p_k for p ~ Dirichlet(prior + counts), one value per row of `counts`.

    Parameters
    ----------
    counts : int array (P, K)
    prior : float array (K,)
        Dirichlet parameters before the counts, all > 0.

    Returns
    -------
    float array (P,), each in [1/K, 1]

    Notes
    -----
    Two labels: two incomplete betas. More: with independent gammas G_k the sum is independent of the shares, so
    E max p = E max G / (sum of parameters), and E max G = integral of 1 - prod_k F_k(x) dx, one smooth integral done
    by Gauss-Legendre panels. No draws, hence no seed and no simulation noise.

    Examples
    --------
    >>> expected_largest_share(np.array([[0, 0]]), np.array([1.0, 1.0])).round(6).tolist()
    [0.75]
    """
    from scipy.special import betainc, gammainc

    k = counts.shape[1]
    if k == 1:
        return np.ones(len(counts))
    if k == 2:
        a, b = counts[:, 0] + prior[0], counts[:, 1] + prior[1]
        above = a / (a + b) * (1 - betainc(a + 1, b, 0.5))
        return np.asarray(above + b / (a + b) * betainc(a, b + 1, 0.5))

    largest = float((counts.max(axis=0) + prior).max())
    # x = u^2: a gamma's spread is about 1/2 in u whatever its size, so equal panels in u serve all of them
    end = math.sqrt(largest) + 5.0
    panels = max(8, math.ceil(2 * end))
    node, weight = np.polynomial.legendre.leggauss(5)
    width = end / panels
    u = ((np.arange(panels)[:, None] + (node[None, :] + 1) / 2) * width).ravel()
    w = np.tile(weight * width / 2, panels)
    x, dx = u**2, 2 * u * w

    # log F for every category and every count that occurs; categories an item lacks share one sum
    tiny = np.finfo(float).tiny

    def log_cdf(shape: Floats) -> Floats:
        return np.asarray(np.log(np.maximum(gammainc(shape[:, None], x[None, :]), tiny)))

    absent = log_cdf(prior)
    every = absent.sum(axis=0)
    size = int(counts.max()) + 1
    row, column = np.nonzero(counts)
    key = column * size + counts[row, column]
    keys, which = np.unique(key, return_inverse=True)
    # gain[category and count]: what replaces an absent category's factor
    gain = log_cdf(prior[keys // size] + keys % size) - absent[keys // size]
    starts = np.searchsorted(row, np.arange(len(counts)))
    total = np.asarray(counts.sum(axis=1) + prior.sum(), dtype=float)
    result = np.empty(len(counts))
    busiest = max(1, int(np.diff(np.append(starts, len(row))).max(initial=1)))
    for block in row_blocks(len(counts), len(x) * busiest):
        first, last = starts[block.start], starts[block.stop] if block.stop < len(starts) else len(row)
        logs = np.tile(every, (block.stop - block.start, 1))
        np.add.at(logs, row[first:last] - block.start, gain[which[first:last]])
        result[block] = (1 - np.exp(np.minimum(logs, 0.0))) @ dx
    largest_share: Floats = np.clip(result / total, 1 / k, 1.0)
    return largest_share


def bracket(sums: Floats, n_labels: int) -> tuple[Floats, Floats]:
    """Lower and upper bound of the ceiling from sums over items.

    Parameters
    ----------
    sums : float array (..., 5)
        Over items with two or more ratings: items, ratings, leave-one-out credits, pairwise agreement, largest share.
    n_labels
        Labels observed.
    """
    items, ratings, credit, pairwise, largest = (sums[..., j] for j in range(5))
    lower = credit / ratings
    k = n_labels
    allowed = (1 + np.sqrt((k - 1) * np.maximum(k * pairwise / items - 1, 0.0))) / k
    return lower, np.maximum(lower, np.minimum(largest / items, allowed))


def bracket_vectors(counts: Ints) -> Floats:
    """The five numbers `bracket` sums, one row per count vector (all with two or more ratings), shape (P, 5)."""
    r = counts.sum(axis=1).astype(float)
    pairwise = (counts * (counts - 1)).sum(axis=1) / (r * (r - 1))
    return np.column_stack([np.ones(len(r)), r, own_credit_sum(counts), pairwise, counts.max(axis=1) / r])


def convention_ceiling(
    counts: NDArray[np.integer],
    multiplicity: Ints,
    *,
    n_raters: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
) -> Ceiling:
    """Estimate the convention ceiling from count vectors.

    Parameters
    ----------
    counts : int array (P, K), multiplicity : int array (P,)
        Distinct count vectors and how many items have each; items with one rating are left out here.
    n_raters
        Only for the estimate's counts.
    confidence, seed
        Interval: 2,000 draws of the items; from the lower percentile of the lower bound to the upper percentile of the
        upper bound. (The estimate's own bootstrap covers .01-.97 of the time and is not used.)

    Returns
    -------
    Ceiling

    Examples
    --------
    >>> ceiling = convention_ceiling(np.array([[7, 3]]), np.array([1]))
    >>> round(ceiling.estimate.value, 6)
    0.7
    """
    c = np.asarray(counts, dtype=np.int64)
    several = c.sum(axis=1) >= 2
    singles = int(multiplicity[~several].sum())
    c, m = c[several], np.asarray(multiplicity, dtype=np.int64)[several]
    n_items, n_ratings = int(m.sum()), int(m @ c.sum(axis=1)) if len(m) else 0
    excluded = {"single_rating_items": singles}
    if not n_items:
        missing = Estimate.missing(
            "no item has ratings by two raters", level=confidence, n_raters=n_raters, excluded=excluded
        )
        return Ceiling(missing, None, None, None)
    c = c[:, c.sum(axis=0) > 0]
    k = c.shape[1]
    vectors = bracket_vectors(c)
    sums = m @ vectors
    lower, upper = (float(bound) for bound in bracket(sums, k))
    pairwise = sums[3] / n_items
    shares = (m @ (c / c.sum(axis=1, keepdims=True))) / n_items
    chance = float(shares @ shares)
    if k == 1:
        value, kappa = 1.0, None
    else:
        kappa = float(np.clip((pairwise - chance) / (1 - chance), *SHRINK))
        value = float(m @ expected_largest_share(c, (1 / kappa - 1) * shares)) / n_items
    value = min(max(value, lower), upper)

    low: float | None = None
    high: float | None = None
    notes: tuple[str, ...] = ()
    # draws depend on the five numbers only, and many count vectors share them (they know no label names)
    rows, inverse = np.unique(np.round(vectors, 12), axis=0, return_inverse=True)
    if pairwise > 1 - 1e-12:
        low, high = ((1 - confidence) / 2) ** (1 / n_items), 1.0
        notes = (NO_DISAGREEMENT,)
    elif len(rows) == 1:
        notes = (ALIKE,)
    else:
        weight = np.bincount(inverse.ravel(), weights=m, minlength=len(rows))
        drawn = np.random.default_rng(seed).multinomial(n_items, weight / n_items, size=DRAWS) @ rows
        lowers, uppers = bracket(drawn, k)
        tail = (1 - confidence) / 2
        low, high = float(np.quantile(lowers, tail)), float(np.quantile(uppers, 1 - tail))
    return Ceiling(
        Estimate(
            value=value,
            low=low,
            high=high,
            level=confidence,
            method="items" if low is not None else "none",
            population="for these raters, on items like these",
            n_items=n_items,
            n_raters=n_raters,
            n_ratings=n_ratings,
            excluded=excluded,
            notes=notes,
        ),
        lower,
        upper,
        kappa,
    )
