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
from dataclasses import dataclass
from pathlib import Path

STOP_WITHIN_SECONDS = 20
# What ends sooner than this after its start is started again after a pause that doubles, and not for ever.
SHORT_LIFE_SECONDS = 30.0
SHORT_LIVES_MOST = 6


class StartError(Exception):
    """The processes did not come up, or one of them ends each time it is started."""


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


@dataclass
class Child:
    """One process, and how often in a row it ended soon after its start."""

    process: subprocess.Popen[bytes]
    started: float
    short_lives: int = 0
    start_again_at: float | None = None


class Processes:
    """Child processes by name. They are stopped in the order in which they were started."""

    def __init__(self, commands: Mapping[str, Sequence[str]], *, cwd: Path, environment: Mapping[str, str]) -> None:
        self.stop_asked = threading.Event()
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, lambda *_: self.stop_asked.set())
        self.commands, self.cwd, self.environment = commands, cwd, environment
        self.children = {name: Child(self._start(name), time.monotonic()) for name in commands}

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        # A session of their own: Ctrl-C reaches this process only, which then stops all in order.
        return subprocess.Popen(
            list(self.commands[name]), cwd=self.cwd, env=dict(self.environment), start_new_session=True
        )

    def ended(self) -> list[str]:
        """Names of those that have ended by themselves."""
        return [name for name, child in self.children.items() if child.process.poll() is not None]

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

    def watch(self, *, every: float = 1.0) -> None:
        """Start again what ends by itself, until a stop is asked for. Raises StartError for what ends each time.

        A worker may be killed for the memory its job takes; the people who label in the meantime are not to notice.
        """
        while not self.stop_asked.wait(every):
            for name in self.ended():
                self._tend(name, self.children[name])

    def _tend(self, name: str, child: Child) -> None:
        """One that has ended: tell it, then start it again when its pause is over."""
        now = time.monotonic()
        if child.start_again_at is None:
            child.short_lives = child.short_lives + 1 if now - child.started < SHORT_LIFE_SECONDS else 0
            if child.short_lives >= SHORT_LIVES_MOST:
                raise StartError(f"{name} ended {child.short_lives} times in a row; the last lines are above.")
            pause = 2.0 ** (child.short_lives - 1) if child.short_lives > 1 else 0.0
            child.start_again_at = now + pause
            code = child.process.returncode
            how = f"by signal {-code}" if code < 0 else f"with status {code}"
            print(f"{name} ended {how}; it is started again.", file=sys.stderr, flush=True)
        if now >= child.start_again_at:
            child.process, child.started, child.start_again_at = self._start(name), now, None

    def stop(self) -> None:
        """Ask all to stop, and end those that do not within a while."""
        processes = [child.process for child in self.children.values()]
        for process in processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_WITHIN_SECONDS
        for process in processes:
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
