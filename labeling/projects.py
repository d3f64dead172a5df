"""Projects: founded, described, set aside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from . import task_types
from .access import Seat, hold_right, require
from .events import event, record
from .guidelines.fields import key_from_name, suggest_hotkeys
from .hashing import sha256_json
from .models import Assignment, Batch, GuidelineVersion, Item, Job, LabelDefinition, Membership, Project, User
from .queries.people import may_create_projects
from .refusals import BadValue, NotAllowed, Refusal
from .vocabulary import COLOUR_TOKENS, BatchStatus, Cohort, JobStatus, Phase, PlaceStatus, Role

FIELD_KINDS = {"text": "Text", "image": "Image", "number": "Number"}
FIELD_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]{0,59}$")
MOST_FIELDS, MOST_LABELS, LARGEST_OVERLAP = 40, 100, 50
# Words that stand where a project's name stands in addresses.
RESERVED_SLUGS = {"new"}


@dataclass(frozen=True)
class ProjectForm:
    """What describes a project. `fields`: [{name, title, kind, required}], `overlap`: {cohort: raters per item}."""

    name: str
    question: str
    task_type: str = "single_choice"
    fields: Sequence[Mapping[str, Any]] = ()
    overlap: Mapping[str, int] | None = None
    time_zone: str = "UTC"
    phase: str = Phase.POC
    audit_share: float = 0.05


def clean_fields(fields: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The payload's fields in canonical form; raises BadValue naming the field that is wrong and what would be right."""
    clean: list[dict[str, Any]] = []
    names: set[str] = set()
    for number, raw in enumerate(fields, start=1):
        name, kind = str(raw.get("name", "")).strip(), str(raw.get("kind") or "text")
        if not FIELD_NAME.match(name):
            raise BadValue(
                "bad_value",
                f"Field {number}: “{name}” cannot be a field's name. Use letters, digits and _, starting with a letter.",
                field="fields",
            )
        if name in names:
            raise BadValue("bad_value", f"Field {number}: “{name}” is there twice.", field="fields")
        if kind not in FIELD_KINDS:
            raise BadValue("bad_value", f"Field {number}: use one of {', '.join(FIELD_KINDS)}.", field="fields")
        names.add(name)
        title = str(raw.get("title") or "").strip()[:120]
        clean.append({"name": name, "kind": kind, "title": title or name, "required": bool(raw.get("required", True))})
    if not clean:
        raise BadValue("bad_value", "Name at least one field: what raters see of an item.", field="fields")
    if len(clean) > MOST_FIELDS:
        raise BadValue("bad_value", f"An item has {MOST_FIELDS} fields at most.", field="fields")
    return clean


def clean_overlap(overlap: Mapping[str, int] | None) -> dict[str, int]:
    """{cohort: raters} without zeros; raises BadValue naming the cohort."""
    clean = {}
    for cohort, raters in (overlap or {}).items():
        if cohort not in Cohort.values:
            raise BadValue("bad_value", f"Unknown cohort {cohort!r}. Use {', '.join(Cohort.values)}.", field="overlap")
        if not 0 <= raters <= LARGEST_OVERLAP:
            raise BadValue("bad_value", f"Raters per item: 0 to {LARGEST_OVERLAP}.", field=f"overlap_{cohort}")
        if raters:
            clean[str(cohort)] = raters
    if not clean:
        raise BadValue("bad_value", "Offer at least one cohort with one rater per item.", field="overlap_generalist")
    return clean


def _clean(form: ProjectForm) -> dict[str, Any]:
    """Column values of a project; raises BadValue naming the field."""
    name, question = form.name.strip(), form.question.strip()
    if not name:
        raise BadValue("empty", "Give the project a name.", field="name")
    if not question:
        raise BadValue("empty", "Write the question that raters answer.", field="question")
    if form.task_type not in task_types.registry():
        known = ", ".join(task_types.registry())
        raise BadValue("bad_value", f"Unknown task type {form.task_type!r}. Use one of {known}.", field="task_type")
    if form.time_zone not in available_timezones():
        raise BadValue("bad_value", f"Unknown time zone {form.time_zone!r}. “Europe/Berlin” is one.", field="time_zone")
    if form.phase not in Phase.values:
        raise BadValue("bad_value", f"Unknown phase {form.phase!r}. Use {', '.join(Phase.values)}.", field="phase")
    if not 0 <= form.audit_share <= 1:
        raise BadValue("bad_value", "The audit share is 0 to 100 %.", field="audit_share")
    return {
        "name": name,
        "question": question,
        "task_type": form.task_type,
        "time_zone": form.time_zone,
        "phase": form.phase,
        "fields": clean_fields(form.fields),
        "settings": {"overlap": clean_overlap(form.overlap), "audit_share": form.audit_share},
    }


def clean_labels(names: Sequence[str]) -> list[dict[str, Any]]:
    """Label definitions for a first draft, from names alone: key, name, hotkey, colour, in order.

    Two labels take 1 and 0, as they stand on the keyboard. Raises BadValue naming the label.

    >>> [(label["key"], label["hotkey"]) for label in clean_labels(["Defect", "No defect"])]
    [('defect', '1'), ('no_defect', '0')]
    """
    names = [" ".join(name.split()) for name in names if name.strip()]
    if len(names) == 1:
        raise BadValue(
            "bad_value", "One label leaves nothing to choose. Name two or more, or none yet.", field="labels"
        )
    if len(names) > MOST_LABELS:
        raise BadValue(
            "bad_value", f"{len(names)} labels are too many to start with: {MOST_LABELS} at most.", field="labels"
        )
    hotkeys = suggest_hotkeys(len(names))
    labels: list[dict[str, Any]] = []
    taken: set[str] = set()
    for ordinal, name in enumerate(names):
        if len(name) > 80:
            raise BadValue("bad_value", f"“{name[:30]}…” is longer than 80 characters.", field="labels")
        if name.casefold() in {other.casefold() for other in names[:ordinal]}:
            raise BadValue("bad_value", f"“{name}” is there twice.", field="labels")
        key = key_from_name(name, taken)
        taken.add(key)
        labels.append(
            {
                "key": key,
                "name": name,
                "ordinal": ordinal,
                "hotkey": hotkeys[ordinal],
                "colour_token": COLOUR_TOKENS[ordinal % len(COLOUR_TOKENS)],
            }
        )
    return labels


def create_project(
    *, by: User, form: ProjectForm, labels: Sequence[str] = (), simulated: bool = False, at: datetime | None = None
) -> Project:
    """A project with its first owner, and a draft definition holding `labels` (names) when there are any.

    Raises NotAllowed unless the person is staff or owns a project; BadValue naming the field.
    """
    at = at or timezone.now()
    if not may_create_projects(by):
        raise NotAllowed("no_right", "New projects are created by project owners and by whoever runs this server.")
    values, first_labels = _clean(form), clean_labels(labels)
    with transaction.atomic():
        project = _insert(values, simulated)
        Membership.objects.create(project=project, user=by, role=Role.OWNER)
        if first_labels:
            draft = GuidelineVersion.objects.create(project=project, number=1, saved_by=by)
            LabelDefinition.objects.bulk_create(LabelDefinition(version=draft, **label) for label in first_labels)
        record(
            event("created", project, by=by, at=at, project=project, labels=[label["key"] for label in first_labels])
        )
    return project


def _insert(values: dict[str, Any], simulated: bool) -> Project:
    columns = {name: value for name, value in values.items() if name != "fields"}
    stem = slugify(values["name"])[:50].strip("-") or "project"
    for attempt in range(1, 100):
        slug = stem if attempt == 1 else f"{stem}-{attempt}"
        if slug in RESERVED_SLUGS or Project.objects.filter(slug=slug).exists():
            continue
        try:
            with transaction.atomic():
                return Project.objects.create(
                    slug=slug, payload_schema={"fields": values["fields"]}, simulated=simulated, **columns
                )
        except IntegrityError:
            continue  # another project took the name this moment
    raise BadValue("taken", "Many projects have this name. Choose another.", field="name")


def project_as_seen(project: Project) -> str:
    """A short mark of the settings as a page showed them; see `edit_project`."""
    return sha256_json(_settings_of(project))[:16]


def _settings_of(project: Project) -> dict[str, Any]:
    return {
        "name": project.name,
        "question": project.question,
        "task_type": project.task_type,
        "time_zone": project.time_zone,
        "phase": str(project.phase),
        "payload_schema": project.payload_schema,
        "settings": project.settings,
    }


def edit_project(*, by: Seat, form: ProjectForm, seen: str = "", at: datetime | None = None) -> Project:
    """Change what describes the project.

    What raters' answers rest on is kept: the task type once a definition is published, the question while a batch is
    open, and fields that items hold. Raises NotAllowed, BadValue naming the field, or `changed_meanwhile` when `seen`
    (from `project_as_seen`) is no longer how the project stands.
    """
    at = at or timezone.now()
    require(by.membership, "manage")
    values = _clean(form)
    with transaction.atomic():
        project = Project.objects.select_for_update(no_key=True).get(pk=by.project.pk)
        if seen and seen != project_as_seen(project):
            raise Refusal("changed_meanwhile", "Someone else changed the project meanwhile. Look again, then save.")
        before = _settings_of(project)
        _refuse_what_answers_rest_on(project, values)
        schema = {**(project.payload_schema or {}), "fields": _merge_fields(project, values.pop("fields"))}
        settings = {**project.settings, **values.pop("settings")}
        for name, value in {**values, "payload_schema": schema, "settings": settings}.items():
            setattr(project, name, value)
        after = _settings_of(project)
        changed = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
        if changed:
            project.save(update_fields=list(changed))
            record(event("changed", project, by=by.user, at=at, project=project, changed=changed))
    return project


def _refuse_what_answers_rest_on(project: Project, values: dict[str, Any]) -> None:
    if values["task_type"] != project.task_type and project.versions.filter(published_at__isnull=False).exists():
        raise BadValue(
            "in_use", "The task type stays: a definition is published under it. Create another project for another task.",
            field="task_type",
        )  # fmt: skip
    if values["question"] != project.question and _has_open_batch(project):
        raise BadValue(
            "in_use", "The question stays while a batch is open: its answers would belong to two questions.",
            field="question",
        )  # fmt: skip
    kinds = {field["name"]: field["kind"] for field in values["fields"]}
    for field in (project.payload_schema or {}).get("fields", []):
        name = field["name"]
        if kinds.get(name) != field.get("kind", "text") and _is_in_use(project, name):
            raise BadValue("in_use", f"Items hold “{name}” already: it keeps its name and kind.", field="fields")


def _is_in_use(project: Project, field: str) -> bool:
    return Item.objects.filter(project=project, payload__has_key=field).exists()


def _has_open_batch(project: Project) -> bool:
    return Batch.objects.filter(project=project, status__in=(BatchStatus.OPENING, BatchStatus.OPEN)).exists()


def _is_in_hand(project: Project, at: datetime) -> bool:
    """Whether an item is in a rater's hands by a lease that still counts."""
    held = Assignment.objects.filter(batch__project=project, status=PlaceStatus.CLAIMED, lease_until__gte=at)
    return held.exists()


def _merge_fields(project: Project, fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The new fields, each with what it said before beyond the form's columns."""
    known = {field["name"]: field for field in (project.payload_schema or {}).get("fields", [])}
    return [{**known.get(field["name"], {}), **field} for field in fields]


def archive_project(*, by: Seat, at: datetime | None = None) -> Project:
    """Set the project aside: it stays readable, and nothing in it changes until it is brought back.

    Refused while a batch is open, a rater holds an item, or work goes on in the background. Twice changes nothing.
    """
    at = at or timezone.now()
    hold_right(by.membership, "manage")
    with transaction.atomic():
        project = Project.objects.select_for_update(no_key=True).get(pk=by.project.pk)
        if _has_open_batch(project):
            raise Refusal("batch_open", "Close the open batches first: raters would lose sight of work in their hands.")
        if _is_in_hand(project, at):
            raise Refusal("in_hand", "Raters still hold items of a closed batch. Wait a few minutes, then try again.")
        if Job.objects.filter(project=project, status__in=(JobStatus.QUEUED, JobStatus.RUNNING)).exists():
            raise Refusal("job_running", "Work for this project goes on in the background. Wait until it is done.")
        if project.archived_at is None:
            project.archived_at = at
            project.save(update_fields=["archived_at"])
            record(event("archived", project, by=by.user, at=at, project=project))
    return project


def restore_project(*, by: Seat, at: datetime | None = None) -> Project:
    """Bring an archived project back."""
    hold_right(by.membership, "manage")
    with transaction.atomic():
        project = Project.objects.select_for_update(no_key=True).get(pk=by.project.pk)
        if project.archived_at is not None:
            project.archived_at = None
            project.save(update_fields=["archived_at"])
            record(event("restored", project, by=by.user, at=at or timezone.now(), project=project))
    return project
