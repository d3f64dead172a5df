"""The owner's side of a batch: list, create, open, watch, extend, close, open again, export."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from .. import dispatch, export
from ..access import Seat, project_for, row_for
from ..forms.batches import AddItemsForm, BatchForm, EditBatchForm, RaiseOverlapForm, SelectionForm
from ..models import Batch, GuidelineVersion, Project
from ..pseudonyms import pseudonym
from ..queries import progress as reads
from ..queries.batch_plans import Plan, plan_batch
from ..refusals import BadValue, NotSeen, Refusal
from ..selection import Selection, matching, shown_as_examples
from ..vocabulary import BatchKind, BatchStatus, Cohort, ItemRole, JobStatus, VersionStatus
from .batch_words import Reason, reasons
from .decorators import member_page, person
from .forms import show_refusal
from .jobs import job_row
from .navigation import link, project_context
from .next_acts import words_of
from .panels import panels

PAGE = 20
MOST_RATERS = 200


def batch_and_seat(request: HttpRequest, slug: str, uuid: UUID, right: str) -> tuple[Batch, Seat]:
    """The batch of that project with the person's seat; 404 when the address names another project."""
    rows = Batch.objects.select_related("guideline_version").filter(project__slug=slug)
    batch, seat = row_for(person(request), rows, uuid, right)
    return batch, seat


# --- list -----------------------------------------------------------------------------------------


@member_page
@require_safe
def batches(request: HttpRequest, slug: str) -> HttpResponse:
    seat = project_for(person(request), slug, "see_progress")
    rows = Batch.objects.filter(project=seat.project).select_related("guideline_version").order_by("-pk")
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context = project_context(
        seat, "batches", page=page, rows=reads.batch_rows(page), may_dispatch=seat.may("dispatch"), **_why_none(seat)
    )
    return render(request, "labeling/batches.html", context)


def _why_none(seat: Seat) -> dict[str, Any]:
    """What a project without batches needs first, as the words of its empty page."""
    project = seat.project
    if not matching(project, Selection()).exists():
        words, name, act = "A batch needs items: import some first.", "import_create", "Import items"
    elif not _published(project):
        words, name, act = "A batch needs a published definition.", "guidelines", "To the definitions"
    else:
        words, name, act = (
            "Choose items, a definition and how many raters each item gets.",
            "batch_create",
            "Open a batch",
        )
    may = {"import_create": "import", "guidelines": "see_setup", "batch_create": "dispatch"}[name]
    return {"why": words, "act_url": link(name, project.slug) if seat.may(may) else "", "act": act}


def _published(project: Project) -> bool:
    return GuidelineVersion.objects.filter(project=project, status=VersionStatus.PUBLISHED).exists()


# --- create ---------------------------------------------------------------------------------------


@member_page
@require_http_methods(["GET", "POST"])
def batch_create(request: HttpRequest, slug: str) -> HttpResponse:
    """A new batch: kept as a draft, or opened at once. `act=count` only counts again (without JavaScript)."""
    seat = project_for(person(request), slug, "dispatch")
    project = seat.project
    act = request.POST.get("act", "open")
    data = request.POST if request.method == "POST" else None
    form = BatchForm(data, project=project, fields=reads.metadata_fields(project))
    status = 200
    if data is not None and act != "count":
        status = 422
        if form.is_valid():
            try:
                batch = _create(seat, form)
            except Refusal as refusal:
                show_refusal(form, refusal)
                status = 422 if isinstance(refusal, BadValue) else refusal.status
            else:
                return _created(request, seat, batch, open_now=act == "open")
    context = project_context(
        seat,
        "batches",
        form=form,
        plan=_plan_of(project, data if data is not None else _initial(form), batch=None),
        tags=reads.tags_of(project),
        published=_published(project),
    )
    return render(request, "labeling/batch_create.html", context, status=status)


def _create(seat: Seat, form: BatchForm) -> Batch:
    return dispatch.create_batch(by=seat, **_columns(form))


def _columns(form: BatchForm) -> dict[str, Any]:
    data = form.cleaned_data
    return {
        "name": data["name"],
        "guideline_version": data["version"],
        "quotas": form.quotas(),
        "selection": form.selection(),
        "seed": data["seed"],
        "priority": data["priority"] or 0,
        "lease_minutes": data["lease_minutes"] or 15,
    }


@member_page
@require_http_methods(["GET", "POST"])
def batch_edit(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """A draft, rewritten. `act=count` only counts again (without JavaScript)."""
    batch, seat = batch_and_seat(request, slug, uuid, "dispatch")
    if batch.status != BatchStatus.DRAFT:
        messages.warning(request, "This batch has been opened: it can be extended or closed, no longer rewritten.")
        return redirect("labeling:batch", slug, uuid)
    data = request.POST if request.method == "POST" else None
    form = EditBatchForm(data, batch=batch, fields=reads.metadata_fields(batch.project))
    status = 200
    if data is not None and data.get("act") != "count":
        status = 422
        if form.is_valid():
            try:
                dispatch.edit_batch(by=seat, batch=batch, seen=form.cleaned_data["seen"], **_columns(form))
            except Refusal as refusal:
                show_refusal(form, refusal)
                status = 422 if isinstance(refusal, BadValue) else refusal.status
            else:
                messages.success(request, "Saved. Nobody sees the draft until it is opened.")
                return redirect("labeling:batch", slug, uuid)
    context = project_context(
        seat,
        "batches",
        batch=batch,
        form=form,
        plan=_plan_of(batch.project, data if data is not None else _initial(form), batch=None),
        tags=reads.tags_of(batch.project),
        published=True,
    )
    return render(request, "labeling/batch_edit.html", context, status=status)


@member_page
@require_http_methods(["GET", "POST"])
def batch_discard(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    batch, seat = batch_and_seat(request, slug, uuid, "dispatch")
    if request.method == "POST":
        try:
            dispatch.discard_batch(by=seat, batch=batch)
        except Refusal as refusal:
            messages.warning(request, refusal.message)
            return redirect("labeling:batch", slug, uuid)
        messages.success(request, f"The draft “{batch}” is discarded.")
        return redirect("labeling:batches", slug)
    says = "It was never opened, so no item and no answer goes with it. Its name can be used again."
    return _confirm(request, batch, seat, title=f"Discard the draft “{batch}”?", says=says, act="Discard it")


def _created(request: HttpRequest, seat: Seat, batch: Batch, *, open_now: bool) -> HttpResponse:
    if open_now:
        try:
            dispatch.open_batch(by=seat, batch=batch)
        except Refusal as refusal:
            messages.warning(request, f"“{batch}” is kept as a draft. {refusal.message}")
        else:
            messages.success(request, f"“{batch}” is being opened.")
    else:
        messages.success(request, f"“{batch}” is kept as a draft. Nobody sees it until it is opened.")
    return redirect("labeling:batch", seat.project.slug, batch.uuid)


def _initial(form: BatchForm) -> QueryDict:
    """The form's initial values as if they had been sent."""
    data = QueryDict(mutable=True)
    for bound in form:
        value = bound.value()
        if value not in (None, "", False):
            data[bound.html_name] = str(getattr(value, "uuid", value))
    return data


def _plan_of(project: Project, data: QueryDict, *, batch: Batch | None) -> Plan | None:
    """The plan for a half-filled form; None while its items or overlap cannot be read yet."""
    fields = reads.metadata_fields(project)
    rows = sum(name.startswith("field_") for name in data)
    selection = SelectionForm(data, fields=fields, rows=rows)
    if not selection.is_valid():
        return None
    version_id = batch.guideline_version_id if batch is not None else _version_id(project, data.get("version", ""))
    if batch is not None:
        quotas = {quota.cohort: quota.raters for quota in batch.quotas.all()}
    else:
        quotas = {}
        for cohort in Cohort.values:
            raw = data.get(f"raters_{cohort}", "")
            if raw.isdecimal() and 0 < int(raw) <= dispatch.LARGEST_OVERLAP:
                quotas[cohort] = int(raw)
    return plan_batch(project, count_selected(project, selection.selection(), version_id, batch=batch), quotas)


def _version_id(project: Project, given: str) -> int | None:
    """The definition that a half-filled form names, if it is one of the project's."""
    try:
        rows = GuidelineVersion.objects.filter(project=project, uuid=UUID(given))
    except ValueError:
        return None
    return rows.values_list("pk", flat=True).first()


def count_selected(
    project: Project, selection: Selection, version_id: int | None, *, batch: Batch | None = None
) -> int:
    """How many items the selection gives now under the definition, without those that `batch` holds already."""
    items = matching(project, selection, version_id=version_id)
    if batch is not None:
        items = items.exclude(batch_items__batch=batch)
    there = items.order_by().count()
    return there if selection.mode == "all" else min(there, selection.size or 0)


@member_page
@require_safe
def batch_estimate(request: HttpRequest, slug: str) -> HttpResponse:
    """Items, places and cost of a form that is being filled: a piece of page for htmx. `batch`: for adding to it."""
    seat = project_for(person(request), slug, "dispatch")
    batch = None
    if given := request.GET.get("batch"):
        try:
            batch = Batch.objects.filter(project=seat.project, uuid=UUID(given)).first()
        except ValueError:
            batch = None
        if batch is None:
            raise NotSeen("not_found", "There is no such batch for you.")
    plan = _plan_of(seat.project, request.GET, batch=batch)
    return render(request, "labeling/batches/plan.html", {"plan": plan, "adding": batch is not None})


# --- one batch ------------------------------------------------------------------------------------


@member_page
@require_safe
def batch(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """Progress of a batch. htmx asks again for the piece that changes."""
    row, seat = batch_and_seat(request, slug, uuid, "see_progress")
    template = "labeling/batches/progress.html" if request.headers.get("HX-Request") else "labeling/batch.html"
    return render(request, template, {**batch_context(row, seat), "panels": panels("batch", request, seat, row)})


def batch_context(batch: Batch, seat: Seat) -> dict[str, Any]:
    rows = reads.cohort_progress(batch)
    places = sum(row.total + row.skipped + row.void for row in rows)
    shown = reads.shown_jobs(batch)
    running = any(job.status != JobStatus.FAILED for job in shown)
    people = reads.cohort_people(batch.project, batch.guideline_version_id)
    every = {BatchStatus.OPENING: "every 2s", BatchStatus.OPEN: "every 20s"}.get(BatchStatus(batch.status), "")
    found: list[Reason] = reasons(batch, rows, people, told=bool(shown))
    return project_context(
        seat,
        "batches",
        batch=batch,
        items=reads.count_items(batch),
        rows=rows,
        done=sum(row.done for row in rows),
        total=sum(row.total for row in rows),
        raters=rater_rows(batch, seat, places),
        jobs=[job_row(job, seat) for job in shown],
        reasons=found,
        selection_words=selection_words(batch),
        version_url=link("guideline", seat.project.slug, batch.guideline_version.uuid),
        poll="every 2s" if running else every,
        plan=_plan_of_draft(batch) if batch.status == BatchStatus.DRAFT else None,
        may={
            "open": seat.may("dispatch") and batch.status == BatchStatus.DRAFT,
            "rewrite": seat.may("dispatch") and batch.status == BatchStatus.DRAFT,
            "extend": seat.may("dispatch") and batch.status == BatchStatus.OPEN and batch.kind != BatchKind.RELABEL,
            "close": seat.may("dispatch") and batch.status == BatchStatus.OPEN,
            "reopen": seat.may("dispatch") and batch.status == BatchStatus.CLOSED and batch.kind != BatchKind.IMPORT,
            "export": seat.may("export"),
            "names": seat.may("export") and seat.may("identify_raters"),
        },
    )


def _plan_of_draft(batch: Batch) -> Plan:
    quotas = {quota.cohort: quota.raters for quota in batch.quotas.all()}
    items = count_selected(batch.project, Selection.from_json(batch.selection), batch.guideline_version_id)
    return plan_batch(batch.project, items, quotas)


def rater_rows(batch: Batch, seat: Seat, places: int) -> list[dict[str, Any]]:
    """Members with places in the batch: by name for those who may know, else by pseudonym."""
    named = seat.may("identify_raters")
    return [
        {
            "name": (row.member.imported_id or row.member.user.name) if named else pseudonym(row.member.uuid),
            "cohort": row.member.cohort,
            "done": row.done,
            "in_hand": row.in_hand,
            "skipped": row.skipped,
            "last_at": row.last_at,
        }
        for row in reads.rater_progress(batch, places)[:MOST_RATERS]
    ]


RELABEL_WORDS = (
    (ItemRole.AFFECTED, "affected"), (ItemRole.CONTROL, "control"), (ItemRole.NORMAL, "drawn at random"),
    (ItemRole.FRESH, "fresh"),
)  # fmt: skip


def selection_words(batch: Batch) -> str:
    """Which items, in words: “a random sample of 50, camera = 3, seed 7”."""
    raw = batch.selection or {}
    if raw.get("mode") == "relabel":
        counts = ((raw.get(role, 0), word) for role, word in RELABEL_WORDS)
        parts = [f"{number:,} {word}" for number, word in counts if number]
        return ", ".join([*parts, "shuffled", f"seed {batch.seed}"])
    size = raw.get("size")
    parts = {
        "random": [f"a random sample of {size:,}"] if size else [],
        "stratified": [f"a sample of {size:,} with the shares of {raw.get('stratum')}"] if size else [],
    }.get(raw.get("mode", "all"), ["all items"])
    parts += [f"{name} = {value}" for name, value in (raw.get("metadata") or {}).items()]
    parts += [f"tagged {tag}" for tag in raw.get("tags") or ()]
    if raw.get("unlabeled"):
        parts.append("in no batch before")
    if raw.get("external_ids"):
        parts.append(words_of(len(raw["external_ids"]), "listed item", "listed items"))
    if raw.get("without_examples") and shown_as_examples(batch.guideline_version_id).exists():
        parts.append("without the definition’s examples")
    parts.append("as imported" if raw.get("order") == "as_listed" else "shuffled")
    return ", ".join([*parts, f"seed {batch.seed}"])


# --- acts with a page to confirm ------------------------------------------------------------------


def _confirm(request: HttpRequest, batch: Batch, seat: Seat, **words: Any) -> HttpResponse:
    return render(request, "labeling/batch_confirm.html", project_context(seat, "batches", batch=batch, **words))


def _done(request: HttpRequest, batch: Batch, act: Any, said: str) -> HttpResponse:
    """Run the act and go back to the batch; a refusal is told there."""
    try:
        act()
    except Refusal as refusal:
        messages.warning(request, refusal.message)
    else:
        messages.success(request, said)
    return redirect("labeling:batch", batch.project.slug, batch.uuid)


@member_page
@require_http_methods(["GET", "POST"])
def batch_open(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    batch, seat = batch_and_seat(request, slug, uuid, "dispatch")
    if request.method == "POST":
        return _done(request, batch, lambda: dispatch.open_batch(by=seat, batch=batch), f"“{batch}” is being opened.")
    plan = _plan_of_draft(batch)
    says = "Items, overlap and definition stand from then on. Items and raters can be added later, never taken away."
    return _confirm(request, batch, seat, title=f"Open “{batch}”?", says=says, plan=plan, act="Open it")


@member_page
@require_http_methods(["GET", "POST"])
def batch_close(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    batch, seat = batch_and_seat(request, slug, uuid, "dispatch")
    if request.method == "POST":
        return _done(request, batch, lambda: dispatch.close_batch(by=seat, batch=batch), f"“{batch}” is closed.")
    rows = reads.cohort_progress(batch)
    waiting, held = sum(row.open for row in rows), sum(row.in_hand for row in rows)
    says = (
        f"{words_of(waiting, 'place that nobody has taken is', 'places that nobody has taken are')} given up. "
        f"{words_of(held, 'item', 'items')} in hand still {'counts' if held == 1 else 'count'} when answered before "
        "the lease ends. Answers stay for ever, and a closed batch can be opened again."
    )
    return _confirm(request, batch, seat, title=f"Close “{batch}”?", says=says, act="Close it")


@member_page
@require_http_methods(["GET", "POST"])
def batch_reopen(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    batch, seat = batch_and_seat(request, slug, uuid, "dispatch")
    if request.method == "POST":
        return _done(request, batch, lambda: dispatch.reopen_batch(by=seat, batch=batch), f"“{batch}” is open again.")
    says = "Items with fewer answers than their overlap get new places. Nothing that was answered changes."
    return _confirm(request, batch, seat, title=f"Open “{batch}” again?", says=says, act="Open it again")


@member_page
@require_http_methods(["GET", "POST"])
def batch_add_items(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    batch, seat = batch_and_seat(request, slug, uuid, "dispatch")
    data = request.POST if request.method == "POST" else None
    form = AddItemsForm(data, fields=reads.metadata_fields(batch.project))
    status = 200 if data is None or request.POST.get("act") == "count" else 422
    if status == 422 and form.is_valid():
        try:
            dispatch.add_items(by=seat, batch=batch, selection=form.selection())
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = refusal.status
        else:
            messages.success(request, "The items are being added, behind those that are there.")
            return redirect("labeling:batch", slug, uuid)
    sent = data if data is not None else QueryDict("mode=all&order=shuffled")
    context = project_context(
        seat,
        "batches",
        batch=batch,
        form=form,
        plan=_plan_of(batch.project, sent, batch=batch),
        tags=reads.tags_of(batch.project),
    )
    return render(request, "labeling/batch_add_items.html", context, status=status)


@member_page
@require_http_methods(["GET", "POST"])
def batch_raise_overlap(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    batch, seat = batch_and_seat(request, slug, uuid, "dispatch")
    current = {quota.cohort: quota for quota in batch.quotas.all()}
    data = request.POST if request.method == "POST" else None
    form = RaiseOverlapForm(data, current=current)
    status = 200 if data is None else 422
    if data is not None and form.is_valid():
        try:
            dispatch.raise_overlap(by=seat, batch=batch, quotas=form.quotas())
        except Refusal as refusal:
            show_refusal(form, refusal)
            status = 422 if isinstance(refusal, BadValue) else refusal.status
        else:
            messages.success(request, "Places are being added for the whole batch.")
            return redirect("labeling:batch", slug, uuid)
    context = project_context(seat, "batches", batch=batch, form=form, items=reads.count_items(batch))
    return render(request, "labeling/batch_raise_overlap.html", context, status=status)


# --- export ---------------------------------------------------------------------------------------

CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson; charset=utf-8"}


@member_page
@require_safe
def batch_export(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponseBase:
    """Every annotation of the batch as CSV or JSON lines, streamed. `names=1`: with names, for those who may know."""
    batch, seat = batch_and_seat(request, slug, uuid, "export")
    form = request.GET.get("format", "csv")
    if form not in CONTENT_TYPES:
        raise BadValue("bad_value", "format must be csv or jsonl.", field="format")
    names = request.GET.get("names") == "1"
    if names:
        batch, seat = batch_and_seat(request, slug, uuid, "identify_raters")
    ledger = export.Ledger(project=seat.project, batches=[batch], names=names)
    rows = ledger.count()
    response = StreamingHttpResponse(ledger.stream(form), content_type=CONTENT_TYPES[form])
    response["Content-Disposition"] = f'attachment; filename="{export.file_name(batch, rows, form)}"'
    response["X-Concord-Rows"] = str(rows)
    return response
