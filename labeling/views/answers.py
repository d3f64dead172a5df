"""A rater's own answers of a batch: look through them, and change one while that is possible."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from .. import access
from ..models import Assignment, User
from ..queries import desk as reads
from ..queries.definitions import definitions_for_desk
from ..refusals import Refusal
from ..submission import Answer, submit_annotation
from ..vocabulary import Outcome
from .decorators import member_page
from .desk import answer_json
from .item_html import item_as_shown, one_line, picture_url
from .navigation import project_context
from .panels import panels

PAGE = 50


def _position(raw: str) -> tuple[datetime, int] | None:
    """The row a page starts behind, from its address; None for the first page or a mistyped one."""
    when, _, pk = raw.rpartition("_")
    try:
        at = datetime.fromisoformat(when)
        return (at, int(pk)) if timezone.is_aware(at) and 0 <= int(pk) < 2**63 else None
    except (ValueError, OverflowError):
        return None


def words_of(answer: dict[str, Any], names: dict[str, str]) -> str:
    """An own answer in words."""
    if answer["outcome"] == Outcome.CANNOT_LABEL:
        return f"not enough information: {answer['reason']}"
    words = names.get(answer["value"], str(answer["value"]))
    if answer["borderline"]:
        second = answer["second_value"]
        words += f", borderline with {names.get(second, second)}" if second else ", borderline"
    return words


@member_page
@never_cache
@require_safe
def my_answers(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The rater's answers in a batch, newest first."""
    batch, seat = access.batch_for(request.user, uuid, "label")
    rows, more = reads.own_answers(seat.membership, batch, size=PAGE, before=_position(request.GET.get("before", "")))
    names = reads.label_names(batch.guideline_version)
    table = [
        {
            "url": reverse("labeling:my_answer", args=[row.place.uuid]),
            "item": one_line(row.place.batch_item.item, batch.project),
            "picture": picture_url(row.place.batch_item.item, batch.project),
            "words": words_of(answer_json(row.annotation), names),
            "comment": row.annotation.comment,
            "changed": row.annotation.revision > 1,
            "at": row.place.finished_at,
            "editable": row.editable,
        }
        for row in rows
    ]
    older = ""
    if more:
        last = rows[-1].place
        assert last.finished_at is not None  # a submitted place has a time, by constraint
        older = f"?before={last.finished_at.isoformat().replace('+', '%2B')}_{last.pk}"
    context = project_context(
        seat,
        batch=batch,
        rows=table,
        older_url=older,
        newer_url="?" if request.GET.get("before") else "",
        is_open=batch.status == "open",
        panels=panels("my_answers", request, seat, batch),
        zone=batch.project.time_zone,
        put_away=reads.count_put_away(seat.membership, batch),
    )
    return render(request, "labeling/my_answers.html", context)


@member_page
@never_cache
@require_http_methods(["GET", "POST"])
def my_answer(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """One own answer with its item; POST records a revision."""
    places = Assignment.objects.select_related("batch__guideline_version", "batch__project")
    place, seat = access.row_for(request.user, places, uuid, "label", project="batch__project")
    user: User = request.user  # type: ignore[assignment]
    batch = place.batch
    own = reads.own_answer(seat.membership, batch, uuid)
    if own is None:
        raise access.NotSeen("not_found", "There is no such answer of yours.")
    answer, status = answer_json(own.annotation), 200
    problem: Refusal | None = None
    if request.method == "POST":
        answer = {**answer, **_entered(request)}
        try:
            submission = submit_annotation(
                by=user,
                batch=batch,
                assignment=place.uuid,
                token=place.claim_token or "",
                answer=Answer(**{name: answer[name] for name in FIELDS}),
                revises=True,
            )
        except Refusal as refusal:
            problem, status = refusal, refusal.status
        else:
            messages.info(
                request,
                "Changed. Your earlier answer stays in the record."
                if submission.created
                else "Nothing was different, so nothing was recorded.",
            )
            return redirect("labeling:my_answers", batch.uuid)
    labels = definitions_for_desk(batch.guideline_version, batch.project)
    context = project_context(
        seat,
        batch=batch,
        own=own,
        item=item_as_shown(own.place.batch_item.item, batch.project),
        answer=answer,
        words=words_of(answer_json(own.annotation), {label["key"]: label["name"] for label in labels}),
        labels=labels,
        can_borderline=not any(label["is_borderline"] for label in labels),
        problem=problem,
        panels=panels("my_answer", request, seat, own.place),
        zone=batch.project.time_zone,
    )
    return render(request, "labeling/my_answer.html", context, status=status)


FIELDS = ("value", "second_value", "outcome", "borderline", "reason", "comment")


def _entered(request: HttpRequest) -> dict[str, Any]:
    form = request.POST
    choice = form.get("choice", "")
    cannot = choice == Outcome.CANNOT_LABEL
    borderline = not cannot and form.get("borderline") == "1"
    value = choice.removeprefix("label:")
    second = form.get("second_value") or None
    return {
        "value": None if cannot else value,
        "second_value": second if borderline and second != value else None,
        "outcome": Outcome.CANNOT_LABEL if cannot else Outcome.LABELED,
        "borderline": borderline,
        "reason": form.get("reason", "") if cannot else "",
        "comment": form.get("comment", ""),
    }
