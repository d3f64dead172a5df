"""The whole database into one file and back: SQLite's online backup, PostgreSQL's pg_dump and pg_restore."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..refusals import Refusal

TOOLS = "Install PostgreSQL's client programs (Debian: postgresql-client), not older than the server."


def kind(using: str = "default") -> str:
    """`sqlite` or `postgresql`: a backup is restored into the kind it came from."""
    return connections[using].vendor


def is_empty(using: str = "default") -> bool:
    """Whether the database holds no table yet."""
    connection = connections[using]
    if connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists():
        return True
    with connection.cursor() as cursor:
        return not connection.introspection.table_names(cursor)


def applied(using: str = "default") -> list[str]:
    """Names of the applied migrations, as app.name; empty for a database without any."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if "django_migrations" not in connection.introspection.table_names(cursor):
            return []
        cursor.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
        return [f"{app}.{name}" for app, name in cursor.fetchall()]


def dump(target: Path, using: str = "default") -> None:
    """Write the database, as it is at one moment, to a new file. People go on labeling meanwhile."""
    connection = connections[using]
    if connection.vendor == "sqlite":
        _dump_sqlite(Path(connection.settings_dict["NAME"]), target)
        return
    program, arguments, environment = _postgresql(connection, "pg_dump")
    _run([program, "--format=custom", "--no-owner", "--no-privileges", f"--file={target}", *arguments], environment)


def load(source: Path, using: str = "default") -> None:
    """Fill the empty database from a file that `dump` wrote; all of it or nothing."""
    connection = connections[using]
    connection.close()
    if connection.vendor == "sqlite":
        _load_sqlite(source, Path(connection.settings_dict["NAME"]))
        return
    program, arguments, environment = _postgresql(connection, "pg_restore")
    *arguments, name = arguments
    options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", f"--dbname={name}"]
    _run([program, *options, *arguments, str(source)], environment)


# --- SQLite ---------------------------------------------------------------------------------------


def _check_sqlite(database: sqlite3.Connection) -> None:
    found = [row[0] for row in database.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise Refusal("damaged", f"The database file is damaged: {'; '.join(found)}.")


def _dump_sqlite(source: Path, target: Path) -> None:
    if not source.is_file():
        raise Refusal("no_database", f"There is no database {source}. Nothing was written.")
    # Not the file copied: what was committed last may still lie in the -wal file beside it. All pages in one step:
    # one read transaction, which stops no writer; in several steps each write in between would begin it anew.
    with (
        contextlib.closing(sqlite3.connect(source, timeout=20)) as database,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        database.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without companions
        _check_sqlite(copy)


def _load_sqlite(source: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(source)) as database:
        _check_sqlite(database)
    target.parent.mkdir(parents=True, exist_ok=True)
    for companion in ("-wal", "-shm", "-journal"):
        Path(f"{target}{companion}").unlink(missing_ok=True)
    os.replace(source, target)


# --- PostgreSQL -----------------------------------------------------------------------------------


def _postgresql(connection: BaseDatabaseWrapper, program: str) -> tuple[str, list[str], dict[str, str]]:
    """Path of the program, arguments that name the database (its name last), and the environment with its password."""
    path = shutil.which(program)
    if path is None:
        raise Refusal("no_program", f"{program} is not installed. {TOOLS}")
    client: Any = connection.client
    arguments, more = client.settings_to_cmd_args_env(connection.settings_dict, [])
    return path, list(arguments[1:]), {**os.environ, **(more or {})}


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        hint = f" {TOOLS}" if "version mismatch" in done.stderr else ""
        raise Refusal(
            "program_failed", f"{Path(command[0]).name} failed: {' '.join(said[-3:]) or done.returncode}.{hint}"
        )
