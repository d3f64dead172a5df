"""Did the new definition help? The difference of a coefficient between two tables, and the stop hint.

A gain is read on unselected items and, if at all possible, from the same raters: then their differences cancel. The
interval is on the raw scale. "For these raters" uses the items' variation only; "for raters in general" adds what the
raters' variation has beyond single labels, Vi + max(0, Vr - Vir).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from .continuous import basis_of_labels
from .estimate import Estimate
from .influence import Influences, influences
from .intervals import ZERO, items_variance, nothing_to_compare, raters_variance, t_quantile
from .ratings import RatingsTable

FloatArray = npt.NDArray[np.float64]

SEPARATE = "cannot separate the definition from the people: relabel with the same raters"
Design = Literal["same raters", "common raters", "different raters"]
Items = Literal["paired", "fresh", "overlapping"]


@dataclass(frozen=True, slots=True)
class Difference:
    """θ after minus θ before.

    Attributes
    ----------
    these_raters : Estimate
        The headline where the raters are the same: for these raters, on items like these.
    in_general : Estimate
        For raters in general; from five raters on. The headline where the raters differ.
    before, after : float or None
        The coefficient in each arm, over the raters compared.
    raters, items : which design it is
    n_before, n_after : int
        Items in each arm; `n_items` is N of the interval.
    df : float
        Degrees of freedom of `these_raters`.
    """

    coefficient: str
    these_raters: Estimate
    in_general: Estimate
    before: float | None
    after: float | None
    raters: Design
    items: Items
    n_before: int
    n_after: int
    n_items: int
    df: float

    @property
    def headline(self) -> Estimate:
        return self.in_general if self.raters == "different raters" else self.these_raters


@dataclass(frozen=True, slots=True)
class _Frame:
    """What every estimate of one difference has in common."""

    confidence: float
    n_items: int
    n_raters: int
    n_ratings: int
    notes: tuple[str, ...]

    def missing(self, reason: str) -> Estimate:
        return Estimate.missing(
            reason,
            level=self.confidence,
            n_items=self.n_items,
            n_raters=self.n_raters,
            n_ratings=self.n_ratings,
            notes=self.notes,
        )


def difference(
    before: RatingsTable,
    after: RatingsTable,
    coefficient: str = "krippendorff_alpha",
    *,
    level: str = "nominal",
    weights: str | npt.ArrayLike = "identity",
    confidence: float = 0.95,
) -> Difference:
    """Difference of one coefficient between two tables, matched by the names of items and raters.

    The design is read off the names: the same raters, some in common (then only those are compared) or different ones;
    the same items (paired; where one table holds all items of the other, only the common ones are compared), fresh
    ones, or an overlap (each item's influences are added up).

    Examples
    --------
    >>> a = RatingsTable.from_matrix([[1, 2], [1, 1], [2, 1], [2, 2]] * 10)
    >>> b = RatingsTable.from_matrix([[1, 1], [1, 1], [2, 1], [2, 2]] * 10)
    >>> d = difference(a, b, "percent_agreement")
    >>> d.raters, d.items, round(d.these_raters.value, 2)
    ('same raters', 'paired', 0.25)
    """
    options = {"level": level, "weights": weights}

    def find(table: RatingsTable) -> Influences | str:
        return influences(table, coefficient, **options)  # type: ignore[arg-type]

    return difference_of(before, after, coefficient, find, confidence=confidence)


def difference_of(
    before: RatingsTable,
    after: RatingsTable,
    coefficient: str,
    find: Callable[[RatingsTable], Influences | str],
    *,
    alone: bool = False,
    confidence: float = 0.95,
) -> Difference:
    """The difference of any statistic that `find` can take apart: the rules of `difference`, whatever the statistic.

    `alone`: the statistic needs no second rating of an item (accuracy against a reference).
    """
    raters, before, after, said = _match_raters(before, after)
    items, before, after = _match_items(before, after)
    n_items = len(set(before.items) | set(after.items)) if items != "fresh" else before.n_items + after.n_items
    frame = _Frame(
        confidence,
        n_items,
        len(set(before.raters) | set(after.raters)),
        before.n_ratings + after.n_ratings,
        said,
    )
    arms: list[Influences] = []
    for name, table in (("before", before), ("after", after)):
        found: Influences | str | None = None if alone else nothing_to_compare(basis_of_labels(table))
        if found is None:
            found = find(table) if table.n_ratings else "there are no ratings"
        if isinstance(found, str):
            none = frame.missing(f"{name}: {found}")
            return Difference(coefficient, none, none, None, None, raters, items, before.n_items, after.n_items, 0, 0.0)
        arms.append(found)
    one, two = arms
    delta = two.value - one.value
    if raters == "different raters":
        none = frame.missing(SEPARATE)
        general = none
        r1, r2 = one.raters_present, two.raters_present
        if min(r1, r2) >= 5:
            parts = [_general_variance(a) for a in arms]
            if None not in parts:
                v = sum(p for p in parts if p is not None)
                general = _raw(delta, v, r1 + r2 - 2, "for raters and items like these", frame)
        return Difference(
            coefficient, none, general, one.value, two.value, raters, items, before.n_items, after.n_items,
            n_items, 0.0,
        )  # fmt: skip
    vi, n, df = _items_part(one, two, before, after, items)
    these = (
        frame.missing("one item only: no interval and no difference to speak of")
        if vi is None
        else _raw(delta, vi, df, "for these raters, on items like these", frame)
    )
    general = _in_general(delta, vi, one, two, before, after, items, frame)
    return Difference(
        coefficient, these, general, one.value, two.value, raters, items, before.n_items, after.n_items, n, df
    )


def _match_raters(
    before: RatingsTable, after: RatingsTable
) -> tuple[Design, RatingsTable, RatingsTable, tuple[str, ...]]:
    first, second = set(before.raters), set(after.raters)
    if first == second:
        return "same raters", before, after, ()
    common = first & second
    if len(common) < 2:
        return "different raters", before, after, ()
    gone = len(first | second) - len(common)
    said = (f"only the {len(common)} raters of both tables are compared; {gone} others are left out",)
    return (
        "common raters",
        before.subset(raters=np.array([g in common for g in before.raters], np.bool_)),
        after.subset(raters=np.array([g in common for g in after.raters], np.bool_)),
        said,
    )


def _match_items(before: RatingsTable, after: RatingsTable) -> tuple[Items, RatingsTable, RatingsTable]:
    first, second = set(before.items), set(after.items)
    common = first & second
    if not common:
        return "fresh", before, after
    if common != first and common != second:
        return "overlapping", before, after
    if first != second:
        before = before.subset(items=np.array([i in common for i in before.items], np.bool_))
        after = after.subset(items=np.array([i in common for i in after.items], np.bool_))
    return "paired", before, after


def _items_part(
    one: Influences, two: Influences, before: RatingsTable, after: RatingsTable, items: Items
) -> tuple[float | None, int, float]:
    """Vi, N and the degrees of freedom of the same raters' difference."""
    if items == "fresh":
        v1 = items_variance(one.by_item[one.used], np.ones(one.n_used), one.n_used)
        v2 = items_variance(two.by_item[two.used], np.ones(two.n_used), two.n_used)
        if v1 is None or v2 is None:
            return None, two.n_used, 0.0
        return v1 + v2, two.n_used, float(one.n_used + two.n_used - 2)
    change: dict[str, float] = {}
    for sign, arm, table in ((-1.0, one, before), (1.0, two, after)):
        for i in np.flatnonzero(arm.used).tolist():
            name = table.items[i]
            change[name] = change.get(name, 0.0) + sign * float(arm.by_item[i])
    psi = np.fromiter(change.values(), np.float64, len(change))
    return items_variance(psi, np.ones(len(psi)), len(psi)), len(psi), float(len(psi) - 1)


def _in_general(
    delta: float,
    vi: float | None,
    one: Influences,
    two: Influences,
    before: RatingsTable,
    after: RatingsTable,
    items: Items,
    frame: _Frame,
) -> Estimate:
    without_one = {before.raters[g]: v for g, v in one.without.items()}
    without_two = {after.raters[g]: v for g, v in two.without.items()}
    common = sorted(set(without_one) & set(without_two))
    if len(common) < 5:
        words = f"{len(common)} raters are too few to speak about raters in general"
        return frame.missing(words)
    vr = raters_variance(np.array([without_two[g] - without_one[g] for g in common]))
    if vr is None or vi is None:
        words = "without one of the raters nothing is left to compare"
        return frame.missing(words)
    if items == "fresh":
        vir = one.variances.labels + two.variances.labels
    else:
        change: dict[tuple[str, str], float] = {}
        for sign, arm, table in ((-1.0, one, before), (1.0, two, after)):
            for i, g, x in zip(table.item.tolist(), table.rater.tolist(), arm.by_label.tolist(), strict=True):
                key = table.items[i], table.raters[g]
                change[key] = change.get(key, 0.0) + sign * x
        vir = float(sum(x * x for x in change.values()))
    return _raw(delta, vi + max(0.0, vr - vir), len(common) - 1, "for raters and items like these", frame, vi=vi, vr=vr)


def _general_variance(arm: Influences) -> float | None:
    v = arm.variances
    return None if v.items is None or v.raters is None else v.items + max(0.0, v.raters - v.labels)


def _raw(
    delta: float,
    variance: float,
    df: float,
    population: str,
    frame: _Frame,
    *,
    vi: float | None = None,
    vr: float | None = None,
) -> Estimate:
    se = math.sqrt(variance)
    half = t_quantile((1 + frame.confidence) / 2, df) * se if df > 0 and se >= ZERO else None
    notes = frame.notes if half is not None else (*frame.notes, "nothing varies between the items: no interval")
    return Estimate(
        value=delta,
        low=None if half is None else delta - half,
        high=None if half is None else delta + half,
        se=se,
        se_items=math.sqrt(vi) if vi is not None else se if vr is None and population.startswith("for these") else None,
        se_raters=None if vr is None else math.sqrt(vr),
        method="items" if population.startswith("for these") else "two_way",
        population=population,
        level=frame.confidence,
        n_items=frame.n_items,
        n_raters=frame.n_raters,
        n_ratings=frame.n_ratings,
        notes=notes,
    )


# ----------------------------------------------------------------------------------------------- the stop hint


@dataclass(frozen=True, slots=True)
class StopHint:
    """What a revision's measured gain says about another one.

    `verdict` is ``stop``, ``go_on``, ``not_decided``, ``target_reached`` or ``rounds_used``; `lower` and `upper` are
    the one-sided bounds it was read from; `items_needed` only where nothing is decided.
    """

    verdict: Literal["stop", "go_on", "not_decided", "target_reached", "rounds_used"]
    sentence: str
    lower: float | None = None
    upper: float | None = None
    items_needed: int | None = None


def stop_hint(
    gain: Difference,
    *,
    delta_min: float = 0.05,
    after: Estimate | None = None,
    target: float | None = None,
    looks: int = 1,
    rounds: int = 0,
    most_rounds: int = 5,
) -> StopHint:
    """Whether another revision is worth it, from the same raters' interval of this revision's gain.

    Parameters
    ----------
    gain : Difference
        On unselected items; never on items chosen because they disagreed.
    delta_min : float
        The gain that makes a revision worth its cost.
    after, target : Estimate and float, optional
        "target reached" when the lower bound of the coefficient lies above the target.
    looks : int
        Planned looks inside this relabel batch: each is at level .05 / looks.
    rounds, most_rounds : int
        Revisions so far and the project's cap.
    """
    if not delta_min > 0:
        raise ValueError("the smallest worthwhile gain must be above 0")
    if looks < 1:
        raise ValueError("there is at least one look")
    if after is not None and target is not None and after.low is not None and after.low > target:
        return StopHint(
            "target_reached", f"target reached: the agreement is above {target:g} (from {after.low:.3f} up)"
        )
    if rounds >= most_rounds:
        return StopHint("rounds_used", f"{rounds} revisions so far: the cap of {most_rounds} is reached")
    e = gain.these_raters
    if e.value is None or e.se is None or gain.df <= 0 or gain.raters == "different raters":
        return StopHint("not_decided", f"not decided; {e.undefined or 'the gain has no interval'}")
    if e.se == 0:  # as when a few items were answered as before by everyone: no spread is no certainty
        return StopHint("not_decided", "not decided; every item changed alike, so the gain has no interval")
    level = 0.05 / looks
    half = t_quantile(1 - level, gain.df) * e.se
    lower, upper = e.value - half, e.value + half
    if upper < delta_min:
        return StopHint("stop", f"this revision brought less than {delta_min:g}", lower, upper)
    if lower > 0 and e.value >= delta_min:
        return StopHint("go_on", "worth going on", lower, upper)
    z = 1.645 if looks == 1 else _normal_quantile(1 - level)
    room = max(abs(e.value - delta_min), delta_min / 2)
    needed = math.ceil(gain.n_items * (z * e.se / room) ** 2)
    return StopHint("not_decided", f"not decided; about {needed:,} items in all would decide", lower, upper, needed)


def _normal_quantile(p: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(p))


def items_needed(sd: float, gain: float, *, power: float = 0.8, significance: float = 0.05) -> int:
    """Items for a paired test to see a gain: (z_{1-α/2} + z_power)² sd² / gain², sd of the per-item differences.

    >>> items_needed(0.4, 0.1)
    126
    """
    if gain == 0:
        raise ValueError("a gain of 0 cannot be detected")
    z = _normal_quantile(1 - significance / 2) + _normal_quantile(power)
    return math.ceil((z * sd / gain) ** 2)


@dataclass(frozen=True, slots=True, eq=False)
class Flips:
    """How the same raters' labels of the same items moved: counts (K, K), from row to column."""

    categories: tuple[str, ...]
    counts: npt.NDArray[np.int64]

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def changed(self) -> int:
        return self.n - int(np.trace(self.counts))

    def directions(self) -> list[tuple[str, str, int]]:
        """(from, to, labels), most frequent first, only those that changed."""
        found = [
            (self.categories[i], self.categories[j], int(self.counts[i, j]))
            for i, j in zip(*np.nonzero(self.counts), strict=True)
            if i != j
        ]
        return sorted(found, key=lambda f: (-f[2], f[0], f[1]))


def flips(before: RatingsTable, after: RatingsTable) -> Flips:
    """Labels of the same (item, rater) in both tables, by old and new label.

    >>> flips(RatingsTable.from_matrix([[1, 2]]), RatingsTable.from_matrix([[1, 1]])).directions()
    [('2', '1', 1)]
    """
    categories = tuple(dict.fromkeys((*before.categories, *after.categories)))
    place = {c: k for k, c in enumerate(categories)}
    old = {
        (before.items[i], before.raters[g]): before.categories[v]
        for i, g, v in zip(before.item.tolist(), before.rater.tolist(), before.value.tolist(), strict=True)
    }
    counts = np.zeros((len(categories), len(categories)), np.int64)
    for i, g, v in zip(after.item.tolist(), after.rater.tolist(), after.value.tolist(), strict=True):
        was = old.get((after.items[i], after.raters[g]))
        if was is not None:
            counts[place[was], place[after.categories[v]]] += 1
    return Flips(categories, counts)
