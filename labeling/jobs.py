"""Work outside the request: Job rows are the truth, a transport only knocks.

A worker takes a job by compare-and-set and holds it by a lease that a heartbeat renews. Killed at any point, the job
is taken again when its lease lapses; handlers are idempotent, so it finishes once in effect. `attempts` is the fence:
it only grows, and a worker that lost its job sees another number there and stops.

Three transports knock: `inline` (the job runs on commit), `worker` (`manage.py work` polls the table) and `celery`
(a message names the job). A knock that is lost costs time, never a job: the sweep knocks again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, IntegrityError, close_old_connections, connection, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.module_loading import import_string

from . import transitions
from .access import refuse_archived
from .db.full import SENTENCE, disk_is_full
from .events import event, record
from .models import Job, Project, User
from .refusals import Refusal
from .sweeps import EVERY_SECONDS
from .vocabulary import JobStatus

logger = logging.getLogger("concord.jobs")

LEASE = timedelta(seconds=60)
HEARTBEAT_SECONDS = 10.0
ERROR_LIMIT = 2000
MAX_ATTEMPTS = 5  # the default of Job.attempts_allowed
# A queued job younger than this was knocked for just now.
KNOCK_AGAIN_AFTER = timedelta(seconds=20)
KNOCK_AGAIN_MOST = 200

Handler = Callable[["JobRun"], dict[str, Any] | None]
HANDLERS: dict[str, Handler] = {}


class LostJob(Exception):
    """This worker's lease ran out and another has taken the job."""


class StoppedError(Exception):
    """This worker was asked to stop; the job goes back to the queue and on from where it stands."""


class Flag(Protocol):
    """What tells a running job to stop: a `threading.Event`, or a flag that processes share."""

    def is_set(self) -> bool: ...


def handles(kind: str) -> Callable[[Handler], Handler]:
    """Register the handler of a kind of job."""

    def register(handler: Handler) -> Handler:
        HANDLERS[kind] = handler
        return handler

    return register


class JobRun:
    """One attempt at a job, as its handler sees it."""

    def __init__(self, job: Job, stop: Flag | None = None) -> None:
        self.job = job
        self.stop = stop
        self.parameters: dict[str, Any] = job.parameters
        self.attempt = job.attempts

    def report(self, done: int, total: int | None = None, what: str = "") -> None:
        """Store progress and renew the lease.

        Raises LostJob when another worker has the job, StoppedError when this worker is to stop: a handler calls it
        between two transactions, where it may end and be taken up again.
        """
        now = timezone.now()
        kept = Job.objects.filter(pk=self.job.pk, status=JobStatus.RUNNING, attempts=self.attempt).update(
            progress={"done": done, "total": total, "what": what}, heartbeat_at=now, lease_until=now + LEASE
        )
        if not kept:
            raise LostJob(f"job {self.job.pk} was taken over")
        if self.stop is not None and self.stop.is_set():
            raise StoppedError


def enqueue(
    *,
    kind: str,
    by: User | None,
    dedup_key: str,
    parameters: dict[str, Any] | None = None,
    project: Project | None = None,
    not_before: datetime | None = None,
) -> Job:
    """A queued job for this key: a new one, or the one that already waits. Runs after commit under TASKS=inline.

    While its twin runs, a second one is queued behind it, so no request is lost.
    """
    if kind not in HANDLERS:
        raise KeyError(f"no handler for jobs of kind {kind!r}")
    for _ in range(5):
        try:
            with transaction.atomic():
                # Locked until the caller commits: a worker that took it before would not see what the caller changes,
                # and the request would be lost.
                waiting = (
                    Job.objects.select_for_update(no_key=True)
                    .filter(dedup_key=dedup_key, status=JobStatus.QUEUED)
                    .first()
                )
                if waiting is not None:
                    return waiting
                job = Job.objects.create(
                    kind=kind,
                    project=project,
                    parameters=parameters or {},
                    dedup_key=dedup_key,
                    by=by,
                    not_before=not_before,
                    created_at=timezone.now(),
                )
        except IntegrityError:
            continue  # its twin was queued between our look and our insert
        _knock_after_commit(job)
        return job
    raise Refusal("busy", "This is being queued by someone else just now. Try again in a moment.")


def knock(job: Job, *, expires: float | None = None) -> None:
    """Tell the transport that a job waits. `worker` polls and need not be told.

    Called after the commit that queued the job: whatever happens to the knock, the act stands and the job waits.
    """
    if settings.TASKS == "inline":
        taken = take(job_id=job.pk)
        if taken is not None:
            run(taken)
    elif settings.TASKS == "celery":
        wait = (job.not_before - timezone.now()).total_seconds() if job.not_before else 0.0
        import_string(settings.JOB_MESSENGER)(job.uuid, wait=max(0.0, wait), expires=expires)


def _knock_after_commit(job: Job) -> None:
    # A function, not a partial: Django names it in its log when it fails, and a partial has no name to tell.
    transaction.on_commit(lambda: knock(job), robust=True)


def answer_knock(uuid: UUID | str, *, stop: Flag | None = None) -> Job | None:
    """Take and run the named job if it still waits; what became of it, or None when there was nothing to do.

    Knocks may come twice, late or out of order: the row decides. What this run leaves waiting is knocked for again: the
    job itself when it is to be tried once more, and a twin that was queued behind it.
    """
    named = Job.objects.filter(uuid=uuid).values_list("pk", flat=True).first()
    job = take(job_id=named) if named is not None else None
    if job is None:
        return None
    job = run(job, stop=stop)
    knock_for(Job.objects.filter(dedup_key=job.dedup_key, status=JobStatus.QUEUED))
    return job


def knock_for(waiting: Iterable[Job], *, expires: float | None = None) -> int:
    """Knock for each of these; how many."""
    count = 0
    for job in waiting:
        knock(job, expires=expires)
        count += 1
    return count


def knock_again(*, now: datetime | None = None) -> int:
    """Knock for what waits although it was knocked for, and for running jobs whose lease ran out; returns how many.

    The oldest first and not all at once: whoever sweeps has its hands free, so these are worked off before the next
    sweep. The messages expire, lest a queue that nobody works on grows with every sweep.
    """
    now = now or timezone.now()
    due = Q(status=JobStatus.QUEUED) & (
        Q(not_before__isnull=True, created_at__lte=now - KNOCK_AGAIN_AFTER) | Q(not_before__lte=now)
    )
    rows = Job.objects.filter(due | _lapsed(now)).order_by("id")[:KNOCK_AGAIN_MOST]
    return knock_for(rows, expires=120.0)


def _lapsed(now: datetime) -> Q:
    """Running jobs whose worker is gone: the lease ran out, or was written before the clock was set back."""
    return Q(status=JobStatus.RUNNING) & (Q(lease_until__lt=now) | Q(lease_until__gt=now + 2 * LEASE))


def take(*, job_id: int | None = None, now: datetime | None = None) -> Job | None:
    """Take the next job that is due, or the named one; None when there is none. Running ones whose lease lapsed count."""
    now = now or timezone.now()
    due = Q(status=JobStatus.QUEUED) & (Q(not_before__isnull=True) | Q(not_before__lte=now))
    candidates = Job.objects.filter(_lapsed(now) | due)
    if job_id is not None:
        candidates = candidates.filter(pk=job_id)
    for job in candidates.order_by("id")[:20]:
        if job.attempts >= job.attempts_allowed:
            _give_up(job, now)
            continue
        try:
            taken = _take(job, now)
        except IntegrityError:
            continue  # its twin is running: this one stays queued behind it
        if taken:
            job.refresh_from_db()
            return job
    return None


def _take(job: Job, now: datetime, *, unguarded: bool = False) -> bool:
    """Compare-and-set a job that was read as due to running; whether this call did it.

    The compare includes the lease and the attempt: of two workers after the same lapsed job one gets it. `unguarded`
    exists for the tests' negative control only: it drops the compare.
    """
    with transaction.atomic():
        rows = Job.objects.filter(pk=job.pk)
        if not unguarded:
            rows = rows.filter(status=job.status, attempts=job.attempts, lease_until=job.lease_until)
        return bool(
            rows.update(status=JobStatus.RUNNING, attempts=F("attempts") + 1, lease_until=now + LEASE, heartbeat_at=now)
        )


def _give_up(job: Job, now: datetime) -> None:
    message = f"The worker stopped {job.attempts} times during this job, so it is not tried any more."
    if job.error:
        message += f" Before that: {job.error}"
    Job.objects.filter(pk=job.pk, status=job.status, attempts=job.attempts).update(
        status=JobStatus.FAILED, error=message, finished_at=now, lease_until=None
    )
    logger.error("job gave up", extra={"job": job.pk, "kind": job.kind})


class _Heartbeat(threading.Thread):
    """Renew the lease of a running job from a thread of its own, until told to stop."""

    def __init__(self, run: JobRun) -> None:
        super().__init__(daemon=True, name=f"heartbeat-{run.job.pk}")
        self.run_ = run
        self.stop = threading.Event()

    def run(self) -> None:
        try:
            while not self.stop.wait(HEARTBEAT_SECONDS):
                now = timezone.now()
                try:
                    Job.objects.filter(
                        pk=self.run_.job.pk, status=JobStatus.RUNNING, attempts=self.run_.attempt
                    ).update(heartbeat_at=now, lease_until=now + LEASE)
                except DatabaseError:
                    logger.warning("heartbeat missed", extra={"job": self.run_.job.pk})
        finally:
            connection.close()


def run(job: Job, *, heartbeat: bool | None = None, stop: Flag | None = None) -> Job:
    """Run a taken job to its end and store the result, or the error; returns the row as it is then.

    A Refusal ends the job as failed at once: trying again would refuse again. Any other error is tried again, with a
    growing pause, as often as the job allows. With `stop` set the job ends at its next report and is queued again.
    """
    attempt = JobRun(job, stop)
    # Inline jobs run inside the caller's thread, and SQLite's test database may be locked by it.
    beats = _Heartbeat(attempt) if (settings.TASKS != "inline" if heartbeat is None else heartbeat) else None
    if beats:
        beats.start()
    try:
        _attempt(attempt)
    finally:
        if beats:
            beats.stop.set()
            beats.join()
    job.refresh_from_db()
    return job


def _attempt(attempt: JobRun) -> None:
    """Call the handler and store what came of it, unless another worker has the job by then."""
    job = attempt.job
    mine = Job.objects.filter(pk=job.pk, status=JobStatus.RUNNING, attempts=attempt.attempt)
    try:
        if job.kind not in HANDLERS:  # queued by a newer version than this worker runs
            raise RuntimeError(f"this worker knows no jobs of kind {job.kind}")
        result = HANDLERS[job.kind](attempt)
    except LostJob:
        logger.warning("job lost to another worker", extra={"job": job.pk, "kind": job.kind})
    except StoppedError:
        _requeue(mine, job.error, timezone.now(), attempts_allowed=F("attempts_allowed") + 1)
    except Refusal as refusal:
        mine.update(status=JobStatus.FAILED, error=refusal.message, lease_until=None, finished_at=timezone.now())
    except Exception as error:
        full = disk_is_full(error)
        # Trying again makes no room: somebody has to, and then says so.
        if full:
            logger.error("disk full", extra={"job": job.pk, "kind": job.kind})
        else:
            logger.exception("job failed", extra={"job": job.pk, "kind": job.kind})
        words = SENTENCE if full else f"{type(error).__name__}: {error}".replace("\x00", "")[:ERROR_LIMIT]
        if full or attempt.attempt >= job.attempts_allowed:
            mine.update(status=JobStatus.FAILED, error=words, lease_until=None, finished_at=timezone.now())
        else:
            pause = timedelta(seconds=min(60, 2**attempt.attempt))
            _requeue(mine, words, timezone.now() + pause)
    else:
        mine.update(status=JobStatus.DONE, result=result or {}, error="", lease_until=None, finished_at=timezone.now())


def _requeue(mine: Any, words: str, when: datetime, **values: Any) -> None:
    try:
        with transaction.atomic():
            mine.update(status=JobStatus.QUEUED, error=words, lease_until=None, not_before=when, **values)
    except IntegrityError:
        # A twin is queued already and will do the same work.
        words = f"{words or 'The worker was stopped'} (another run is queued)"
        mine.update(status=JobStatus.FAILED, error=words, lease_until=None, finished_at=timezone.now())


def retry_job(*, by: User, job: Job) -> Job:
    """Queue a failed job again, with as many attempts as a new one has."""
    if not transitions.may_move("job", job.status, JobStatus.QUEUED):
        raise Refusal("not_failed", "Only a failed job can be tried again.", status=job.status)
    if job.project is not None:
        refuse_archived(job.project)
    try:
        with transaction.atomic():
            moved = transitions.move(
                job,
                JobStatus.QUEUED,
                attempts_allowed=F("attempts") + MAX_ATTEMPTS,
                error="",
                lease_until=None,
                finished_at=None,
                not_before=None,
            )
            if moved:
                record(event("retried", job, by=by, at=timezone.now(), project_id=job.project_id))
                _knock_after_commit(job)
    except IntegrityError:
        raise Refusal("already_queued", "The same job waits already.") from None
    job.refresh_from_db()
    return job


def work(*, stop: threading.Event, poll_seconds: float = 0.5, sweep: Callable[[], Any] | None = None) -> int:
    """Take and run jobs until told to stop; returns how many were run. `sweep` is called about once a minute."""
    count = 0
    next_sweep = 0.0
    while not stop.is_set():
        close_old_connections()
        try:
            if sweep is not None and time.monotonic() >= next_sweep:
                next_sweep = time.monotonic() + EVERY_SECONDS
                sweep()
            job = take()
            if job is None:
                stop.wait(poll_seconds)
                continue
            run(job, stop=stop)
            count += 1
        except DatabaseError:
            # A job that was running keeps its lease, which lapses; it is taken again then.
            logger.exception("database unreachable")
            stop.wait(min(10, poll_seconds * 10))
    return count
