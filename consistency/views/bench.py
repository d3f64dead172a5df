"""Room 7, the bench: the queue with a case open. Its plain forms and the script's calls do the same acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from labeling import access
from labeling.access import Seat
from labeling.models import Batch
from labeling.refusals import NotSeen, Refusal
from labeling.views.decorators import member_page, person
from labeling.views.navigation import project_context
from labeling.vocabulary import Cohort

from ..models import Disagreement
from ..queries import bench as reads
from ..queries import cases
from ..queries.slices import slices_of
from .bench_acts import PLAIN_ACTS
from .bench_cases import SIMILAR, case_context
from .bench_queue import (
    KIND_WORDS,
    ORDER_WORDS,
    STATUS_WORDS,
    confusion_words,
    filter_from,
    held_by_other,
    line_context,
    query_of,
    uuid_of,
    values_of,
)

PER_PAGE = 40


def _batch(seat: Seat, raw: Any, counts: list[reads.BatchCount]) -> Batch | None:
    """The batch that is asked for, or the newest one with cases that wait."""
    wanted = uuid_of(raw)
    for one in counts:
        if one.batch.uuid == wanted:
            return one.batch
    waiting = [one for one in counts if one.waiting]
    return (waiting or counts)[0].batch if counts else None


def _page(
    request: HttpRequest,
    seat: Seat,
    *,
    case: Disagreement | None = None,
    first: bool = False,
    draft: Mapping[str, Any] | None = None,
    problem: Refusal | None = None,
    status: int = 200,
) -> HttpResponse:
    """The queue with one case open. `first`: without one that was asked for, the first of the queue."""
    counts = reads.batches_with_cases(seat.project)
    batch = case.batch if case is not None else _batch(seat, request.GET.get("batch"), counts)
    context: dict[str, Any] = {"batches": counts, "batch": batch, "problem": problem, "person": seat.user}
    if batch is not None:
        wanted = filter_from(request.GET, seat.project)
        query = query_of(wanted, batch)
        after = uuid_of(request.GET.get("after"))
        page = reads.queue_page(batch, wanted, size=PER_PAGE, after=after)
        values = values_of(batch.guideline_version, seat.project)
        names = {label["key"]: label["name"] for label in values}
        if case is None and first and page.lines:
            free = [line for line in page.lines if not held_by_other(line.case, seat)]
            case = cases.case_of(seat.project, (free or page.lines)[0].case.uuid)
        address = reverse("consistency:bench", args=[seat.project.slug])
        context |= {
            "wanted": wanted,
            "query": query,
            "page": page,
            "lines": [line_context(line, seat, values, query) for line in page.lines],
            "older_url": f"{address}?{query}&after={page.after}" if page.after else "",
            "newer_url": f"{address}?{query}" if after else "",
            "clusters": [
                (name, confusion_words(name, names), count)
                for name, count in reads.clusters(batch, status=wanted.status)
            ],
            "kinds": KIND_WORDS.items(),
            "cohort_choices": Cohort.choices,
            "orders": ORDER_WORDS,
            "statuses": STATUS_WORDS,
            "slices": slices_of(seat.project),
            "counted": next(one for one in counts if one.batch.pk == batch.pk),
            "legend": _legend(values),
            "filtered": bool(wanted.kind or wanted.pair or wanted.cohort or wanted.slice or wanted.metadata),
            "can_vote": seat.may("manage"),
        }
        if case is not None:
            context |= case_context(seat, case, query=query, draft=draft, similar=_similar(request))
    context = project_context(seat, "consistency:bench", **context)
    return render(request, "consistency/bench.html", context, status=status)


def _similar(request: HttpRequest) -> int:
    return 48 if request.GET.get("similar") == "all" else SIMILAR


def _legend(values: list[dict[str, Any]]) -> list[str]:
    if len(values) == 2:
        return [f"filled = {values[0]['name']}", f"hollow = {values[1]['name']}"]
    return ["filled = the most frequent answer", "hollow = another"]


@member_page
@require_safe
def bench(request: HttpRequest, slug: str) -> HttpResponse:
    """The queue with its first case open."""
    seat = access.project_for(person(request), slug, "adjudicate")
    return _page(request, seat, first=True)


def case_at(seat: Seat, uuid: UUID) -> Disagreement:
    case = cases.case_of(seat.project, uuid)
    if case is None:
        raise NotSeen("not_found", "There is no such case in this project.")
    return case


@member_page
@require_http_methods(["GET", "HEAD", "POST"])
def bench_case(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """One case with the queue beside it. Without a script its forms post here: action = rule, discuss, hold, release,
    say or overrule."""
    seat = access.project_for(person(request), slug, "adjudicate")
    case = case_at(seat, uuid)
    if request.method != "POST":
        return _page(request, seat, case=case)
    action = request.POST.get("action", "rule")
    try:
        words = PLAIN_ACTS[action](seat, case, request.POST)
    except KeyError:
        raise NotSeen("not_found", "There is no such act.") from None
    except Refusal as refusal:
        return _page(
            request,
            seat,
            case=case_at(seat, uuid),
            draft=_entered(request.POST),
            problem=refusal,
            status=refusal.status,
        )
    if words:
        messages.success(request, words)
    if action in ("rule", "discuss"):
        wanted = filter_from(request.GET, seat.project)
        following = reads.next_case(case.batch, wanted, after=case, member=seat.membership)
        query = query_of(wanted, case.batch)
        if following is not None:
            return redirect(reverse("consistency:bench_case", args=[slug, following.uuid]) + f"?{query}")
        return redirect(reverse("consistency:bench", args=[slug]) + f"?{query}")
    return redirect(request.get_full_path())


def _entered(form: Mapping[str, Any]) -> dict[str, Any]:
    return {name: form.get(name, "") for name in ("value", "cause", "outcome", "rationale", "borderline", "text")}
