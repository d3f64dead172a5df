"""Variances of any smooth function of sums over items, where an item counts by what was said and by whom.

Items with equal count vectors (and an equal reference label, where there is one) form a *group*; a figure is
f(T), T = sum over groups of multiplicity x vector(group). Taking one label away turns a group's counts c into
c - e_k, so other items (Vi), other raters (Vr, delete-one jackknife) and single labels (Vir) all follow from one table
of changes, one row per (group, category) cell (docs/statistics.md A.11).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .bootstrap import MOST_PATTERNS, bootstrap_items
from .estimate import Estimate
from .intervals import Basis, Kind, Scale, Variances, effective_raters, items_variance, make_estimate, raters_variance
from .patterns import row_blocks

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from .ratings import RatingsTable

__all__ = [
    "Function",
    "ItemGroups",
    "Sums",
    "Vectors",
    "gradient",
    "ratio",
    "ratio_estimate",
    "summed_jackknife",
    "sums_of",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
# (counts (rows x K), reference label per row) -> vectors (rows x S); must accept rows with one label or none
Vectors = Callable[[Ints, Ints], Floats]
# sums (..., S) -> value (...); undefined values are nan
Function = Callable[[Floats], Floats]

NO_REFERENCE = -1


@dataclass(frozen=True)
class ItemGroups:
    """Items grouped by their counts and their reference label.

    Attributes
    ----------
    counts : int64 (Q, K)
    reference : int64 (Q,)
        A category's code, K for a reference outside the categories, -1 for none.
    multiplicity : int64 (Q,)
    index : int64 (N,)
        Group of each item.
    cell_group, cell_category : int64 (C,)
        The (group, category) cells that hold labels.
    by_rater : sparse (R, C)
        Labels of each rater in each cell.
    """

    counts: Ints
    reference: Ints
    multiplicity: Ints
    index: Ints
    cell_group: Ints
    cell_category: Ints
    by_rater: csr_array

    @classmethod
    def of(cls, table: RatingsTable, reference: Ints | None = None) -> ItemGroups:
        """Group a table's items; `reference` (N,) as in the attribute, None for none anywhere."""
        patterns = table.patterns()
        assert patterns.index is not None
        counts, index = patterns.counts.astype(np.int64), patterns.index.astype(np.int64)
        return cls.from_labels(counts, index, reference, table.item, table.rater, table.value, table.n_raters)

    @classmethod
    def from_labels(
        cls,
        counts: Ints,
        pattern: Ints,
        reference: Ints | None,
        item: NDArray[Any],
        rater: NDArray[Any],
        value: NDArray[Any],
        n_raters: int,
    ) -> ItemGroups:
        """From count vectors, the vector of each item, and the labels (item, rater, value codes) behind them."""
        from scipy.sparse import coo_array

        k = counts.shape[1]
        if reference is None:
            group, tags = pattern, np.full(len(counts), NO_REFERENCE, np.int64)
        else:
            span = int(reference.max(initial=0)) + 2
            codes, group = np.unique(pattern * span + reference + 1, return_inverse=True)
            group = group.reshape(-1).astype(np.int64)
            rows, tags = np.divmod(codes, span)
            counts, tags = counts[rows], tags - 1
        cells, cell = _distinct(group[item] * k + value, len(counts) * k)
        by_rater = coo_array(
            (np.ones(len(item)), (np.asarray(rater, np.int64), cell)), shape=(n_raters, len(cells))
        ).tocsr()
        cell_group, cell_category = np.divmod(cells, k)
        multiplicity = np.bincount(group, minlength=len(counts)).astype(np.int64)
        return cls(counts, tags, multiplicity, group, cell_group, cell_category, by_rater)

    @property
    def per_item(self) -> Ints:
        """Ratings of an item of each group."""
        return np.asarray(self.counts.sum(axis=1))

    @property
    def mixed(self) -> NDArray[np.bool_]:
        """Groups on whose items any two raters differ."""
        return np.asarray((self.counts > 0).sum(axis=1) >= 2)

    def labels_of_raters(self, used: NDArray[np.bool_]) -> Ints:
        """Labels of each rater in the groups `used` (mask), int64 (R,)."""
        labels: Floats = np.asarray(self.by_rater @ used[self.cell_group].astype(float))
        return np.rint(labels).astype(np.int64)

    def labels_of_cells(self) -> Floats:
        """Labels in each cell, float64 (C,)."""
        return np.asarray(self.by_rater.T @ np.ones(self.by_rater.shape[0]), dtype=float)

    def basis(
        self,
        used: NDArray[np.bool_],
        excluded: Mapping[str, int],
        *,
        disagreeing: NDArray[np.bool_] | None = None,
    ) -> Basis:
        """What a figure over the groups `used` (mask) rests on; `disagreeing` (mask) defaults to the mixed ones."""
        labels = self.labels_of_raters(used)
        n = int(self.multiplicity[used].sum())
        differ = self.mixed if disagreeing is None else disagreeing
        raters = int((labels > 0).sum())
        return Basis(
            n_items=n,
            n_raters=raters,
            n_ratings=int(labels.sum()),
            pairable=n,
            disagreeing=int(self.multiplicity[used & differ].sum()),
            raters=raters,
            effective_raters=effective_raters(labels),
            excluded=excluded,
        )


@dataclass(frozen=True)
class Sums:
    """T and how it changes. Vectors are made in blocks of rows whenever they are needed, never kept.

    `total` (S,) is T over the groups in `used`; `without` (R', S) T without each rater who has labels there.
    """

    groups: ItemGroups
    used: NDArray[np.bool_]
    vectors: Vectors
    total: Floats
    without: Floats

    def effects(self, slopes: Floats) -> tuple[Floats, Floats]:
        """For slopes (S, q): first-order effect of an item of each group (Q, q), of losing a label of each cell (C, q)."""
        influence = np.zeros((len(self.groups.counts), slopes.shape[1]))
        for rows in _blocks(self.groups, len(self.total)):
            influence[rows] = self.vectors(self.groups.counts[rows], self.groups.reference[rows]) @ slopes
        loss = np.zeros((len(self.groups.cell_group), slopes.shape[1]))
        for cells in _blocks(self.groups, len(self.total), cells=True):
            loss[cells] = _change(self.groups, self.vectors, self.used, cells) @ slopes
        return influence, loss

    def variances(
        self,
        figures: Sequence[tuple[Function, Floats]],
        *,
        bootstrap: int = 0,
        seed: int = 0,
        rater_sets: tuple[Ints, ...] = (),
    ) -> list[Variances]:
        """Vi, Vr and Vir of figures (value function, gradient (S,) at T), all in one pass.

        `rater_sets`: positions in `without` of several bodies of raters, each with its own jackknife, summed; none:
        all raters are one body. `bootstrap` > 0 replaces Vi by the variance over that many draws of the items, unless
        there are more than 5,000 different vectors.
        """
        used, m = self.used, self.groups.multiplicity
        n = int(m[used].sum())
        influence, loss = self.effects(np.column_stack([slope for _, slope in figures]))
        labels = self.groups.labels_of_cells()
        out: list[Variances] = []
        for j, (value_of, _) in enumerate(figures):
            vi = items_variance(influence[used, j], m[used], n)
            if bootstrap and vi is not None:
                drawn = self._bootstrap(value_of, bootstrap, seed)
                vi = vi if drawn is None else drawn
            values = np.asarray(value_of(self.without), dtype=float)
            vr = raters_variance(values) if not rater_sets else summed_jackknife(values, rater_sets)
            out.append(Variances(vi, vr, float(labels @ loss[:, j] ** 2)))
        return out

    def _bootstrap(self, value_of: Function, replicates: int, seed: int) -> float | None:
        counts, reference = self.groups.counts[self.used], self.groups.reference[self.used]
        if len(counts) > 20 * MOST_PATTERNS:
            return None
        # many groups share their vector, and a draw costs one binomial per distinct vector
        rows, inverse = np.unique(np.round(self.vectors(counts, reference), 12), axis=0, return_inverse=True)
        if len(rows) > MOST_PATTERNS:
            return None
        m = np.bincount(inverse.reshape(-1), weights=self.groups.multiplicity[self.used], minlength=len(rows))
        drawn = bootstrap_items(
            rows, m.astype(np.int64), lambda t: value_of(t)[:, None], replicates=replicates, seed=seed
        )
        variance = float(drawn.variance()[0])
        return variance if np.isfinite(variance) else None


def summed_jackknife(values: Floats, rater_sets: tuple[Ints, ...]) -> float | None:
    """Sum of the jackknife variances of several bodies of raters; None if one has fewer than two or is undefined."""
    total = 0.0
    for positions in rater_sets:
        part = values[positions]
        if len(part) < 2 or not np.isfinite(part).all():
            return None
        total += float(((part - part.mean()) ** 2).sum()) * (len(part) - 1) / len(part)
    return total


def _distinct(code: Ints, space: int) -> tuple[Ints, Ints]:
    """Distinct codes in 0..space-1, ascending, and the position of each entry among them; counts where it can."""
    if space > max(1 << 24, 4 * len(code)):
        codes, position = np.unique(code, return_inverse=True)
        return codes.astype(np.int64), position.reshape(-1).astype(np.int64)
    present = np.zeros(space, np.bool_)
    present[code] = True
    codes = np.flatnonzero(present)
    place = np.zeros(space, np.int64)
    place[codes] = np.arange(len(codes))
    return codes.astype(np.int64), place[code]


def _blocks(groups: ItemGroups, width: int, *, cells: bool = False) -> Iterator[slice]:
    rows = len(groups.cell_group) if cells else len(groups.counts)
    return row_blocks(rows, max(width, groups.counts.shape[1]), 2_000_000)


def _change(groups: ItemGroups, vectors: Vectors, used: NDArray[np.bool_], cells: slice) -> Floats:
    """What taking one label of each of these cells away does to T, shape (cells, S); nothing outside `used`."""
    group, category = groups.cell_group[cells], groups.cell_category[cells]
    counts, reference = groups.counts[group], groups.reference[group]
    fewer = counts.copy()
    fewer[np.arange(len(fewer)), category] -= 1
    change = vectors(fewer, reference) - vectors(counts, reference)
    change[~used[group]] = 0.0
    return change


def sums_of(groups: ItemGroups, vectors: Vectors, used: NDArray[np.bool_]) -> Sums:
    """Sum `vectors` over the items of the groups in `used` (mask), in all and without each rater.

    `vectors` must give zeros for rows that do not count (too few labels, no reference).
    """
    total: Floats | None = None
    for rows in _blocks(groups, 4 * groups.counts.shape[1]):
        part = (groups.multiplicity[rows] * used[rows]) @ vectors(groups.counts[rows], groups.reference[rows])
        total = part if total is None else total + part
    if total is None:
        raise ValueError("there are no items to sum over")
    shift = np.zeros((groups.by_rater.shape[0], len(total)))
    by_cell = groups.by_rater.tocsc()
    for cells in _blocks(groups, len(total), cells=True):
        shift += by_cell[:, cells] @ _change(groups, vectors, used, cells)
    active = groups.labels_of_raters(used) > 0
    return Sums(groups, used, vectors, total, total + shift[active])


def ratio(sums: Floats) -> Floats:
    """The second sum over the first, nan where the first is 0: value function of plain means."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Floats = np.where(np.abs(sums[..., 0]) > 1e-9, sums[..., 1] / sums[..., 0], np.nan)
    return share


def gradient(value_of: Function, total: Floats) -> Floats:
    """Central differences of `value_of` at `total`, shape (S,)."""
    step = 1e-6 * max(1.0, float(np.abs(total).max()))
    slope = np.empty(len(total))
    for rows in row_blocks(len(total), 2 * len(total)):
        n = rows.stop - rows.start
        shifted = np.tile(total, (2 * n, 1))
        here, column = np.arange(n), np.arange(rows.start, rows.stop)
        shifted[here, column] += step
        shifted[here + n, column] -= step
        values = np.asarray(value_of(shifted), dtype=float)
        slope[rows] = (values[:n] - values[n:]) / (2 * step)
    return slope


def ratio_estimate(
    groups: ItemGroups,
    vectors: Vectors,
    used: NDArray[np.bool_],
    basis: Basis,
    *,
    value_of: Function = ratio,
    scale: Scale = "unit",
    kind: Kind = "auto",
    confidence: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
) -> Estimate:
    """Estimate of a ratio of sums, or of the largest of several with one denominator, by the rules of A.11.

    `vectors` gives [denominator, numerator, ...]; the denominator's sum over the groups in `used` is above 0;
    `value_of` is `ratio`, or the largest numerator over the denominator.
    """
    sums = sums_of(groups, vectors, used)
    value = float(value_of(sums.total))
    slope = np.zeros(len(sums.total))
    slope[1 + int(np.argmax(sums.total[1:]))] = 1 / sums.total[0]
    slope[0] = -value / sums.total[0]
    (variances,) = sums.variances([(value_of, slope)], bootstrap=bootstrap, seed=seed)
    return make_estimate(value, variances, basis, scale=scale, kind=kind, confidence=confidence)
