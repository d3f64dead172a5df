"""Human-level performance: how well a rater does against other raters or against gold, and what it must be read with.

Three kinds that must not be mixed (the kind is part of the number): *pairwise*, a rater against another rater;
*leave-one-out*, a rater against the majority of the others; *against gold*, a rater against a reference of stated
origin. Beside them always the constant model and the convention ceiling, since a model can pass pairwise HLP by
following a convention only (docs/statistics.md A.6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .artefact import Artefact, judge_artefact
from .asked import Asked
from .bootstrap import check_replicates
from .ceiling import convention_ceiling
from .continuous import MOST_CATEGORIES, basis_of_labels, too_many
from .credits import matched_credit, own_credit_sum
from .estimate import Estimate
from .gold_figures import figures_against_gold
from .intervals import Kind, nothing_to_compare
from .item_sums import Function, ItemGroups, Vectors, ratio
from .rater_means import credit_macro
from .ratings import RatingsTable

__all__ = [
    "HLP",
    "matched_leave_one_out",
    "measure_hlp",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HLP:
    """Human-level performance of one table with everything it must be read beside.

    Attributes
    ----------
    pairwise
        Two different raters of an item agree; mean over items with two or more ratings (item weight).
    pairwise_with_replacement
        The same if these raters ARE the population: mean of sum_k (m_ik / r_i)^2.
    leave_one_out
        A rating against the majority of the item's other ratings, 1/t credit on a t-way tie (rating weight).
    leave_one_out_macro
        The same as a mean over raters of their own means (rater weight).
    against_gold, against_gold_macro
        Share of ratings equal to gold (rating weight), and the mean over raters of theirs.
    gold_origin
        Where the gold comes from; None without gold.
    constant_model
        Most frequent label's share of all ratings (rating weight).
    constant_model_item_weight
        max_k mean_i m_ik / r_i: the one to subtract from `pairwise`.
    convention_ceiling
        Score of a predictor that knows every item's majority, against a random rater.
    ceiling_bounds
        The bounds it was kept in; None when undefined.
    majority_gain
        Accuracy of the majority's label against gold less that of the ratings, both rating-weighted, for these raters;
        None without gold.
    artefact
        Whether the points between ceiling and pairwise are a convention.
    """

    pairwise: Estimate
    pairwise_with_replacement: Estimate
    leave_one_out: Estimate
    leave_one_out_macro: Estimate
    against_gold: Estimate
    against_gold_macro: Estimate
    gold_origin: str | None
    constant_model: Estimate
    constant_model_item_weight: Estimate
    convention_ceiling: Estimate
    ceiling_bounds: tuple[float, float] | None
    majority_gain: Estimate | None
    artefact: Artefact

    def as_json(self) -> dict[str, Any]:
        """Exactly the keys of the command line's contract; estimates as plain types."""
        return {
            "pairwise": self.pairwise.as_json(),
            "pairwise_with_replacement": self.pairwise_with_replacement.as_json(),
            "leave_one_out": self.leave_one_out.as_json(),
            "leave_one_out_macro": self.leave_one_out_macro.as_json(),
            "against_gold": self.against_gold.as_json(),
            "against_gold_macro": self.against_gold_macro.as_json(),
            "gold_origin": self.gold_origin,
            "constant_model": self.constant_model.as_json(),
            "constant_model_item_weight": self.constant_model_item_weight.as_json(),
            "convention_ceiling": self.convention_ceiling.as_json(),
            "artefact": self.artefact.as_json(),
        }


def _pairwise_vectors(c: Ints, _: Ints) -> Floats:
    r = c.sum(axis=1).astype(float)
    two = r >= 2
    pairs = np.where(two, r * (r - 1), 1.0)
    return np.column_stack([two.astype(float), (c * (c - 1)).sum(axis=1) / pairs * two])


def _replacement_vectors(c: Ints, _: Ints) -> Floats:
    r = c.sum(axis=1).astype(float)
    two = r >= 2
    return np.column_stack([two.astype(float), (c.astype(float) ** 2).sum(axis=1) / np.where(two, r * r, 1.0) * two])


def _leave_one_out_vectors(c: Ints, _: Ints) -> Floats:
    r = c.sum(axis=1).astype(float)
    return np.column_stack([r * (r >= 2), own_credit_sum(c)])


def _label_vectors(c: Ints, _: Ints) -> Floats:
    return np.column_stack([c.sum(axis=1), c]).astype(float)


def _share_vectors(c: Ints, _: Ints) -> Floats:
    r = c.sum(axis=1).astype(float)
    two = r >= 2
    return np.column_stack([two, c / np.where(two, r, 1.0)[:, None] * two[:, None]]).astype(float)


def _largest_share(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[..., 0] > 1e-9, sums[..., 1:].max(axis=-1) / sums[..., 0], np.nan)


def measure_hlp(
    table: RatingsTable,
    *,
    gold: Mapping[Any, Any] | None = None,
    gold_origin: str | None = None,
    interval: Kind = "auto",
    confidence: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
    permutations: int = 999,
) -> HLP:
    """Measure human-level performance of a ratings table, with its baselines.

    Parameters
    ----------
    table
        Ratings; labels made with a model's help, or after a discussion, must not be in it.
    gold
        Reference label by item name; items without gold are left out of that figure. Labels that came from a rater
        of the table must not be counted against that rater: leave such gold, or such ratings, out.
    gold_origin
        ``external``, ``adjudicated``, ``single_rater``, ``user_declared`` or ``feedback``; shown with the figure.
    interval
        ``auto`` (two-way from five raters on), ``two_way`` or ``items``.
    confidence
        In (0, 1).
    bootstrap
        0: linearised item variance; 2,000 or more: the item bootstrap's variance instead, where there is one (the
        macro figures keep the linearised one).
    seed
        For the ceiling's interval, the permutation test and the bootstrap.
    permutations
        Of the artefact's test.

    Returns
    -------
    HLP
        Undefined figures carry their reason; nothing is raised for small or empty tables.

    Examples
    --------
    >>> ten = [("i", f"r{g}", "Um…" if g < 7 else "Um,") for g in range(10)]
    >>> hlp = measure_hlp(RatingsTable.from_records(ten))
    >>> round(hlp.pairwise.value, 4), round(hlp.pairwise_with_replacement.value, 4), hlp.convention_ceiling.value
    (0.5333, 0.58, 0.7)
    """
    check_replicates(bootstrap)
    asked = Asked(interval, confidence, bootstrap, seed, dict(table.excluded))
    if table.n_categories > MOST_CATEGORIES:
        return _of_continuous(table, asked, gold_origin if gold is not None else None)
    groups = ItemGroups.of(table)
    several = groups.per_item >= 2
    every = np.ones(len(several), np.bool_)
    pairable = groups.basis(several, asked.excluded)
    whole = groups.basis(every, asked.excluded)
    reason = nothing_to_compare(whole) or ("no item has ratings by two raters" if not pairable.n_items else None)

    def over_pairs(vectors: Vectors, value_of: Function = ratio) -> Estimate:
        if reason:
            return asked.missing(reason, whole)
        return asked.estimate(groups, vectors, several, pairable, value_of=value_of)

    pairwise = over_pairs(_pairwise_vectors)
    with_replacement = over_pairs(_replacement_vectors)
    if whole.n_ratings:
        constant = asked.estimate(groups, _label_vectors, every, whole, value_of=_largest_share)
    else:
        constant = asked.missing("there are no ratings", whole)
    if reason:
        macro, bounds = asked.missing(reason, whole), None
        ceiling = asked.missing(reason, whole)
    else:
        macro = credit_macro(table, groups, kind=interval, confidence=confidence)
        found = convention_ceiling(
            groups.counts, groups.multiplicity, n_raters=pairable.n_raters, confidence=confidence, seed=seed
        )
        ceiling = found.estimate
        bounds = (found.lower, found.upper) if found.lower is not None and found.upper is not None else None

    against, against_macro, gain = figures_against_gold(table, gold, asked)
    from .intra_rater import pooled_self_agreement

    artefact = judge_artefact(
        table,
        ceiling=ceiling,
        pairwise=pairwise,
        with_replacement=with_replacement,
        majority_gain=gain,
        self_agreement=pooled_self_agreement(table, confidence=confidence) if len(table.repeats) else None,
        permutations=permutations,
        seed=seed,
    )
    return HLP(
        pairwise=pairwise,
        pairwise_with_replacement=with_replacement,
        leave_one_out=over_pairs(_leave_one_out_vectors),
        leave_one_out_macro=macro,
        against_gold=against,
        against_gold_macro=against_macro,
        gold_origin=gold_origin if gold is not None else None,
        constant_model=constant,
        constant_model_item_weight=over_pairs(_share_vectors, _largest_share),
        convention_ceiling=ceiling,
        ceiling_bounds=bounds,
        majority_gain=gain,
        artefact=artefact,
    )


def _of_continuous(table: RatingsTable, asked: Asked, gold_origin: str | None) -> HLP:
    """Every figure undefined: numbers with thousands of values are never quite equal, so equality measures nothing."""
    reason = too_many(table.n_categories)
    nothing = asked.missing(reason, basis_of_labels(table))
    return HLP(
        pairwise=nothing,
        pairwise_with_replacement=nothing,
        leave_one_out=nothing,
        leave_one_out_macro=nothing,
        against_gold=nothing,
        against_gold_macro=nothing,
        gold_origin=gold_origin,
        constant_model=nothing,
        constant_model_item_weight=nothing,
        convention_ceiling=nothing,
        ceiling_bounds=None,
        majority_gain=None,
        artefact=Artefact(None, None, "cannot_say", f"Nothing to compare: {reason}."),
    )


def matched_leave_one_out(
    table: RatingsTable,
    m: int,
    *,
    interval: Kind = "auto",
    confidence: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
) -> Estimate:
    """Leave-one-out HLP against a reference of exactly m other ratings, averaged over all m-subsets (rating weight).

    Plain leave-one-out rises with the number of raters per item, since larger majorities err less; a fixed m makes
    tables with different overlap comparable. With one and the same number of ratings everywhere m = 1 is pairwise HLP;
    with two labels an even m gives exactly what m - 1 gives, so compare only odd m.

    Parameters
    ----------
    table
    m
        Size of the reference, from 1 to the smallest number of ratings of an item with two or more, less 1.
    interval, confidence, bootstrap, seed
        As in `measure_hlp`.

    Returns
    -------
    Estimate
        Undefined, with the largest m possible in its reason, when m is too large.
    """
    check_replicates(bootstrap)
    asked = Asked(interval, confidence, bootstrap, seed, dict(table.excluded))
    groups = ItemGroups.of(table)
    several = groups.per_item >= 2
    basis = groups.basis(several, asked.excluded)
    reason = nothing_to_compare(groups.basis(np.ones(len(several), np.bool_), {}))
    if reason or not basis.n_items:
        return asked.missing(reason or "no item has ratings by two raters", basis)
    largest = int(groups.per_item[several].min()) - 1
    if not 1 <= m <= largest:
        return asked.missing(
            f"a reference of {m} other ratings is not to be had: here m goes from 1 to {largest}", basis
        )

    def vectors(c: Ints, _: Ints) -> Floats:
        out = np.zeros((len(c), 2))
        r = c.sum(axis=1)
        enough = np.flatnonzero(r >= m + 1)
        # the credit of a count does not depend on which label has it: work once per multiset of counts
        ordered, inverse = np.unique(-np.sort(-c[enough], axis=1), axis=0, return_inverse=True)
        credit = np.array([one @ matched_credit(one, m) for one in ordered])
        out[enough, 0] = r[enough]
        out[enough, 1] = credit[inverse.reshape(-1)]
        return out

    estimate = asked.estimate(groups, vectors, several, basis)
    return estimate.with_notes(f"against {m} other rating{'s' if m > 1 else ''} per item")
