"""Voting over a batch: the last resort, and its page says so."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from labeling import access
from labeling.models import Batch
from labeling.refusals import NotSeen, Refusal
from labeling.views.decorators import member_page, person
from labeling.views.navigation import project_context
from labeling.vocabulary import Cohort

from ..queries import bench as reads
from ..vocabulary import ResolutionMethod
from ..voting import VOTED, enqueue_vote


@member_page
@require_http_methods(["GET", "HEAD", "POST"])
def bench_vote(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """What a vote would do and what it hides; POST starts it."""
    seat = access.project_for(person(request), slug, "manage")
    batch = Batch.objects.select_related("project", "guideline_version").filter(project=seat.project, uuid=uuid).first()
    if batch is None:
        raise NotSeen("not_found", "There is no such batch in this project.")
    problem: Refusal | None = None
    if request.method == "POST":
        try:
            enqueue_vote(
                by=seat,
                batch=batch,
                method=request.POST.get("method", ""),
                cohort=request.POST.get("cohort") or None,
                release=request.POST.get("release") == "1",
            )
        except Refusal as refusal:
            problem = refusal
        else:
            messages.success(
                request, "The vote is being counted. Its result stands under Jobs, and ties stay in the queue."
            )
            return redirect(reverse("consistency:bench", args=[slug]) + f"?batch={batch.uuid}")
    counts = [one for one in reads.batches_with_cases(seat.project) if one.batch.pk == batch.pk]
    context = project_context(
        seat,
        "consistency:bench",
        batch=batch,
        counted=counts[0] if counts else None,
        methods=[(method, ResolutionMethod(method).label) for method in VOTED],
        cohort_choices=Cohort.choices,
        problem=problem,
    )
    return render(request, "consistency/bench_vote.html", context, status=problem.status if problem else 200)
