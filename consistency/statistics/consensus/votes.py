"""The labels of a ratings table as arrays a consensus method can work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..ratings import RatingsTable

MOST_CELLS = 20_000_000
"""Cells of all raters' confusion matrices together (160 MB) up to which they are made."""
MOST_LABELS = 300
"""Labels up to which one rater's matrix is thought of as something that can be learned."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Votes:
    """Every label of a table, sorted by item, over the categories that occur.

    Attributes
    ----------
    item, rater, value : int64 arrays of length L
        `value` counts in the observed categories; `observed[value]` is the code in the table.
    n_items, n_raters : int
    observed : int64 array of length k
        Codes of the categories that occur. A declared category that nobody used cannot be the
        consensus of anything and takes part in no fit.
    """

    item: Ints
    rater: Ints
    value: Ints
    n_items: int
    n_raters: int
    observed: Ints

    @property
    def k(self) -> int:
        """The number of observed categories."""
        return len(self.observed)

    @property
    def too_wide(self) -> str | None:
        """Why there are no confusion matrices: too many cells for what could be learned; None where there are."""
        if self.n_raters * self.k**2 <= MOST_CELLS and self.k <= MOST_LABELS:
            return None
        return f"{self.k:,} labels of {self.n_raters:,} raters are too many for a confusion matrix each"

    @classmethod
    def of(cls, table: RatingsTable) -> Votes:
        """All labels of `table`, repeats included (Dawid and Skene's own table has three per rater)."""
        item, rater, value = (
            np.concatenate([np.asarray(first, dtype=np.int64), np.asarray(again, dtype=np.int64)])
            for first, again in zip(
                (table.item, table.rater, table.value),
                (table.repeats.item, table.repeats.rater, table.repeats.value),
                strict=True,
            )
        )
        return cls.of_codes(item, rater, value, n_items=len(table.items), n_raters=len(table.raters))

    @classmethod
    def of_codes(cls, item: Ints, rater: Ints, value: Ints, *, n_items: int, n_raters: int) -> Votes:
        """Votes from plain code arrays in any order.

        Examples
        --------
        >>> import numpy as np
        >>> votes = Votes.of_codes(np.array([1, 0]), np.array([0, 0]), np.array([3, 3]), n_items=2, n_raters=1)
        >>> votes.item.tolist(), votes.k
        ([0, 1], 1)
        """
        if len(item) and np.any(item[1:] < item[:-1]):
            order = np.argsort(item, kind="stable")
            item, rater, value = item[order], rater[order], value[order]
        observed = np.flatnonzero(np.bincount(value)) if len(value) else np.zeros(0, dtype=np.int64)
        lookup = np.zeros(int(observed.max(initial=-1)) + 1, dtype=np.int64)
        lookup[observed] = np.arange(len(observed))
        return cls(item, rater, lookup[value] if len(value) else value, n_items, n_raters, observed)

    def only(self, keep: NDArray[np.bool_]) -> Votes:
        """The same items, raters and categories with some labels left out (for held-out likelihood)."""
        return Votes(self.item[keep], self.rater[keep], self.value[keep], self.n_items, self.n_raters, self.observed)

    def counts(self) -> Floats:
        """float64[n_items, k]: how often each category was given to each item."""
        flat = np.bincount(self.item * self.k + self.value, minlength=self.n_items * self.k)
        return flat.reshape(self.n_items, self.k).astype(np.float64)

    def shares(self) -> Floats:
        """float64[n_items, k]: vote shares; an item without a label gets equal shares."""
        counts = self.counts()
        total = counts.sum(axis=1, keepdims=True)
        shares: Floats = np.divide(counts, total, out=np.full_like(counts, 1 / max(self.k, 1)), where=total > 0)
        return shares

    def labels_per_rater(self) -> Ints:
        """int64[n_raters]"""
        return np.bincount(self.rater, minlength=self.n_raters)

    def one_hot(self) -> Any:
        """Sparse A in CSR form, n_items x n_raters*k with one entry per label."""
        from scipy import sparse  # half the start-up time of a command that never needs it

        indptr = np.zeros(self.n_items + 1, dtype=np.int64)
        np.cumsum(np.bincount(self.item, minlength=self.n_items), out=indptr[1:])
        columns = self.rater * self.k + self.value

        return sparse.csr_matrix(
            (np.ones(len(self.item)), columns, indptr), shape=(self.n_items, self.n_raters * self.k), copy=False
        )
