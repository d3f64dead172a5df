"""Intervals that cover: which variance, which scale, and whom the interval speaks about.

Three variances of a coefficient θ are kept apart: Vi (other items, these raters), Vr (other raters, delete-one-rater
jackknife) and Vir (single labels, contained in both). The two-way variance is max(Vi, Vr, Vi + Vr - Vir): that of Owen
(2007) and of Cameron, Gelbach and Miller (2011), never below either margin. Quantities in [0, 1] get their interval on
the logit scale, kappa-like ones on the atanh scale, with Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from .estimate import Estimate

FloatArray = npt.NDArray[np.float64]
Kind = Literal["auto", "two_way", "items"]
Scale = Literal["unit", "kappa", "raw"]

TOO_FEW = "too few to say"
ALIKE = "every item disagrees alike: no interval"
NO_DISAGREEMENT = "nobody ever disagreed: the lower bound is what the number of items allows"
ZERO = 1e-10  # a standard error below this is rounding, not variation


@dataclass(frozen=True, slots=True)
class Variances:
    """Vi, Vr and Vir of one statistic; None where one does not exist (one item; fewer than three raters)."""

    items: float | None
    raters: float | None = None
    labels: float = 0.0

    @property
    def two_way(self) -> float | None:
        """max(Vi, Vr, Vi + Vr - Vir)."""
        if self.items is None or self.raters is None:
            return None
        return max(self.items, self.raters, self.items + self.raters - self.labels)


@dataclass(frozen=True, slots=True)
class Basis:
    """What a figure rests on.

    Attributes
    ----------
    n_items, n_raters, n_ratings : int
        As shown beside the figure.
    pairable : int
        Items with two or more ratings: N of the t quantile and of the bound when nobody disagreed.
    disagreeing : int
        Items on which any two raters differ.
    raters : int or None
        R: raters with labels on pairable items; None when nobody knows who rated.
    effective_raters : float
        (Σ n_g)² / Σ n_g² over labels on pairable items.
    """

    n_items: int
    n_raters: int
    n_ratings: int
    pairable: int
    disagreeing: int
    raters: int | None
    effective_raters: float
    excluded: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


def effective_raters(labels_per_rater: npt.ArrayLike) -> float:
    """(Σ n_g)² / Σ n_g²: how many equally busy raters these amount to (Kish).

    >>> effective_raters([10, 10, 10])
    3.0
    """
    n = np.asarray(labels_per_rater, np.float64)
    squares = float((n * n).sum())
    return float(n.sum()) ** 2 / squares if squares > 0 else 0.0


def t_quantile(p: float, df: float) -> float:
    """Quantile of Student's t with `df` > 0 degrees of freedom (not necessarily whole)."""
    from scipy.special import stdtrit

    return float(stdtrit(df, p))


def items_variance(influence: FloatArray, multiplicity: npt.ArrayLike, n: int) -> float | None:
    """Vi = n/(n-1) Σ_i (g·V_i - mean)², influences g·V_i given by pattern; None below two items."""
    if n < 2:
        return None
    m = np.asarray(multiplicity, np.float64)
    mean = float(m @ influence) / n
    return float(m @ (influence - mean) ** 2) * n / (n - 1)


def raters_variance(without: FloatArray) -> float | None:
    """Vr = (R-1)/R Σ (θ(-g) - mean)² from the values θ(-g) without each rater; None if R < 3 or one is undefined."""
    r = len(without)
    if r < 3 or not np.all(np.isfinite(without)):
        return None
    return float(((without - without.mean()) ** 2).sum()) * (r - 1) / r


def make_estimate(
    value: float,
    variances: Variances,
    basis: Basis,
    *,
    scale: Scale = "kappa",
    kind: Kind = "auto",
    confidence: float = 0.95,
    chance: float | None = 0.0,
    notes: tuple[str, ...] = (),
) -> Estimate:
    """The estimate with its interval by the rules above.

    Parameters
    ----------
    value : float
    scale : 'unit' (logit), 'kappa' (atanh) or 'raw'
    kind : 'auto' (two-way from five raters and four effective ones on), 'two_way' (from three), 'items'
    chance : float or None
        p_e as observed, for the bound when nobody ever disagreed; None: no such bound exists.

    Returns
    -------
    Estimate
        `method` is ``two_way``, ``items`` or, without any variance, ``none``.
    """
    r, vr = basis.raters, variances.raters
    many = r is not None and r >= 5 and basis.effective_raters >= 4
    two_way = vr is not None and variances.items is not None and (many if kind == "auto" else kind == "two_way")
    said = list(notes)
    population, words = _population(basis, two_way=two_way, many=many, jackknife=vr is not None)
    said += words
    if basis.pairable < 20 or basis.disagreeing < 5:
        said.append(TOO_FEW)
    variance = variances.two_way if two_way else variances.items
    se = None if variance is None else math.sqrt(variance)
    low = high = None
    method = "two_way" if two_way else "items"
    if se is None:
        method = "none"
        if basis.pairable < 2:
            said.append("one item only: no interval")
    elif se < ZERO:
        if value >= 1 - 1e-12 and chance is not None and basis.pairable:
            bound = ((1 - confidence) / 2) ** (1 / basis.pairable)
            low, high = (bound - chance) / (1 - chance), 1.0
            method, population = "items", _population(basis, two_way=False, many=many, jackknife=True)[0]
            said.append(NO_DISAGREEMENT)
        else:
            said.append(ALIKE)
    else:
        df = basis.effective_raters - 1 if two_way else basis.pairable - 1
        if df > 0:
            half = t_quantile((1 + confidence) / 2, df)
            low, high, raw = bounds(value, se, half, scale)
            if raw:
                said.append("the value lies on the edge of its scale: the interval is on the raw scale")
        else:
            said.append("one item only: no interval" if not two_way else "one effective rater: no interval")
    return Estimate(
        value=value,
        low=low,
        high=high,
        se=se,
        se_items=None if variances.items is None else math.sqrt(variances.items),
        se_raters=None if vr is None else math.sqrt(vr),
        level=confidence,
        method=method,
        population=population,
        n_items=basis.n_items,
        n_raters=basis.n_raters,
        n_ratings=basis.n_ratings,
        excluded=basis.excluded,
        notes=tuple(dict.fromkeys(said)),
    )


def nothing_to_compare(basis: Basis) -> str | None:
    """Why no agreement exists at all, or None."""
    if basis.n_ratings == 0:
        return "there are no ratings"
    if basis.n_raters == 1:
        return "only one rater: agreement needs at least two"
    if basis.pairable == 0:
        return "no item has ratings by two raters"
    return None


def missing(reason: str, basis: Basis, confidence: float) -> Estimate:
    """An undefined estimate over this basis."""
    return Estimate.missing(
        reason,
        level=confidence,
        n_items=basis.n_items,
        n_raters=basis.n_raters,
        n_ratings=basis.n_ratings,
        excluded=basis.excluded,
    )


def bounds(value: float, se: float, quantile: float, scale: Scale) -> tuple[float, float, bool]:
    """(low, high, fell back to the raw scale): value ± quantile·se by the delta method on `scale`, mapped back."""
    if scale == "kappa" and abs(value) < 1:
        centre, half = math.atanh(value), quantile * se / (1 - value * value)
        return math.tanh(centre - half), math.tanh(centre + half), False
    if scale == "unit" and 0 < value < 1:
        centre, half = math.log(value / (1 - value)), quantile * se / (value * (1 - value))
        return _expit(centre - half), _expit(centre + half), False
    return value - quantile * se, value + quantile * se, scale != "raw"


def _expit(x: float) -> float:
    if x >= 0:
        return 1 / (1 + math.exp(-min(x, 700.0)))
    grown = math.exp(max(x, -700.0))
    return grown / (1 + grown)


def _population(basis: Basis, *, two_way: bool, many: bool, jackknife: bool) -> tuple[str, list[str]]:
    r = basis.raters
    if r is None:
        return "for the raters of these labels", [
            "who rated what is not known: nothing is said about raters in general"
        ]
    if r < 5:
        few = f"for these raters; {r} raters are too few to speak about raters in general"
        return few, []
    if not many:
        return (
            f"for these raters; so few of the {r} gave most labels (as many as {basis.effective_raters:.1f} equally "
            "busy ones) that they are too few to speak about raters in general"
        ), []
    if not two_way:
        words = (
            []
            if jackknife
            else ["without one of the raters nothing is left to compare: nothing is said about raters in general"]
        )
        return "for these raters, on items like these", words
    words = [f"assumes that no kind of rater is missing from the {r}"] if r < 10 else []
    return "for raters and items like these", words
