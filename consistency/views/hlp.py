"""Human-level performance: per cohort and slice, typed by its reference, beside baselines, ceiling and models."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from labeling import access
from labeling.models import Assignment, Batch, Membership
from labeling.references import adopt_reference as adopt
from labeling.refusals import NotSeen, Refusal
from labeling.views.batches import batch_and_seat
from labeling.views.decorators import member_page, person
from labeling.views.navigation import project_context
from labeling.vocabulary import BatchKind, BatchStatus, PlaceStatus

from ..measuring import figures_for
from ..offline.numbers import count
from ..queries.figures import Figures, figures_of
from ..queries.slices import slices_of
from ..vocabulary import RunKind, Scope
from .figure_rows import Names
from .figures import age_piece, freshness
from .hlp_kinds import get, group_id, group_name, groups_of, kinds_of
from .hlp_pieces import banner, by_cohort_and_slice, compared, lead, ranking, references, scores, three_kinds

MOST_BATCHES = 60


@member_page
@require_safe
def hlp(request: HttpRequest, slug: str) -> HttpResponse:
    """HLP of one batch of the project: the newest with labels unless `batch` names another.

    `kind`, `cohort` and `model` choose what is shown.
    """
    seat = access.project_for(person(request), slug, "see_figures")
    choices = measured_batches(seat.project.pk)
    batch = _chosen(choices, request.GET.get("batch", ""))
    context = project_context(seat, "consistency:hlp", batches=choices, batch=batch)
    if batch is None:
        return render(request, "consistency/hlp.html", context)
    run, job = figures_for(by=seat, batch=batch, kind=RunKind.HLP)
    context |= freshness(batch, run, job)
    context["extra"] = f"batch={batch.uuid}"
    if request.GET.get("part") == "age":
        return age_piece(request, seat, run, context)
    if run is not None:
        names = Names(seat)
        context |= page_of(
            figures_of(run),
            request.GET.dict(),
            slices={one.key: one.name for one in slices_of(seat.project)},
            labels={label.key: label.name for label in batch.guideline_version.labels.all()},
        )
        context["may_adopt"] = seat.may("define")
        context["adoptable"] = adoptable(batch, names) if context["may_adopt"] else []
    return render(request, "consistency/hlp.html", context)


def measured_batches(project_id: int) -> list[Batch]:
    """Batches that can have figures, newest first."""
    rows = Batch.objects.filter(project=project_id, status__in=(BatchStatus.OPEN, BatchStatus.CLOSED))
    return list(
        rows.exclude(kind=BatchKind.RETEST, parent__isnull=False)
        .select_related("guideline_version", "project")
        .order_by("-pk")[:MOST_BATCHES]
    )


def _chosen(choices: list[Batch], wanted: str) -> Batch | None:
    if not wanted:
        return choices[0] if choices else None
    found = next((batch for batch in choices if str(batch.uuid) == wanted), None)
    if found is None:
        raise NotSeen("not_found", "There is no such batch for you.")
    return found


def adoptable(batch: Batch, names: Names) -> list[tuple[str, str]]:
    """(uuid, name) of members with answers in the batch: whose labels may become the reference."""
    answered = Assignment.objects.filter(batch=batch, member=OuterRef("pk"), status=PlaceStatus.SUBMITTED)
    rows = Membership.objects.filter(Exists(answered), project=batch.project_id).order_by("pk")
    return [(str(uuid), names(str(uuid))) for uuid in rows.values_list("uuid", flat=True)[:500]]


@member_page
@require_POST
def adopt_reference(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """One rater's labels of the batch become `single_rater` gold of its version."""
    batch, seat = batch_and_seat(request, slug, uuid, "define")
    back = redirect(reverse("consistency:hlp", args=[slug]) + f"?batch={batch.uuid}")
    try:
        wanted = UUID(request.POST.get("member", ""))
    except ValueError:
        messages.warning(request, "Choose whose labels are to be the reference.")
        return back
    member = Membership.objects.filter(project=seat.project, uuid=wanted).first()
    if member is None:
        raise NotSeen("not_found", "There is no such member in this project.")
    try:
        done = adopt(by=seat, batch=batch, member=member)
    except Refusal as refusal:
        messages.warning(request, refusal.message)
    else:
        said = f"{count(done.new)} labels are the reference of definition {batch.guideline_version} now."
        messages.success(request, said if done.new else "These labels are the reference already.")
    return back


def page_of(
    found: Figures, wanted: dict[str, str], *, slices: dict[str, str], labels: dict[str, str]
) -> dict[str, Any]:
    """Everything the page shows of a run, for the chosen kind, cohort and model; slices and labels by their names."""
    groups = groups_of(found)
    kinds = kinds_of(found)
    kind = next((one for one in kinds if one.slug == wanted.get("kind")), kinds[0])
    models = list(dict.fromkeys(key["model"] for key in found.keys(Scope.MODEL, "model_score") if "model" in key))
    model = next((one for one in models if one == wanted.get("model")), models[0] if models else "")
    chosen = next((g for g in groups if group_id(g) == wanted.get("cohort")), _largest(found, groups))
    page: dict[str, Any] = {
        "groups": [{"id": group_id(g), "name": group_name(g), "cohort": g["cohort"]} for g in groups],
        "kinds": kinds,
        "kind": kind,
        "models": models,
        "model": model,
        "chosen": {"id": group_id(chosen), "name": group_name(chosen), "cohort": chosen["cohort"]} if chosen else None,
    }
    if not chosen:
        return page | {"lead": "There are no labels yet, so there is nothing to compare."}
    shown = (model or "") if kind.takes_model else ""
    return page | {
        "lead": lead(found, chosen, kind),
        "banner": banner(found, chosen, kind, shown),
        "table": by_cohort_and_slice(found, groups, kind, shown, slices),
        "three": three_kinds(found, chosen, kinds),
        "ranking": ranking(found, chosen, kind, model or "", slices),
        "compared": compared(found, groups, models),
        "scores": scores(found, chosen, kind, models, labels),
        "references": references(found),
        "left_out": found.run.findings.get("left_out", {}),
        "shown_model": shown,
    }


def _largest(found: Figures, groups: list[dict[str, str]]) -> dict[str, str] | None:
    return max(groups, key=lambda g: get(found, g, "constant_model").n_ratings, default=None)
