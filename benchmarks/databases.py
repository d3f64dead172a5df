"""An empty database of a benchmark's own, and the environment in which the project's programs use it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_database(database: str, **more: str) -> Iterator[dict[str, str]]:
    """An environment whose DATABASE_URL and DATA_DIR are new, `database` being sqlite or postgresql; both are gone afterwards.

    SQLite is a file in a temporary folder; PostgreSQL is made on the server that CONCORD_TEST_POSTGRES names.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ, "DATA_DIR": folder, "SECRET_KEY": "benchmark", "TASKS": "worker", "CONCORD_LOG_JSON": "0", "DEBUG": "0",
            "DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": f"sqlite:///{folder}/concord.sqlite3", **more,
        }  # fmt: skip
        if database == "sqlite":
            yield environment
            return
        server = os.environ.get("CONCORD_TEST_POSTGRES", "")
        if not server:
            raise SystemExit("Set CONCORD_TEST_POSTGRES to measure PostgreSQL.")
        name = f"concord_benchmark_{os.getpid()}"
        _run(server, f"CREATE DATABASE {name}")
        try:
            yield {**environment, "DATABASE_URL": f"{server.rsplit('/', 1)[0]}/{name}"}
        finally:
            _run(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _run(server: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)
