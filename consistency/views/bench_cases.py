"""A case of the bench as its page shows it. Raters are numbers here, never names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from labeling.access import Seat
from labeling.queries.definitions import version_for_desk
from labeling.queries.guideline_content import draft_of
from labeling.views.item_html import item_as_shown, picture_or_words
from labeling.vocabulary import Cohort, Outcome

from .. import bench
from ..models import Disagreement
from ..queries import bench as reads
from ..queries import cases
from ..queries.cases import CaseView
from ..vocabulary import Cause, DisagreementKind, DisagreementStatus, ResolutionMethod, RulingOutcome
from .bench_queue import KIND_WORDS, confusion_words, held_by_other, line_context, values_of

SIMILAR = 8
CAUSE_KEYS = {
    Cause.AMBIGUOUS_DEFINITION: ("a", "Ambiguous definition"),
    Cause.LEGITIMATELY_SUBJECTIVE: ("l", "Legitimately subjective"),
    Cause.TRULY_BORDERLINE: ("t", "Truly borderline"),
    Cause.INSUFFICIENT_INPUT: ("i", "Insufficient input"),
    Cause.MISSING_LABEL: ("m", "Missing label"),
    Cause.RATER_SLIP: ("p", "A slip"),
}
OUTCOME_KEYS = {
    RulingOutcome.ADJUDICATE: ("A", "This item only"),
    RulingOutcome.REVISE: ("R", "Revise definition"),
    RulingOutcome.NORMALISE: ("N", "Normalise"),
    RulingOutcome.MERGE: ("M", "Merge labels"),
    RulingOutcome.ADD_LABEL: ("L", "Add a label"),
    RulingOutcome.IMPROVE_INPUT: ("I", "Improve input"),
    RulingOutcome.KEEP_DISTRIBUTION: ("K", "Keep distribution"),
}


def case_context(
    seat: Seat, case: Disagreement, *, query: str = "", draft: Mapping[str, Any] | None = None, similar: int = SIMILAR
) -> dict[str, Any]:
    """Everything the two parts of a case's page need."""
    view: CaseView = cases.case_view(case, similar=similar)
    project, version = seat.project, case.batch.guideline_version
    values = values_of(version, project)
    names = {label["key"]: label["name"] for label in values}
    digits = {label["key"]: label["digit"] for label in values}
    own = bench.rated(seat.membership, case.batch_item.item_id)
    mine = case.status == DisagreementStatus.HELD and case.holder_id == seat.membership.pk
    other = held_by_other(case, seat)
    unruled = case.status in reads.UNRULED
    newest = view.rulings[0] if view.rulings else None
    draft_version = draft_of(project)
    return {
        "case": case,
        "view": view,
        "query": query,
        "case_url": reverse("consistency:bench_case", args=[project.slug, case.uuid]) + (f"?{query}" if query else ""),
        "item": item_as_shown(case.batch_item.item, project),
        "values": values,
        "names": names,
        "cohorts": [
            (cohort, Cohort(cohort).label, [_vote(vote, names, digits) for vote in votes])
            for cohort, votes in view.cohorts
        ],
        "against": _against(view),
        "remarks": [
            _vote(vote, names, digits) for vote in view.votes if vote.annotation.comment or vote.annotation.reason
        ],
        "confusion": confusion_words(case.confusion, names),
        "kind_words": KIND_WORDS[DisagreementKind(case.kind)],
        "similar": [
            {
                **line_context(one.line, seat, values, query),
                "shared": ", ".join(one.shared),
                "ruling": one.ruling,
                "ruling_words": _ruling_words(one.ruling, names) if one.ruling else "",
                "open": one.line.case.status in reads.WAITING
                and one.line.case.complete
                and not held_by_other(one.line.case, seat),
                **picture_or_words(one.line.case.batch_item.item, project, 90),
            }
            for one in view.similar
        ],
        "version": version,
        "definition": version_for_desk(version),
        "draft_url": reverse("labeling:guideline_edit", args=[project.slug]) if draft_version is not None else "",
        "draft_version": draft_version,
        "causes": [(key, *CAUSE_KEYS[key]) for key in CAUSE_KEYS],
        "outcomes": [(key, *OUTCOME_KEYS[key]) for key in OUTCOME_KEYS],
        "own": own,
        "mine": mine,
        "held_by_other": other,
        "minutes_left": _minutes_left(case) if mine else 0,
        "waits_for": [Cohort(cohort).label for cohort in view.unfinished],
        "can_rule": seat.may("adjudicate") and unruled and not own and not other and not view.unfinished,
        "can_overrule": seat.may("manage") and case.status == DisagreementStatus.RULED and not own,
        "ruling": newest,
        "ruling_words": _ruling_words(newest, names) if newest else "",
        "rulings": [(one, _ruling_words(one, names)) for one in view.rulings],
        "resolutions": [(one, _resolution_words(one.method, one.value, names)) for one in view.resolutions],
        "entered": draft or {},
        "can_say": case.batch_item.revealed_at is not None and unruled and seat.may("adjudicate") and not own,
        "can_borderline": not any(label["is_borderline"] for label in values),
        "zone": project.time_zone,
        "cluster_url": _cluster_url(seat, case),
    }


def _cluster_url(seat: Seat, case: Disagreement) -> str:
    address = reverse("consistency:bench", args=[seat.project.slug])
    return f"{address}?{urlencode({'batch': str(case.batch.uuid), 'pair': case.confusion})}"


def _vote(vote: cases.Vote, names: Mapping[str, str], digits: Mapping[str, str]) -> dict[str, Any]:
    said = vote.annotation
    second = said.second_value
    return {
        "rater": vote.rater,
        "cohort": vote.cohort,
        "cannot": said.outcome == Outcome.CANNOT_LABEL,
        "name": names.get(vote.key, vote.key) if vote.key is not None else "Not enough information",
        "digit": digits.get(vote.key, "") if vote.key is not None else "n",
        "borderline": said.borderline,
        "second": names.get(second, str(second)) if isinstance(second, str) else "",
        "comment": said.comment,
        "reason": said.reason,
        "changed": said.revision > 1,
        "blind": said.blind,
        "assisted": said.assisted_by,
    }


def _against(view: CaseView) -> str:
    counts: dict[str | None, int] = {}
    for vote in view.votes:
        counts[vote.key] = counts.get(vote.key, 0) + 1
    ordered = sorted(counts.values(), reverse=True)
    if len(ordered) > 1:
        return ", " + " against ".join(str(count) for count in ordered)
    return f", {ordered[0]} of one mind" if ordered else ""


def _minutes_left(case: Disagreement) -> int:
    left = (case.hold_until - timezone.now()).total_seconds() if case.hold_until else 0
    return max(0, round(left / 60))


def _ruling_words(ruling: Any, names: Mapping[str, str]) -> str:
    if ruling.distribution is not None:
        shares = sorted(ruling.distribution.items(), key=lambda pair: -pair[1])
        return "the distribution: " + ", ".join(f"{names.get(key, key)} {share:.0%}" for key, share in shares)
    if ruling.value is None:
        return "no label"
    words = names.get(ruling.value, str(ruling.value)) if isinstance(ruling.value, str) else str(ruling.value)
    return f"{words}, borderline" if ruling.borderline else words


def _resolution_words(method: str, value: Any, names: Mapping[str, str]) -> str:
    words = ResolutionMethod(method).label
    if value is None:
        return "No label in force" if method == ResolutionMethod.NONE else f"{words}: no label"
    return f"{words}: {names.get(value, value) if isinstance(value, str) else value}"
