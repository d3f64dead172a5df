"""What the two import commands share: who acts, the job in the foreground with a bar, and the report."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from django.core.management.base import CommandError
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from labeling import access, jobs, transitions
from labeling.db.full import SENTENCE, disk_is_full
from labeling.importing import runs
from labeling.importing.runs import Started
from labeling.models import ImportRun, Job, Membership, Project
from labeling.refusals import NotAllowed, NotSeen, Refusal
from labeling.vocabulary import JobStatus, RunStatus

BAR = 30


class Writes(Protocol):
    """A stream, or a command's own."""

    def write(self, text: str, /) -> Any: ...


def seat(slug: str, username: str) -> access.Seat:
    """The seat the command acts from: the named person's, or the project's first owner's. Raises CommandError."""
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        known = ", ".join(Project.objects.order_by("slug").values_list("slug", flat=True)[:20])
        raise CommandError(f"There is no project {slug!r}. There are: {known or 'none yet'}.", returncode=2)
    members = Membership.objects.select_related("project", "user").filter(project=project, active=True)
    members = members.filter(user__username=username) if username else members.filter(role="owner").order_by("pk")
    member = members.first()
    if member is None:
        who = f"{username!r} is no active member" if username else "There is no active owner"
        raise CommandError(f"{who} of {slug!r}. Name a member with --by.", returncode=2)
    return access.Seat(project=project, membership=member)


def run_import(start: Callable[[], Started], *, discard: bool, by: access.Seat, out: Writes, err: TextIO) -> None:
    """Start or resume an import and stay until it has ended, or discard it; raises CommandError 1 when it was refused."""
    try:
        started, job = _start(start)
        if discard:
            _discard(by, started, job, out)
            return
        if started.nothing_to_do:
            when = started.run.finished_at
            out.write(f"Nothing to do: this file was imported the same way on {when:%Y-%m-%d %H:%M} UTC.\n")
            return
        if started.resumed:
            out.write("Resuming an unfinished import of this file.\n")
        _work(started.run, job, err)
    except (NotSeen, NotAllowed) as refusal:
        raise CommandError(refusal.message, returncode=2) from None
    except Refusal as refusal:
        raise CommandError(refusal.message, returncode=2 if refusal.status == 422 else 1) from None
    except (DatabaseError, OSError) as error:
        if not disk_is_full(error):
            raise
        raise CommandError(SENTENCE, returncode=1) from None
    show_report(ImportRun.objects.get(pk=started.run.pk), out)


def _start(start: Callable[[], Started]) -> tuple[Started, Job | None]:
    """The started run with its job taken, before any worker sees it; no job when someone else has it."""
    with transaction.atomic():
        started = start()
        return started, jobs.take(job_id=started.job.pk) if started.job is not None else None


def _discard(by: access.Seat, started: Started, job: Job | None, out: Writes) -> None:
    clearing = runs.discard_import(by=by, run=started.run)
    if job is not None:
        _stop(job, "discarded")
    if clearing is not None and (taken := jobs.take(job_id=clearing.pk)) is not None:
        jobs.run(taken)
    out.write("Discarded. Nothing of the import is left.\n")


def _stop(job: Job, why: str) -> None:
    transitions.move(
        job, JobStatus.FAILED, old=JobStatus.RUNNING, error=why, lease_until=None, finished_at=timezone.now()
    )


def _work(run: ImportRun, job: Job | None, err: TextIO) -> None:
    """Run the job here, or wait for whoever runs it; take over from one that died."""
    # What stands by now stays until the end: the collector need not look through it again for every few thousand rows.
    gc.freeze()
    bar = _Bar(run, err)
    bar.start()
    try:
        while True:
            if job is not None:
                ended = jobs.run(job, heartbeat=True)
                if ended.status == JobStatus.FAILED:
                    raise Refusal("failed", f"{ended.error}")
            run.refresh_from_db()
            if run.status not in runs.UNFINISHED:
                return
            time.sleep(0.5)
            job = _next(run)
    except KeyboardInterrupt:
        if job is not None:
            _stop(job, "stopped by Ctrl-C")
        raise CommandError(
            "Stopped. Nothing of it is visible. The same command goes on; with --discard it is taken back.",
            returncode=130,
        ) from None
    finally:
        bar.end()


def _next(run: ImportRun) -> Job | None:
    """A job of the run that is due now: one that waits, or one whose worker has died."""
    newest = list(Job.objects.filter(dedup_key=f"import:{run.pk}").order_by("-pk")[:2])
    if newest and newest[0].status == JobStatus.FAILED:
        raise Refusal("failed", newest[0].error)
    for job in newest:
        if (taken := jobs.take(job_id=job.pk)) is not None:
            return taken
    return None


class _Bar(threading.Thread):
    """Draws the job's progress on a terminal; on anything else it says nothing."""

    def __init__(self, run: ImportRun, stream: TextIO) -> None:
        super().__init__(daemon=True)
        self._run_id, self._stream = run.pk, stream
        self._on = bool(getattr(stream, "isatty", lambda: False)())
        self._over = threading.Event()

    def run(self) -> None:
        try:
            while self._on and not self._over.wait(0.25):
                job = Job.objects.filter(dedup_key=f"import:{self._run_id}").order_by("-pk").first()
                if job is not None and job.progress:
                    self._stream.write("\r" + bar_line(job.progress).ljust(78))
                    self._stream.flush()
        finally:
            connection.close()

    def end(self) -> None:
        self._over.set()
        if self.is_alive():
            self.join()
        if self._on:
            self._stream.write("\r" + " " * 78 + "\r")
            self._stream.flush()


def bar_line(progress: dict[str, Any]) -> str:
    """One line of progress.

    >>> bar_line({"done": 1500, "total": 3000, "what": "writing"})
    'writing   [###############...............]  50 %  1,500 of 3,000'
    """
    done, total, what = progress.get("done", 0), progress.get("total"), progress.get("what", "")
    if not total:
        return f"{what:<9} {done:,}"
    share = min(1.0, done / total)
    filled = round(BAR * share)
    return (
        f"{what:<9} [{'#' * filled}{'.' * (BAR - filled)}] {share:4.0%}".replace("%", " %") + f"  {done:,} of {total:,}"
    )


def show_report(run: ImportRun, out: Writes) -> None:
    """Print what an ended run did. Raises CommandError 1 when it was refused."""
    facts = run.report.get("facts", {})
    what = "labels" if run.kind == "labels" else "items"
    if run.status == RunStatus.DONE:
        out.write(f"{run.rows_kept:,} {what} imported from {runs.name_of(run)} ({run.rows_read:,} rows read).\n")
        for line in _facts(facts):
            out.write(f"  {line}\n")
    for note in run.report.get("notes", []):
        out.write(f"  Note: {note}\n")
    _show(out, "left out", run.report.get("left_out", {}), limit=10)
    _show(out, "refused" if run.status == RunStatus.DONE else "with problems", run.report.get("errors", {}), limit=25)
    if run.status == RunStatus.REFUSED:
        words = "Refused: nothing was written."
        if run.rows_refused:
            words += (
                f" {run.rows_refused:,} of {run.rows_read:,} rows have problems. Correct them, or import the others with "
                "--skip-refused."
            )
        raise CommandError(words, returncode=1)
    if run.status == RunStatus.DISCARDED:
        raise CommandError("The import was discarded meanwhile; nothing of it is left.", returncode=1)


def _facts(facts: dict[str, Any]) -> list[str]:
    lines = []
    if "raters" in facts:
        raters = ", ".join(f"{count:,} {cohort}" for cohort, count in sorted(facts["raters"].items()))
        lines.append(f"{facts.get('items', 0):,} items; raters: {raters}")
        lines.append("labels: " + ", ".join(f"{key} {count:,}" for key, count in facts.get("labels", {}).items()))
    if facts.get("gold"):
        lines.append("gold on " + ", ".join(f"{count:,} items as {key}" for key, count in facts["gold"].items()))
    again = {k: v for k, v in facts.get("repeats", {}).items() if k != "1"}
    for repeat, counts in again.items():
        lines.append(f"repeat {repeat}: {counts['labels']:,} labels on {counts['items']:,} items, in a retest batch")
    return lines


def _show(out: Writes, title: str, findings: dict[str, Any], limit: int) -> None:
    total = findings.get("total", 0)
    if not total:
        return
    out.write(f"{total:,} {title}:\n")
    for finding in findings["listed"][:limit]:
        where = f"row {finding['row']:,}" if finding["row"] else "file"
        field = f", {finding['field']}" if finding["field"] else ""
        value = f" “{finding['value']}”" if finding["value"] else ""
        out.write(f"  {where}{field}{value}: {finding['reason']}\n")
    if total > limit:
        counts = ", ".join(f"{entry['count']:,} {entry['code']}" for entry in findings["counts"][:8])
        out.write(f"  … and {total - limit:,} more. In all: {counts}.\n")


def interactive_error() -> TextIO:
    """Where the bar goes."""
    return sys.stderr
