"""Is there any agreement beyond chance at all? The test against zero, which is no interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .engine import grouped_of
from .patterns import Grouped, PatternTable
from .ratings import RatingsTable


@dataclass(frozen=True, slots=True)
class NullTest:
    """Fleiss' kappa, its standard error if the true kappa were 0, and z; `p` is one-sided."""

    kappa: float
    se_null: float
    z: float
    p: float


def fleiss_null_test(table: RatingsTable | PatternTable | Grouped) -> NullTest | str:
    """Fleiss, Nee and Landis (1979); only for tables where every item has the same number of ratings.

    The standard error holds under chance agreement only: never use it for an interval. Returns the reason in words
    where the test does not exist.

    Examples
    --------
    >>> t = fleiss_null_test(PatternTable.from_counts([[3, 0], [0, 3], [3, 0], [0, 3]]))
    >>> round(t.kappa, 3), round(t.z, 2)
    (1.0, 3.46)
    """
    patterns = grouped_of(table).patterns
    r = np.unique(patterns.per_item)
    if len(r) != 1 or r[0] < 2:
        return "the test needs the same number of ratings, at least two, on every item"
    n, m = patterns.n_items, int(r[0])
    c = patterns.counts.astype(np.float64)
    p = patterns.multiplicity @ c / (n * m)
    q = 1 - p
    spread = float(p @ q)
    if spread <= 0:
        return "every rating is the same category: agreement by chance is certain, nothing is left to measure"
    observed = float(patterns.multiplicity @ ((c * c).sum(axis=1) - m)) / (n * m * (m - 1))
    kappa = (observed - (1 - spread)) / spread
    variance = 2 * (spread**2 - float((p * q) @ (q - p))) / (spread**2 * n * m * (m - 1))
    from scipy.special import ndtr

    z = kappa / float(np.sqrt(variance))
    return NullTest(kappa, float(np.sqrt(variance)), z, float(ndtr(-z)))
