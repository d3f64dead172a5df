"""A project's settings, each read in one place with its default."""

from __future__ import annotations

from typing import Any

from .models import Project

DEFAULTS: dict[str, Any] = {
    # {cohort: raters per item}: what the page that opens a batch starts with
    "overlap": {"generalist": 3},
    # share of items that go to the bench whether or not people disagreed
    "audit_share": 0.05,
    # how far below a rater a model may stay and still match, as a share: .05 is five points
    "model_margin": 0.05,
    # the loop's stop hint
    "delta_min": 0.05,
    "agreement_target": None,
    "planned_looks": 4,
    "most_rounds": 5,
}


def audit_share(project: Project) -> float:
    """Share of a batch's items drawn for audit at opening, 0 to 1."""
    return float(project.settings.get("audit_share", DEFAULTS["audit_share"]))


def default_overlap(project: Project) -> dict[str, int]:
    """{cohort: raters per item} that a new batch is offered with."""
    return {str(cohort): int(raters) for cohort, raters in project.settings.get("overlap", DEFAULTS["overlap"]).items()}


def model_margin(project: Project) -> float:
    """How far below a rater a model may stay and still match people."""
    return float(project.settings.get("model_margin", DEFAULTS["model_margin"]))


def delta_min(project: Project) -> float:
    """The smallest gain in agreement that makes another revision worth its cost."""
    return float(project.settings.get("delta_min", DEFAULTS["delta_min"]))


def agreement_target(project: Project) -> float | None:
    """The agreement beyond chance that is good enough here; None where nobody has set one."""
    target = project.settings.get("agreement_target", DEFAULTS["agreement_target"])
    return None if target is None else float(target)


def planned_looks(project: Project) -> int:
    """How often one relabel batch may be looked at before it is done: each look is judged the more strictly."""
    return int(project.settings.get("planned_looks", DEFAULTS["planned_looks"]))


def most_rounds(project: Project) -> int:
    """How many revisions are planned at most."""
    return int(project.settings.get("most_rounds", DEFAULTS["most_rounds"]))
