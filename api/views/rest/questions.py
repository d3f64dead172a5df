"""Raters' questions: an SME sees all of them, a rater their own."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from labeling.models import Question
from labeling.questions import answer_question

from ...queries.work import questions_for
from ...serializers import labels as bodies
from ...vocabulary import Scope
from . import shown
from .endpoint import Call, Endpoint, Listed, PageQuery, op


class QuestionsQuery(PageQuery):
    waiting = serializers.BooleanField(required=False, default=False, help_text="only those without an answer")


def question_row(question: Question) -> dict[str, Any]:
    return {
        "uuid": question.uuid,
        "batch": question.batch_item.batch.uuid,
        "item": question.batch_item.item.uuid,
        "rater": shown.rater(question.by),
        **{name: getattr(question, name) for name in ("text", "at", "answer", "answered_at")},
    }


class Questions(Endpoint):
    tag = "questions"
    order = ("-pk",)

    @op(
        Scope.READ, "Questions", reply=bodies.QuestionOut, query=QuestionsQuery, order=order,
        description="SMEs and owners see every question, raters their own.",
    )  # fmt: skip
    def get(self, call: Call) -> Any:
        page = self.page(call, questions_for(call.seat, waiting=call.query["waiting"]), self.order)
        return Listed([question_row(question) for question in page.rows], page.after)


class QuestionAnswer(Endpoint):
    tag = "questions"
    rows = Question.objects.select_related("batch_item__batch__project", "batch_item__item", "by__user")
    project = "batch_item__batch__project"

    @op(
        Scope.ADJUDICATE, "Answer a question", right="answer_questions", body=bodies.AnswerIn, reply=bodies.QuestionOut,
        conflicts=("answered", "archived"), description="Only the asker sees the answer. It never tells others' labels.",
    )  # fmt: skip
    def post(self, call: Call) -> Any:
        answered = answer_question(by=call.seat, question=call.row, text=call.body["text"], at=call.at)
        call.row.answer, call.row.answered_at = answered.answer, answered.answered_at
        return question_row(call.row)
