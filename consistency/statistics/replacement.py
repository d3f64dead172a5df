"""May a model take over? The alternative-annotator test, and the gate that automation has to pass against gold.

Alternative-annotator test: Calderon, Reichart and Dror (ACL 2025). Gate: non-inferiority of paired accuracies by Tango's
score interval (Tango 1998, Statistics in Medicine 17:891), per group with Holm's correction; a cut-off for confident
cases is chosen on one part of the data and its risk bounded on another (Clopper-Pearson).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .estimate import Estimate
from .gold_figures import gold_codes
from .item_sums import ItemGroups
from .ratings import RatingsTable

__all__ = [
    "AlternativeAnnotatorTest",
    "CutOff",
    "Gate",
    "PersonTest",
    "alternative_annotator_test",
    "choose_cut_off",
    "gate_groups",
    "items_needed",
    "non_inferiority_gate",
    "tango_interval",
    "tango_z",
]

FEWEST_ITEMS = 30
FEWEST_PEOPLE = 3


@dataclass(frozen=True)
class PersonTest:
    """One person against the model: items compared, share where the model is at least as good, p, and the decision."""

    rater: str
    items: int
    model_wins: float
    person_wins: float
    p: float
    rejected: bool


@dataclass(frozen=True)
class AlternativeAnnotatorTest:
    """Is the model within epsilon of each person?

    Attributes
    ----------
    winning_rate
        Share of people for whom "the person is better by epsilon or more" is rejected; the model passes from .5 on.
    advantage_probability
        Mean over people of the share of items where the model is at least as close to the others.
    passes
        None when undefined.
    epsilon, people, left_out
        The allowance; one row per person tested; people with too few items.
    sentence
        In words, with what the test does not know.
    """

    winning_rate: Estimate
    advantage_probability: Estimate
    passes: bool | None
    epsilon: float
    people: tuple[PersonTest, ...]
    left_out: tuple[str, ...]
    sentence: str


def alternative_annotator_test(
    table: RatingsTable,
    predictions: Mapping[Any, Any],
    *,
    epsilon: float = 0.1,
    q: float = 0.05,
    fewest_items: int = FEWEST_ITEMS,
) -> AlternativeAnnotatorTest:
    """Run the alternative-annotator test with accuracy as alignment.

    Parameters
    ----------
    table, predictions
        Ratings by people, and the model's label by item name; items need two or more people and a model label.
    epsilon
        What people cost more than the model: .2 for experts, .15 for skilled, .1 for crowd raters.
    q
        False discovery rate over people (Benjamini-Yekutieli).
    fewest_items
        People with fewer items are left out (30 at least, 50-100 advised).

    Returns
    -------
    AlternativeAnnotatorTest
    """
    if not 0 <= epsilon < 1:
        raise ValueError(f"epsilon must lie in [0, 1), not {epsilon}")
    codes, _ = gold_codes(table, predictions)
    groups = ItemGroups.of(table, codes)
    group = groups.index[table.item]
    usable = (groups.reference[group] >= 0) & (groups.per_item[group] >= 2)
    group, value, rater = group[usable], table.value[usable].astype(np.int64), table.rater[usable]
    model = groups.reference[group]
    known = model < table.n_categories
    counts = groups.counts[group]
    row = np.arange(len(group))
    with_model = np.where(known, counts[row, np.where(known, model, 0)], 0) - (known & (model == value))
    with_person = counts[row, value] - 1
    wins_model, wins_person = with_model >= with_person, with_person >= with_model
    n = np.bincount(rater, minlength=table.n_raters)
    rows: list[tuple[str, int, float, float, float]] = []
    left_out = []
    for g in map(int, np.flatnonzero(n > 0)):
        if n[g] < fewest_items:
            left_out.append(table.raters[g])
            continue
        mine = rater == g
        d = wins_person[mine].astype(float) - wins_model[mine]
        rows.append(
            (
                table.raters[g],
                int(n[g]),
                float(wins_model[mine].mean()),
                float(wins_person[mine].mean()),
                _below(d, epsilon),
            )
        )
    ratings = int(sum(r[1] for r in rows))
    if len(rows) < FEWEST_PEOPLE:
        reason = (
            f"{len(rows)} people have {fewest_items} or more items with the model and another person; "
            f"the test needs {FEWEST_PEOPLE}"
        )
        none = Estimate.missing(reason, n_raters=len(rows), n_ratings=ratings)
        return AlternativeAnnotatorTest(none, none, None, epsilon, (), tuple(left_out), f"Cannot say: {reason}.")
    from statsmodels.stats.multitest import multipletests

    rejected = multipletests([r[4] for r in rows], alpha=q, method="fdr_by")[0]
    people = tuple(PersonTest(*one, rejected=bool(no)) for one, no in zip(rows, rejected, strict=True))
    omega = float(np.mean(rejected))
    counts_of: dict[str, Any] = {
        "n_items": int(np.unique(table.item[usable]).size),
        "n_raters": len(rows),
        "n_ratings": ratings,
        "excluded": {"raters_with_too_few_items": len(left_out)},
        "notes": ("knows item noise only: these people, other items",),
    }
    verdict = (
        f"The model is within {epsilon:g} of {100 * omega:.0f} % of the {len(rows)} people tested: "
        f"{'it passes' if omega >= 0.5 else 'it does not pass'} the alternative-annotator test. "
        "This is about these people, and is not the comparison with a rater in general."
    )
    return AlternativeAnnotatorTest(
        Estimate(value=omega, **counts_of),
        Estimate(value=float(np.mean([one.model_wins for one in people])), **counts_of),
        omega >= 0.5,
        epsilon,
        people,
        tuple(left_out),
        verdict,
    )


def _below(d: npt.NDArray[np.float64], epsilon: float) -> float:
    """p of the one-sided one-sample t test of H0: mean d >= epsilon."""
    from scipy.special import stdtr

    spread = float(d.std(ddof=1)) if len(d) > 1 else 0.0
    mean = float(d.mean())
    if spread == 0:
        return 0.0 if mean < epsilon else 1.0
    return float(stdtr(len(d) - 1, (mean - epsilon) / (spread / math.sqrt(len(d)))))


def tango_z(gained: int, lost: int, n: int, difference: float) -> float:
    """Tango's score statistic for H0: p(model right) - p(reference right) = `difference`, from paired items.

    Parameters
    ----------
    gained, lost
        Items only the model, and only the reference, has right.
    n
        All items.
    """
    delta = difference
    a = 2.0 * n
    b = -gained - lost + (2 * n - gained + lost) * delta
    c = -lost * delta * (1 - delta)
    q21 = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * (2 * q21 + delta * (1 - delta))
    distance = gained - lost - n * delta
    if variance <= 0:
        return 0.0 if abs(distance) < 1e-12 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def tango_interval(gained: int, lost: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Tango's score interval for the difference of two paired accuracies.

    >>> low, high = tango_interval(0, 0, 44)
    >>> round(low, 4), round(high, 4)
    (-0.0803, 0.0803)
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    if n < 1 or gained < 0 or lost < 0 or gained + lost > n:
        raise ValueError(f"{gained} gained and {lost} lost of {n} items do not go together")
    z = float(ndtri((1 + confidence) / 2))
    estimate = (gained - lost) / n
    edge = 1 - 1e-12

    def bound(sign: int) -> float:
        def gap(delta: float) -> float:
            return tango_z(gained, lost, n, delta) - sign * z

        end = -edge if sign > 0 else edge
        start = min(max(estimate, -edge), edge)
        if gap(end) * gap(start) > 0:
            return float(np.sign(end))
        return float(brentq(gap, min(start, end), max(start, end), xtol=1e-12))

    return bound(+1), bound(-1)


@dataclass(frozen=True)
class Gate:
    """Non-inferiority of a model to a reference on the same items.

    `difference` is accuracy of the model less that of the reference with Tango's interval; the gate passes when the
    lower bound is above -margin (one-sided 97.5 % at confidence .95), for groups when Holm's p is below (1 - c)/2.
    `discordant` is the share of items only one of them has right; `needed` the items that would decide at 80 % power
    if the two were equal.
    """

    difference: Estimate
    margin: float
    p: float | None
    p_holm: float | None
    passes: bool | None
    discordant: float | None
    needed: int | None
    sentence: str


def items_needed(
    discordant: float, margin: float, *, difference: float = 0.0, alpha: float = 0.025, power: float = 0.8
) -> int:
    """Items for a non-inferiority test: (z_a + z_b)^2 (discordant - difference^2) / (margin + difference)^2.

    >>> items_needed(.15, .03), items_needed(.15, .05)
    (1309, 471)
    """
    from scipy.special import ndtri

    if margin + difference <= 0:
        raise ValueError("the true difference must lie above -margin")
    z = float(ndtri(1 - alpha) + ndtri(power))
    return math.ceil(z * z * (discordant - difference**2) / (margin + difference) ** 2)


def non_inferiority_gate(
    model_right: Sequence[bool] | npt.NDArray[np.bool_],
    reference_right: Sequence[bool] | npt.NDArray[np.bool_],
    *,
    margin: float = 0.05,
    confidence: float = 0.95,
) -> Gate:
    """May the model replace the reference, both judged against the same gold?

    Parameters
    ----------
    model_right, reference_right
        For each item of an unselected sample with gold: whether the model, and the reference (a rater or the
        consensus), has it right.
    margin
        Loss of accuracy that is acceptable, > 0.
    confidence
        Of the two-sided interval; the gate is one-sided at (1 - confidence) / 2.
    """
    from scipy.special import ndtr

    mine, theirs = np.asarray(model_right, np.bool_), np.asarray(reference_right, np.bool_)
    if mine.shape != theirs.shape or mine.ndim != 1:
        raise ValueError(
            f"{mine.size} items for the model, {theirs.size} for the reference: they must be the same items"
        )
    if margin <= 0:
        raise ValueError(f"the margin must be above 0, not {margin}")
    n = len(mine)
    if not n:
        none = Estimate.missing("no item has gold, a model label and a reference label", level=confidence)
        return Gate(none, margin, None, None, None, None, None, "Cannot say: there are no items.")
    gained, lost = int((mine & ~theirs).sum()), int((theirs & ~mine).sum())
    low, high = tango_interval(gained, lost, n, confidence=confidence)
    value = (gained - lost) / n
    p = float(ndtr(-tango_z(gained, lost, n, -margin)))
    discordant = (gained + lost) / n
    needed = items_needed(max(discordant, 1 / n), margin, alpha=(1 - confidence) / 2)
    passes = low > -margin
    span = f"{100 * value:+.1f} points, {100 * low:+.1f} to {100 * high:+.1f}, {n:,} items"
    if passes:
        sentence = f"Passes: at most {100 * margin:g} points below the reference ({span})."
    else:
        sentence = f"Does not pass: it may be more than {100 * margin:g} points below the reference ({span})."
        if n < needed:
            sentence += f" With about {needed:,} items an equal model would pass four times out of five."
    return Gate(
        Estimate(
            value=value,
            low=low,
            high=high,
            level=confidence,
            method="score",
            population="items like these",
            n_items=n,
        ),
        margin,
        p,
        p,
        passes,
        discordant,
        needed,
        sentence,
    )


def gate_groups(
    groups: Mapping[str, tuple[Sequence[bool], Sequence[bool]]], *, margin: float = 0.05, confidence: float = 0.95
) -> dict[str, Gate]:
    """The gate for every class or cohort at once, with Holm's correction over those that have items."""
    from dataclasses import replace

    gates = {
        name: non_inferiority_gate(mine, theirs, margin=margin, confidence=confidence)
        for name, (mine, theirs) in groups.items()
    }
    tested = [name for name, gate in gates.items() if gate.p is not None]
    if not tested:
        return gates
    from statsmodels.stats.multitest import multipletests

    rejected, holm = multipletests([gates[name].p for name in tested], alpha=(1 - confidence) / 2, method="holm")[:2]
    for name, passes, p in zip(tested, rejected, holm, strict=True):
        gate = gates[name]
        sentence = gate.sentence
        if gate.passes and not passes:
            sentence = f"Does not pass over {len(tested)} groups (Holm p {float(p):.3g}); alone it would. {sentence}"
        gates[name] = replace(gate, p_holm=float(p), passes=bool(passes), sentence=sentence)
    return gates


@dataclass(frozen=True)
class CutOff:
    """A confidence above which the model's answer is taken without a person.

    `cut_off` None when no cut-off keeps the calibration error within the limit; `coverage` and `risk` are measured on
    the held-out part, `risk` with its Clopper-Pearson upper bound; `holds` when that bound is within the limit.
    """

    cut_off: float | None
    coverage: float | None
    risk: Estimate
    limit: float
    holds: bool
    sentence: str


def choose_cut_off(
    scores: Sequence[float],
    right: Sequence[bool],
    held_out_scores: Sequence[float],
    held_out_right: Sequence[bool],
    *,
    limit: float,
    confidence: float = 0.95,
) -> CutOff:
    """Choose the lowest cut-off whose error on the calibration part is within `limit`; bound its risk on another part.

    Parameters
    ----------
    scores, right
        Calibration part: the model's confidence and whether it is right.
    held_out_scores, held_out_right
        Another part, never used for choosing.
    limit
        Largest acceptable error among the cases taken automatically, in (0, 1).
    confidence
        Of the one-sided upper bound.
    """
    s, good = np.asarray(scores, float), np.asarray(right, np.bool_)
    hs, hgood = np.asarray(held_out_scores, float), np.asarray(held_out_right, np.bool_)
    if s.shape != good.shape or hs.shape != hgood.shape:
        raise ValueError("every score needs its outcome")
    if not 0 < limit < 1:
        raise ValueError(f"the limit must lie between 0 and 1, not {limit}")
    order = np.argsort(-s, kind="stable")
    errors = np.cumsum(~good[order]) / np.arange(1, len(s) + 1)
    # cases with equal scores are taken or left together
    last_of_score = np.append(s[order][1:] != s[order][:-1], True) if len(s) else np.zeros(0, np.bool_)
    allowed = np.flatnonzero((errors <= limit) & last_of_score)
    if not len(allowed):
        none = Estimate.missing("no cut-off keeps the error within the limit", level=confidence)
        return CutOff(None, None, none, limit, False, f"No cut-off keeps the error within {100 * limit:g} %.")
    cut = float(s[order][allowed[-1]])
    taken = hs >= cut
    n, wrong = int(taken.sum()), int((taken & ~hgood).sum())
    coverage = n / len(hs) if len(hs) else 0.0
    if not n:
        none = Estimate.missing("no held-out case is above the cut-off", level=confidence)
        return CutOff(cut, coverage, none, limit, False, "No held-out case is above the cut-off: nothing is proven.")
    from scipy.special import betaincinv

    upper = 1.0 if wrong == n else float(betaincinv(wrong + 1, n - wrong, confidence))
    risk = Estimate(
        value=wrong / n,
        low=0.0,
        high=upper,
        level=confidence,
        method="clopper_pearson",
        population="cases like the held-out ones",
        n_items=n,
        notes=("one-sided upper bound",),
    )
    holds = upper <= limit
    sentence = (
        f"From a confidence of {cut:.3g} on, {100 * coverage:.0f} % of the cases are automatic with an error of "
        f"{100 * wrong / n:.1f} %, at most {100 * upper:.1f} %: {'within' if holds else 'not proven to be within'} "
        f"the limit of {100 * limit:g} %."
    )
    return CutOff(cut, coverage, risk, limit, holds, sentence)
