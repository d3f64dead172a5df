"""SQLite as Django knows it, with a queue in front of its one write lock (decision 48).

SQLite has none: who finds another one writing looks again after a sleep of up to a tenth of a second. So the lock lies
idle while everybody sleeps, and whoever happens to be awake passes those who waited longer. Here a writer first takes
the file lock `…-queue` beside the database. The kernel wakes the waiting when it is free, threads and processes alike,
and frees it when its holder dies. The database's own lock stays the guard: the queue only says who asks for it.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db.backends.sqlite3 import base

try:
    import fcntl
except ImportError:  # Windows: writers wait as SQLite has them wait
    fcntl = None  # type: ignore[assignment]

WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


class Cursor(base.SQLiteCursorWrapper):
    """A cursor whose writes outside a transaction stand in the queue, too: they would find the lock taken each time
    they look, as one writer in the queue follows the other."""

    database: DatabaseWrapper

    def execute(self, query: str, params: Any = None) -> Any:
        with self._turn(query):
            return super().execute(query, params)

    def executemany(self, query: str, param_list: Any) -> Any:
        with self._turn(query):
            return super().executemany(query, param_list)

    @contextmanager
    def _turn(self, query: str) -> Iterator[None]:
        if self.connection.in_transaction or not query.lstrip()[:7].upper().startswith(WRITES):
            yield
            return
        self.database.stand_in_line()
        try:
            yield
        finally:
            self.database.step_aside()


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that stands in the queue from BEGIN to the end of its transaction."""

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        super().__init__(settings_dict, alias)
        self._queue: int | None = None
        self._leave_queue: Callable[[], Any] | None = None
        self._has_turn = False

    def create_cursor(self, name: Any = None) -> Cursor:
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        cursor.database = self
        return cursor

    def stand_in_line(self) -> None:
        """Wait for this connection's turn to write.

        There is no limit to it: who holds the queue either gets the database's lock within SQLite's timeout or fails
        and steps aside.
        """
        if fcntl is None or self.is_in_memory_db():
            return
        # Without a queue everything still works, a little slower: no reason to refuse an answer.
        with suppress(OSError):
            if self._queue is None:
                # Only read: a file that another account made, an administrator say, must do as well.
                self._queue = os.open(f"{self.settings_dict['NAME']}-queue", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)  # fmt: skip
                # Also when a thread ends without closing its connection, and Python takes it away.
                self._leave_queue = weakref.finalize(self, os.close, self._queue)
            fcntl.flock(self._queue, fcntl.LOCK_EX)
            self._has_turn = True

    def step_aside(self) -> None:
        """Let the next one have its turn."""
        if self._has_turn and self._queue is not None:
            self._has_turn = False
            fcntl.flock(self._queue, fcntl.LOCK_UN)

    def _start_transaction_under_autocommit(self) -> None:
        self.stand_in_line()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self.step_aside()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self.step_aside()  # a commit that failed is followed by a rollback

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self.step_aside()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            if self._leave_queue is not None:
                self._leave_queue()
                self._queue, self._leave_queue, self._has_turn = None, None, False
