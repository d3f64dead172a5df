"""A definition as a rater reads it: labels for the desk, instructions, and what is new."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from uuid import UUID

from ..hashing import canonical_json
from ..markdown import render_markdown
from ..models import GuidelineVersion, LabelDefinition, Project
from ..wording import threshold_of, word_boundary, word_rule
from .guideline_content import example_for_desk, labels_of, points, shown_fields
from .guideline_diff import changes_as_html, compare


def label_for_desk(
    label: LabelDefinition, labels: list[LabelDefinition], fields: list[dict[str, Any]]
) -> dict[str, Any]:
    """One label as a rater reads it."""
    rule = threshold_of(label)
    return {
        "key": label.key,
        "name": label.name,
        "definition": label.definition,
        "include": points(label.include),
        "exclude": points(label.exclude),
        "hotkey": label.hotkey,
        "colour_token": label.colour_token,
        "is_borderline": label.is_borderline,
        "threshold_text": word_rule(rule) if rule else "",
        "boundary_text": word_boundary(label, labels),
        "examples": [example_for_desk(example, fields) for example in label.examples.all()],
    }


def _read(version: GuidelineVersion, project: Project) -> tuple[dict[str, Any], ...]:
    labels, fields = labels_of(version), shown_fields(project)
    return tuple(label_for_desk(label, labels, fields) for label in labels)


@lru_cache(maxsize=128)
def _sealed(version_uuid: UUID, schema: str) -> tuple[dict[str, Any], ...]:
    version = GuidelineVersion.objects.select_related("project").get(uuid=version_uuid)
    return _read(version, version.project)


def definitions_for_desk(version: GuidelineVersion, project: Project | None = None) -> list[dict[str, Any]]:
    """The version's labels as a rater reads them, in order.

    Each is {key, name, definition, include [], exclude [], hotkey, colour_token, is_borderline, threshold_text,
    boundary_text, examples [{polarity, note, url, text}]}. Sealed versions are read once per process; pass the
    loaded `project` to spare its query.
    """
    project = project or version.project
    if version.published_at is None:
        return [dict(label) for label in _read(version, project)]
    # The payload fields are part of the key: the owner may still change which of them raters see.
    return [dict(label) for label in _sealed(version.uuid, canonical_json(project.payload_schema or {}))]


@lru_cache(maxsize=128)
def _sealed_body(version_uuid: UUID) -> dict[str, Any]:
    version = GuidelineVersion.objects.select_related("parent").get(uuid=version_uuid)
    return _read_body(version)


def _read_body(version: GuidelineVersion) -> dict[str, Any]:
    parent = version.parent
    return {
        "number": version.number,
        "uuid": str(version.uuid),
        "body_html": render_markdown(version.body) if version.body.strip() else "",
        "changed_html": changes_as_html(compare(parent, version)) if parent is not None else "",
        "why": version.change_note if parent is not None else "",
    }


def version_for_desk(version: GuidelineVersion) -> dict[str, Any]:
    """{number, uuid, body_html, changed_html, why} of a version; read once per process when it is sealed."""
    if version.published_at is None:
        return _read_body(version)
    return dict(_sealed_body(version.uuid))
