"""What a version holds, as plain data: for its hash, for copies, for comparing."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet
from django.urls import NoReverseMatch, reverse

from ..hashing import canonical_json, sha256_json
from ..models import GuidelineVersion, LabelDefinition, LabelExample, LabelMapping, Membership, Project
from ..vocabulary import VersionStatus
from ..wording import plain_number, threshold_of

EXAMPLE_TEXT_LIMIT = 400


def labels_of(version: GuidelineVersion) -> list[LabelDefinition]:
    """The version's labels in order, with their examples and the examples' items loaded: two queries."""
    examples = LabelExample.objects.select_related("item").order_by("ordinal", "id")
    return list(
        LabelDefinition.objects.filter(version=version)
        .order_by("ordinal", "id")
        .prefetch_related(Prefetch("examples", queryset=examples))
    )


def points(text: str) -> list[str]:
    """One point a line, without empty lines."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def example_content(example: LabelExample) -> dict[str, Any]:
    """An example as the hash sees it. An item is named by its id and the hash of its sealed payload."""
    shown: dict[str, Any] = (
        {"item": example.item.external_id, "payload_sha256": example.item.payload_sha256}
        if example.item is not None
        else {"payload": example.payload}
    )
    return {"polarity": example.polarity, "note": example.note, **shown}


def label_fields(label: LabelDefinition) -> dict[str, Any]:
    """A label as the hash sees it, without its examples."""
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
        "threshold": rule
        and {
            "attribute": rule.attribute,
            "operator": rule.operator,
            "value": plain_number(rule.value),
            "unit": rule.unit,
        },
    }


def label_content(label: LabelDefinition) -> dict[str, Any]:
    """A label as the hash sees it, examples included."""
    return {**label_fields(label), "examples": [example_content(example) for example in label.examples.all()]}


def content_of(version: GuidelineVersion, labels: list[LabelDefinition] | None = None) -> dict[str, Any]:
    """The whole content of a version as plain JSON: what its hash covers and a reader needs to label by it."""
    mappings = LabelMapping.objects.filter(guideline_version=version).order_by("from_key")
    return {
        "body": version.body,
        "change_note": version.change_note,
        "task_settings": version.task_settings,
        "labels": [label_content(label) for label in (labels_of(version) if labels is None else labels)],
        "mappings": [
            {"kind": mapping.kind, "from": mapping.from_key, "to": mapping.to_key} for mapping in mappings
        ],
    }  # fmt: skip


def content_sha256(version: GuidelineVersion) -> str:
    """Hex SHA-256 over the canonical JSON of the whole content: what `body_sha256` holds once a version is sealed."""
    return sha256_json(content_of(version))


def shown_fields(project: Project) -> list[dict[str, Any]]:
    """The declared payload fields that raters see."""
    return [field for field in (project.payload_schema or {}).get("fields", []) if field.get("shown", True)]


def _picture_url(example: LabelExample, field: str) -> str:
    if example.item is None or not (example.item.media or {}).get(field):
        return ""
    try:
        return reverse("labeling:item_file", args=[example.item.uuid, field])
    except NoReverseMatch:
        return ""


def example_for_desk(example: LabelExample, fields: list[dict[str, Any]]) -> dict[str, str]:
    """{polarity, note, url, text, item}: the shown payload fields of an example and nothing else.

    `url` is its first picture, `text` the other fields, one a line and named where there are several.
    """
    payload = (example.item.payload if example.item is not None else example.payload) or {}
    declared = fields or [{"name": name, "kind": "text"} for name in sorted(payload)]
    url, lines = "", []
    for field in declared:
        name = field["name"]
        if field.get("kind") == "image":
            url = url or _picture_url(example, name)
        elif payload.get(name) not in (None, ""):
            value = payload[name]
            text = value if isinstance(value, str) else canonical_json(value)
            lines.append(text if len(declared) == 1 else f"{field.get('title') or name}: {text}")
    text = "\n".join(lines)
    if len(text) > EXAMPLE_TEXT_LIMIT:
        text = text[:EXAMPLE_TEXT_LIMIT].rstrip() + " …"
    return {"polarity": example.polarity, "note": example.note, "url": url, "text": text}


def versions_of(project: Project) -> QuerySet[GuidelineVersion]:
    """Every version of the project, newest first, with its parent and who published and saved it."""
    return (
        GuidelineVersion.objects.filter(project=project)
        .select_related("parent", "published_by", "saved_by")
        .order_by("-number")
    )


def newest_published(project: Project) -> GuidelineVersion | None:
    """The version in force: published, with the highest number; versions as imported stand outside."""
    return versions_of(project).filter(status=VersionStatus.PUBLISHED).first()


def draft_of(project: Project) -> GuidelineVersion | None:
    """The project's one draft, or None."""
    return versions_of(project).filter(status=VersionStatus.DRAFT).first()


def last_read(member: Membership, before: GuidelineVersion) -> GuidelineVersion | None:
    """The version of the project the member read last, other than `before`; None for someone new."""
    return (
        GuidelineVersion.objects.filter(project=member.project_id, acknowledgements__member=member)
        .exclude(pk=before.pk)
        .order_by("-acknowledgements__at", "-number")
        .first()
    )


def reasons_since(before: GuidelineVersion | None, version: GuidelineVersion) -> list[tuple[str, str]]:
    """(version, its reason for the change) of `version` and those between it and `before`, oldest first."""
    notes: list[tuple[str, str]] = []
    step: GuidelineVersion | None = version
    while step is not None and (before is None or step.number > before.number) and len(notes) < 20:
        if step.change_note.strip():
            notes.append((str(step), step.change_note))
        step = step.parent
    return notes[::-1]
