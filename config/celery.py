"""The Celery transport. Job rows are the truth; a message says that a job waits, and nothing else.

    celery -A config.celery worker        runs jobs
    celery -A config.celery beat          has the minute's sweep done, which also knocks again for what was not heard

A message may be lost, come twice or come late: taking a job is a compare-and-set on its row, with a lease and a fence
(`labeling/jobs.py`). So acks are late, nothing is stored as a result, and a job whose worker was killed is taken again
when its lease has lapsed, however long Redis keeps its message.

A worker is one process that runs one job at a time; more workers run more jobs (decision 46).
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from typing import Any
from uuid import UUID

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from celery import Celery, signals
from celery.beat import Scheduler
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from kombu import Connection
from kombu.pools import producers

from labeling.sweeps import EVERY_SECONDS

logger = logging.getLogger("concord.celery")

if not settings.REDIS_URL:
    raise ImproperlyConfigured("Celery needs REDIS_URL=redis://HOST:6379/0.")

# A knock waits no longer than this for a Redis that does not answer, and none is tried for a while after.
PATIENCE_SECONDS = 1.0
PAUSE_SECONDS = 15.0
# Kept apart from the cache, which may share the Redis database.
TRANSPORT = {"global_keyprefix": "concord:", "visibility_timeout": 3600, "socket_keepalive": True}

app = Celery("concord", set_as_current=True)
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_transport_options={**TRANSPORT, "socket_connect_timeout": 5},
    broker_connection_retry_on_startup=True,
    # For ever: a worker outlives a restart of Redis, however long that takes.
    broker_connection_max_retries=None,
    task_default_queue="jobs",
    task_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    task_ignore_result=True,
    # A lost connection does not stop a job: its row, not the message, says whose it is.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_prefetch_multiplier=1,
    # No children: whoever kills a job kills its worker, and whatever keeps workers running starts another. A parent that
    # outlives a killed child can be left waiting for it.
    worker_pool="solo",
    worker_concurrency=1,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    beat_max_loop_interval=15,
    beat_scheduler="config.celery.MemoryScheduler",
    beat_schedule={
        "sweep": {"task": "concord.sweep", "schedule": EVERY_SECONDS, "options": {"expires": EVERY_SECONDS - 5}}
    },
    timezone="UTC",
)


class MemoryScheduler(Scheduler):
    """Keeps no file: the one schedule is an interval, and a sweep more or less after a restart does no harm."""


class StopFlag:
    """Set from a signal handler in the middle of anything, so without a lock."""

    def __init__(self) -> None:
        self._wanted = False

    def set(self) -> None:
        self._wanted = True

    def is_set(self) -> bool:
        return self._wanted


STOPPING = StopFlag()


# --- tasks ----------------------------------------------------------------------------------------


@app.task(name="concord.run_job")
def run_job(uuid: str) -> None:
    """Run the named job if it still waits."""
    from labeling import jobs

    jobs.answer_knock(uuid, stop=STOPPING)


@app.task(name="concord.sweep")
def sweep() -> None:
    """What is done each minute: the sweeps of all apps, and knocking again."""
    from labeling import jobs, sweeps

    sweeps.sweep()
    jobs.knock_again()


# --- knocking -------------------------------------------------------------------------------------

_connection: Connection | None = None
_quiet_until = 0.0
_lock = threading.Lock()


def _publisher() -> Connection:
    """A connection for knocks alone: unlike the worker's, it gives up soon."""
    global _connection
    with _lock:
        if _connection is None:
            _connection = Connection(
                settings.REDIS_URL,
                connect_timeout=PATIENCE_SECONDS,
                transport_options={
                    **TRANSPORT,
                    "socket_connect_timeout": PATIENCE_SECONDS,
                    "socket_timeout": PATIENCE_SECONDS,
                    # None or 0 would mean: for ever.
                    "max_retries": 1,
                    "interval_start": 0,
                    "interval_step": 0,
                    "interval_max": 0,
                },
            )
        return _connection


def send_knock(uuid: UUID, *, wait: float = 0.0, expires: float | None = None) -> bool:
    """Send the message; whether it went out. Never raises and never waits long: the act it follows is committed.

    After a failure no message is tried for a quarter of a minute, so that a dead Redis costs one request a second and
    not all of them. The sweep knocks for what was not knocked for.
    """
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return False
    for attempt in (1, 2):
        started = time.monotonic()
        try:
            with producers[_publisher()].acquire(block=True, timeout=PATIENCE_SECONDS) as producer:
                run_job.apply_async(
                    args=[str(uuid)], countdown=wait or None, expires=expires, producer=producer, retry=False
                )
        except Exception as error:
            # A connection from before Redis was restarted fails at once, and a new one is made for the second try.
            if attempt == 1 and time.monotonic() - started < PATIENCE_SECONDS / 2:
                continue
            _quiet_until = time.monotonic() + PAUSE_SECONDS
            logger.warning("knock not sent, the sweep will send it: %s", type(error).__name__)
            return False
        break
    return True


# --- the worker's life ----------------------------------------------------------------------------


@signals.setup_logging.connect
def _keep_our_logging(**kwargs: Any) -> None:
    """Connected, so that Celery leaves the settings' LOGGING alone."""


@signals.worker_init.connect
def _refuse_to_start_unready(**kwargs: Any) -> None:
    """A worker without a key, on an unsealed ledger, or that nobody would knock at, does not start."""
    from django.db import connection

    from labeling.db import seals
    from labeling.startup import require_secret_key

    require_tasks_celery()
    try:
        require_secret_key()
        problems = seals.missing()
    except Exception as error:
        sys.exit(str(error))
    finally:
        connection.close()
    if problems:
        sys.exit(f"The ledgers are not sealed ({', '.join(problems)}). Run `manage.py migrate`.")


def require_tasks_celery() -> None:
    if settings.TASKS != "celery":
        sys.exit("Set TASKS=celery for web, worker and beat alike: otherwise nobody knocks here.")


_signs: dict[str, Any] = {}


def _sign(role: str) -> None:
    from labeling.workers import Sign

    _signs[role] = Sign(role)
    _signs[role].start()


@signals.worker_ready.connect
def _worker_ready(**kwargs: Any) -> None:
    _sign("worker")


@signals.worker_shutting_down.connect
def _worker_stopping(**kwargs: Any) -> None:
    """Running jobs end at their next report and go back to the queue."""
    STOPPING.set()


@signals.worker_shutdown.connect
def _worker_gone(**kwargs: Any) -> None:
    if sign := _signs.pop("worker", None):
        sign.end()


@signals.beat_init.connect
def _beat_ready(**kwargs: Any) -> None:
    require_tasks_celery()
    _sign("beat")
    # Beat tells nobody that it ends.
    atexit.register(_signs["beat"].end)
