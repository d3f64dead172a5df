"""A labels file, read and checked into a temporary database, where repeats and arrival can be told whatever its order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from .seen import scratch

_BLOCK = 1000


class Said(NamedTuple):
    """One checked row: who said what about which item. `at` is an ISO time in UTC or None."""

    row: int
    item: str
    rater: str
    cohort: str
    label: str
    gold: str
    session: str
    at: str | None


class Place(NamedTuple):
    """One label as it is written. sequence: 1, 2, … over the whole file. repeat: 1 for the first label of this item and
    rater, k for the k-th. rank: of the item in the batch of that repeat. opens: the first of its item there."""

    sequence: int
    repeat: int
    rank: int
    opens: int
    item_id: int
    ordinal: int
    rater: str
    cohort: str
    label: str
    gold: str
    at: str | None


@dataclass(frozen=True)
class Clash:
    """Two rows that cannot both hold."""

    row: int
    earlier: int
    value: str
    other: str
    subject: str


class LabelStore:
    """Use it once per job, and close it."""

    def __init__(self) -> None:
        self._db = scratch()
        self._db.execute(
            "CREATE TABLE said (row INTEGER PRIMARY KEY, item TEXT, rater TEXT, cohort TEXT, label TEXT, gold TEXT,"
            " session TEXT, number REAL, at TEXT)"
        )
        self._db.execute("CREATE TABLE items (item TEXT PRIMARY KEY, id INTEGER, first INTEGER) WITHOUT ROWID")
        self._waiting: list[tuple[Any, ...]] = []

    def add(self, said: Said) -> None:
        """Remember a checked row."""
        self._waiting.append((*said[:7], _number(said.session), said.at))
        if len(self._waiting) >= _BLOCK:
            self._flush()

    def _flush(self) -> None:
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO said VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._waiting)
        self._db.execute("COMMIT")
        self._waiting = []

    def rows(self) -> int:
        """How many rows are kept."""
        self._flush()
        return int(self._db.execute("SELECT COUNT(*) FROM said").fetchone()[0])

    def items(self, size: int) -> Iterator[list[tuple[str, int, int]]]:
        """(item, its first row, how many rows) in order of first appearance, in lists of at most `size`."""
        self._flush()
        cursor = self._db.execute("SELECT item, MIN(row), COUNT(*) FROM said GROUP BY item ORDER BY 2")
        while chunk := cursor.fetchmany(size):
            yield chunk

    def know_items(self, pairs: list[tuple[str, int, int]]) -> None:
        """(item, its id in the project, its first row)."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", pairs)
        self._db.execute("COMMIT")

    def forget_items(self, items: list[str]) -> None:
        """Drop every row of these items."""
        self._forget("item", items)

    def forget_rows(self, rows: list[int]) -> None:
        """Drop these rows."""
        self._forget("row", rows)

    def _forget(self, column: str, values: list[Any]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(f"DELETE FROM said WHERE {column} = ?", [(value,) for value in values])
        self._db.execute("COMMIT")

    def raters(self) -> dict[str, str]:
        """{rater: cohort}, in order of first appearance."""
        self._flush()
        return dict(self._db.execute("SELECT rater, cohort FROM said GROUP BY rater ORDER BY MIN(row)"))

    def cohort_clashes(self) -> Iterator[Clash]:
        """Rows whose rater stood in another cohort before."""
        self._flush()
        yield from self._clashes("rater", "cohort", "")

    def gold_clashes(self) -> Iterator[Clash]:
        """Rows whose item had another gold label before."""
        self._flush()
        yield from self._clashes("item", "gold", "WHERE gold <> ''")

    def _clashes(self, subject: str, value: str, where: str) -> Iterator[Clash]:
        cursor = self._db.execute(
            f"WITH firsts AS (SELECT {subject} AS subject, {value} AS value, MIN(row) AS row FROM said {where} GROUP BY {subject}) "
            f"SELECT s.row, f.row, s.{value}, f.value, s.{subject} FROM said s JOIN firsts f ON f.subject = s.{subject} "
            f"{where.replace('gold', 's.gold')} {'AND' if where else 'WHERE'} s.{value} <> f.value ORDER BY s.row"
        )
        for row in cursor:
            yield Clash(*row)

    def label_counts(self) -> Counter[str]:
        """{label: rows}."""
        self._flush()
        return Counter(dict(self._db.execute("SELECT label, COUNT(*) FROM said GROUP BY label")))

    def golds(self) -> dict[str, int]:
        """{gold label: items}."""
        self._flush()
        return dict(self._db.execute("SELECT gold, COUNT(DISTINCT item) FROM said WHERE gold <> '' GROUP BY gold"))

    def lay_out(self) -> int:
        """Number every label's place; returns the highest repeat. Of repeats the first session counts, then the earliest
        time, then the order of the file; ordinals follow the time, then the file."""
        self._flush()
        for table in ("places", "golds"):
            self._db.execute(f"DROP TABLE IF EXISTS {table}")
        self._db.execute("CREATE TABLE golds (item TEXT PRIMARY KEY, gold TEXT) WITHOUT ROWID")
        self._db.execute("INSERT INTO golds SELECT item, MAX(gold) FROM said WHERE gold <> '' GROUP BY item")
        self._db.execute(
            """
            CREATE TABLE places AS
            WITH numbered AS (
                SELECT s.*, i.id AS item_id, i.first AS first, ROW_NUMBER() OVER (
                    PARTITION BY s.item, s.rater
                    ORDER BY s.session = '', s.number IS NULL, s.number, s.session, s.at IS NULL, s.at, s.row
                ) AS repeat
                FROM said s JOIN items i ON i.item = s.item
            ), ranked AS (
                SELECT *,
                    DENSE_RANK() OVER (PARTITION BY repeat ORDER BY first) - 1 AS rank,
                    ROW_NUMBER() OVER (PARTITION BY repeat, item ORDER BY at IS NULL, at, row) AS arrival,
                    ROW_NUMBER() OVER (PARTITION BY repeat, item, cohort ORDER BY at IS NULL, at, row) AS ordinal
                FROM numbered
            )
            SELECT ROW_NUMBER() OVER (ORDER BY repeat, rank, arrival) AS sequence, repeat, rank, arrival = 1 AS opens,
                item_id, ordinal, rater, cohort, label, at, item
            FROM ranked
            """
        )
        self._db.execute("CREATE UNIQUE INDEX places_in_order ON places (sequence)")
        return int(self._db.execute("SELECT COALESCE(MAX(repeat), 0) FROM places").fetchone()[0])

    def repeats(self) -> dict[int, tuple[int, int]]:
        """{repeat: (items, labels)} after `lay_out`."""
        rows = self._db.execute(
            "SELECT repeat, COUNT(DISTINCT rank), COUNT(*) FROM places GROUP BY repeat ORDER BY repeat"
        )
        return {repeat: (items, labels) for repeat, items, labels in rows}

    def places(self, after: int, size: int) -> list[Place]:
        """The next places after a sequence number. The place that opens an item in the first batch carries its gold."""
        rows = self._db.execute(
            "SELECT sequence, repeat, rank, opens, item_id, ordinal, rater, cohort, label, "
            "CASE WHEN opens AND repeat = 1 THEN COALESCE((SELECT gold FROM golds WHERE golds.item = places.item), '') ELSE '' END, "
            "at FROM places WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (after, size),
        )
        return [Place(*row) for row in rows]

    def close(self) -> None:
        self._db.close()


def _number(session: str) -> float | None:
    try:
        return float(session)
    except ValueError:
        return None
