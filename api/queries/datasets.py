"""What the dock's pages and its REST read."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet

from labeling.models import Job, Project
from labeling.vocabulary import JobStatus

from ..models import DatasetNotice, DatasetVersion
from ..vocabulary import DatasetStatus

LINEAGE = {
    "rater": "raters",
    "guideline_version": "guideline_versions",
    "import_run": "import_runs",
    "batch": "batches",
}


def datasets_of(project: Project) -> QuerySet[DatasetVersion]:
    """The project's dataset versions, newest first, with the number of notices and without their manifests."""
    return (
        DatasetVersion.objects.filter(project=project)
        .select_related("by", "parent")
        .defer("manifest", "parent__manifest")
        .annotate(notice_count=Count("notices"))
        .order_by("-number")
    )


def build_key(dataset: DatasetVersion) -> str:
    """What the dataset's building job is known by."""
    return f"build_dataset:{dataset.pk}"


def build_job(dataset: DatasetVersion) -> Job | None:
    """The newest job that builds the dataset."""
    return Job.objects.filter(dedup_key=build_key(dataset)).order_by("-pk").first()


def state_of(dataset: DatasetVersion, job: Job | None) -> tuple[str, str]:
    """(status, words): as the row says, but failed when its job gave up before it could say so."""
    if dataset.status == DatasetStatus.BUILDING and job is not None and job.status == JobStatus.FAILED:
        return DatasetStatus.FAILED, job.error
    return dataset.status, dataset.error


def notices_of(dataset: DatasetVersion) -> QuerySet[DatasetNotice]:
    return DatasetNotice.objects.filter(dataset_version=dataset).select_related("item").order_by("id")


def datasets_that_hold(project: Project, **what: str) -> list[dict[str, Any]]:
    """Ready datasets whose lineage names a rater (pseudonym), guideline version, import run or batch.

    `what` has the keys of LINEAGE; all that are given must hold. Lineage is a small part of the manifest.
    """
    found = []
    rows = DatasetVersion.objects.filter(project=project, status=DatasetStatus.READY).order_by("-number")
    for uuid, number, name, lineage in rows.values_list("uuid", "number", "name", "manifest__lineage"):
        if all(str(value) in (lineage or {}).get(LINEAGE[key], []) for key, value in what.items()):
            found.append({"uuid": str(uuid), "number": number, "name": name})
    return found
