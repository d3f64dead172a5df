"""Discussions, as the raters of an item see them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_POST

from labeling import access
from labeling.access import Seat
from labeling.models import Assignment, Batch, Membership
from labeling.refusals import NotSeen, Refusal
from labeling.views.decorators import member_page, person
from labeling.views.item_html import one_line

from .. import discussing
from ..models import Disagreement
from ..queries import cases
from ..queries.people import rater_names
from ..vocabulary import DisagreementStatus


@member_page
@require_POST
def discussion_say(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """A rater's message about an item they answered; back to their answer."""
    seat = access.project_for(person(request), slug)
    case = cases.case_of(seat.project, uuid)
    place = (
        Assignment.objects.filter(batch_item_id=case.batch_item_id, member=seat.membership).first()
        if case is not None
        else None
    )
    if case is None or place is None:
        raise NotSeen("not_found", "There is no such discussion for you.")
    try:
        discussing.say_in_discussion(by=seat, disagreement=case, text=request.POST.get("text", ""))
    except NotSeen:
        raise
    except Refusal as refusal:
        messages.warning(request, refusal.message)
    else:
        messages.success(request, "Your message is with the others.")
    return redirect("labeling:my_answer", place.uuid)


def show_discussion(request: HttpRequest, seat: Seat, place: Assignment) -> str:
    """The thread about an item, beside the rater's own answer; empty before a discussion was opened."""
    case = (
        Disagreement.objects.select_related("batch__project", "batch_item")
        .filter(batch_item_id=place.batch_item_id, batch_item__revealed_at__isnull=False)
        .first()
    )
    if case is None:
        return ""
    names = rater_names(seat.project)
    context = {
        "case": case,
        "project": seat.project,
        "thread": [
            (message, "You" if message.by_id == seat.membership.pk else who)
            for message, who in cases.thread_of(case, names)
        ],
        "open": case.status in (DisagreementStatus.DISCUSSING, DisagreementStatus.HELD) and seat.may("label"),
        "zone": seat.project.time_zone,
    }
    return render_to_string("consistency/bench/discussion.html", context, request)


def show_discussed(request: HttpRequest, seat: Seat, batch: Batch) -> str:
    """Items of the rater that are in discussion, above the list of their answers."""
    rows = (
        Assignment.objects.filter(
            batch=batch,
            member=seat.membership,
            status="submitted",
            batch_item__disagreement__status__in=(DisagreementStatus.DISCUSSING, DisagreementStatus.HELD),
            batch_item__revealed_at__isnull=False,
        )
        .select_related("batch_item__item")
        .order_by("batch_item__revealed_at")[:20]
    )
    lines = [
        {
            "url": reverse("labeling:my_answer", args=[row.uuid]),
            "words": one_line(row.batch_item.item, seat.project) or "An item",
        }
        for row in rows
    ]
    return render_to_string("consistency/bench/discussed.html", {"lines": lines}) if lines else ""


MOST_WAITING = 5


def show_waiting(request: HttpRequest, seats: Sequence[Membership]) -> str:
    """On a rater's first page: discussions in which someone else spoke last."""
    labeling = {seat.pk: seat for seat in seats if seat.cohort and seat.active}
    if not labeling:
        return ""
    places = cases.discussions_waiting_for(list(labeling.values()), most=MOST_WAITING + 1)
    lines = [
        {
            "url": reverse("labeling:my_answer", args=[place.uuid]),
            "words": one_line(place.batch_item.item, labeling[place.member_id].project) or "An item",
        }
        for place in places[:MOST_WAITING]
        if place.member_id is not None
    ]
    context = {"lines": lines, "more": len(places) > MOST_WAITING}
    return render_to_string("consistency/bench/discussion_waits.html", context) if lines else ""
