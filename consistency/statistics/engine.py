"""From patterns and transitions to estimates: one pass for all pooled statistics at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .bootstrap import MOST_PATTERNS, bootstrap_items, check_replicates
from .coefficients import Coefficient
from .estimate import Estimate
from .intervals import (
    Basis,
    Kind,
    Variances,
    effective_raters,
    items_variance,
    make_estimate,
    missing,
    nothing_to_compare,
    raters_variance,
)
from .patterns import Grouped, PatternTable, Transitions, row_blocks
from .ratings import RatingsTable
from .sums import Sums

FloatArray = npt.NDArray[np.float64]


class Features(Protocol):
    """What the engine needs to know of a set of statistics on count vectors."""

    @property
    def width(self) -> int: ...

    def features(self, counts: npt.NDArray[np.int32]) -> FloatArray: ...


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """Sums and variances of Q statistics.

    Attributes
    ----------
    sums : float64 (S,)
    values : float64 (Q,)
        nan where undefined.
    variances : list of Variances, one per statistic
    without : float64 (R, Q) or None
        Values without each rater, in the order of `raters_present`.
    raters_present : int (R,) or None
    """

    sums: FloatArray
    values: FloatArray
    variances: list[Variances]
    without: FloatArray | None
    raters_present: npt.NDArray[np.int64] | None


def grouped_of(table: RatingsTable | PatternTable | Grouped) -> Grouped:
    """Any kind of ratings as the engine takes them."""
    if isinstance(table, Grouped):
        return table
    if isinstance(table, PatternTable):
        left_out = {"missing_labels": 0, "single_rating_items": table.single_rating_items, "repeats": 0}
        return Grouped(table, excluded=left_out)
    return Grouped(table.patterns(), table.transitions(), None, table.raters, dict(table.excluded))


def basis_of(grouped: Grouped) -> Basis:
    """What figures over this table rest on."""
    p = grouped.patterns
    two = p.per_item >= 2
    unanimous = p.counts.max(axis=1, initial=0) == p.per_item
    raters, effective, n_raters = None, 0.0, 0
    if grouped.transitions is not None:
        labels = labels_per_rater(p, grouped.transitions)
        raters, effective = int((labels > 0).sum()), effective_raters(labels)
        n_raters = len(np.unique(grouped.transitions.rater))
    return Basis(
        n_items=p.n_items,
        n_raters=n_raters,
        n_ratings=p.n_ratings,
        pairable=int(p.multiplicity[two].sum()),
        disagreeing=int(p.multiplicity[two & ~unanimous].sum()),
        raters=raters,
        effective_raters=effective,
        excluded=grouped.excluded or {},
    )


def labels_per_rater(patterns: PatternTable, transitions: Transitions) -> FloatArray:
    """Labels on items with two or more ratings, by rater: float64 (R,)."""
    pairable = patterns.per_item[transitions.pattern] >= 2
    return np.bincount(transitions.rater, weights=transitions.count * pairable, minlength=transitions.n_raters).astype(
        np.float64
    )


def analyse(
    patterns: PatternTable,
    transitions: Transitions | None,
    features: Features,
    values: Callable[[FloatArray], FloatArray],
    gradients: Callable[[FloatArray], FloatArray],
    *,
    singles: Sequence[bool],
) -> Analysis:
    """Values and the three variances of Q statistics that are functions of sums over items.

    Parameters
    ----------
    features : object with `width` and `features(counts)`
        Feature rows (n, S) of count rows (n, K).
    values : callable
        Sums (..., S) to statistics (..., Q), nan where undefined.
    gradients : callable
        Sums (S,) to (S, Q); columns of undefined statistics are ignored.
    singles : sequence of Q bools
        Whether items with a single rating belong to the statistic's items.
    """
    c, m = patterns.counts, patterns.multiplicity
    sums = np.zeros(features.width)
    for rows in row_blocks(len(c), features.width):
        sums += m[rows] @ features.features(c[rows])
    value = values(sums)
    slopes = _thin(gradients(sums))
    q = len(value)
    influence = np.empty((len(c), q))
    for rows in row_blocks(len(c), features.width):
        influence[rows] = features.features(c[rows]) @ slopes
    two = patterns.per_item >= 2
    n_two, n_all = int(m[two].sum()), patterns.n_items
    vi = [
        items_variance(influence[:, j], m, n_all) if singles[j] else items_variance(influence[two, j], m[two], n_two)
        for j in range(q)
    ]
    vir = np.zeros(q)
    pattern, category, labels = patterns.cells()
    by_cell = present = without = None
    if transitions is not None:
        per_rater = labels_per_rater(patterns, transitions)
        present = np.flatnonzero(per_rater > 0)
        if len(present) >= 3:
            by_cell = transitions.by_cell(patterns).tocsc()
            shift = np.zeros((transitions.n_raters, features.width))
    for cells in row_blocks(len(pattern), features.width):
        mine = pattern[cells]
        less = c[mine]
        less[np.arange(len(mine)), category[cells]] -= 1
        change = features.features(less) - features.features(c[mine])
        vir += labels[cells] @ np.asarray(change @ slopes) ** 2
        if by_cell is not None:
            shift += by_cell[:, cells] @ change
    vr: list[float | None] = [None] * q
    if by_cell is not None and present is not None:
        without = values(sums + shift[present])
        vr = [raters_variance(without[:, j]) for j in range(q)]
    variances = [Variances(vi[j], vr[j], float(vir[j])) for j in range(q)]
    return Analysis(sums, value, variances, without, present)


def _thin(gradient: FloatArray) -> Any:
    """The gradients as a sparse matrix where most of a large one is 0 (hundreds of labels, each with few sums)."""
    if gradient.size < 1_000_000 or np.count_nonzero(gradient) > 0.05 * gradient.size:
        return gradient
    from scipy.sparse import csc_array

    return csc_array(gradient)


def estimate_pooled(
    grouped: Grouped,
    coefficients: Sequence[Coefficient],
    sums: Sums,
    *,
    kind: Kind = "auto",
    confidence: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
    basis: Basis | None = None,
) -> dict[str, Estimate]:
    """Estimates of pooled coefficients by name; every one is there, undefined with its reason where it must be."""
    check_replicates(bootstrap)
    basis = basis or basis_of(grouped)
    reason = nothing_to_compare(basis)
    if reason:
        return {c.name: missing(reason, basis, confidence) for c in coefficients}
    patterns = grouped.patterns
    t = sums_of(patterns, sums)
    reasons = {c.name: c.reason(sums, t) for c in coefficients}
    defined = [c for c in coefficients if reasons[c.name] is None]
    out = {c.name: missing(reasons[c.name] or "", basis, confidence) for c in coefficients if reasons[c.name]}
    if defined:

        def values(x: FloatArray) -> FloatArray:
            return np.stack([c.value(sums, x) for c in defined], axis=-1)

        def gradients(x: FloatArray) -> FloatArray:
            return np.stack([c.gradient(sums, x) for c in defined], axis=-1)

        result = analyse(patterns, grouped.transitions, sums, values, gradients, singles=[c.singles for c in defined])
        variances = result.variances
        said: list[tuple[str, ...]] = [()] * len(defined)
        if bootstrap:
            variances, said = _bootstrapped(patterns, sums, values, result, bootstrap, seed)
        for c, value, v, notes in zip(defined, result.values, variances, said, strict=True):
            out[c.name] = make_estimate(
                float(value),
                v,
                basis,
                scale=c.scale,
                kind=kind,
                confidence=confidence,
                chance=float(c.chance(sums, t)),
                notes=tuple(notes),
            )
    return {c.name: out[c.name] for c in coefficients}


def _bootstrapped(
    patterns: PatternTable,
    sums: Sums,
    values: Callable[[FloatArray], FloatArray],
    result: Analysis,
    replicates: int,
    seed: int,
) -> tuple[list[Variances], list[tuple[str, ...]]]:
    """The variances with Vi replaced by the bootstrap's, and what to say about it."""
    q = len(result.values)
    if patterns.n_patterns > MOST_PATTERNS or patterns.n_patterns * sums.width > 40_000_000:
        words = (
            f"{patterns.n_patterns:,} different count vectors are too many for the bootstrap to gain anything: "
            "the linearised variance stands"
        )
        return result.variances, [(words,)] * q
    if patterns.n_items < 2:
        return result.variances, [()] * q
    drawn = bootstrap_items(
        sums.features(patterns.counts), patterns.multiplicity, values, replicates=replicates, seed=seed
    )
    variance, degenerate = drawn.variance(), drawn.degenerate
    out, said = [], []
    for j, v in enumerate(result.variances):
        use = float(variance[j]) if np.isfinite(variance[j]) else v.items
        out.append(Variances(use, v.raters, v.labels))
        notes = [f"item variance from {replicates:,} bootstrap replicates, seed {seed}"]
        if degenerate[j]:
            notes.append(
                f"{int(degenerate[j]):,} of {replicates:,} replicates were degenerate and are not in the variance"
            )
        said.append(tuple(notes))
    return out, said


def sums_of(patterns: PatternTable, features: Features) -> FloatArray:
    """Sums over items of the feature rows: float64 (S,)."""
    total = np.zeros(features.width)
    for rows in row_blocks(patterns.n_patterns, features.width):
        total += patterns.multiplicity[rows] @ features.features(patterns.counts[rows])
    return total
