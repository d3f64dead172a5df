"""From a ruling to the draft; and what a draft, a version and a rater's page say of its motives."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.views.decorators.http import require_POST

from labeling import access
from labeling.access import Seat
from labeling.models import GuidelineVersion
from labeling.refusals import NotSeen, Refusal
from labeling.views.decorators import member_page, person
from labeling.views.item_html import picture_or_words

from ..models import Adjudication, Disagreement
from ..queries.motives import motives_of, words_for_readers
from ..revising import propose_change as propose


def _uuids(request: HttpRequest, name: str) -> list[UUID]:
    try:
        return [UUID(raw) for raw in request.POST.getlist(name) if raw]
    except ValueError:
        raise NotSeen("not_found", "There is no such case in this project.") from None


def _pair(request: HttpRequest, name: str) -> tuple[str, str] | None:
    first, second = request.POST.get(f"{name}_from", "").strip(), request.POST.get(f"{name}_to", "").strip()
    return (first, second) if first and second else None


@member_page
@require_POST
def propose_change(request: HttpRequest, slug: str) -> HttpResponse:
    """Name rulings (`adjudication`) or disagreements (`disagreement`), each repeated, as motives of the draft.

    `merge_from` and `merge_to`, `normalise_from` and `normalise_to`: a label that reads as another one from then on.
    """
    seat = access.project_for(person(request), slug, "define")
    wanted, cases = _uuids(request, "adjudication"), _uuids(request, "disagreement")
    inside = {"disagreement__batch__project": seat.project}
    rulings = list(Adjudication.objects.filter(uuid__in=wanted[:500], **inside).select_related("disagreement__batch"))
    named = len(rulings)
    # A ruling over a cluster stands for all its cases: one rationale covers them.
    clusters = {ruling.cluster for ruling in rulings if ruling.cluster is not None}
    if clusters:
        mates = Adjudication.objects.filter(cluster__in=clusters, **inside).select_related("disagreement__batch")
        rulings += [mate for mate in mates if mate.uuid not in set(wanted)]
    found = list(Disagreement.objects.filter(uuid__in=cases[:500], batch__project=seat.project).select_related("batch"))
    if named != len(set(wanted)) or len(found) != len(set(cases)):
        raise NotSeen("not_found", "There is no such case in this project.")
    try:
        draft = propose(
            by=seat,
            adjudications=rulings,
            disagreements=found,
            merge=_pair(request, "merge"),
            normalise=_pair(request, "normalise"),
        )
    except Refusal as refusal:
        messages.warning(request, refusal.message)
        return redirect("labeling:guidelines", slug)
    messages.success(request, f"{draft} is the draft to write it into; what led to it stands beside the text.")
    return redirect("labeling:guideline_edit", slug)


def show_motives(request: HttpRequest, seat: Seat, version: GuidelineVersion) -> str:
    """Why this change: the items that led to a draft or a version, as a panel; empty when nothing is named."""
    if not seat.may("see_items"):
        return ""
    motives = motives_of(version)
    if not motives.total:
        return ""
    groups = [
        (words, [{"motive": motive, **picture_or_words(motive.item, seat.project, 80)} for motive in items])
        for words, items in motives.groups
    ]
    # What the version's own note says in these words is not said twice on its page.
    context = {"motives": motives, "groups": groups, "project": seat.project, "said": version.change_note.strip()}
    return render_to_string("consistency/loop/motives.html", context, request)


def motives_for_reader(request: HttpRequest, seat: Seat, version: GuidelineVersion) -> str:
    """Why, in words that name no rater and no item."""
    words = words_for_readers(version)
    return render_to_string("consistency/loop/motives_in_words.html", {"words": words}) if words.items else ""
