"""The report on items that do not show enough, worked out in the background and stored like the other figures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from labeling import jobs
from labeling.access import Seat, hold_right
from labeling.models import Batch, Job, User
from labeling.vocabulary import JobStatus

from .measuring import store
from .models import AgreementRun
from .queries.figures import Sheet, input_digest, is_fresh, newest_run
from .queries.input_report import input_report
from .vocabulary import RunKind


def report_for(*, by: Seat, batch: Batch, now: datetime | None = None) -> tuple[AgreementRun | None, Job | None]:
    """The newest stored report of the batch, and the job that brings it up to date where it is more than a minute old."""
    now = now or timezone.now()
    hold_right(by.membership, "see_figures")
    found = newest_run(batch, RunKind.INPUT, {})
    if found is not None and is_fresh(found, now):
        return found, None
    job = jobs.enqueue(
        kind="report_input",
        by=by.user,
        project=batch.project,
        dedup_key=f"report_input:{batch.pk}",
        parameters={"batch": batch.pk},
    )
    job.refresh_from_db()
    if job.status == JobStatus.DONE:  # inline: it ran when it was queued
        return newest_run(batch, RunKind.INPUT, {}), None
    return found, job


@jobs.handles("report_input")
def report_input_job(run: jobs.JobRun) -> dict[str, Any]:
    batch = Batch.objects.select_related("project", "guideline_version").get(pk=run.parameters["batch"])
    run.report(0, None, "reading answers")
    return {"report": str(report_now(batch, by=run.job.by).uuid)}


def report_now(batch: Batch, *, by: User | None = None, now: datetime | None = None) -> AgreementRun:
    """Work the report out where answers, items or slices changed since; the run that holds it under `findings`."""
    now = now or timezone.now()
    digest = input_digest([batch], RunKind.INPUT)
    known = newest_run(batch, RunKind.INPUT, {})
    if known is not None and known.input_sha256 == digest:
        AgreementRun.objects.filter(pk=known.pk).update(checked_at=now)
        known.checked_at = now
        return known
    sheet = Sheet("nominal", findings=input_report(batch).as_json())
    return store(sheet, batch, RunKind.INPUT, {}, digest, by=by, now=now)
