"""Intervals of figures between two bodies of raters, such as two cohorts (docs/statistics.md A.5, rule for cohorts)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from .estimate import Estimate
from .intervals import ALIKE, NO_DISAGREEMENT, TOO_FEW, ZERO, Kind, Scale, Variances, bounds, t_quantile
from .item_sums import ItemGroups

__all__ = ["rater_positions", "two_body_estimate"]


def rater_positions(
    groups: ItemGroups, second: npt.NDArray[np.bool_], used: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Among the raters with labels in the groups `used`, the positions of the first and of the second body."""
    of_second = second[groups.labels_of_raters(used) > 0]
    return np.flatnonzero(~of_second).astype(np.int64), np.flatnonzero(of_second).astype(np.int64)


def two_body_estimate(
    value: float,
    variances: Variances,
    raters: tuple[int, int],
    items: int,
    *,
    scale: Scale,
    kind: Kind,
    confidence: float,
    fewest: int = 2,
    n_ratings: int = 0,
    disagreeing: int | None = None,
    chance: float | None = None,
    excluded: Mapping[str, int] | None = None,
) -> Estimate:
    """Estimate of a figure between two bodies of raters (docs/statistics.md A.5, rule for cohorts).

    se^2 = max(Vi, Vr, Vi + Vr - Vir) with Vr the sum of the two jackknives and t(R_X + R_Y - 2), from `fewest` raters in
    each body on; below that, or with ``kind="items"``, items only, "for these raters".

    Parameters
    ----------
    value, variances, scale, kind, confidence
        As in `intervals.make_estimate`.
    raters
        Raters in either body.
    items
        Items behind the figure: N of the items-only t quantile.
    disagreeing
        Items on which the bodies differ; below five (or below 20 items) the estimate says "too few".
    chance
        For the bound when nobody ever disagreed; None: no such bound.
    """
    two_way = kind != "items" and min(raters) >= fewest and variances.raters is not None
    notes: list[str] = []
    if items < 20 or (disagreeing is not None and disagreeing < 5):
        notes.append(TOO_FEW)
    variance = variances.two_way if two_way else variances.items
    method, low, high = ("two_way" if two_way else "items"), None, None
    se = None if variance is None else math.sqrt(variance)
    population = (
        "for raters of these cohorts and items like these" if two_way else "for these raters, on items like these"
    )
    if kind != "items" and not two_way:
        few = f"{min(raters)} rater{'s' if min(raters) != 1 else ''} in a cohort"
        population = f"for these raters; {few} are too few to speak about raters in general".replace(
            "1 rater in a cohort are", "one rater in a cohort is"
        )
    if two_way and sum(raters) < 10:
        notes.append(f"assumes that no kind of rater is missing from the {sum(raters)}")
    if se is None:
        method = "none"
        notes.append("one item only: no interval")
    elif se < ZERO:
        if chance is not None and value >= 1 - 1e-12 and items:
            bound = ((1 - confidence) / 2) ** (1 / items)
            low, high, method = (bound - chance) / (1 - chance), 1.0, "items"
            notes.append(NO_DISAGREEMENT)
        else:
            notes.append(ALIKE)
    else:
        half = t_quantile((1 + confidence) / 2, sum(raters) - 2 if two_way else items - 1)
        low, high, _ = bounds(value, se, half, scale)
    return Estimate(
        value=value,
        low=low,
        high=high,
        se=se,
        se_items=None if variances.items is None else math.sqrt(variances.items),
        se_raters=None if variances.raters is None else math.sqrt(variances.raters),
        level=confidence,
        method=method,
        population=population,
        n_items=items,
        n_raters=sum(raters),
        n_ratings=n_ratings,
        excluded=excluded or {},
        notes=tuple(notes),
    )
