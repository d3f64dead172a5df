"""What an SME does with a case, as a form or the script sends it: each calls the one act."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.http import QueryDict

from labeling.access import Seat
from labeling.refusals import BadValue, Refusal

from .. import adjudication as acts
from .. import discussing, holding
from ..adjudication import Ruling
from ..models import Disagreement

NO_VALUE = "none"


def ruling_from(given: Mapping[str, Any]) -> Ruling:
    value = given.get("value") or None
    return Ruling(
        value=None if value == NO_VALUE else value,
        cause=str(given.get("cause", "")),
        outcome=str(given.get("outcome", "")),
        rationale=given.get("rationale", ""),
        borderline=given.get("borderline") in (True, "1"),
    )


def _hold(seat: Seat, case: Disagreement, form: QueryDict) -> str:
    holding.hold_disagreement(by=seat, disagreement=case)
    return ""


def _release(seat: Seat, case: Disagreement, form: QueryDict) -> str:
    holding.release_hold(by=seat, disagreement=case, token=form.get("token", ""))
    return ""


def _token(seat: Seat, case: Disagreement, form: QueryDict) -> str:
    """The hold of the form, or a fresh one: without a script nobody held the case before."""
    return form.get("token") or str(holding.hold_disagreement(by=seat, disagreement=case).hold_token)


def _rule(seat: Seat, case: Disagreement, form: QueryDict) -> str:
    also = [tuple(raw.split(":", 1)) for raw in form.getlist("also") if ":" in raw]
    ruling = ruling_from(form)
    if also and form.get("same"):
        return rule_cluster(seat, case, str(form.get("seen", "")), also, ruling)[0]
    token = _token(seat, case, form)
    acts.rule_on(by=seat, disagreement=case, token=token, seen=form.get("seen", ""), ruling=ruling)
    return f"Ruled on {case.batch_item.item.external_id}."


def rule_cluster(
    seat: Seat, case: Disagreement, seen: str, also: list[Any], ruling: Ruling
) -> tuple[str, acts.ClusterReport]:
    """One ruling for the case and those like it; in words, and what became of each."""
    report = acts.rule_on_cluster(by=seat, batch=case.batch, cases=[(case.uuid, seen), *also], ruling=ruling)
    mine = [one for one in report.refused if one.disagreement == case.uuid]
    if mine:
        raise Refusal(mine[0].code, mine[0].message)
    words = f"Ruled on {len(report.rulings)} cases with one rationale."
    if report.refused:
        words += f" {len(report.refused)} stay in the queue: {report.refused[0].message}"
    return words, report


def _discuss(seat: Seat, case: Disagreement, form: QueryDict) -> str:
    discussing.open_discussion(by=seat, disagreement=case, token=_token(seat, case, form), text=form.get("text", ""))
    return "The raters of this item are asked. It waits under “In discussion”."


def _say(seat: Seat, case: Disagreement, form: QueryDict) -> str:
    discussing.say_in_discussion(by=seat, disagreement=case, text=form.get("text", ""))
    return ""


def _overrule(seat: Seat, case: Disagreement, form: QueryDict) -> str:
    try:
        revision = int(form.get("revision", ""))
    except ValueError:
        raise BadValue("bad_value", "revision must be a number.", field="revision") from None
    acts.overrule(by=seat, disagreement=case, revision=revision, ruling=ruling_from(form))
    return "Replaced. The earlier ruling stays in the history."


PLAIN_ACTS: dict[str, Callable[[Seat, Disagreement, QueryDict], str]] = {
    "hold": _hold,
    "release": _release,
    "rule": _rule,
    "discuss": _discuss,
    "say": _say,
    "overrule": _overrule,
}
