"""From a ratings file to the tables the statistics take."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from consistency.statistics.labels import RatingsError, number_of
from consistency.statistics.ratings import RatingsTable
from labeling.formats.ratings import Columns, RatingsFile, RatingsFileError, read_ratings

if TYPE_CHECKING:
    import pyarrow as pa

GOLD_ORIGIN = "user_declared"
"""A file says that there is gold, not where it comes from."""


class InputError(ValueError):
    """Input the commands cannot use: one line, exit code 2."""


@dataclass(frozen=True)
class Loaded:
    """A ratings file ready to measure.

    Attributes
    ----------
    file : RatingsFile
    table : RatingsTable
    gold : dict or None
        Gold label by item name; None without a gold column.
    cohort_of : dict or None
        Cohort by rater name; None without a cohort column.
    """

    file: RatingsFile
    table: RatingsTable
    gold: dict[str, str] | None
    cohort_of: dict[str, str] | None


def load(
    source: str,
    *,
    columns: Columns,
    format: str = "auto",
    categories: Sequence[str] | None = None,
    stdin: IO[bytes] | None = None,
) -> Loaded:
    """Read and check a ratings file.

    Raises
    ------
    InputError
        Naming the file, the row and the value: an unreadable file, a wrong column, a label that is not declared,
        a rater in two cohorts, an item with two gold labels.
    """
    try:
        file = read_ratings(source, format=format, columns=columns, stdin=stdin)
    except RatingsFileError as error:
        raise InputError(str(error)) from error
    try:
        table = RatingsTable.from_arrow(
            file.table,
            item="item",
            rater="rater",
            label="label",
            session="session" if file.has("session") else None,
            categories=categories,
        )
    except RatingsError as error:
        raise InputError(f"{file.source}, {error}") from error
    if not table.n_ratings:
        raise InputError(f"{file.source}: every label is missing")
    said: list[str] = []
    if categories is None:
        table, merged = _one_spelling(table)
        said += [*merged, *_nearly_alike(table.categories)]
    gold = _one_each(file, "item", "gold") if file.has("gold") else None
    if gold:
        gold = _spelt_as_labels(gold, table)
    file = replace(file, notes=(*file.notes, *said))
    cohort_of = _one_each(file, "rater", "cohort") if file.has("cohort") else None
    return Loaded(file=file, table=table, gold=gold or None, cohort_of=cohort_of or None)


def _one_spelling(table: RatingsTable) -> tuple[RatingsTable, list[str]]:
    """The table with different spellings of one number (2 and 2.0) as one label, and what to say about it."""
    if table.numeric is None or len(np.unique(table.numeric)) == table.n_categories:
        return table, []
    first: dict[float, str] = {}
    groups: dict[str, str] = {}
    for label, number in zip(table.categories, table.numeric.tolist(), strict=True):
        groups[label] = first.setdefault(number, label)
    other = next(label for label, kept in groups.items() if label != kept)
    merged = table.merge_categories(groups)
    return merged, [f"Different spellings of one number, such as {groups[other]} and {other}, count as the same label."]


def _nearly_alike(categories: Sequence[str]) -> list[str]:
    """A warning where labels differ in nothing but spaces, capitals or the way accents are encoded."""
    seen: dict[str, str] = {}
    for label in categories:
        plain = " ".join(unicodedata.normalize("NFC", label).casefold().split())
        twin = seen.setdefault(plain, label)
        if twin != label:
            return [
                f"The labels {twin!r} and {label!r} differ only in spaces, capitals or encoding, and count as different."
            ]
    return []


def _spelt_as_labels(gold: dict[str, str], table: RatingsTable) -> dict[str, str]:
    """Gold with numbers spelt as the labels are: a column with gaps often says 1.0 for the label 1."""
    if table.numeric is None:
        return gold
    known = set(table.categories)
    spelt = dict(zip(table.numeric.tolist(), table.categories, strict=True))

    def as_there(label: str) -> str:
        number = None if label in known else number_of(label)
        return label if number is None else spelt.get(number, label)

    return {item: as_there(label) for item, label in gold.items()}


def _one_each(file: RatingsFile, owner: str, attribute: str) -> dict[str, str]:
    """{item: gold} or {rater: cohort}, refused where one has two of them."""
    owners, owner_names = _codes(file.table.column(owner))
    values, value_names = _codes(file.table.column(attribute))
    known = values >= 0
    width = max(len(value_names), 1)
    pair, first = np.unique(owners[known] * width + values[known], return_index=True)
    rows = np.flatnonzero(known)[first]
    who, what = pair // width, pair % width
    twice = np.flatnonzero(who[1:] == who[:-1])
    if len(twice):
        at = int(twice[0])
        (early, one), (late, other) = sorted(
            [(int(rows[at]), value_names[what[at]]), (int(rows[at + 1]), value_names[what[at + 1]])]
        )
        rule = "a rater belongs to one cohort" if attribute == "cohort" else "an item has one gold label"
        raise InputError(
            f"{file.source}: {owner} {owner_names[who[at]]!r} has the {attribute} {one!r} in row {early + 1} "
            f"and {other!r} in row {late + 1}; {rule}"
        )
    return {owner_names[o]: value_names[v] for o, v in zip(who.tolist(), what.tolist(), strict=True)}


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray[Any, np.dtype[np.int64]], list[str]]:
    array = column.combine_chunks()
    if hasattr(array, "chunks"):
        array = array.chunk(0)
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, array.dictionary.to_pylist()
