"""Items, imports, jobs, questions, events and people as programs list them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from labeling.access import Seat
from labeling.models import (
    Batch,
    Event,
    GuidelineVersion,
    ImportRun,
    Item,
    Job,
    Membership,
    Prediction,
    Project,
    Question,
)
from labeling.queries.guideline_content import versions_of
from labeling.queries.items import tags_of
from labeling.queries.people import count_labels
from labeling.selection import Selection, matching
from labeling.vocabulary import BatchStatus, RunStatus, VersionStatus


def questions_for(seat: Seat, *, waiting: bool = False) -> QuerySet[Question]:
    """Every question of the project for who may answer them, else the member's own."""
    rows = Question.objects.filter(batch_item__batch__project=seat.project).select_related(
        "batch_item__batch", "batch_item__item", "by__user"
    )
    if not seat.holds("answer_questions"):
        rows = rows.filter(by=seat.membership)
    return rows.filter(answered_at__isnull=True) if waiting else rows


def versions_for(seat: Seat) -> QuerySet[GuidelineVersion]:
    """Versions the member may read: raters see what is published, the others drafts too."""
    rows = versions_of(seat.project)
    return rows if seat.holds("see_setup") else rows.filter(status=VersionStatus.PUBLISHED)


def read_versions(member: Membership, versions: Iterable[GuidelineVersion]) -> set[int]:
    """Ids of those versions that the member has acknowledged."""
    ids = [version.pk for version in versions]
    return set(member.acknowledgements.filter(guideline_version__in=ids).values_list("guideline_version_id", flat=True))


def batches_for(seat: Seat) -> QuerySet[Batch]:
    """Batches the member may see: for raters those that were opened and ask for their cohort."""
    imported = Q(import_run__isnull=True) | Q(import_run__status=RunStatus.DONE)
    rows = Batch.objects.filter(imported, project=seat.project)
    if not seat.holds("see_progress"):
        rows = rows.filter(quotas__cohort=seat.membership.cohort).exclude(status=BatchStatus.DRAFT)
    return rows.select_related("guideline_version", "parent").prefetch_related("quotas")


def items_for(project: Project, *, metadata: dict[str, Any], tag: str, external_id: str) -> QuerySet[Item]:
    """Items that pass the filter, by id; withdrawn ones are not among them."""
    selection = Selection(metadata=metadata, tags=(tag,) if tag else ())
    selection.check()
    rows = matching(project, selection)
    return rows.filter(external_id=external_id) if external_id else rows


@dataclass(frozen=True)
class ItemRow:
    """An item with its tags."""

    item: Item
    tags: list[str]


def with_tags(items: Sequence[Item]) -> list[ItemRow]:
    """A page of items with their tags; one query."""
    tags = tags_of(items)
    return [ItemRow(item, tags.get(item.pk, [])) for item in items]


@dataclass(frozen=True)
class MemberRow:
    """A member and how many places they answered."""

    member: Membership
    labels: int


def members_for(project: Project) -> QuerySet[Membership]:
    """Everyone who is or was in the project, raters of imported labels included."""
    return Membership.objects.filter(project=project).select_related("user")


def with_labels(members: Sequence[Membership]) -> list[MemberRow]:
    """A page of members with their counts; one query."""
    labels = count_labels(members)
    return [MemberRow(member, labels.get(member.pk, 0)) for member in members]


def jobs_for(project: Project, status: str = "") -> QuerySet[Job]:
    """The project's jobs."""
    rows = Job.objects.filter(project=project)
    return rows.filter(status=status) if status else rows


def imports_for(project: Project) -> QuerySet[ImportRun]:
    """The project's imports that were started."""
    return ImportRun.objects.filter(project=project).exclude(mapping_sha256="")


def jobs_of_imports(runs: Sequence[ImportRun]) -> dict[int, Job]:
    """{import: its newest job}, for a page of them; one query."""
    keys = {f"import:{run.pk}": run.pk for run in runs}
    return {keys[job.dedup_key]: job for job in Job.objects.filter(dedup_key__in=list(keys)).order_by("pk")}


def events_for(project: Project, *, verb: str = "", subject: str = "") -> QuerySet[Event]:
    """What happened in the project."""
    rows = Event.objects.filter(project=project).select_related("actor")
    if verb:
        rows = rows.filter(verb=verb)
    return rows.filter(subject_type=subject) if subject else rows


def members_by_user(project: Project, users: Iterable[int]) -> dict[int, Membership]:
    """{user: their membership}, for the actors of a page of events; one query."""
    rows = Membership.objects.filter(project=project, user__in=set(users)).select_related("user")
    return {member.user_id: member for member in rows}


def predictions_for(project: Project, *, model: str = "", version: str = "", item: Any = None) -> QuerySet[Prediction]:
    """Predictions about the project's items."""
    rows = Prediction.objects.filter(item__project=project).select_related("item", "guideline_version")
    if model:
        rows = rows.filter(model_name=model)
    if version:
        rows = rows.filter(model_version=version)
    return rows.filter(item__uuid=item) if item else rows
