"""Databases of their own for races: several processes work on them, so no test transaction can hold them."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dj_database_url
import pytest

ROOT = Path(__file__).resolve().parents[2]
_numbers = itertools.count(1)


def psql(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def _migrate(url: str, folder: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": url, "DATA_DIR": str(folder), "SECRET_KEY": "only-for-tests"}
    command = [sys.executable, "manage.py", "migrate", "-v0", "--skip-checks"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with every table and nothing in it: copied, it saves a race four seconds of migrating."""
    folder = tmp_path_factory.mktemp("migrated")
    _migrate(f"sqlite:///{folder / 'empty.sqlite3'}", folder)
    assert not (folder / "empty.sqlite3-wal").exists(), "the last connection writes the log back into the file"
    return folder / "empty.sqlite3"


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of a PostgreSQL database with every table and nothing in it, to be copied."""
    name = f"{dj_database_url.parse(postgres_url)['NAME']}_race_{os.getpid()}_template"
    psql(postgres_url, f'CREATE DATABASE "{name}"')
    _migrate(f"{postgres_url.rsplit('/', 1)[0]}/{name}", tmp_path_factory.mktemp("template"))
    yield name
    psql(postgres_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database with tables and no rows, once on SQLite (a file) and once on PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "race.sqlite3")
        yield f"sqlite:///{tmp_path / 'race.sqlite3'}"
        return
    server, template = request.getfixturevalue("postgres_url"), request.getfixturevalue("migrated_template")
    name = f"{dj_database_url.parse(server)['NAME']}_race_{os.getpid()}_{next(_numbers)}"
    psql(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield f"{server.rsplit('/', 1)[0]}/{name}"
    psql(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def run_program(database_url: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a module of ours as a program on the race's database; returns what it printed."""

    def run(module: str, *arguments: str, timeout: float = 420, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "DATABASE_URL": database_url,
            "DATA_DIR": str(tmp_path),
            "SECRET_KEY": "only-for-tests",
            "TASKS": "worker",
            "CONCORD_LOG_JSON": "0",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            **environment,
        }
        program = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = program.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            # The processes it forked go with it: they would hold the database of the next test.
            os.killpg(program.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(program.args, program.returncode, out, err)

    return run
