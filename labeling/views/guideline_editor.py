"""The editor of a project's one draft: instructions, labels, examples, preview, publishing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from .. import access, task_types
from .. import guidelines as acts
from ..access import Seat
from ..forms.guidelines import DraftForm, ExampleForm, ItemExampleForm, LabelForm, RemoveLabelForm
from ..guidelines.checks import Check, check_draft
from ..guidelines.fields import draft_fingerprint, label_fingerprint, suggest_hotkey
from ..models import GuidelineVersion, Item, LabelDefinition, LabelExample
from ..queries.definitions import definitions_for_desk, label_for_desk, shown_fields, version_for_desk
from ..queries.example_items import item_of, items_to_show, shown_as_example
from ..queries.guideline_content import content_sha256, draft_of, labels_of
from ..queries.guideline_diff import compare, count_changes, telling_rows, word_diff
from ..refusals import NotSeen, Refusal
from .decorators import member_page, person
from .forms import posted, show_refusal
from .item_html import item_as_shown
from .navigation import link, project_context
from .panels import panels

ITEMS_PER_PAGE = 12


def _seat(request: HttpRequest, slug: str) -> Seat:
    return access.project_for(person(request), slug, "define")


def _draft(seat: Seat) -> GuidelineVersion:
    draft = draft_of(seat.project)
    if draft is None:
        raise NotSeen("no_draft", "There is no draft now: it was published or discarded. Start a new one to write.")
    draft.project = seat.project
    return draft


def _label(draft: GuidelineVersion, uuid: UUID) -> LabelDefinition:
    for label in labels_of(draft):
        if label.uuid == uuid:
            label.version = draft
            return label
    raise NotSeen("not_found", "There is no such label in the draft; it may have been removed meanwhile.")


def _kept(request: HttpRequest, seat: Seat, form: DraftForm | LabelForm, why: str) -> HttpResponse:
    """The draft or label went away while someone wrote: their text, to copy, and what happened."""
    kept = [
        {"field": field.label, "text": text}
        for field in form.visible_fields()
        if field.widget_type != "checkbox" and (text := str(field.value() or "").strip())
    ]
    context = project_context(seat, "guidelines", kept=kept, why=why, draft=draft_of(seat.project))
    return render(request, "labeling/guideline_no_draft.html", context, status=409)


NO_DRAFT = "The draft was published or discarded while you were writing."
NO_LABEL = "This label was removed from the draft while you were writing."


@dataclass(frozen=True)
class CheckLine:
    """A check with the page where it is put right."""

    check: Check
    url: str = ""
    act: str = ""


def check_lines(draft: GuidelineVersion, checks: list[Check], labels: list[LabelDefinition]) -> list[CheckLine]:
    """The checks, open ones with a link to where they are put right."""
    slug, by_key = draft.project.slug, {label.key: label for label in labels}
    lines = []
    for check in checks:
        label = by_key.get(check.part)
        if check.done:
            lines.append(CheckLine(check))
        elif check.code in ("example", "counter_example") and label is not None:
            lines.append(CheckLine(check, reverse("labeling:guideline_examples", args=[slug, label.uuid]), "Pick one"))
        elif label is not None:
            lines.append(CheckLine(check, reverse("labeling:guideline_label", args=[slug, label.uuid]), "Edit"))
        elif check.code == "labels":
            lines.append(CheckLine(check, reverse("labeling:guideline_label_new", args=[slug]), "Add a label"))
        elif check.code in ("change_note", "picture", "bare_quantity"):
            lines.append(CheckLine(check, reverse("labeling:guideline_edit", args=[slug]), "Edit"))
        else:
            lines.append(CheckLine(check))
    return lines


def _editor(request: HttpRequest, seat: Seat, draft: GuidelineVersion, tab: str, **more: Any) -> dict[str, Any]:
    """What the editor's pages share: tabs, differences from the parent, checks, and what other apps say of the draft."""
    labels = labels_of(draft)
    checks = check_draft(draft)
    rows = compare(draft.parent, draft) if draft.parent is not None else []
    return project_context(
        seat,
        "guidelines",
        draft=draft,
        labels=labels,
        tab=tab,
        has_labels=task_types.get(seat.project.task_type).has_labels,
        checks=check_lines(draft, checks, labels),
        open_checks=sum(check.blocks for check in checks),
        warnings=sum(not check.done and not check.required for check in checks),
        rows=telling_rows(rows),
        changes=count_changes(rows),
        old=draft.parent,
        new=draft,
        panels=panels("guideline_draft", request, seat, draft),
        **more,
    )


@member_page
@require_http_methods(["GET", "POST"])
def guideline_edit(request: HttpRequest, slug: str) -> HttpResponse:
    """The draft's instructions and the reason for the change; without a draft, the way to one."""
    seat = _seat(request, slug)
    draft = draft_of(seat.project)
    if draft is None:
        if request.method == "POST":
            return _kept(request, seat, DraftForm(request.POST), NO_DRAFT)
        return render(request, "labeling/guideline_no_draft.html", project_context(seat, "guidelines"))
    draft.project = seat.project
    form = DraftForm(posted(request), initial=DraftForm.of(draft, draft_fingerprint(draft)))
    status = 422 if form.is_bound else 200
    theirs = None
    if form.is_bound and form.is_valid():
        typed = form.cleaned_data
        settings = {**draft.task_settings, "attribute": typed["attribute"]}
        try:
            acts.save_draft(
                by=seat,
                version=draft,
                body=typed["body"],
                change_note=typed["change_note"],
                task_settings=settings,
                seen=typed["seen"] or None,
            )
        except Refusal as refusal:
            status = refusal.status
            if refusal.code == "changed_meanwhile":
                theirs = {"message": refusal.message, "rows": _both(draft, typed)}
                # Saving again is then a choice made with the other's text in sight.
                form = DraftForm({**typed, "seen": refusal.data["seen"]})
            else:
                show_refusal(form, refusal)
        else:
            messages.success(request, "Saved.")
            return redirect("labeling:guideline_edit", slug)
    context = _editor(request, seat, draft, "instructions", form=form, theirs=theirs)
    return render(request, "labeling/guideline_edit.html", context, status=status)


def _both(draft: GuidelineVersion, typed: dict[str, Any]) -> list[dict[str, Any]]:
    """What stands now and what was typed, for each text that differs."""
    pairs = (("Instructions", draft.body, typed["body"]), ("Reason", draft.change_note, typed["change_note"]))
    return [
        {"field": field, "before": pieces[0], "after": pieces[1]}
        for field, stands, mine in pairs
        if stands != mine and (pieces := word_diff(stands, mine))
    ]


# --- labels -----------------------------------------------------------------------------------------


def _show_label_refusal(form: LabelForm, refusal: Refusal) -> None:
    for field, message in (refusal.data.get("errors") or {}).items():
        form.add_error(field if field in form.fields else None, message)
    if not refusal.data.get("errors"):
        show_refusal(form, refusal)


@member_page
@require_http_methods(["GET", "POST"])
def guideline_label_new(request: HttpRequest, slug: str) -> HttpResponse:
    seat = _seat(request, slug)
    if request.method == "POST" and draft_of(seat.project) is None:
        return _kept(request, seat, LabelForm(request.POST), NO_DRAFT)
    draft = _draft(seat)
    hotkey = suggest_hotkey(draft.labels.values_list("hotkey", flat=True))
    form = LabelForm(posted(request), initial={"hotkey": hotkey})
    status = 422 if form.is_bound else 200
    if form.is_bound and form.is_valid():
        try:
            label = acts.add_label(by=seat, version=draft, fields=form.typed())
        except Refusal as refusal:
            _show_label_refusal(form, refusal)
            status = refusal.status
        else:
            messages.success(request, f"“{label.name}” is added. Its examples come next.")
            return redirect("labeling:guideline_label", slug, label.uuid)
    context = _editor(request, seat, draft, "new", form=form, label=None)
    return render(request, "labeling/guideline_label.html", context, status=status)


@member_page
@require_http_methods(["GET", "POST"])
def guideline_label(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    seat = _seat(request, slug)
    try:
        draft = _draft(seat)
        label = _label(draft, uuid)
    except NotSeen as missing:
        if request.method != "POST":
            raise
        why = NO_DRAFT if missing.code == "no_draft" else NO_LABEL
        return _kept(request, seat, LabelForm(request.POST), why)
    form = LabelForm(posted(request), initial=LabelForm.of(label, label_fingerprint(label)))
    status = 422 if form.is_bound else 200
    theirs = None
    if form.is_bound and form.is_valid():
        try:
            acts.edit_label(by=seat, label=label, fields=form.typed(), seen=form.cleaned_data["seen"] or None)
        except Refusal as refusal:
            status = refusal.status
            if refusal.code == "changed_meanwhile":
                theirs = {"message": refusal.message, "rows": _both_labels(label, form)}
                form = LabelForm({**form.cleaned_data, "seen": refusal.data["seen"]})
            else:
                _show_label_refusal(form, refusal)
        else:
            messages.success(request, f"“{form.cleaned_data['name']}” is saved.")
            return redirect("labeling:guideline_label", slug, uuid)
    labels, fields = labels_of(draft), shown_fields(seat.project)
    context = _editor(request, seat, draft, str(uuid), form=form, label=label, theirs=theirs,
        reading=label_for_desk(label, labels, fields),
        examples=_examples_to_edit(label, labels, fields),
        remove_form=RemoveLabelForm(others=[it for it in labels if it.pk != label.pk]),
        was_in_parent=draft.parent is not None and draft.parent.labels.filter(key=label.key).exists(),
    )  # fmt: skip
    return render(request, "labeling/guideline_label.html", context, status=status)


def _examples_to_edit(
    label: LabelDefinition, labels: list[LabelDefinition], fields: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    shown = label_for_desk(label, labels, fields)["examples"]
    return [{"row": row, **example} for row, example in zip(label.examples.all(), shown, strict=True)]


def _both_labels(label: LabelDefinition, form: LabelForm) -> list[dict[str, Any]]:
    stands = LabelForm.of(label, "")
    rows = []
    for field in ("name", "definition", "include", "exclude", "hotkey", "threshold_operator", "threshold_value"):
        now, mine = str(stands[field] or ""), str(form.cleaned_data[field] or "").replace("\r\n", "\n")
        if now != mine:
            before, after = word_diff(now, mine)
            rows.append({"field": form.fields[field].label or field.title(), "before": before, "after": after})
    return rows


@member_page
@require_POST
def guideline_label_remove(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    seat = _seat(request, slug)
    draft = _draft(seat)
    label = _label(draft, uuid)
    try:
        acts.remove_label(by=seat, label=label, merge_into=request.POST.get("merge_into", ""))
    except Refusal as refusal:
        messages.error(request, refusal.message)
        return redirect("labeling:guideline_label", slug, uuid)
    messages.success(request, f"“{label.name}” is no longer part of the draft.")
    return redirect("labeling:guideline_edit", slug)


@member_page
@require_POST
def guideline_label_move(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """One place up or down in the order raters see."""
    seat = _seat(request, slug)
    draft = _draft(seat)
    label = _label(draft, uuid)
    position = [other.uuid for other in labels_of(draft)].index(label.uuid)
    acts.move_label(by=seat, label=label, to=position + (1 if request.POST.get("direction") == "later" else -1))
    return redirect("labeling:guideline_label", slug, uuid)


# --- examples -----------------------------------------------------------------------------------------


@member_page
@require_http_methods(["GET", "POST"])
def guideline_examples(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """Choose an item as an example of a label, or write one."""
    seat = _seat(request, slug)
    draft = _draft(seat)
    label = _label(draft, uuid)
    form = ExampleForm(project=seat.project)
    status = 200
    if request.method == "POST":
        form, status = _add_example(request, seat, label)
        if status == 200:
            messages.success(request, f"Added to “{label.name}”.")
            return redirect("labeling:guideline_label", slug, uuid)
    search = request.GET.get("search", "")
    page = Paginator(items_to_show(seat.project, search), ITEMS_PER_PAGE).get_page(request.GET.get("page"))
    taken = shown_as_example(label)
    items: list[Item] = list(page.object_list)
    context = _editor(request, seat, draft, str(uuid), label=label, form=form, search=search, page=page,
        search_extra=f"&{urlencode({'search': search})}" if search else "",
        items=[{"item": item, "shown": item_as_shown(item, seat.project), "taken": item.pk in taken} for item in items],
    )  # fmt: skip
    return render(request, "labeling/guideline_examples.html", context, status=status)


def _add_example(request: HttpRequest, seat: Seat, label: LabelDefinition) -> tuple[ExampleForm, int]:
    """The form of own words, and 200 when the example was added, else the status to answer with."""
    own = ExampleForm(project=seat.project)
    item, payload = None, None
    form: ItemExampleForm | ExampleForm
    if "item" in request.POST:
        form = ItemExampleForm(request.POST)
        if form.is_valid():
            item = item_of(seat.project, form.cleaned_data["item"])
            if item is None:
                messages.error(request, "There is no such item in this project, or it was withdrawn.")
                return own, 422
    else:
        form = own = ExampleForm(request.POST, project=seat.project)
        if own.is_valid():
            payload = own.payload()
    if not form.is_valid():
        if form is not own:
            messages.error(request, "Choose one of the items below, and what it shows.")
        return own, 422
    try:
        acts.add_example(
            by=seat, label=label, polarity=form.cleaned_data["polarity"], item=item, payload=payload,
            note=form.cleaned_data["note"],
        )  # fmt: skip
    except Refusal as refusal:
        if form is own:
            show_refusal(own, refusal)
        else:
            messages.error(request, refusal.message)
        return own, refusal.status
    return own, 200


@member_page
@require_POST
def guideline_example_remove(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    seat = _seat(request, slug)
    draft = _draft(seat)
    example = (
        LabelExample.objects.select_related("definition__version").filter(uuid=uuid, definition__version=draft).first()
    )
    if example is None:
        raise NotSeen("not_found", "There is no such example in the draft; it may have been removed meanwhile.")
    acts.remove_example(by=seat, example=example)
    messages.success(request, "The example is removed.")
    return redirect("labeling:guideline_label", slug, example.definition.uuid)


# --- preview, publishing, giving up -------------------------------------------------------------------


@member_page
@require_safe
def guideline_preview(request: HttpRequest, slug: str) -> HttpResponse:
    """The draft as a rater sees it, beside an item of the project."""
    seat = access.project_for(person(request), slug, "see_setup")
    draft = _draft(seat)
    labels = definitions_for_desk(draft, seat.project)
    item = Item.objects.available().filter(project=seat.project).order_by("pk").first()
    context = project_context(
        seat,
        "guidelines",
        draft=draft,
        labels=labels,
        version=version_for_desk(draft),
        can_borderline=not any(label["is_borderline"] for label in labels),
        has_examples=any(label["examples"] for label in labels),
        item=item_as_shown(item, seat.project) if item is not None else None,
    )
    return render(request, "labeling/guideline_preview.html", context)


@member_page
@require_http_methods(["GET", "POST"])
def guideline_publish(request: HttpRequest, slug: str) -> HttpResponse:
    """Look once more at what is open and what changes; then seal the draft."""
    seat = _seat(request, slug)
    draft = _draft(seat)
    status, problem = 200, None
    if request.method == "POST":
        try:
            version = acts.publish_version(by=seat, version=draft, seen=request.POST.get("seen") or None)
        except Refusal as refusal:
            status, problem = refusal.status, refusal
        else:
            messages.success(
                request, f"{version} is published and sealed. Batches opened from now on may use it; those open stay as they are."
            )  # fmt: skip
            # Relabeling under it is offered at once, where that is something one does here.
            offer = link("consistency:relabel_offer", slug, version.uuid) if version.parent_id is not None else ""
            return redirect(offer or link("guideline", slug, version.uuid))
    context = _editor(request, seat, draft, "publish", seen=content_sha256(draft), problem=problem)
    context["starts"] = panels("guideline_publish", request, seat, draft)
    return render(request, "labeling/guideline_publish.html", context, status=status)


@member_page
@require_POST
def guideline_discard(request: HttpRequest, slug: str) -> HttpResponse:
    seat = _seat(request, slug)
    draft = _draft(seat)
    acts.discard_draft(by=seat, version=draft)
    messages.success(request, f"The draft of {draft} is gone. Published versions stand as they were.")
    return redirect("labeling:guidelines", slug)
