"""Figures, disagreements, rulings and resolutions as programs read them."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from consistency.models import Adjudication, AgreementEstimate, AgreementRun, Disagreement, Resolution
from labeling.models import Annotation, Membership, Project
from labeling.queries.annotations import that_resolve


def estimates_of(run: AgreementRun) -> list[AgreementEstimate]:
    """The run's own figures, in order; one query."""
    return list(AgreementEstimate.objects.filter(run=run, compared_run__isnull=True).order_by("pk"))


def disagreements_for(
    project: Project, *, batch: Any = None, status: str = "", kind: str = "", confusion: str = ""
) -> QuerySet[Disagreement]:
    """The project's disagreements, by what is asked."""
    rows = Disagreement.objects.filter(batch__project=project).select_related("batch_item__item", "batch")
    asked = {"batch__uuid": batch, "status": status, "kind": kind, "confusion": confusion}
    return rows.filter(**{name: value for name, value in asked.items() if value})


def answers_to(case: Disagreement) -> list[Annotation]:
    """The answers that count for the item of a case, without their raters; one query."""
    rows = that_resolve([case.batch]).filter(assignment__batch_item=case.batch_item_id)
    return list(rows.select_related("assignment").order_by("assignment__cohort", "assignment__ordinal"))


def rulings_for(project: Project, *, batch: Any = None, disagreement: Any = None) -> QuerySet[Adjudication]:
    """Rulings of the project, those that were overruled too."""
    rows = Adjudication.objects.filter(disagreement__batch__project=project).select_related(
        "disagreement__batch_item__item", "disagreement__batch"
    )
    asked = {"disagreement__batch__uuid": batch, "disagreement__uuid": disagreement}
    return rows.filter(**{name: value for name, value in asked.items() if value})


def authors_of(rulings: list[Adjudication], project: Project) -> dict[int, Membership]:
    """{user: membership} of who ruled; one query."""
    rows = Membership.objects.filter(project=project, user__in={ruling.by_id for ruling in rulings})
    return {member.user_id: member for member in rows}


def resolutions_for(
    project: Project, *, batch: Any = None, method: str = "", every_revision: bool = False
) -> QuerySet[Resolution]:
    """Resolutions in force, or with `every_revision` all there ever were."""
    rows = Resolution.objects.filter(batch_item__batch__project=project).select_related(
        "batch_item__item", "batch_item__batch__guideline_version", "adjudication"
    )
    if not every_revision:
        later = Resolution.objects.filter(batch_item=OuterRef("batch_item"), revision__gt=OuterRef("revision"))
        rows = rows.filter(~Exists(later))
    asked = {"batch_item__batch__uuid": batch, "method": method}
    return rows.filter(**{name: value for name, value in asked.items() if value})
