"""The whole topology: from processes (`manage.py stack`), and as docker-compose.yml and the image describe it."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dj_database_url
import pytest
import yaml

from config import probe
from config.environment import KNOWN
from labeling.workers import Sign
from tests.races.databases import ROOT, psql

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The stack runs on PostgreSQL alone."""
    server = request.getfixturevalue("postgres_url")
    name = f"{dj_database_url.parse(server)['NAME']}_stack_{os.getpid()}"
    psql(server, f'CREATE DATABASE "{name}"')
    yield f"{server.rsplit('/', 1)[0]}/{name}"
    psql(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.mark.races
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_people_work_on_the_whole_stack(run_program: Run, redis_url: str) -> None:
    """Two web processes, two workers, beat: olga opens a batch, a worker lays it out, gene labels it, Ctrl-C ends all."""
    import redis

    redis.Redis.from_url(redis_url).flushdb()
    done = run_program("tests.services.stack_story", timeout=380, TASKS="celery", REDIS_URL=redis_url)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["problems"] == [], told["seen"]
    assert told["seen"]["exit status after Ctrl-C"] == 0
    assert told["seen"]["seconds until the job was done"] < 30, "knocked for, not found by a sweep"
    assert max(told["seen"]["MiB of each web process"]) < 140


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"TASKS": "worker"}, "Set TASKS=celery"),
        ({"TASKS": "celery", "REDIS_URL": "redis://127.0.0.1:1/0", "DATABASE_URL": ""}, "Set DATABASE_URL=postgres"),
        ({"TASKS": "celery"}, "needs REDIS_URL"),
    ],
)
def test_a_stack_without_its_services_says_what_is_missing(
    environment: dict[str, str], words: str, tmp_path: Path
) -> None:
    clean = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL", "TASKS")}
    done = subprocess.run(
        [sys.executable, "manage.py", "stack"], cwd=ROOT, env={**clean, "DATA_DIR": str(tmp_path), **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["run", "stack"])
def test_make_starts_what_it_says(target: str) -> None:
    said = subprocess.run(
        ["make", "-n", target, "PORT=8123", "CHECK=1"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    command = next(line for line in said.splitlines() if "manage.py" in line)
    assert f"manage.py {'serve' if target == 'run' else target} --check" in command
    assert 'PORT="8123"' in command
    assert ("TASKS=celery" in command) is (target == "stack")


# --- docker-compose.yml ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return read


def test_the_services_are_those_of_the_stack(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"postgres", "redis", "migrate", "web", "worker", "beat"}
    assert "name" not in compose, "older docker-compose knows no name at the top"
    ours = {name: service for name, service in compose["services"].items() if "build" in service}
    assert set(ours) == {"migrate", "web", "worker", "beat"}
    for name, service in compose["services"].items():
        assert ("healthcheck" in service) is (name != "migrate"), name
    for name in ("web", "worker", "beat"):
        needs = ours[name]["depends_on"]
        assert needs["migrate"]["condition"] == "service_completed_successfully", "migrations once, before all others"
        assert needs["redis"]["condition"] == "service_healthy"
    assert ours["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert ours["migrate"]["restart"] == "no"
    assert [name for name, service in ours.items() if "migrate" in service["command"]] == ["migrate"]


def test_only_this_machine_reaches_it_and_secrets_are_asked_for(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for service in compose["services"].values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "a proxy with TLS stands before it"
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD"):
        assert all(found == f"${{{name}:?set {name}}}" for found in re.findall(rf"\$\{{{name}[^}}]*\}}", text))
    assert compose["x-app"]["read_only"] is True
    assert compose["x-app"]["cap_drop"] == ["ALL"]


def test_every_setting_in_it_is_known(compose: dict[str, Any]) -> None:
    names = [name for name in compose["x-app"]["environment"] if name.startswith("CONCORD_")]
    assert names
    assert set(names) <= set(KNOWN)


def test_what_it_starts_can_be_started(compose: dict[str, Any]) -> None:
    """Each command is one that this version has, with options that its program takes."""
    environment = {**os.environ, "TASKS": "celery", "REDIS_URL": "redis://127.0.0.1:1/0"}
    for name, service in compose["services"].items():
        if "build" not in service:
            continue
        command = list(service["command"])
        command += ["--check-config"] if command[0] == "gunicorn" else ["--help"]
        if command[0] == "python":
            command[0] = sys.executable
        else:
            command = [sys.executable, "-m", *command]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (name, done.stderr[-500:])


def test_health_checks_of_worker_and_beat_look_for_their_sign(settings: Any, tmp_path: Path, monkeypatch: Any) -> None:
    settings.DATA_DIR = tmp_path
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert probe.main("worker") == 1
    sign = Sign()
    sign.touch()
    assert probe.main("worker") == 0
    assert probe.main("beat") == 1
    silent = time.time() - 90
    os.utime(sign.file, (silent, silent))
    assert probe.main("worker") == 1
    other = sign.file.with_name(f"another-host-{os.getpid()}.worker")
    other.touch()
    assert probe.main("worker") == 1, "the sign of another machine says nothing about this one"


# --- the image ------------------------------------------------------------------------------------


def test_what_the_image_holds_is_enough(tmp_path: Path) -> None:
    """The files that the image gets: they check, and static files collect, as its build does."""
    patterns = (ROOT / ".dockerignore").read_text().split()
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    app = tmp_path / "app"
    for name in files.split("\0"):
        if name and (ROOT / name).is_file() and not any(fnmatch.fnmatch(name.split("/")[0], p) for p in patterns):
            (app / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, app / name)
    assert not (app / "tests").exists()
    assert not (app / ".git").exists()
    environment = {
        "PATH": os.environ["PATH"], "SECRET_KEY": "build-only", "DATA_DIR": str(tmp_path / "build"),
        "CONCORD_STATIC_DIR": str(tmp_path / "collected"),
    }  # fmt: skip
    for command in (["collectstatic", "--no-input"], ["check"]):
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=app,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "collected" / "staticfiles.json").exists()


def test_the_image_runs_as_nobody_in_particular() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["10001"]
    assert lines.index("USER 10001") > max(number for number, line in enumerate(lines) if line.startswith("RUN"))


# --- the page on running it -----------------------------------------------------------------------


def test_every_setting_is_on_the_page() -> None:
    page = (ROOT / "docs" / "running.md").read_text()
    told = set(re.findall(r"`(CONCORD_[A-Z_]+)`", page))
    assert set(KNOWN) - told == set(), "a setting that the page does not tell"
    assert told - set(KNOWN) == set(), "a setting that is not there"


def test_every_command_on_the_page_is_there() -> None:
    from django.core.management import get_commands

    page = (ROOT / "docs" / "running.md").read_text()
    named = set(re.findall(r"manage\.py ([a-z_]+)", page))
    assert {"backup", "restore", "work", "serve"} <= named
    assert named <= set(get_commands())
