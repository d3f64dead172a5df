"""Stories of the Celery transport: what a knock does, and that a dead or silent Redis costs a committed act nothing."""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling import dispatch, jobs
from labeling.models import Job
from tests.races.databases import ROOT
from tests.services.conftest import OwnRedis, free_port
from tests.worlds import World


@pytest.fixture
def carrier(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """`config.celery` under TASKS=celery, with a Redis on a port where nothing runs until a story says otherwise."""
    settings.REDIS_URL, settings.TASKS = f"redis://127.0.0.1:{free_port()}/0", "celery"
    module = importlib.import_module("config.celery")
    monkeypatch.setattr(module, "_connection", None)
    monkeypatch.setattr(module, "_quiet_until", 0.0)
    yield module


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield server.getsockname()[1]


def seconds(act: Callable[[], Any]) -> tuple[float, Any]:
    began = time.monotonic()
    result = act()
    return time.monotonic() - began, result


# --- a Redis that is not there --------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_dead_redis_turns_no_act_into_an_error(carrier: ModuleType, world: World) -> None:
    olga = world.seat("olga")
    batch = dispatch.create_batch(by=olga, name="B", guideline_version=world.version, quotas={"generalist": 1}, seed=1)
    client = Client()
    client.force_login(world.people["olga"])
    took, response = seconds(lambda: client.post(reverse("labeling:batch_open", args=["phones", batch.uuid])))
    assert response.status_code == 302
    assert took < 2
    assert Job.objects.get().status == "queued", "the job waits for the sweep"
    batch.refresh_from_db()
    assert batch.status == "opening", "the act is committed"


@pytest.mark.django_db(transaction=True)
def test_control_a_knock_that_raises_and_is_not_robust_would_be_an_error(
    carrier: ModuleType, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no Redis")

    monkeypatch.setattr(carrier, "send_knock", raises)
    monkeypatch.setitem(jobs.HANDLERS, "count", lambda run: None)
    with transaction.atomic():
        kept = jobs.enqueue(kind="count", by=None, dedup_key="robust")
    assert kept.status == "queued"
    with pytest.raises(ConnectionError), transaction.atomic():
        transaction.on_commit(partial(jobs.knock, kept))


def test_a_silent_redis_costs_one_request_a_second_and_the_next_ones_nothing(
    carrier: ModuleType, settings: Any, silent_port: int
) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{silent_port}/0"
    first, sent = seconds(lambda: carrier.send_knock(uuid.uuid4()))
    assert (sent, first < 3) == (False, True)
    second, sent = seconds(lambda: carrier.send_knock(uuid.uuid4()))
    assert (sent, second < 0.1) == (False, True)


def test_control_without_the_pause_every_request_would_wait(
    carrier: ModuleType, settings: Any, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{silent_port}/0"
    monkeypatch.setattr(carrier, "PAUSE_SECONDS", 0.0)
    took = [seconds(lambda: carrier.send_knock(uuid.uuid4()))[0] for _ in range(2)]
    assert min(took) > 0.8


def test_after_a_restart_of_redis_the_first_knock_goes_through(
    carrier: ModuleType, settings: Any, own_redis: OwnRedis
) -> None:
    settings.REDIS_URL = own_redis.url
    own_redis.start()
    assert carrier.send_knock(uuid.uuid4())
    own_redis.kill()
    own_redis.start()
    assert carrier.send_knock(uuid.uuid4()), "the connection from before is replaced at once"


def test_celery_without_redis_does_not_start() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "REDIS_URL"} | {"TASKS": "celery"}
    check = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert check.returncode != 0
    assert "TASKS=celery needs REDIS_URL" in check.stderr


# --- knocks ---------------------------------------------------------------------------------------


@pytest.fixture
def knocks(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, float | None]]:
    """What would have been sent: (dedup key, seconds to wait, seconds until it expires)."""
    settings.TASKS, settings.JOB_MESSENGER = "celery", f"{__name__}.messenger"
    sent: list[tuple[str, float, float | None]] = []

    def send(job: uuid.UUID, *, wait: float = 0.0, expires: float | None = None) -> bool:
        sent.append((Job.objects.get(uuid=job).dedup_key, round(wait), expires))
        return True

    monkeypatch.setitem(globals(), "messenger", send)
    monkeypatch.setitem(jobs.HANDLERS, "count", lambda run: {})
    return sent


def queue(key: str, **more: Any) -> Job:
    return jobs.enqueue(kind="count", by=None, dedup_key=key, **more)


@pytest.mark.django_db(transaction=True)
def test_a_knock_after_commit_and_none_after_a_rollback(knocks: list[Any]) -> None:
    with transaction.atomic():
        queue("a")
        assert knocks == []
    assert knocks == [("a", 0, None)]
    with transaction.atomic():
        queue("b")
        transaction.set_rollback(True)
    assert len(knocks) == 1


@pytest.mark.django_db(transaction=True)
def test_answering_runs_the_named_job_once_however_often_it_is_knocked_for(knocks: list[Any]) -> None:
    first, second = queue("a"), queue("b")
    done = jobs.answer_knock(second.uuid)
    assert done is not None
    assert (done.pk, done.status) == (second.pk, "done")
    assert jobs.answer_knock(second.uuid) is None, "the same message again"
    assert jobs.answer_knock(uuid.uuid4()) is None, "a message of another database"
    first.refresh_from_db()
    assert first.status == "queued"


@pytest.mark.django_db(transaction=True)
def test_what_is_to_be_tried_again_is_knocked_for_with_its_pause(
    knocks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(jobs.HANDLERS, "count", lambda run: 1 / 0)
    job = queue("a")
    knocks.clear()
    jobs.answer_knock(job.uuid)
    assert knocks == [("a", 2, None)]


@pytest.mark.django_db(transaction=True)
def test_a_twin_queued_behind_is_knocked_for_when_the_first_is_through(
    knocks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own knock came while the first was running, and found nothing to take."""
    twins: list[Job] = []

    def queue_a_twin(run: jobs.JobRun) -> None:
        if not twins:
            twins.append(queue("a"))
            assert jobs.answer_knock(twins[0].uuid) is None
            knocks.clear()

    monkeypatch.setitem(jobs.HANDLERS, "count", queue_a_twin)
    jobs.answer_knock(queue("a").uuid)
    assert knocks == [("a", 0, None)]
    done = jobs.answer_knock(twins[0].uuid)
    assert done is not None
    assert done.status == "done"


@pytest.mark.django_db(transaction=True)
def test_the_sweep_knocks_for_what_was_not_heard(knocks: list[Any]) -> None:
    old, young, later, lapsed, done = (queue(key) for key in ("old", "young", "later", "lapsed", "done"))
    now = timezone.now()
    ago = now - timedelta(minutes=2)
    Job.objects.exclude(pk=young.pk).update(created_at=ago)
    Job.objects.filter(pk=later.pk).update(not_before=now + timedelta(hours=1))
    Job.objects.filter(pk=lapsed.pk).update(status="running", lease_until=ago)
    Job.objects.filter(pk=done.pk).update(status="done", finished_at=now)
    knocks.clear()
    assert jobs.knock_again(now=now) == 2
    assert [(key, expires) for key, _, expires in knocks] == [("old", 120.0), ("lapsed", 120.0)]
    assert old.pk < lapsed.pk


@pytest.mark.django_db(transaction=True)
def test_thousands_that_wait_are_knocked_for_in_portions(knocks: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "KNOCK_AGAIN_MOST", 3)
    for number in range(5):
        queue(f"k{number}")
    assert jobs.knock_again(now=timezone.now() + timedelta(minutes=1)) == 3


# --- with real workers ----------------------------------------------------------------------------


@pytest.mark.races
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_jobs_outlive_redis_and_workers(
    run_program: Callable[..., subprocess.CompletedProcess[str]], own_redis: OwnRedis
) -> None:
    done = run_program(
        "tests.services.transport", str(own_redis.port), timeout=380, TASKS="celery", REDIS_URL=own_redis.url
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["problems"] == []
    assert max(told["took"].values()) < 8, told["took"]  # Celery's own retries would wait for ever
