"""Which transactions have ended: for readers that go by ids, which may commit in another order than they were given."""

from __future__ import annotations

from django.db import connection


def mark() -> int:
    """A point in time, as the database counts transactions: every one that has begun to write is below it."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        return int(cursor.fetchone()[0])


def has_passed(marked: int) -> bool:
    """Whether every transaction from before the mark has ended. On SQLite one writes at a time, so always."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        return int(cursor.fetchone()[0]) >= marked
