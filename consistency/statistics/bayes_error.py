"""An estimate of the irreducible error from soft labels (Ishida et al. 2023), bracketed where raters are few.

mean_i (1 - max_k p_ik). It measures how ambiguous items are to raters, and equals the Bayes error only if raters answer
like draws from P(y | x): a shared mistake or a convention moves it without touching the task's difficulty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .ceiling import convention_ceiling
from .estimate import Estimate
from .intervals import TOO_FEW, bounds, t_quantile
from .ratings import RatingsTable

__all__ = ["CAVEAT", "BayesError", "bayes_error", "bayes_error_of_soft_labels"]

CAVEAT = "the Bayes error only if raters answer like draws from P(y | x)"


@dataclass(frozen=True)
class BayesError:
    """Estimate and bracket.

    `estimate` is 1 - the convention ceiling (Dirichlet estimate, which corrects for few raters); the truth lies between
    `lower` (1 - upper bound of the ceiling) and `upper` (1 - leave-one-out HLP); `plug_in` is the uncorrected
    mean_i (1 - max_k m_ik / r_i), too low with few raters. None where undefined.
    """

    estimate: Estimate
    plug_in: float | None
    lower: float | None
    upper: float | None

    def as_json(self) -> dict[str, Any]:
        return {
            "estimate": self.estimate.as_json(),
            "plug_in": self.plug_in,
            "lower": self.lower,
            "upper": self.upper,
        }


def bayes_error(table: RatingsTable, *, confidence: float = 0.95, seed: int = 0) -> BayesError:
    """Estimate the irreducible error from a ratings table.

    Parameters
    ----------
    table
        Items with one rating are left out: a single label shows no ambiguity.
    confidence, seed
        Of the interval, see `convention_ceiling`.

    Returns
    -------
    BayesError

    Examples
    --------
    >>> rows = [(f"i{j}", f"r{g}", "b" if (j + g) % 5 == 0 else "a") for j in range(40) for g in range(5)]
    >>> error = bayes_error(RatingsTable.from_records(rows))
    >>> round(error.plug_in, 3), error.lower <= error.estimate.value <= error.upper
    (0.2, True)
    """
    patterns = table.patterns()
    found = convention_ceiling(
        patterns.counts, patterns.multiplicity, n_raters=table.n_raters, confidence=confidence, seed=seed
    )
    ceiling = found.estimate
    counts: Mapping[str, Any] = {
        "level": confidence,
        "n_items": ceiling.n_items,
        "n_raters": ceiling.n_raters,
        "n_ratings": ceiling.n_ratings,
        "excluded": ceiling.excluded,
    }
    if ceiling.value is None or found.lower is None or found.upper is None:
        return BayesError(Estimate.missing(ceiling.undefined or "", **counts), None, None, None)
    r = patterns.per_item
    several = r >= 2
    m = patterns.multiplicity[several]
    plug_in = 1 - float(m @ (patterns.counts[several].max(axis=1) / r[several])) / int(m.sum())
    estimate = Estimate(
        value=1 - ceiling.value,
        low=None if ceiling.high is None else 1 - ceiling.high,
        high=None if ceiling.low is None else 1 - ceiling.low,
        method=ceiling.method,
        population=ceiling.population,
        notes=(*ceiling.notes, CAVEAT),
        **counts,
    )
    return BayesError(estimate, plug_in, 1 - found.upper, 1 - found.lower)


def bayes_error_of_soft_labels(probabilities: npt.ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Mean of 1 - max_k p_ik over items whose label distributions are given and taken as exact.

    Parameters
    ----------
    probabilities
        (N, K), rows of non-negative numbers that sum to 1, such as a known share of all raters. Shares of a few raters
        are not exact: use `bayes_error` on the ratings.

    Returns
    -------
    Estimate
        Interval over items, on the logit scale.

    Raises
    ------
    ValueError
        Naming the first row that is no distribution.

    Examples
    --------
    >>> round(bayes_error_of_soft_labels([[.7, .3], [1., 0.], [.5, .5]]).value, 4)
    0.2667
    """
    p = np.asarray(probabilities, dtype=float)
    if p.ndim != 2:
        raise ValueError("soft labels are a table: one row per item, one column per label")
    wrong = (p < -1e-12).any(axis=1) | ~(np.abs(p.sum(axis=1) - 1) < 1e-6)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"row {row + 1}: {p[row].tolist()} is no distribution (numbers of 0 or more that sum to 1)")
    n = len(p)
    if n == 0:
        return Estimate.missing("there are no items", level=confidence)
    errors = 1 - p.max(axis=1)
    value = float(errors.mean())
    se = float(errors.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    low = high = None
    notes = [CAVEAT] + ([TOO_FEW] if n < 20 else [])
    if se is not None and se > 1e-10:
        low, high, _ = bounds(value, se, t_quantile((1 + confidence) / 2, n - 1), "unit")
    else:
        notes.append("every item is alike: no interval" if n > 1 else "one item only: no interval")
    return Estimate(
        value=value,
        low=low,
        high=high,
        se=se,
        se_items=se,
        level=confidence,
        method="items" if low is not None else "none",
        population="items like these",
        n_items=n,
        notes=tuple(notes),
    )
