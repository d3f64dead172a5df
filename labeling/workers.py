"""Signs of life: each worker touches a small file of its own, so that `/readyz` can say whether anyone is at work.

Web and workers share DATA_DIR anyway (uploads lie there), so this needs neither a table nor a service.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import threading
import time
from pathlib import Path

from django.conf import settings

logger = logging.getLogger("concord.workers")

TOUCH_SECONDS = 10.0
# Some touches may be missed on a busy machine before a worker counts as gone.
SILENT_SECONDS = 60.0
FORGET_SECONDS = 60 * 60.0


def folder() -> Path:
    return Path(settings.DATA_DIR) / "workers"


def heard_of(role: str = "worker", *, within: float = SILENT_SECONDS) -> int:
    """How many processes of this role gave a sign within so many seconds."""
    now = time.time()
    count = 0
    with contextlib.suppress(OSError):
        for file in folder().glob(f"*.{role}"):
            with contextlib.suppress(FileNotFoundError):
                count += now - file.stat().st_mtime <= within
    return count


class Sign(threading.Thread):
    """Gives the sign of this process from a thread of its own, so that a long job does not make it look dead."""

    def __init__(self, role: str = "worker") -> None:
        super().__init__(daemon=True, name=f"sign-{role}")
        host = re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())
        self.file = folder() / f"{host}-{os.getpid()}.{role}"
        self.ended = threading.Event()
        self.failed = False

    def touch(self) -> None:
        """Give one sign. A folder that cannot be written is told once and changes nothing else."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.touch()
            self.failed = False
        except OSError as error:
            if not self.failed:
                logger.warning("no sign of life can be given: %s", error)
            self.failed = True

    def run(self) -> None:
        self._forget_the_dead()
        while True:
            self.touch()
            if self.ended.wait(TOUCH_SECONDS):
                break

    def end(self) -> None:
        """Go in peace: the file goes with the process. One killed -9 leaves it, and it grows old."""
        self.ended.set()
        if self.is_alive():
            self.join(5)
        with contextlib.suppress(OSError):
            self.file.unlink(missing_ok=True)

    def _forget_the_dead(self) -> None:
        with contextlib.suppress(OSError):
            for file in self.file.parent.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - file.stat().st_mtime > FORGET_SECONDS:
                        file.unlink()
