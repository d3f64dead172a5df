"""Several processes on this machine, started and stopped as one: what `manage.py serve` and `manage.py stack` share."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_WITHIN_SECONDS = 20


class StartError(Exception):
    """The processes did not come up, or one of them ended by itself."""


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def web_command(port: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        "python:config.gunicorn",
        "config.wsgi",
        "--bind",
        f"127.0.0.1:{port}",
    ]


class Processes:
    """Child processes by name. They are stopped in the order in which they were started."""

    def __init__(self, commands: Mapping[str, Sequence[str]], *, cwd: Path, environment: Mapping[str, str]) -> None:
        self.stop_asked = threading.Event()
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, lambda *_: self.stop_asked.set())
        # A session of their own: Ctrl-C reaches this process only, which then stops all in order.
        self.children = {
            name: subprocess.Popen(list(command), cwd=cwd, env=dict(environment), start_new_session=True)
            for name, command in commands.items()
        }

    def ended(self) -> list[str]:
        """Names of those that have ended by themselves."""
        return [name for name, child in self.children.items() if child.poll() is not None]

    def wait_for_answer(self, url: str, *, seconds: float) -> bool:
        """Wait until the URL answers 200; False when a stop was asked for meanwhile. Raises StartError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.stop_asked.is_set():
            if ended := self.ended():
                raise StartError(f"{', '.join(ended)} did not start; the last lines are above.")
            try:
                with urllib.request.urlopen(url, timeout=2) as reply:
                    if reply.status == 200:
                        return True
            except (urllib.error.URLError, OSError):
                self.stop_asked.wait(0.1)
        if not self.stop_asked.is_set():
            raise StartError(f"No answer from {url} within {seconds:.0f} seconds.")
        return False

    def watch(self) -> None:
        """Return when a stop is asked for. Raises StartError when one of them ends by itself."""
        while not self.stop_asked.wait(1):
            if ended := self.ended():
                raise StartError(f"{', '.join(ended)} ended by itself; the last lines are above.")

    def stop(self) -> None:
        """Ask all to stop, and end those that do not within a while."""
        for child in self.children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_WITHIN_SECONDS
        for child in self.children.values():
            try:
                child.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
