"""Slices of a project: the list with how many items each holds, and the page that names or changes one."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling import access
from labeling.access import Seat
from labeling.queries.progress import metadata_fields, tags_of
from labeling.refusals import BadValue, NotSeen, Refusal
from labeling.views.decorators import member_page, person
from labeling.views.forms import posted, show_refusal
from labeling.views.navigation import project_context

from ..forms.slices import SliceForm, initial_of
from ..models import Slice
from ..queries.slices import SliceFilter, items_in, slices_of
from ..slicing import delete_slice, save_slice


@member_page
@require_safe
def slices(request: HttpRequest, slug: str) -> HttpResponse:
    seat = access.project_for(person(request), slug, "see_figures")
    rows = [
        {
            "slice": one,
            "words": SliceFilter.from_json(one.filter).words(),
            "items": len(items_in(seat.project, SliceFilter.from_json(one.filter))),
        }
        for one in slices_of(seat.project)
    ]
    context = project_context(seat, "consistency:hlp", rows=rows, may_change=seat.may("import"))
    return render(request, "consistency/slices.html", context)


def _slice(seat: Seat, key: str) -> Slice:
    found = Slice.objects.filter(project=seat.project, key=key).first()
    if found is None:
        raise NotSeen("not_found", "There is no such slice in this project.")
    return found


@member_page
@require_http_methods(["GET", "POST"])
def slice_create(request: HttpRequest, slug: str) -> HttpResponse:
    return _form_page(request, access.project_for(person(request), slug, "import"), None)


@member_page
@require_http_methods(["GET", "POST"])
def slice_edit(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    seat = access.project_for(person(request), slug, "import")
    return _form_page(request, seat, _slice(seat, key))


def _form_page(request: HttpRequest, seat: Seat, existing: Slice | None) -> HttpResponse:
    given = SliceFilter.from_json(existing.filter) if existing is not None else SliceFilter()
    fields = sorted({*metadata_fields(seat.project), *(given.metadata or {}), *(given.ranges or {})})
    initial = initial_of(existing.name, given) if existing is not None else {}
    form = SliceForm(posted(request), fields=fields, initial=initial)
    status = 422 if form.is_bound else 200
    if form.is_valid():
        try:
            saved = save_slice(by=seat, name=form.cleaned_data["name"], given=form.given(), existing=existing)
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = 422 if isinstance(refusal, BadValue) else refusal.status
        else:
            n = len(items_in(seat.project, form.given()))
            messages.success(
                request, f"“{saved}” holds {n:,} item{'' if n == 1 else 's'}. Figures follow within a minute."
            )
            return redirect("consistency:slices", seat.project.slug)
    context = project_context(seat, "consistency:hlp", form=form, existing=existing, tags=tags_of(seat.project))
    return render(request, "consistency/slice_form.html", context, status=status)


@member_page
@require_POST
def slice_delete(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    seat = access.project_for(person(request), slug, "import")
    found = _slice(seat, key)
    try:
        delete_slice(by=seat, existing=found)
    except Refusal as refusal:
        messages.warning(request, refusal.message)
    else:
        messages.success(request, f"“{found}” is given up. Its items stay as they are.")
    return redirect("consistency:slices", slug)
