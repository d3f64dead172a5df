"""A case as an act on the bench finds it: read, locked, and refused where it may not be touched.

The order of locks is that of comparing: the batch item first, then the case.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from labeling.access import Seat
from labeling.models import Annotation, Assignment, BatchItem, Membership
from labeling.refusals import BadValue, NotAllowed, NotSeen, Refusal
from labeling.vocabulary import PlaceStatus

from .models import Disagreement
from .queries.answers import verdicts
from .verdict import Verdict
from .vocabulary import DisagreementKind, DisagreementStatus

TEXT_LIMIT = 4000
OPEN, HELD, DISCUSSING, RULED = (
    DisagreementStatus.OPEN,
    DisagreementStatus.HELD,
    DisagreementStatus.DISCUSSING,
    DisagreementStatus.RULED,
)


def all_cases() -> Any:
    """Cases with what an act on them reads."""
    return Disagreement.objects.select_related(
        "batch__project", "batch__guideline_version", "batch_item__item", "holder"
    )


def case_of(by: Seat, disagreement: Disagreement, *, lock: bool = True) -> Disagreement:
    """The case as it is now, of the person's project."""
    rows = all_cases().filter(pk=disagreement.pk, batch__project=by.project)
    if lock:
        rows = rows.select_for_update(of=("self",), no_key=True)
    case: Disagreement | None = rows.first()
    if case is None:
        raise NotSeen("not_found", "There is no such case in this project.")
    return case


def locked_case(by: Seat, disagreement: Disagreement) -> Disagreement:
    """The case under the lock of its batch item, then of itself: the order in which comparing takes them too."""
    BatchItem.objects.select_for_update(no_key=True).get(pk=disagreement.batch_item_id)
    return case_of(by, disagreement)


def unfinished(case: Disagreement) -> bool:
    """Whether someone is still to answer the item."""
    return Assignment.objects.filter(
        batch_item_id=case.batch_item_id, status__in=(PlaceStatus.OPEN, PlaceStatus.CLAIMED)
    ).exists()


def verdict_on(case: Disagreement) -> Verdict:
    """What the answers say now."""
    return verdicts(case.batch, [case.batch_item])[case.batch_item_id]


def refuse_unless_free(case: Disagreement, member: Membership, at: datetime) -> None:
    """Raise `ruled`, `dismissed` or `held_by_other`."""
    if case.status == RULED:
        raise Refusal("ruled", "This case has been ruled on already.")
    if case.status == DisagreementStatus.DISMISSED:
        raise Refusal("dismissed", "The answers agree now, so there is nothing to rule on.")
    theirs = case.status == HELD and case.holder_id != member.pk
    if theirs and case.hold_until is not None and case.hold_until >= at:
        raise Refusal("held_by_other", "Someone else is ruling on this case just now. Take the next one.")


def refuse_unless_held(case: Disagreement, member: Membership, token: uuid.UUID | str) -> None:
    """Raise `hold_lost` unless the member holds the case under this token."""
    if case.status != HELD or case.holder_id != member.pk or case.hold_token != as_uuid(token):
        raise hold_lost()


def refuse_raters(case: Disagreement, member: Membership) -> None:
    """Nobody rules on an item they rated: NotAllowed."""
    if rated(member, case.batch_item.item_id):
        raise NotAllowed("own_item", "You answered this item yourself, so someone else rules on it.")


def refuse_stale(case: Disagreement, verdict: Verdict, seen: str) -> None:
    """Raise `not_complete`, `answers_changed` or `dismissed` when these are not the answers that were looked at."""
    if not verdict.complete:
        raise Refusal("not_complete", "People are still answering this item; it can be ruled on once all have.")
    if verdict.input_sha256 != seen:
        raise answers_changed()
    if not verdict.kind and case.kind != DisagreementKind.AUDIT:
        raise Refusal("dismissed", "The answers agree now, so there is nothing to rule on.")


def answers_changed() -> Refusal:
    return Refusal(
        "answers_changed", "An answer was changed while you looked at this case. Look at it again; your text is kept."
    )


def hold_lost() -> Refusal:
    return Refusal("hold_lost", "You hold this case no longer. Hold it again; your text is kept.")


def as_uuid(token: uuid.UUID | str) -> uuid.UUID | None:
    """The token as a UUID; None for one that cannot be any."""
    if isinstance(token, uuid.UUID):
        return token
    try:
        return uuid.UUID(str(token))
    except ValueError:
        return None


def rated(member: Membership, item_id: int) -> bool:
    """Whether the member ever answered the item, in whichever batch."""
    return Annotation.objects.filter(assignment__member=member, assignment__batch_item__item_id=item_id).exists()


def clean_text(name: str, raw: Any, empty: str) -> str:
    """What someone wrote, stripped; raises BadValue naming the field. `empty` says what to write."""
    if not isinstance(raw, str):
        raise BadValue("bad_value", f"{name} must be text.", field=name)
    text = raw.replace("\x00", "").strip()
    if not text:
        raise BadValue("empty", empty, field=name)
    if len(text) > TEXT_LIMIT:
        raise BadValue("too_long", f"{name} is longer than {TEXT_LIMIT:,} characters.", field=name)
    return text
