"""Intake in the browser: a file is uploaded, its columns are mapped, its progress watched, its report read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from .. import access
from ..access import Seat
from ..formats.rows import BadRow, RowsError, shorten, value_at
from ..forms.imports import ItemMappingForm, LabelMappingForm, UploadForm
from ..importing import runs, uploads
from ..importing.items import guess_mapping, import_items, open_item_file
from ..importing.label_checking import open_label_rows
from ..importing.label_columns import LabelMapping
from ..importing.labels import import_labels
from ..importing.mapping import ItemMapping, declared_fields
from ..models import ImportRun
from ..queries.imports import batches_of_import, imports_of, latest_jobs, standing_of
from ..refusals import BadValue, Refusal
from ..vocabulary import ImportKind
from .decorators import member_page, person
from .forms import posted, show_refusal
from .navigation import project_context

PER_PAGE = 50
SAMPLES = 3


def _run(request: HttpRequest, slug: str, uuid: UUID) -> tuple[ImportRun, Seat]:
    seat = access.project_for(person(request), slug, "import")
    run: ImportRun
    run, seat = access.row_for(
        seat.user, ImportRun.objects.select_related("by").filter(project=seat.project), uuid, "import"
    )
    return run, seat


@member_page
@require_safe
def imports(request: HttpRequest, slug: str) -> HttpResponse:
    seat = access.project_for(person(request), slug, "import")
    page = Paginator(imports_of(seat.project), PER_PAGE).get_page(request.GET.get("page"))
    newest = latest_jobs(list(page))
    rows = [{"run": run, "name": runs.name_of(run), "standing": standing_of(run, newest.get(run.pk))} for run in page]
    return render(request, "labeling/imports.html", project_context(seat, "items", page=page, rows=rows))


@member_page
@require_http_methods(["GET", "POST"])
def import_create(request: HttpRequest, slug: str) -> HttpResponse:
    seat = access.project_for(person(request), slug, "import")
    kind = request.GET.get("kind")
    initial = {"kind": kind if kind in ImportKind.values else ImportKind.ITEMS}
    form = UploadForm(posted(request), request.FILES or None, initial=initial)
    status = 422 if form.is_bound else 200
    if form.is_valid():
        try:
            run = uploads.receive_upload(by=seat, kind=form.cleaned_data["kind"], files=form.cleaned_data["upload"])
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = refusal.status
        else:
            return redirect("labeling:import_run", slug, run.uuid)
    context = project_context(
        seat,
        "items",
        form=form,
        fields=declared_fields(seat.project.payload_schema),
        limit_mb=settings.UPLOAD_MAX_BYTES >> 20,
    )
    return render(request, "labeling/import_create.html", context, status=status)


@member_page
@require_safe
def import_run(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    run, seat = _run(request, slug, uuid)
    if uploads.is_waiting(run):
        return _mapping_page(request, seat, run)
    job = runs.job_of(run)
    standing = standing_of(run, job)
    template = "import_progress" if getattr(request, "htmx", False) and standing.is_moving else "import_run"
    context = project_context(
        seat, "items", run=run, name=runs.name_of(run), standing=standing, report=_report(run),
        batches=batches_of_import(run) if run.kind == ImportKind.LABELS else [],
    )  # fmt: skip
    response = render(request, f"labeling/{template}.html", context)
    if getattr(request, "htmx", False) and not standing.is_moving:
        # The whole page is another one now.
        response = HttpResponse(status=204)
        response["HX-Refresh"] = "true"
    return response


def _report(run: ImportRun) -> dict[str, Any]:
    """The stored report as the page shows it."""
    report = run.report or {}
    facts = report.get("facts", {})
    empty: dict[str, Any] = {"listed": [], "total": 0, "counts": []}
    repeats = [{"repeat": k, **v} for k, v in facts.get("repeats", {}).items() if k != "1"]
    return {
        "errors": report.get("errors") or empty, "left_out": report.get("left_out") or empty, "notes": report.get("notes", []),
        "items": facts.get("items"), "raters": facts.get("raters", {}), "labels": facts.get("labels", {}),
        "gold": facts.get("gold", {}), "repeats": repeats,
    }  # fmt: skip


# --- mapping --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Sample:
    """A column of the file with its choice and its first values."""

    name: str
    field: forms.BoundField
    values: list[str]


def _item_form(run: ImportRun, seat: Seat, data: Any) -> tuple[ItemMappingForm, dict[str, list[str]]]:
    """The mapping form of an upload, and {column: first values}. Raises BadValue when the file cannot be read."""
    schema = seat.project.payload_schema
    before = ItemMapping.from_json(run.mapping or {})
    encoding = (data or {}).get("encoding", before.encoding)
    with open_item_file(runs.path_of(run), runs.name_of(run), ItemMapping(encoding=encoding.strip())) as file:
        guess = before if run.mapping else guess_mapping(schema, file)
        return ItemMappingForm(data, columns=file.columns, schema=schema, guess=guess), _samples(
            file.columns, file.rows()
        )


def _label_form(run: ImportRun, data: Any) -> tuple[LabelMappingForm, dict[str, list[str]]]:
    """As `_item_form`, of a file of labels."""
    before = LabelMapping.from_json(run.mapping) if run.mapping else None
    encoding = (data or {}).get("encoding", before.encoding if before else "")
    with open_label_rows(runs.path_of(run), runs.name_of(run), LabelMapping(encoding=encoding.strip())) as reader:
        return LabelMappingForm(data, columns=reader.columns, before=before), _samples(reader.columns, reader)


def _samples(columns: list[str], rows: Any) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {column: [] for column in columns}
    try:
        for _, row in islice(rows, 50):
            if isinstance(row, BadRow):
                continue
            for column, found in values.items():
                value = value_at(row, column)
                if value not in (None, "") and len(found) < SAMPLES and (text := shorten(value, 60)) not in found:
                    found.append(text)
    except RowsError:
        pass  # the check that follows says where and why
    return values


def _form(run: ImportRun, seat: Seat, data: Any = None) -> tuple[Any, dict[str, list[str]]]:
    return _item_form(run, seat, data) if run.kind == ImportKind.ITEMS else _label_form(run, data)


def _mapping_page(
    request: HttpRequest, seat: Seat, run: ImportRun, form: Any = None, samples: dict[str, list[str]] | None = None, status: int = 200
) -> HttpResponse:  # fmt: skip
    problem = ""
    if form is None:
        try:
            form, samples = _form(run, seat)
        except BadValue as refusal:
            problem = refusal.message
    columns = []
    if form is not None:
        samples = samples or {}
        for field in form.column_fields():
            column = str(field.label) if run.kind == ImportKind.ITEMS else str(field.value() or "")
            columns.append(_Sample(str(field.label), field, samples.get(column, [])))
    context = project_context(
        seat, "items", run=run, name=runs.name_of(run), form=form, columns=columns, problem=problem,
        labels=run.kind == ImportKind.LABELS,
    )  # fmt: skip
    return render(request, "labeling/import_mapping.html", context, status=status)


@member_page
@require_POST
def import_start(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    run, seat = _run(request, slug, uuid)
    if not uploads.is_waiting(run):
        return redirect("labeling:import_run", slug, uuid)  # pressed twice, or in another tab
    try:
        form, samples = _form(run, seat, request.POST)
    except BadValue as refusal:
        messages.error(request, refusal.message)
        return redirect("labeling:import_run", slug, uuid)
    status = 422
    if form.is_valid():
        try:
            source = uploads.upload_of(run)
            start: Any = import_items if run.kind == ImportKind.ITEMS else import_labels
            started = start(by=seat, source=source, mapping=form.mapping(), run=run)
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = refusal.status
        else:
            if started.nothing_to_do:
                messages.info(request, "This file was imported the same way before. Nothing was changed.")
            return redirect("labeling:import_run", slug, started.run.uuid)
    return _mapping_page(request, seat, run, form, samples, status)


# --- acts on a run --------------------------------------------------------------------------------
@member_page
@require_POST
def import_resume(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    run, seat = _run(request, slug, uuid)
    try:
        runs.resume_import(by=seat, run=run)
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return redirect("labeling:import_run", slug, uuid)


@member_page
@require_POST
def import_discard(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    run, seat = _run(request, slug, uuid)
    try:
        runs.discard_import(by=seat, run=run)
    except Refusal as refusal:
        messages.error(request, refusal.message)
        return redirect("labeling:import_run", slug, uuid)
    messages.success(request, "Discarded. Nothing of this import is kept.")
    return redirect("labeling:imports", slug)


@member_page
@require_POST
def import_again(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    run, seat = _run(request, slug, uuid)
    try:
        new = uploads.map_again(by=seat, run=run)
    except Refusal as refusal:
        messages.error(request, refusal.message)
        return redirect("labeling:import_run", slug, uuid)
    return redirect("labeling:import_run", slug, new.uuid)
