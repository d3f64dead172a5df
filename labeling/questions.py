"""Raters' questions are answered by SMEs and owners; the answer comes to the asker's desk and to nobody else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from .access import Seat, require
from .events import event, record
from .models import Question
from .refusals import BadValue, NotSeen, Refusal

ANSWER_LIMIT = 4000


def answer_question(*, by: Seat, question: Question, text: str, at: datetime | None = None) -> Question:
    """Answer a rater's question; the same person may correct the answer until the asker has read it.

    Raises BadValue for an empty or too long text, `answered` when someone else was faster or the asker has read it;
    `data` then holds the answer that stands.
    """
    at = at or timezone.now()
    require(by.membership, "answer_questions")
    text = text.replace("\x00", "").strip()
    if not text:
        raise BadValue("empty", "Write the answer first.", field="text")
    if len(text) > ANSWER_LIMIT:
        raise BadValue("too_long", f"The answer is longer than {ANSWER_LIMIT:,} characters.", field="text")
    with transaction.atomic():
        current = (
            Question.objects.select_for_update(of=("self",), no_key=True)
            .select_related("batch_item__batch", "answered_by")
            .filter(pk=question.pk, batch_item__batch__project=by.project)
            .first()
        )
        if current is None:
            raise NotSeen("not_found", "There is no such question in this project.")
        if current.answered_at is not None:
            if current.answer == text:
                return current
            if current.answered_by_id != by.user.pk or current.seen_at is not None:
                who = current.answered_by.name if current.answered_by is not None else "Someone"
                why = "the asker has read it" if current.answered_by_id == by.user.pk else f"{who} was faster"
                raise Refusal(
                    "answered",
                    f"This question has an answer already: {why}. What you wrote is still below.",
                    answer=current.answer,
                )
        current.answer, current.answered_by, current.answered_at = text, by.user, at
        current.save(update_fields=["answer", "answered_by", "answered_at"])
        record(event("answered", current, by=by.user, at=at, project=by.project))
    return current


def mark_answers_seen(*, questions: Iterable[Question], at: datetime) -> None:
    """The asker has the answers to these questions on their screen. Saying it twice changes nothing."""
    Question.objects.filter(pk__in=[question.pk for question in questions], seen_at__isnull=True).update(seen_at=at)
