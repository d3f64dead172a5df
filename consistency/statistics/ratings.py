"""RatingsTable: who said what about which item, validated once, coded as integers.

Missing means absent (and is counted). Categories are the *declared* ones. Of several ratings of one (item, rater) the
first counts between raters; the later ones are kept apart as intra-rater data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .labels import (
    Numbers,
    RatingsError,
    as_label,
    declared,
    factorize,
    is_missing,
    listed,
    natural,
    number_of,
    numbers_of,
    session_order,
)
from .patterns import PatternTable, Transitions, patterns_of, transitions_of

__all__ = ["RatingsError", "RatingsTable", "Repeats", "as_label", "is_missing", "number_of", "numbers_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Repeats:
    """Later ratings of an (item, rater) that already counts: arrays (n,), `sequence` 1 for the second rating, …"""

    item: npt.NDArray[np.int64]
    rater: npt.NDArray[np.int32]
    value: npt.NDArray[np.int32]
    sequence: npt.NDArray[np.int32]

    @classmethod
    def none(cls) -> Repeats:
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32))

    def __len__(self) -> int:
        return len(self.item)


@dataclass(frozen=True, slots=True, eq=False)
class RatingsTable:
    """Ratings in long form, sorted by item, then rater.

    Attributes
    ----------
    item : int64 (n,), rater : int32 (n,), value : int32 (n,)
        Codes into `items`, `raters`, `categories`; each (item, rater) once.
    items, raters : sequences of str
        Names; every item and every rater has at least one rating.
    categories : tuple of str
        Declared labels in scale order (by number when all are numbers, else as declared, else alphabetical).
    numeric : float64 (K,) or None
        Their numbers, when all are numbers.
    repeats : Repeats
        Further ratings of the same (item, rater): intra-rater data.
    excluded : dict
        ``missing_labels``, ``single_rating_items``, ``repeats``.
    """

    item: npt.NDArray[np.int64]
    rater: npt.NDArray[np.int32]
    value: npt.NDArray[np.int32]
    items: Sequence[str]
    raters: Sequence[str]
    categories: tuple[str, ...]
    numeric: npt.NDArray[np.float64] | None
    repeats: Repeats
    excluded: Mapping[str, int]
    _absent: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] = field(repr=False)
    _memo: dict[str, Any] = field(default_factory=dict, repr=False)

    # ---------------------------------------------------------------- making one

    @classmethod
    def from_records(cls, records: Iterable[Sequence[Any]], *, categories: Sequence[Any] | None = None) -> RatingsTable:
        """From (item, rater, label) or (item, rater, label, session) tuples.

        Examples
        --------
        >>> t = RatingsTable.from_records([("i1", "gene", "yes"), ("i1", "gina", "no"), ("i2", "gene", None)])
        >>> t.n_items, t.n_ratings, t.excluded["missing_labels"]
        (1, 2, 1)
        """
        item, rater, label, session = [], [], [], []
        for row, record in enumerate(records):
            if len(record) not in (3, 4):
                raise RatingsError(
                    f"row {row + 1}: expected (item, rater, label[, session]), got {len(record)} fields", row=row
                )
            item.append(record[0])
            rater.append(record[1])
            label.append(record[2])
            session.append(record[3] if len(record) == 4 else None)
        given = any(s is not None for s in session)
        return cls.from_columns(item, rater, label, session=session if given else None, categories=categories)

    @classmethod
    def from_columns(
        cls,
        item: Any,
        rater: Any,
        label: Any,
        *,
        session: Any = None,
        categories: Sequence[Any] | None = None,
    ) -> RatingsTable:
        """From equally long columns: lists, numpy arrays, pandas Series or Arrow arrays.

        Parameters
        ----------
        item, rater : columns of names or numbers, none missing
        label : column; None, NaN and '' are missing labels
        session : column, optional
            Orders repeated ratings of one (item, rater): by number when all are numbers, else as text
            (ISO times sort right). Without it the order of the rows counts.
        categories : sequence, optional
            The declared labels; without it those that occur.

        Raises
        ------
        RatingsError
            Naming the row and the value: a label outside `categories`, a missing item or rater, unequal lengths.
        """
        item_code, item_names, item_missing = factorize(item)
        rater_code, rater_names, rater_missing = factorize(rater)
        label_code, label_names, label_missing = factorize(label)
        n = len(item_code)
        for name, column in (("rater", rater_code), ("label", label_code)):
            if len(column) != n:
                raise RatingsError(f"the {name} column has {len(column)} rows, the item column {n}", field=name)
        for name, missing in (("item", item_missing), ("rater", rater_missing)):
            if missing.any():
                row = int(np.argmax(missing))
                raise RatingsError(f"row {row + 1}: the {name} is missing", row=row, field=name)
        labels, code_of = declared(label_names, categories)
        recoded = code_of[label_code] if len(code_of) else np.full(n, -1, np.int32)
        wrong = (recoded < 0) & ~label_missing
        if wrong.any():
            row = int(np.argmax(wrong))
            value = label_names[label_code[row]]
            raise RatingsError(
                f"row {row + 1}: label {value!r} is not one of the declared categories {listed(labels)}",
                row=row,
                field="label",
                value=value,
            )
        keep = ~label_missing
        order_by = None
        if session is not None:
            order_by = session_order(session)
            if len(order_by) != n:
                raise RatingsError(f"the session column has {len(order_by)} rows, the item column {n}", field="session")
        return cls._build(
            item_code[keep],
            rater_code[keep],
            recoded[keep],
            item_names,
            rater_names,
            labels,
            None if order_by is None else order_by[keep],
            (item_code[~keep], rater_code[~keep]),
        )

    @classmethod
    def from_frame(
        cls,
        df: Any,
        *,
        item: str = "item_id",
        rater: str = "rater_id",
        label: str = "label",
        session: str | None = None,
        categories: Sequence[Any] | None = None,
    ) -> RatingsTable:
        """From a DataFrame in long form (pandas, or anything with columns by name)."""
        return cls._from_named(df, [str(c) for c in df.columns], (item, rater, label, session), categories)

    @classmethod
    def from_arrow(
        cls,
        table: Any,
        *,
        item: str = "item_id",
        rater: str = "rater_id",
        label: str = "label",
        session: str | None = None,
        categories: Sequence[Any] | None = None,
    ) -> RatingsTable:
        """From a pyarrow Table in long form."""
        return cls._from_named(table, list(table.column_names), (item, rater, label, session), categories)

    @classmethod
    def _from_named(
        cls,
        table: Any,
        names: list[str],
        columns: tuple[str, str, str, str | None],
        categories: Sequence[Any] | None,
    ) -> RatingsTable:
        for column in columns:
            if column is not None and column not in names:
                raise RatingsError(f"there is no column {column!r}; the columns are {listed(names)}", field=column)
        item, rater, label, session = columns
        return cls.from_columns(
            table[item],
            table[rater],
            table[label],
            session=table[session] if session else None,
            categories=categories,
        )

    @classmethod
    def from_matrix(cls, matrix: Iterable[Sequence[Any]], *, categories: Sequence[Any] | None = None) -> RatingsTable:
        """From rows = items, columns = raters, None for a missing rating (as the literature prints its tables).

        Examples
        --------
        >>> RatingsTable.from_matrix([[1, 1], [1, 2]]).raters
        ('1', '2')
        """
        rows = [list(row) for row in matrix]
        width = max((len(r) for r in rows), default=0)
        digits = len(str(width))
        item, rater, label = [], [], []
        for i, row in enumerate(rows):
            if len(row) != width:
                raise RatingsError(f"row {i + 1} has {len(row)} columns, not {width}", row=i)
            for g, value in enumerate(row):
                item.append(str(i + 1))
                rater.append(str(g + 1).zfill(digits))
                label.append(value)
        return cls.from_columns(item, rater, label, categories=categories)

    @classmethod
    def from_codes(
        cls,
        item: npt.ArrayLike,
        rater: npt.ArrayLike,
        value: npt.ArrayLike,
        *,
        categories: Sequence[Any],
        items: Sequence[str] | None = None,
        raters: Sequence[str] | None = None,
    ) -> RatingsTable:
        """From integer codes (value -1 = missing); names default to the numbers."""
        item_code, rater_code = np.asarray(item, np.int64), np.asarray(rater, np.int32)
        value_code = np.asarray(value, np.int32)
        labels, code_of = declared([as_label(c) for c in categories], [as_label(c) for c in categories])
        if len(value_code) and int(value_code.max()) >= len(labels):
            row = int(np.argmax(value_code >= len(labels)))
            raise RatingsError(
                f"row {row + 1}: code {value_code[row]} is not one of the {len(labels)} categories", row=row
            )
        keep = value_code >= 0
        n_items = int(item_code.max()) + 1 if len(item_code) else 0
        n_raters = int(rater_code.max()) + 1 if len(rater_code) else 0
        return cls._build(
            item_code[keep],
            rater_code[keep],
            code_of[value_code[keep]],
            items if items is not None else Numbers(n_items),
            raters if raters is not None else Numbers(n_raters),
            labels,
            None,
            (item_code[~keep], rater_code[~keep].astype(np.int64)),
            sort_raters=raters is not None,
        )

    @classmethod
    def _build(
        cls,
        item: npt.NDArray[Any],
        rater: npt.NDArray[Any],
        value: npt.NDArray[Any],
        items: Sequence[str],
        raters: Sequence[str],
        categories: tuple[str, ...],
        order_by: npt.NDArray[np.float64] | None,
        absent: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
        *,
        sort_raters: bool = True,
    ) -> RatingsTable:
        item = np.asarray(item, np.int64)
        rater = np.asarray(rater, np.int32)
        value = np.asarray(value, np.int32)
        if sort_raters and len(raters):
            by_name = np.array(sorted(range(len(raters)), key=lambda g: natural(raters[g])), np.int64)
            place = np.empty(len(raters), np.int32)
            place[by_name] = np.arange(len(raters), dtype=np.int32)
            rater, raters = place[rater], tuple(raters[g] for g in by_name)
            absent = absent[0], place[absent[1]].astype(np.int64)
        key = item * max(1, len(raters)) + rater
        if order_by is not None:
            order = np.lexsort((np.arange(len(key)), order_by, key))
        elif len(key) < 2 or np.all(key[1:] > key[:-1]):
            order = None
        else:
            order = np.argsort(key, kind="stable")
        if order is not None:
            item, rater, value, key = item[order], rater[order], value[order], key[order]
        repeats = Repeats.none()
        new = np.ones(len(key), np.bool_)
        new[1:] = key[1:] != key[:-1]
        if not new.all():
            first = np.maximum.accumulate(np.where(new, np.arange(len(key)), 0))
            sequence = (np.arange(len(key)) - first).astype(np.int32)
            later = ~new
            repeats = Repeats(item[later], rater[later], value[later], sequence[later])
            item, rater, value = item[new], rater[new], value[new]
        return cls._tidy(item, rater, value, items, raters, categories, repeats, absent)

    @classmethod
    def _tidy(
        cls,
        item: npt.NDArray[np.int64],
        rater: npt.NDArray[np.int32],
        value: npt.NDArray[np.int32],
        items: Sequence[str],
        raters: Sequence[str],
        categories: tuple[str, ...],
        repeats: Repeats,
        absent: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    ) -> RatingsTable:
        """Drop the names nobody uses any more and count what is left out."""
        per_item = np.bincount(item, minlength=len(items))
        used_items = per_item > 0
        used_raters = np.bincount(rater, minlength=len(raters)) > 0
        if not used_items.all():
            place = np.cumsum(used_items) - 1
            item = place[item]
            repeats = Repeats(place[repeats.item], repeats.rater, repeats.value, repeats.sequence)
            absent = _moved(absent[0], place, used_items), absent[1]
            items = _picked(items, used_items)
            per_item = per_item[used_items]
        if not used_raters.all():
            place = (np.cumsum(used_raters) - 1).astype(np.int32)
            rater = place[rater]
            repeats = Repeats(repeats.item, place[repeats.rater], repeats.value, repeats.sequence)
            absent = absent[0], _moved(absent[1], place, used_raters)
            raters = _picked(raters, used_raters)
        excluded = {
            "missing_labels": len(absent[0]),
            "single_rating_items": int((per_item == 1).sum()),
            "repeats": len(repeats),
        }
        for array in (item, rater, value):
            array.setflags(write=False)
        return cls(item, rater, value, items, raters, categories, numbers_of(categories), repeats, excluded, absent)

    # ---------------------------------------------------------------- reading it

    @property
    def n_items(self) -> int:
        return len(self.items)

    @property
    def n_raters(self) -> int:
        return len(self.raters)

    @property
    def n_ratings(self) -> int:
        return len(self.item)

    @property
    def n_categories(self) -> int:
        return len(self.categories)

    def ratings_per_item(self) -> npt.NDArray[np.int64]:
        """int64 array (N,)."""
        return np.bincount(self.item, minlength=self.n_items).astype(np.int64)

    def counts(self) -> npt.NDArray[np.int32]:
        """Items by categories: dense int32 array (N, K)."""
        k = max(1, self.n_categories)
        flat = np.bincount(self.item * k + self.value, minlength=self.n_items * k)
        return flat.reshape(self.n_items, k).astype(np.int32)[:, : self.n_categories]

    def patterns(self) -> PatternTable:
        """The grouped count vectors, with the index per item (computed once)."""
        if "patterns" not in self._memo:
            self._memo["patterns"] = patterns_of(self.item, self.value, self.n_items, self.categories, self.numeric)
        table: PatternTable = self._memo["patterns"]
        return table

    def transitions(self) -> Transitions:
        """Labels by (rater, pattern, category), against `patterns()` (computed once)."""
        if "transitions" not in self._memo:
            self._memo["transitions"] = transitions_of(
                self.item, self.rater, self.value, self.patterns(), self.n_raters
            )
        table: Transitions = self._memo["transitions"]
        return table

    def repeated(
        self,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Every rating of each (item, rater) rated more than once: item, rater, value, sequence (0 = the one that
        counts between raters), sorted by item, rater, sequence."""
        if not len(self.repeats):
            none = Repeats.none()
            return none.item, none.rater, none.value, none.sequence
        width = max(1, self.n_raters)
        mine = self.item * width + self.rater
        again = np.unique(self.repeats.item * width + self.repeats.rater)
        first = np.isin(mine, again)
        item = np.concatenate([self.item[first], self.repeats.item])
        rater = np.concatenate([self.rater[first], self.repeats.rater])
        value = np.concatenate([self.value[first], self.repeats.value])
        sequence = np.concatenate([np.zeros(int(first.sum()), np.int32), self.repeats.sequence])
        order = np.lexsort((sequence, rater, item))
        return item[order], rater[order], value[order], sequence[order]

    def subset(
        self,
        *,
        items: npt.ArrayLike | None = None,
        raters: npt.ArrayLike | None = None,
        rows: npt.ArrayLike | None = None,
    ) -> RatingsTable:
        """The ratings of some items, raters or rows (boolean masks or index arrays); categories stay as declared."""
        keep = np.ones(self.n_ratings, np.bool_)
        again = np.ones(len(self.repeats), np.bool_)
        absent = np.ones(len(self._absent[0]), np.bool_)
        if items is not None:
            mask = _mask(items, self.n_items)
            absent &= np.append(mask, False)[self._absent[0]]
            keep &= mask[self.item]
            again &= mask[self.repeats.item]
        if raters is not None:
            mask = _mask(raters, self.n_raters)
            absent &= np.append(mask, False)[self._absent[1]]
            keep &= mask[self.rater]
            again &= mask[self.repeats.rater]
        if rows is not None:
            keep &= _mask(rows, self.n_ratings)
        r = self.repeats
        if len(r):
            width = max(1, self.n_raters)
            again &= np.isin(r.item * width + r.rater, self.item[keep] * width + self.rater[keep])
        return self._tidy(
            self.item[keep],
            self.rater[keep],
            self.value[keep],
            self.items,
            self.raters,
            self.categories,
            Repeats(r.item[again], r.rater[again], r.value[again], r.sequence[again]),
            (self._absent[0][absent], self._absent[1][absent]),
        )

    def without_raters(self, raters: Iterable[str]) -> RatingsTable:
        """The table without these raters, by name; a name that is not in it is an error."""
        gone = set(raters)
        unknown = gone - set(self.raters)
        if unknown:
            raise RatingsError(f"there is no rater {sorted(unknown)[0]!r}", field="rater", value=sorted(unknown)[0])
        return self.subset(raters=np.array([name not in gone for name in self.raters], np.bool_))

    def merge_categories(self, groups: Mapping[str, str]) -> RatingsTable:
        """The table with some labels renamed to others (several to one merges them); unnamed labels stay."""
        unknown = set(groups) - set(self.categories)
        if unknown:
            raise RatingsError(f"there is no category {sorted(unknown)[0]!r}", field="label")
        new = list(dict.fromkeys(groups.get(c, c) for c in self.categories))
        labels, code_of = declared(new, new)
        code = np.array([code_of[new.index(groups.get(c, c))] for c in self.categories], np.int32)
        r = self.repeats
        return self._tidy(
            self.item,
            self.rater,
            code[self.value],
            self.items,
            self.raters,
            labels,
            Repeats(r.item, r.rater, code[r.value], r.sequence),
            self._absent,
        )


def _picked(names: Sequence[str], used: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(names[i] for i in np.flatnonzero(used).tolist())


def _moved(code: npt.NDArray[np.int64], place: npt.NDArray[Any], used: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Codes after names were dropped; -1 for a name that is gone."""
    target: npt.NDArray[np.int64] = np.append(np.where(used, place, -1), -1)[code]
    return target


def _mask(selection: npt.ArrayLike, n: int) -> npt.NDArray[np.bool_]:
    chosen = np.asarray(selection)
    if chosen.dtype == np.bool_:
        if len(chosen) != n:
            raise ValueError(f"the mask has {len(chosen)} entries, not {n}")
        return chosen
    mask = np.zeros(n, np.bool_)
    mask[chosen.astype(np.int64)] = True
    return mask
