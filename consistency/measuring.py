"""Room 6: a batch's labels become stored figures. The same question over the same labels is the same row."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from labeling import jobs
from labeling.access import Seat, hold_right
from labeling.models import Batch, Job, User
from labeling.project_settings import model_margin
from labeling.vocabulary import JobStatus

from .agreement_figures import measure_agreement
from .hlp_figures import audit_ruled, measure_performance
from .models import AgreementEstimate, AgreementRun
from .queries.figures import CODE_VERSION, CONFIDENCE, Sheet, input_digest, is_fresh, newest_run, question_of
from .queries.ratings import Reading, read_ratings, with_retests
from .queries.references import models_of, predictions_for, references_of
from .queries.slices import items_by_slice
from .vocabulary import RunKind

# A run that was replaced within this time tells nothing any more; older ones stay as the record of what was shown.
REPLACED = timedelta(days=1)
ROWS_PER_INSERT = 200


def measure_batch(*, by: Seat, batch: Batch, pooled: bool = False) -> Job:
    """Have the batch's agreement and HLP measured; the job that does it. Twice at once is one job.

    `pooled` also asks for figures over all cohorts together, by name. Raises NotAllowed.
    """
    hold_right(by.membership, "see_figures")
    return jobs.enqueue(
        kind="measure_batch",
        by=by.user,
        project=batch.project,
        dedup_key=f"measure_batch:{batch.pk}:{int(pooled)}",
        parameters={"batch": batch.pk, "pooled": pooled},
    )


@jobs.handles("measure_batch")
def measure_batch_job(run: jobs.JobRun) -> dict[str, Any]:
    batch = Batch.objects.select_related("project", "guideline_version").get(pk=run.parameters["batch"])
    agreement, hlp = measure_now(batch, pooled=bool(run.parameters.get("pooled")), by=run.job.by, progress=run)
    return {"agreement": str(agreement.uuid), "hlp": str(hlp.uuid)}


def figures_for(
    *, by: Seat, batch: Batch, kind: str = RunKind.AGREEMENT, pooled: bool = False, now: datetime | None = None
) -> tuple[AgreementRun | None, Job | None]:
    """The newest run of the batch, and the job that brings it up to date where it is more than a minute old.

    None for the run before it was ever measured. Measuring happens outside the request; the page asks again.
    """
    now = now or timezone.now()
    found = newest_run(batch, kind, parameters_of(batch, kind, pooled=pooled))
    if found is not None and is_fresh(found, now):
        return found, None
    job = measure_batch(by=by, batch=batch, pooled=pooled)
    job.refresh_from_db()
    if job.status == JobStatus.DONE:  # inline: it ran when it was queued
        return newest_run(batch, kind, parameters_of(batch, kind, pooled=pooled)), None
    return found, job


def parameters_of(batch: Batch, kind: str, *, pooled: bool = False) -> dict[str, Any]:
    """The parameters of a batch's question: part of its digest, so another margin is another question."""
    if kind == RunKind.HLP:
        return {"confidence": CONFIDENCE, "margin": model_margin(batch.project)}
    return {"confidence": CONFIDENCE, "pooled": pooled}


def measure_now(
    batch: Batch,
    *,
    pooled: bool = False,
    by: User | None = None,
    now: datetime | None = None,
    progress: jobs.JobRun | None = None,
) -> tuple[AgreementRun, AgreementRun]:
    """Measure agreement and HLP where the labels changed since; (agreement, HLP)."""
    now = now or timezone.now()
    every = with_retests([batch])
    reading: Reading | None = None
    runs: list[AgreementRun] = []
    for step, kind in enumerate((RunKind.AGREEMENT, RunKind.HLP)):
        # The digest is taken before the labels are read: what arrives in between is measured next time.
        digest = input_digest(every, kind)
        parameters = parameters_of(batch, kind, pooled=pooled)
        known = newest_run(batch, kind, parameters)
        if known is not None and known.input_sha256 == digest:
            AgreementRun.objects.filter(pk=known.pk).update(checked_at=now)
            known.checked_at = now
            runs.append(known)
            continue
        if progress is not None:
            progress.report(step, 2, "reading labels" if reading is None else "measuring")
        reading = reading or read_ratings([batch])
        sheet = agreement_sheet(reading, pooled=pooled) if kind == RunKind.AGREEMENT else hlp_sheet(reading)
        runs.append(store(sheet, batch, kind, parameters, digest, by=by, now=now))
    return runs[0], runs[1]


def agreement_sheet(reading: Reading, *, pooled: bool = False) -> Sheet:
    """The agreement figures of a reading, not stored."""
    return measure_agreement(reading, items_by_slice(reading.batches[0].project), pooled=pooled)


def hlp_sheet(reading: Reading) -> Sheet:
    """The HLP figures of a reading, not stored."""
    project = reading.batches[0].project
    references = references_of(reading)
    every_ruling = references_of(reading, disputed=True).get("adjudicated") if "adjudicated" in references else None
    if every_ruling is not None:
        outside = references["adjudicated"].left_out
        every_ruling = type(every_ruling)(
            every_ruling.origin, every_ruling.labels, every_ruling.authors, left_out=outside
        )
    models = {str(model): predictions_for(reading, model) for model in models_of(reading.batches[0])}
    sheet = measure_performance(
        reading, items_by_slice(project), references, models, disputed=every_ruling, margin=model_margin(project)
    )
    ruled, drawn = audit_ruled(reading, references.get("adjudicated"))
    sheet.findings["audit"] = {"ruled": ruled, "items": drawn}
    return sheet


def store(
    sheet: Sheet,
    batch: Batch,
    kind: str,
    parameters: dict[str, Any],
    input_sha256: str,
    *,
    by: User | None,
    now: datetime,
) -> AgreementRun:
    """Keep the sheet as the run of its question and labels; of two that measured the same at once one is kept."""
    question = question_of(kind, [batch], parameters)
    try:
        with transaction.atomic():
            run = AgreementRun.objects.create(
                project=batch.project,
                kind=kind,
                batch=batch,
                batches=[str(batch.uuid)],
                parameters=parameters,
                question_sha256=question,
                input_sha256=input_sha256,
                code_version=CODE_VERSION,
                findings=sheet.findings,
                by=by,
                at=now,
                checked_at=now,
            )
            for row in sheet.rows:
                row.run = run
            AgreementEstimate.objects.bulk_create(sheet.rows, batch_size=ROWS_PER_INSERT)
            replaced = AgreementRun.objects.filter(
                question_sha256=question, pk__lt=run.pk, at__gt=now - REPLACED
            ).exclude(pk__in=AgreementEstimate.objects.filter(compared_run__isnull=False).values("compared_run"))
            replaced.delete()
    except IntegrityError:
        run = AgreementRun.objects.get(question_sha256=question, input_sha256=input_sha256, code_version=CODE_VERSION)
    return run
