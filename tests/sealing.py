"""Lifting the seals inside a test, to plant damage or to see that it is the seals that refuse it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from labeling.db import seals


def settle_constraints() -> None:
    """PostgreSQL makes no trigger on a table whose foreign keys still wait to be checked in this transaction."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")


@contextmanager
def seals_lifted() -> Iterator[None]:
    settle_constraints()
    seals.lift()
    try:
        yield
    finally:
        settle_constraints()
        seals.install()


def run_sql(sql: str, parameters: list[Any] | None = None) -> int:
    """Run one statement; the number of rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)
