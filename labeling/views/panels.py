"""Pieces that other apps add to this app's pages: labeling does not know who they are or what they say.

A page names a place and the row it is about; an app that loads registers what it has to say there. Each piece is HTML
for the page's column of panels, or empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString, mark_safe

from ..access import Seat
from ..models import Membership

Piece = Callable[[HttpRequest, Seat, Any], str]

# place → what the row is
PLACES = {
    "guideline": "a published version, beside its text",
    "guideline_draft": "the draft, in the editor's second column",
    "guideline_publish": "the draft, on the page where it is published",
    "acknowledge": "a version, where a rater reads what is new",
    "batch": "a batch, below its progress",
    "project": "a project, above its steps",
    "member": "a member, below their settings",
    "my_answers": "a batch, above the rater's list of their own answers in it",
    "my_answer": "the place of one of the rater's own answers",
}
_pieces: dict[str, list[Piece]] = {place: [] for place in PLACES}


def register_panel(place: str, piece: Piece) -> None:
    """Show `piece` at that place of a page; registering it again changes nothing. Raises KeyError on an unknown place."""
    if piece not in _pieces[place]:
        _pieces[place].append(piece)


def panels(place: str, request: HttpRequest, seat: Seat, row: Any) -> list[SafeString]:
    """What the other apps say at that place about the row, in the order they registered."""
    return [mark_safe(html) for piece in _pieces[place] if (html := piece(request, seat, row))]


# On the first page nobody sits in one project: a piece there is told all the person's seats.
HomePiece = Callable[[HttpRequest, Sequence[Membership]], str]
_home: list[HomePiece] = []


def register_home(piece: HomePiece) -> None:
    """Show `piece` on top of everyone's first page; registering it again changes nothing."""
    if piece not in _home:
        _home.append(piece)


def home_panels(request: HttpRequest, seats: Sequence[Membership]) -> list[SafeString]:
    """What the other apps say to a person as they arrive."""
    return [mark_safe(html) for piece in _home if (html := piece(request, seats))]
