"""Is the gap between raters and a majority-copying model a convention? The test, the verdict and the words.

A model that always gives the majority's form agrees with a random rater more often than raters agree with each other.
Those points are always there, whatever the reason for disagreement, so they prove nothing alone. Slips and hard items
leave no trace of *who* gave the odd label; two conventions do. The test permutes the labels of each item among its
raters (docs/statistics.md A.6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .estimate import Estimate

if TYPE_CHECKING:
    from .ratings import RatingsTable

__all__ = ["Artefact", "PermutationTest", "banner", "judge_artefact", "permute_within_items"]

PERMUTATIONS = 999
# pairs of labels looked at in one permutation; beyond it a seeded sample of the items is tested
PAIR_BUDGET = 100_000
ALPHA = 0.05

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PermutationTest:
    """Do the odd labels follow the raters?

    Attributes
    ----------
    p, p_label_use, p_pairs
        min(1, 2 min(p1, p2)) and its two parts: S1, raters differ in how often they use a label; S2, some pairs of
        raters agree more, or less, than their items allow. None when nothing could be permuted.
    floor
        The smallest p these data could give.
    groups
        The two groups of raters (names) by the sign of the leading eigenvector of the standardised pair excess.
    group_z
        Standardised excess agreement inside each of them; None for a group of fewer than two who share items.
    n_items
        Items tested: those with two or more ratings that are not unanimous (or a sample of them).
    sampled
        Whether only a seeded sample of the items was tested, for speed.
    permutations
        Number of permutations drawn.
    """

    p: float | None
    p_label_use: float | None
    p_pairs: float | None
    floor: float
    groups: tuple[tuple[str, ...], tuple[str, ...]]
    group_z: tuple[float | None, float | None]
    n_items: int
    sampled: bool
    permutations: int

    @property
    def smaller_group_z(self) -> float | None:
        """Excess agreement of the smaller group, None when it has fewer than two raters; the less of two equals."""
        sizes = len(self.groups[0]), len(self.groups[1])
        if min(sizes) < 2:
            return None
        if sizes[0] != sizes[1]:
            return self.group_z[0] if sizes[0] < sizes[1] else self.group_z[1]
        if self.group_z[0] is None or self.group_z[1] is None:
            return None
        return min(self.group_z[0], self.group_z[1])


@dataclass(frozen=True)
class Artefact:
    """What the ceiling is above pairwise HLP, and whether a convention is why.

    Attributes
    ----------
    points, points_with_replacement
        Ceiling minus pairwise HLP, without and with replacement, as fractions (.12 is 12 points): a bound on what ANY
        model can gain. None when undefined.
    verdict
        ``convention``, ``raters_differ``, ``noise_or_hard_items`` or ``cannot_say``.
    sentence
        The verdict in words.
    test
        The test behind it; None when it could not be made.
    """

    points: float | None
    points_with_replacement: float | None
    verdict: str
    sentence: str
    test: PermutationTest | None = None

    def as_json(self) -> dict[str, Any]:
        """Exactly the four keys of the command line's contract."""
        return {
            "points": self.points,
            "points_with_replacement": self.points_with_replacement,
            "verdict": self.verdict,
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class _Layout:
    """Mixed items side by side: `rater` and `value` hold items of equal size r as rows of `blocks` (start, n, r).

    `left` and `right` are the positions of every pair of labels, sorted by pair of raters; `ends` closes each run and
    `keys` names it (rater_g * R + rater_h). `use` (R x K) and `pairs` are what chance expects, `variance` its spread.
    """

    rater: Ints
    value: Ints
    blocks: list[tuple[int, int, int]]
    left: Ints
    right: Ints
    ends: Ints
    keys: Ints
    use: NDArray[np.float64]
    pairs: NDArray[np.float64]
    variance: NDArray[np.float64]


def _mixed(table: RatingsTable) -> tuple[Ints, Ints]:
    """Items with two or more ratings that are not unanimous, and their number of ratings."""
    patterns = table.patterns()
    assert patterns.index is not None
    r = patterns.counts.sum(axis=1, dtype=np.int64)
    mixed = (patterns.counts > 0).sum(axis=1) >= 2
    chosen = np.flatnonzero(mixed[patterns.index])
    return chosen, r[patterns.index[chosen]]


def _lay_out(table: RatingsTable, items: Ints, r: Ints) -> _Layout:
    first = np.searchsorted(table.item, items)
    n_raters, k = table.n_raters, table.n_categories
    raters, values, lefts, rights, keys, agrees = [], [], [], [], [], []
    blocks: list[tuple[int, int, int]] = []
    use = np.zeros((n_raters, k))
    at = 0
    for size in map(int, np.unique(r)):
        rows = first[r == size][:, None] + np.arange(size)
        rater, value = table.rater[rows].astype(np.int64), table.value[rows].astype(np.int64)
        n = len(rows)
        counts = np.zeros((n, k))
        np.add.at(counts, (np.repeat(np.arange(n), size), value.ravel()), 1.0)
        np.add.at(use, rater.ravel(), np.repeat(counts / size, size, axis=0))
        left, right = np.triu_indices(size, k=1)
        offset = at + np.arange(n)[:, None] * size
        lefts.append((offset + left).ravel())
        rights.append((offset + right).ravel())
        low, high = np.minimum(rater[:, left], rater[:, right]), np.maximum(rater[:, left], rater[:, right])
        keys.append((low * n_raters + high).ravel())
        agrees.append(np.repeat((counts * (counts - 1)).sum(axis=1) / (size * (size - 1)), len(left)))
        raters.append(rater.ravel())
        values.append(value.ravel())
        blocks.append((at, n, size))
        at += n * size
    key, agree = np.concatenate(keys), np.concatenate(agrees)
    order = np.argsort(key, kind="stable")
    key, agree = key[order], agree[order]
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    return _Layout(
        rater=np.concatenate(raters),
        value=np.concatenate(values),
        blocks=blocks,
        left=np.concatenate(lefts)[order],
        right=np.concatenate(rights)[order],
        ends=np.append(starts[1:], len(key)) - 1,
        keys=key[starts],
        use=use,
        pairs=np.add.reduceat(agree, starts),
        variance=np.add.reduceat(agree * (1 - agree), starts),
    )


class _Counter:
    """Label use and pair agreement beyond chance of the labels in `value`, counted into buffers made once.

    A thousand permutations allocate nothing: fresh arrays of this size cost more than the arithmetic.
    """

    def __init__(self, lay: _Layout, n_raters: int, k: int) -> None:
        self.lay, self.shape = lay, (n_raters, k)
        self.value = lay.value.astype(np.int8 if k < 128 else np.int32)
        self.code = lay.rater * k
        self.cell = np.empty_like(self.code)
        self.sides = np.empty((2, len(lay.left)), self.value.dtype)
        self.equal = np.empty(len(lay.left), np.bool_)
        self.running = np.empty(len(lay.left), np.int32)
        self.until = np.empty(len(lay.ends), np.int32)
        self.excess = np.empty(len(lay.ends))

    def __call__(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(use (R, K), excess by pair); the second is overwritten by the next call."""
        lay = self.lay
        np.add(self.code, self.value, out=self.cell)
        n_raters, k = self.shape
        use = np.bincount(self.cell, minlength=n_raters * k).reshape(n_raters, k) - lay.use
        np.take(self.value, lay.left, out=self.sides[0], mode="clip")
        np.take(self.value, lay.right, out=self.sides[1], mode="clip")
        np.equal(self.sides[0], self.sides[1], out=self.equal)
        np.cumsum(self.equal, dtype=np.int32, out=self.running)
        np.take(self.running, lay.ends, out=self.until, mode="clip")
        self.excess[0] = self.until[0]
        np.subtract(self.until[1:], self.until[:-1], out=self.excess[1:])
        self.excess -= lay.pairs
        return use, self.excess


def permute_within_items(
    table: RatingsTable, *, permutations: int = PERMUTATIONS, seed: int = 0, pair_budget: int = PAIR_BUDGET
) -> PermutationTest | None:
    """Test whether disagreement follows the raters, by permuting each item's labels among its raters.

    Parameters
    ----------
    table
        Only items with two or more ratings that are not unanimous can tell anything.
    permutations, seed
        Seeded random permutations; the observed table counts as one more.
    pair_budget
        Above this many pairs of labels a seeded random sample of items is tested instead of all: still a valid test,
        with less power.

    Returns
    -------
    PermutationTest or None
        None when no item is mixed: there is nothing to permute.

    Notes
    -----
    S1 = sum_gk (sum_i (1[x_ig = k] - m_ik/r_i))^2 / n_g with n_g all ratings of g on items with two or more;
    S2 = sum_{g<h} (sum_i (1[x_ig = x_ih] - P_i))^2 / sum_i P_i (1 - P_i). Unanimous items add 0 to both.
    """
    items, r = _mixed(table)
    if not len(items):
        return None
    rng = np.random.default_rng(seed)
    pairs = r * (r - 1) // 2
    sampled = bool(pairs.sum() > pair_budget)
    if sampled:
        order = rng.permutation(len(items))
        keep = max(1, int(np.searchsorted(np.cumsum(pairs[order]), pair_budget, side="right")))
        chosen = np.sort(order[:keep])
        items, r = items[chosen], r[chosen]
    lay = _lay_out(table, items, r)
    n_raters, k = table.n_raters, table.n_categories
    several = table.ratings_per_item()[table.item] >= 2
    ratings = np.maximum(np.bincount(table.rater[several], minlength=n_raters), 1).astype(float)
    live = lay.variance > 1e-12
    precision = np.where(live, 1 / np.where(live, lay.variance, 1.0), 0.0)
    count = _Counter(lay, n_raters, k)
    drawn = np.empty((permutations + 1, 2))
    for t in range(permutations + 1):
        if t:
            for at, n, size in lay.blocks:
                rows = count.value[at : at + n * size].reshape(n, size)
                rng.permuted(rows, axis=1, out=rows)
        use, excess = count()
        drawn[t] = float(((use**2).sum(axis=1) / ratings).sum()), float(np.einsum("i,i,i", excess, excess, precision))
        if t == 0:
            observed = excess.copy()
    # equal tables give sums that differ in the last digits
    slack = 1e-9 * np.maximum(1.0, np.abs(drawn).max(axis=0))
    p1, p2 = (drawn >= drawn[0] - slack).mean(axis=0)
    tied = (drawn >= drawn.max(axis=0) - slack).mean(axis=0)
    groups, z = _two_groups(lay.keys, observed, lay.variance, live, n_raters)
    return PermutationTest(
        p=min(1.0, 2 * float(min(p1, p2))),
        p_label_use=float(p1),
        p_pairs=float(p2),
        floor=min(1.0, 2 * float(tied.min())),
        groups=tuple(tuple(table.raters[g] for g in group) for group in groups),  # type: ignore[arg-type]
        group_z=z,
        n_items=len(items),
        sampled=sampled,
        permutations=permutations,
    )


def _two_groups(
    keys: Ints, excess: NDArray[np.float64], variance: NDArray[np.float64], live: NDArray[np.bool_], n_raters: int
) -> tuple[tuple[Ints, Ints], tuple[float | None, float | None]]:
    """Split the raters by the sign of the leading eigenvector of the standardised pair excess."""
    g, h = np.divmod(keys[live], n_raters)
    excess, variance = excess[live], variance[live]
    none = np.zeros(0, np.int64)
    if not len(g):
        return (none, none), (None, None)
    z = excess / np.sqrt(variance)
    if n_raters <= 500:
        dense = np.zeros((n_raters, n_raters))
        dense[g, h] = dense[h, g] = z
        vector = np.linalg.eigh(dense)[1][:, -1]
    else:
        from scipy.sparse import coo_array
        from scipy.sparse.linalg import eigsh

        matrix = coo_array((np.tile(z, 2), (np.append(g, h), np.append(h, g))), shape=(n_raters, n_raters)).tocsr()
        start = np.random.default_rng(0).standard_normal(n_raters)
        vector = eigsh(matrix, k=1, which="LA", v0=start, tol=1e-6, maxiter=5000)[1][:, 0]
    size = np.abs(vector).max()
    sign = np.where(np.abs(vector) <= 1e-9 * size, 0, np.sign(vector))
    groups = np.flatnonzero(sign > 0), np.flatnonzero(sign < 0)
    inside: list[float | None] = []
    for which in (1, -1):
        both = (sign[g] == which) & (sign[h] == which)
        inside.append(float(excess[both].sum() / np.sqrt(variance[both].sum())) if both.any() else None)
    return groups, (inside[0], inside[1])


def _points(value: float) -> str:
    return f"{100 * value:.1f}".removesuffix(".0")


def _bound(points: float, plugged: float) -> str:
    over, again = _points(points), _points(plugged)
    model = "A model that only copies the majority's form would gain"
    if over == "0":
        return f"{model} nothing over two raters."
    if again == "0":
        return f"{model} up to {over} points over two different raters, nothing over two drawn with replacement."
    return f"{model} up to {again} points over two raters drawn with replacement ({over} over two different raters)."


def _above_0(gain: Estimate) -> bool:
    """Whether a difference is surely above 0; one that is the same on every item needs no interval."""
    if gain.value is None:
        return False
    return gain.value > 1e-12 if gain.low is None else gain.low > 0


def judge_artefact(
    table: RatingsTable,
    *,
    ceiling: Estimate,
    pairwise: Estimate,
    with_replacement: Estimate,
    majority_gain: Estimate | None = None,
    self_agreement: Estimate | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Artefact:
    """Weigh the points a majority-copying model would gain, and say what they are worth.

    Parameters
    ----------
    table
        The ratings.
    ceiling, pairwise, with_replacement
        The figures of the same table.
    majority_gain
        Accuracy of the majority's label against gold minus the raters' accuracy, both rating-weighted; None without
        gold. Where its lower bound is above 0 the odd labels were wrong more often than not: not a convention.
    self_agreement
        Agreement of raters with their own earlier labels; None without repeats.
    permutations, seed
        For the test.

    Returns
    -------
    Artefact
        The word *convention* appears in the sentence only with the verdict ``convention``.
    """
    if ceiling.value is None or pairwise.value is None or with_replacement.value is None:
        reason = ceiling.undefined or pairwise.undefined or with_replacement.undefined or ""
        return Artefact(None, None, "cannot_say", f"Nothing to compare: {reason}.")
    points = max(0.0, ceiling.value - pairwise.value)
    plugged = max(0.0, ceiling.value - with_replacement.value)
    bound = _bound(points, plugged)
    r = table.ratings_per_item()
    test = permute_within_items(table, permutations=permutations, seed=seed)
    if test is None or test.p is None:
        return Artefact(points, plugged, "cannot_say", "Nobody disagreed, so there is nothing to explain.", test)
    if int(r.max()) == 2 or table.n_raters == 2:
        why = (
            "Two ratings per item cannot tell why people disagree: only differences in how often a label is used "
            "would show. Ask for a third rating."
        )
        return Artefact(points, plugged, "cannot_say", f"{bound} {why}", test)
    if test.floor > ALPHA:
        why = f"These data are too few to tell why people disagree: the smallest p they could give is {test.floor:.2g}."
        return Artefact(points, plugged, "cannot_say", f"{bound} {why}", test)

    sample = f", on a random sample of {test.n_items:,} items" if test.sampled else ""
    chance = f"p = {test.p:.3f}{sample}"
    if test.p > ALPHA:
        why = f"The odd labels do not follow the raters ({chance}): slips or hard items are enough to explain them."
        return Artefact(points, plugged, "noise_or_hard_items", f"{bound} {why}", test)

    z = test.smaller_group_z
    two_camps = z is not None and z > 1
    checks: list[bool] = []
    if majority_gain is not None:
        checks.append(not _above_0(majority_gain))
    if self_agreement is not None and self_agreement.value is not None:
        checks.append(self_agreement.low is not None and self_agreement.low > pairwise.value)
    if two_camps and (not checks or any(checks)):
        smaller = min(len(test.groups[0]), len(test.groups[1]))
        why = (
            f"Raters answer in two camps that agree among themselves ({chance}; {smaller} raters in the smaller): "
            "a convention, not skill. Agree on one form, then measure again."
        )
        if not checks:
            why += " Neither gold nor repeated labels were there to check this."
        return Artefact(points, plugged, "convention", f"{bound} {why}", test)
    if two_camps:
        denied = (
            "neither the gold nor their own repeated labels bear out"
            if len(checks) == 2
            else "their own repeated labels do not bear out"
            if majority_gain is None
            else "the gold does not bear out"
        )
        why = (
            f"Raters answer in two camps ({chance}), but {denied} two equally good habits: look at the definition, and "
            "ask the same raters to label some items again."
        )
    else:
        why = (
            f"Raters differ beyond chance ({chance}), but not in two camps that agree among themselves: perhaps one "
            "reads the definition another way. Ask the same raters to label some items again."
        )
    return Artefact(points, plugged, "raters_differ", f"{bound} {why}", test)


def banner(model_agreement: float, pairwise: float, ceiling: float) -> str | None:
    """The warning beside a model that agrees with a random rater more often than raters do; None when it does not.

    >>> banner(.70, .58, .70)[:62]
    'Agreeing with a random rater more often than raters do (0.70 >'
    """
    if model_agreement <= pairwise:
        return None
    return (
        f"Agreeing with a random rater more often than raters do ({model_agreement:.2f} > {pairwise:.2f}) is not being "
        f"better than people: a model that always gives the majority's form would reach {ceiling:.2f}."
    )
