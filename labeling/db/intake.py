"""What imports ask of the database in bulk, in each vendor's own way."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Model

# Rows of one transaction while raters label.
CHUNK = 500


def _is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def insert_rows(model: type[Model], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert the rows, several times faster than `bulk_create`: values go to the database as they are.

    `columns` are database columns. JSON comes as text, uuids from `new_uuids`, times from `stamp`. Constraints and
    triggers hold as ever.
    """
    if not rows:
        return
    table = connection.ops.quote_name(model._meta.db_table)
    names = ", ".join(connection.ops.quote_name(column) for column in columns)
    with connection.cursor() as cursor:
        if _is_postgresql():
            # COPY goes past Django's cursor, so its errors are turned into Django's here.
            with connection.wrap_database_errors, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


def stamp(at: datetime) -> Any:
    """A time as `insert_rows` takes it."""
    return at if _is_postgresql() else connection.ops.adapt_datetimefield_value(at)


def new_uuids(count: int) -> list[str]:
    """Version-7 UUIDs as 32 hex digits: rows inserted together stand together in the index.

    With random ones each row of a bulk insert touches another page of it, which more than doubled the writing.
    """
    now = f"{time.time_ns() // 1_000_000:012x}"
    noise = os.urandom(8 * count).hex()
    return [
        f"{now}7{number % 4096:03x}{'89ab'[int(noise[at], 16) % 4]}{noise[at + 1 : at + 16]}"
        for number, at in zip(range(count), range(0, 16 * count, 16), strict=True)
    ]


def _among(column: str) -> str:
    """A condition that takes one parameter, made by `_listed`, however many values there are."""
    if _is_postgresql():
        return f"{column} = ANY(%s)"
    return f"{column} IN (SELECT value FROM json_each(%s))"


def _listed(values: Sequence[str]) -> Any:
    return list(values) if _is_postgresql() else json.dumps(list(values))


def known_items(project_id: int, external_ids: Sequence[str]) -> dict[str, tuple[int, str, int | None]]:
    """{external_id: (item id, payload_sha256, import_run id)} of the project's items among the ids, visible or not."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT external_id, id, payload_sha256, import_run_id FROM labeling_item "
            f"WHERE project_id = %s AND {_among('external_id')}",
            [project_id, _listed(external_ids)],
        )
        return {external_id: (pk, digest, run) for external_id, pk, digest, run in cursor.fetchall()}


def known_payloads(project_id: int, digests: Sequence[str], not_from: Iterable[int] = ()) -> dict[str, str]:
    """{payload_sha256: external_id of the first item that has it} among the digests, leaving out some import runs."""
    left_out = set(not_from)
    found: dict[str, str] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT payload_sha256, external_id, import_run_id FROM labeling_item "
            f"WHERE project_id = %s AND {_among('payload_sha256')} ORDER BY id",
            [project_id, _listed(digests)],
        )
        for digest, external_id, run in cursor.fetchall():
            if run not in left_out:
                found.setdefault(digest, external_id)
    return found


def ids_by_uuid(model: type[Model], uuids: Sequence[str]) -> dict[str, int]:
    """{uuid as 32 hex digits: id} of rows just inserted."""
    table = connection.ops.quote_name(model._meta.db_table)
    condition = "uuid = ANY(%s::uuid[])" if _is_postgresql() else _among("uuid")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT uuid, id FROM {table} WHERE {condition}", [_listed(uuids)])
        return {value.hex if isinstance(value, uuid.UUID) else value: pk for value, pk in cursor.fetchall()}


def newest_item(project_id: int) -> int:
    """The highest item id of the project, 0 without items."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT MAX(id) FROM labeling_item WHERE project_id = %s", [project_id])
        return int(cursor.fetchone()[0] or 0)


def let_others_write(spent: float) -> None:
    """Pause after a transaction that took `spent` seconds, so that raters' answers get through.

    SQLite has one writer at a time and hands the lock to whoever asks at the right moment; without a pause a bulk
    writer asks again first. PostgreSQL needs none.
    """
    if not _is_postgresql():
        time.sleep(min(0.1, max(0.005, spent)))
