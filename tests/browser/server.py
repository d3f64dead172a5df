"""Concord as it really runs, gunicorn in a process of its own, on the test's database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 120


def _database_url() -> str:
    """The URL of the database that the tests themselves are using."""
    db = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{db['NAME']}"
    return f"postgres://{db['USER']}:{db['PASSWORD']}@{db['HOST']}:{db['PORT']}/{db['NAME']}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A running server; `url` without a slash at its end, `log` is the file its output goes to."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.url = f"http://127.0.0.1:{_free_port()}"
        environment = {
            **os.environ,
            "DATABASE_URL": _database_url(),
            "DATA_DIR": str(settings.DATA_DIR),
            "SECRET_KEY": settings.SECRET_KEY,
            "CONCORD_STATIC_PLAIN": "0",
            "CONCORD_LOG_JSON": "0",
            "DEBUG": "0",
            "DJANGO_SETTINGS_MODULE": "tests.browser.server_settings",
            # Jobs run as soon as their request commits: a story need not wait for a worker.
            "TASKS": "inline",
        }
        # Styles and scripts as they are really served: collected, under hashed names.
        collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
        subprocess.run(collect, cwd=ROOT, env=environment, check=True)
        command = ["gunicorn", "config.wsgi", "--bind", self.url.removeprefix("http://"), "--worker-class", "gthread"]
        self.output = log.open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command, "--workers", "1", "--threads", "8", "--no-control-socket"],
            cwd=ROOT, env=environment, stdout=self.output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"The server stopped at once:\n{self.log.read_text()}")
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"The server did not answer within {READY_WITHIN} s:\n{self.log.read_text()}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()
