"""Slices are named, renamed, changed and given up; what belongs to them is asked anew each time."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from labeling.access import Seat, require
from labeling.events import event, record
from labeling.refusals import BadValue, NotSeen

from .models import Slice
from .queries.slices import SliceFilter

MOST_SLICES = 60


def save_slice(
    *, by: Seat, name: str, given: SliceFilter, existing: Slice | None = None, at: datetime | None = None
) -> Slice:
    """A new slice, or `existing` with another name or filter; its key stays. Raises BadValue naming the field."""
    at = at or timezone.now()
    require(by.membership, "import")
    name = name.strip()
    if not name:
        raise BadValue("empty", "Give the slice a name.", field="name")
    if len(name) > 80:
        raise BadValue("too_long", "Keep the name within 80 characters.", field="name")
    given.check()
    if existing is not None and existing.project_id != by.project.pk:
        raise NotSeen("not_found", "There is no such slice in this project.")
    if existing is None and Slice.objects.filter(project=by.project).count() >= MOST_SLICES:
        raise BadValue("too_many", f"A project holds {MOST_SLICES} slices at most: give one up first.", field="name")
    key = existing.key if existing is not None else slugify(name)[:60] or "slice"
    try:
        with transaction.atomic():
            if existing is None:
                existing = Slice.objects.create(project=by.project, key=key, name=name, filter=given.as_json())
                verb = "created"
            else:
                existing.name, existing.filter = name, given.as_json()
                existing.save(update_fields=["name", "filter"])
                verb = "changed"
            record(event(verb, existing, by=by.user, at=at, project=by.project, name=name, filter=given.as_json()))
    except IntegrityError:
        raise BadValue("taken", f"There is a slice “{name}” already. Choose another name.", field="name") from None
    return existing


def delete_slice(*, by: Seat, existing: Slice, at: datetime | None = None) -> None:
    """Give the slice up. Items, tags and stored figures stay."""
    at = at or timezone.now()
    require(by.membership, "import")
    if existing.project_id != by.project.pk:
        raise NotSeen("not_found", "There is no such slice in this project.")
    with transaction.atomic():
        record(event("deleted", existing, by=by.user, at=at, project=by.project, name=existing.name, key=existing.key))
        existing.delete()
