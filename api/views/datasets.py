"""Dataset versions in the browser: list, define, look at, download, compare."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling.access import Seat, project_for, row_for
from labeling.refusals import NotSeen, Refusal
from labeling.views.decorators import member_page, person
from labeling.views.forms import posted, show_refusal
from labeling.views.jobs import job_row
from labeling.views.navigation import project_context

from ..datasets.building import define_dataset, rebuild_dataset
from ..datasets.comparing import compare_datasets
from ..datasets.files import path_of
from ..datasets.formats import CONTENT_TYPE
from ..datasets.manifest import card
from ..forms.datasets import DatasetForm
from ..models import DatasetVersion
from ..queries.datasets import LINEAGE, build_job, datasets_of, datasets_that_hold, notices_of, state_of
from ..vocabulary import DatasetFormat, DatasetStatus
from .downloads import send_file

PAGE = 50


def dataset_and_seat(request: HttpRequest, slug: str, uuid: UUID) -> tuple[DatasetVersion, Seat]:
    """The dataset of that project with the person's seat; 404 when the address names another project."""
    rows = DatasetVersion.objects.select_related("parent", "by").filter(project__slug=slug)
    dataset, seat = row_for(person(request), rows, uuid, "export")
    return dataset, seat


@member_page
@require_safe
def datasets(request: HttpRequest, slug: str) -> HttpResponse:
    seat = project_for(person(request), slug, "export")
    page = Paginator(datasets_of(seat.project), PAGE).get_page(request.GET.get("page"))
    asked = {name: request.GET[name].strip() for name in LINEAGE if request.GET.get(name, "").strip()}
    found = datasets_that_hold(seat.project, **asked) if asked else None
    return render(
        request,
        "api/datasets.html",
        project_context(seat, "api:datasets", page=page, rows=list(page), asked=asked, found=found, lineage=LINEAGE),
    )


@member_page
@require_http_methods(["GET", "HEAD", "POST"])
def dataset_create(request: HttpRequest, slug: str) -> HttpResponse:
    seat = project_for(person(request), slug, "export")
    form = DatasetForm(posted(request), project=seat.project, initial=_initial(request, seat))
    if request.method == "POST" and form.is_valid():
        try:
            dataset = define_dataset(by=seat, name=form.cleaned_data["name"], definition=form.definition())
        except Refusal as refusal:
            show_refusal(form, refusal)
        else:
            return redirect("api:dataset", slug, dataset.uuid)
    context = project_context(seat, "api:datasets", form=form)
    return render(request, "api/dataset_create.html", context, status=422 if form.errors else 200)


def _initial(request: HttpRequest, seat: Seat) -> dict[str, Any]:
    """Start from an earlier dataset's definition (`?like=`), or from a batch (`?batch=`)."""
    initial: dict[str, Any] = {"batch": request.GET.get("batch", "")}
    try:
        like = DatasetVersion.objects.filter(project=seat.project, uuid=UUID(request.GET.get("like", ""))).first()
    except ValueError:
        return initial
    if like is not None:
        asked = like.filter
        splits = asked.get("splits") or {}
        initial |= {name: asked.get(name) for name in asked if name != "splits"}
        initial |= {"name": like.name, "split_method": splits.get("method"), "seed": splits.get("seed")}
        initial |= {name: 100 * share for name, share in (splits.get("shares") or {}).items()}
    return initial


@member_page
@require_safe
def dataset(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    row, seat = dataset_and_seat(request, slug, uuid)
    job = build_job(row)
    status, error = state_of(row, job)
    context = project_context(
        seat,
        "api:datasets",
        dataset=row,
        status=status,
        error=error,
        job=job_row(job, seat) if job else None,
        manifest=row.manifest,
        splits=_splits(row.manifest.get("splits") or {}),
        notices=list(notices_of(row)[:200]),
        others=_others(row),
        asked=_asked(row),
    )
    return render(request, "api/dataset.html", context)


def _others(row: DatasetVersion) -> list[DatasetVersion]:
    """What the dataset can be compared with."""
    ready = DatasetVersion.objects.filter(project_id=row.project_id, status=DatasetStatus.READY).exclude(pk=row.pk)
    return list(ready.defer("manifest").order_by("-number")[:100])


def _splits(words: dict[str, Any]) -> list[dict[str, Any]]:
    labels = words.get("labels") or {}
    return [
        {"name": name, "items": items, "labels": labels.get(name, {})}
        for name, items in (words.get("sizes") or {}).items()
    ]


def _asked(row: DatasetVersion) -> list[tuple[str, str]]:
    """What was asked for, in words."""
    asked = row.filter
    splits = asked.get("splits") or {"method": "none"}
    words = [
        ("As of definition", f"v{asked['guideline_version']}, {asked['versions']}"),
        ("Batch", asked["batch"] or "the newest of each item"),
        ("Slice", asked["slice"] or "all items"),
        ("Cohort", asked["cohort"].replace("_", " ") or "all, as resolved"),
        ("Rows", asked["labels"]),
        ("Values by", ", ".join(method.replace("_", " ") for method in asked["methods"])),
        ("Items without a value", "kept, with the reason" if asked["include_unresolved"] else "left out"),
    ]
    if splits["method"] == "none":
        words.append(("Splits", "none"))
    else:
        shares = ", ".join(f"{name} {100 * share:g} %" for name, share in splits["shares"].items())
        words.append(("Splits", f"{splits['method']}, {shares}, seed {splits['seed']}"))
    return words


@member_page
@require_POST
def dataset_rebuild(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    row, seat = dataset_and_seat(request, slug, uuid)
    try:
        rebuild_dataset(by=seat, dataset=row)
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return redirect("api:dataset", slug, uuid)


def ready_or_404(row: DatasetVersion) -> DatasetVersion:
    """The dataset when its file is there. Raises NotSeen until then."""
    if row.status != DatasetStatus.READY or not path_of(row).exists():
        raise NotSeen("not_ready", "This dataset has no file yet.")
    return row


def file_name(row: DatasetVersion) -> str:
    """“phones-3.jsonl”."""
    return f"{row.project.slug}-{row.number}.{row.format}"


@member_page
@require_safe
def dataset_content(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponseBase:
    row = ready_or_404(dataset_and_seat(request, slug, uuid)[0])
    kind = CONTENT_TYPE[DatasetFormat(row.format)]
    return send_file(request, path_of(row), sha256=row.sha256, content_type=kind, name=file_name(row))


@member_page
@require_safe
def dataset_manifest(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    row = ready_or_404(dataset_and_seat(request, slug, uuid)[0])
    return JsonResponse(row.manifest, json_dumps_params={"indent": 2, "ensure_ascii": False})


@member_page
@require_safe
def dataset_card(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    row = ready_or_404(dataset_and_seat(request, slug, uuid)[0])
    text = card(row, data_files={"train": file_name(row)})
    return HttpResponse(text, content_type="text/markdown; charset=utf-8")


@member_page
@require_safe
def dataset_compare(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    row, seat = dataset_and_seat(request, slug, uuid)
    if not request.GET.get("with"):
        context = project_context(seat, "api:datasets", dataset=row, others=_others(row))
        return render(request, "api/dataset_compare.html", context)
    other, _ = dataset_and_seat(request, slug, _uuid(request.GET["with"]))
    old, new = (row, other) if row.number < other.number else (other, row)
    job, refused = None, ""
    try:
        job = compare_datasets(by=seat, old=old, new=new)
    except Refusal as refusal:
        refused = refusal.message
    context = project_context(
        seat, "api:datasets", old=old, new=new, job=job_row(job, seat) if job else None,
        result=job.result if job and job.status == "done" else None, refused=refused,
    )  # fmt: skip
    return render(request, "api/dataset_compare.html", context, status=409 if refused else 200)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotSeen("not_found", "There is no such dataset.") from None
