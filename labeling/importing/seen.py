"""What a file has shown so far, in a temporary database: memory stays flat however long the file is."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any


def scratch() -> sqlite3.Connection:
    """A private temporary database that spills to disk and vanishes when it is closed."""
    connection = sqlite3.connect("", isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-16000", "temp_store=FILE"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def key_of(text: str) -> bytes:
    """16 bytes that stand for an id or a payload's hash."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


class Seen:
    """The ids and payloads of the rows read so far, by 16-byte digests: in memory first, where looking is a tenth of the
    work, and in the temporary database once there are more than `most`."""

    def __init__(self, most: int = 150_000) -> None:
        self._most = most
        self._ids: dict[bytes, tuple[bytes, int]] = {}
        self._payloads: dict[bytes, int] = {}
        self._db: sqlite3.Connection | None = None

    def ids(self, keys: Sequence[bytes]) -> dict[bytes, tuple[bytes, int]]:
        """{id digest: (payload digest, row)} of those seen."""
        if self._db is None:
            return {key: self._ids[key] for key in keys if key in self._ids}
        return {key: (payload, row) for key, payload, row in self._look("ids", "key, payload, row", keys)}

    def payloads(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """{payload digest: row} of those seen."""
        if self._db is None:
            return {key: self._payloads[key] for key in keys if key in self._payloads}
        return dict(self._look("payloads", "key, row", keys))

    def _look(self, table: str, columns: str, keys: Sequence[bytes]) -> Iterable[Any]:
        assert self._db is not None
        marks = ",".join("?" * len(keys))
        return self._db.execute(f"SELECT {columns} FROM {table} WHERE key IN ({marks})", keys)

    def add(self, ids: Sequence[tuple[bytes, bytes, int]], payloads: Sequence[tuple[bytes, int]]) -> None:
        """Remember (id, payload, row) and (payload, row), none of which were seen before."""
        if self._db is not None:
            self._store(ids, payloads)
            return
        self._ids.update((key, (payload, row)) for key, payload, row in ids)
        self._payloads.update(payloads)
        if len(self._ids) > self._most:
            self._spill()

    def _spill(self) -> None:
        self._db = scratch()
        self._db.execute("CREATE TABLE ids (key BLOB PRIMARY KEY, payload BLOB, row INTEGER) WITHOUT ROWID")
        self._db.execute("CREATE TABLE payloads (key BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID")
        self._store(((key, *seen) for key, seen in self._ids.items()), self._payloads.items())
        self._ids, self._payloads = {}, {}

    def _store(self, ids: Iterable[tuple[bytes, bytes, int]], payloads: Iterable[tuple[bytes, int]]) -> None:
        assert self._db is not None
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO ids VALUES (?, ?, ?)", ids)
        self._db.executemany("INSERT INTO payloads VALUES (?, ?)", payloads)
        self._db.execute("COMMIT")

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
