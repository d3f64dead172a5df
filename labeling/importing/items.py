"""Items: the act that starts their import, and the job that carries it through both passes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from .. import jobs, task_types
from ..access import Seat
from ..models import ImportRun
from ..refusals import BadValue, Refusal
from ..vocabulary import ImportKind, RunStatus
from . import runs
from .checking import Judge, Plan, differing_metadata, in_chunks
from .mapping import ItemMapping, Mapper, check_mapping, suggest_mapping
from .report import Report
from .runs import FileSource, Progress, Started
from .sources import BadSourceError, ItemFile, KnownImages, RowsError, suggest_for_images
from .writing import correct_known, write_items


def open_item_file(path: Path, name: str, mapping: ItemMapping) -> ItemFile:
    """The file as the mapping says to read it. Raises BadValue when it cannot be read."""
    try:
        return ItemFile(path, name=name, images=mapping.images, format=mapping.format, encoding=mapping.encoding)
    except (RowsError, BadSourceError) as error:
        raise BadValue("bad_file", str(error), field="file") from None


def guess_mapping(schema: dict[str, Any], file: ItemFile) -> ItemMapping:
    """The mapping a person would most likely choose for the opened file."""
    return suggest_for_images(schema) if file.only_images else suggest_mapping(schema, file.columns)


def import_items(
    *, by: Seat, source: FileSource, mapping: ItemMapping, run: ImportRun | None = None, at: datetime | None = None
) -> Started:
    """Start an import of items; a job checks the whole file, then writes. The same file and mapping again resumes the
    unfinished run, or changes nothing when it is done.

    `run`: an upload that waits for its mapping. Raises BadValue naming the file, column or field that does not fit.
    """
    with open_item_file(source.path, Path(source.name).name, mapping) as file:
        check_mapping(mapping, by.project.payload_schema, file.columns)
    return runs.start_run(by=by, kind=ImportKind.ITEMS, source=source, mapping=mapping.as_json(), run=run, at=at)


@jobs.handles("import_items")
def import_items_job(job: jobs.JobRun) -> dict[str, Any]:
    """Check the file, then write it. Killed at any point, the next attempt goes on where this one was."""
    run = runs.load(job)
    if run.status not in runs.UNFINISHED:
        return runs.result_of(run)
    path = runs.check_file(run)
    mapping = ItemMapping.from_json(run.mapping)
    images = KnownImages({})
    while run.status == RunStatus.CHECKING:
        plan = Plan(run.project_id)
        try:
            report = _check(job, run, path, mapping, images, plan)
            if report.must_refuse(mapping.skip_refused):
                return runs.refuse_run(run, report, timezone.now())
            runs.store_check(run, report)
            with transaction.atomic():
                taken = runs.take_turn(run)
            # Images are read again to be stored, and known items may need correcting.
            if taken and not _has_images(mapping) and not mapping.update_metadata and plan.still_holds():
                return _write_planned(job, run, plan)
        finally:
            plan.close()
        if not taken:
            # Checked again afterwards: the other import may have brought in the same items.
            runs.wait_for_turn(job)
    return _write(job, run, path, mapping, images)


def _has_images(mapping: ItemMapping) -> bool:
    return any(mapping.kinds.get(name) == "image" for name in mapping.payload)


def _mapper(run: ImportRun, file: ItemFile, mapping: ItemMapping, images: KnownImages, store: Path | None) -> Mapper:
    task = task_types.get(run.project.task_type)
    return Mapper(mapping, task, file.image_finder(images, store=store, max_bytes=settings.IMAGE_MAX_BYTES))


def _check(
    job: jobs.JobRun, run: ImportRun, path: Path, mapping: ItemMapping, images: KnownImages, plan: Plan
) -> Report:
    """The first pass: nothing is written. Returns what it found."""
    report = Report()
    progress = Progress(job, "checking")
    differing = 0
    try:
        with open_item_file(path, runs.name_of(run), mapping) as file:
            check_mapping(mapping, run.project.payload_schema, file.columns)
            judge = Judge(run, mapping, _mapper(run, file, mapping, images, None), report)
            try:
                for chunk in in_chunks(progress.through(file.rows())):
                    sorted_out = judge.sort_out(chunk)
                    plan.note(sorted_out.keep)
                    differing += len(differing_metadata(sorted_out.known))
                    progress.total = _estimate(report.read, file.fraction())
            finally:
                judge.close()
            report.facts["columns"] = file.columns[:200]
            if unused := file.unused_images():
                report.note(f"{unused:,} images are named by no row and were left out.")
    except RowsError as error:
        report.refuse_file(str(error))
    except BadValue as error:
        report.refuse_file(error.message)
    if differing:
        report.facts["metadata_differs"] = differing
        report.note(
            f"{differing:,} items have other metadata in this file than in the project. "
            + ("It is corrected." if mapping.update_metadata else "It was left as it is; import with “correct metadata” to change it.")
        )  # fmt: skip
    return report


def _estimate(done: int, fraction: float) -> int:
    """About how many rows the file has."""
    return max(done, round(done / fraction)) if fraction > 0 else done


def _write_planned(job: jobs.JobRun, run: ImportRun, plan: Plan) -> dict[str, Any]:
    """The second pass while the first one's verdicts hold: write what it kept."""
    progress = Progress(job, "writing")
    progress.total = run.rows_read - run.rows_refused - run.rows_skipped
    for chunk in plan.chunks():
        write_items(run, chunk)
        progress.done = run.rows_kept
        progress.tell_now_and_then()
    progress.tell()
    with transaction.atomic():
        runs.finish_run(run, timezone.now())
    return runs.result_of(run)


def _write(job: jobs.JobRun, run: ImportRun, path: Path, mapping: ItemMapping, images: KnownImages) -> dict[str, Any]:
    """The second pass after an interruption, or when items came in meanwhile: judge again and write what is kept."""
    report = Report()
    progress = Progress(job, "writing")
    progress.total = run.rows_read
    with open_item_file(path, runs.name_of(run), mapping) as file:
        judge = Judge(run, mapping, _mapper(run, file, mapping, images, Path(settings.MEDIA_ROOT)), report)
        try:
            for chunk in in_chunks(progress.through(file.rows())):
                sorted_out = judge.sort_out(chunk)
                if report.errors and not mapping.skip_refused:
                    # Something came into the project since the check that these rows cannot stand beside.
                    return runs.refuse_run(run, report, timezone.now())
                write_items(run, [draft.ready() for draft in sorted_out.keep])
                if mapping.update_metadata:
                    correct_known(run, sorted_out.known)
        except RowsError as error:
            raise Refusal("changed", f"The file cannot be read any more: {error}") from None
        finally:
            judge.close()
    progress.tell()
    stored = {**run.report, "left_out": report.left_out.as_json(), "errors": report.errors.as_json()}
    with transaction.atomic():
        runs.finish_run(
            run, timezone.now(), report=stored, rows_refused=report.refused, rows_skipped=len(report.left_out)
        )
    return runs.result_of(run)
