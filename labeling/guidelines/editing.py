"""Acts on a draft. Several people may edit it at once: whoever saves over a change they have not seen is told first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from .. import task_types
from ..access import Seat, require
from ..events import event, record
from ..models import GuidelineVersion, Item, LabelDefinition, LabelExample, LabelMapping
from ..queries.definitions import shown_fields
from ..queries.guideline_content import draft_of, labels_of, newest_published, versions_of
from ..refusals import BadValue, NotSeen, Refusal
from ..vocabulary import COLOUR_TOKENS, MappingKind, Polarity, VersionStatus
from .fields import (
    BODY_LIMIT,
    LINE_LIMIT,
    MOST_LABELS,
    TEXT_LIMIT,
    LabelFields,
    clean_label,
    clean_text,
    draft_fingerprint,
    fingerprint_of,
    label_fingerprint,
    suggest_hotkeys,
)

MOST_EXAMPLES = 60
LABEL_COLUMNS = (
    "key", "name", "definition", "include", "exclude", "ordinal", "hotkey", "colour_token", "is_borderline",
    "threshold_attribute", "threshold_operator", "threshold_value", "threshold_unit",
)  # fmt: skip
# Task settings that people write; a task type's own ones join here with it.
SETTINGS = {"attribute": str, "disagreement_threshold": float, "normaliser": str}


# --- starting -------------------------------------------------------------------------------------


def start_draft(
    *,
    by: Seat,
    labels: Sequence[str] = (),
    copy_of: GuidelineVersion | None = None,
    at: datetime | None = None,
) -> GuidelineVersion:
    """The project's draft, made from the newest published version with its labels and examples.

    A project without one starts empty, or with labels of the given names, or from the labels of `copy_of` (a version
    as imported, say), which is then no parent. Mappings are not copied: they say how the parent's labels read under a
    version, and reading passes through each version of the chain.

    Raises `draft_exists` (with its uuid) when there is a draft already, also when two people start at once.
    """
    at = at or timezone.now()
    require(by.membership, "define")
    if copy_of is not None and (copy_of.project_id != by.project.pk or copy_of.status == VersionStatus.DRAFT):
        raise NotSeen("not_found", "There is no such version in this project.")
    with transaction.atomic():
        parent = newest_published(by.project)
        source = parent or copy_of or versions_of(by.project).filter(status=VersionStatus.AS_IMPORTED).first()
        if labels:
            source = None
        highest = versions_of(by.project).aggregate(highest=Max("number"))["highest"] or 0
        try:
            with transaction.atomic():
                draft = GuidelineVersion.objects.create(
                    project=by.project,
                    number=highest + 1,
                    parent=parent,
                    body=source.body if source is not None and source is parent else "",
                    task_settings=source.task_settings if source is not None else {},
                    saved_by=by.user,
                )
        except IntegrityError:
            raise _draft_exists(by) from None
        if source is not None:
            _copy_labels(source, draft)
        hotkeys = suggest_hotkeys(len(labels))
        made: list[LabelDefinition] = []
        for name, hotkey in zip(labels, hotkeys, strict=True):
            made.append(_insert_label(draft, LabelFields(name=name, hotkey=hotkey), made))
        record(
            event(
                "draft_started", draft, by=by.user, at=at, project=by.project, number=draft.number,
                copied=source.number if source is not None else None,
            )
        )  # fmt: skip
    return draft


def _draft_exists(by: Seat) -> Refusal:
    draft = draft_of(by.project)
    if draft is None:  # a version as imported took the number this moment
        return Refusal("busy", "Another version was made this moment. Please try again.")
    who = draft.saved_by.name if draft.saved_by is not None else "someone"
    return Refusal(
        "draft_exists",
        f"There is a draft already, {draft}, last saved by {who}. Edit that one; a project has one draft at a time.",
        uuid=str(draft.uuid),
    )


def _copy_labels(source: GuidelineVersion, draft: GuidelineVersion) -> None:
    for label in labels_of(source):
        copy = LabelDefinition.objects.create(
            version=draft, **{column: getattr(label, column) for column in LABEL_COLUMNS}
        )
        LabelExample.objects.bulk_create(
            LabelExample(
                definition=copy, polarity=example.polarity, payload=example.payload, item=example.item,
                note=example.note, ordinal=example.ordinal,
            )
            for example in label.examples.all()
        )  # fmt: skip


# --- what every act on a draft does first and last -------------------------------------------------


def lock_draft(by: Seat, version: GuidelineVersion) -> GuidelineVersion:
    """The draft as it is now, locked for this transaction: its editors take turns.

    Raises NotSeen for another project's version, `gone` or `published` when it is no draft any more.
    """
    require(by.membership, "define")
    if version.project_id != by.project.pk:
        raise NotSeen("not_found", "There is no such definition in this project.")
    # no_key: rows that refer to the version (labels being added) need not wait.
    draft = (
        GuidelineVersion.objects.select_for_update(of=("self",), no_key=True)
        .select_related("saved_by", "project", "parent")
        .filter(pk=version.pk)
        .first()
    )
    if draft is None:
        raise Refusal("gone", "This draft was discarded meanwhile. What you wrote is still on this page; copy it.")
    if draft.status != VersionStatus.DRAFT:
        raise Refusal(
            "published",
            f"{draft} was published meanwhile and no longer changes. What you wrote is still on this page; "
            "start a new draft to bring it in.",
        )
    return draft


def _touch(draft: GuidelineVersion, by: Seat, at: datetime) -> None:
    GuidelineVersion.objects.filter(pk=draft.pk).update(saved_at=at, saved_by=by.user)


def _changed_meanwhile(draft: GuidelineVersion, **data: Any) -> Refusal:
    who = draft.saved_by.name if draft.saved_by is not None else "Someone"
    return Refusal(
        "changed_meanwhile",
        f"{who} changed this while you were writing. Nothing is lost: your text is below, theirs is beside it. "
        "Bring the two together and save again.",
        **data,
    )


# --- instructions, reason, settings ------------------------------------------------------------------


def clean_settings(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Task settings checked; empty ones left out. Raises BadValue naming the setting."""
    clean: dict[str, Any] = {}
    for name, value in raw.items():
        if name not in SETTINGS:
            raise BadValue("bad_value", f"Unknown setting {name!r}. Known are {', '.join(SETTINGS)}.", field=name)
        if value in (None, ""):
            continue
        if SETTINGS[name] is float:
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
                raise BadValue("bad_value", "Give a number from 0 to below 1.", field=name)
            clean[name] = float(value)
        else:
            clean[name] = clean_text(value, name, 80, lines=False)
    return clean


def save_draft(
    *,
    by: Seat,
    version: GuidelineVersion,
    body: str,
    change_note: str,
    task_settings: Mapping[str, Any] | None = None,
    seen: str | None = None,
    at: datetime | None = None,
) -> GuidelineVersion:
    """Save the draft's instructions (Markdown), the reason for the change and its settings (kept when None).

    `seen` is the `draft_fingerprint` the editor started from: when the draft differs from it by now, the act raises
    `changed_meanwhile` with what stands now in its data and writes nothing. None saves without asking.
    """
    at = at or timezone.now()
    body = clean_text(body, "body", BODY_LIMIT)
    change_note = clean_text(change_note, "change_note", TEXT_LIMIT)
    with transaction.atomic():
        draft = lock_draft(by, version)
        settings = draft.task_settings if task_settings is None else clean_settings(task_settings)
        now = draft_fingerprint(draft)
        mine = fingerprint_of(body, change_note, settings)
        if seen is not None and seen != now and mine != now:
            raise _changed_meanwhile(
                draft, body=draft.body, change_note=draft.change_note, task_settings=draft.task_settings, seen=now
            )
        if mine != now:
            draft.body, draft.change_note, draft.task_settings = body, change_note, settings
            draft.saved_at, draft.saved_by = at, by.user
            GuidelineVersion.objects.filter(pk=draft.pk).update(
                body=body, change_note=change_note, task_settings=settings, saved_at=at, saved_by=by.user
            )
            record(event("draft_saved", draft, by=by.user, at=at, project=by.project))
    return draft


# --- labels -----------------------------------------------------------------------------------------


def _insert_label(draft: GuidelineVersion, fields: LabelFields, others: list[LabelDefinition]) -> LabelDefinition:
    clean = clean_label(fields, others)
    if not clean["colour_token"]:
        used = {other.colour_token for other in others}
        free = (token for token in COLOUR_TOKENS if token not in used)
        clean["colour_token"] = next(free, COLOUR_TOKENS[len(others) % len(COLOUR_TOKENS)])
    ordinal = max((other.ordinal for other in others), default=-1) + 1
    return LabelDefinition.objects.create(version=draft, ordinal=ordinal, **clean)


def add_label(
    *, by: Seat, version: GuidelineVersion, fields: LabelFields, at: datetime | None = None
) -> LabelDefinition:
    """Add a label behind the others. Raises BadValue with every wrong field in `data["errors"]`."""
    at = at or timezone.now()
    with transaction.atomic():
        draft = lock_draft(by, version)
        others = list(draft.labels.order_by("ordinal", "id"))
        if len(others) >= MOST_LABELS:
            raise Refusal("too_many", f"A definition holds at most {MOST_LABELS} labels.")
        label = _insert_label(draft, fields, others)
        _tidy_mappings(draft)
        _touch(draft, by, at)
        record(event("label_added", label, by=by.user, at=at, project=by.project, key=label.key))
    return label


def _locked_label(by: Seat, label: LabelDefinition) -> tuple[GuidelineVersion, LabelDefinition]:
    draft = lock_draft(by, label.version)
    current = draft.labels.filter(pk=label.pk).first()
    if current is None:
        raise Refusal("gone", f"“{label.name}” was removed meanwhile. What you wrote is still on this page; copy it.")
    return draft, current


def edit_label(
    *, by: Seat, label: LabelDefinition, fields: LabelFields, seen: str | None = None, at: datetime | None = None
) -> LabelDefinition:
    """Change a label of the draft. `seen` is the `label_fingerprint` the editor started from, as in `save_draft`.

    A label that the parent version has under another key keeps its past: the old key reads as the new one.
    """
    at = at or timezone.now()
    with transaction.atomic():
        draft, current = _locked_label(by, label)
        others = list(draft.labels.exclude(pk=current.pk).order_by("ordinal", "id"))
        now = label_fingerprint(current)
        if fields.hotkey is None:
            fields = LabelFields(**{**vars(fields), "hotkey": current.hotkey})
        if not fields.key.strip():
            fields = LabelFields(**{**vars(fields), "key": current.key})
        clean = clean_label(fields, others)
        changed = LabelDefinition(version=draft, **clean)
        mine = label_fingerprint(changed)
        if seen is not None and seen != now and mine != now:
            raise _changed_meanwhile(draft, label=str(current.uuid), seen=now)
        if mine == now:
            return current
        LabelDefinition.objects.filter(pk=current.pk).update(**clean)
        if clean["key"] != current.key:
            LabelMapping.objects.filter(guideline_version=draft, to_key=current.key).update(to_key=clean["key"])
            _map_key(draft, MappingKind.NORMALISE, current.key, clean["key"])
        _tidy_mappings(draft)
        _touch(draft, by, at)
        record(event("label_edited", current, by=by.user, at=at, project=by.project, key=clean["key"]))
        current.refresh_from_db()
    return current


def remove_label(
    *,
    by: Seat,
    label: LabelDefinition,
    merge_into: str = "",
    kind: str = MappingKind.MERGE,
    ruling: UUID | None = None,
    at: datetime | None = None,
) -> None:
    """Take a label out of the draft. With `merge_into` (a key) earlier answers with it read as that label.

    `kind` says whether two labels became one or one spelling stands for another; `ruling` names what led to it.
    """
    at = at or timezone.now()
    with transaction.atomic():
        draft, current = _locked_label(by, label)
        if merge_into and not draft.labels.exclude(pk=current.pk).filter(key=merge_into).exists():
            raise BadValue("bad_value", f"{merge_into!r} is no other label of this draft.", field="merge_into")
        current.delete()
        if merge_into:
            LabelMapping.objects.filter(guideline_version=draft, to_key=current.key).update(to_key=merge_into)
            _map_key(draft, kind, current.key, merge_into, ruling)
        _tidy_mappings(draft)
        _touch(draft, by, at)
        record(
            event(
                "label_removed", draft, by=by.user, at=at, project=by.project, key=current.key, merge_into=merge_into
            )
        )  # fmt: skip


def move_label(*, by: Seat, label: LabelDefinition, to: int, at: datetime | None = None) -> None:
    """Put the label at position `to` (0 is first) in the order raters see."""
    at = at or timezone.now()
    with transaction.atomic():
        draft, current = _locked_label(by, label)
        order = list(draft.labels.order_by("ordinal", "id"))
        order = [other for other in order if other.pk != current.pk]
        order.insert(max(0, min(to, len(order))), current)
        for ordinal, other in enumerate(order):
            other.ordinal = ordinal
        LabelDefinition.objects.bulk_update(order, ["ordinal"])
        _touch(draft, by, at)
        record(event("label_moved", current, by=by.user, at=at, project=by.project, to=to))


def _map_key(draft: GuidelineVersion, kind: str, from_key: str, to_key: str, ruling: UUID | None = None) -> None:
    """Write how the parent's key reads under the draft, when the parent has that key."""
    if draft.parent is None or not LabelDefinition.objects.filter(version=draft.parent, key=from_key).exists():
        return
    LabelMapping.objects.update_or_create(
        guideline_version=draft,
        from_key=from_key,
        defaults={"kind": kind, "to_key": to_key, "adjudication_uuid": ruling},
    )


def _tidy_mappings(draft: GuidelineVersion) -> None:
    """Drop mappings whose target is gone, and those from a key that is a label of the draft again."""
    keys = set(draft.labels.values_list("key", flat=True))
    for mapping in LabelMapping.objects.filter(guideline_version=draft):
        if mapping.to_key not in keys or mapping.from_key in keys:
            mapping.delete()


# --- examples -----------------------------------------------------------------------------------------


def _clean_payload(draft: GuidelineVersion, payload: Mapping[str, Any]) -> dict[str, Any]:
    """An example written by hand: the text and number fields that raters see, not all empty."""
    declared = shown_fields(draft.project) or [{"name": "text", "kind": "text"}]
    known = {field["name"]: field for field in declared if field.get("kind") != "image"}
    if unknown := [name for name in payload if name not in known]:
        raise BadValue(
            "bad_value", f"{unknown[0]!r} is no field that raters read here. Use {', '.join(known) or 'an item'}.",
            field="payload",
        )  # fmt: skip
    clean: dict[str, Any] = {}
    for name, value in payload.items():
        if value is None or value == "":
            continue
        clean[name] = clean_text(value, name, TEXT_LIMIT) if isinstance(value, str) else value
    if not any(value != "" for value in clean.values()):
        raise BadValue("empty", "Write the example, or choose an item.", field="payload")
    try:
        task_types.get(draft.project.task_type).check_payload(clean)
    except ValidationError as error:
        raise BadValue("bad_value", error.messages[0], field="payload") from None
    return clean


def add_example(
    *,
    by: Seat,
    label: LabelDefinition,
    polarity: str,
    item: Item | None = None,
    payload: Mapping[str, Any] | None = None,
    note: str = "",
    at: datetime | None = None,
) -> LabelExample:
    """Add an example (positive), counter-example (negative) or borderline case: an item of the project or own words.

    Raises BadValue naming the field.
    """
    at = at or timezone.now()
    if polarity not in Polarity.values:
        raise BadValue("bad_value", f"polarity must be one of {', '.join(Polarity.values)}.", field="polarity")
    note = clean_text(note, "note", LINE_LIMIT, lines=False)
    if (item is None) == (payload is None):
        raise BadValue("bad_value", "Choose an item, or write an example of your own.", field="item")
    with transaction.atomic():
        draft, current = _locked_label(by, label)
        if current.examples.count() >= MOST_EXAMPLES:
            raise Refusal("too_many", f"A label holds at most {MOST_EXAMPLES} examples; nobody reads more.")
        clean = None
        if item is not None:
            if not Item.objects.available().filter(pk=item.pk, project=draft.project_id).exists():
                raise BadValue("bad_value", "There is no such item in this project.", field="item")
            if current.examples.filter(item=item).exists():
                raise BadValue(
                    "taken", f"Item {item.external_id} is an example of “{current.name}” already.", field="item"
                )
        else:
            clean = _clean_payload(draft, payload or {})
        last = current.examples.aggregate(highest=Max("ordinal"))["highest"]
        example = LabelExample.objects.create(
            definition=current, polarity=polarity, item=item, payload=clean, note=note,
            ordinal=0 if last is None else last + 1,
        )  # fmt: skip
        _touch(draft, by, at)
        record(event("example_added", example, by=by.user, at=at, project=by.project, label=current.key))
    return example


def remove_example(*, by: Seat, example: LabelExample, at: datetime | None = None) -> None:
    """Take an example out of the draft; one that is gone already stays gone."""
    at = at or timezone.now()
    with transaction.atomic():
        draft = lock_draft(by, example.definition.version)
        removed, _ = LabelExample.objects.filter(pk=example.pk, definition__version=draft).delete()
        if removed:
            _touch(draft, by, at)
            record(
                event(
                    "example_removed", draft, by=by.user, at=at, project=by.project, label=example.definition.key
                )
            )  # fmt: skip
