"""Names and labels as text and as codes: reading columns of any kind, once, quickly."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*\Z")


class RatingsError(ValueError):
    """Ratings that cannot be used: names the row (0-based index in `row`), the field and the value."""

    def __init__(self, message: str, *, row: int | None = None, field: str | None = None, value: Any = None) -> None:
        super().__init__(message)
        self.message, self.row, self.field, self.value = message, row, field, value


def as_label(value: Any) -> str:
    """The text of a label: whole numbers without a point, truth values in lower case, text as it is.

    >>> as_label(2.0), as_label(True), as_label("x")
    ('2', 'true', 'x')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return str(value)


def is_missing(value: Any) -> bool:
    """None, NaN, NaT, pandas' NA and the empty text are "no label"."""
    if value is None:
        return True
    if isinstance(value, str):
        return value == "" or value.isspace()
    if isinstance(value, (float, np.floating)):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")


def number_of(label: str) -> float | None:
    """The finite number a label spells, or None ("nan", "1_000" and "inf" are no numbers)."""
    if not _NUMBER.match(label):
        return None
    number = float(label)
    return number if math.isfinite(number) else None


def numbers_of(labels: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """float64 (K,) when every label is a number, else None."""
    numbers = [number_of(label) for label in labels]
    if not numbers or any(n is None for n in numbers):
        return None
    return np.array(numbers, np.float64)


class Numbers(Sequence[str]):
    """Names "0", "1", … that take no memory."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return tuple(str(j) for j in range(*i.indices(self._n)))
        if not -self._n <= i < self._n:
            raise IndexError(i)
        return str(int(i) % self._n)


def natural(name: str) -> tuple[Any, ...]:
    """Sort key that puts rater2 before rater10."""
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in re.split(r"(\d+)", name) if p) or (
        (1, 0, ""),
    )


def listed(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, … ({len(names)} in all)"


def declared(seen: Sequence[str], categories: Sequence[Any] | None) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
    """Categories in scale order, and for each label seen its code (-1: not declared)."""
    if categories is None:
        labels = sorted(set(seen))
    else:
        labels = [as_label(c) for c in categories]
        twice = [c for c in labels if labels.count(c) > 1] if len(set(labels)) < len(labels) else []
        if twice:
            raise RatingsError(f"category {twice[0]!r} is declared twice", field="categories", value=twice[0])
        if any(is_missing(c) for c in labels):
            raise RatingsError("an empty text cannot be a category", field="categories")
    numbers = numbers_of(labels)
    if numbers is not None:
        labels = [labels[i] for i in np.argsort(numbers, kind="stable").tolist()]
    place = {label: k for k, label in enumerate(labels)}
    return tuple(labels), np.array([place.get(label, -1) for label in seen], np.int32)


def session_order(session: Any) -> npt.NDArray[np.float64]:
    code, names, missing = factorize(session)
    numbers = numbers_of(names)
    rank = np.empty(len(names) + 1)
    rank[-1] = -np.inf  # a rating without a session came before there were sessions
    if len(names):
        order = (
            np.argsort(numbers, kind="stable")
            if numbers is not None
            else sorted(range(len(names)), key=names.__getitem__)
        )
        rank[np.asarray(order)] = np.arange(len(names))
    return rank[np.where(missing, len(names), code)]


def factorize(column: Any) -> tuple[npt.NDArray[np.int64], list[str], npt.NDArray[np.bool_]]:
    """Codes, the distinct texts in order of first appearance, and which rows are missing (their code is 0)."""
    pandas = sys.modules.get("pandas")
    if hasattr(column, "dictionary_encode") or hasattr(column, "combine_chunks"):
        return factorize_arrow(column)
    if pandas is not None and isinstance(column, (pandas.Series, pandas.Index, pandas.Categorical)):
        code, distinct = pandas.factorize(column)
        return as_text(np.asarray(code, np.int64), list(distinct))
    array = column if isinstance(column, np.ndarray) else None
    if array is not None and array.ndim != 1:
        raise RatingsError("a column must have one dimension")
    if array is not None and array.dtype.kind in "iub":
        distinct, first, code = np.unique(array, return_index=True, return_inverse=True)
        order = np.argsort(first)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return as_text(place[code], distinct[order].tolist())
    values = array.tolist() if array is not None else list(column)
    seen: dict[Any, int] = {}
    code = np.empty(len(values), np.int64)
    for i, value in enumerate(values):
        if type(value) is float and value != value:
            code[i] = -1
            continue
        key = value if type(value) is str else (type(value), value)
        place_of = seen.get(key)
        if place_of is None:
            place_of = seen[key] = len(seen)
        code[i] = place_of
    return as_text(code, [key if type(key) is str else key[1] for key in seen])


def factorize_arrow(column: Any) -> tuple[npt.NDArray[np.int64], list[str], npt.NDArray[np.bool_]]:
    array = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    if hasattr(array, "chunks"):  # a chunked array that stayed chunked (an empty one)
        array = array.chunk(0) if array.num_chunks else array
    if not hasattr(array, "indices"):
        array = array.dictionary_encode()
    if hasattr(array, "chunks"):
        array = array.combine_chunks()
    if len(array) == 0:
        return np.zeros(0, np.int64), [], np.zeros(0, np.bool_)
    code = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return as_text(code, array.dictionary.to_pylist())


def as_text(
    code: npt.NDArray[np.int64], distinct: list[Any]
) -> tuple[npt.NDArray[np.int64], list[str], npt.NDArray[np.bool_]]:
    """Spell the distinct values; different spellings of one label (2 and 2.0) become one, missing ones none."""
    names: dict[str, int] = {}
    place = np.empty(len(distinct) + 1, np.int64)
    place[-1] = -1
    for i, value in enumerate(distinct):
        place[i] = -1 if is_missing(value) else names.setdefault(as_label(value), len(names))
    code = place[code]
    missing = code < 0
    return np.where(missing, 0, code), list(names), missing
