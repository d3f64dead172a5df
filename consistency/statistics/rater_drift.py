"""Has a rater changed? Control charts over labels in the order they were made, with their false-alarm rate.

Running charts: a CUSUM of hits and misses (for seeded gold), whose mean number of labels until a false alarm is worked
out exactly; the tabular CUSUM and the EWMA of a mean. Looking back: for each rater a permutation test of the CUSUM's
largest excursion, corrected over raters. Hard stretches of items look like drift, so each answer is compared with what
others did on the same item.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .credits import label_credit
from .labels import as_label, is_missing
from .ratings import RatingsError, RatingsTable

__all__ = ["BernoulliCusum", "Cusum", "Ewma", "RaterDrift", "bernoulli_cusum", "ewma", "rater_drift", "tabular_cusum"]

Floats = npt.NDArray[np.float64]

PERMUTATIONS = 1999
FEWEST = 20
MOST_STATES = 4000


@dataclass(frozen=True, slots=True, eq=False)
class Cusum:
    """One-sided sums after each observation, and the number (from 1) of the first one outside, None while inside."""

    high: Floats
    low: Floats
    first_alarm: int | None


def tabular_cusum(x: Sequence[float] | Floats, *, target: float, k: float, h: float) -> Cusum:
    """Tabular CUSUM of a mean: S_hi = max(0, S_hi + x - target - k), S_lo = max(0, S_lo + target - k - x).

    Parameters
    ----------
    target : float
        The mean as it should be.
    k : float
        Slack, half of the shift to find.
    h : float
        Alarm where a sum exceeds it. k = sd/2 and h = 5 sd give a false alarm about every 465 observations.

    Examples
    --------
    >>> tabular_cusum([0, 0, 3, 3], target=0, k=1, h=3).first_alarm
    4
    """
    values = np.asarray(x, np.float64)
    high, low = np.zeros(len(values)), np.zeros(len(values))
    above = below = 0.0
    for i, value in enumerate(values.tolist()):
        above, below = max(0.0, above + value - target - k), max(0.0, below + target - k - value)
        high[i], low[i] = above, below
    outside = np.flatnonzero((high > h) | (low > h))
    return Cusum(high, low, int(outside[0]) + 1 if len(outside) else None)


@dataclass(frozen=True, slots=True, eq=False)
class Ewma:
    """Weighted means after each observation, their limits, and the number (from 1) of the first one outside."""

    mean: Floats
    lower: Floats
    upper: Floats
    first_alarm: int | None


def ewma(x: Sequence[float] | Floats, *, target: float, sd: float, weight: float = 0.2, width: float = 3.0) -> Ewma:
    """Exponentially weighted moving average with the limits target ± width·sd·sqrt(w/(2-w)·(1-(1-w)^2i)).

    Parameters
    ----------
    sd : float
        Of a single observation.
    weight : float in (0, 1]
        Of the newest observation.
    """
    if not 0 < weight <= 1:
        raise ValueError(f"the weight is {weight}; it must be above 0 and at most 1")
    values = np.asarray(x, np.float64)
    mean, now = np.empty(len(values)), float(target)
    for i, value in enumerate(values.tolist()):
        now = weight * value + (1 - weight) * now
        mean[i] = now
    steps = np.arange(1, len(values) + 1)
    half = width * sd * np.sqrt(weight / (2 - weight) * (1 - (1 - weight) ** (2 * steps)))
    outside = np.flatnonzero(np.abs(mean - target) > half)
    return Ewma(mean, target - half, target + half, int(outside[0]) + 1 if len(outside) else None)


@dataclass(frozen=True, slots=True)
class BernoulliCusum:
    """A chart of misses: +`up` for a miss, -`down` for a hit, never below 0, alarm at `limit` or above.

    The steps are whole numbers near the log likelihood ratio of `p1` against `p0`, so that what follows is exact for
    the chart as it is run.

    Attributes
    ----------
    p0, p1 : float
        Rate of misses of a steady rater, and the one to be found.
    arl0 : float
        Mean number of labels until a false alarm at rate p0.
    arl1 : float
        Mean number of labels until the alarm when the rate is p1 from the first label on.
    """

    p0: float
    p1: float
    up: int
    down: int
    limit: int
    arl0: float
    arl1: float

    def run(self, misses: Iterable[bool | int]) -> Cusum:
        """The chart over misses in time order; after an alarm it goes on as it is."""
        level, sums = 0, []
        for miss in misses:
            level = max(0, level + (self.up if miss else -self.down))
            sums.append(level)
        high = np.array(sums, np.float64)
        outside = np.flatnonzero(high >= self.limit)
        return Cusum(high, np.zeros(len(high)), int(outside[0]) + 1 if len(outside) else None)

    def false_alarm_within(self, n: int) -> float:
        """Chance that a steady rater has had an alarm after n labels."""
        at = np.zeros(self.limit)
        at[0] = 1.0
        for _ in range(n):
            after = np.zeros(self.limit)
            after[: max(0, self.limit - self.down)] = (1 - self.p0) * at[self.down :]
            after[0] += (1 - self.p0) * at[: self.down].sum()
            after[self.up :] += self.p0 * at[: max(0, self.limit - self.up)]
            at = after
        return float(1 - at.sum())


def bernoulli_cusum(p0: float, p1: float, *, arl0: float = 1000.0) -> BernoulliCusum:
    """A chart that finds a rise of the rate of misses from p0 to p1, with a false alarm every `arl0` labels or rarer.

    Examples
    --------
    >>> chart = bernoulli_cusum(0.1, 0.3, arl0=500)
    >>> chart.arl0 >= 500, chart.arl1 < 40
    (True, True)
    """
    if not 0 < p0 < p1 < 1:
        raise ValueError(f"the rates are {p0} and {p1}; they must lie between 0 and 1, the second above the first")
    if not arl0 >= 1:
        raise ValueError(f"a false alarm every {arl0} labels is not to be had; give 1 or more")
    up, down = math.log(p1 / p0), math.log((1 - p0) / (1 - p1))
    small = min(up, down)
    share = max(up, down) / small
    # the coarsest steps that keep the larger within 1 % of its size: the chart stays small
    scale = next((s for s in range(1, 50) if abs(round(s * share) / s / share - 1) < 0.01), 50)
    steps = round(scale * up / small), round(scale * down / small)
    low, high = 1, max(2, steps[0])
    while _run_length(p0, *steps, high) < arl0:
        low, high = high, 2 * high
        if high > MOST_STATES:
            raise ValueError(
                f"rates of {p0} and {p1} are too near each other for a false alarm only every {arl0:g} labels"
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _run_length(p0, *steps, middle) < arl0 else (low, middle)
    limit = low if _run_length(p0, *steps, low) >= arl0 else high
    return BernoulliCusum(p0, p1, *steps, limit, _run_length(p0, *steps, limit), _run_length(p1, *steps, limit))


def _run_length(p: float, up: int, down: int, limit: int) -> float:
    """Mean number of labels until the chart reaches `limit` at a rate p of misses (Brook and Evans 1972)."""
    from scipy.linalg import solve_banded

    # (I - Q) L = 1 with Q the moves between the states 0..limit-1 that raise no alarm
    width_up, width_down = min(up, limit - 1), min(down, limit - 1)
    bands = np.zeros((width_up + width_down + 1, limit))
    bands[width_up] = 1.0
    states = np.arange(limit)
    hit = np.maximum(states - down, 0)
    np.add.at(bands, (width_up + states - hit, hit), -(1 - p))
    rising = states[states + up < limit]
    if len(rising):
        bands[width_up - up, rising + up] -= p
    return float(solve_banded((width_down, width_up), bands, np.ones(limit))[0])


# ------------------------------------------------------------------------------------------------ looking back


@dataclass(frozen=True, slots=True)
class RaterDrift:
    """One rater's answers in the order they were made.

    Attributes
    ----------
    labels : int
        Answers that could be compared.
    before, after : float or None
        Mean score before and from the likeliest change on, as differences from what others score on the same items.
    change_at : int or None
        Number (from 1) of the first answer after the likeliest change.
    p, p_adjusted : float or None
        Of the permutation test, and after Benjamini-Hochberg over all raters tested.
    sentence : str
    """

    rater: str
    labels: int
    before: float | None
    after: float | None
    change_at: int | None
    p: float | None
    p_adjusted: float | None
    sentence: str


def rater_drift(
    records: Iterable[Sequence[Any]],
    *,
    gold: Mapping[Any, Any] | None = None,
    permutations: int = PERMUTATIONS,
    alpha: float = 0.05,
    seed: int = 0,
) -> dict[str, RaterDrift]:
    """Test for each rater whether their agreement changed with time.

    Parameters
    ----------
    records
        (item, rater, label, when), `when` being anything that sorts: times, or numbers. Of repeated (item, rater) the
        first counts.
    gold
        Reference by item. Without it an answer scores the credit it has with the majority of the item's other answers
        (1/t on a t-way tie).
    permutations, seed
        A steady rater's answers may come in any order: the largest excursion of the sum of (score - own mean) is
        compared with that of seeded random orders.
    alpha
        Share of false finds among the finds (Benjamini-Hochberg over the raters tested).

    Returns
    -------
    dict by rater. Raters with fewer than 20 comparable answers are not tested.

    Notes
    -----
    The score of an answer is its credit less that of most of the item's other answers: a stretch of hard items lowers
    both. Without gold an item needs three answers.
    """
    rows = [tuple(record) for record in records]
    for at, row in enumerate(rows):
        if len(row) != 4:
            raise RatingsError(f"row {at + 1}: expected (item, rater, label, when), got {len(row)} fields", row=at)
    rows = [row for row in rows if not is_missing(row[2])]
    rows.sort(key=lambda row: row[3])
    table = RatingsTable.from_records([row[:3] for row in rows])
    if not table.n_ratings:
        return {}
    when: dict[tuple[str, str], int] = {}
    for at, row in enumerate(rows):
        when.setdefault((as_label(row[0]), as_label(row[1])), at)
    named = None if gold is None else {as_label(item): as_label(label) for item, label in gold.items()}
    order = np.array(
        [when[table.items[i], table.raters[g]] for i, g in zip(table.item.tolist(), table.rater.tolist(), strict=True)],
        np.int64,
    )
    score, known = _scores(table, named)
    tested: dict[str, RaterDrift] = {}
    rng = np.random.default_rng(seed)
    for g, name in enumerate(table.raters):
        mine = np.flatnonzero((table.rater == g) & known)
        x = score[mine[np.argsort(order[mine], kind="stable")]]
        tested[name] = _look_back(name, x, permutations, rng)
    return _corrected(tested, alpha)


def _scores(table: RatingsTable, gold: dict[str, str] | None) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Credit of each label less that of most of the item's other labels, and whether there is one."""
    counts = table.counts().astype(np.int64)
    r = table.ratings_per_item()[table.item]
    if gold is None:
        credit = label_credit(counts)[table.item, table.value]
        known = r >= 3  # of two answers that differ nobody can say whose changed
    else:
        names = np.array([gold.get(item, "") for item in table.items], dtype=object)
        labels = np.array(table.categories, dtype=object)
        credit = (labels[table.value] == names[table.item]).astype(np.float64)
        known = np.array([item in gold for item in table.items])[table.item]
    total = np.bincount(table.item, weights=credit, minlength=table.n_items)[table.item]
    usual = np.full_like(credit, credit[known].mean() if known.any() else 0.0)
    others = np.divide(total - credit, r - 1, out=usual, where=r >= 2)
    # most others, not their mean: else one who slips would lift all the rest
    return credit - np.where(r >= 2, np.where(np.abs(others - 0.5) < 1e-9, 0.5, np.round(others)), others), known


def _excursion(x: Floats) -> Floats:
    """Sums of (x - mean) after each answer, over the last axis."""
    sums: Floats = np.cumsum(x - x.mean(axis=-1, keepdims=True), axis=-1)
    return sums


def _look_back(name: str, x: Floats, permutations: int, rng: np.random.Generator) -> RaterDrift:
    n = len(x)
    if n < FEWEST:
        few = f"{n} comparable answer{'s' if n != 1 else ''}: {FEWEST} or more are needed to look for a change."
        return RaterDrift(name, n, None, None, None, None, None, few)
    if float(x.std()) < 1e-12:
        return RaterDrift(name, n, float(x[0]), float(x[0]), None, 1.0, None, "")
    sums = np.abs(_excursion(x))
    at = int(sums[:-1].argmax()) + 1
    observed, hits = float(sums.max()), 0
    step = max(1, 2_000_000 // n)
    for start in range(0, permutations, step):
        drawn = rng.permuted(np.tile(x, (min(step, permutations - start), 1)), axis=1)
        hits += int((np.abs(_excursion(drawn)).max(axis=1) >= observed - 1e-9).sum())
    p = (1 + hits) / (1 + permutations)
    return RaterDrift(name, n, float(x[:at].mean()), float(x[at:].mean()), at + 1, p, None, "")


def _corrected(found: dict[str, RaterDrift], alpha: float) -> dict[str, RaterDrift]:
    tested = [name for name, one in found.items() if one.p is not None]
    if not tested:
        return found
    ps = [found[name].p or 0.0 for name in tested]
    adjusted = ps
    if len(ps) > 1:
        from statsmodels.stats.multitest import multipletests

        adjusted = [float(q) for q in multipletests(ps, method="fdr_bh")[1]]
    out = dict(found)
    for name, q in zip(tested, adjusted, strict=True):
        out[name] = replace(found[name], p_adjusted=q, sentence=_sentence(found[name], q, len(tested), alpha))
    return out


def _sentence(one: RaterDrift, q: float, tested: int, alpha: float) -> str:
    if q > alpha or one.before is None or one.after is None or one.change_at is None:
        return f"No change beyond chance over {one.labels} answers (p = {q:.2g} corrected over {tested} raters)."
    way = "less" if one.after < one.before else "more"
    return (
        f"From about answer {one.change_at} of {one.labels} on the answers agree {way} with the others' on the same "
        f"items ({100 * one.before:+.1f} to {100 * one.after:+.1f} points; p = {q:.2g} corrected over {tested} raters): "
        "see which definition was in force then, and what changed in the work."
    )
