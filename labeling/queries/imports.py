"""A project's imports, and where one stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from ..models import Batch, ImportRun, Job, Project
from ..vocabulary import JobStatus, RunStatus


def imports_of(project: Project) -> QuerySet[ImportRun]:
    """The project's imports, the newest first."""
    return ImportRun.objects.filter(project=project).select_related("by").order_by("-pk")


def latest_jobs(runs: list[ImportRun]) -> dict[int, Job]:
    """{run id: its latest job} for at most a page of runs."""
    keys = {f"import:{run.pk}": run.pk for run in runs}
    newest: dict[int, Job] = {}
    for job in Job.objects.filter(dedup_key__in=list(keys)).order_by("pk"):
        newest[keys[job.dedup_key]] = job
    return newest


@dataclass(frozen=True)
class Standing:
    """Where an import stands. state: mapping (waits for its columns), waiting (for a worker), working, stopped, or the
    status of an ended run. `why` says what stopped it; done and total count rows, what is done with them."""

    state: str
    why: str = ""
    done: int = 0
    total: int = 0
    what: str = ""

    @property
    def is_moving(self) -> bool:
        return self.state in ("waiting", "working")


def standing_of(run: ImportRun, job: Job | None) -> Standing:
    """Where the run stands, by its latest job."""
    if run.status not in (RunStatus.CHECKING, RunStatus.WRITING):
        return Standing(run.status)
    if not run.mapping_sha256:
        return Standing("mapping")
    if job is None or job.status in (JobStatus.FAILED, JobStatus.DONE):
        return Standing("stopped", job.error if job is not None else "")
    if job.status == JobStatus.QUEUED:
        return Standing("waiting", job.error)
    progress: dict[str, Any] = job.progress or {}
    return Standing(
        "working", "", progress.get("done") or 0, progress.get("total") or 0, progress.get("what") or "checking"
    )


def batches_of_import(run: ImportRun) -> list[Batch]:
    """The batches an import of labels made, the first labels before the repeats."""
    return list(Batch.objects.filter(import_run=run).select_related("guideline_version").order_by("pk"))
