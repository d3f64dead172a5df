"""Room 5, the ledger: an answer is recorded once, under the token of its claim, and never changed afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from . import task_types, transitions
from .claiming import (
    GIVEN_BACK,
    SLOTS,
    UNSHOWN_LEASE,
    Hand,
    fill_hand,
    hand_of,
    lease_lost,
    lock_member,
    mark_shown,
)
from .db.compiled import Rows, insert, uuid, whole
from .db.retry import retry_deadlocks
from .events import event, record
from .guideline_settings import version_settings
from .hashing import answer_sha256
from .models import Annotation, Assignment, Batch, BatchItem, Membership, Question, Quota, User
from .refusals import BadValue, NotAllowed, NotSeen, Refusal
from .settling import watch_settling
from .vocabulary import AnnotationOrigin, BatchStatus, Outcome, PlaceOrigin, PlaceStatus

TEXT_LIMIT = 4000
LONGEST_SECONDS = 60 * 60 * 12


@dataclass(frozen=True)
class Answer:
    """What a rater says about an item, as it came in."""

    value: Any = None
    outcome: str = Outcome.LABELED
    reason: str = ""
    borderline: bool = False
    second_value: Any = None
    comment: str = ""
    confidence: float | None = None
    seconds: float | None = None


@dataclass
class Submission:
    """What became of an answer. `created` is False for a replay of the same answer."""

    annotation: Annotation
    created: bool
    hand: Hand | None = None


@dataclass(frozen=True)
class _Clean:
    """An answer after validation, as the columns of an annotation."""

    value: Any
    outcome: str
    reason: str
    borderline: bool
    second_value: Any
    comment: str
    confidence: float | None
    seconds: float | None
    sha256: str


def _text(name: str, raw: Any) -> str:
    if not isinstance(raw, str):
        raise BadValue("bad_value", f"{name} must be text.", field=name)
    text = raw.replace("\x00", "").strip()
    if len(text) > TEXT_LIMIT:
        raise BadValue("too_long", f"{name} is longer than {TEXT_LIMIT} characters.", field=name)
    return text


def _number(name: str, raw: Any, low: float, high: float) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not low <= raw <= high:
        raise BadValue("bad_value", f"{name} must be a number from {low:g} to {high:g}.", field=name)
    return float(raw)


def clean_answer(answer: Answer, batch: Batch, payload: dict[str, Any]) -> _Clean:
    """Check an answer against the batch's definition; raises BadValue naming the field and what would be right."""
    if answer.outcome not in Outcome.values:
        raise BadValue("bad_value", f"outcome must be one of {', '.join(Outcome.values)}.", field="outcome")
    task = task_types.get(batch.project.task_type)
    settings = version_settings(batch.guideline_version)
    reason, comment = _text("reason", answer.reason), _text("comment", answer.comment)
    value = second = None
    borderline = bool(answer.borderline)
    if answer.outcome == Outcome.CANNOT_LABEL:
        if answer.value is not None:
            raise BadValue("bad_value", "With “not enough information” there is no label to send.", field="value")
        if not reason:
            raise BadValue("reason_missing", "Say in a few words what is missing in the item.", field="reason")
        borderline = False
    else:
        try:
            value = task.clean(answer.value, payload, settings)
            if answer.second_value is not None:
                second = task.clean(answer.second_value, payload, settings)
        except ValidationError as error:
            raise BadValue("bad_value", error.messages[0], field="value") from None
        if value is None:  # a JSON null would pass the NOT NULL check
            raise BadValue("bad_value", "An answer needs a value.", field="value")
        if second is not None and (not borderline or second == value):
            raise BadValue(
                "bad_value",
                "A second label belongs to a borderline answer and differs from the first.",
                field="second_value",
            )
    seconds = _number("seconds", answer.seconds, 0, 1e9)
    return _Clean(
        value=value,
        outcome=answer.outcome,
        reason=reason if answer.outcome == Outcome.CANNOT_LABEL else "",
        borderline=borderline,
        second_value=second,
        comment=comment,
        confidence=_number("confidence", answer.confidence, 0, 1),
        # A lid closed over night is no time on the item.
        seconds=None if seconds is None else min(seconds, float(LONGEST_SECONDS)),
        sha256=answer_sha256(value, answer.outcome, borderline, second),
    )


@retry_deadlocks
def submit_annotation(
    *,
    by: User,
    batch: Batch,
    assignment: UUID | str,
    token: UUID | str,
    answer: Answer,
    idempotency_key: str = "",
    origin: str = AnnotationOrigin.BROWSER,
    revises: bool = False,
    claim: bool = False,
    slots: int = SLOTS,
    shown_next: UUID | str | None = None,
    show_first: bool = False,
    at: datetime | None = None,
) -> Submission:
    """Record an answer for a claimed place, or with `revises` a new revision of an own answer.

    With `claim` the free slots are filled in the same transaction, and the reply carries the whole hand; `shown_next`
    is the place of it that the rater's page shows by now, with `show_first` the first one. The same answer again (same
    token and answer, or same idempotency key) returns the recorded one with `created` False.
    Raises `lease_lost` or `answered_otherwise` (409), BadValue (422), NotSeen (404), NotAllowed (403).
    """
    at = at or timezone.now()
    if len(idempotency_key) > 64:
        raise BadValue("bad_value", "idempotency_key is longer than 64 characters.", field="idempotency_key")
    with transaction.atomic():
        member = lock_member(by, batch)
        held = hand_of(member, batch)
        place = next((one for one in held if str(one.uuid) == str(assignment)), None) or PLACE.first(
            batch=batch.pk, assignment=assignment
        )
        if place is None:
            raise NotSeen("not_found", "There is no such place in this batch.")
        clean = clean_answer(answer, batch, place.batch_item.item.payload)
        if revises:
            submission = _revise(member, batch, place, clean, idempotency_key, origin, at)
        else:
            submission = _submit(member, batch, place, token, clean, idempotency_key, origin, at)
        events = []
        if submission.created:
            verb = "revised" if revises else "submitted"
            events.append(
                event(verb, place, by=by, at=at, project_id=batch.project_id, revision=submission.annotation.revision)
            )
            watch_settling(place.batch_item_id, place.cohort)
        if claim:
            still = [one for one in held if one.pk != place.pk] if submission.created else held
            submission.hand, claimed = fill_hand(member, batch, at, slots, still)
            events += claimed
            if show_first and submission.hand.places:
                shown_next = submission.hand.places[0].uuid
            if shown_next is not None:
                mark_shown(submission.hand, shown_next, at)
        record(*events)
    return submission


PLACE = Rows(
    lambda: Assignment.objects.select_related("batch_item__item").filter(batch=whole("batch"), uuid=uuid("assignment"))
)


def _write(
    place: Assignment, batch: Batch, revision: int, clean: _Clean, key: str, origin: str, at: datetime
) -> Annotation:
    annotation = Annotation(
        assignment=place,
        revision=revision,
        guideline_version_id=batch.guideline_version_id,
        value=clean.value,
        value_sha256=clean.sha256,
        outcome=clean.outcome,
        borderline=clean.borderline,
        second_value=clean.second_value,
        reason=clean.reason,
        confidence=clean.confidence,
        comment=clean.comment,
        seconds=clean.seconds,
        origin=origin,
        blind=place.batch_item.revealed_at is None,
        idempotency_key=key,
        at=at,
    )
    insert(annotation)
    return annotation


def _submit(
    member: Membership,
    batch: Batch,
    place: Assignment,
    token: UUID | str,
    clean: _Clean,
    key: str,
    origin: str,
    at: datetime,
) -> Submission:
    mine = place.member_id == member.pk and str(place.claim_token) == str(token)
    if mine and place.status == PlaceStatus.CLAIMED:
        # The token in the compare: a lease that ran out and went to someone else meanwhile has another one.
        if transitions.move(
            place,
            PlaceStatus.SUBMITTED,
            where={"member": member, "claim_token": place.claim_token},
            slot=None,
            lease_until=None,
            finished_at=at,
        ):
            return Submission(_write(place, batch, 1, clean, key, origin, at), created=True)
        place.refresh_from_db()
        mine = place.member_id == member.pk and str(place.claim_token) == str(token)
    if not mine or place.status != PlaceStatus.SUBMITTED:
        raise lease_lost()
    first = Annotation.objects.get(assignment=place, revision=1)
    same = first.value_sha256 == clean.sha256 and first.reason == clean.reason
    if same or (key and first.idempotency_key == key):
        return Submission(first, created=False)
    raise Refusal(
        "answered_otherwise",
        "This item has another answer from you already. Undo brings it back if you want to change it.",
        annotation=str(first.uuid),
    )


def _revise(
    member: Membership, batch: Batch, place: Assignment, clean: _Clean, key: str, origin: str, at: datetime
) -> Submission:
    if place.member_id != member.pk:
        raise NotAllowed("not_yours", "You can change your own answers only.")
    if place.status != PlaceStatus.SUBMITTED:
        raise Refusal("not_answered", "This item has no answer from you yet.")
    latest = Annotation.objects.filter(assignment=place).order_by("-revision").first()
    assert latest is not None  # a submitted place has revision 1: both are written in one transaction
    if key and (known := Annotation.objects.filter(assignment=place, idempotency_key=key).first()):
        return Submission(known, created=False)
    if (latest.value_sha256, latest.reason, latest.comment) == (clean.sha256, clean.reason, clean.comment):
        return Submission(latest, created=False)
    if batch.status != BatchStatus.OPEN:
        raise Refusal("batch_closed", "The batch is closed; its answers stay as they are.")
    # Locked: a ruling that is being written waits for this revision or is seen by it.
    batch_item = BatchItem.objects.select_for_update(no_key=True).get(pk=place.batch_item_id)
    if batch_item.ruled_at is not None:
        raise Refusal("ruled", "This item has been ruled on; its answers stay as they are.")
    place.batch_item = batch_item
    try:
        with transaction.atomic():
            annotation = _write(place, batch, latest.revision + 1, clean, key, origin, at)
    except IntegrityError:
        raise Refusal("changed_meanwhile", "This answer was just changed in another tab. Look at it again.") from None
    return Submission(annotation, created=True)


@retry_deadlocks
def skip_place(
    *, by: User, batch: Batch, assignment: UUID | str, token: UUID | str, reason: str = "", at: datetime | None = None
) -> None:
    """Pass an item on: it never returns to this rater, and its replacement place opens for someone else.

    The same skip again changes nothing. Raises `lease_lost` when the rater no longer holds the place.
    """
    at = at or timezone.now()
    reason = _text("reason", reason)
    with transaction.atomic():
        member = lock_member(by, batch)
        # Locked: a replacement inserted after the batch closed would stay open for ever.
        status = Batch.objects.select_for_update(no_key=True).values_list("status", flat=True).get(pk=batch.pk)
        place = Assignment.objects.filter(batch=batch, uuid=assignment).first()
        if place is None:
            raise NotSeen("not_found", "There is no such place in this batch.")
        mine = place.member_id == member.pk and str(place.claim_token) == str(token)
        if mine and place.status == PlaceStatus.SKIPPED:
            return
        if not mine or place.status != PlaceStatus.CLAIMED:
            raise lease_lost()
        if not transitions.move(
            place,
            PlaceStatus.SKIPPED,
            where={"member": member, "claim_token": place.claim_token},
            slot=None,
            lease_until=None,
            finished_at=at,
        ):
            raise lease_lost()
        events = [event("skipped", place, by=by, at=at, project_id=batch.project_id, reason=reason)]
        if status == BatchStatus.OPEN and (replacement := _replace(place)) is not None:
            events.append(event("replaced", replacement, by=by, at=at, project_id=batch.project_id, implicit=True))
        record(*events)
        watch_settling(place.batch_item_id, place.cohort)


def _replace(place: Assignment) -> Assignment | None:
    """Open the next place of the item and cohort, unless `max_raters` is reached; then the item settles short.

    A withdrawn item gets none: withdrawing locks the batch as skipping does, so one of them sees the other.
    """
    if BatchItem.objects.filter(pk=place.batch_item_id, item__withdrawn_at__isnull=False).exists():
        return None
    quota = Quota.objects.filter(batch_id=place.batch_id, cohort=place.cohort).first()
    siblings = Assignment.objects.filter(batch_item_id=place.batch_item_id, cohort=place.cohort)
    for _ in range(50):
        if quota is not None and quota.max_raters is not None:
            if siblings.exclude(status=PlaceStatus.VOID).count() >= quota.max_raters:
                return None
        highest: int = siblings.aggregate(highest=Max("ordinal"))["highest"]
        try:
            with transaction.atomic():
                return Assignment.objects.create(
                    batch_item_id=place.batch_item_id,
                    batch_id=place.batch_id,
                    cohort=place.cohort,
                    ordinal=highest + 1,
                    rank=place.rank,
                    origin=PlaceOrigin.REPLACEMENT,
                )
        except IntegrityError:
            continue  # another skip of the same item took that ordinal
    raise Refusal("busy", "Many people skipped this item at once. Try again in a moment.")


@dataclass
class Undone:
    """What undo brought back: the place, and the answer that stands until it is changed (None after a skip)."""

    place: Assignment
    annotation: Annotation | None


@retry_deadlocks
def undo_last(*, by: User, batch: Batch, at: datetime | None = None) -> Undone:
    """Show the rater's last answer again, or take back their last skip while its replacement is open.

    An answer stays in force until its revision is submitted. Raises `nothing_to_undo` or `too_late`.
    """
    at = at or timezone.now()
    with transaction.atomic():
        member = lock_member(by, batch)
        Batch.objects.select_for_update(no_key=True).get(pk=batch.pk)
        place = (
            Assignment.objects.select_related("batch_item__item")
            .filter(batch=batch, member=member, status__in=(PlaceStatus.SUBMITTED, PlaceStatus.SKIPPED))
            .order_by("-finished_at", "-pk")
            .first()
        )
        if place is None:
            raise Refusal("nothing_to_undo", "There is nothing to undo yet.")
        if batch.status != BatchStatus.OPEN:
            raise Refusal("batch_closed", "The batch is closed; its answers stay as they are.")
        if place.status == PlaceStatus.SUBMITTED:
            if place.batch_item.ruled_at is not None:
                raise Refusal("ruled", "This item has been ruled on; its answers stay as they are.")
            annotation = Annotation.objects.filter(assignment=place).order_by("-revision").first()
            return Undone(place, annotation)
        return Undone(_take_back_skip(member, batch, place, by, at), None)


def _take_back_skip(member: Membership, batch: Batch, place: Assignment, by: User, at: datetime) -> Assignment:
    siblings = Assignment.objects.filter(batch_item_id=place.batch_item_id, cohort=place.cohort)
    alive = siblings.exclude(status__in=(PlaceStatus.SKIPPED, PlaceStatus.VOID)).count()
    quota = Quota.objects.filter(batch=batch, cohort=place.cohort).first()
    events = [event("took_back_skip", place, by=by, at=at, project_id=batch.project_id)]
    # An item short of its overlap (`max_raters` was reached) has room for the skip's return; else its replacement goes.
    if quota is None or alive >= quota.raters:
        replacement = (
            siblings.filter(origin=PlaceOrigin.REPLACEMENT, status=PlaceStatus.OPEN, ordinal__gt=place.ordinal)
            .order_by("-ordinal")
            .first()
        )
        if replacement is None or not transitions.move(replacement, PlaceStatus.VOID):
            raise Refusal("too_late", "Someone else has this item now, so the skip stays.")
        events.append(event("voided", replacement, by=by, at=at, project_id=batch.project_id, implicit=True))
    used = {held.slot for held in hand_of(member, batch)}
    free = [slot for slot in range(1, SLOTS + 1) if slot not in used]
    if not free:
        free = [_give_back_last(member, batch, at)]
    if not transitions.move(
        place,
        PlaceStatus.CLAIMED,
        slot=free[0],
        claimed_at=at,
        shown_at=None,
        lease_until=at + UNSHOWN_LEASE + timedelta(minutes=batch.lease_minutes),
        finished_at=None,
    ):
        raise Refusal("too_late", "This skip was already taken back in another tab.")
    record(*events)
    return place


def _give_back_last(member: Membership, batch: Batch, at: datetime) -> int:
    """Free a slot by giving back the place furthest ahead that was not shown; returns the slot."""
    for held in reversed(hand_of(member, batch)):
        if held.shown_at is None:
            slot = held.slot
            assert slot is not None  # a claimed place has a slot, by constraint
            if transitions.move(held, PlaceStatus.OPEN, where={"claim_token": held.claim_token}, **GIVEN_BACK):
                record(event("released", held, by=member.user, at=at, project_id=batch.project_id, implicit=True))
                return slot
    raise Refusal("hand_full", "Answer one of the open items first; then undo the skip.")


def ask_question(*, by: User, batch: Batch, assignment: UUID | str, text: str, at: datetime | None = None) -> Question:
    """A rater asks about an item they hold or have answered. SMEs see it; the reply comes to the asker's desk."""
    at = at or timezone.now()
    text = _text("text", text)
    if not text:
        raise BadValue("empty", "Write your question first.", field="text")
    with transaction.atomic():
        member = lock_member(by, batch)
        place = Assignment.objects.filter(batch=batch, uuid=assignment, member=member).first()
        if place is None:
            raise lease_lost()
        question = Question.objects.create(batch_item_id=place.batch_item_id, by=member, text=text, at=at)
        record(event("asked", question, by=by, at=at, project_id=batch.project_id))
    return question


def reveal_item(*, batch_item: BatchItem, at: datetime) -> None:
    """Answers given from now on are no longer blind. Called in the transaction that opens a discussion."""
    BatchItem.objects.filter(pk=batch_item.pk, revealed_at__isnull=True).update(revealed_at=at)


def lock_item(*, batch_item: BatchItem, at: datetime) -> None:
    """No revision is taken from now on. Called in the transaction that writes a ruling."""
    BatchItem.objects.select_for_update(no_key=True).get(pk=batch_item.pk)
    BatchItem.objects.filter(pk=batch_item.pk, ruled_at__isnull=True).update(ruled_at=at)
