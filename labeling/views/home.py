"""The first page: what to do next, and why something waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.formats import date_format
from django.views.decorators.http import require_safe

from ..claiming import start_of_day
from ..models import Membership, User
from ..queries import home as reads
from ..queries.home import OwnBatch
from ..queries.people import may_create_projects
from .decorators import member_page, person
from .navigation import link, rooms_with_work
from .next_acts import count_of, next_act, words_of
from .panels import home_panels

PROJECTS_PER_PAGE = 20


@dataclass(frozen=True)
class BatchLine:
    """A batch as the page shows it: the row, its link, and its state in words."""

    row: OwnBatch
    words: str
    url: str


@member_page
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    user, at = person(request), timezone.now()
    seats = reads.seats_of(user)
    context: dict[str, Any] = {
        "greeting": greeting(user, seats, at),
        "may_create": may_create_projects(user),
        "has_seats": bool(seats),
        "panels": home_panels(request, seats),
        **_labeling(user, seats, at),
        **_projects(seats, request.GET.get("page")),
    }
    context["lead"] = _lead(context)
    return render(request, "labeling/home.html", context)


def greeting(user: User, seats: Sequence[Membership], at: datetime) -> str:
    """“Good morning, Gina”, by the clock of the person's project."""
    zone = seats[0].project.time_zone if seats else "UTC"
    hour = at.astimezone(ZoneInfo(zone)).hour
    words = "Good morning" if 4 <= hour < 12 else "Good afternoon" if 12 <= hour < 18 else "Good evening"
    return f"{words}, {user.name.split()[0]}"


def _labeling(user: User, seats: Sequence[Membership], at: datetime) -> dict[str, Any]:
    """What a rater finds; empty for people without a cohort."""
    if not any(seat.cohort for seat in seats):
        return {}
    midnights = {seat.project.time_zone: start_of_day(seat.project.time_zone, at) for seat in seats}
    today = reads.count_today(seats, midnights)
    rows = reads.own_batches(seats, at, today)
    next_row = next((row for row in rows if row.workable), None)
    context: dict[str, Any] = {
        "labels_here": True,
        "lines": [_line(row, at) for row in rows],
        "next": next_row,
        "workable": sum(row.workable for row in rows),
        "replies": reads.recent_replies(user, at),
        "today": _today(seats, next_row, today),
    }
    if next_row is not None:
        version = next_row.batch.guideline_version
        context |= {
            "next_url": link("desk", next_row.batch.uuid),
            "pace": _pace(next_row),
            "version": version,
            "version_url": link("guideline", next_row.batch.project.slug, version.uuid),
            "hotkeys": [label.hotkey for label in version.labels.all() if label.hotkey],
        }
    return context


def _today(seats: Sequence[Membership], next_row: OwnBatch | None, today: dict[int, int]) -> str:
    """“Today 28 of 70 labels”: for the project that is next, or where the person has only one."""
    labeling = [seat for seat in seats if seat.cohort]
    member = next_row.member if next_row else labeling[0] if len(labeling) == 1 else None
    if member is None:
        return f"Today {count_of(sum(today.values()), 'label', 'labels')}"
    done = today.get(member.pk, 0)
    if member.daily_cap is None:
        return f"Today {count_of(done, 'label', 'labels')}"
    return f"Today {done:,} of {count_of(member.daily_cap, 'label', 'labels')}"


def _pace(row: OwnBatch) -> str:
    seconds = reads.seconds_per_item(row.member, row.batch)
    if seconds is None or not row.left:
        return ""
    minutes = max(1, round(seconds * row.left / 60))
    words = count_of(minutes, "minute", "minutes") if minutes < 90 else count_of(round(minutes / 60), "hour", "hours")
    return f"At your pace the rest takes about {words}."


def _line(row: OwnBatch, at: datetime) -> BatchLine:
    url = link("desk", row.batch.uuid) if row.workable else link("my_answers", row.batch.uuid) if row.done else ""
    return BatchLine(row, state_in_words(row, at), url)


def state_in_words(row: OwnBatch, at: datetime) -> str:
    """Why a batch stands as it does, for its rater."""
    version = row.batch.guideline_version
    zone = ZoneInfo(row.member.project.time_zone)
    if row.state == "open":
        return "open" if row.batch.closed_at is None else "closed; what you hold can still be answered"
    if row.state == "unread":
        return f"open; definition {version} to be read first"
    if row.state == "cap":
        midnight = start_of_day(row.member.project.time_zone, at) + timedelta(days=1, hours=2)
        opens = start_of_day(row.member.project.time_zone, midnight).astimezone(zone)
        return f"your limit of {row.member.daily_cap:,} labels is reached; goes on {date_format(opens, 'l')} at {opens:%H:%M}"
    if row.state == "later" and row.opens_at is not None:
        return f"opens {date_format(row.opens_at.astimezone(zone), 'j F, H:i')}, after a rest"
    if row.state == "waiting":
        return "every open item is in someone’s hands; if one comes back, it is yours"
    if row.state == "opening":
        return "being prepared; opens in a moment"
    if row.state == "closed":
        return "closed; your answers are kept"
    return "yours are done; waiting for others" if row.others_wait else "done"


def _projects(seats: Sequence[Membership], number: str | None) -> dict[str, Any]:
    """The projects a person sets up or answers for, each with what comes next."""
    page = Paginator(reads.setup_seats(seats), PROJECTS_PER_PAGE).get_page(number)
    facts = reads.facts_of([seat.project_id for seat in page]) if page.object_list else {}
    rooms = rooms_with_work(list(page))
    return {
        "page": page,
        "projects": [
            {
                "seat": seat,
                "url": link("project", seat.project.slug),
                "next": next_act(facts[seat.project_id], seat, rooms.get(seat.pk, ())),
            }
            for seat in page
        ],
    }


def _lead(context: dict[str, Any]) -> str:
    workable = context.get("workable", 0)
    if workable:
        return f"{words_of(workable, 'batch is', 'batches are')} waiting."
    if context.get("labels_here"):
        return "There is nothing to label right now, and nothing has gone wrong."
    urgent = sum(project["next"].urgent for project in context["projects"])
    if urgent:
        return f"{words_of(urgent, 'project is', 'projects are')} waiting for you."
    return ""
