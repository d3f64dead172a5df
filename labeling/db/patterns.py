"""Grouping ratings inside the database: three portable GROUP BYs stand for any number of labels.

The same text runs on SQLite, PostgreSQL and DuckDB. A source has three integer columns: item, rater (numbered from 0)
and value (the code of a category, from 0), each (item, rater) at most once; a NULL value is no label. An item's counts
are packed into code words, `base ** position` per category, so that equal items have equal codes. What the codes mean
is decoded where the statistics live; this module only counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

WORD_BITS = 62  # a signed 64-bit integer stays positive


@dataclass(frozen=True, slots=True)
class PatternQueries:
    """The SQL for one source of ratings.

    Attributes
    ----------
    source : str
        A table's name or a SELECT in parentheses, never text from a user.
    n_categories : int
    largest : int
        The largest number of ratings of one category on one item (see `largest_count`).
    item, rater, value : str
        The names of its columns.
    """

    source: str
    n_categories: int
    largest: int
    item: str = "item"
    rater: str = "rater"
    value: str = "value"

    def __post_init__(self) -> None:
        if self.n_categories < 1 or self.largest < 1:
            raise ValueError("there is at least one category and one rating")

    @property
    def base(self) -> int:
        return self.largest + 1

    @property
    def per_word(self) -> int:
        """Categories that fit one code word."""
        n = 1
        while n < self.n_categories and self.base ** (n + 1) < 1 << WORD_BITS:
            n += 1
        return n

    @property
    def n_words(self) -> int:
        return -(-self.n_categories // self.per_word)

    @property
    def _labels(self) -> str:
        return (
            f"SELECT {self.item} AS item, {self.rater} AS rater, {self.value} AS value FROM {self.source} AS given "
            f"WHERE {self.value} IS NOT NULL"
        )

    @property
    def _items(self) -> str:
        """One row per item: item, code_0, code_1, …"""
        words = []
        for w in range(self.n_words):
            first, last = w * self.per_word, min((w + 1) * self.per_word, self.n_categories)
            cases = " ".join(f"WHEN {k} THEN {self.base ** (k - first)}" for k in range(first, last))
            words.append(f"CAST(SUM(CAST(CASE value {cases} ELSE 0 END AS BIGINT)) AS BIGINT) AS code_{w}")
        return f"SELECT item, {', '.join(words)} FROM labels GROUP BY item"

    def _codes(self, prefix: str = "") -> str:
        return ", ".join(f"{prefix}code_{w}" for w in range(self.n_words))

    def patterns(self) -> str:
        """Rows (code_0, …, items): the distinct codes and how many items have each."""
        return (
            f"WITH labels AS ({self._labels}), items AS ({self._items}) "
            f"SELECT {self._codes()}, COUNT(*) FROM items GROUP BY {self._codes()}"
        )

    def transitions(self) -> str:
        """Rows (rater, value, labels, code_0, …): who gave which label on items of which code."""
        return (
            f"WITH labels AS ({self._labels}), items AS ({self._items}) "
            f"SELECT l.rater, l.value, COUNT(*), {self._codes('i.')} FROM labels l JOIN items i ON i.item = l.item "
            f"GROUP BY l.rater, l.value, {self._codes('i.')}"
        )

    def pairs(self) -> str:
        """Rows (rater a, rater b, value a, value b, items), rater a < rater b."""
        return (
            f"WITH labels AS ({self._labels}) SELECT a.rater, b.rater, a.value, b.value, COUNT(*) "
            "FROM labels a JOIN labels b ON b.item = a.item AND a.rater < b.rater "
            "GROUP BY a.rater, b.rater, a.value, b.value"
        )

    def by_item(self) -> str:
        """Rows (item, rater, value) in the order of the items."""
        return f"WITH labels AS ({self._labels}) SELECT item, rater, value FROM labels ORDER BY item, rater"

    def wrong(self) -> str:
        """One row: labels whose value is no category, and (item, rater) that occur more than once."""
        return (
            f"WITH labels AS ({self._labels}) SELECT "
            f"(SELECT COUNT(*) FROM labels WHERE value < 0 OR value >= {self.n_categories}), "
            "(SELECT COUNT(*) FROM (SELECT item, rater FROM labels GROUP BY item, rater HAVING COUNT(*) > 1) AS twice)"
        )


def largest_count(cursor: Any, source: str, *, item: str = "item", value: str = "value") -> int:
    """The largest number of ratings of one category on one item; 0 where there are none."""
    cursor.execute(
        f"SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM {source} AS given WHERE {value} IS NOT NULL "
        f"GROUP BY {item}, {value}) AS counted"
    )
    return int(cursor.fetchone()[0] or 0)


def first_ratings(
    source: str, *, item: str = "item", rater: str = "rater", value: str = "value", order: str = "id"
) -> str:
    """A source of the first rating of each (item, rater), by the column `order`: the later ones are intra-rater data."""
    return (
        f"(SELECT {item} AS item, {rater} AS rater, {value} AS value FROM (SELECT {item}, {rater}, {value}, "
        f"ROW_NUMBER() OVER (PARTITION BY {item}, {rater} ORDER BY {order}) AS nth FROM {source} AS every "
        f"WHERE {value} IS NOT NULL) AS ranked WHERE nth = 1)"
    )


@dataclass(frozen=True, slots=True)
class PatternRows:
    """What the database counted; `base` and `per_word` say how to read the codes."""

    patterns: list[tuple[Any, ...]]
    transitions: list[tuple[Any, ...]]
    pairs: list[tuple[Any, ...]]
    base: int
    per_word: int


def count_patterns(cursor: Any, queries: PatternQueries, *, raters: bool = True, pairs: bool = True) -> PatternRows:
    """Run the queries on a DB-API cursor.

    Raises
    ------
    ValueError
        A value that is no category, or an (item, rater) that occurs twice: both would be counted wrongly in silence.
    """
    cursor.execute(queries.wrong())
    outside, twice = cursor.fetchone()
    if outside:
        raise ValueError(f"{outside} labels are none of the {queries.n_categories} categories")
    if twice:
        raise ValueError(f"{twice} pairs of item and rater occur more than once: take the first ratings only")
    cursor.execute(queries.patterns())
    found = [tuple(row) for row in cursor.fetchall()]
    moves: list[tuple[Any, ...]] = []
    if raters:
        cursor.execute(queries.transitions())
        moves = [tuple(row) for row in cursor.fetchall()]
    both: list[tuple[Any, ...]] = []
    if raters and pairs:
        cursor.execute(queries.pairs())
        both = [tuple(row) for row in cursor.fetchall()]
    return PatternRows(found, moves, both, queries.base, queries.per_word)


def labels_by_item(cursor: Any, queries: PatternQueries, *, rows: int = 50_000) -> Iterator[list[tuple[Any, ...]]]:
    """The labels (item, rater, value) in the order of the items, `rows` at a time."""
    cursor.execute(queries.by_item())
    while batch := cursor.fetchmany(rows):
        yield [tuple(row) for row in batch]
