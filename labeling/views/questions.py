"""The inbox of raters' questions, for SMEs and owners. No answer of any rater is loaded here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from .. import access
from ..access import Seat
from ..forms.guidelines import AnswerForm
from ..models import Question
from ..queries.definitions import definitions_for_desk
from ..queries.questions import neighbours, questions_of, waiting
from ..questions import answer_question
from ..refusals import NotSeen, Refusal
from .decorators import member_page, person
from .forms import posted, show_refusal
from .item_html import item_as_shown
from .navigation import project_context

PER_PAGE = 30


def _page(request: HttpRequest, seat: Seat, question: Question | None, form: AnswerForm | None) -> dict[str, Any]:
    """The list, and the question that is looked at with its item and definition."""
    page = Paginator(questions_of(seat.project), PER_PAGE).get_page(request.GET.get("page"))
    more: dict[str, Any] = {}
    if question is not None:
        before, after = neighbours(question, seat.project)
        version = question.batch_item.batch.guideline_version
        more = {
            "item": item_as_shown(question.batch_item.item, seat.project),
            "version": version,
            "labels": definitions_for_desk(version, seat.project),
            "before": before,
            "after": after,
        }
    return project_context(
        seat, "questions", page=page, question=question, form=form, open_count=waiting(seat.project).count(),
        names=seat.may("identify_raters"), **more,
    )  # fmt: skip


def _form_for(question: Question, seat: Seat, request: HttpRequest | None = None) -> AnswerForm | None:
    """A form where the person may write: an open question, or an own answer that was not read yet."""
    if question.answered_at is None or (question.answered_by_id == seat.user.pk and question.seen_at is None):
        return AnswerForm(posted(request) if request is not None else None, initial={"text": question.answer})
    return None


@member_page
@require_safe
def questions(request: HttpRequest, slug: str) -> HttpResponse:
    """The inbox with the oldest waiting question open."""
    seat = access.project_for(person(request), slug, "answer_questions")
    question = waiting(seat.project).first()
    form = _form_for(question, seat) if question is not None else None
    return render(request, "labeling/questions.html", _page(request, seat, question, form))


@member_page
@require_http_methods(["GET", "POST"])
def question_answer(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    seat = access.project_for(person(request), slug, "answer_questions")
    question = questions_of(seat.project).filter(uuid=uuid).first()
    if question is None:
        raise NotSeen("not_found", "There is no such question in this project.")
    form = AnswerForm(request.POST) if request.method == "POST" else _form_for(question, seat)
    status = 422 if request.method == "POST" else 200
    if request.method == "POST" and form is not None and form.is_valid():
        try:
            answer_question(by=seat, question=question, text=form.cleaned_data["text"])
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = refusal.status
        else:
            messages.success(request, "Your answer is on its way to the asker’s desk.")
            return redirect("labeling:questions", slug)
    return render(request, "labeling/questions.html", _page(request, seat, question, form), status=status)
