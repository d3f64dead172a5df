"""The exact item bootstrap on patterns: resampling N items is one multinomial draw of the multiplicities.

A replicate costs the number of patterns, not the number of items: the same at ten thousand and at a hundred million
labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .patterns import row_blocks

FloatArray = npt.NDArray[np.float64]

FEWEST = 2000
MOST_PATTERNS = 5000


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """Bootstrap values (B, Q), nan where a replicate is degenerate (say, one category only)."""

    values: FloatArray

    @property
    def degenerate(self) -> npt.NDArray[np.int64]:
        """Degenerate replicates by statistic: (Q,)."""
        number: npt.NDArray[np.int64] = np.isnan(self.values).sum(axis=0).astype(np.int64)
        return number

    def variance(self) -> FloatArray:
        """Variance over the replicates that are defined: (Q,), nan where fewer than two are."""
        out = np.full(self.values.shape[1], np.nan)
        for q in range(self.values.shape[1]):
            defined = self.values[~np.isnan(self.values[:, q]), q]
            if len(defined) > 1:
                out[q] = defined.var(ddof=1)
        return out

    def percentile(self, confidence: float) -> FloatArray:
        """Percentile bounds (2, Q) over the defined replicates."""
        tail = (1 - confidence) / 2
        bounds: FloatArray = np.nanquantile(self.values, [tail, 1 - tail], axis=0)
        return bounds


def check_replicates(replicates: int) -> None:
    """0 (none) or at least 2,000; anything else is a ValueError."""
    if replicates and replicates < FEWEST:
        raise ValueError(f"{replicates} bootstrap replicates are too few: 0 for none, or at least {FEWEST}")


def bootstrap_items(
    features: FloatArray,
    multiplicity: npt.ArrayLike,
    values: Callable[[FloatArray], FloatArray],
    *,
    replicates: int = FEWEST,
    seed: int = 0,
) -> Replicates:
    """Resample the items with replacement.

    Parameters
    ----------
    features : float64 (P, S)
        Feature row of each pattern.
    multiplicity : int (P,)
    values : callable
        From sums (B, S) to statistics (B, Q); nan marks a degenerate replicate.
    replicates : int
    seed : int
        The same seed gives the same replicates.

    Returns
    -------
    Replicates

    Examples
    --------
    >>> f = np.array([[1.0, 1.0], [1.0, 0.0]])
    >>> r = bootstrap_items(f, [50, 50], lambda t: t[:, 1:] / t[:, :1], seed=1)
    >>> r.values.shape, bool(abs(r.variance()[0] - 0.25 / 100) < 3e-4)
    ((2000, 1), True)
    """
    m = np.asarray(multiplicity, np.int64)
    n = int(m.sum())
    rng = np.random.default_rng(seed)
    out: list[FloatArray] = []
    for block in row_blocks(replicates, len(m), 2_000_000):
        drawn = rng.multinomial(n, m / n, size=block.stop - block.start)
        out.append(values(drawn.astype(np.float64) @ features))
    return Replicates(np.concatenate(out) if out else np.zeros((0, 0)))
