"""One project's setup: founding it, describing it, and the overview of what stands and what is missing."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from .. import access, projects, task_types
from ..forms.projects import FieldFormSet, ProjectSettingsForm, fields_of, typed_fields
from ..project_settings import audit_share, default_overlap
from ..queries.home import facts_of
from ..queries.people import may_create_projects
from ..refusals import NotAllowed, Refusal
from .decorators import member_page, person
from .forms import posted, show_refusal
from .navigation import project_context
from .next_acts import next_act, raters_in_words, steps
from .panels import panels


@member_page
@require_http_methods(["GET", "POST"])
def project_create(request: HttpRequest) -> HttpResponse:
    if not may_create_projects(person(request)):
        raise NotAllowed("no_right", "New projects are created by project owners and by whoever runs this server.")
    form = ProjectSettingsForm(posted(request))
    fields = FieldFormSet(posted(request), initial=[{"name": "text", "title": "Text"}], prefix="fields")
    status = 422 if form.is_bound else 200
    if form.is_bound and form.is_valid() and fields.is_valid():
        try:
            project = projects.create_project(
                by=person(request), form=form.described(typed_fields(fields)), labels=form.label_names()
            )
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = refusal.status
        else:
            messages.success(request, f"“{project}” is created. What is still missing stands below, in order.")
            return redirect("labeling:project", project.slug)
    context = {"form": form, "fields": fields}
    return render(request, "labeling/project_create.html", context, status=status)


@member_page
@require_http_methods(["GET", "POST"])
def project_edit(request: HttpRequest, slug: str) -> HttpResponse:
    seat = access.project_for(person(request), slug, "manage")
    form = ProjectSettingsForm(posted(request), project=seat.project)
    fields = FieldFormSet(posted(request), initial=fields_of(seat.project), prefix="fields")
    status = 422 if form.is_bound else 200
    if form.is_bound and form.is_valid() and fields.is_valid():
        try:
            projects.edit_project(by=seat, form=form.described(typed_fields(fields)), seen=form.cleaned_data["seen"])
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = refusal.status
        else:
            messages.success(request, "Saved.")
            return redirect("labeling:project", slug)
    context = project_context(seat, "project", form=form, fields=fields)
    return render(request, "labeling/project_edit.html", context, status=status)


@member_page
@require_safe
def project(request: HttpRequest, slug: str) -> HttpResponse:
    """The overview: the steps from nothing to labels, each with what stands and where to go on."""
    seat = access.project_for(person(request), slug, "see_setup")
    facts = facts_of([seat.project.pk])[seat.project.pk]
    context = project_context(
        seat, "project", steps=steps(facts, seat.membership),
        fields=fields_of(seat.project), overlap=raters_in_words(default_overlap(seat.project)),
        audit_percent=100 * audit_share(seat.project), task=task_types.get(seat.project.task_type).title,
        panels=panels("project", request, seat, seat.project),
    )  # fmt: skip
    context["next"] = next_act(facts, seat.membership, context["nav"])
    return render(request, "labeling/project.html", context)


@member_page
@require_POST
def project_archive(request: HttpRequest, slug: str) -> HttpResponse:
    """Set the project aside, or (with restore=1) bring it back."""
    seat = access.project_for(person(request), slug, "manage")
    if request.POST.get("restore") == "1":
        projects.restore_project(by=seat)
        messages.success(request, "The project is back.")
    else:
        try:
            projects.archive_project(by=seat)
        except Refusal as refusal:
            messages.error(request, refusal.message)
        else:
            messages.success(request, "The project is set aside. It stays readable, and you can bring it back here.")
    return redirect("labeling:project", slug)
