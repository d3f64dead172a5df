"""`manage.py stack`: web, Celery workers and beat on this machine, on a running PostgreSQL and Redis. `make stack` calls it.

The same topology as `docker-compose.yml`, from processes: migrations once, then everything else.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from labeling.supervision import web_command

from .serve import Command as Serve

CELERY = (sys.executable, "-m", "celery", "--quiet", "-A", "config.celery")
QUIETLY = ("--loglevel", "WARNING")


class Command(Serve):
    help = "Migrate once, then serve web, Celery workers and beat until Ctrl-C. Needs DATABASE_URL, REDIS_URL, TASKS=celery."
    made_by = "stack"

    def add_arguments(self, parser: Any) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--workers", type=int, default=2, help="Celery workers, each with one job at a time (default 2)"
        )

    def refuse_unready(self, options: dict[str, Any]) -> None:
        if settings.TASKS != "celery":
            raise CommandError(
                "Set TASKS=celery and REDIS_URL=redis://HOST:6379/0, or use `make run`, which needs neither."
            )
        if not os.environ.get("DATABASE_URL", "").startswith(("postgres://", "postgresql://")):
            raise CommandError("Set DATABASE_URL=postgres://USER:PASSWORD@HOST:5432/NAME, or use `make run`.")
        if options["workers"] < 1:
            raise CommandError("At least one worker is needed.")

    def commands(self, port: int, options: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        # Workers need not know each other: the rows say whose a job is.
        alone = ("--without-gossip", "--without-mingle")
        worker = (*CELERY, "worker", *QUIETLY, *alone)
        workers = {
            f"worker {number}": (*worker, "--hostname", f"concord{number}-{os.getpid()}@%h")
            for number in range(1, options["workers"] + 1)
        }
        beat = (*CELERY, "beat", *QUIETLY, "--pidfile", "")
        return {"web": tuple(web_command(port)), **workers, "beat": beat}
