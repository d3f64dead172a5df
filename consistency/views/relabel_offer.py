"""What relabeling under a version would hold, cost and take; the owner opens it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from labeling import access
from labeling.access import Seat
from labeling.models import Batch, GuidelineVersion
from labeling.queries.guideline_content import versions_of
from labeling.refusals import NotSeen, Refusal
from labeling.views.decorators import member_page, person
from labeling.views.navigation import project_context
from labeling.vocabulary import VersionStatus

from ..forms.loop import RelabelForm
from ..queries.relabels import Offer, offer_for, parents_for
from ..relabeling import SMALL, Sizes, Suggestion, accept_relabel_offer, suggest_name, suggest_sizes
from . import gain_words as words


def _version(seat: Seat, uuid: UUID) -> GuidelineVersion:
    version = versions_of(seat.project).filter(uuid=uuid, status=VersionStatus.PUBLISHED).first()
    if version is None:
        raise NotSeen("not_found", "There is no such published definition in this project.")
    version.project = seat.project
    return version


def parent_of(version: GuidelineVersion, wanted: str) -> tuple[Batch | None, list[Batch]]:
    """The batch to label again, and those it was chosen from."""
    choices = list(parents_for(version)[:30])
    for batch in choices:
        batch.project = version.project
    return next((batch for batch in choices if str(batch.uuid) == wanted), choices[0] if choices else None), choices


def plan_of(offer: Offer, sizes: Sizes) -> dict[str, Any]:
    """Items, labels, cost and time of the chosen sizes, by kind of item and by cohort."""
    again = offer.items if sizes.whole else min(sizes.affected + sizes.control + sizes.normal, offer.items)
    fresh = min(sizes.fresh, offer.fresh)
    items = again + fresh
    cohorts: list[dict[str, Any]] = []
    for load in offer.loads:
        cohorts.append(
            {
                "cohort": load.cohort,
                "raters": load.raters,
                "labels": load.labels(items),
                "cost": load.cost(items),
                "seconds": load.seconds,
                "hours": load.hours(items),
                "minutes": None if load.hours(items) is None else round(60 * (load.hours(items) or 0)),
                "days": load.days(items),
            }
        )
    costs = [row["cost"] for row in cohorts if row["cost"] is not None]
    days = [row["days"] for row in cohorts if row["days"] is not None]
    return {
        "items": items,
        "again": again,
        "affected": len(offer.affected) if sizes.whole else min(sizes.affected, len(offer.affected)),
        "control": len(offer.untouched) + len(offer.rest) if sizes.whole else min(sizes.control, len(offer.untouched)),
        "normal": 0 if sizes.whole else min(sizes.normal, offer.items),
        "fresh": fresh,
        "labels": sum(row["labels"] for row in cohorts),
        "cost": sum(costs) if costs else None,
        "cost_partial": bool(costs) and len(costs) < len(cohorts),
        "days": max(days) if days else None,
        "cohorts": cohorts,
    }


def _sizes(form: RelabelForm, suggested: Sizes) -> Sizes:
    return form.sizes() if form.is_bound and form.is_valid() else suggested


@member_page
@require_http_methods(["GET", "POST"])
def relabel_offer(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """What relabeling under a version would hold and take; the owner opens it. `act=count` only counts again."""
    seat = access.project_for(person(request), slug, "see_setup")
    version = _version(seat, uuid)
    parent, choices = parent_of(version, request.POST.get("batch") or request.GET.get("batch", ""))
    if parent is None:
        context = project_context(seat, "guidelines", version=version)
        return render(request, "consistency/loop/no_offer.html", context)
    offer = offer_for(parent, version)
    suggestion = suggest_sizes(offer)
    form = RelabelForm(
        request.POST if request.method == "POST" else None, offer=offer, suggestion=suggestion,
        name=suggest_name(parent, version),
    )  # fmt: skip
    status = 200
    if request.method == "POST" and request.POST.get("act") != "count":
        access.require(seat.membership, "dispatch")
        status = 422
        if form.is_valid():
            try:
                batch = accept_relabel_offer(
                    by=seat, parent=parent, version=version, sizes=form.sizes(), name=form.cleaned_data["name"],
                    same_raters=form.same_raters(), seed=form.cleaned_data["seed"],
                )  # fmt: skip
            except Refusal as refusal:
                form.add_error(None, refusal.message)
                status = refusal.status
            else:
                messages.success(
                    request,
                    f"“{batch}” is being opened: those who labeled before label again, blind to what they said.",
                )
                return redirect("labeling:batch", slug, batch.uuid)
    context = project_context(
        seat,
        "guidelines",
        version=version,
        parent=parent,
        choices=choices,
        offer=offer,
        suggestion=suggestion,
        form=form,
        plan=plan_of(offer, _sizes(form, suggestion.sizes)),
        why=_why_these(offer, suggestion),
        may_open=seat.may("dispatch"),
    )
    template = "consistency/loop/plan.html" if request.headers.get("HX-Request") else "consistency/loop/offer.html"
    return render(request, template, context, status=status)


def _why_these(offer: Offer, suggestion: Suggestion) -> list[str]:
    """The reasoning behind the suggested sizes, in sentences."""
    said = []
    smallest = words.number(suggestion.delta_min)
    if suggestion.sizes.whole:
        if offer.items <= SMALL:
            said.append(
                "The earlier batch is small, so all of it is labeled again: then nothing is chosen by its answers."
            )
        else:
            said.append("So many items would be needed that the whole earlier batch is labeled again.")
    if suggestion.paired_needed is not None:
        enough = suggestion.paired_needed <= offer.items
        said.append(
            f"To tell a gain of {smallest} in α from none, about {suggestion.paired_needed:,} items labeled again by the "
            f"same raters would do{'' if enough else f'; there are {offer.items:,}, so expect a wider interval'}."
        )
    else:
        said.append("The earlier batch has no interval to plan by, so the usual sizes are offered.")
    if suggestion.fresh_needed is not None:
        said.append(f"Fresh items alone would need about {suggestion.fresh_needed:,}.")
    elif suggestion.paired_needed is not None:
        said.append(
            "Fresh items alone cannot decide it: the earlier batch itself varies too much. They show whether it was memory."
        )
    return said
