"""Fixtures for every test: the services that must be there, the cast, and small worlds to tell stories in."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.races.databases import database_url, migrated_file, migrated_template, run_program  # noqa: F401  (fixtures)

REQUIRED = {name.strip() for name in os.environ.get("CONCORD_TEST_REQUIRE", "").split(",") if name.strip()}
KNOWN_SERVICES = {"postgres", "redis", "browser", "realdata"}


def pytest_configure(config: pytest.Config) -> None:
    if unknown := REQUIRED - KNOWN_SERVICES:
        raise pytest.UsageError(f"CONCORD_TEST_REQUIRE names unknown services: {', '.join(sorted(unknown))}")
    _configure(Path(os.environ.get("DATA_DIR") or tempfile.mkdtemp(prefix="concord-tests-")))


def _configure(folder: Path) -> None:
    """A data folder of the tests' own, within it one of each test worker's. pytest-django has read the settings before any
    conftest, so they are set here, before the first connection; the environment carries them to processes that tests start."""
    from django.conf import settings

    folder /= os.environ.get("PYTEST_XDIST_WORKER", "")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(DATA_DIR=str(folder), SECRET_KEY="only-for-tests", CONCORD_STATIC_PLAIN="1", CONCORD_LOG_JSON="0")
    settings.DATA_DIR = folder
    settings.MEDIA_ROOT = folder / "media"
    settings.STATIC_ROOT = folder / "static"
    settings.STATIC_ROOT.mkdir(exist_ok=True)  # WhiteNoise warns of a missing one at every request
    settings.SECRET_KEY = "only-for-tests"
    settings.TASKS = "inline"
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        settings.DATABASES["default"]["NAME"] = str(folder / "concord.sqlite3")
        settings.DATABASES["default"]["TEST"]["NAME"] = str(folder / "test.sqlite3")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two processes share the stories that mostly wait (`--dist loadgroup`): one has all of Chromium, so that no two
    browsers want a core; what empties the tests' one Redis database is never at work twice."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.xdist_group("browser"))
        elif item.path.name in ("test_killed_jobs.py", "test_stack.py"):
            item.add_marker(pytest.mark.xdist_group("redis"))


def pytest_unconfigure(config: pytest.Config) -> None:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return  # the first worker to finish would take the folder from under the others
    folder = os.environ.get("DATA_DIR", "")
    if Path(folder).name.startswith("concord-tests-"):
        shutil.rmtree(folder, ignore_errors=True)


def missing(service: str, why: str) -> None:
    """Skip with the reason, or fail where CONCORD_TEST_REQUIRE says the service must be there."""
    if service in REQUIRED:
        pytest.fail(f"{service} is required and not there: {why}")
    pytest.skip(f"{service}: {why}")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real multi-rater labels."""
    folder = os.environ.get("CONCORD_REAL_DATA", "")
    if not folder:
        missing("realdata", "CONCORD_REAL_DATA is not set")
    path = Path(folder).resolve()
    if not path.is_dir():
        missing("realdata", f"CONCORD_REAL_DATA={folder} is not a folder")
    return path


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the Chromium program."""
    program = os.environ.get("CONCORD_TEST_BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not program or not Path(program).exists():
        missing("browser", "Chromium is not installed (set CONCORD_TEST_BROWSER to its path)")
    assert program
    return program


@pytest.fixture(scope="session")
def browser_type_launch_args(chromium: str) -> dict[str, object]:
    """How Playwright starts Chromium: the one program of this machine, once for all tests."""
    return {
        "executable_path": chromium,
        "args": ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    }


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """URL of a PostgreSQL server where databases may be created."""
    url = os.environ.get("CONCORD_TEST_POSTGRES", "")
    if not url:
        missing("postgres", "CONCORD_TEST_POSTGRES is not set")
    return url


@pytest.fixture(scope="session")
def redis_url() -> str:
    """URL of a Redis database that tests may empty."""
    url = os.environ.get("CONCORD_TEST_REDIS", "")
    if not url:
        missing("redis", "CONCORD_TEST_REDIS is not set")
    return url


@pytest.fixture
def world(db: None) -> Iterator[object]:
    """A project with the whole cast, a published definition and a few items; see `tests.worlds.World`."""
    from tests.worlds import World

    yield World.build()
