"""What a rater's program does: claim, answer, skip, give back, stay, ask. The acts are those of the desk.

Only the caller's own places and answers are read here; nobody else's answer, no gold, metadata or model output is
loaded into a reply.
"""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from labeling.claiming import (
    Hand,
    acknowledge_guideline,
    claim_next,
    hand_of,
    heartbeat,
    lease_lost,
    release_place,
    start_of_day,
)
from labeling.db.compiled import Rows, whole
from labeling.db.compiled import uuid as given_uuid
from labeling.models import Assignment, Batch, GuidelineVersion
from labeling.queries import desk as reads
from labeling.refusals import Refusal
from labeling.submission import Answer, ask_question, skip_place, submit_annotation, undo_last
from labeling.vocabulary import AnnotationOrigin

from ...queries.ledger import answered_places, own_answers
from ...serializers import labels as bodies
from ...serializers.projects import AcknowledgedOut, OwnProgressOut
from ...vocabulary import Scope
from . import shown
from .endpoint import Call, Endpoint, Listed, PageQuery, Reply, op
from .questions import question_row

CODES = {"unread": "version_unread", "closed": "batch_closed", "opening": "batch_opening", "cap": "daily_cap"}
PLACES = Assignment.objects.select_related("batch__project", "batch__guideline_version")
NOTHING = ("version_unread", "done", "waiting", "later", "daily_cap", "batch_closed", "batch_opening", "archived")


def refuse_empty(call: Call, hand: Hand) -> Refusal:
    """Why nothing can be claimed, as a refusal with the reason's code."""
    empty = hand.empty
    assert empty is not None  # an empty hand says why
    data: dict[str, Any] = {"title": empty.title}
    if empty.opens_at is not None:
        data["opens_at"] = empty.opens_at.isoformat()
    if empty.reason == "unread":
        version = hand.batch.guideline_version
        data |= {
            "guideline": str(version.uuid),
            "acknowledge": reverse("api:rest_guideline_acknowledge", args=[version.uuid]),
        }
    return Refusal(CODES.get(empty.reason, empty.reason), f"{empty.title}. {empty.message}", **data)


class BatchEndpoint(Endpoint):
    tag = "labeling"
    rows = Batch.objects.select_related("project", "guideline_version")


class BatchClaim(BatchEndpoint):
    @op(
        Scope.LABEL, "Claim the next item", right="label", body=bodies.ClaimIn, reply=bodies.ClaimOut, conflicts=NOTHING,
        description="Gives what the caller holds already, renewed, before anything new. When there is nothing to label, "
        "the 409's code says why; `version_unread` names the definition to acknowledge first.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        hand = claim_next(by=call.user, batch=call.row, slots=call.body["count"], show_first=True, at=call.at)
        if not hand.places:
            raise refuse_empty(call, hand)
        rows = shown.places(call, hand)
        return {**rows[0], "hand": rows}


class BatchUndo(BatchEndpoint):
    @op(
        Scope.LABEL, "Undo the last answer or skip", right="label", reply=bodies.UndoOut,
        conflicts=("nothing_to_undo", "too_late", "batch_closed", "ruled", "hand_full", "archived"),
        description="An answer stands until another one is submitted for its assignment with `revises`.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        undone = undo_last(by=call.user, batch=call.row, at=call.at)
        own = own_answers([undone.place], call.row) if undone.annotation is not None else []
        return {
            "place": undone.place.uuid,
            "token": undone.place.claim_token,
            "item": shown.shown_item(call, undone.place.batch_item.item, call.row.project),
            "answer": shown.own_answer(call, own[0], call.row.project) if own else None,
        }


class BatchMine(BatchEndpoint):
    @op(Scope.LABEL, "How far I am in a batch", right="label", reply=OwnProgressOut)
    def get(self, call: Call) -> Any:
        member, batch = call.seat.membership, call.row
        held = len(hand_of(member, batch))
        own = reads.standing(member, batch, call.at, start_of_day(member.project.time_zone, call.at))
        return {
            "batch": batch.uuid,
            "answered": own.answered,
            "in_hand": held,
            "left": reads.items_left(member, batch, own, held),
            "today": own.today,
            "daily_cap": member.daily_cap,
        }


class BatchAnswers(BatchEndpoint):
    order = ("-finished_at", "-pk")

    @op(
        Scope.LABEL, "My answers in a batch", right="label", reply=bodies.OwnAnswerOut, query=PageQuery, order=order,
        description="Newest first; one's own and nobody else's.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        page = self.page(call, answered_places(call.seat.membership, call.row), self.order)
        answers = own_answers(page.rows, call.row)
        return Listed([shown.own_answer(call, own, call.row.project) for own in answers], page.after)


class PlaceEndpoint(Endpoint):
    """An assignment the caller holds, or has answered. One of someone else's is a lost lease, not a secret told."""

    tag = "labeling"
    rows = PLACES
    project = "batch__project"
    compiled = Rows(lambda: PLACES.filter(uuid=given_uuid("uuid"), batch__project=whole("project")))

    def after(self, call: Call) -> dict[str, Any]:
        """The hand after the act; with `next` filled up, and why nothing more comes."""
        batch = call.row.batch
        if call.body["next"]:
            held = claim_next(by=call.user, batch=batch, slots=call.body["count"], show_first=True, at=call.at)
            return shown.hand(call, held)
        member = call.seat.membership
        return shown.hand(call, Hand(batch, member, hand_of(member, batch)), offer=False)


class AssignmentSubmit(PlaceEndpoint):
    @op(
        Scope.LABEL, "Answer", right="label", body=bodies.SubmitIn, reply=bodies.SubmitOut, status=201,
        also={200: "The same answer was recorded before."},
        conflicts=("lease_lost", "answered_otherwise", "not_answered", "batch_closed", "ruled", "changed_meanwhile", "archived"),
        description="201 records the answer, 200 found it recorded. With `next` the reply brings what comes next.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        said, batch = call.body, call.row.batch
        submission = submit_annotation(
            by=call.user, batch=batch, assignment=call.row.uuid, token=said["token"],
            answer=Answer(
                value=said["value"], outcome=said["outcome"], reason=said["reason"], borderline=said["borderline"],
                second_value=said["second_value"], comment=said["comment"], confidence=said["confidence"],
                seconds=said["seconds"],
            ),
            idempotency_key=said["idempotency_key"], origin=AnnotationOrigin.API, revises=said["revises"],
            claim=said["next"], slots=said["count"], show_first=True, at=call.at,
        )  # fmt: skip
        if submission.hand is not None:
            rest = shown.hand(call, submission.hand)
        else:
            member = call.seat.membership
            rest = shown.hand(call, Hand(batch, member, hand_of(member, batch)), offer=False)
        annotation = submission.annotation
        data = {"annotation": annotation.uuid, "revision": annotation.revision, "created": submission.created, **rest}
        return Reply(data, 201 if submission.created else 200)


class AssignmentSkip(PlaceEndpoint):
    @op(
        Scope.LABEL, "Skip", right="label", body=bodies.SkipIn, reply=bodies.HandOut,
        conflicts=("lease_lost", "busy", "archived"),
        description="The item goes to someone else and never returns to this rater.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        skip_place(
            by=call.user, batch=call.row.batch, assignment=call.row.uuid, token=call.body["token"],
            reason=call.body["reason"], at=call.at,
        )  # fmt: skip
        return self.after(call)


class AssignmentRelease(PlaceEndpoint):
    @op(
        Scope.LABEL, "Give an item back unanswered", right="label", body=bodies.TokenIn, status=204,
        conflicts=("lease_lost", "archived"),
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        release_place(
            by=call.user, batch=call.row.batch, assignment=call.row.uuid, token=call.body["token"], at=call.at
        )


class AssignmentHeartbeat(PlaceEndpoint):
    @op(
        Scope.LABEL, "Keep what I hold", right="label", body=bodies.TokenIn, reply=bodies.HandOut,
        conflicts=("lease_lost", "archived"), description="Extends the lease of everything the caller holds in the batch.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        batch = call.row.batch
        hand = heartbeat(by=call.user, batch=batch, at=call.at)
        if not any(held.pk == call.row.pk and held.claim_token == call.body["token"] for held in hand.places):
            raise lease_lost()
        return shown.hand(call, hand)


class AssignmentAsk(PlaceEndpoint):
    @op(
        Scope.LABEL, "Ask about an item", right="label", body=bodies.AskIn, reply=bodies.QuestionOut, status=201,
        conflicts=("lease_lost", "archived"), description="SMEs see the question; the answer comes to the asker alone.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        question = ask_question(
            by=call.user, batch=call.row.batch, assignment=call.row.uuid, text=call.body["text"], at=call.at
        )
        return question_row(question)


class GuidelineAcknowledge(Endpoint):
    tag = "definitions"
    rows = GuidelineVersion.objects.select_related("project")

    @op(
        Scope.LABEL, "Say that I have read a version", right="label", reply=AcknowledgedOut,
        conflicts=("not_published", "archived"), description="Asked once before labeling under it; again, it changes nothing.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        acknowledge_guideline(by=call.user, version=call.row, at=call.at)
        return {"guideline": call.row.uuid, "number": call.row.number, "acknowledged": True}
