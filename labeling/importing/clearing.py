"""Removing what a discarded or refused run wrote. Nothing of it was ever visible."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from .. import jobs
from ..models import (
    Annotation,
    Assignment,
    Batch,
    BatchItem,
    Gold,
    GuidelineVersion,
    ImportRun,
    Item,
    ItemTag,
    LabelDefinition,
    Membership,
    Project,
    User,
)
from ..refusals import Refusal
from ..vocabulary import RunStatus
from . import runs

_CHUNK = 250


@jobs.handles("clear_import")
def clear_import_job(job: jobs.JobRun) -> dict[str, Any]:
    """Delete the run's rows in small transactions, dependents first; again, it goes on where it was."""
    run = runs.load(job)
    if run.status not in (RunStatus.DISCARDED, RunStatus.REFUSED):
        raise Refusal("not_discarded", "Only what a discarded or refused import wrote can be removed.")
    batches = Batch.objects.filter(import_run=run)
    places = Assignment.objects.filter(batch__in=batches)
    removed = 0
    for rows in (
        Annotation.objects.filter(assignment__in=places),
        places,
        BatchItem.objects.filter(batch__in=batches),
        Gold.objects.filter(import_run=run),
        ItemTag.objects.filter(item__import_run=run),
        Item.objects.filter(import_run=run),
    ):
        removed += _delete(job, rows, removed)
    with transaction.atomic():
        versions = set(batches.values_list("guideline_version_id", flat=True))
        # Retest batches first: they name the batch they repeat.
        batches.filter(parent__isnull=False).delete()
        batches.delete()
        LabelDefinition.objects.filter(version__in=versions, version__published_at__isnull=True).delete()
        GuidelineVersion.objects.filter(pk__in=versions, published_at__isnull=True).delete()
    _remove_idle_raters(run)
    if run.status == RunStatus.DISCARDED:
        runs.remove_file(run)
    return {"removed": removed}


def _delete(job: jobs.JobRun, rows: QuerySet[Any], before: int) -> int:
    removed = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:_CHUNK]):
        with transaction.atomic():
            rows.model._default_manager.filter(pk__in=ids).delete()
        removed += len(ids)
        job.report(before + removed, None, "removing")
    return removed


def _remove_idle_raters(run: ImportRun) -> None:
    """Raters whom an import brought in and who have no label left, with their accounts.

    Not while another import of labels writes: its raters have no label yet. Locked as its turn is.
    """
    places = Assignment.objects.filter(member=OuterRef("pk"))
    idle = Membership.objects.filter(~Exists(places), project=run.project, active=False).exclude(imported_id="")
    while True:
        with transaction.atomic():
            Project.objects.select_for_update(no_key=True).get(pk=run.project_id)
            if ImportRun.objects.filter(project=run.project, status=RunStatus.WRITING).exists():
                return
            pairs = list(idle.values_list("pk", "user_id")[:_CHUNK])
            Membership.objects.filter(pk__in=[pk for pk, _ in pairs]).delete()
            User.objects.filter(pk__in=[pk for _, pk in pairs], is_active=False).delete()
        if not pairs:
            return
