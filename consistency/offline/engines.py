"""Where the ratings are counted: in memory, in a temporary SQLite file, or in DuckDB. The figures are the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from consistency.statistics.grouping import from_rows
from consistency.statistics.patterns import Grouped
from consistency.statistics.ratings import RatingsTable
from labeling.db.patterns import PatternQueries, count_patterns, labels_by_item, largest_count

from .reading import InputError

ENGINES = ("memory", "sql", "duckdb")
MOST_COUNTED = 200
_ROWS = 100_000


@contextmanager
def counted(table: RatingsTable, engine: str) -> Iterator[RatingsTable | Grouped]:
    """What `agree`, `per_category` and `pairs` take, counted by the chosen engine; valid inside the block.

    Raises
    ------
    InputError
        For an unknown engine, or duckdb where it is not installed.
    """
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}; use one of {', '.join(ENGINES)}")
    if engine == "memory" or in_memory_after_all(table, engine):
        yield table
    elif engine == "sql":
        with (
            TemporaryDirectory(prefix="concord-sql-") as folder,
            closing(sqlite3.connect(Path(folder) / "ratings.sqlite3")) as connection,
        ):
            _fill_sqlite(connection, table)
            yield _grouped(connection.cursor, table)
    else:
        try:
            import duckdb
        except ImportError as error:
            raise InputError("--engine duckdb needs the package duckdb: pip install duckdb") from error
        with closing(duckdb.connect()) as connection:
            _fill_duckdb(connection, table)
            yield _grouped(connection.cursor, table)


def in_memory_after_all(table: RatingsTable, engine: str) -> tuple[str, ...]:
    """Why a database does not count these ratings, or nothing: its query has a branch for every label."""
    if engine == "memory" or table.n_categories <= MOST_COUNTED:
        return ()
    return (
        f"{table.n_categories:,} different labels are too many for a query (at most {MOST_COUNTED}): "
        "counted in memory, the figures are the same.",
    )


def _fill_sqlite(connection: sqlite3.Connection, table: RatingsTable) -> None:
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA journal_mode=OFF")  # a file nobody else sees and nobody will reopen
    connection.execute("CREATE TABLE ratings (item INTEGER, rater INTEGER, value INTEGER)")
    for start in range(0, table.n_ratings, _ROWS):
        part = slice(start, start + _ROWS)
        rows = zip(table.item[part].tolist(), table.rater[part].tolist(), table.value[part].tolist(), strict=True)
        connection.executemany("INSERT INTO ratings VALUES (?, ?, ?)", rows)
    connection.execute("CREATE INDEX ratings_by_item ON ratings (item, rater, value)")
    connection.commit()


def _fill_duckdb(connection: Any, table: RatingsTable) -> None:
    import pyarrow as pa

    arrays = {"item": table.item, "rater": table.rater, "value": table.value}
    connection.register("given_ratings", pa.table({name: np.asarray(array) for name, array in arrays.items()}))
    connection.execute("CREATE TABLE ratings AS SELECT item, rater, value FROM given_ratings")
    connection.unregister("given_ratings")


def _grouped(cursor: Any, table: RatingsTable) -> Grouped:
    largest = largest_count(cursor(), "ratings")
    queries = PatternQueries("ratings", n_categories=table.n_categories, largest=max(largest, 1))
    rows = count_patterns(cursor(), queries)

    def by_item() -> Iterator[tuple[Any, Any, Any]]:
        for batch in labels_by_item(cursor(), queries):
            columns = np.array(batch, np.int64).reshape(-1, 3)
            yield columns[:, 0], columns[:, 1], columns[:, 2]

    return from_rows(
        rows.patterns,
        rows.transitions,
        rows.pairs,
        base=rows.base,
        per_word=rows.per_word,
        categories=table.categories,
        raters=table.raters,
        excluded=dict(table.excluded),
        by_item=by_item,
    )
