"""Room 7, the bench: an SME asks the raters of an item, and they answer. What they change after this is not blind."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from labeling import transitions
from labeling.access import Seat, require
from labeling.events import event, record
from labeling.models import Assignment, Membership
from labeling.refusals import NotSeen, Refusal
from labeling.submission import reveal_item
from labeling.vocabulary import PlaceStatus

from . import bench
from .bench import DISCUSSING, HELD
from .comparing_steps import NOT_HELD
from .models import Disagreement, DiscussionMessage


def open_discussion(
    *, by: Seat, disagreement: Disagreement, token: uuid.UUID | str, text: str, at: datetime | None = None
) -> DiscussionMessage:
    """Ask the raters of a held case; what they change after this is no longer blind.

    The hold ends: the case waits for what they say.
    """
    at = at or timezone.now()
    require(by.membership, "adjudicate")
    text = bench.clean_text("text", text, "Write what you would like to know from the raters.")
    with transaction.atomic():
        case = bench.locked_case(by, disagreement)
        bench.refuse_unless_held(case, by.membership, token)
        reveal_item(batch_item=case.batch_item, at=at)
        case.batch_item.revealed_at = case.batch_item.revealed_at or at
        transitions.move(case, DISCUSSING, changed_at=at, **NOT_HELD)
        message = DiscussionMessage.objects.create(disagreement=case, by=by.membership, text=text, at=at)
        record(event("discussed", case, by=by.user, at=at, project=by.project))
    return message


def say_in_discussion(
    *, by: Seat, disagreement: Disagreement, text: str, at: datetime | None = None
) -> DiscussionMessage:
    """Another message in a case's thread: by someone who rules, or by a rater of the item.

    Raises NotSeen for others, `not_discussed` before a discussion was opened or after the ruling.
    """
    at = at or timezone.now()
    text = bench.clean_text("text", text, "Write something first.")
    with transaction.atomic():
        case = bench.case_of(by, disagreement)
        may_rule = by.may("adjudicate") and not bench.rated(by.membership, case.batch_item.item_id)
        if not may_rule:
            if not took_part(by.membership, case):
                raise NotSeen("not_found", "There is no such discussion for you.")
            require(by.membership, "label")
        if case.batch_item.revealed_at is None or case.status not in (DISCUSSING, HELD):
            raise Refusal("not_discussed", "This item is not in discussion (any more).")
        message = DiscussionMessage.objects.create(disagreement=case, by=by.membership, text=text, at=at)
        record(event("said", case, by=by.user, at=at, project=by.project))
    return message


def took_part(member: Membership, case: Disagreement) -> bool:
    """Whether the member answered this very case."""
    return Assignment.objects.filter(
        batch_item_id=case.batch_item_id, member=member, status=PlaceStatus.SUBMITTED
    ).exists()
