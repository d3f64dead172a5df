"""Existing labels: a closed batch of kind `import` under a version marked as imported."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from .. import jobs
from ..access import Seat
from ..models import ImportRun
from ..refusals import Refusal
from ..vocabulary import ImportKind, RunStatus
from . import runs
from .label_checking import find_items, label_keys, open_label_rows, read_labels
from .label_columns import LabelMapping, check_label_mapping
from .label_store import LabelStore
from .label_writing import LabelWriter, tell_settled
from .report import Report
from .runs import FileSource, Progress, Started


def import_labels(
    *, by: Seat, source: FileSource, mapping: LabelMapping, run: ImportRun | None = None, at: datetime | None = None
) -> Started:
    """Start an import of labels that were given elsewhere; a job checks the whole file, then writes. The same file and
    mapping again resumes the unfinished run, or changes nothing when it is done.

    One label a row. The k-th label of one (item, rater) goes to a retest batch below the first; each rater id becomes
    an inactive member without a password; gold becomes `external`. Raises BadValue naming the column or cohort.
    """
    with open_label_rows(source.path, Path(source.name).name, mapping) as reader:
        check_label_mapping(mapping, reader.columns)
    return runs.start_run(by=by, kind=ImportKind.LABELS, source=source, mapping=mapping.as_json(), run=run, at=at)


@jobs.handles("import_labels")
def import_labels_job(job: jobs.JobRun) -> dict[str, Any]:
    """Check the file, then write it. Killed at any point, the next attempt reads the file again and goes on behind the
    last whole chunk: the order of the places depends on the file alone."""
    run = runs.load(job)
    if run.status not in runs.UNFINISHED:
        return runs.result_of(run)
    path = runs.check_file(run)
    mapping = LabelMapping.from_json(run.mapping)
    while True:
        store = LabelStore()
        try:
            done = _attempt(job, run, path, mapping, store)
        finally:
            store.close()
        if done is not None:
            return done
        # Read again afterwards: the other import may have brought in the items this file names.
        runs.wait_for_turn(job)


def _attempt(
    job: jobs.JobRun, run: ImportRun, path: Path, mapping: LabelMapping, store: LabelStore
) -> dict[str, Any] | None:
    """Both passes; None when another import is being written just now."""
    checking = run.status == RunStatus.CHECKING
    with open_label_rows(path, runs.name_of(run), mapping) as reader:
        report = read_labels(run, reader, mapping, store, Progress(job, "checking" if checking else "reading again"))
    missing = find_items(run, mapping, store, report) if not report.unusable else []
    report.kept = store.rows()
    if report.must_refuse(mapping.skip_refused):
        if checking:
            return runs.refuse_run(run, report, timezone.now())
        if not mapping.skip_refused:
            raise Refusal(
                "changed", "The project changed while the labels were imported. Discard the import and start again."
            )
    writer = LabelWriter(run, store, mapping, label_keys(mapping, [*store.label_counts(), *store.golds()]))
    if checking:
        _describe(report, store, missing)
        runs.store_check(run, report)
        with transaction.atomic():
            if not runs.take_turn(run):
                return None
            writer.found()
    _write(job, run, writer, missing)
    tell_settled(run)
    return runs.result_of(run)


def _describe(report: Report, store: LabelStore, missing: list[str]) -> None:
    """What the page says about repeats, once items are known; made items get their numbers later."""
    store.know_items([(item, -position, position) for position, item in enumerate(missing, start=1)])
    store.lay_out()
    report.facts["rows"] = report.kept
    report.facts["repeats"] = {str(k): {"items": i, "labels": n} for k, (i, n) in store.repeats().items()}


def _write(job: jobs.JobRun, run: ImportRun, writer: LabelWriter, missing: list[str]) -> None:
    progress = Progress(job, "writing")
    writer.make_items(missing)
    writer.make_raters()
    progress.total = writer.lay_out()
    while writer.write_next():
        progress.done = run.rows_kept
        progress.tell_now_and_then()
    writer.finish()
