"""What each item, each label and each rater contributes to a coefficient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .agreement import NAMES, metric_of, require_numbers
from .bylabel import alpha_by_label, pairable_labels, too_much_for_ratio
from .byrater import analyse_conger, analyse_light
from .coefficients import POOLED
from .continuous import MOST_CATEGORIES, too_many
from .engine import analyse, labels_per_rater, sums_of
from .intervals import Variances, items_variance, raters_variance
from .pairs import pair_statistics, pair_table
from .ratings import RatingsTable
from .sums import Sums
from .weights import weight_matrix

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Influences:
    """One coefficient of one table, taken apart.

    Attributes
    ----------
    value : float
    variances : Variances
    by_item : float64 (N,)
        g·V_i: adding them up (about their mean) gives the coefficient's linear change.
    by_label : float64 (n,)
        g·(V_{p-e_c} - V_p) of each label.
    without : dict
        θ without the rater, by rater index; empty below three raters.
    used : bool (N,)
        Items that belong to the statistic.
    raters_present : int
        Raters with labels on items rated twice.
    """

    value: float
    variances: Variances
    by_item: FloatArray
    by_label: FloatArray
    without: dict[int, float]
    used: npt.NDArray[np.bool_]
    raters_present: int

    @property
    def n_used(self) -> int:
        return int(self.used.sum())


def influences(
    table: RatingsTable, name: str, *, level: str = "nominal", weights: str | npt.ArrayLike = "identity"
) -> Influences | str:
    """Take one coefficient apart; the reason, in words, where it is undefined.

    Raises
    ------
    ValueError
        Unknown coefficient, level or weights.
    """
    if name not in NAMES:
        raise ValueError(f"unknown coefficient {name!r}: use one of {', '.join(NAMES)}")
    if table.n_categories > MOST_CATEGORIES:
        return _by_label(table, name, level)
    patterns, transitions = table.patterns(), table.transitions()
    assert patterns.index is not None
    present = int((labels_per_rater(patterns, transitions) > 0).sum())
    two = table.ratings_per_item() >= 2
    w = weight_matrix(weights, table.categories, table.numeric)
    if name in ("cohen_kappa", "scott_pi") and table.n_raters != 2:
        return f"it is for two raters, here are {table.n_raters}"
    if name in ("cohen_kappa", "light_kappa", "conger_kappa"):
        if name == "conger_kappa":
            found = analyse_conger(patterns, transitions, w, table)
            used = np.ones(table.n_items, np.bool_)
        else:
            pairs = pair_table(table)
            stats = pair_statistics(pairs, w, table.raters)
            found, used = analyse_light(stats, w, table, table.n_raters, pairs.rows), two
        if isinstance(found, str):
            return found
        assert found.by_item is not None
        assert found.by_label is not None
        return Influences(found.value, found.variances, found.by_item, found.by_label, found.without, used, present)
    identity = isinstance(weights, str) and weights == "identity"
    metric = metric_of(level, table.categories, table.numeric) if name == "krippendorff_alpha" else None
    sums, c = Sums(table.n_categories, None if identity else w, metric), POOLED[name]
    t = sums_of(patterns, sums)
    reason = c.reason(sums, t)
    if reason is not None:
        return reason
    gradient = c.gradient(sums, t)
    result = analyse(
        patterns,
        transitions,
        sums,
        lambda x: c.value(sums, x)[..., None],
        lambda x: gradient[:, None],
        singles=[c.singles],
    )
    of_pattern = sums.features(patterns.counts) @ gradient
    pattern, category, _ = patterns.cells()
    less = patterns.counts[pattern]
    less[np.arange(len(pattern)), category] -= 1
    of_cell = np.zeros(patterns.counts.shape)
    of_cell[pattern, category] = sums.features(less) @ gradient - of_pattern[pattern]
    without: dict[int, float] = {}
    if result.without is not None and result.raters_present is not None:
        without = dict(zip(result.raters_present.tolist(), result.without[:, 0].tolist(), strict=True))
    return Influences(
        float(result.values[0]),
        result.variances[0],
        of_pattern[patterns.index],
        of_cell[patterns.index[table.item], table.value],
        without,
        np.ones(table.n_items, np.bool_) if c.singles else two,
        present,
    )


def _by_label(table: RatingsTable, name: str, level: str) -> Influences | str:
    """Numbers with too many different values for categories: only alpha can be taken apart."""
    if name != "krippendorff_alpha" or level == "nominal":
        return too_many(table.n_categories)
    if level in ("interval", "ratio"):
        require_numbers(table.categories, table.numeric, level)
    found = alpha_by_label(table, level) if level != "ratio" or not too_much_for_ratio(table) else None
    if found is None:
        return "nothing varies, or too many different numbers for this level"
    keep = pairable_labels(table)
    used = np.bincount(table.item[keep], minlength=table.n_items) > 0
    raters = np.flatnonzero(np.bincount(table.rater[keep], minlength=table.n_raters))
    n = int(used.sum())
    without = found.without[raters]
    variances = Variances(
        items_variance(found.influence[used], np.ones(n), n), raters_variance(without), float((found.loss**2).sum())
    )
    by_rater = dict(zip(raters.tolist(), without.tolist(), strict=True)) if len(raters) >= 3 else {}
    return Influences(found.value, variances, found.influence, found.loss, by_rater, used, len(raters))
