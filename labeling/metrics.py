"""Figures for whoever watches the server: requests of all web processes of this gunicorn, jobs, places, seals.

Requests are counted in a small file per web process, in a folder that belongs to their parent process: whichever of
them is asked adds all up. A process that is started anew takes over the file of one that ended, so counts never fall
while the parent lives. What is counted is bounded: one row for each address the project knows, never a path.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import mmap
import os
import shutil
import stat
import tempfile
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, Min, Q
from django.db.models.functions import Coalesce
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from . import workers
from .db import seals
from .models import Assignment, Job
from .vocabulary import JobStatus, PlaceStatus

logger = logging.getLogger("concord.metrics")

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STATUSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
ROW = len(STATUSES) + len(BUCKETS) + 2  # …, slower ones, sum of seconds
UNKNOWN = "none"  # no address of ours
MOST_FILES = 256
# Counting millions of places takes a moment; who asks more often gets the same figures again.
COUNT_SECONDS = 15.0


# --- requests -------------------------------------------------------------------------------------


def _names(resolver: URLResolver | None = None, namespace: str = "") -> Iterator[str]:
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from _names(entry, f"{namespace}{entry.namespace}:" if entry.namespace else namespace)
        elif isinstance(entry, URLPattern) and entry.name:
            yield f"{namespace}{entry.name}"


@cache
def addresses() -> dict[str, int]:
    """{name of an address: its row}, for every address the project knows and one row for all others."""
    return {name: row for row, name in enumerate([UNKNOWN, *sorted(set(_names()))])}


def _remove_left_behind(folder: Path) -> None:
    """Remove folders like this one whose parent process is gone."""
    stem, _, _ = folder.name.rpartition("-")
    for other in folder.parent.glob(f"{stem}-*"):
        pid = other.name.rpartition("-")[2]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            shutil.rmtree(other, ignore_errors=True)
        except (ValueError, OSError):
            continue


class Requests:
    """Counts of this process, in a file that its siblings read; in memory where no file can be had."""

    def __init__(self, folder: Path | None = None) -> None:
        self.pid = os.getpid()
        self.size = len(addresses()) * ROW * 8
        # Another version of the project has other addresses: its files are not ours.
        self.layout = hashlib.sha256("\n".join(addresses()).encode()).hexdigest()[:12]
        self.folder = folder or Path(tempfile.gettempdir()) / f"concord-metrics-{os.geteuid()}-{os.getppid()}"
        self.lock = threading.Lock()
        self.handle = -1
        self.memory: Any = self._open() or bytearray(self.size)
        self.cells = memoryview(self.memory).cast("d")

    def _open(self) -> mmap.mmap | None:
        _remove_left_behind(self.folder)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                return None  # somebody else was here first: a folder for all may hold traps
            for number in range(MOST_FILES):
                handle = os.open(self.folder / f"{self.layout}-{number}", os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(handle)  # a sibling's
                    continue
                os.ftruncate(handle, self.size)
                self.handle = handle  # kept open: the lock says that this process lives
                return mmap.mmap(handle, self.size)
        except OSError as error:
            logger.warning("requests are counted in memory only: %s", error)
        return None

    def count(self, address: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        first = addresses().get(address, 0) * ROW
        bucket = first + len(STATUSES) + bisect_left(BUCKETS, seconds)
        with self.lock:
            self.cells[first + min(max(status // 100, 1), 5) - 1] += 1
            self.cells[bucket] += 1
            self.cells[first + ROW - 1] += seconds

    def close(self) -> None:
        """Leave the file to whoever comes next."""
        self.cells.release()
        if isinstance(self.memory, mmap.mmap):
            self.memory.close()
            os.close(self.handle)

    def total(self) -> array[float]:
        """The sum over all processes of this parent."""
        files = sorted(self.folder.glob(f"{self.layout}-*")) if self.handle >= 0 else []
        found = [file.read_bytes() for file in files]
        if self.handle < 0:
            found = [bytes(self.memory)]
        total = array("d", bytes(self.size))
        for content in found:
            if len(content) == self.size:
                for cell, value in enumerate(array("d", content)):
                    if value:
                        total[cell] += value
        return total


_requests: Requests | None = None
_opening = threading.Lock()


def requests() -> Requests:
    """The counts of this process, opened when first needed: after gunicorn has forked."""
    global _requests
    if _requests is None or _requests.pid != os.getpid():
        with _opening:
            if _requests is None or _requests.pid != os.getpid():
                _requests = Requests()
    return _requests


# --- the page -------------------------------------------------------------------------------------


def _line(name: str, value: float, **labels: str) -> str:
    shown = ",".join(f'{key}="{text}"' for key, text in labels.items())
    number = f"{value:.6f}".rstrip("0").rstrip(".") if value != int(value) else str(int(value))
    return f"{name}{{{shown}}} {number}" if shown else f"{name} {number}"


def _head(name: str, kind: str, words: str) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]


def _request_lines() -> Iterator[str]:
    total = requests().total()
    used = {name: row * ROW for name, row in addresses().items() if any(total[row * ROW : row * ROW + len(STATUSES)])}
    yield from _head("concord_requests_total", "counter", "Answered requests by name of the address.")
    for name, first in used.items():
        for offset, status in enumerate(STATUSES):
            if total[first + offset]:
                yield _line("concord_requests_total", total[first + offset], view=name, status=status)
    yield from _head("concord_request_seconds", "histogram", "Time to answer by name of the address.")
    for name, first in used.items():
        below = 0.0
        for offset, bound in enumerate((*BUCKETS, None)):
            below += total[first + len(STATUSES) + offset]
            yield _line(
                "concord_request_seconds_bucket", below, view=name, le="+Inf" if bound is None else f"{bound:g}"
            )
        yield _line("concord_request_seconds_sum", total[first + ROW - 1], view=name)
        yield _line("concord_request_seconds_count", below, view=name)


def _job_lines(now: datetime) -> Iterator[str]:
    counts = dict.fromkeys(JobStatus.values, 0)
    counts.update(Job.objects.order_by().values_list("status").annotate(n=Count("pk")))
    yield from _head("concord_jobs", "gauge", "Background jobs by status.")
    for status, count in sorted(counts.items()):
        yield _line("concord_jobs", count, status=status)
    due = Job.objects.filter(Q(not_before__isnull=True) | Q(not_before__lte=now), status=JobStatus.QUEUED)
    oldest = due.aggregate(since=Min(Coalesce("not_before", "created_at")))["since"]
    yield from _head("concord_job_queue_age_seconds", "gauge", "How long the oldest job that is due has waited.")
    yield _line("concord_job_queue_age_seconds", max(0.0, (now - oldest).total_seconds()) if oldest else 0)


def _place_lines() -> Iterator[str]:
    yield from _head("concord_places", "gauge", "Places that wait for a rater, and those in a rater's hand.")
    for status in (PlaceStatus.OPEN, PlaceStatus.CLAIMED):
        yield _line("concord_places", Assignment.objects.filter(status=status).count(), status=status.value)


def _seal_lines() -> Iterator[str]:
    yield from _head("concord_ledger_sealed", "gauge", "1 when every seal of the ledgers is in place.")
    yield _line("concord_ledger_sealed", 0 if seals.missing() else 1)


def _worker_lines() -> Iterator[str]:
    roles = {"inline": (), "worker": ("worker",), "celery": ("worker", "beat")}[settings.TASKS]
    if roles:
        yield from _head("concord_workers", "gauge", "Processes for background work heard of within a minute.")
    for role in roles:
        yield _line("concord_workers", workers.heard_of(role), role=role)


_counted: tuple[float, list[str]] = (0.0, [])


def _database_lines(now: datetime) -> list[str]:
    """What is counted in the database, at most every quarter of a minute."""
    global _counted
    at, lines = _counted
    if lines and time.monotonic() < at + COUNT_SECONDS:
        return lines
    up = _head("concord_database_up", "gauge", "1 when the database answers.")
    try:
        lines = [*_job_lines(now), *_place_lines(), *_seal_lines(), *up, _line("concord_database_up", 1)]
    except DatabaseError:
        logger.exception("metrics: the database does not answer")
        return [*up, _line("concord_database_up", 0)]
    _counted = (time.monotonic(), lines)
    return lines


def page(now: datetime | None = None) -> str:
    """Everything, in Prometheus' text format."""
    now = now or timezone.now()
    return "\n".join([*_request_lines(), *_database_lines(now), *_worker_lines()]) + "\n"
