"""`manage.py work`: the background worker."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling import jobs, sweeps
from labeling.db import seals
from labeling.startup import require_secret_key
from labeling.workers import Sign


class Command(BaseCommand):
    help = "Run background jobs until stopped (Ctrl-C or TERM lets the current job finish its step)."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--poll", type=float, default=0.5, help="seconds between looks at an empty queue")
        parser.add_argument("--until-empty", action="store_true", help="stop when no job is due")

    def handle(self, **options: Any) -> None:
        require_secret_key()
        if problems := seals.missing():
            raise CommandError(f"The ledgers are not sealed ({', '.join(problems)}). Run `manage.py migrate`.")
        if options["until_empty"]:
            while (job := jobs.take()) is not None:
                jobs.run(job)
            return
        stop = threading.Event()
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, lambda *_: stop.set())
        self.stdout.write("worker ready")
        sign = Sign()
        sign.start()
        try:
            jobs.work(stop=stop, poll_seconds=options["poll"], sweep=sweeps.sweep)
        finally:
            sign.end()
