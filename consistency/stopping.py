"""When to stop revising: what the owner settles before looking."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from labeling.access import Seat, require
from labeling.events import event, record
from labeling.models import Project
from labeling.refusals import BadValue


def set_stop_rule(
    *,
    by: Seat,
    delta_min: float,
    agreement_target: float | None,
    planned_looks: int,
    most_rounds: int,
    at: datetime | None = None,
) -> Project:
    """The smallest gain in alpha that is worth a revision, the target, planned looks and rounds. Raises BadValue."""
    at = at or timezone.now()
    require(by.membership, "manage")
    if not 0 < delta_min <= 0.5:
        raise BadValue("bad_value", "The smallest useful gain lies above 0 and is at most 0.5.", field="delta_min")
    if agreement_target is not None and not 0 <= agreement_target < 1:
        raise BadValue("bad_value", "The target lies from 0 to below 1.", field="agreement_target")
    if not 1 <= planned_looks <= 20:
        raise BadValue("bad_value", "Plan 1 to 20 looks.", field="planned_looks")
    if not 1 <= most_rounds <= 50:
        raise BadValue("bad_value", "Plan 1 to 50 revisions.", field="most_rounds")
    rule = {
        "delta_min": delta_min, "agreement_target": agreement_target, "planned_looks": planned_looks,
        "most_rounds": most_rounds,
    }  # fmt: skip
    with transaction.atomic():
        project = Project.objects.select_for_update(no_key=True).get(pk=by.project.pk)
        before = {name: project.settings.get(name) for name in rule}
        if before != rule:
            project.settings = {**project.settings, **rule}
            project.save(update_fields=["settings"])
            record(event("stop_rule_set", project, by=by.user, at=at, project=project, before=before, after=rule))
    by.project.settings = project.settings
    return project
