"""Every coefficient of a table at once, each with its interval, its counts and, where it is undefined, the reason."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .bootstrap import check_replicates
from .byrater import estimate_by_rater
from .coefficients import POOLED, Coefficient
from .continuous import MOST_CATEGORIES, agree_continuous, alpha_of_labels, basis_of_labels
from .distances import distances
from .engine import basis_of, estimate_pooled, grouped_of
from .estimate import Estimate
from .icc import ICC_NAMES, icc
from .intervals import Kind, missing, nothing_to_compare
from .patterns import Grouped, PatternTable
from .ratings import RatingsError, RatingsTable, number_of
from .sums import Sums
from .weights import weight_matrix

FloatArray = npt.NDArray[np.float64]

LEVELS = ("nominal", "ordinal", "interval", "ratio")
NAMES = (
    "percent_agreement",
    "cohen_kappa",
    "scott_pi",
    "light_kappa",
    "conger_kappa",
    "fleiss_kappa",
    "krippendorff_alpha",
    "gwet_ac",
    "brennan_prediger",
)
MOST_ORDINAL = 200
"""Categories up to which the ordinal metric, whose sums grow with their square, works without the labels themselves."""
FEW_ORDINAL = 60
"""Above this the labels themselves are quicker, where they are at hand and no bootstrap is asked for."""


def metric_of(level: str, categories: tuple[str, ...], numeric: FloatArray | None) -> FloatArray | str:
    """δ² of Krippendorff's alpha at a level of measurement: a K x K matrix, or 'ordinal' (it depends on the labels).

    Raises
    ------
    ValueError
        Unknown level; a category that is no number at level interval or ratio; a negative one at level ratio.
    """
    if level not in LEVELS:
        raise ValueError(f"unknown level {level!r}: use one of {', '.join(LEVELS)}")
    if level == "ordinal":
        return "ordinal"
    if level == "nominal":
        return 1.0 - np.eye(len(categories))
    require_numbers(categories, numeric, level)
    function = distances()[level].metric
    assert function is not None
    numbers = numeric if numeric is not None else np.zeros(0)
    return function(numbers, np.zeros(len(categories)))


def require_numbers(categories: tuple[str, ...], numeric: FloatArray | None, level: str) -> None:
    """Refuse labels that are no numbers, naming the first one."""
    if numeric is None and categories:
        wrong = next(c for c in categories if number_of(c) is None)
        shown = wrong if len(wrong) <= 60 else f"{wrong[:59]}…"
        raise RatingsError(
            f"label {shown!r} is not a number; level {level} needs numbers (use nominal or ordinal for words)",
            field="label",
            value=wrong,
        )


def agree(
    table: RatingsTable | PatternTable | Grouped,
    *,
    level: str = "nominal",
    weights: str | npt.ArrayLike = "identity",
    interval: Kind = "auto",
    bootstrap: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
    metric: npt.ArrayLike | None = None,
) -> dict[str, Estimate]:
    """All agreement coefficients of one table of ratings.

    Parameters
    ----------
    table : RatingsTable, PatternTable or Grouped
        A PatternTable has no raters: coefficients that need them are undefined, intervals are over items.
    level : 'nominal', 'ordinal', 'interval' or 'ratio'
        The metric of Krippendorff's alpha; at interval and ratio the six intraclass correlations are added.
    weights : name or (K, K) matrix
        Agreement weights of percent agreement and of the kappa family: identity, linear, quadratic, ordinal, radical,
        ratio, circular.
    interval : 'auto', 'two_way' or 'items'
        See `intervals`: two-way from five raters on.
    bootstrap : int
        0, or at least 2,000: the item bootstrap's variance replaces the linearised Vi.
    confidence : float in (0, 1)
    metric : (K, K) array, optional
        A δ² of one's own for Krippendorff's alpha, instead of `level`'s: symmetric, 0 on the diagonal.

    Returns
    -------
    dict of Estimate
        Every name of `NAMES` (and `ICC_NAMES`), always.

    Raises
    ------
    ValueError
        Unknown level, weights or interval; RatingsError for labels that are no numbers where numbers are needed.

    Examples
    --------
    >>> t = RatingsTable.from_matrix([[1, 1], [1, 2], [2, 2], [2, 2]])
    >>> round(agree(t)["cohen_kappa"].value, 3), agree(t)["percent_agreement"].value
    (0.5, 0.75)
    """
    if interval not in ("auto", "two_way", "items"):
        raise ValueError(f"unknown interval {interval!r}: use auto, two_way or items")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} is not between 0 and 1")
    check_replicates(bootstrap)
    names = (*NAMES, *ICC_NAMES) if level in ("interval", "ratio") else NAMES
    if isinstance(table, RatingsTable) and table.n_categories > MOST_CATEGORIES and metric is None:
        if level not in LEVELS:
            raise ValueError(f"unknown level {level!r}: use one of {', '.join(LEVELS)}")
        if level in ("interval", "ratio"):
            require_numbers(table.categories, table.numeric, level)
        return agree_continuous(table, names, level=level, interval=interval, confidence=confidence)
    grouped = grouped_of(table)
    patterns = grouped.patterns
    basis = basis_of(grouped)
    if metric is None:
        delta = metric_of(level, patterns.categories, patterns.numeric)
    else:
        delta = checked_metric(metric, len(patterns.categories))
    reason = nothing_to_compare(basis)
    if reason is not None:
        return {name: missing(reason, basis, confidence) for name in names}
    options = {"kind": interval, "confidence": confidence, "bootstrap": bootstrap, "seed": seed}
    out: dict[str, Estimate] = {}
    labels = table if isinstance(table, RatingsTable) else None
    k = len(patterns.categories)
    identity = isinstance(weights, str) and weights == "identity"
    w = None if identity else weight_matrix(weights, patterns.categories, patterns.numeric)
    sums = Sums(k, w, delta)
    pooled: list[Coefficient] = [c for c in POOLED.values() if basis.n_raters == 2 or c.name != "scott_pi"]
    if isinstance(delta, str) and (k > MOST_ORDINAL or (k > FEW_ORDINAL and labels is not None and not bootstrap)):
        # the ordinal sums grow with the square of the categories; from the labels they do not
        out["krippendorff_alpha"] = (
            alpha_of_labels(labels, level, basis, interval, confidence)
            if labels is not None
            else missing(
                f"{k:,} categories are too many for the ordinal metric without the labels themselves "
                f"(at most {MOST_ORDINAL}): use level interval",
                basis,
                confidence,
            )
        )
        pooled = [c for c in pooled if c.name != "krippendorff_alpha"]
        sums = Sums(k, w, None)
    out |= estimate_pooled(grouped, pooled, sums, basis=basis, **options)  # type: ignore[arg-type]
    if "scott_pi" not in out:
        words = f"Scott's pi is for two raters, here are {basis.n_raters}: Fleiss' kappa is its form for more"
        out["scott_pi"] = missing(words if basis.n_raters else "who rated what is not known", basis, confidence)
    full = w if w is not None else np.eye(k)
    out |= estimate_by_rater(grouped, labels, full, basis, **options)  # type: ignore[arg-type]
    if level in ("interval", "ratio"):
        out |= icc(grouped, confidence=confidence)
    return {name: out[name] for name in names}


def checked_metric(metric: npt.ArrayLike, k: int) -> FloatArray:
    """A δ² of one's own, refused unless it is K x K, symmetric, never negative and 0 on the diagonal."""
    delta = np.asarray(metric, np.float64)
    if delta.shape != (k, k):
        raise ValueError(f"the metric is {delta.shape}, but there are {k} categories")
    if not np.allclose(delta, delta.T) or np.any(np.diag(delta) != 0) or delta.min(initial=0.0) < 0:
        raise ValueError("a metric is symmetric, 0 on the diagonal and never negative")
    return delta


def krippendorff_alpha(
    table: RatingsTable | PatternTable | Grouped,
    *,
    level: str = "nominal",
    metric: npt.ArrayLike | None = None,
    interval: Kind = "auto",
    bootstrap: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Krippendorff's alpha alone; `metric` is a δ² (K, K) of one's own."""
    return coefficient(
        table,
        "krippendorff_alpha",
        level=level,
        metric=metric,
        interval=interval,
        bootstrap=bootstrap,
        confidence=confidence,
        seed=seed,
    )


def coefficient(
    table: RatingsTable | PatternTable | Grouped,
    name: str,
    *,
    level: str = "nominal",
    weights: str | npt.ArrayLike = "identity",
    interval: Kind = "auto",
    bootstrap: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
    metric: npt.ArrayLike | None = None,
) -> Estimate:
    """One coefficient by name, at the cost of that one only (pooled ones); see `agree`."""
    if name not in POOLED or name == "scott_pi":
        known = (*NAMES, *ICC_NAMES)
        if name not in known:
            raise ValueError(f"unknown coefficient {name!r}: use one of {', '.join(known)}")
        everything = agree(
            table,
            level=level,
            weights=weights,
            interval=interval,
            bootstrap=bootstrap,
            confidence=confidence,
            seed=seed,
            metric=metric,
        )
        if name not in everything:
            raise ValueError(f"{name} needs level interval or ratio")
        return everything[name]
    if isinstance(table, RatingsTable) and metric is None:
        if table.n_categories > MOST_CATEGORIES:
            return agree(table, level=level, interval=interval, confidence=confidence)[name]
        wide = name == "krippendorff_alpha" and level == "ordinal" and table.n_categories > FEW_ORDINAL
        if wide and (not bootstrap or table.n_categories > MOST_ORDINAL):
            basis = basis_of_labels(table)
            reason = nothing_to_compare(basis)
            if reason is not None:
                return missing(reason, basis, confidence)
            return alpha_of_labels(table, level, basis, interval, confidence)
    grouped = grouped_of(table)
    p = grouped.patterns
    delta: FloatArray | str | None = None
    if name == "krippendorff_alpha":
        delta = (
            checked_metric(metric, len(p.categories))
            if metric is not None
            else metric_of(level, p.categories, p.numeric)
        )
    w = None if isinstance(weights, str) and weights == "identity" else weight_matrix(weights, p.categories, p.numeric)
    found = estimate_pooled(
        grouped,
        [POOLED[name]],
        Sums(len(p.categories), w, delta),
        kind=interval,
        confidence=confidence,
        bootstrap=bootstrap,
        seed=seed,
    )
    return found[name]
