"""Precision, recall and F1 per label: on skewed tasks raw agreement must not be the only figure.

0/0 is undefined, with a sentence, never 0: a rater who never gives a label has no precision for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .bootstrap import check_replicates
from .estimate import Estimate
from .gold_figures import gold_codes
from .intervals import Kind
from .item_sums import ItemGroups, ratio_estimate
from .ratings import RatingsTable, as_label, is_missing

__all__ = ["LabelScore", "LabelScores", "f1_of", "score_confusion", "score_labels", "score_raters", "score_table"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LabelScore:
    """One label: precision, recall and F1, how often the reference has it, and how often it was given."""

    precision: Estimate
    recall: Estimate
    f1: Estimate
    in_reference: int
    given: int

    def as_json(self) -> dict[str, Any]:
        return {
            "precision": self.precision.as_json(),
            "recall": self.recall.as_json(),
            "f1": self.f1.as_json(),
            "in_reference": self.in_reference,
            "given": self.given,
        }


@dataclass(frozen=True)
class LabelScores:
    """Scores by label with the accuracy, and the items left out because one side is missing."""

    accuracy: Estimate
    labels: dict[str, LabelScore]
    missing: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "accuracy": self.accuracy.as_json(),
            "labels": {name: one.as_json() for name, one in self.labels.items()},
            "missing": self.missing,
        }


def f1_of(precision: float, recall: float) -> float | None:
    """Harmonic mean of precision and recall (one scale, such as fractions or percent); None for 0 and 0.

    >>> round(f1_of(97.0, 7.3), 1)
    13.6
    """
    return None if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def _wilson(right: int, of: int, confidence: float, undefined: str) -> Estimate:
    """A share with Wilson's interval, or why there is none."""
    if of == 0:
        return Estimate.missing(undefined, level=confidence)
    from scipy.stats import binomtest

    interval = binomtest(right, of).proportion_ci(confidence, method="wilson")
    share = right / of
    return Estimate(
        value=share,
        low=float(interval.low),
        high=float(interval.high),
        se=math.sqrt(share * (1 - share) / of),
        level=confidence,
        method="wilson",
        population="items like these",
        n_items=of,
        n_raters=1,
        n_ratings=of,
    )


def score_confusion(
    confusion: npt.ArrayLike, categories: Sequence[Any], *, confidence: float = 0.95, missing: int = 0
) -> LabelScores:
    """Scores from a table of counts, rows = reference, columns = answers.

    Parameters
    ----------
    confusion
        K x K counts of items.
    categories
        The K labels.
    confidence
        Of the intervals: Wilson's for shares; for F1 Wilson's for TP / (TP + FP + FN), of which F1 is a function.
    missing
        Items left out, passed through.

    Returns
    -------
    LabelScores

    Examples
    --------
    >>> scores = score_confusion([[914, 0], [86, 0]], ["0", "1"])
    >>> scores.labels["1"].recall.value, scores.labels["1"].precision.undefined
    (0.0, "'1' was never given: precision is 0/0")
    """
    table = np.asarray(confusion)
    names = [as_label(c) for c in categories]
    if table.shape != (len(names), len(names)):
        raise ValueError(f"the confusion table is {table.shape}, but there are {len(names)} categories")
    if table.size and ((table < 0).any() or (table != np.floor(table)).any()):
        raise ValueError("a confusion table holds counts: whole numbers of 0 or more")
    table = table.astype(np.int64)
    total, right = int(table.sum()), int(np.trace(table))
    labels: dict[str, LabelScore] = {}
    for k, name in enumerate(names):
        hit, given, wanted = int(table[k, k]), int(table[:, k].sum()), int(table[k].sum())
        union = given + wanted - hit
        f1 = _wilson(hit, union, confidence, f"{name!r} occurs nowhere: F1 is 0/0")
        if f1.value is not None and f1.low is not None and f1.high is not None:
            j = f1.value
            f1 = Estimate(
                value=2 * j / (1 + j),
                low=2 * f1.low / (1 + f1.low),
                high=2 * f1.high / (1 + f1.high),
                se=None if f1.se is None else f1.se * 2 / (1 + j) ** 2,
                level=confidence,
                method="wilson",
                population=f1.population,
                n_items=union,
                n_raters=1,
                n_ratings=union,
            )
        labels[name] = LabelScore(
            precision=_wilson(hit, given, confidence, f"{name!r} was never given: precision is 0/0"),
            recall=_wilson(hit, wanted, confidence, f"{name!r} is never right here: recall is 0/0"),
            f1=f1,
            in_reference=wanted,
            given=given,
        )
    return LabelScores(_wilson(right, total, confidence, "no item has both a reference and an answer"), labels, missing)


def score_labels(
    reference: Sequence[Any],
    answers: Sequence[Any],
    *,
    categories: Sequence[Any] | None = None,
    confidence: float = 0.95,
) -> LabelScores:
    """Scores of one rater's or model's answers, one per item, against a reference.

    Parameters
    ----------
    reference, answers
        Labels item by item; None, NaN and '' on either side leave the item out (an abstention is no error).
    categories
        Declared labels; without them those that occur.

    Raises
    ------
    ValueError
        Unequal lengths, or a label that is not declared; the message names the row.
    """
    if len(reference) != len(answers):
        raise ValueError(f"{len(reference)} reference labels, {len(answers)} answers: they must be the same items")
    both = [(row, a, b) for row, (a, b) in enumerate(zip(reference, answers, strict=True))]
    kept = [(row, as_label(a), as_label(b)) for row, a, b in both if not is_missing(a) and not is_missing(b)]
    names = (
        [as_label(c) for c in categories]
        if categories is not None
        else sorted({label for _, a, b in kept for label in (a, b)})
    )
    code = {name: k for k, name in enumerate(names)}
    table = np.zeros((len(names), len(names)), np.int64)
    for row, a, b in kept:
        for label in (a, b):
            if label not in code:
                raise ValueError(f"row {row + 1}: label {label!r} is not one of the declared categories")
        table[code[a], code[b]] += 1
    return score_confusion(table, names, confidence=confidence, missing=len(both) - len(kept))


def score_raters(table: RatingsTable, gold: Mapping[Any, Any], *, confidence: float = 0.95) -> dict[str, LabelScores]:
    """Scores of each rater against gold, by rater name; raters without an item with gold are there, undefined.

    Gold labels outside the table's categories form one further category no rating can have.
    """
    codes, outside = gold_codes(table, gold)
    k = table.n_categories + (1 if outside else 0)
    names = [*table.categories, *(["(other)"] if outside else [])]
    wanted = codes[table.item]
    rows = wanted >= 0
    flat = (table.rater[rows].astype(np.int64) * k + wanted[rows]) * k + table.value[rows]
    counts = np.bincount(flat, minlength=table.n_raters * k * k).reshape(table.n_raters, k, k)
    without = np.bincount(table.rater[~rows], minlength=table.n_raters)
    return {
        name: score_confusion(counts[g], names, confidence=confidence, missing=int(without[g]))
        for g, name in enumerate(table.raters)
    }


def score_table(
    table: RatingsTable,
    gold: Mapping[Any, Any],
    *,
    interval: Kind = "auto",
    confidence: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
) -> LabelScores:
    """Scores of all ratings together against gold, with intervals that know that an item's ratings go together (A.11)."""
    check_replicates(bootstrap)
    codes, _ = gold_codes(table, gold)
    groups = ItemGroups.of(table, codes)
    used = groups.reference >= 0
    left_out = int(groups.multiplicity[~used] @ groups.per_item[~used])
    if not used.any():
        nothing = Estimate.missing("no rated item has gold", level=confidence, n_raters=table.n_raters)
        return LabelScores(nothing, {}, left_out)
    wrong = np.array(
        [
            r - (c[g] if 0 <= g < len(c) else 0)
            for c, g, r in zip(groups.counts, groups.reference, groups.per_item, strict=True)
        ]
    )
    basis = groups.basis(used, {"items_without_gold": int((codes < 0).sum())}, disagreeing=wrong > 0)

    def figure(denominator: str, k: int | None, undefined: str) -> Estimate:
        def vectors(c: Ints, reference: Ints) -> Floats:
            r = c.sum(axis=1)
            known = reference >= 0
            if k is None:
                inside = known & (reference < c.shape[1])
                hit = np.where(inside, c[np.arange(len(c)), np.where(inside, reference, 0)], 0)
                return np.column_stack([r * known, hit]).astype(float)
            given, wanted = c[:, k] * known, r * (reference == k)
            hit = given * (reference == k)
            if denominator == "given":
                return np.column_stack([given, hit]).astype(float)
            if denominator == "wanted":
                return np.column_stack([wanted, hit]).astype(float)
            return np.column_stack([given + wanted, 2 * hit]).astype(float)

        total = groups.multiplicity[used] @ vectors(groups.counts, groups.reference)[used]
        if total[0] == 0:
            return Estimate.missing(undefined, level=confidence, n_items=basis.n_items, n_raters=basis.n_raters)
        return ratio_estimate(
            groups, vectors, used, basis, kind=interval, confidence=confidence, bootstrap=bootstrap, seed=seed
        )

    labels: dict[str, LabelScore] = {}
    m = groups.multiplicity[used]
    for k, name in enumerate(table.categories):
        labels[name] = LabelScore(
            precision=figure("given", k, f"{name!r} was never given: precision is 0/0"),
            recall=figure("wanted", k, f"{name!r} is never right here: recall is 0/0"),
            f1=figure("both", k, f"{name!r} occurs nowhere: F1 is 0/0"),
            in_reference=int(m @ (groups.per_item[used] * (groups.reference[used] == k))),
            given=int(m @ groups.counts[used, k]),
        )
    return LabelScores(figure("", None, ""), labels, left_out)
