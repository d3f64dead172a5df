"""Before and after: the comparison's page, looks, the stop rule; and what other pages say of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from labeling import access
from labeling.access import Seat
from labeling.models import Batch, GuidelineVersion
from labeling.project_settings import agreement_target, delta_min, most_rounds, planned_looks
from labeling.queries.guideline_content import versions_of
from labeling.refusals import Refusal
from labeling.views.decorators import member_page, person
from labeling.views.navigation import project_context
from labeling.vocabulary import BatchKind, BatchStatus, VersionStatus

from ..forms.loop import StopRuleForm
from ..gains import comparison_for
from ..gains import look_now as take_look
from ..queries.gains import newest_comparison, relabel_batches, rows_of
from ..queries.relabels import offer_for
from ..relabeling import suggest_sizes
from ..stopping import set_stop_rule
from . import gain_words as words
from .gain_page import compared
from .relabel_offer import parent_of, plan_of

RELABEL_STATES = (BatchStatus.OPENING, BatchStatus.OPEN, BatchStatus.CLOSED)


def child_of(request: HttpRequest, slug: str, uuid: UUID, right: str = "see_figures") -> tuple[Batch, Seat]:
    rows = Batch.objects.filter(project__slug=slug, kind=BatchKind.RELABEL, parent__isnull=False).select_related(
        "guideline_version", "parent__guideline_version"
    )
    batch, seat = access.row_for(person(request), rows, uuid, right)
    return batch, seat


@member_page
@require_safe
def comparisons(request: HttpRequest, slug: str) -> HttpResponse:
    """The newest comparison; or why there is none yet."""
    seat = access.project_for(person(request), slug, "see_figures")
    batches = [batch for batch in relabel_batches(seat.project) if batch.status in RELABEL_STATES]
    if batches:
        wanted = request.GET.get("batch", "")
        chosen = next((batch for batch in batches if str(batch.uuid) == wanted), batches[0])
        return redirect("consistency:comparison", slug, chosen.uuid)
    newest = versions_of(seat.project).filter(status=VersionStatus.PUBLISHED, parent__isnull=False).first()
    context = project_context(seat, "consistency:comparisons", newest=newest, may_define=seat.may("define"))
    return render(request, "consistency/loop/no_comparison.html", context)


@member_page
@require_safe
def comparison(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    child, seat = child_of(request, slug, uuid)
    run, job, progress = comparison_for(by=seat, child=child)
    if job is not None and job.status == "done":
        run, job, progress = comparison_for(by=seat, child=child)
    assert child.parent is not None
    old, new = child.parent.guideline_version, child.guideline_version
    looks = planned_looks(seat.project)
    taken = run.findings.get("look", 0) if run is not None and not run.findings.get("complete") else 0
    context = project_context(
        seat,
        "consistency:comparisons",
        batch=child,
        parent=child.parent,
        old=old,
        new=new,
        run=run,
        job=job,
        progress=progress,
        choices=[batch for batch in relabel_batches(seat.project) if batch.status in RELABEL_STATES],
        looks=looks,
        taken=taken,
        looks_left=max(0, looks - 1 - taken),
        stop_form=StopRuleForm(initial=_stop_rule(seat)) if seat.may("manage") else None,
        stop_rule=_stop_rule(seat),
        **(compared(run, old, new) if run is not None else {}),
    )
    return render(request, "consistency/loop/comparison.html", context)


def _stop_rule(seat: Seat) -> dict[str, Any]:
    project = seat.project
    return {
        "delta_min": delta_min(project),
        "agreement_target": agreement_target(project),
        "planned_looks": planned_looks(project),
        "most_rounds": most_rounds(project),
    }


@member_page
@require_POST
def comparison_look(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """Look at a batch that is not finished: one of a few planned looks."""
    child, seat = child_of(request, slug, uuid)
    try:
        take_look(by=seat, child=child)
    except Refusal as refusal:
        messages.warning(request, refusal.message)
    return redirect("consistency:comparison", slug, uuid)


@member_page
@require_POST
def stop_rule(request: HttpRequest, slug: str) -> HttpResponse:
    """The owner says which gain is worth a revision, the target, how many looks and rounds."""
    seat = access.project_for(person(request), slug, "manage")
    form = StopRuleForm(request.POST)
    if form.is_valid():
        try:
            set_stop_rule(by=seat, **form.cleaned_data)
        except Refusal as refusal:
            messages.error(request, refusal.message)
        else:
            messages.success(request, "Saved. The hint is worked out again by these.")
    else:
        messages.error(request, "; ".join(str(error) for errors in form.errors.values() for error in errors))
    return redirect("consistency:comparisons", slug)


def offer_beside_publishing(request: HttpRequest, seat: Seat, draft: GuidelineVersion) -> str:
    """What publishing would start: on the page where a draft is published."""
    if draft.parent is None:
        return ""
    parent, _ = parent_of(draft, "")
    if parent is None:
        return ""
    offer = offer_for(parent, draft)
    plan = plan_of(offer, suggest_sizes(offer).sizes)
    return render_to_string("consistency/loop/would_start.html", {"offer": offer, "plan": plan}, request)


def story_of_version(request: HttpRequest, seat: Seat, version: GuidelineVersion) -> str:
    """What came of a version: its relabel batches with their result, and the offer to start one."""
    if not seat.may("see_figures") or version.parent_id is None:
        return ""
    results = []
    children = Batch.objects.filter(guideline_version=version, kind=BatchKind.RELABEL, parent__isnull=False)
    for batch in children.order_by("-pk")[:5]:
        run = newest_comparison(batch)
        sentence = ""
        if run is not None:
            sentence = words.story(rows_of(run), run.findings)
            sentence = sentence[:1].upper() + sentence[1:]
        results.append({"batch": batch, "run": run, "sentence": sentence})
    context = {
        "version": version, "project": seat.project, "results": results,
        "offer_url": reverse("consistency:relabel_offer", args=[seat.project.slug, version.uuid]),
    }  # fmt: skip
    return render_to_string("consistency/loop/story.html", context, request)


def comparison_of_batch(request: HttpRequest, seat: Seat, batch: Batch) -> str:
    """On a relabel batch's page: the way to before and after."""
    if batch.kind != BatchKind.RELABEL or batch.parent_id is None or not seat.may("see_figures"):
        return ""
    run = newest_comparison(batch)
    sentence = words.story(rows_of(run), run.findings) if run is not None else ""
    context = {"batch": batch, "project": seat.project, "sentence": sentence[:1].upper() + sentence[1:]}
    return render_to_string("consistency/loop/batch_link.html", context, request)
