"""The calls of the bench's script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_safe

from labeling import access
from labeling.access import Seat
from labeling.refusals import BadValue, Refusal
from labeling.views.decorators import member_page, person
from labeling.views.json_calls import json_act

from .. import adjudication as acts
from .. import discussing, holding
from ..models import Disagreement
from .bench import case_at
from .bench_acts import rule_cluster, ruling_from
from .bench_cases import case_context
from .bench_queue import filter_from, query_of


@member_page
@require_safe
def bench_parts(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """A case as the two parts of its page, to be painted at once when its turn comes."""
    seat = access.project_for(person(request), slug, "adjudicate")
    case = case_at(seat, uuid)
    query = query_of(filter_from(request.GET, seat.project), case.batch)
    context = {"project": seat.project, "seat": seat, **case_context(seat, case, query=query)}
    return JsonResponse(
        {
            "uuid": str(case.uuid),
            "title": case.batch_item.item.external_id,
            "main": render_to_string("consistency/bench/case_main.html", context, request),
            "side": render_to_string("consistency/bench/case_side.html", context, request),
        }
    )


def call(act: Callable[[Seat, Disagreement, dict[str, Any], datetime], dict[str, Any]]) -> Callable[..., HttpResponse]:
    """A call of the bench's script: the act's answer, or its refusal in the one error form."""

    @json_act
    def wrapped(request: HttpRequest, slug: str, uuid: UUID, *, body: dict[str, Any]) -> HttpResponse:
        try:
            seat = access.project_for(request.user, slug, "adjudicate")
            return JsonResponse(act(seat, case_at(seat, uuid), body, timezone.now()))
        except Refusal as refusal:
            return JsonResponse(refusal.as_json(), status=refusal.status)

    return wrapped


def _held_json(case: Disagreement) -> dict[str, Any]:
    return {
        "token": str(case.hold_token),
        "until": case.hold_until.isoformat() if case.hold_until else None,
        "seen": case.input_sha256,
    }


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise BadValue("bad_value", f"{name} must be text.", field=name)
    return value


@call
def bench_hold(seat: Seat, case: Disagreement, body: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Hold a case while it is on the screen."""
    return _held_json(holding.hold_disagreement(by=seat, disagreement=case, at=at))


@call
def bench_extend(seat: Seat, case: Disagreement, body: dict[str, Any], at: datetime) -> dict[str, Any]:
    return _held_json(holding.extend_hold(by=seat, disagreement=case, token=_text(body, "token"), at=at))


@call
def bench_release(seat: Seat, case: Disagreement, body: dict[str, Any], at: datetime) -> dict[str, Any]:
    holding.release_hold(by=seat, disagreement=case, token=_text(body, "token"), at=at)
    return {}


@call
def bench_rule(seat: Seat, case: Disagreement, body: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Rule on a held case, and with `also` ([uuid, digest seen] of each) on those like it."""
    for name in ("cause", "outcome", "rationale"):
        _text(body, name)
    ruling, also = ruling_from(body), body.get("also", [])
    if not isinstance(also, list) or not all(
        isinstance(one, list) and len(one) == 2 and all(isinstance(part, str) for part in one) for one in also
    ):
        raise BadValue("bad_value", "also must be a list of [case, digest].", field="also")
    if also:
        words, report = rule_cluster(seat, case, _text(body, "seen"), also, ruling)
        return {
            "words": words,
            "ruled": [str(one.disagreement.uuid) for one in report.rulings],
            "refused": [
                {"case": str(one.disagreement), "code": one.code, "message": one.message} for one in report.refused
            ],
        }
    made = acts.rule_on(
        by=seat, disagreement=case, token=_text(body, "token"), seen=_text(body, "seen"), ruling=ruling, at=at
    )
    return {"adjudication": str(made.uuid), "ruled": [str(case.uuid)], "refused": []}


@call
def bench_discuss(seat: Seat, case: Disagreement, body: dict[str, Any], at: datetime) -> dict[str, Any]:
    discussing.open_discussion(by=seat, disagreement=case, token=_text(body, "token"), text=_text(body, "text"), at=at)
    return {}
