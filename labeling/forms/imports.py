"""Upload, and one row per column to say what it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django import forms

from ..importing.label_columns import ROLES, LabelMapping, parse_cohorts, suggest_label_columns
from ..importing.mapping import ItemMapping, declared_fields, with_schema
from ..vocabulary import ImportKind
from .widgets import ManyFiles

OUT, ID, METADATA, TAGS, PAYLOAD = "", "id", "metadata", "tags", "payload"
# A picture's own file name is both: it says which picture raters see, and which item it is.
BOTH = "both"
ROLE_TITLES = {
    "item": "Item id", "rater": "Rater id", "label": "Label", "cohort": "Cohort", "gold": "Reference label (gold)",
    "session": "Session", "timestamp": "Time",
}  # fmt: skip


class UploadForm(forms.Form):
    kind = forms.ChoiceField(
        label="What is in it", choices=((ImportKind.ITEMS, "Items to label"), (ImportKind.LABELS, "Labels given elsewhere")),
        initial=ImportKind.ITEMS, widget=forms.RadioSelect,
    )  # fmt: skip
    upload = ManyFiles(label="File")


class _OptionsForm(forms.Form):
    """What both mappings share."""

    encoding = forms.CharField(
        label="Encoding", required=False, max_length=40, help_text="Only for text that is not UTF-8, such as cp1252."
    )
    skip_refused = forms.BooleanField(
        label="Leave rows with problems out and import the others", required=False,
        help_text="Otherwise one such row refuses the whole file.",
    )  # fmt: skip


class ItemMappingForm(_OptionsForm):
    """One choice per column of the file."""

    keep_duplicates = forms.BooleanField(
        label="Also take items whose payload is there under another id", required=False
    )
    update_metadata = forms.BooleanField(
        label="Correct metadata and add tags of items that are there already", required=False,
        help_text="Each correction is recorded. Payloads never change.",
    )  # fmt: skip

    def __init__(
        self, data: Any, *, columns: Sequence[str], schema: dict[str, Any], guess: ItemMapping, **kwargs: Any
    ) -> None:
        kwargs.setdefault("initial", {"encoding": guess.encoding})
        super().__init__(data, **kwargs)
        self._schema, self._guess = schema, guess
        # An object's own column is left to its parts: payload.text, metadata.camera.
        whole = {column.partition(".")[0] for column in columns if "." in column} & set(columns)
        self.columns = [column for column in columns if column not in whole]
        choices = self._uses()
        for number, column in enumerate(self.columns):
            self.fields[f"use_{number}"] = forms.ChoiceField(
                label=column, choices=choices, required=False, initial=self._initial(column)
            )

    def _uses(self) -> list[tuple[str, str]]:
        fields = declared_fields(self._schema)
        shown = [
            (f"{PAYLOAD}:{spec['name']}", f"Raters see it: {spec.get('title') or spec['name']}") for spec in fields
        ]
        names = set(self._guess.payload) if self._guess.external_id in self._guess.payload.values() else set()
        both = [
            (f"{BOTH}:{spec['name']}", f"Id of the item, and raters see it: {spec.get('title') or spec['name']}")
            for spec in (fields or [{"name": name} for name in sorted(names)]) if spec["name"] in names
        ]  # fmt: skip
        return [
            *both, *(shown or [(PAYLOAD, "Raters see it")]), (METADATA, "Metadata, raters never see it"),
            (TAGS, "Tags, raters never see them"), (ID, "Id of the item"), (OUT, "Leave it out"),
        ]  # fmt: skip

    def _initial(self, column: str) -> str:
        guess = self._guess
        for name, source in guess.payload.items():
            if source == column == guess.external_id:
                return f"{BOTH}:{name}"
        if column == guess.external_id:
            return ID
        for name, source in guess.payload.items():
            if source == column:
                return f"{PAYLOAD}:{name}" if declared_fields(self._schema) else PAYLOAD
        if column in guess.tags:
            return TAGS
        # A part of the payload nobody declared is left for the person to decide, not slipped into metadata.
        kept = guess.metadata is None or column in guess.metadata.values()
        return METADATA if kept and not column.startswith("payload.") else OUT

    def column_fields(self) -> list[forms.BoundField]:
        """The choices, in the file's order."""
        return [self[f"use_{number}"] for number in range(len(self.columns))]

    def option_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("skip_refused", "keep_duplicates", "update_metadata", "encoding")]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        chosen: dict[str, str] = {}
        for number, column in enumerate(self.columns):
            use = data.get(f"use_{number}", OUT)
            kind, _, name = use.partition(":")
            for part in (ID, f"{PAYLOAD}:{name}") if kind == BOTH else (use,):
                if part in chosen and (part == ID or part.startswith(f"{PAYLOAD}:")):
                    self.add_error(f"use_{number}", f"“{chosen[part]}” is used for this already.")
                chosen[part] = column
        return data

    def mapping(self) -> ItemMapping:
        """The chosen mapping."""
        data = self.cleaned_data
        uses = {column: data[f"use_{number}"] for number, column in enumerate(self.columns)}
        payload = {
            use.partition(":")[2] or column.removeprefix("payload."): column
            for column, use in uses.items()
            if use.partition(":")[0] in (PAYLOAD, BOTH)
        }
        metadata = {column.removeprefix("metadata."): column for column, use in uses.items() if use == METADATA}
        # Nothing left out: rows may then bring further keys, as JSON Lines do.
        everything = OUT not in uses.values() and self._guess.metadata is None
        chosen = replace(
            self._guess,
            external_id=next((column for column, use in uses.items() if use.partition(":")[0] in (ID, BOTH)), ""),
            payload=payload,
            metadata=None if everything else metadata,
            tags=tuple(column for column, use in uses.items() if use == TAGS),
            keep_duplicates=data["keep_duplicates"],
            update_metadata=data["update_metadata"],
            skip_refused=data["skip_refused"],
            encoding=data["encoding"].strip(),
        )
        made = with_schema(chosen, self._schema)
        kinds = {name: kind for name, kind in self._guess.kinds.items() if name in payload}
        return made if declared_fields(self._schema) else replace(made, kinds=kinds)


class LabelMappingForm(_OptionsForm):
    """One column per role, and what the file's cohort names mean."""

    cohorts = forms.CharField(
        label="Cohorts", required=False, max_length=2000,
        help_text="What the file's cohort names mean, as crowd=generalist, control=expert. One cohort alone is meant for all raters.",
    )  # fmt: skip
    labels = forms.CharField(
        label="Declared labels", required=False, max_length=4000,
        help_text="In order, as G, P, R, X. A label nobody used counts too. Empty means those found.",
    )  # fmt: skip
    create_items = forms.BooleanField(
        label="Make items without content for ids the project does not have", required=False,
        help_text="Otherwise such rows are refused: import the items first.",
    )  # fmt: skip

    def __init__(self, data: Any, *, columns: Sequence[str], before: LabelMapping | None = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        guess = suggest_label_columns(columns)
        choices = [("", "no such column"), *((column, column) for column in columns)]
        for role in ROLES:
            known = getattr(before, role) if before is not None else guess[role]
            self.fields[role] = forms.ChoiceField(
                label=ROLE_TITLES[role],
                choices=choices,
                required=role in ("item", "rater", "label"),
                initial=known or guess[role],
            )
        if before is not None:
            cohorts = before.all_cohort or ", ".join(f"{name}={cohort}" for name, cohort in before.cohorts.items())
            self.initial["cohorts"], self.initial["labels"] = cohorts, ", ".join(before.labels)
            self.initial["create_items"] = before.create_items

    def column_fields(self) -> list[forms.BoundField]:
        return [self[role] for role in ROLES]

    def option_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("cohorts", "labels", "create_items", "skip_refused", "encoding")]

    def mapping(self) -> LabelMapping:
        """The chosen mapping. Raises BadValue for a cohort nobody knows."""
        data = self.cleaned_data
        cohorts, everyone = parse_cohorts(data["cohorts"])
        columns = {role: data[role] for role in ROLES}
        if everyone:
            columns["cohort"] = ""
        return LabelMapping(
            **columns, cohorts=cohorts, all_cohort=everyone,
            labels=tuple(label.strip() for label in data["labels"].split(",") if label.strip()),
            create_items=data["create_items"], skip_refused=data["skip_refused"], encoding=data["encoding"].strip(),
        )  # fmt: skip
