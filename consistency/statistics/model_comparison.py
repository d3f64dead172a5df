"""A model against people, on the same reference for both.

Against the other raters: does the model agree with the others more often than a rater does? Against gold: is it right
more often than a rater? In both the model and each rating are scored against one and the same reference, so neither
gains by a larger one (docs/statistics.md A.8b). Pairwise HLP is never the yardstick. The alternative-annotator test stands
beside, not instead: it asks whether the model is within epsilon of each person, and knows item noise only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .bootstrap import check_replicates
from .credits import mean_model_credit, own_credit_sum
from .estimate import Estimate
from .gold_figures import gold_codes
from .intervals import ALIKE, TOO_FEW, ZERO, Basis, Kind, Variances, t_quantile
from .item_sums import ItemGroups, Vectors, ratio, sums_of
from .ratings import RatingsTable, as_label

__all__ = ["MARGIN", "ModelComparison", "compare_model", "compare_model_with_gold", "difference_estimate"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MARGIN = 0.05


@dataclass(frozen=True)
class ModelComparison:
    """A model's score less a rater's, and what may be said about it.

    Attributes
    ----------
    difference
        Mean over items of the mean over their ratings of (model's credit - rating's credit), on the raw scale.
    model_score, rater_score
        The two parts (item weight); None when undefined.
    verdict
        ``better``, ``matches``, ``falls_short`` or ``cannot_say``.
    sentence
        The verdict in words.
    margin
        How far below still counts as a match.
    reference
        ``raters`` or the gold's origin.
    """

    difference: Estimate
    model_score: float | None
    rater_score: float | None
    verdict: str
    sentence: str
    margin: float
    reference: str

    def as_json(self) -> dict[str, Any]:
        return {
            "difference": self.difference.as_json(),
            "model_score": self.model_score,
            "rater_score": self.rater_score,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "margin": self.margin,
            "reference": self.reference,
        }


def difference_estimate(
    value: float, variances: Variances, basis: Basis, *, kind: Kind = "auto", confidence: float = 0.95
) -> Estimate:
    """Estimate of a difference between a model and raters: V = Vi + max(0, Vr - Vir), raw scale (docs/statistics.md A.8b).

    Unlike a coefficient's, this variance has no floor at Vr, on purpose: what raters share cancels in a difference.
    Two-way with t(R_eff - 1) from five raters and four effective ones on; else items only, "than these raters".
    """
    r = basis.raters or 0
    many = r >= 5 and basis.effective_raters >= 4
    two_way = variances.raters is not None and variances.items is not None
    two_way = two_way and kind != "items" and (many or kind == "two_way")
    variance = variances.items
    if two_way and variances.items is not None and variances.raters is not None:
        variance = variances.items + max(0.0, variances.raters - variances.labels)
    notes = [TOO_FEW] if basis.pairable < 20 else []
    se = None if variance is None else math.sqrt(variance)
    low = high = None
    df = basis.effective_raters - 1 if two_way else basis.pairable - 1
    if se is None or df <= 0:
        notes.append("one item only: no interval")
    elif se < ZERO and abs(value) < ZERO:
        # what the number of items allows, as for an agreement that nobody ever broke
        half = 1 - ((1 - confidence) / 2) ** (1 / basis.pairable)
        low, high, two_way = -half, half, False
        notes.append("on every item the model does exactly what the raters do")
    elif se < ZERO:
        notes.append(ALIKE)
    else:
        half = t_quantile((1 + confidence) / 2, df) * se
        low, high = value - half, value + half
    if two_way:
        population = "than raters like these, on items like these"
        if r < 10:
            notes.append(f"assumes that no kind of rater is missing from the {r}")
    elif r < 5 or not many:
        population = "than these raters; they are too few to speak about raters in general"
    else:
        population = "than these raters, on items like these"
    return Estimate(
        value=value,
        low=low,
        high=high,
        se=se,
        se_items=None if variances.items is None else math.sqrt(variances.items),
        se_raters=None if variances.raters is None else math.sqrt(variances.raters),
        level=confidence,
        method="none" if low is None else "two_way" if two_way else "items",
        population=population,
        n_items=basis.n_items,
        n_raters=basis.n_raters,
        n_ratings=basis.n_ratings,
        excluded=basis.excluded,
        notes=tuple(notes),
    )


def compare_model(
    table: RatingsTable,
    predictions: Mapping[Any, Any],
    *,
    margin: float = MARGIN,
    interval: Kind = "auto",
    confidence: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
) -> ModelComparison:
    """Does a model agree with the other raters as often as a rater does?

    For each rating l of an item, credit of the model's label minus credit of l, both against the item's ratings
    without l (1/t for one of t most frequent labels); averaged within items, then over items.

    Parameters
    ----------
    table
        Ratings by people only.
    predictions
        The model's label by item name; items without one, or with fewer than two ratings, are left out and counted.
    margin
        How far below a rater still counts as a match, >= 0.
    interval, confidence, bootstrap, seed
        As in `measure_hlp`.

    Returns
    -------
    ModelComparison
        The reference is people, so the words are "agrees with the other raters more often than a rater does", never
        "better than people".

    Examples
    --------
    >>> rows = [(f"i{j}", f"r{g}", "a" if g or j % 3 else "b") for j in range(60) for g in range(5)]
    >>> compare_model(RatingsTable.from_records(rows), {f"i{j}": "a" for j in range(60)}).verdict
    'cannot_say'
    """
    codes, _ = gold_codes(table, predictions)
    k = table.n_categories

    def scores(c: Ints, model: Ints) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
        r = c.sum(axis=1)
        used = (r >= 2) & (model >= 0)
        known = used & (model < k)
        mine = np.zeros(len(c))
        mine[known] = mean_model_credit(c[known], model[known])
        return used, mine, own_credit_sum(c) / np.maximum(r, 1) * used

    def vectors(c: Ints, model: Ints) -> Floats:
        used, mine, theirs = scores(c, model)
        return np.column_stack([used, mine - theirs, mine])

    return _compare(table, codes, vectors, "raters", margin, interval, confidence, bootstrap, seed)


def compare_model_with_gold(
    table: RatingsTable,
    predictions: Mapping[Any, Any],
    gold: Mapping[Any, Any],
    *,
    gold_origin: str = "external",
    margin: float = MARGIN,
    interval: Kind = "auto",
    confidence: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
) -> ModelComparison:
    """Is a model right as often as a rater, with gold as the reference?

    Parameters
    ----------
    table, predictions, margin, interval, confidence, bootstrap, seed
        As in `compare_model`; here items with one rating count as well.
    gold
        Reference label by item name.
    gold_origin
        Shown with the verdict.

    Returns
    -------
    ModelComparison
    """
    model, _ = gold_codes(table, predictions)
    reference, _ = gold_codes(table, gold)
    k = table.n_categories
    # a label outside the categories is told from another by its text, not by its code
    named = {table.items[int(i)]: int(i) for i in np.flatnonzero((model == k) & (reference == k))}
    right = (model == reference) & (model < k)
    if named:
        texts = {as_label(item): as_label(label) for item, label in predictions.items()}
        golds = {as_label(item): as_label(label) for item, label in gold.items()}
        for name, i in named.items():
            right[i] = texts[name] == golds[name]
    codes = np.where((model >= 0) & (reference >= 0), reference * 2 + right, -1)

    def vectors(c: Ints, code: Ints) -> Floats:
        r = c.sum(axis=1)
        used = (r >= 1) & (code >= 0)
        target = np.where(code >= 0, code // 2, 0)
        inside = used & (target < k)
        hits = np.where(inside, c[np.arange(len(c)), np.where(inside, target, 0)], 0) / np.maximum(r, 1)
        mine = (code % 2) * used
        return np.column_stack([used, mine - hits, mine]).astype(float)

    return _compare(table, codes, vectors, gold_origin, margin, interval, confidence, bootstrap, seed, fewest=1)


def _compare(
    table: RatingsTable,
    codes: Ints,
    vectors: Vectors,
    reference: str,
    margin: float,
    kind: Kind,
    confidence: float,
    bootstrap: int,
    seed: int,
    fewest: int = 2,
) -> ModelComparison:
    if margin < 0:
        raise ValueError(f"the margin must be 0 or more, not {margin}")
    check_replicates(bootstrap)
    groups = ItemGroups.of(table, codes)
    used = (groups.reference >= 0) & (groups.per_item >= fewest)
    m = groups.multiplicity
    excluded = {
        "items_without_model_label" if reference == "raters" else "items_without_model_or_gold": int(
            m[groups.reference < 0].sum()
        ),
    }
    if fewest == 2:
        excluded["single_rating_items"] = int(m[(groups.reference >= 0) & (groups.per_item < 2)].sum())
    basis = groups.basis(used, excluded)
    if not basis.n_items:
        reason = (
            "no item has a label by the model and two or more ratings"
            if fewest == 2
            else "no rated item has both gold and a label by the model"
        )
        none = Estimate.missing(reason, level=confidence, n_raters=table.n_raters, excluded=excluded)
        return ModelComparison(none, None, None, "cannot_say", f"Cannot say: {reason}.", margin, reference)
    sums = sums_of(groups, vectors, used)
    value = float(ratio(sums.total))
    slope = np.array([-value, 1.0, 0.0]) / sums.total[0]
    (variances,) = sums.variances([(ratio, slope)], bootstrap=bootstrap, seed=seed)
    estimate = difference_estimate(value, variances, basis, kind=kind, confidence=confidence)
    mine = float(sums.total[2] / sums.total[0])
    verdict = judge(estimate, margin)
    return ModelComparison(
        estimate,
        mine,
        mine - value,
        verdict,
        _sentence(estimate, verdict, margin, reference),
        margin,
        reference,
    )


def judge(difference: Estimate, margin: float) -> str:
    """The verdict from an interval: superiority is asked only where non-inferiority holds (fixed order)."""
    if difference.low is None or difference.high is None:
        return "cannot_say"
    if difference.low > 0:
        return "better"
    if difference.low > -margin:
        return "matches"
    return "falls_short" if difference.high < 0 else "cannot_say"


def _sentence(difference: Estimate, verdict: str, margin: float, reference: str) -> str:
    value = difference.value or 0.0
    these = difference.method != "two_way"
    rater = "these raters do" if these else "a rater does"
    of_people = "these raters" if these else "people"
    if difference.low is None or difference.high is None:
        return f"Cannot say: the difference is {100 * value:+.1f} points, without an interval."
    span = f"{100 * value:+.1f} points, {100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    within = f"within the margin of {100 * margin:g} points"
    if reference == "raters":
        said = {
            "better": f"The model agrees with the other raters more often than {rater} ({span}).",
            "matches": f"The model agrees with the other raters as often as {rater}, {within} ({span}).",
            "falls_short": f"The model agrees with the other raters less often than {rater} ({span}).",
        }
    else:
        said = {
            "better": f"Better than {of_people}: the model equals the {reference} gold more often ({span}).",
            "matches": f"Matches {of_people} against the {reference} gold, {within} ({span}).",
            "falls_short": f"Falls short of {of_people} against the {reference} gold ({span}).",
        }
    sentence = said.get(
        verdict, f"Cannot say whether the model matches {of_people}: {span}; more items or raters would decide."
    )
    if verdict == "matches" and difference.high < 0:
        sentence = sentence.replace(within, f"{within}, slightly below")
    return sentence
