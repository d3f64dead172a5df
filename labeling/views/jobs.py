"""Background work as people see it: a list for a project, one job as JSON for a progress bar, and trying again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from ..access import Seat, project_for, seat_in
from ..jobs import retry_job
from ..models import Job, User
from ..refusals import NotAllowed, NotSeen
from ..vocabulary import JobStatus
from .decorators import member_page, person
from .navigation import project_context

PAGE = 50
TITLES = {
    "open_batch": "Opening a batch",
    "open_relabel_batch": "Opening a relabel batch",
    "add_items": "Adding items to a batch",
    "top_up_places": "Adding places to a batch",
    "void_open_places": "Closing a batch",
    "import_items": "Importing items",
    "import_labels": "Importing labels",
}


def may_retry(job: Job, seat: Seat) -> bool:
    """Whoever asked for a job may ask again, and the project's owner."""
    if job.status != JobStatus.FAILED or seat.project.archived_at is not None:
        return False
    return job.by_id == seat.user.pk or seat.may("manage")


def job_row(job: Job, seat: Seat) -> dict[str, Any]:
    """A job for a page."""
    progress = job.progress or {}
    return {
        "uuid": job.uuid,
        "title": TITLES.get(job.kind, job.kind.replace("_", " ").capitalize()),
        "status": job.status,
        "status_words": JobStatus(job.status).label,
        "done": progress.get("done") or 0,
        "total": progress.get("total"),
        "what": progress.get("what") or "",
        "error": job.error,
        "by": job.by.name if job.by else "",
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "may_retry": may_retry(job, seat),
    }


@member_page
@require_safe
def jobs(request: HttpRequest, slug: str) -> HttpResponse:
    seat = project_for(person(request), slug, "see_setup")
    rows = Job.objects.filter(project=seat.project).select_related("by").order_by("-pk")
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    active = any(job.status in (JobStatus.QUEUED, JobStatus.RUNNING) for job in page)
    context = project_context(seat, page=page, rows=[job_row(job, seat) for job in page], poll=active)
    template = "labeling/jobs_table.html" if request.headers.get("HX-Request") else "labeling/jobs.html"
    return render(request, template, context)


def job_for(user: User, uuid: UUID) -> tuple[Job, Seat | None]:
    """A job and the person's seat in its project; a job of no project is seen by whoever asked for it."""
    row = Job.objects.select_related("by", "project").filter(uuid=uuid).first()
    if row is None or (row.project_id is None and row.by_id != user.pk):
        raise NotSeen("not_found", "There is no such job for you.")
    return row, None if row.project_id is None else seat_in(user, row.project_id, "see_setup")


@member_page
@require_safe
def job(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """How far a job is, as JSON; polled while it runs."""
    row, _seat = job_for(person(request), uuid)
    return JsonResponse(
        {
            "uuid": str(row.uuid),
            "kind": row.kind,
            "status": row.status,
            "progress": row.progress or {},
            "result": row.result,
            "error": row.error,
            "attempts": row.attempts,
            "created_at": row.created_at.isoformat(),
            "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        }
    )


@member_page
@require_POST
def job_retry(request: HttpRequest, uuid: UUID) -> HttpResponse:
    row, seat = job_for(person(request), uuid)
    if seat is not None and row.by_id != seat.user.pk and not seat.holds("manage"):
        raise NotAllowed("no_right", "A job is tried again by whoever asked for it, or by the project's owner.")
    retry_job(by=person(request), job=row)
    messages.success(request, "The job is queued again.")
    target = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        return redirect(target)
    return redirect("labeling:jobs", row.project.slug) if row.project else redirect("labeling:home")
