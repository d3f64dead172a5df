"""From a ruling to the next definition: the one arrow back. A proposal attaches its motives to the project's draft."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from labeling import guidelines
from labeling.access import Seat, require
from labeling.events import event, record
from labeling.guidelines.editing import lock_draft
from labeling.guidelines.fields import LabelFields
from labeling.models import GuidelineVersion, LabelDefinition
from labeling.queries.guideline_content import draft_of
from labeling.refusals import BadValue, NotSeen, Refusal
from labeling.vocabulary import MappingKind

from .models import Adjudication, Disagreement, GuidelineMotive

MOST_MOTIVES = 2000
NOTE_LIMIT = 1500


def propose_change(
    *,
    by: Seat,
    adjudications: Sequence[Adjudication] = (),
    disagreements: Sequence[Disagreement] = (),
    merge: tuple[str, str] | None = None,
    normalise: tuple[str, str] | None = None,
    at: datetime | None = None,
) -> GuidelineVersion:
    """The project's draft, with these rulings (or disagreements not ruled yet) named as what led to it.

    Started from the version in force when there is none. A disagreement that has a ruling is named by it. `merge` and
    `normalise` are (from, to) label keys: the first label goes, and earlier answers with it read as the second. Where
    the draft says no reason yet, the rationales become one to start from. Proposing the same again changes nothing.
    """
    at = at or timezone.now()
    require(by.membership, "define")
    rulings, open_cases = _checked(by, adjudications, disagreements)
    with transaction.atomic():
        draft = _draft(by, at)
        added = 0
        for values in [{"adjudication": ruling} for ruling in rulings] + [
            {"disagreement": case} for case in open_cases
        ]:
            _, created = GuidelineMotive.objects.get_or_create(
                guideline_version=draft, **values, defaults={"by": by.user, "at": at}
            )
            added += created
        ruling = rulings[0].uuid if rulings else None
        for pair, kind in ((merge, MappingKind.MERGE), (normalise, MappingKind.NORMALISE)):
            if pair is not None:
                _read_as(by, draft, pair, kind, ruling, at)
        if not draft.change_note.strip() and (note := _note(rulings)) and draft.parent_id is not None:
            GuidelineVersion.objects.filter(pk=draft.pk).update(change_note=note, saved_at=at, saved_by=by.user)
            draft.change_note = note
        if added:
            record(event("change_proposed", draft, by=by.user, at=at, project=by.project, motives=added))
    return draft


def _checked(
    by: Seat, adjudications: Sequence[Adjudication], disagreements: Sequence[Disagreement]
) -> tuple[list[Adjudication], list[Disagreement]]:
    """The rulings and the open cases of the proposal, each once."""
    if not adjudications and not disagreements:
        raise BadValue(
            "empty", "Name at least one ruling or disagreement that the change answers.", field="adjudication"
        )
    if len(adjudications) + len(disagreements) > MOST_MOTIVES:
        raise BadValue("too_many", f"At most {MOST_MOTIVES:,} cases can be named at once.", field="adjudication")
    cases = [*(ruling.disagreement for ruling in adjudications), *disagreements]
    if any(case.batch.project_id != by.project.pk for case in cases):
        raise NotSeen("not_found", "There is no such case in this project.")
    by_case: dict[int, Adjudication] = {ruling.disagreement_id: ruling for ruling in adjudications}
    unnamed = [case.pk for case in disagreements if case.pk not in by_case]
    for start in range(0, len(unnamed), 500):
        newest = Adjudication.objects.filter(disagreement__in=unnamed[start : start + 500]).annotate(
            newest=Max("disagreement__adjudications__revision")
        )
        by_case |= {ruling.disagreement_id: ruling for ruling in newest.filter(revision=F("newest"))}
    open_cases = {case.pk: case for case in disagreements if case.pk not in by_case}
    return list(by_case.values()), list(open_cases.values())


def _draft(by: Seat, at: datetime) -> GuidelineVersion:
    """The project's draft, locked; a new one when there is none, also when someone starts it this moment."""
    for _ in range(3):
        draft = draft_of(by.project)
        if draft is None:
            try:
                with transaction.atomic():
                    draft = guidelines.start_draft(by=by, at=at)
            except Refusal as refusal:
                if refusal.code != "draft_exists":
                    raise
                continue
        try:
            return lock_draft(by, draft)
        except Refusal as refusal:
            # Published or given up between our look and our lock: the proposal goes into the next draft.
            if refusal.code not in ("published", "gone"):
                raise
    raise Refusal("busy", "The draft changed hands this moment. Please try again.")


def _note(rulings: Sequence[Adjudication]) -> str:
    """The rationales of the rulings, each once, as a first reason for the change."""
    lines = dict.fromkeys(ruling.rationale.strip() for ruling in rulings)
    return "\n".join(lines)[:NOTE_LIMIT]


def _read_as(
    by: Seat, draft: GuidelineVersion, pair: tuple[str, str], kind: str, ruling: UUID | None, at: datetime
) -> None:
    """Let the first label go in favour of the second; a spelling nobody declared yet takes the first one's place."""
    from_key, to_key = pair
    labels = {label.key: label for label in LabelDefinition.objects.filter(version=draft).select_related("version")}
    if from_key not in labels:
        if to_key in labels:
            return  # proposed before
        raise BadValue("bad_value", f"{from_key!r} is no label of this draft.", field="from")
    if from_key == to_key:
        raise BadValue("bad_value", "Choose two different labels.", field="to")
    label = labels[from_key]
    if to_key in labels:
        guidelines.remove_label(by=by, label=label, merge_into=to_key, kind=kind, ruling=ruling, at=at)
        return
    if kind == MappingKind.MERGE:
        raise BadValue("bad_value", f"{to_key!r} is no label of this draft.", field="to")
    typed = {name: getattr(label, name) for name in LabelFields.__dataclass_fields__}
    fields = LabelFields(**{**typed, "key": to_key, "name": to_key})
    guidelines.edit_label(by=by, label=label, fields=fields, at=at)
