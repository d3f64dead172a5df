"""An item as a rater sees it: the shown payload fields and nothing else."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse

from ..hashing import canonical_json
from ..models import Item, Project
from ..queries.definitions import shown_fields

KINDS = ("text", "image", "record")


def fields_of(item: Item, project: Project) -> list[dict[str, Any]]:
    """The fields of the item that raters see; all of its payload where the project declares none."""
    if (project.payload_schema or {}).get("fields"):
        return shown_fields(project)
    return [{"name": name, "kind": "text"} for name in sorted(item.payload or {})]


def kind_of(project: Project, fields: list[dict[str, Any]]) -> str:
    """Which template shows the item: one picture, text of one or two fields, or else a record."""
    wanted = (project.payload_schema or {}).get("kind")
    if wanted in KINDS:
        return str(wanted)
    kinds = [field.get("kind", "text") for field in fields]
    if kinds.count("image") == 1:
        return "image"
    if len(kinds) <= 2 and set(kinds) <= {"text"}:
        return "text"
    return "record"


def item_as_shown(item: Item, project: Project) -> dict[str, str]:
    """{uuid, kind, html} of an item. The HTML holds shown payload fields only, never metadata, tags or labels."""
    payload, media = item.payload or {}, item.media or {}
    shown = fields_of(item, project)
    fields = []
    for field in shown:
        name, field_kind = field["name"], field.get("kind", "text")
        entry = {"name": name, "kind": field_kind, "title": field.get("title") or name}
        if field_kind == "image":
            if file := media.get(name):
                entry |= {"url": _file_url(item, name), "width": file.get("width"), "height": file.get("height")}
        else:
            value = payload.get(name)
            entry["value"] = canonical_json(value) if isinstance(value, list | dict | bool) else value
        fields.append(entry)
    kind = kind_of(project, shown)
    html = render_to_string(f"labeling/items/{kind}.html", {"item": {"uuid": item.uuid, "fields": fields}}).strip()
    return {"uuid": str(item.uuid), "kind": kind, "html": html}


def _file_url(item: Item, field: str) -> str:
    return reverse("labeling:item_file", args=[item.uuid, field])


def picture_url(item: Item, project: Project) -> str:
    """Address of the item's first picture, for a row of a list; empty when it shows none."""
    names = (field["name"] for field in fields_of(item, project) if field.get("kind") == "image")
    return next((_file_url(item, name) for name in names if (item.media or {}).get(name)), "")


def picture_or_words(item: Item, project: Project, length: int) -> dict[str, str]:
    """{picture, text} for a small place: the address of the item's picture, or else the start of its text."""
    picture = picture_url(item, project)
    return {"picture": picture, "text": "" if picture else one_line(item, project, length)}


def one_line(item: Item, project: Project, length: int = 120) -> str:
    """The start of what the item says, for a row of a list; a picture is named by its field's title."""
    for field in fields_of(item, project):
        if field.get("kind") == "image":
            return str(field.get("title") or "Picture")
        value = (item.payload or {}).get(field["name"])
        if value not in (None, ""):
            words = " ".join(str(value).split())
            return words if len(words) <= length else words[: length - 1] + "…"
    return ""
