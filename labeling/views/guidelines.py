"""Versions of a project's definition: the list, one version to read, two side by side, a new draft."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from .. import access
from .. import guidelines as acts
from ..access import Seat
from ..models import GuidelineVersion
from ..queries.definitions import definitions_for_desk, version_for_desk
from ..queries.guideline_content import draft_of, versions_of
from ..queries.guideline_diff import compare, count_changes, telling_rows
from ..refusals import NotSeen, Refusal
from ..vocabulary import VersionStatus
from .decorators import member_page, person
from .navigation import project_context
from .panels import panels

PER_PAGE = 50


def version_of(seat: Seat, uuid: UUID) -> GuidelineVersion:
    """A version of the seat's project; a draft only for those who may see the setup."""
    version = versions_of(seat.project).filter(uuid=uuid).first()
    if version is None:
        raise NotSeen("not_found", "There is no such definition in this project.")
    if version.status == VersionStatus.DRAFT:
        access.require(seat.membership, "see_setup")
    version.project = seat.project
    return version


@member_page
@require_safe
def guidelines(request: HttpRequest, slug: str) -> HttpResponse:
    seat = access.project_for(person(request), slug)
    versions = versions_of(seat.project).exclude(status=VersionStatus.DRAFT)
    page = Paginator(versions, PER_PAGE).get_page(request.GET.get("page"))
    context = project_context(
        seat,
        "guidelines",
        page=page,
        draft=draft_of(seat.project) if seat.may("see_setup") else None,
        may_define=seat.may("define"),
    )
    return render(request, "labeling/guidelines.html", context)


@member_page
@require_safe
def guideline(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    seat = access.project_for(person(request), slug)
    version = version_of(seat, uuid)
    if version.status == VersionStatus.DRAFT:
        return redirect("labeling:guideline_preview", slug)
    context = project_context(
        seat,
        "guidelines",
        version=version,
        reading=version_for_desk(version),
        labels=definitions_for_desk(version, seat.project),
        children=versions_of(seat.project).filter(parent=version).exclude(status=VersionStatus.DRAFT),
        may_define=seat.may("define"),
        draft=draft_of(seat.project) if seat.may("define") else None,
        panels=panels("guideline", request, seat, version),
    )
    return render(request, "labeling/guideline.html", context)


@member_page
@require_safe
def guideline_diff(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """A version beside another one (`against`; its parent unless said, else the version before it)."""
    seat = access.project_for(person(request), slug)
    version = version_of(seat, uuid)
    others = versions_of(seat.project).exclude(pk=version.pk)
    if not seat.may("see_setup"):
        others = others.exclude(status=VersionStatus.DRAFT)
    wanted = request.GET.get("against", "")
    other: GuidelineVersion | None
    if wanted:
        try:
            other = version_of(seat, UUID(wanted))
        except ValueError:
            raise NotSeen("not_found", "There is no such definition in this project.") from None
    else:
        other = version.parent or others.filter(number__lt=version.number).first()
    # The older one stands left, whichever was asked for first.
    old, new = (version, other) if other is not None and other.number > version.number else (other, version)
    rows = compare(old, new)
    context = project_context(
        seat,
        "guidelines",
        version=version,
        old=old,
        new=new,
        others=list(others[:PER_PAGE]),
        other=other,
        rows=telling_rows(rows),
        changes=count_changes(rows),
    )
    return render(request, "labeling/guideline_diff.html", context)


@member_page
@require_POST
def guideline_start(request: HttpRequest, slug: str) -> HttpResponse:
    """Start the project's draft, or go to the one that is there."""
    seat = access.project_for(person(request), slug, "define")
    try:
        draft = acts.start_draft(by=seat)
    except Refusal as refusal:
        messages.warning(request, refusal.message)
    else:
        words = f"a copy of {draft.parent}" if draft.parent is not None else "still empty"
        messages.success(request, f"Draft {draft} is yours to write, {words}.")
    return redirect("labeling:guideline_edit", slug)
