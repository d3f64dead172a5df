"""SQLite as Django knows it, with a queue in front of its one write lock (decision 48).

SQLite has none: who finds another one writing looks again after a sleep of up to a tenth of a second. So the lock lies
idle while everybody sleeps, and whoever happens to be awake passes those who waited longer. Here a writer first takes
the file lock `…-queue` beside the database. The kernel wakes the waiting when it is free, threads and processes alike,
and frees it when its holder dies. The database's own lock stays the guard: the queue only says who asks for it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

try:
    import fcntl
except ImportError:  # Windows: writers wait as SQLite has them wait
    fcntl = None  # type: ignore[assignment]


def lock(file: int) -> bool:
    """Whether the file could be locked at once."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_within(file: int, seconds: float) -> bool:
    """Whether the file was locked in that time. Where not, or where waiting was broken off, it is closed.

    The kernel's lock has no time limit, and a thread may wait for one that waits for it. So a thread that is nobody's
    waits, and the caller for that thread.
    """
    locked, deciding = threading.Lock(), threading.Lock()
    locked.acquire()
    given_up = False

    def wait() -> None:
        fcntl.flock(file, fcntl.LOCK_EX)
        with deciding:
            if given_up:
                os.close(file)
            else:
                locked.release()

    threading.Thread(target=wait, name="write-queue", daemon=True).start()
    in_time = False
    try:
        in_time = locked.acquire(timeout=seconds)
    finally:
        if not in_time:
            with deciding:
                given_up = locked.locked()
                if not given_up:
                    os.close(file)  # the thread has just got the lock; this frees it
    return in_time


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
        self._closing: weakref.finalize[Any, Any] | None = None
        self._has_turn = False

    def create_cursor(self, name: Any = None) -> Cursor:
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        cursor.database = self
        return cursor

    def stand_in_line(self) -> None:
        """Wait for this connection's turn to write; as long as SQLite would wait for its lock.

        Raises OperationalError ("database is locked") after that.
        """
        if fcntl is None or self.is_in_memory_db():
            return
        if self._queue is None:
            try:
                # Only read: a file that another account made, an administrator say, must do as well.
                self._join_with(os.open(f"{self.settings_dict['NAME']}-queue", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))  # fmt: skip
            except OSError:
                return  # without a queue everything still works, a little slower: no reason to refuse an answer
        assert self._queue is not None
        if not lock(self._queue):
            file = self._queue
            self._leave(closing=False)
            if not lock_within(file, self.settings_dict["OPTIONS"].get("timeout", 5)):
                raise OperationalError("database is locked")
            self._join_with(file)
        self._has_turn = True

    def _join_with(self, file: int) -> None:
        # Closed also when a thread ends without closing its connection, and Python takes it away.
        self._queue, self._closing = file, weakref.finalize(self, os.close, file)

    def _leave(self, *, closing: bool) -> None:
        if self._closing is not None:
            if closing:
                self._closing()
            else:
                self._closing.detach()
        self._queue, self._closing, self._has_turn = None, None, False

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
            self._leave(closing=True)
