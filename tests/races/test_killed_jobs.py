"""A job whose worker is killed -9 finishes once in effect: real processes, both databases, both transports."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.races.killed_jobs import SCENES, WITHOUT_SCENE

pytestmark = [pytest.mark.races, pytest.mark.slow, pytest.mark.timeout(600)]

Run = Callable[..., subprocess.CompletedProcess[str]]
# Celery's place is beside PostgreSQL; on SQLite the worker delivers.
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def tell(run_program: Run, transport: dict[str, str] | None = None, **plan: Any) -> dict[str, Any]:
    done = run_program("tests.races.killed_jobs", json.dumps(plan), timeout=540, **(transport or {}))
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


@pytest.fixture
def celery(redis_url: str) -> dict[str, str]:
    """Environment of the Celery transport on an emptied Redis database."""
    import redis

    redis.Redis.from_url(redis_url).flushdb()
    return {"TASKS": "celery", "REDIS_URL": redis_url}


def finished_once(told: dict[str, Any]) -> None:
    assert told["problems"] == []
    for kill in told["kills"]:
        assert kill["reached"], kill
        assert kill["status"] == "running", f"the worker was to be killed in the middle: {kill}"
    assert {kill["job"] for kill in told["kills"]} == set(SCENES)
    assert told["attempts"] == 4, "three were killed, the fourth finished"


def test_killed_at_several_points_each_job_finishes_once_in_effect(run_program: Run) -> None:
    finished_once(tell(run_program, items=360))


@on_postgresql
def test_killed_under_celery_and_redis_each_job_finishes_once_in_effect(
    run_program: Run, celery: dict[str, str]
) -> None:
    """Messages come again, late, or never: the sweep knocks, the row decides."""
    finished_once(tell(run_program, celery, items=360))


def test_without_resuming_a_killed_job_does_not_finish(run_program: Run) -> None:
    told = tell(run_program, items=600, kills=[200], sabotage="no_resuming", scenes=["batch"])
    assert any(problem.startswith("opening ended") for problem in told["problems"]), told


@on_postgresql
def test_without_resuming_a_killed_job_does_not_finish_under_celery_either(
    run_program: Run, celery: dict[str, str]
) -> None:
    told = tell(run_program, celery, items=600, kills=[200], sabotage="no_resuming", scenes=["batch"])
    assert any(problem.startswith("opening ended") for problem in told["problems"]), told


@pytest.mark.parametrize(
    ("transport", "database_url"),
    [("worker", "sqlite"), ("worker", "postgresql"), ("celery", "postgresql")],
    indirect=["database_url"],
)
def test_a_job_that_kills_its_workers_is_given_up_with_a_reason(
    run_program: Run, request: pytest.FixtureRequest, transport: str
) -> None:
    environment = request.getfixturevalue("celery") if transport == "celery" else None
    told = tell(run_program, environment, sabotage="poison", scenes=["poison"])
    assert told["problems"] == []


def test_a_new_kind_of_job_gets_a_scene_or_is_named_as_without_one() -> None:
    from labeling.jobs import HANDLERS

    ours = {kind for kind in HANDLERS if not kind.startswith("test_")}
    assert ours - set(SCENES) == WITHOUT_SCENE, "add a scene to tests/races/killed_jobs.py"
