"""Dataset splits: exactly stratified, grouped by duplicates, or plainly random.

A split of 100 items with 30 positives into 60/20/20 has exactly 18/6/6 positives for every seed; a plain
random split has that 4.7 % of the time. Duplicates (equal payload hash) never fall on two sides.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SplitResult", "largest_remainder", "split_items"]

METHODS = ("balanced", "random")


@dataclass(frozen=True)
class SplitResult:
    """Where each item went, and how the labels fell.

    Attributes
    ----------
    assignment
        Name of the split of each item, in the order the items were given.
    sizes
        Items per split.
    counts
        ``counts[split][stratum]``: items of each stratum in each split. A stratum is the final label; borderline
        items are one stratum of their own, items without a label another.
    method, seed
        As asked for.
    notes
        Sentences a person should read: what could not be exact, and why.
    """

    assignment: tuple[str, ...]
    sizes: dict[str, int]
    counts: dict[str, dict[str, int]]
    method: str
    seed: int
    notes: tuple[str, ...] = ()


def largest_remainder(total: int, fractions: Sequence[float]) -> NDArray[np.int64]:
    """Share out `total` units by `fractions` with the largest-remainder (Hamilton) rule.

    Parameters
    ----------
    total
        Units to share out, >= 0.
    fractions
        Non-negative shares; they are scaled to sum to 1.

    Returns
    -------
    ndarray of int64, shape (len(fractions),)
        Whole numbers that sum to `total`, each within 1 of its exact share. Equal remainders go to the earlier share.

    Examples
    --------
    >>> largest_remainder(10, [0.6, 0.2, 0.2]).tolist()
    [6, 2, 2]
    >>> largest_remainder(4, [0.6, 0.2, 0.2]).tolist()
    [2, 1, 1]
    """
    shares = np.asarray(fractions, dtype=float)
    if total < 0:
        raise ValueError(f"total must be 0 or more, not {total}")
    if shares.ndim != 1 or not len(shares) or not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() <= 0:
        raise ValueError(f"fractions must be non-negative numbers, at least one above 0, not {list(fractions)!r}")
    exact = total * shares / shares.sum()
    # 0.2 * 30 is 6.000000000000001 in floating point: without the tolerance such a share would lose or win a unit
    whole: NDArray[np.int64] = np.floor(exact + 1e-9).astype(np.int64)
    remainder = np.round(exact - whole, 9)
    for position in np.argsort(-remainder, kind="stable")[: total - int(whole.sum())]:
        whole[position] += 1
    return whole


def _quotas(sizes: NDArray[np.int64], fractions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole cells (stratum x split) next to ``size * fraction`` whose row AND column sums are exact.

    Rounding each stratum alone would let the small strata's remainders all fall into the first split. The units
    left after rounding down are placed by a transportation problem that prefers the largest remainders; its
    matrix is totally unimodular, so the linear programme's vertex is a whole-number table.
    """
    exact = sizes[:, None] * fractions[None, :]
    cells = np.floor(exact + 1e-9).astype(np.int64)
    left = sizes - cells.sum(axis=1)
    wanted = largest_remainder(int(sizes.sum()), list(fractions)) - cells.sum(axis=0)
    if not left.any():
        return cells
    if (wanted < 0).any():
        # rounding of the totals went against the strata (possible only in the last unit): strata come first
        return np.array([largest_remainder(int(size), list(fractions)) for size in sizes])

    from scipy.optimize import linprog

    rows, columns = exact.shape
    remainder = np.round(exact - cells, 9)
    # a tiny preference for early cells makes the answer unique, hence the same on every machine
    cost = -(remainder - 1e-7 * np.arange(rows * columns).reshape(rows, columns) / (rows * columns)).ravel()
    of_row = np.kron(np.eye(rows), np.ones(columns))
    of_column = np.kron(np.ones(rows), np.eye(columns))
    upper = np.where(fractions > 0, 1, 0)
    solved = linprog(
        cost,
        A_eq=np.vstack([of_row, of_column]),
        b_eq=np.concatenate([left, wanted]),
        bounds=[(0, int(upper[j])) for _ in range(rows) for j in range(columns)],
        method="highs-ds",
    )
    if solved.status != 0:
        return np.array([largest_remainder(int(size), list(fractions)) for size in sizes])
    extra: NDArray[np.int64] = np.rint(np.asarray(solved.x)).astype(np.int64).reshape(rows, columns)
    return cells + extra


def _strata(labels: Sequence[Any], borderline: Sequence[bool] | None) -> tuple[NDArray[np.int64], list[str]]:
    names: dict[str, int] = {}
    codes = np.empty(len(labels), dtype=np.int64)
    for position, label in enumerate(labels):
        if borderline is not None and borderline[position]:
            name = "(borderline)"
        elif label is None:
            name = "(no label)"
        else:
            name = str(label)
        codes[position] = names.setdefault(name, len(names))
    # strata in name order: the split must not depend on which label happened to come first
    order = sorted(names)
    rank = np.empty(len(names), dtype=np.int64)
    for new, name in enumerate(order):
        rank[names[name]] = new
    return (rank[codes] if len(codes) else codes), order


def split_items(
    labels: Sequence[Any],
    *,
    fractions: Mapping[str, float] | None = None,
    method: str = "balanced",
    groups: Sequence[Hashable] | None = None,
    borderline: Sequence[bool] | None = None,
    seed: int = 0,
) -> SplitResult:
    """Split items into named parts.

    Parameters
    ----------
    labels
        Final label of each item; None where it has none (a stratum of its own).
    fractions
        Share of each split; default ``{"train": .6, "dev": .2, "test": .2}``. Scaled to sum to 1.
    method
        ``balanced``: each label's items are shared out exactly, by the largest remainder, with the splits' sizes
        exact as well. ``random``: labels are ignored.
    groups
        Key of each item's duplicates (a payload hash); items with equal keys always share a split. None: every
        item stands alone. Groups of several items are placed first, largest first, where the quota is least
        filled; single items then fill the quotas exactly as far as the groups allow.
    borderline
        True for items that go to the stratum of borderline items.
    seed
        Different seeds give different members and, without groups, the same counts.

    Returns
    -------
    SplitResult

    Raises
    ------
    ValueError
        Unknown method, a bad fraction, or sequences of different lengths; the message names which.

    Examples
    --------
    >>> result = split_items([1] * 30 + [0] * 70, seed=7)
    >>> [result.counts[part]["1"] for part in ("train", "dev", "test")]
    [18, 6, 6]
    """
    fractions = {"train": 0.6, "dev": 0.2, "test": 0.2} if fractions is None else dict(fractions)
    if method not in METHODS:
        raise ValueError(f"unknown split method {method!r}: choose one of {', '.join(METHODS)}")
    if not fractions:
        raise ValueError("fractions must name at least one split")
    for name, share in fractions.items():
        if not np.isfinite(share) or share < 0:
            raise ValueError(f"the share of split {name!r} must be 0 or more, not {share!r}")
    if sum(fractions.values()) <= 0:
        raise ValueError("at least one split needs a share above 0")
    n = len(labels)
    for what, given in (("groups", groups), ("borderline", borderline)):
        if given is not None and len(given) != n:
            raise ValueError(f"{what} has {len(given)} entries for {n} items")

    parts = list(fractions)
    shares = np.array([fractions[part] for part in parts], dtype=float)
    shares = shares / shares.sum()
    stratum, names = _strata(labels, borderline)
    rng = np.random.default_rng(seed)
    working = stratum if method == "balanced" else np.zeros(n, dtype=np.int64)
    sizes = np.bincount(working, minlength=max(1, int(working.max()) + 1 if n else 1)).astype(np.int64)
    quota = _quotas(sizes, shares)
    placed = np.full(n, -1, dtype=np.int64)
    notes: list[str] = []

    single = np.ones(n, dtype=bool)
    if groups is not None:
        room = quota.copy()
        for members in _shuffled_groups(groups, rng):
            single[members] = False
            need = np.bincount(working[members], minlength=len(sizes))
            # squared overshoot first, then the split with the most room left for these strata
            overshoot = (np.maximum(need[:, None] - room, 0) ** 2).sum(axis=0) + np.where(shares > 0, 0, np.inf)
            roomiest = (need[:, None] * room).sum(axis=0) / max(1, len(members))
            choice = int(np.lexsort((-roomiest / np.maximum(shares, 1e-12), overshoot))[0])
            placed[members] = choice
            room[:, choice] -= need
        over = int(np.maximum(-room, 0).sum())
        if over:
            notes.append(
                f"Duplicates stay together, so {over} item{'s' if over > 1 else ''} could not be placed exactly by share."
            )
        quota = _refit(np.maximum(room, 0), np.bincount(working[single], minlength=len(sizes)), shares)

    for code in range(len(sizes)):
        members = np.flatnonzero(single & (working == code))
        placed[rng.permutation(members)] = np.repeat(np.arange(len(parts)), quota[code])[: len(members)]

    counts = {
        part: {name: int(((placed == j) & (stratum == k)).sum()) for k, name in enumerate(names)}
        for j, part in enumerate(parts)
    }
    if method == "balanced":
        short = [name for k, name in enumerate(names) if (stratum == k).sum() < (shares > 0).sum()]
        if short:
            notes.append(f"Too few items to appear in every split: {', '.join(short)}.")
    return SplitResult(
        assignment=tuple(parts[j] for j in placed),
        sizes={part: int((placed == j).sum()) for j, part in enumerate(parts)},
        counts=counts,
        method=method,
        seed=seed,
        notes=tuple(notes),
    )


def _shuffled_groups(groups: Sequence[Hashable], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Members of each group of two or more, largest first, equal sizes in random order."""
    members: dict[Hashable, list[int]] = {}
    for position, key in enumerate(groups):
        members.setdefault(key, []).append(position)
    several = [np.array(found, dtype=np.int64) for found in members.values() if len(found) > 1]
    several = [several[j] for j in rng.permutation(len(several))]
    return sorted(several, key=len, reverse=True)


def _refit(room: NDArray[np.int64], left: NDArray[np.intp], shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bring each stratum's remaining room to the number of single items left, by the largest remainder."""
    fitted = room.copy()
    for code in range(len(room)):
        if room[code].sum() != left[code]:
            weights = room[code] if room[code].sum() else shares
            fitted[code] = largest_remainder(int(left[code]), list(weights.astype(float)))
    return fitted
