"""The Celery transport through the life of its Redis, as a program of its own with real workers and a real beat.

`python -m tests.services.transport PORT` with DATABASE_URL and REDIS_URL (on that port, where nothing runs yet) prints
one JSON line: how long each act took, and each expectation that does not hold.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import django

from tests.races.killed_jobs import start, wait_for

APP = ("celery", "-A", "tests.races.celery_worker")


def main(port: int) -> dict[str, Any]:
    from django.core.management import call_command

    from config import celery
    from labeling import dispatch, workers
    from labeling.models import Assignment, Batch
    from tests.services.conftest import OwnRedis
    from tests.worlds import World

    # A knock that failed would not be tried again for a while: here each act is to try.
    celery.PAUSE_SECONDS = 0.0
    call_command("migrate", verbosity=0)
    redis = OwnRedis(Path(os.environ["DATA_DIR"]))
    redis.port = port
    world = World.build(items=300)
    olga = world.seat("olga")
    problems: list[str] = []
    took: dict[str, float] = {}
    running = []

    def expect(what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            problems.append(f"{what}: {found}, expected {wanted}")

    def timed(name: str, act: Any) -> Any:
        began = time.monotonic()
        result = act()
        took[name] = time.monotonic() - began
        return result

    def status(job: Any) -> str:
        job.refresh_from_db()
        return str(job.status)

    def done(job: Any) -> bool:
        return wait_for(lambda: status(job) in ("done", "failed"), 90) and job.status == "done"

    try:
        batch = dispatch.create_batch(
            by=olga, name="Knocks", guideline_version=world.version, quotas={"generalist": 1}, seed=3
        )
        job = timed("act with no Redis", lambda: dispatch.open_batch(by=olga, batch=batch))
        expect(
            "the act is committed and its job waits",
            (Batch.objects.get(pk=batch.pk).status, status(job)),
            ("opening", "queued"),
        )

        # Worker and beat come before Redis does, and wait for it.
        worker = start(*APP, "worker", "--loglevel", "WARNING")
        beat = start(*APP, "beat", "--loglevel", "WARNING", "--pidfile", "")
        running += [worker, beat]
        time.sleep(2)
        expect("nobody could knock", status(job), "queued")
        redis.start()
        expect("the sweep knocked for it", done(job), True)
        expect("a sign of the worker", workers.heard_of("worker"), 1)
        expect("a sign of beat", workers.heard_of("beat"), 1)

        batch.refresh_from_db()
        redis.kill()
        job = timed(
            "act after Redis died", lambda: dispatch.raise_overlap(by=olga, batch=batch, quotas={"generalist": 2})
        )
        expect("queued while Redis is dead", status(job), "queued")
        redis.start()
        expect("worker and beat found Redis again", done(job), True)

        # Without beat: the message alone brings the job to the worker.
        beat.terminate()
        beat.wait(60)
        job = timed("act with Redis", lambda: dispatch.raise_overlap(by=olga, batch=batch, quotas={"generalist": 3}))
        expect("the message alone is enough", done(job), True)

        # Asked to stop in the middle: the job goes back, another worker goes on, no attempt is used up.
        job = dispatch.raise_overlap(by=olga, batch=batch, quotas={"generalist": 5})
        wait_for(lambda: status(job) == "running" and (job.progress or {}).get("done", 0) >= 100)
        worker.send_signal(signal.SIGTERM)
        expect("worker ended", worker.wait(60), 0)
        expect("put back", (status(job), job.attempts, job.attempts_allowed), ("queued", 1, 6))
        expect("no sign is left", workers.heard_of("worker"), 0)
        running.append(start(*APP, "worker", "--loglevel", "WARNING"))
        expect("and finished by another", (done(job), job.attempts), (True, 2))
        expect("places", Assignment.objects.filter(batch=batch).count(), 300 * 5)
    finally:
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        redis.kill()
    return {"took": took, "problems": problems}


if __name__ == "__main__":
    django.setup()
    print(json.dumps(main(int(sys.argv[1]))))
