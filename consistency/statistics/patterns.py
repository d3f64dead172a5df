"""The sufficient statistic of every pooled coefficient: equal count vectors grouped, and who gave which label in them.

An item's *pattern* is its vector of category counts. A few hundred patterns with multiplicities stand for millions of
items, so whatever follows costs the same at ten thousand and at a hundred million labels. The *transitions* say, for
each rater, how many of their labels of category c sit on items of pattern p: leaving the rater out turns p into
p - e_c, which is all the rater jackknife needs.

Shards merge by addition only where they partition the **items**.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .labels import as_label, numbers_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array

IntArray = npt.NDArray[np.int64]
Batch = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]

WORD_BITS = 62  # an int64 code stays positive
TOO_SMALL = "the largest count was given too small: an item has more ratings of one category than that"
DIRECT = 1 << 24  # code spaces up to this size are counted directly, without sorting


@dataclass(frozen=True, slots=True, eq=False)
class PatternTable:
    """Distinct count vectors and how many items have each.

    Attributes
    ----------
    counts : int array (P, K)
        One row per pattern: how many ratings of each declared category.
    multiplicity : int64 array (P,)
        Number of items with that pattern.
    categories : tuple of str
        The K declared categories, in scale order.
    numeric : float64 array (K,) or None
        Their numbers, when all are numbers.
    index : int32 array (N,) or None
        For each item its pattern; None when the table came from SQL or from a merge.
    """

    counts: npt.NDArray[np.int32]
    multiplicity: IntArray
    categories: tuple[str, ...]
    numeric: npt.NDArray[np.float64] | None = None
    index: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        if self.counts.ndim != 2 or self.counts.shape != (len(self.multiplicity), len(self.categories)):
            raise ValueError(
                f"counts {self.counts.shape} do not fit {len(self.multiplicity)} multiplicities "
                f"and {len(self.categories)} categories"
            )

    @classmethod
    def from_counts(
        cls,
        counts: npt.ArrayLike,
        multiplicity: npt.ArrayLike | None = None,
        *,
        categories: Sequence[Any] | None = None,
    ) -> PatternTable:
        """From a table items x categories of counts (as printed by Fleiss 1971); equal rows are grouped.

        Parameters
        ----------
        counts : array (N, K) of non-negative integers
        multiplicity : array (N,), optional
            How many items each row stands for (default 1).

        Examples
        --------
        >>> PatternTable.from_counts([[2, 0], [2, 0], [1, 1]]).multiplicity.tolist()
        [1, 2]
        """
        c = np.asarray(counts)
        if c.ndim != 2:
            raise ValueError("counts must be a table: one row per item, one column per category")
        if c.size and (np.any(c < 0) or np.any(c != np.floor(c))):
            row, column = np.argwhere((c < 0) | (c != np.floor(c)))[0]
            raise ValueError(f"row {row + 1}, column {column + 1}: {c[row, column]} is not a count")
        m = np.ones(len(c), np.int64) if multiplicity is None else np.asarray(multiplicity, np.int64)
        labels = tuple(as_label(k) for k in (categories if categories is not None else range(1, c.shape[1] + 1)))
        rows, inverse = np.unique(c.astype(np.int32), axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        total = np.bincount(inverse, weights=m, minlength=len(rows)).astype(np.int64)
        keep = rows.sum(axis=1) > 0
        index = inverse.astype(np.int32) if multiplicity is None and keep.all() else None
        return cls(rows[keep], total[keep], labels, numbers_of(labels), index)

    @property
    def n_patterns(self) -> int:
        return len(self.multiplicity)

    @property
    def per_item(self) -> npt.NDArray[np.int64]:
        """Ratings per item, by pattern: int64 array (P,)."""
        per_item: IntArray = self.counts.sum(axis=1, dtype=np.int64)
        return per_item

    @property
    def n_items(self) -> int:
        return int(self.multiplicity.sum())

    @property
    def n_ratings(self) -> int:
        return int(self.multiplicity @ self.per_item)

    @property
    def single_rating_items(self) -> int:
        return int(self.multiplicity[self.per_item == 1].sum())

    def cells(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The (pattern, category) cells that occur: pattern, category and number of labels in each, int64 arrays."""
        pattern, category = np.nonzero(self.counts)
        labels = self.counts[pattern, category] * self.multiplicity[pattern]
        return pattern.astype(np.int64), category.astype(np.int64), labels.astype(np.int64)

    def merge(self, *others: PatternTable) -> PatternTable:
        """The table of several shards that partition the **items** (labels of one item never in two shards)."""
        for other in others:
            if other.categories != self.categories:
                raise ValueError("shards with different categories cannot be added")
        tables = (self, *others)
        rows, inverse = np.unique(np.concatenate([t.counts for t in tables]), axis=0, return_inverse=True)
        m = np.concatenate([t.multiplicity for t in tables])
        total = np.zeros(len(rows), np.int64)
        np.add.at(total, inverse.reshape(-1), m)
        return PatternTable(rows, total, self.categories, self.numeric)


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """Labels grouped by (rater, pattern, category).

    Attributes
    ----------
    rater, pattern, category, count : integer arrays (T,)
        `pattern` indexes the rows of the PatternTable they belong to.
    n_raters : int
    """

    rater: npt.NDArray[Any]
    pattern: npt.NDArray[Any]
    category: npt.NDArray[Any]
    count: npt.NDArray[Any]
    n_raters: int

    def by_cell(self, patterns: PatternTable) -> csr_array:
        """Labels by rater and (pattern, category) cell: sparse float64 (R, cells), columns as `patterns.cells()`."""
        from scipy.sparse import coo_array

        pattern, category, _ = patterns.cells()
        column = np.full(patterns.counts.shape, -1, np.int64)
        column[pattern, category] = np.arange(len(pattern))
        cell = column[self.pattern, self.category]
        if len(cell) and cell.min() < 0:
            raise ValueError("a transition names a category its pattern does not have")
        data = np.asarray(self.count, np.float64)
        return coo_array((data, (self.rater, cell)), shape=(self.n_raters, len(pattern))).tocsr()

    def by_category(self, n_categories: int) -> IntArray:
        """Labels by rater and category: int64 array (R, K)."""
        out = np.zeros((self.n_raters, n_categories), np.int64)
        np.add.at(out, (self.rater, self.category), self.count)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class PairTable:
    """Items rated by two raters, counted by the two labels: rater_a < rater_b, all integer arrays (T,).

    Where each entry stands for one item, `rows` are the two ratings it came from, as row numbers of the table.
    """

    rater_a: npt.NDArray[Any]
    rater_b: npt.NDArray[Any]
    category_a: npt.NDArray[Any]
    category_b: npt.NDArray[Any]
    count: npt.NDArray[Any]
    n_raters: int
    rows: tuple[IntArray, IntArray] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Grouped:
    """Ratings as the engine sees them when the labels themselves stay elsewhere (a stream, a database).

    `transitions` are needed for anything said about raters, `pairs` for Cohen's and Light's kappa and for Conger's
    interval, `by_item` (batches of the labels in the order of the items, made anew at each call) for Light's interval;
    `excluded` carries the counts of what was left out before grouping.
    """

    patterns: PatternTable
    transitions: Transitions | None = None
    pairs: PairTable | None = None
    raters: Sequence[str] = ()
    excluded: dict[str, int] | None = None
    by_item: Callable[[], Iterable[Batch]] | None = None


def word_layout(n_categories: int, largest: int) -> tuple[int, int]:
    """(base, categories per int64 word) for counts up to `largest` per item and category."""
    base = largest + 1
    per_word = max(1, int(WORD_BITS / np.log2(base))) if base > 1 else n_categories
    while per_word > 1 and base**per_word >= 1 << WORD_BITS:
        per_word -= 1
    return base, per_word


def weights_of_word(base: int, per_word: int, word: int, n_categories: int) -> IntArray:
    """int64 (K,): base ** position for the categories of this word, 0 for the others."""
    out = np.zeros(n_categories, np.int64)
    low, high = word * per_word, min((word + 1) * per_word, n_categories)
    out[low:high] = base ** np.arange(high - low, dtype=np.int64)
    return out


def decode(words: Sequence[IntArray], base: int, per_word: int, n_categories: int) -> npt.NDArray[np.int32]:
    """Codes back to counts: int32 array (P, K)."""
    counts = np.zeros((len(words[0]), n_categories), np.int32)
    for w, code in enumerate(words):
        rest = code.copy()
        for k in range(w * per_word, min((w + 1) * per_word, n_categories)):
            rest, counts[:, k] = np.divmod(rest, base)
        if np.any(rest):
            raise ValueError(TOO_SMALL)
    return counts


def distinct_codes(code: IntArray, space: int) -> tuple[IntArray, npt.NDArray[np.int32]]:
    """Distinct codes, ascending, and for each entry its position among them."""
    if len(code) and int(code.max()) >= space:
        raise ValueError(TOO_SMALL)
    if space <= max(DIRECT, len(code)):
        present = np.zeros(space, np.bool_)
        present[code] = True
        codes = np.flatnonzero(present)
        position = np.zeros(space, np.int32)
        position[codes] = np.arange(len(codes), dtype=np.int32)
        return codes.astype(np.int64), position[code]
    codes, inverse = np.unique(code, return_inverse=True)
    return codes, inverse.astype(np.int32)


def group_words(
    words: list[IntArray], base: int, per_word: int, n_categories: int
) -> tuple[npt.NDArray[np.int32], IntArray, npt.NDArray[np.int32]]:
    """Group items by their code words (a list that is emptied on the way).

    Returns
    -------
    counts : int32 array (P, K)
    multiplicity : int64 array (P,)
    index : int32 array (N,)
    """
    first = min(per_word, n_categories)
    codes, index = distinct_codes(words[0], base**first)
    parts = [codes]
    for w, word in enumerate(words[1:], start=1):
        width = min(per_word, n_categories - w * per_word)
        here, inner = distinct_codes(word, base**width)
        joint, index = distinct_codes(index.astype(np.int64) * len(here) + inner, len(parts[0]) * len(here))
        left, right = np.divmod(joint, len(here))
        parts = [p[left] for p in parts] + [here[right]]
    words.clear()  # eight bytes an item each
    multiplicity = np.zeros(len(parts[0]), np.int64)
    for rows in row_blocks(len(index), 1):
        multiplicity += np.bincount(index[rows], minlength=len(multiplicity))
    return decode(parts, base, per_word, n_categories), multiplicity, index


def patterns_of(
    item: npt.NDArray[np.int64],
    value: npt.NDArray[np.int32],
    n_items: int,
    categories: tuple[str, ...],
    numeric: npt.NDArray[np.float64] | None = None,
) -> PatternTable:
    """Patterns of ratings **sorted by item** (every item 0..n_items-1 has at least one rating)."""
    k = len(categories)
    if not len(item):
        return PatternTable(
            np.zeros((0, k), np.int32), np.zeros(0, np.int64), categories, numeric, np.zeros(0, np.int32)
        )
    starts = np.searchsorted(item, np.arange(n_items)) if n_items < 64 else _starts(item)
    per_item = np.diff(np.append(starts, len(item)))
    largest = int(per_item.max())
    base, per_word = word_layout(k, largest)
    n_words = -(-k // per_word)
    words = [
        np.add.reduceat(weights_of_word(base, per_word, w, k)[value], starts, dtype=np.int64) for w in range(n_words)
    ]
    counts, multiplicity, index = group_words(words, base, per_word, k)
    return PatternTable(counts, multiplicity, categories, numeric, index)


def _starts(item: npt.NDArray[np.int64]) -> IntArray:
    return np.concatenate([[0], np.flatnonzero(item[1:] != item[:-1]) + 1]).astype(np.int64)


def transitions_of(
    item: npt.NDArray[Any], rater: npt.NDArray[Any], value: npt.NDArray[Any], patterns: PatternTable, n_raters: int
) -> Transitions:
    """Group the labels of one table (needs `patterns.index`)."""
    if patterns.index is None:
        raise ValueError("these patterns do not know their items")
    counter = TransitionCounter(patterns, n_raters)
    counter.add(item, rater, value)
    return counter.result()


class TransitionCounter:
    """Counts labels by (rater, pattern, category): dense while that is small, else as grouped keys per batch."""

    DENSE = 1 << 25

    def __init__(self, patterns: PatternTable, n_raters: int) -> None:
        self.patterns, self.n_raters = patterns, n_raters
        self.n_patterns, self.k = patterns.counts.shape
        size = n_raters * self.n_patterns * self.k
        self.dense = np.zeros(size, np.int64) if size <= self.DENSE else None
        self.keys: list[IntArray] = []
        self.counts: list[IntArray] = []

    def add(self, item: npt.NDArray[Any], rater: npt.NDArray[Any], value: npt.NDArray[Any]) -> None:
        assert self.patterns.index is not None
        key = np.asarray(rater, np.int64) * self.n_patterns
        key += self.patterns.index[item]
        key *= self.k
        key += value
        if self.dense is not None:
            if len(key) * 8 > len(self.dense):
                self.dense += np.bincount(key, minlength=len(self.dense))
            else:
                np.add.at(self.dense, key, 1)
        else:
            keys, counts = np.unique(key, return_counts=True)
            self.keys.append(keys)
            self.counts.append(counts)
            if len(self.keys) > 16:
                self._fold()

    def _fold(self) -> None:
        keys, inverse = np.unique(np.concatenate(self.keys), return_inverse=True)
        total = np.zeros(len(keys), np.int64)
        np.add.at(total, inverse, np.concatenate(self.counts))
        self.keys, self.counts = [keys], [total]

    def result(self) -> Transitions:
        if self.dense is not None:
            keys = np.flatnonzero(self.dense)
            counts = self.dense[keys]
        elif self.keys:
            self._fold()
            keys, counts = self.keys[0], self.counts[0]
        else:
            keys = counts = np.zeros(0, np.int64)
        rest, category = np.divmod(keys, self.k)
        rater, pattern = np.divmod(rest, self.n_patterns)
        return Transitions(
            rater.astype(np.int32), pattern.astype(np.int32), category.astype(np.int32), counts, self.n_raters
        )


def row_blocks(n_rows: int, width: int, budget: int = 4_000_000) -> Iterator[slice]:
    """Slices of rows such that rows x width stays near `budget` numbers."""
    step = max(1, budget // max(1, width))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def within_item_pairs(item: npt.NDArray[Any]) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows (i, j) of every two ratings of one item (rows sorted by item), i before j, one distance at a time."""
    lag, rows = 1, np.arange(len(item))
    while True:
        same = rows[:-lag][item[lag:] == item[:-lag]] if lag < len(item) else rows[:0]
        if not len(same):
            return
        yield same, same + lag
        lag += 1
