"""A rater reads a version once before labeling under it."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from .. import access
from ..claiming import acknowledge_version, has_read
from ..queries.definitions import definitions_for_desk, version_for_desk
from ..queries.guideline_content import last_read, reasons_since
from ..queries.guideline_diff import compare, count_changes, telling_rows
from ..refusals import NotSeen
from ..vocabulary import BatchStatus
from .decorators import member_page, person
from .navigation import project_context
from .panels import panels


@member_page
@require_http_methods(["GET", "POST"])
def acknowledge(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The whole version of a batch, with what is new since the one the rater read before; then on to the desk."""
    batch, seat = access.batch_for(person(request), uuid, "label")
    if batch.status == BatchStatus.DRAFT:
        raise NotSeen("not_found", "There is no such batch for you.")
    if request.method == "POST":
        acknowledge_version(by=seat.user, batch=batch)
        return redirect("labeling:desk", batch.uuid)
    version = batch.guideline_version
    before = last_read(seat.membership, version)
    rows = compare(before, version) if before is not None else []
    context = project_context(
        seat,
        batch=batch,
        crumb=batch.name,
        version=version_for_desk(version),
        labels=definitions_for_desk(version, seat.project),
        before=before,
        rows=[row for row in telling_rows(rows) if row.changed],
        changes=count_changes(rows),
        old=before,
        new=version,
        why=reasons_since(before, version),
        known=has_read(seat.membership, version.pk),
        panels=panels("acknowledge", request, seat, version) if before is not None else [],
    )
    return render(request, "labeling/acknowledge.html", context)
