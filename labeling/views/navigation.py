"""The project's rooms for the top bar, by right; and links that pages of several rooms share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import NoReverseMatch, reverse

from ..access import Seat, can_use
from ..models import Membership
from ..queries.people import count_open_questions


@dataclass(frozen=True)
class Waiting:
    """Work that waits on a page: how much in each of some projects (by id, none left out as zero), and its words.

    `one` and `many` go on from a number (“is waiting for an answer”), `act` names the link. `urgent`: someone at work now
    cannot go on before it is done.
    """

    count: Callable[[Sequence[int]], Mapping[int, int]]
    one: str
    many: str
    act: str
    urgent: bool = False


@dataclass(frozen=True)
class Entry:
    """A page of the navigation: its URL name with namespace, title, the right to see it, and what waits there."""

    name: str
    title: str
    right: str
    waiting: Waiting | None = None


@dataclass(frozen=True)
class Room:
    """An entry in one project: its address, and how much waits there."""

    entry: Entry
    url: str
    current: bool = False
    count: int = 0

    @property
    def title(self) -> str:
        return self.entry.title


ENTRIES = [
    Entry("labeling:project", "Overview", "see_setup"),
    Entry("labeling:items", "Items", "see_items"),
    Entry("labeling:guidelines", "Definitions", "see_setup"),
    Entry("labeling:batches", "Batches", "see_progress"),
    Entry(
        "labeling:questions",
        "Questions",
        "answer_questions",
        Waiting(
            count_open_questions,
            "question is waiting for an answer",
            "questions are waiting for an answer",
            "Answer",
            urgent=True,
        ),
    ),
    Entry("labeling:members", "Members", "manage_members"),
]


def register_entry(entry: Entry, *, before: str) -> None:
    """Put another app's page before the entry named `before`; called when that app loads."""
    if all(known.name != entry.name for known in ENTRIES):
        ENTRIES.insert(next(at for at, known in enumerate(ENTRIES) if known.name == before), entry)


def rooms_with_work(seats: Sequence[Membership]) -> dict[int, list[Room]]:
    """{membership: the rooms where something waits that it may do}; one query per kind of work, however many projects."""
    found: dict[int, list[Room]] = {}
    for entry in ENTRIES:
        members = [seat for seat in seats if entry.waiting is not None and can_use(seat, entry.right)]
        if entry.waiting is None or not members:
            continue
        counts = entry.waiting.count([member.project_id for member in members])
        for member in members:
            if count := counts.get(member.project_id, 0):
                room = Room(entry, link(entry.name, member.project.slug), count=count)
                found.setdefault(member.pk, []).append(room)
    return found


def link(name: str, *args: Any) -> str:
    """Address of a page by name, of this app unless the name has a namespace; empty where no such page exists."""
    try:
        return reverse(name if ":" in name else f"labeling:{name}", args=args)
    except NoReverseMatch:
        return ""


def project_context(seat: Seat, current: str = "", **more: Any) -> dict[str, Any]:
    """What base.html needs on a project's page: project, seat, and its navigation with `current` marked.

    `current` is the page's URL name, with its namespace where that is not `labeling`.
    """
    nav = [
        Room(
            entry,
            url,
            entry.name.removeprefix("labeling:") == current,
            entry.waiting.count([seat.project.pk]).get(seat.project.pk, 0) if entry.waiting else 0,
        )
        for entry in ENTRIES
        if seat.holds(entry.right) and (url := link(entry.name, seat.project.slug))
    ]
    # A rater has one room: the top bar stays theirs without a navigation of one entry.
    return {"project": seat.project, "seat": seat, "nav": nav if len(nav) > 1 else [], **more}
