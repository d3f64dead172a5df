"""Room 4, the desk: the rater's page, its plain form, and the calls its script makes.

Every JSON reply carries the rater's whole hand, their progress, and the reason when there is nothing to serve. Only
the rater's own places and answers are read here; nobody else's answer, no gold, metadata or model output is loaded
into a reply.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from ..claiming import SLOTS, Hand, claim_next, heartbeat, show_place, start_of_day
from ..models import Annotation, Assignment, Batch, Project, User
from ..queries import desk as reads
from ..queries.definitions import definitions_for_desk, version_for_desk
from ..queries.home import seats_of
from ..questions import mark_answers_seen
from ..refusals import BadValue, NotAllowed, NotSeen, Refusal
from ..submission import (
    Answer,
    Submission,
    Undone,
    ask_question,
    skip_place,
    submit_annotation,
    undo_last,
)
from ..vocabulary import Outcome, PlaceStatus
from .decorators import member_page
from .item_html import item_as_shown
from .json_calls import json_act
from .navigation import link

# Offered for "not enough information" unless the project names its own.
REASONS = ("Not readable", "Cut off", "Too little to see", "Needs to know more")
IDEMPOTENCY_LIMIT = 64


def batch_of(uuid: UUID) -> Batch:
    """The batch with what the desk needs of it. Whether the person may label there is asked by the acts."""
    batch = reads.batch_for_desk(uuid)
    if batch is None:
        raise NotSeen("not_found", "There is no such batch for you.")
    return batch


# --- what every reply carries ---------------------------------------------------------------------


def in_order(places: list[Assignment]) -> list[Assignment]:
    """A hand as it is worked through: what is on the screen first, then by when it was claimed."""
    far = datetime.max.replace(tzinfo=timezone.get_default_timezone())
    return sorted(
        places,
        key=lambda place: (
            place.shown_at is None,
            -place.shown_at.timestamp() if place.shown_at else 0,
            place.claimed_at or far,
            place.rank,
        ),
    )


def place_json(place: Assignment, position: int, project: Project, *, known: bool = False) -> dict[str, Any]:
    """A place of the hand; `known`: the page has the item already."""
    state = {
        "assignment": str(place.uuid),
        "token": str(place.claim_token),
        "slot": place.slot,
        "position": position,
        "lease_until": place.lease_until.isoformat() if place.lease_until else None,
    }
    return state if known else {**state, "item": item_as_shown(place.batch_item.item, project)}


def desk_state(hand: Hand, at: datetime, known: Collection[UUID] = ()) -> dict[str, Any]:
    """{hand, progress, empty}: the JSON that stands in the page and in every reply.

    `known`: the places whose items the page has already; each of the hand stands in the reply, these without `item`.
    """
    batch, member = hand.batch, hand.member
    own = reads.standing(member, batch, at, start_of_day(member.project.time_zone, at))
    held = len(hand.places)
    return {
        "hand": [
            place_json(place, own.answered + number, batch.project, known=place.uuid in known)
            for number, place in enumerate(in_order(hand.places), start=1)
        ],
        "progress": {
            "done": own.answered,
            "total": own.answered + held + reads.items_left(member, batch, own, held),
            "today": own.today,
            "daily_cap": member.daily_cap,
        },
        "empty": empty_json(hand),
    }


def empty_json(hand: Hand) -> dict[str, Any] | None:
    if hand.places or hand.empty is None:
        return None
    empty = hand.empty
    next_url: str | None
    words: str | None
    if empty.reason == "unread":
        next_url, words = reverse("labeling:acknowledge", args=[hand.batch.uuid]), "Read the definition"
    else:
        next_url, words = next_batch_link(hand)
    return {
        "reason": empty.reason,
        "title": empty.title,
        "message": empty.message,
        "next_url": next_url,
        "next": words,
        "opens_at": empty.opens_at.isoformat() if empty.opens_at else None,
    }


def next_batch_link(hand: Hand) -> tuple[str | None, str | None]:
    """Address and words of the next batch with something to do, or (None, None). A reached cap holds per project."""
    members = sorted(seats_of(hand.member.user), key=lambda member: member.project_id != hand.batch.project_id)
    if hand.empty is not None and hand.empty.reason == "cap":
        members = [member for member in members if member.pk != hand.member.pk]
    following = reads.next_batch(members, hand.batch)
    if following is None:
        return None, None
    return reverse("labeling:desk", args=[following.uuid]), f"Go on with {following.name}"


def answer_json(annotation: Annotation) -> dict[str, Any]:
    """The rater's own answer, to be shown to them again."""
    return {
        "value": annotation.value,
        "second_value": annotation.second_value,
        "outcome": annotation.outcome,
        "borderline": annotation.borderline,
        "reason": annotation.reason,
        "comment": annotation.comment,
        "revision": annotation.revision,
    }


def replies_json(hand: Hand, *, since: datetime | None = None, mark: bool, at: datetime) -> list[dict[str, Any]]:
    """Answers to the rater's questions that they have not read yet; with `mark` they count as read from now on."""
    questions = reads.new_replies(hand.member, hand.batch, since)
    unread = [question for question in questions if question.seen_at is None]
    if mark and unread:
        mark_answers_seen(questions=unread, at=at)
    return [
        {
            "question": str(question.uuid),
            "text": question.text,
            "answer": question.answer,
            "by": question.answered_by.name if question.answered_by else "",
        }
        for question in questions
    ]


# --- reading a JSON body --------------------------------------------------------------------------


@dataclass(frozen=True)
class Body:
    """A JSON body read field by field; a wrong type is a BadValue that names the field."""

    raw: dict[str, Any]

    def _of(self, name: str, kinds: type | tuple[type, ...], words: str, default: Any) -> Any:
        value = self.raw.get(name, default)
        if value is None and default is None:
            return None
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in _as_tuple(kinds)):
            raise BadValue("bad_value", f"{name} must be {words}.", field=name)
        return value

    def text(self, name: str, default: str = "") -> str:
        return str(self._of(name, str, "text", default))

    def flag(self, name: str) -> bool:
        return bool(self._of(name, bool, "true or false", False))

    def number(self, name: str) -> float | None:
        return self._of(name, (int, float), "a number", None)

    def uuid(self, name: str) -> UUID:
        value = self._of(name, str, "an id", "")
        try:
            return UUID(value)
        except ValueError:
            raise BadValue("bad_value", f"{name} must be an id like those in the hand.", field=name) from None

    def uuid_or_none(self, name: str) -> UUID | None:
        return None if self.raw.get(name) is None else self.uuid(name)

    def uuids(self, name: str, most: int) -> list[UUID]:
        values = self._of(name, list, "a list of ids", [])
        if len(values) > most:
            raise BadValue("bad_value", f"{name} holds {most} ids at most.", field=name)
        return [Body({name: value}).uuid(name) for value in values]

    def key(self, name: str) -> str:
        value = self.text(name)
        if len(value) > IDEMPOTENCY_LIMIT or not (value.isascii() and value.isprintable()):
            raise BadValue("bad_value", f"{name} must be up to {IDEMPOTENCY_LIMIT} plain characters.", field=name)
        return value


def _as_tuple(kinds: type | tuple[type, ...]) -> tuple[type, ...]:
    return kinds if isinstance(kinds, tuple) else (kinds,)


def answer_from(body: Body) -> Answer:
    """The answer in a submission's body; its value is checked by the task type."""
    return Answer(
        value=body.raw.get("value"),
        second_value=body.raw.get("second_value"),
        outcome=body.text("outcome", Outcome.LABELED),
        reason=body.text("reason"),
        borderline=body.flag("borderline"),
        comment=body.text("comment"),
        seconds=body.number("seconds"),
    )


# --- the script's calls ---------------------------------------------------------------------------


def call(
    view: Callable[[User, Batch, Body, datetime], tuple[int, dict[str, Any], Hand]],
) -> Callable[..., HttpResponse]:
    """A desk call: its answer with the state of the desk beside it, a 409 too, so that the page can go on.

    Each body may name in `known` the places whose items the page has; the reply leaves those items out.
    """

    @json_act
    def wrapped(request: HttpRequest, uuid: UUID, *, body: dict[str, Any]) -> HttpResponse:
        at = timezone.now()
        batch = batch_of(uuid)
        user: User = request.user  # type: ignore[assignment]
        try:
            known = frozenset(Body(body).uuids("known", most=4 * SLOTS))
            status, answer, hand = view(user, batch, Body(body), at)
        except (NotSeen, NotAllowed, BadValue) as refusal:
            return JsonResponse(refusal.as_json(), status=refusal.status)
        except Refusal as refusal:
            hand = claim_next(by=user, batch=batch, at=at)
            return _reply(request, {**refusal.as_json(), **desk_state(hand, at, known)}, refusal.status)
        return _reply(request, {**answer, **desk_state(hand, at, known)}, status)

    return wrapped


# A reply is read by a script and never shown: nothing may be loaded for it.
REPLY_POLICY = "default-src 'none'; frame-ancestors 'none'"
COMPRESS_FROM = 500


def _reply(request: HttpRequest, data: dict[str, Any], status: int) -> HttpResponse:
    """The JSON as small as it goes: a rater's connection may be slow, and a label has to cost less than a kilobyte."""
    response = JsonResponse(data, status=status, json_dumps_params={"separators": (",", ":")})
    response["Content-Security-Policy"] = REPLY_POLICY
    if len(response.content) >= COMPRESS_FROM and "gzip" in request.headers.get("Accept-Encoding", ""):
        response.content = gzip.compress(response.content, 1, mtime=0)
        response["Content-Encoding"] = "gzip"
    patch_vary_headers(response, ["Accept-Encoding"])
    return response


@call
def desk_claim(by: User, batch: Batch, body: Body, at: datetime) -> tuple[int, dict[str, Any], Hand]:
    """Fill the hand, and bring replies to the rater's questions."""
    hand = claim_next(by=by, batch=batch, at=at)
    return 200, {"replies": replies_json(hand, mark=True, at=at)}, hand


@call
def desk_submit(by: User, batch: Batch, body: Body, at: datetime) -> tuple[int, dict[str, Any], Hand]:
    """Record an answer, or a revision of one, and fill the hand: 201 recorded, 200 the same answer again."""
    submission = submit_annotation(
        by=by,
        batch=batch,
        assignment=body.uuid("assignment"),
        token=body.uuid("token"),
        answer=answer_from(body),
        idempotency_key=body.key("idempotency_key"),
        revises=body.flag("revises"),
        claim=True,
        shown_next=body.uuid_or_none("shown_next"),
        at=at,
    )
    assert submission.hand is not None  # asked for by `claim`
    return 201 if submission.created else 200, {"result": result_json(submission, body)}, submission.hand


def result_json(submission: Submission, body: Body) -> dict[str, Any]:
    return {
        "assignment": str(body.uuid("assignment")),
        "annotation": str(submission.annotation.uuid),
        "revision": submission.annotation.revision,
    }


@call
def desk_skip(by: User, batch: Batch, body: Body, at: datetime) -> tuple[int, dict[str, Any], Hand]:
    """Pass an item on and fill the hand; the same skip again changes nothing."""
    shown_next = body.uuid_or_none("shown_next")
    skip_place(
        by=by,
        batch=batch,
        assignment=body.uuid("assignment"),
        token=body.uuid("token"),
        reason=body.text("reason"),
        at=at,
    )
    return 200, {}, claim_next(by=by, batch=batch, shown_next=shown_next, at=at)


@call
def desk_undo(by: User, batch: Batch, body: Body, at: datetime) -> tuple[int, dict[str, Any], Hand]:
    """The rater's last answer to be shown again, or their last skip taken back."""
    undone = undo_last(by=by, batch=batch, at=at)
    hand = claim_next(by=by, batch=batch, at=at)
    return 200, {"undone": undone_json(undone, hand)}, hand


def undone_json(undone: Undone, hand: Hand) -> dict[str, Any]:
    """What undo brought back; `answer` stands in the ledger until it is revised, and is null after a skip."""
    annotation = undone.annotation
    answered = reads.own_counts(hand.member, hand.batch).answered
    place = place_json(undone.place, answered if annotation else answered + 1, hand.batch.project)
    return {**place, "answer": answer_json(annotation) if annotation else None}


@call
def desk_shown(by: User, batch: Batch, body: Body, at: datetime) -> tuple[int, dict[str, Any], Hand]:
    """An item is on the screen: its lease and its clock start."""
    show_place(by=by, batch=batch, assignment=body.uuid("assignment"), token=body.uuid("token"), at=at)
    return 200, {}, claim_next(by=by, batch=batch, at=at)


@call
def desk_heartbeat(by: User, batch: Batch, body: Body, at: datetime) -> tuple[int, dict[str, Any], Hand]:
    """The page is open and visible: every lease the rater holds in the batch is extended."""
    body.uuids("assignments", most=4 * SLOTS)
    hand = heartbeat(by=by, batch=batch, at=at)
    if not hand.places:
        hand = claim_next(by=by, batch=batch, at=at)
    return 200, {"replies": replies_json(hand, mark=True, at=at)}, hand


@call
def desk_ask(by: User, batch: Batch, body: Body, at: datetime) -> tuple[int, dict[str, Any], Hand]:
    """A question about an item, to the people who write the definition."""
    question = ask_question(by=by, batch=batch, assignment=body.uuid("assignment"), text=body.text("text"), at=at)
    return 201, {"question": str(question.uuid)}, claim_next(by=by, batch=batch, at=at)


# --- the page -------------------------------------------------------------------------------------


@member_page
@never_cache
@require_http_methods(["GET", "POST"])
def desk(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The desk of one batch. Without JavaScript its form posts here: action = submit, skip, undo or ask."""
    batch = batch_of(uuid)
    user: User = request.user  # type: ignore[assignment]
    if request.method == "POST":
        return _act_plainly(request, user, batch)
    at = timezone.now()
    # After a plain form came in there is no script to prefetch for: one place is enough.
    hand = claim_next(by=user, batch=batch, slots=1 if "plain" in request.GET else SLOTS, at=at)
    if hand.empty is not None and hand.empty.reason == "unread":
        return redirect("labeling:acknowledge", batch.uuid)
    return _page(request, hand, at, again=request.GET.get("again"))


def _page(
    request: HttpRequest,
    hand: Hand,
    at: datetime,
    *,
    again: str | None = None,
    draft: dict[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    """The page for a hand; `again` is an own place to show once more, `draft` what was entered and refused."""
    batch, member = hand.batch, hand.member
    previous = reads.last_answer(member, batch)
    if hand.places and in_order(hand.places)[0].shown_at is None:
        first = in_order(hand.places)[0]
        assert first.claim_token is not None  # a claimed place has a token, by constraint
        shown = show_place(by=member.user, batch=batch, assignment=first.uuid, token=first.claim_token, at=at)
        first.shown_at, first.lease_until = shown.shown_at, shown.lease_until
    state = desk_state(hand, at)
    current = state["hand"][0] if state["hand"] else None
    if again is not None:
        current = _again(hand, again, state) or current
    if draft is not None and current is not None:
        current = {**current, "answer": draft}
    labels = definitions_for_desk(batch.guideline_version, batch.project)
    context = {
        "batch": batch,
        "project": batch.project,
        "crumb": batch.name,
        "question": batch.project.question,
        "labels": labels,
        "version": version_for_desk(batch.guideline_version),
        "can_borderline": not any(label["is_borderline"] for label in labels),
        "has_examples": any(label["examples"] for label in labels),
        "reasons": batch.project.settings.get("reasons") or REASONS,
        "cohort": member.cohort,
        "answers_url": reverse("labeling:my_answers", args=[batch.uuid]),
        "home_url": link("home"),
        "log_in_url": link("log_in"),
        "desk": state,
        "current": current,
        "last": _last_words(previous, state["progress"]["done"], labels),
        "replies": replies_json(hand, since=previous.finished_at if previous else member.joined_at, mark=True, at=at),
    }
    return render(request, "labeling/desk.html", context, status=status)


def _again(hand: Hand, again: str, state: dict[str, Any]) -> dict[str, Any] | None:
    """The rater's own place of that id as the page shows it: one held, or an answer to be revised."""
    for place in state["hand"]:
        if place["assignment"] == again:
            return dict(place)
    try:
        own = reads.own_answer(hand.member, hand.batch, UUID(again))
    except ValueError:
        return None
    if own is None or not own.editable:
        return None
    shown = place_json(own.place, state["progress"]["done"], hand.batch.project)
    return {**shown, "revises": True, "answer": answer_json(own.annotation)}


def _last_words(place: Assignment | None, done: int, labels: list[dict[str, Any]]) -> dict[str, Any] | None:
    """{position, words} of what undo would bring back."""
    if place is None:
        return None
    if place.status == PlaceStatus.SKIPPED:
        return {"position": done + 1, "words": "skipped"}
    annotation = reads.latest_annotations([place])[place.pk]
    if annotation.outcome == Outcome.CANNOT_LABEL:
        words = f"not enough information: {annotation.reason}"
    else:
        names = {label["key"]: label["name"] for label in labels}
        words = names.get(annotation.value, str(annotation.value)) + (", borderline" if annotation.borderline else "")
    return {"position": done, "words": words}


def _act_plainly(request: HttpRequest, user: User, batch: Batch) -> HttpResponse:
    """One act from the plain form, then back to the page; a wrong value shows the page again with what was entered."""
    at = timezone.now()
    action = request.POST.get("action", "submit")
    address, query = reverse("labeling:desk", args=[batch.uuid]), {"plain": "1"}
    try:
        place, token = Body({"id": request.POST.get("assignment", "")}), request.POST.get("token", "")
        if action == "undo":
            undone = undo_last(by=user, batch=batch, at=at)
            query["again"] = str(undone.place.uuid)
            if undone.annotation is not None:
                messages.info(request, "Your last answer stands until you change it.")
        elif action == "ask":
            text = request.POST.get("question", "")
            ask_question(by=user, batch=batch, assignment=place.uuid("id"), text=text, at=at)
            messages.info(request, "Your question is on its way. The reply comes to this desk.")
        elif action == "skip":
            reason = request.POST.get("comment", "")
            skip_place(by=user, batch=batch, assignment=place.uuid("id"), token=token, reason=reason, at=at)
        else:
            revises = request.POST.get("revises") == "1"
            submit_annotation(
                by=user,
                batch=batch,
                assignment=place.uuid("id"),
                token=token,
                answer=_plain_answer(request, user, batch, place.uuid("id"), at),
                revises=revises,
                at=at,
            )
            if revises:
                messages.info(request, "Changed. Your earlier answer stays in the record.")
    except BadValue as refusal:
        hand = claim_next(by=user, batch=batch, slots=1, at=at)
        messages.error(request, refusal.message)
        entered = {name: request.POST.get(name, "") for name in ("value", "second_value", "reason", "comment")}
        draft = {**entered, "borderline": request.POST.get("borderline") == "1"}
        return _page(request, hand, at, again=request.POST.get("assignment"), draft=draft, status=422)
    except (NotSeen, NotAllowed):
        raise
    except Refusal as refusal:
        messages.warning(request, refusal.message)
    return redirect(f"{address}?{urlencode(query)}")


def _plain_answer(request: HttpRequest, user: User, batch: Batch, assignment: UUID, at: datetime) -> Answer:
    """The form's fields as an answer. Time on the item runs from when the page showed it."""
    form = request.POST
    outcome = form.get("outcome", Outcome.LABELED)
    cannot = outcome == Outcome.CANNOT_LABEL
    borderline = form.get("borderline") == "1"
    value = form.get("value")
    second = form.get("second_value") or None
    shown_at = reads.shown_at(user.pk, batch, assignment)
    return Answer(
        value=None if cannot else value,
        # The list of second labels stands open in the plain page: without the mark, or equal to the label, it says nothing.
        second_value=second if borderline and not cannot and second != value else None,
        outcome=outcome,
        reason=form.get("reason", "") if cannot else "",
        borderline=borderline,
        comment=form.get("comment", ""),
        seconds=None if shown_at is None else max(0.0, (at - shown_at).total_seconds()),
    )
