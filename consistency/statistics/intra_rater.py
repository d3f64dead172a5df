"""Self-agreement: the same rater, the same item, later. The ceiling of what raters can agree with each other.

Repeats never enter agreement between raters. Here the sessions of one rater stand as "raters": mean pairwise agreement
of their labels of an item, and Krippendorff's alpha, with intervals over items (docs/statistics.md A.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .agreement import LEVELS, coefficient, metric_of, require_numbers
from .bootstrap import check_replicates
from .continuous import MOST_CATEGORIES
from .estimate import Estimate
from .intervals import Basis, Kind, Variances, effective_raters, items_variance, make_estimate, raters_variance
from .ratings import RatingsTable

__all__ = ["FEW_REPEATS", "RaterConsistency", "SelfAgreement", "pooled_self_agreement", "self_agreement"]

FEW_REPEATS = 50
NO_REPEATS = "nobody labeled an item twice"
GAP = "only as good as the break between the two labels: after a short one people remember their answer"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RaterConsistency:
    """One rater against themselves.

    Attributes
    ----------
    repeats
        Items they labeled more than once.
    consistent
        Mean pairwise agreement of their labels of such an item, in [0, 1].
    alpha
        Krippendorff's alpha with sessions as raters.
    """

    repeats: int
    consistent: Estimate
    alpha: Estimate

    def as_json(self) -> dict[str, Any]:
        return {"repeats": self.repeats, "consistent": self.consistent.as_json(), "alpha": self.alpha.as_json()}


@dataclass(frozen=True)
class SelfAgreement:
    """Every rater with repeats, by name, and all repeats together (each repeated item of each rater counts once)."""

    raters: dict[str, RaterConsistency]
    pooled: Estimate

    def as_json(self) -> dict[str, Any]:
        """{RATER: {repeats, consistent, alpha}}, as the command line's contract has it."""
        return {name: found.as_json() for name, found in self.raters.items()}


def self_agreement(
    table: RatingsTable,
    *,
    level: str = "nominal",
    confidence: float = 0.95,
    interval: Kind = "auto",
    bootstrap: int = 0,
    seed: int = 0,
) -> SelfAgreement:
    """Agreement of each rater with their own repeated labels.

    Parameters
    ----------
    table
        `table.repeats` holds the later labels; the first counts as session 1.
    level
        Metric of alpha: nominal, ordinal, interval or ratio.
    confidence, bootstrap, seed
        As for every coefficient. One rater's intervals are always over items; `interval` is for `pooled`.

    Returns
    -------
    SelfAgreement
        `raters` is empty where nobody labeled an item twice.

    Examples
    --------
    >>> rows = [("a", "gene", "x"), ("a", "gene", "x"), ("b", "gene", "y"), ("b", "gene", "x")]
    >>> self_agreement(RatingsTable.from_records(rows)).raters["gene"].consistent.value
    0.5
    """
    check_replicates(bootstrap)
    if level not in LEVELS or table.n_categories <= MOST_CATEGORIES:
        metric_of(level, table.categories, table.numeric)  # refuses what cannot be measured, repeats or not
    elif level in ("interval", "ratio"):
        require_numbers(table.categories, table.numeric, level)
    item, rater, value, sequence = table.repeated()
    order = np.argsort(rater, kind="stable")
    bounds = np.searchsorted(rater[order], np.arange(table.n_raters + 1))
    found: dict[str, RaterConsistency] = {}
    for g in map(int, np.unique(rater)):
        rows = order[bounds[g] : bounds[g + 1]]
        # labels nobody gave here change neither figure, and small tables are quick
        labels, code = np.unique(value[rows], return_inverse=True)
        items, place = np.unique(item[rows], return_inverse=True)
        sessions = RatingsTable.from_codes(
            place.reshape(-1),
            sequence[rows],
            code.reshape(-1),
            categories=[table.categories[k] for k in labels],
        )
        how: dict[str, Any] = {"interval": "items", "confidence": confidence, "bootstrap": bootstrap, "seed": seed}
        estimates = {
            name: coefficient(sessions, name, level=level, **how)
            for name in ("percent_agreement", "krippendorff_alpha")
        }
        found[table.raters[g]] = RaterConsistency(
            repeats=len(items),
            consistent=_of_one(estimates["percent_agreement"], len(items)),
            alpha=_of_one(estimates["krippendorff_alpha"], len(items)),
        )
    return SelfAgreement(found, pooled_self_agreement(table, interval=interval, confidence=confidence))


def _of_one(estimate: Estimate, repeats: int) -> Estimate:
    """Say that one rater stands behind the sessions."""
    few = (f"{repeats} repeats; {FEW_REPEATS} or more make a steady figure",) if repeats < FEW_REPEATS else ()
    population = "for this rater, on items like these" if estimate.population else ""
    return replace(
        estimate, n_raters=1, se_raters=None, population=population, excluded={}, notes=(*estimate.notes, *few, GAP)
    )


def pooled_self_agreement(table: RatingsTable, *, interval: Kind = "auto", confidence: float = 0.95) -> Estimate:
    """Mean self-agreement over all (rater, item) with repeats, each counting once.

    Its interval treats a rater's repeats as one cluster, and an item's as another (A.11). Undefined without repeats.
    """
    if not len(table.repeats):
        return Estimate.missing(NO_REPEATS, level=confidence, n_items=table.n_items, n_raters=table.n_raters)
    item, rater, value, _ = table.repeated()
    unit = np.append(True, (item[1:] != item[:-1]) | (rater[1:] != rater[:-1])).cumsum() - 1
    first = np.flatnonzero(np.append(True, unit[1:] != unit[:-1]))
    size = np.bincount(unit).astype(float)
    k = max(1, table.n_categories)
    cells, counts = np.unique(unit.astype(np.int64) * k + value, return_counts=True)
    agreed = np.bincount(cells // k, weights=counts * (counts - 1.0), minlength=len(size)) / (size * (size - 1))
    score, unit_item, unit_rater = agreed, item[first], rater[first]
    mean, n = float(score.mean()), len(score)
    influence = (score - mean) / n
    items, place = np.unique(unit_item, return_inverse=True)
    raters, who = np.unique(unit_rater, return_inverse=True)
    by_rater = np.bincount(who.reshape(-1))
    per_item: Floats = np.bincount(place.reshape(-1), weights=influence).astype(float)
    left = n - by_rater
    with np.errstate(invalid="ignore", divide="ignore"):
        without = (score.sum() - np.bincount(who.reshape(-1), weights=score)) / left
    variances = Variances(
        items_variance(per_item, np.ones(len(items)), len(items)),
        raters_variance(np.where(left > 0, without, np.nan)),
        float((influence**2).sum()),
    )
    basis = Basis(
        n_items=len(items),
        n_raters=len(raters),
        n_ratings=len(item),
        pairable=len(items),
        disagreeing=len(np.unique(unit_item[score < 1])),
        raters=len(raters),
        effective_raters=effective_raters(by_rater),
    )
    return make_estimate(mean, variances, basis, scale="unit", kind=interval, confidence=confidence, notes=(GAP,))
