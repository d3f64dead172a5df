"""Cohorts: agreement within each, between each two, and whether belonging to one matters.

Pooled agreement hides a disagreement between kinds of raters. Shown instead: every coefficient within each cohort;
across cohorts xRR (chance-corrected agreement of a rater of one with a rater of the other), xRR normalised by the
cohorts' own reliability, the group association index with both its parts, and D = xRR - (alpha_a + alpha_b)/2 with a
permutation test whose smallest possible p is stated (docs/statistics.md A.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from .agreement import LEVELS, agree, checked_metric, metric_of, require_numbers
from .bootstrap import check_replicates
from .cohort_labels import Flips, LabelUse, compare_consensus, compare_label_use
from .cohort_pair import Asked, no_pair_figures, pair_figures, pair_figures_by_label
from .cohort_sums import PairSums, joint_groups
from .cohort_test import MOST_EXACT, SAMPLED, SplitTest, permute_raters, permute_raters_by_label, smallest_p
from .continuous import MOST_CATEGORIES, too_many
from .estimate import Estimate
from .intervals import Kind
from .ratings import RatingsError, RatingsTable, as_label, is_missing

__all__ = [
    "CohortComparison",
    "CohortPair",
    "cohort_tables",
    "cohorts_of_raters",
    "compare_cohorts",
]

Floats = npt.NDArray[np.float64]

ALPHA = 0.05


@dataclass(frozen=True)
class CohortPair:
    """Two cohorts on the items both rated.

    Attributes
    ----------
    a, b
        Their names.
    xrr
        Cross-replication reliability.
    normalised_xrr
        xRR / sqrt(alpha_a alpha_b); can exceed 1.
    gai_a, gai_b
        Group association index alpha / xRR: above 1 a cohort agrees more inside than across. Undefined, "too unstable",
        unless xRR's lower bound is above .10.
    alpha_a, alpha_b
        The parts: Krippendorff's alpha within each cohort.
    alpha_difference
        alpha_a - alpha_b.
    d
        xRR less the mean of the two alphas: below 0 where belonging to a cohort matters.
    p, floor
        Of the permutation test of D (one-sided), and the smallest p these numbers of raters allow. None: no test.
    p_adjusted
        p after Benjamini-Hochberg over all pairs with a test.
    sentence
        The finding in words.
    flips
        How often the two cohorts' majorities differ.
    label_use
        How differently they use the labels.
    test
        Details of the permutation test.
    """

    a: str
    b: str
    xrr: Estimate
    normalised_xrr: Estimate
    gai_a: Estimate
    gai_b: Estimate
    alpha_a: Estimate
    alpha_b: Estimate
    alpha_difference: Estimate
    d: Estimate
    p: float | None
    floor: float | None
    p_adjusted: float | None
    sentence: str
    flips: Flips
    label_use: LabelUse
    test: SplitTest | None

    def as_json(self) -> dict[str, Any]:
        """Exactly the keys of the command line's contract."""
        return {
            "a": self.a,
            "b": self.b,
            "xrr": self.xrr.as_json(),
            "normalised_xrr": self.normalised_xrr.as_json(),
            "gai_a": self.gai_a.as_json(),
            "gai_b": self.gai_b.as_json(),
            "d": self.d.as_json(),
            "p": self.p,
            "floor": self.floor,
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class CohortComparison:
    """All cohorts: every coefficient within each, every pair between, and what was left out."""

    within: dict[str, dict[str, Estimate]]
    between: tuple[CohortPair, ...]
    raters: dict[str, int]
    excluded: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """{within: {COHORT: {coefficient: estimate}}, between: [...]}."""
        return {
            "within": {
                cohort: {name: one.as_json() for name, one in found.items()} for cohort, found in self.within.items()
            },
            "between": [pair.as_json() for pair in self.between],
        }


def cohorts_of_raters(raters: Sequence[Any], cohorts: Sequence[Any]) -> dict[str, str]:
    """Cohort by rater name from two columns of equal length (row by row, as a file has them).

    Raises
    ------
    RatingsError
        When a rater appears in two cohorts; the message names the row, the rater and both.

    Examples
    --------
    >>> cohorts_of_raters(["gene", "tom", "gene"], ["generalist", "target_user", "generalist"])
    {'gene': 'generalist', 'tom': 'target_user'}
    """
    if len(raters) != len(cohorts):
        raise RatingsError(f"the cohort column has {len(cohorts)} rows, the rater column {len(raters)}", field="cohort")
    found: dict[str, str] = {}
    for rater, cohort in dict.fromkeys(zip(raters, cohorts, strict=True)):
        if is_missing(cohort) or is_missing(rater):
            continue
        name, group = as_label(rater), as_label(cohort)
        if found.setdefault(name, group) != group:
            at = next(j for j, pair in enumerate(zip(raters, cohorts, strict=True)) if pair == (rater, cohort))
            raise RatingsError(
                f"row {at + 1}: rater {name!r} is in cohort {group!r} here and in {found[name]!r} before; "
                "a rater belongs to one cohort",
                row=at,
                field="cohort",
                value=group,
            )
    return found


def _membership(table: RatingsTable, cohort_of: Mapping[str, Any] | Sequence[Any]) -> list[str | None]:
    if isinstance(cohort_of, Mapping):
        given = [cohort_of.get(rater) for rater in table.raters]
    else:
        given = list(cohort_of)
        if len(given) != table.n_raters:
            raise ValueError(f"{len(given)} cohorts are given for {table.n_raters} raters")
    return [None if is_missing(cohort) else as_label(cohort) for cohort in given]


def cohort_tables(table: RatingsTable, cohort_of: Mapping[str, Any] | Sequence[Any]) -> dict[str, RatingsTable]:
    """The table of each cohort's raters, by cohort name in alphabetical order (for HLP by cohort and the like)."""
    membership = _membership(table, cohort_of)
    names = sorted({c for c in membership if c is not None})
    return {name: table.subset(raters=np.array([c == name for c in membership])) for name in names}


def compare_cohorts(
    table: RatingsTable,
    cohort_of: Mapping[str, Any] | Sequence[Any],
    *,
    level: str = "nominal",
    weights: str | npt.ArrayLike = "identity",
    interval: Kind = "auto",
    confidence: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
    metric: npt.ArrayLike | None = None,
    most_exact: int = MOST_EXACT,
    sampled: int = SAMPLED,
) -> CohortComparison:
    """Agreement within and between cohorts.

    Parameters
    ----------
    table
    cohort_of
        Cohort by rater name, or a sequence along `table.raters`; raters without one are left out and counted.
    level, metric
        Measurement level of alpha and of xRR's distance, or a delta^2 (K x K) of one's own. At level ordinal each
        alpha uses its own cohort's mid-ranks and xRR those of both.
    weights
        Of the kappa family within cohorts.
    interval
        ``auto`` and ``two_way``: raters and items, from two raters in each cohort on (three for the ratios);
        ``items``: these raters.
    confidence, bootstrap, seed
        As in `agree`.
    most_exact, sampled
        Of the permutation test.

    Returns
    -------
    CohortComparison
        Empty within and between when nobody has a cohort.

    Examples
    --------
    >>> x, y = [[1, 1], [0, 0], [1, 0], [1, 1]], [[1, 1], [0, 1], [0, 0], [1, 1]]
    >>> t = RatingsTable.from_matrix([a + b for a, b in zip(x, y)])
    >>> pair = compare_cohorts(t, ["x", "x", "y", "y"]).between[0]
    >>> round(pair.xrr.value, 6), round(pair.normalised_xrr.value, 6)
    (0.466667, 0.875)
    """
    check_replicates(bootstrap)
    membership = _membership(table, cohort_of)
    names = sorted({c for c in membership if c is not None})
    how = _Distance.of(table, level, metric)
    tables = cohort_tables(table, membership)
    within = {
        name: agree(
            one,
            level=level,
            weights=weights,
            interval=interval,
            bootstrap=bootstrap,
            confidence=confidence,
            seed=seed,
            metric=metric,
        )
        for name, one in tables.items()
    }
    asked = Asked(interval, confidence, bootstrap, seed, most_exact, sampled)
    pairs = []
    for a, b in combinations(names, 2):
        both = table.subset(raters=np.array([c in (a, b) for c in membership]))
        cohort = dict(zip(table.raters, membership, strict=True))
        in_second = np.array([cohort[rater] == b for rater in both.raters], dtype=np.bool_)
        alphas = within[a]["krippendorff_alpha"], within[b]["krippendorff_alpha"]
        pairs.append(_compare(both, in_second, a, b, alphas, how, asked))
    return CohortComparison(
        within=within,
        between=_adjusted(pairs),
        raters={name: one.n_raters for name, one in tables.items()},
        excluded={"raters_without_cohort": sum(1 for c in membership if c is None)},
    )


MOST_POINTS = 30
"""Points of a scale up to which items are grouped by their counts; above, at level interval and ordinal, the labels
themselves are quicker (the ordinal metric's sums grow with the square of the points)."""


@dataclass(frozen=True, eq=False)
class _Distance:
    """How labels of two cohorts are compared: a metric over categories, or the labels' positions at a level.

    `too_many` says, where it applies, why there is nothing about single labels.
    """

    metric: Floats | str | None
    by_label: str | None
    too_many: str | None

    @classmethod
    def of(cls, table: RatingsTable, level: str, metric: npt.ArrayLike | None) -> _Distance:
        k = table.n_categories
        if metric is not None:
            return cls(checked_metric(metric, k), None, None)
        if k <= MOST_POINTS or level not in LEVELS:
            return cls(metric_of(level, table.categories, table.numeric), None, None)
        if level in ("interval", "ratio"):
            require_numbers(table.categories, table.numeric, level)
        many = too_many(k) if k > MOST_CATEGORIES else None
        if level in ("interval", "ordinal"):
            return cls(None, level, many)
        return cls(None if many else metric_of(level, table.categories, table.numeric), None, many)


def _compare(
    table: RatingsTable,
    second: npt.NDArray[np.bool_],
    a: str,
    b: str,
    alpha: tuple[Estimate, Estimate],
    distance: _Distance,
    asked: Asked,
) -> CohortPair:
    groups = None if distance.too_many else joint_groups(table, second)
    splits: dict[str, Any] = {"most_exact": asked.most_exact, "sampled": asked.sampled, "seed": asked.seed}
    test = None
    if distance.by_label is not None:
        figures = pair_figures_by_label(table, second, distance.by_label, alpha, (a, b), asked)
        if figures.d.value is not None:
            test = permute_raters_by_label(table, second, distance.by_label, **splits)
    elif groups is None:
        figures = no_pair_figures(table, second, distance.too_many or "", alpha, asked)
    else:
        assert distance.metric is not None
        layout = PairSums(table.n_categories, distance.metric)
        figures = pair_figures(groups, second, layout, alpha, (a, b), asked)
        if figures.d.value is not None:
            test = permute_raters(table, second, layout, **splits)
    floor = smallest_p(int((~second).sum()), int(second.sum()), most_exact=asked.most_exact, sampled=asked.sampled)
    how: dict[str, Any] = {"kind": asked.kind, "confidence": asked.confidence}
    nothing = Estimate.missing(distance.too_many or "-", level=asked.confidence, n_items=table.n_items)
    return CohortPair(
        a=a,
        b=b,
        xrr=figures.xrr,
        normalised_xrr=figures.normalised,
        gai_a=figures.gai[0],
        gai_b=figures.gai[1],
        alpha_a=alpha[0],
        alpha_b=alpha[1],
        alpha_difference=figures.alpha_difference,
        d=figures.d,
        p=None if test is None else test.p,
        floor=floor,
        p_adjusted=None,
        sentence=_sentence(a, b, figures.xrr, alpha, figures.d, test, floor),
        flips=compare_consensus(table, groups, second, **how) if groups is not None else Flips(nothing, (), 0),
        label_use=(
            compare_label_use(table, groups, second, seed=asked.seed, **how)
            if groups is not None
            else LabelUse(nothing, {}, {}, {})
        ),
        test=test,
    )


def _sentence(
    a: str,
    b: str,
    xrr: Estimate,
    alpha: tuple[Estimate, Estimate],
    d: Estimate,
    test: SplitTest | None,
    floor: float,
) -> str:
    if xrr.value is None:
        return f"{a} and {b} cannot be compared: {xrr.undefined}."
    if d.value is None or alpha[0].value is None or alpha[1].value is None or test is None or test.p is None:
        return (
            f"Across {a} and {b} xRR is {xrr.value:.2f}; whether cohort matters cannot be said: "
            f"{d.undefined or 'the test has no value'}."
        )
    parts = (
        f"Across {a} and {b} xRR is {xrr.value:.2f}, within them alpha is {alpha[0].value:.2f} and "
        f"{alpha[1].value:.2f} (D = {d.value:+.2f}, p = {test.p:.3g})."
    )
    if floor > ALPHA:
        return (
            f"{parts} The test cannot reach significance with these numbers of raters "
            f"(smallest possible p {floor:.2g}): read the parts, or add raters."
        )
    if test.p <= ALPHA:
        return f"{parts} Which cohort a rater belongs to matters: keep one consensus per cohort, and look at the definition."
    return f"{parts} No sign beyond chance that the cohort matters."


def _adjusted(pairs: Sequence[CohortPair]) -> tuple[CohortPair, ...]:
    """Benjamini-Hochberg over the pairs that have a test, said in their sentences where it changes the reading."""
    tested = [j for j, pair in enumerate(pairs) if pair.p is not None]
    if not tested:
        return tuple(pairs)
    if len(tested) == 1:
        return tuple(replace(pair, p_adjusted=pair.p) for pair in pairs)
    from statsmodels.stats.multitest import multipletests

    adjusted = multipletests([pairs[j].p for j in tested], alpha=ALPHA, method="fdr_bh")[1]
    out = list(pairs)
    for j, q in zip(tested, adjusted, strict=True):
        pair = out[j]
        said = pair.sentence
        if pair.floor is not None and ALPHA / len(tested) < pair.floor <= ALPHA:
            said += f" Over {len(tested)} pairs these raters are too few for a correction: p would have to reach {ALPHA / len(tested):.2g}."
        elif pair.p is not None and pair.p <= ALPHA < q:
            said += f" Over {len(tested)} pairs this does not stand (Benjamini-Hochberg {float(q):.2g})."
        out[j] = replace(pair, p_adjusted=float(q), sentence=said)
    return tuple(out)
