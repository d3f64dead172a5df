"""Write what happened. Callers collect events and write them with one INSERT."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Model

from .db.compiled import insert
from .models import Event, Project, User


def event(
    verb: str,
    subject: Model | tuple[str, int],
    *,
    by: User | None,
    at: datetime,
    project: Project | None = None,
    project_id: int | None = None,
    implicit: bool = False,
    **data: Any,
) -> Event:
    """An unsaved Event; write it with `record`."""
    subject_type, subject_id = (
        subject if isinstance(subject, tuple) else (subject._meta.model_name or "", int(subject.pk))
    )
    return Event(
        actor=by,
        verb=verb,
        project_id=project.pk if project is not None else project_id,
        subject_type=subject_type,
        subject_id=subject_id,
        data=data,
        implicit=implicit,
        at=at,
    )


# So many at most are written by a compiled statement: what one request of a rater's makes.
FEW = 8


def record(*events: Event) -> None:
    """Write the events with one INSERT."""
    if len(events) <= FEW:
        insert(*events)
    else:
        Event.objects.bulk_create(events)
