"""Intraclass correlations: Shrout and Fleiss (1979), McGraw and Wong (1996), with F-based intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .engine import basis_of, grouped_of
from .estimate import Estimate
from .intervals import TOO_FEW, Basis, missing, nothing_to_compare
from .patterns import Grouped, PatternTable, Transitions
from .ratings import RatingsTable

ICC_NAMES = ("icc_1_1", "icc_2_1", "icc_3_1", "icc_1_k", "icc_2_k", "icc_3_k")

_POPULATION = {
    "1": "for raters and items like these, every item rated by other raters",
    "2": "for raters and items like these",
    "3": "for these raters, on items like these",
}


@dataclass(frozen=True, slots=True)
class MeanSquares:
    """Two-way analysis of variance of n items by k raters: mean squares between items, within items, between raters
    and residual."""

    n: int
    k: int
    between: float
    within: float
    raters: float
    residual: float

    @classmethod
    def of(cls, ratings: npt.ArrayLike) -> MeanSquares:
        """From a complete matrix (n, k) of numbers.

        >>> ms = MeanSquares.of([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
        >>> round(ms.between, 4), round(ms.within, 4), round(ms.raters, 4), round(ms.residual, 4)
        (11.2417, 6.2639, 32.4861, 1.0194)
        """
        x = np.asarray(ratings, np.float64)
        n, k = x.shape
        x = x - x.mean()
        rows, columns = x.mean(axis=1), x.mean(axis=0)
        return cls.from_sums(
            n,
            k,
            between=k * float((rows**2).sum()),
            within=float(((x - rows[:, None]) ** 2).sum()),
            raters=n * float((columns**2).sum()),
        )

    @classmethod
    def of_grouped(cls, patterns: PatternTable, transitions: Transitions) -> MeanSquares:
        """The same of a complete table that was grouped: item means from the patterns, rater means from who gave what."""
        assert patterns.numeric is not None
        n, k = patterns.n_items, transitions.n_raters
        c, m = patterns.counts, patterns.multiplicity
        labels = transitions.by_category(len(patterns.categories))
        x = patterns.numeric - float(labels.sum(axis=0) @ patterns.numeric) / (n * k)
        rows, columns = c @ x / k, labels @ x / n
        squares = c @ (x * x) - k * rows**2
        return cls.from_sums(
            n,
            k,
            between=k * float(m @ rows**2),
            within=float(m @ np.maximum(squares, 0)),
            raters=n * float((columns**2).sum()),
        )

    @classmethod
    def from_sums(cls, n: int, k: int, *, between: float, within: float, raters: float) -> MeanSquares:
        """From sums of squares; what is left is residual, and less than rounding is nothing."""
        nothing = 1e-12 * (between + within)
        within, raters = (0.0 if x <= nothing else x for x in (within, raters))
        between = 0.0 if between <= nothing else between
        residual = within - raters
        residual = 0.0 if residual <= nothing else residual
        return cls(n, k, between / (n - 1), within / (n * (k - 1)), raters / (k - 1), residual / ((n - 1) * (k - 1)))


def icc_values(ms: MeanSquares) -> dict[str, float | None]:
    """The six forms by name; None where the denominator, a variance, is not above 0."""
    n, k = ms.n, ms.k
    b, w, j, e = ms.between, ms.within, ms.raters, ms.residual
    forms = {
        "icc_1_1": (b - w, b + (k - 1) * w),
        "icc_2_1": (b - e, b + (k - 1) * e + k * (j - e) / n),
        "icc_3_1": (b - e, b + (k - 1) * e),
        "icc_1_k": (b - w, b),
        "icc_2_k": (b - e, b + (j - e) / n),
        "icc_3_k": (b - e, b),
    }
    largest = max(abs(x) for x in (b, w, j, e))
    return {name: top / low if low > 1e-12 * largest else None for name, (top, low) in forms.items()}


def _f(p: float, df1: float, df2: float) -> float:
    from scipy.special import fdtri

    return float(fdtri(df1, df2, p))


def icc_bounds(ms: MeanSquares, confidence: float) -> dict[str, tuple[float, float] | None]:
    """F-based bounds of the six forms (McGraw and Wong 1996, table 7; Satterthwaite's df for the (2,·) forms)."""
    n, k = ms.n, ms.k
    b, w, e = ms.between, ms.within, ms.residual
    p = 1 - (1 - confidence) / 2
    out: dict[str, tuple[float, float] | None] = dict.fromkeys(ICC_NAMES)
    if w > 0:
        f = b / w
        low, high = f / _f(p, n - 1, n * (k - 1)), f * _f(p, n * (k - 1), n - 1)
        out["icc_1_1"] = (low - 1) / (low + k - 1), (high - 1) / (high + k - 1)
        out["icc_1_k"] = (1 - 1 / low, 1 - 1 / high) if low > 0 else None
    if e > 0:
        f = b / e
        low, high = f / _f(p, n - 1, (n - 1) * (k - 1)), f * _f(p, (n - 1) * (k - 1), n - 1)
        out["icc_3_1"] = (low - 1) / (low + k - 1), (high - 1) / (high + k - 1)
        out["icc_3_k"] = (1 - 1 / low, 1 - 1 / high) if low > 0 else None
        out["icc_2_1"], out["icc_2_k"] = _absolute(ms, p)
    return out


def _absolute(ms: MeanSquares, p: float) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    n, k = ms.n, ms.k
    b, j, e = ms.between, ms.raters, ms.residual
    value = icc_values(ms)["icc_2_1"]
    if value is None or value >= 1:
        return None, None
    a, c = k * value / (n * (1 - value)), 1 + k * value * (n - 1) / (n * (1 - value))
    df = (a * j + c * e) ** 2 / ((a * j) ** 2 / (k - 1) + (c * e) ** 2 / ((n - 1) * (k - 1)))
    f_low, f_high = _f(p, n - 1, df), _f(p, df, n - 1)
    spread = k * j + (k * n - k - n) * e
    low = n * (b - f_low * e) / (f_low * spread + n * b)
    high = n * (f_high * b - e) / (spread + n * f_high * b)

    def stepped_up(x: float) -> float:
        return x * k / (1 + x * (k - 1))

    average = None if min(1 + low * (k - 1), 1 + high * (k - 1)) <= 0 else (stepped_up(low), stepped_up(high))
    return (low, high), average


def icc(table: RatingsTable | PatternTable | Grouped, *, confidence: float = 0.95) -> dict[str, Estimate]:
    """The six intraclass correlations of a complete table of numbers.

    ``icc_1_1`` one-way, ``icc_2_1`` two-way random (absolute agreement of a single rater), ``icc_3_1`` two-way mixed
    (consistency), and ``…_k`` for the mean of the k raters.

    Returns
    -------
    dict of Estimate
        Undefined, with the reason, where a rating is missing, there are fewer than two items or raters, a label is no
        number, or nothing varies. `method` is ``anova``.

    Examples
    --------
    >>> t = RatingsTable.from_matrix([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    >>> round(icc(t)["icc_2_1"].value, 2)
    0.29
    """
    grouped = grouped_of(table)
    patterns, transitions = grouped.patterns, grouped.transitions
    basis = basis_of(grouped)
    reason = nothing_to_compare(basis)
    if reason is None and transitions is None:
        reason = "who rated what is not known"
    if reason is None and patterns.numeric is None:
        reason = "the labels are not all numbers"
    if reason is not None:
        return {name: missing(reason, basis, confidence) for name in ICC_NAMES}
    assert transitions is not None
    complete = basis.n_ratings == basis.n_items * basis.n_raters and basis.n_items > 1
    return estimate_icc(MeanSquares.of_grouped(patterns, transitions) if complete else None, basis, confidence)


def estimate_icc(ms: MeanSquares | None, basis: Basis, confidence: float) -> dict[str, Estimate]:
    """The six estimates from the mean squares; without them (one item, or gaps) the reason why there are none."""
    n, k, ratings = basis.n_items, basis.n_raters, basis.n_ratings
    if ms is None:
        reason = (
            "one item only: differences between items cannot be seen"
            if n < 2
            else f"intraclass correlations need every rater on every item, {n * k - ratings:,} of {n * k:,} ratings "
            "are missing: read Krippendorff's alpha at this level instead"
        )
        return {name: missing(reason, basis, confidence) for name in ICC_NAMES}
    if max(ms.between, ms.within) <= 0:
        return {
            name: missing("every rating is the same number: nothing varies", basis, confidence) for name in ICC_NAMES
        }
    values, bounds = icc_values(ms), icc_bounds(ms, confidence)
    out = {}
    for name in ICC_NAMES:
        value, interval = values[name], bounds[name]
        if value is None:
            out[name] = missing(
                "the items differ less than the noise alone would make them: the ratio has no meaning",
                basis,
                confidence,
            )
            continue
        notes = [] if interval else ["no residual variation: no interval"]
        if n < 20:
            notes.append(TOO_FEW)
        if name[4] == "2" and k < 10:
            notes.append(f"assumes that no kind of rater is missing from the {k}")
        out[name] = Estimate(
            value=value,
            low=interval[0] if interval else None,
            high=interval[1] if interval else None,
            level=confidence,
            method="anova",
            population=_POPULATION[name[4]],
            n_items=n,
            n_raters=k,
            n_ratings=ratings,
            excluded=basis.excluded,
            notes=tuple(notes),
        )
    return out
