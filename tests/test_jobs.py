"""Stories of background work: one job at a time per key, none lost, none done twice in effect, none hung for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from labeling import jobs
from labeling.models import Event, Job
from labeling.refusals import Refusal
from tests.worlds import make_user

pytestmark = pytest.mark.django_db

Handler = Any


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[jobs.JobRun]]:
    """A kind of job, `count`, whose runs are kept in a list; `what` can be replaced by a story."""
    runs: list[jobs.JobRun] = []
    monkeypatch.setitem(jobs.HANDLERS, "count", lambda run: runs.append(run) or {"runs": len(runs)})
    yield runs


def queue(key: str = "k", **more: Any) -> Job:
    return jobs.enqueue(kind="count", by=None, dedup_key=key, **more)


def does(monkeypatch: pytest.MonkeyPatch, handler: Handler) -> None:
    monkeypatch.setitem(jobs.HANDLERS, "count", handler)


def lapse(job: Job) -> None:
    """Time passes: the worker that has the job was not heard of for its lease."""
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def take() -> Job:
    job = jobs.take()
    assert job is not None
    return job


# --- the queue ------------------------------------------------------------------------------------


def test_a_job_runs_and_tells_what_came_of_it(handler: list[jobs.JobRun]) -> None:
    job = queue(parameters={"x": 1})
    done = jobs.run(take(), heartbeat=False)
    assert (done.pk, done.status, done.result, done.attempts) == (job.pk, "done", {"runs": 1}, 1)
    assert handler[0].parameters == {"x": 1}
    assert done.lease_until is None
    assert done.finished_at is not None
    assert jobs.take() is None


def test_jobs_come_in_order_and_not_before_their_time(handler: list[jobs.JobRun]) -> None:
    later = queue("later", not_before=timezone.now() + timedelta(hours=1))
    first, second = queue("a"), queue("b")
    assert [take().pk, take().pk] == [first.pk, second.pk]
    assert jobs.take() is None
    found = jobs.take(now=timezone.now() + timedelta(hours=2))
    assert found is not None
    assert found.pk in {later.pk, first.pk}


def test_asking_twice_queues_once(handler: list[jobs.JobRun]) -> None:
    assert queue() == queue()
    assert Job.objects.count() == 1


def test_asking_while_it_runs_queues_one_more_behind_it(handler: list[jobs.JobRun]) -> None:
    queue()
    running = take()
    twin = queue()
    assert twin.pk != running.pk
    assert queue() == twin
    assert jobs.take() is None, "the twin waits until the first is through"
    jobs.run(running, heartbeat=False)
    assert take().pk == twin.pk


def test_a_twin_behind_a_running_one_does_not_block_others(handler: list[jobs.JobRun]) -> None:
    queue("a")
    take()
    queue("a")
    other = queue("b")
    assert take().pk == other.pk


def test_the_database_itself_refuses_a_second_queued_or_running_twin(handler: list[jobs.JobRun]) -> None:
    now = timezone.now()
    for status, lease in (("queued", None), ("running", now)):
        row = {"kind": "count", "dedup_key": "k", "status": status, "lease_until": lease, "created_at": now}
        Job.objects.create(**row)
        with pytest.raises(IntegrityError), transaction.atomic():
            Job.objects.create(**row)


def test_an_unknown_kind_is_a_mistake_in_the_code() -> None:
    with pytest.raises(KeyError, match="nonsense"):
        jobs.enqueue(kind="nonsense", by=None, dedup_key="k")


# --- failing --------------------------------------------------------------------------------------


def test_a_refusal_ends_a_job_at_once_with_its_words(
    handler: list[jobs.JobRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: jobs.JobRun) -> None:
        raise Refusal("closed", "The batch was closed meanwhile.")

    does(monkeypatch, refuse)
    queue()
    done = jobs.run(take(), heartbeat=False)
    assert (done.status, done.error, done.attempts) == ("failed", "The batch was closed meanwhile.", 1)
    assert jobs.take() is None


def test_an_error_is_tried_again_later_and_then_given_up(
    handler: list[jobs.JobRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(run: jobs.JobRun) -> None:
        raise OSError("the disk is full\x00")

    does(monkeypatch, break_down)
    queue()
    now, pauses = timezone.now(), []
    for attempt in range(1, jobs.MAX_ATTEMPTS + 1):
        job = jobs.take(now=now)
        assert job is not None
        done = jobs.run(job, heartbeat=False)
        assert done.attempts == attempt
        assert done.error == "OSError: the disk is full"
        if attempt < jobs.MAX_ATTEMPTS:
            assert done.status == "queued"
            assert jobs.take() is None, "there is a pause first"
            pauses.append((done.not_before - timezone.now()).total_seconds())
        now = timezone.now() + timedelta(minutes=5)
    assert done.status == "failed"
    assert pauses == sorted(pauses), "the pauses grow"
    assert jobs.take(now=now) is None


def test_an_error_passes_and_the_job_ends_well(handler: list[jobs.JobRun], monkeypatch: pytest.MonkeyPatch) -> None:
    def once(run: jobs.JobRun) -> dict[str, int]:
        if run.attempt == 1:
            raise OSError("a hiccup")
        return {"attempt": run.attempt}

    does(monkeypatch, once)
    queue()
    jobs.run(take(), heartbeat=False)
    job = jobs.take(now=timezone.now() + timedelta(minutes=5))
    assert job is not None
    done = jobs.run(job, heartbeat=False)
    assert (done.status, done.error, done.result) == ("done", "", {"attempt": 2})


def test_a_job_that_kills_its_worker_is_given_up_with_a_reason(handler: list[jobs.JobRun]) -> None:
    job = queue()
    for attempt in range(1, jobs.MAX_ATTEMPTS + 1):
        assert take().attempts == attempt
        lapse(job)  # the process died without a word
    assert jobs.take() is None
    job.refresh_from_db()
    assert job.status == "failed"
    assert "stopped 5 times during this job" in job.error
    assert not handler


def test_a_poison_job_does_not_hold_up_the_others(handler: list[jobs.JobRun]) -> None:
    poison = queue("poison")
    Job.objects.filter(pk=poison.pk).update(attempts=jobs.MAX_ATTEMPTS)
    good = queue("good")
    assert take().pk == good.pk


def test_a_failing_twin_of_a_queued_job_ends_instead_of_clashing(
    handler: list[jobs.JobRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue()
    running = take()
    twin = queue()
    does(monkeypatch, lambda run: 1 / 0)
    done = jobs.run(running, heartbeat=False)
    assert done.status == "failed"
    assert "another run is queued" in done.error
    assert done.finished_at is not None
    assert take().pk == twin.pk


def test_a_worker_that_does_not_know_the_kind_leaves_it_for_one_that_does(
    handler: list[jobs.JobRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue()
    monkeypatch.delitem(jobs.HANDLERS, "count")
    done = jobs.run(take(), heartbeat=False)
    assert done.status == "queued"
    assert "knows no jobs of kind count" in done.error


def test_trying_again_by_hand(handler: list[jobs.JobRun], monkeypatch: pytest.MonkeyPatch) -> None:
    olga = make_user("olga")
    job = queue()
    with pytest.raises(Refusal) as not_failed:
        jobs.retry_job(by=olga, job=job)
    assert not_failed.value.code == "not_failed"
    Job.objects.filter(pk=job.pk).update(status="failed", error="x", attempts=5)
    job.refresh_from_db()
    again = jobs.retry_job(by=olga, job=job)
    assert (again.status, again.error) == ("queued", "")
    assert Event.objects.filter(verb="retried", actor=olga, subject_id=job.pk).count() == 1
    taken = take()
    assert taken.attempts == 6, "attempts only grow: they are the fence"
    for _ in range(4):
        lapse(job)
        take()
    lapse(job)
    assert jobs.take() is None


def test_trying_again_while_the_same_waits_is_refused(handler: list[jobs.JobRun]) -> None:
    old = queue()
    Job.objects.filter(pk=old.pk).update(status="failed", error="x")
    old.refresh_from_db()
    queue()
    with pytest.raises(Refusal) as twice:
        jobs.retry_job(by=make_user("olga"), job=old)
    assert twice.value.code == "already_queued"


# --- leases and the fence -------------------------------------------------------------------------


def test_a_lapsed_job_is_taken_over_and_the_first_worker_notices(handler: list[jobs.JobRun]) -> None:
    queue()
    first = take()
    slow = jobs.JobRun(first)
    slow.report(1, 10, "counting")
    lapse(first)
    second = take()
    assert (second.pk, second.attempts) == (first.pk, 2)
    with pytest.raises(jobs.LostJob):
        slow.report(2, 10)
    second.refresh_from_db()
    assert second.progress["done"] == 1, "the late report changed nothing"


def test_what_a_late_worker_brings_home_is_not_stored(
    handler: list[jobs.JobRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue()
    late = take()
    lapse(late)
    current = take()
    for what in (lambda run: {"from": "late"}, lambda run: 1 / 0, lambda run: _refuse()):
        does(monkeypatch, what)
        seen = jobs.run(late, heartbeat=False)
        assert (seen.status, seen.result, seen.error) == ("running", None, "")
        late.attempts = 1
    does(monkeypatch, lambda run: {"from": "current"})
    assert jobs.run(current, heartbeat=False).result == {"from": "current"}
    does(monkeypatch, lambda run: {"from": "late"})
    late.attempts = 1
    assert jobs.run(late, heartbeat=False).result == {"from": "current"}


def _refuse() -> None:
    raise Refusal("no", "No.")


def test_a_worker_from_before_a_retry_by_hand_is_fenced_too(handler: list[jobs.JobRun]) -> None:
    queue()
    asleep = jobs.JobRun(take())
    lapse(asleep.job)
    Job.objects.filter(pk=take().pk).update(status="failed", error="x", lease_until=None)
    job = jobs.retry_job(by=make_user("olga"), job=Job.objects.get())
    taken = take()
    assert taken.pk == job.pk
    with pytest.raises(jobs.LostJob):
        asleep.report(5)


def two_workers_after(job: Job, *, unguarded: bool) -> list[bool]:
    """Both read the lapsed job before either takes it."""
    seen = [Job.objects.get(pk=job.pk), Job.objects.get(pk=job.pk)]
    return [jobs._take(row, timezone.now(), unguarded=unguarded) for row in seen]


def test_of_two_workers_after_a_lapsed_job_one_gets_it(handler: list[jobs.JobRun]) -> None:
    queue()
    job = take()
    lapse(job)
    assert two_workers_after(job, unguarded=False) == [True, False]


def test_without_the_compare_both_would_get_it(handler: list[jobs.JobRun]) -> None:
    queue()
    job = take()
    lapse(job)
    assert two_workers_after(job, unguarded=True) == [True, True]


def test_reports_renew_the_lease(handler: list[jobs.JobRun]) -> None:
    queue()
    job = take()
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() + timedelta(seconds=1))
    jobs.JobRun(job).report(3, 9, "counting")
    job.refresh_from_db()
    assert job.lease_until is not None
    assert job.lease_until > timezone.now() + jobs.LEASE / 2
    assert job.progress == {"done": 3, "total": 9, "what": "counting"}


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_keeps_a_job_whose_handler_says_nothing(
    handler: list[jobs.JobRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "HEARTBEAT_SECONDS", 0.05)
    queue()
    seen: list[bool] = []

    def slow(run: jobs.JobRun) -> None:
        lapse(run.job)
        time.sleep(0.5)
        seen.append(jobs.take() is None)

    does(monkeypatch, slow)
    # Under TASKS=inline the job ran at commit already, without a heartbeat: run it once more by hand.
    Job.objects.update(status="queued", finished_at=None)
    jobs.run(take(), heartbeat=True)
    assert seen == [True]
    Job.objects.update(status="queued", finished_at=None)
    jobs.run(take(), heartbeat=False)
    assert seen == [True, False], "the control: without a heartbeat it would have been taken"


# --- the worker -----------------------------------------------------------------------------------


def work_until(stop: threading.Event, **more: Any) -> int:
    """The worker's loop, with nothing else to sleep for."""
    return jobs.work(stop=stop, poll_seconds=0.001, **more)


def test_a_worker_asked_to_stop_puts_the_job_back_and_uses_up_no_attempt(
    handler: list[jobs.JobRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    reached: list[int] = []

    def steps(run: jobs.JobRun) -> None:
        for step in range(1, 4):
            reached.append(step)
            if step == 2 and run.attempt == 1:
                stop.set()
            run.report(step, 3)

    does(monkeypatch, steps)
    monkeypatch.setattr(jobs, "close_old_connections", lambda: None)
    monkeypatch.setattr(jobs, "_Heartbeat", lambda run: None)
    job = queue()
    work_until(stop)
    job.refresh_from_db()
    assert reached == [1, 2]
    assert (job.status, job.attempts, job.attempts_allowed) == ("queued", 1, 6)
    stop.clear()
    assert jobs.run(take(), heartbeat=False).status == "done"


def test_a_worker_outlives_a_database_that_goes_away(
    handler: list[jobs.JobRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    queue()
    job = take()
    events = iter([OperationalError("server closed the connection"), job, None])
    seen: list[str] = []

    def flaky() -> Job | None:
        event = next(events)
        if isinstance(event, Exception):
            seen.append("take failed")
            raise event
        if event is None:
            seen.append("still at work")
            stop.set()
        return event

    def gone(job: Job, **kwargs: Any) -> Job:
        seen.append("run failed")
        raise OperationalError("gone in the middle")

    monkeypatch.setattr(jobs, "take", flaky)
    monkeypatch.setattr(jobs, "run", gone)
    monkeypatch.setattr(jobs, "close_old_connections", lambda: None)
    assert work_until(stop) == 0
    assert seen == ["take failed", "run failed", "still at work"]


def test_the_sweep_comes_with_the_first_look_and_then_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, sweeps, looks = threading.Event(), [], []

    def look() -> None:
        looks.append(1)
        if len(looks) == 5:
            stop.set()

    monkeypatch.setattr(jobs, "take", look)
    monkeypatch.setattr(jobs, "close_old_connections", lambda: None)
    work_until(stop, sweep=lambda: sweeps.append(1))
    assert (len(looks), len(sweeps)) == (5, 1)


@pytest.mark.django_db(transaction=True)
def test_the_command_works_until_empty(handler: list[jobs.JobRun], settings: Any) -> None:
    settings.TASKS = "worker"
    queue("a")
    queue("b")
    assert not handler, "nothing runs in the request"
    call_command("work", until_empty=True)
    assert len(handler) == 2


@pytest.mark.django_db(transaction=True)
def test_inline_jobs_run_after_commit_only(handler: list[jobs.JobRun]) -> None:
    with transaction.atomic():
        queue()
        assert not handler
    assert len(handler) == 1
    with transaction.atomic():
        queue("never")
        transaction.set_rollback(True)
    assert len(handler) == 1
    assert not Job.objects.filter(dedup_key="never").exists()


# --- no request is lost ---------------------------------------------------------------------------


def share_a_waiting_job() -> list[str]:
    """Olga raises the overlap twice: a worker comes while her second request, which shares the job, is not committed."""
    first = queue()
    order: list[str] = []

    def worker() -> None:
        try:
            assert jobs.take() is not None
            order.append("taken")
        finally:
            connection.close()

    thread = threading.Thread(target=worker)
    with transaction.atomic():
        assert queue() == first
        thread.start()
        time.sleep(0.4)
        order.append("committing")
    thread.join(20)
    return order


@pytest.mark.django_db(transaction=True)
def test_a_waiting_job_is_not_taken_before_the_second_asker_commits(handler: list[jobs.JobRun], settings: Any) -> None:
    settings.TASKS = "worker"
    assert share_a_waiting_job() == ["committing", "taken"], "the job sees what the second request changed"


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_the_second_request_would_be_lost(
    handler: list[jobs.JobRun], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one writer in at a time, with or without this lock")
    settings.TASKS = "worker"
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **how: rows)
    assert share_a_waiting_job() == ["taken", "committing"]
