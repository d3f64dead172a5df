"""Bulk inserts that would be slow row by row."""

from __future__ import annotations

from django.db import connection

# A version-4 UUID in Django's own form for the database: 32 hex digits as text on SQLite, uuid on PostgreSQL.
SQLITE_UUID = (
    "lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || "
    "substr('89ab', 1 + (abs(random()) %% 4), 1) || substr(hex(randomblob(2)), 2) || hex(randomblob(6)))"
)
POSTGRESQL_UUID = "gen_random_uuid()"


def insert_places(*, batch_id: int, cohort: str, first_rank: int, last_rank: int, count: int, origin: str) -> int:
    """Open places 1..count for the batch items of a range of ranks, in one INSERT … SELECT; returns how many."""
    uuid = POSTGRESQL_UUID if connection.vendor == "postgresql" else SQLITE_UUID
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH RECURSIVE ordinals(ordinal) AS (SELECT 1 UNION ALL SELECT ordinal + 1 FROM ordinals WHERE ordinal < %s)
            INSERT INTO labeling_assignment (uuid, batch_item_id, batch_id, cohort, ordinal, rank, status, origin)
            SELECT {uuid}, i.id, i.batch_id, %s, o.ordinal, i.rank, 'open', %s
            FROM labeling_batchitem i CROSS JOIN ordinals o
            WHERE i.batch_id = %s AND i.rank BETWEEN %s AND %s
            ORDER BY i.rank, o.ordinal
            """,
            [count, cohort, origin, batch_id, first_rank, last_rank],
        )
        return int(cursor.rowcount)
