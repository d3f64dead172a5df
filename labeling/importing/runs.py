"""The life of an import run: started or resumed, its turn to write, finished, refused, taken back."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from .. import jobs, transitions
from ..access import Seat, require
from ..events import event, record
from ..hashing import sha256_json
from ..models import ImportRun, Job, Project
from ..refusals import BadValue, Refusal
from ..vocabulary import JobStatus, RunStatus
from .report import Report
from .sources import fingerprint

logger = logging.getLogger("concord.importing")
T = TypeVar("T")

UNFINISHED = (RunStatus.CHECKING, RunStatus.WRITING)
REFUSED_FILES_KEPT = timedelta(days=14)
_REPORT_SECONDS = 0.5
_TURN_SECONDS = 0.5


@dataclass(frozen=True)
class FileSource:
    """A file to import. `stored`: its path below MEDIA_ROOT when it was uploaded, else empty and `path` is read in place."""

    path: Path
    name: str
    sha256: str
    stored: str = ""

    @classmethod
    def in_place(cls, path: Path, images: str = "") -> FileSource:
        """A file, folder or zip on this machine. Raises BadValue when it cannot be read."""
        path = path.expanduser().resolve()
        if not path.exists():
            raise BadValue("no_file", f"There is no file {path}.", field="file")
        if len(str(path)) > 300:
            raise BadValue("bad_value", "The path is longer than 300 characters. Move the file.", field="file")
        return cls(path, str(path), fingerprint(path, images))


@dataclass(frozen=True)
class Started:
    """A run and the job that works on it; no job when the same file was imported the same way before."""

    run: ImportRun
    job: Job | None
    resumed: bool = False

    @property
    def nothing_to_do(self) -> bool:
        return self.job is None


def path_of(run: ImportRun) -> Path:
    """Where the run's file is."""
    return Path(settings.MEDIA_ROOT) / run.file if run.file else Path(run.source)


def name_of(run: ImportRun) -> str:
    """The file's name, without its folder."""
    return Path(run.source).name


def start_run(
    *,
    by: Seat,
    kind: str,
    source: FileSource,
    mapping: dict[str, Any],
    run: ImportRun | None = None,
    at: datetime | None = None,
) -> Started:
    """Start an import, or resume the unfinished one of the same file and mapping; a finished one is only returned.

    `run`: an upload that waits for its mapping.
    """
    at = at or timezone.now()
    require(by.membership, "import")
    digest = sha256_json(mapping)
    with transaction.atomic():
        # Locked: two people who start the same file at once get one run.
        Project.objects.select_for_update(no_key=True).get(pk=by.project.pk)
        twins = ImportRun.objects.filter(
            project=by.project, kind=kind, file_sha256=source.sha256, mapping_sha256=digest,
            status__in=(*UNFINISHED, RunStatus.DONE),
        )  # fmt: skip
        if run is not None:
            twins = twins.exclude(pk=run.pk)
        twin = twins.filter(status=RunStatus.DONE).first() or twins.first()
        if twin is not None:
            if run is not None:
                _set_aside(run, at)
            if twin.status == RunStatus.DONE:
                return Started(twin, None)
            if not twin.file and not source.stored and twin.source != source.name:
                ImportRun.objects.filter(pk=twin.pk).update(source=source.name)
            return Started(twin, _enqueue(twin, by), resumed=True)
        if run is None:
            run = ImportRun.objects.create(
                project=by.project, kind=kind, source=source.name, file=source.stored, file_sha256=source.sha256,
                mapping=mapping, mapping_sha256=digest, by=by.user,
            )  # fmt: skip
        else:
            kept = ImportRun.objects.filter(pk=run.pk, status=RunStatus.CHECKING, mapping_sha256="").update(
                mapping=mapping, mapping_sha256=digest, file_sha256=source.sha256
            )
            if not kept:
                raise Refusal("started", "This import has been started already.")
            run.refresh_from_db()
        record(event("import_started", run, by=by.user, at=at, project=by.project, file=name_of(run)))
        return Started(run, _enqueue(run, by))


def _set_aside(run: ImportRun, at: datetime) -> None:
    if transitions.move(run, RunStatus.DISCARDED, finished_at=at):
        transaction.on_commit(lambda: remove_file(run), robust=True)


def _enqueue(run: ImportRun, by: Seat) -> Job:
    return jobs.enqueue(
        kind=f"import_{run.kind}",
        by=by.user,
        project=by.project,
        dedup_key=f"import:{run.pk}",
        parameters={"run": run.pk},
    )


def resume_import(*, by: Seat, run: ImportRun) -> Job:
    """Go on with an interrupted import. Raises Refusal when there is nothing to resume."""
    require(by.membership, "import")
    if run.status not in UNFINISHED or not run.mapping_sha256:
        raise Refusal("not_interrupted", "This import is not waiting to be resumed.", status=run.status)
    return _enqueue(run, by)


def job_of(run: ImportRun) -> Job | None:
    """The latest job that works or worked on the run."""
    return Job.objects.filter(dedup_key=f"import:{run.pk}").order_by("-pk").first()


def discard_import(*, by: Seat, run: ImportRun, at: datetime | None = None) -> Job | None:
    """Take an unfinished import back: what it wrote was never visible and is removed by a job.

    Returns None when it was discarded or refused before. Raises `done` for a finished one: its rows may be in use.
    """
    at = at or timezone.now()
    require(by.membership, "import")
    with transaction.atomic():
        current = ImportRun.objects.select_for_update(no_key=True).get(pk=run.pk)
        if current.status == RunStatus.DONE:
            raise Refusal("done", "This import is finished; what it brought in may be in use and stays.")
        if current.status not in UNFINISHED:
            return None
        if not transitions.move(current, RunStatus.DISCARDED, finished_at=at):
            raise Refusal("busy", "The import is changing this moment. Try again.")
        run.status = current.status
        record(event("import_discarded", current, by=by.user, at=at, project=by.project))
        return enqueue_clearing(current)


def enqueue_clearing(run: ImportRun) -> Job:
    """A job that removes what a discarded or refused run wrote."""
    return jobs.enqueue(
        kind="clear_import",
        by=run.by,
        project=run.project,
        dedup_key=f"clear_import:{run.pk}",
        parameters={"run": run.pk},
    )


def remove_file(run: ImportRun) -> None:
    """Delete the upload of a run; a file read in place is never touched."""
    if run.file:
        folder = path_of(run).parent
        if folder.parent == Path(settings.MEDIA_ROOT) / "uploads":
            shutil.rmtree(folder, ignore_errors=True)


def remove_old_uploads(project: Project, at: datetime) -> None:
    """Delete uploads of imports that were refused long ago and were never tried again."""
    old = ImportRun.objects.filter(project=project, status=RunStatus.REFUSED, finished_at__lt=at - REFUSED_FILES_KEPT)
    for run in old.exclude(file="")[:50]:
        remove_file(run)
        ImportRun.objects.filter(pk=run.pk).update(file="")


class Progress:
    """Tells the job how far it is, at most twice a second; raises jobs.LostJob when another worker has it."""

    def __init__(self, run: jobs.JobRun, what: str) -> None:
        self._run, self.what = run, what
        self.done = 0
        self.total: int | None = None
        self._next = 0.0

    def through(self, rows: Iterable[T]) -> Iterator[T]:
        """The same rows, counted."""
        for row in rows:
            yield row
            self.done += 1
            if not self.done % 32:  # asking the clock for each row would be a tenth of the reading
                self.tell_now_and_then()

    def tell_now_and_then(self) -> None:
        if time.monotonic() >= self._next:
            self.tell()

    def tell(self) -> None:
        self._run.report(self.done, self.total, self.what)
        self._next = time.monotonic() + _REPORT_SECONDS


def store_check(run: ImportRun, report: Report) -> None:
    """Keep what the first pass found."""
    values = {
        "rows_read": report.read, "rows_refused": report.refused, "rows_skipped": len(report.left_out),
        "report": report.as_json(),
    }  # fmt: skip
    if not ImportRun.objects.filter(pk=run.pk, status=RunStatus.CHECKING).update(**values):
        raise jobs.LostJob(f"import {run.pk} is no longer being checked")
    for name, value in values.items():
        setattr(run, name, value)


def refuse_run(run: ImportRun, report: Report, at: datetime) -> dict[str, Any]:
    """End a run as refused, with its report; what it wrote, if anything, is removed. Returns the job's result."""
    values: dict[str, Any] = {"finished_at": at, "report": report.as_json(), "rows_kept": 0}
    if run.status == RunStatus.CHECKING:
        values |= {"rows_read": report.read, "rows_refused": report.refused, "rows_skipped": len(report.left_out)}
    written = run.status == RunStatus.WRITING
    with transaction.atomic():
        if not transitions.move(run, RunStatus.REFUSED, **values):
            raise jobs.LostJob(f"import {run.pk} was changed meanwhile")
        record(event("import_refused", run, by=run.by, at=at, project=run.project, refused=report.refused))
        if written:
            enqueue_clearing(run)
    return result_of(run)


def finish_run(run: ImportRun, at: datetime, **values: Any) -> None:
    """End a run as done, in the caller's transaction: from its commit on everything is visible."""
    try:
        with transaction.atomic():
            moved = transitions.move(run, RunStatus.DONE, where={"rows_kept": run.rows_kept}, finished_at=at, **values)
    except IntegrityError:
        raise Refusal(
            "imported", "The same file has been imported the same way meanwhile. Nothing more is needed."
        ) from None
    if not moved:
        raise jobs.LostJob(f"import {run.pk} was changed meanwhile")
    record(event("import_done", run, by=run.by, at=at, project=run.project, kept=run.rows_kept))
    transaction.on_commit(lambda: remove_file(run), robust=True)


def advance(run: ImportRun, rows: int) -> None:
    """Move the run's cursor by the rows this transaction writes. Raises LostJob when someone else writes or discarded it.

    The compare is the fence: a worker that lost its job cannot write a chunk twice.
    """
    moved = ImportRun.objects.filter(pk=run.pk, status=RunStatus.WRITING, rows_kept=run.rows_kept).update(
        rows_kept=run.rows_kept + rows
    )
    if not moved:
        raise jobs.LostJob(f"import {run.pk} was taken over or discarded")


def take_turn(run: ImportRun) -> bool:
    """Move the run from checking to writing, in the caller's transaction; False while another import is at work.

    One import per project writes at a time: what it checked against must not change under it. Raises Refusal when the
    other one was interrupted.
    """
    Project.objects.select_for_update(no_key=True).get(pk=run.project_id)
    other = ImportRun.objects.filter(project_id=run.project_id, status=RunStatus.WRITING).exclude(pk=run.pk).first()
    if other is not None:
        at_work = Job.objects.filter(
            dedup_key=f"import:{other.pk}", status=JobStatus.RUNNING, lease_until__gt=timezone.now()
        )
        if at_work.exists():
            return False
        raise Refusal(
            "interrupted",
            f"The import of “{name_of(other)}” was interrupted. Resume or discard it first, then resume this one.",
            run=str(other.uuid),
        )
    if not transitions.move(run, RunStatus.WRITING):
        raise jobs.LostJob(f"import {run.pk} was changed meanwhile")
    return True


def wait_for_turn(job: jobs.JobRun) -> None:
    """Pause while another import writes."""
    job.report(0, None, "waiting for another import")
    time.sleep(_TURN_SECONDS)


def load(job: jobs.JobRun) -> ImportRun:
    """The run a job works on."""
    return ImportRun.objects.select_related("project", "by").get(pk=job.parameters["run"])


def check_file(run: ImportRun) -> Path:
    """The run's file, the same as when the run was started. Raises Refusal."""
    path = path_of(run)
    images = run.mapping.get("images", "")
    try:
        digest = fingerprint(path, images)
    except BadValue as error:
        raise Refusal("no_file", f"{error.message} Put it back and resume, or discard the import.") from None
    if digest != run.file_sha256:
        raise Refusal(
            "changed", f"“{name_of(run)}” was changed since the import began. Discard the import and start again."
        )
    return path


def result_of(run: ImportRun) -> dict[str, Any]:
    """What the job stores as its result."""
    return {
        "run": str(run.uuid), "status": str(run.status), "read": run.rows_read, "kept": run.rows_kept,
        "refused": run.rows_refused, "skipped": run.rows_skipped,
    }  # fmt: skip
