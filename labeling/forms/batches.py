"""The forms of a batch: which items, under which version, by how many raters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django import forms

from ..dispatch import LARGEST_OVERLAP, draft_as_seen
from ..models import Batch, GuidelineVersion, Project, Quota
from ..project_settings import default_overlap
from ..selection import Selection
from ..vocabulary import Cohort, VersionStatus

FILTER_ROWS = 3
MODES = [
    ("all", "All items that match"),
    ("random", "A random sample of them"),
    ("stratified", "A random sample with the same shares of a metadata field"),
]
ORDERS = [("shuffled", "Shuffled, the same for everyone"), ("as_listed", "As they were imported")]
LARGEST_SEED = 2**31 - 1


class SelectionForm(forms.Form):
    """Which items. `fields` are the metadata fields that the project's items have, `tags` those in use."""

    mode = forms.ChoiceField(label="Which", choices=MODES, initial="all", widget=forms.RadioSelect)
    size = forms.IntegerField(label="How many", required=False, min_value=1, max_value=10_000_000)
    stratum = forms.ChoiceField(label="Shares of", required=False)
    tags = forms.CharField(
        label="With these tags",
        required=False,
        max_length=400,
        help_text="Separated by commas; an item has all of them.",
    )
    unlabeled = forms.BooleanField(label="Only items that are in no batch yet", required=False)
    without_examples = forms.BooleanField(
        label="Leave out items that the definition shows as examples",
        required=False,
        initial=True,
        help_text="Raters have read the answer there: their agreement on them says nothing.",
    )
    order = forms.ChoiceField(choices=ORDERS, initial="shuffled")

    def __init__(self, *args: Any, fields: list[str], rows: int = FILTER_ROWS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = max(rows, FILTER_ROWS)
        # A field with two underscores in its name would read as a lookup.
        names = [(name, name) for name in fields if "__" not in name]
        self.fields["stratum"].choices = [("", "—"), *names]  # type: ignore[attr-defined]
        for number in range(1, self.rows + 1):
            self.fields[f"field_{number}"] = forms.ChoiceField(
                label="Metadata field", required=False, choices=[("", "—"), *names]
            )
            self.fields[f"value_{number}"] = forms.CharField(label="is", required=False, max_length=200)

    def filter_rows(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        return [(self[f"field_{number}"], self[f"value_{number}"]) for number in range(1, self.rows + 1)]

    def selection(self) -> Selection:
        """What was chosen, once the form is valid."""
        data = self.cleaned_data
        metadata = {
            data[f"field_{number}"]: data[f"value_{number}"]
            for number in range(1, self.rows + 1)
            if data.get(f"field_{number}")
        }
        drawn = data["mode"] != "all"
        return Selection(
            mode=data["mode"],
            size=data["size"] if drawn else None,
            stratum=data["stratum"] if data["mode"] == "stratified" else "",
            metadata=metadata,
            tags=tuple(tag for part in data["tags"].split(",") if (tag := part.strip())),
            unlabeled=data["unlabeled"],
            without_examples=data["without_examples"],
            order=data["order"],
        )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("mode") in ("random", "stratified") and not data.get("size") and "size" not in self.errors:
            self.add_error("size", "Say how many items to draw: 1 or more.")
        if data.get("mode") == "stratified" and not data.get("stratum") and "stratum" not in self.errors:
            self.add_error("stratum", "Choose the metadata field whose shares are kept.")
        chosen = [data.get(f"field_{number}") for number in range(1, self.rows + 1)]
        for number, name in enumerate(chosen, start=1):
            if not name and data.get(f"value_{number}"):
                self.add_error(f"field_{number}", "Choose the field that has this value.")
            elif name and name in chosen[: number - 1]:
                self.add_error(f"field_{number}", f"“{name}” is filtered by twice; an item has one value there.")
        return data


class OverlapForm(forms.Form):
    """Raters per item, by cohort, and where replacements stop."""

    def __init__(self, *args: Any, current: dict[str, Quota] | None = None, offered: dict[str, int] | None = None, **kwargs: Any) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        current, offered = current or {}, offered or {}
        for cohort, title in Cohort.choices:
            quota = current.get(cohort)
            self.fields[f"raters_{cohort}"] = forms.IntegerField(
                label=f"{title}s",
                required=False,
                min_value=quota.raters if quota else 0,
                max_value=LARGEST_OVERLAP,
                initial=quota.raters if quota else offered.get(cohort, 0),
            )
            self.fields[f"most_{cohort}"] = forms.IntegerField(
                label="at most",
                required=False,
                min_value=1,
                max_value=1000,
                initial=quota.max_raters if quota else None,
            )

    def cohort_rows(self) -> list[tuple[str, str, forms.BoundField, forms.BoundField]]:
        return [
            (cohort, str(title), self[f"raters_{cohort}"], self[f"most_{cohort}"]) for cohort, title in Cohort.choices
        ]

    def quotas(self) -> dict[str, tuple[int, int | None]]:
        """{cohort: (raters, at most)} for cohorts with an overlap."""
        data = self.cleaned_data
        return {
            cohort: (data[f"raters_{cohort}"], data.get(f"most_{cohort}"))
            for cohort in Cohort.values
            if data.get(f"raters_{cohort}")
        }

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for cohort in Cohort.values:
            raters, most = data.get(f"raters_{cohort}"), data.get(f"most_{cohort}")
            if raters and most is not None and most < raters:
                self.add_error(f"most_{cohort}", f"This is below the overlap of {raters}.")
        if not self.errors and not any(data.get(f"raters_{cohort}") for cohort in Cohort.values):
            raise forms.ValidationError("Give at least one cohort an overlap of 1 or more.", code="no_overlap")
        return data


class BatchForm(SelectionForm, OverlapForm):
    """A new batch."""

    name = forms.CharField(max_length=120)
    version = forms.ModelChoiceField(label="Definition", queryset=GuidelineVersion.objects.none(), to_field_name="uuid")
    priority = forms.IntegerField(
        required=False,
        min_value=-100,
        max_value=100,
        initial=0,
        help_text="Raters see batches of higher priority first.",
    )
    lease_minutes = forms.IntegerField(
        label="Minutes an item stays with its rater", min_value=1, max_value=240, initial=15, required=False,
        help_text="Without a sign of life for so long, it goes to someone else.",
    )  # fmt: skip
    seed = forms.IntegerField(
        label="Seed", required=False, min_value=0, max_value=LARGEST_SEED,
        help_text="The same seed draws the same items in the same order. Left empty, one is drawn and kept.",
    )  # fmt: skip

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **{"offered": default_overlap(project), **kwargs})
        versions = GuidelineVersion.objects.filter(project=project, status=VersionStatus.PUBLISHED).order_by("-number")
        field: forms.ModelChoiceField = self.fields["version"]  # type: ignore[assignment]
        field.queryset = versions
        field.empty_label = None
        self.initial.setdefault("version", versions.first())


class EditBatchForm(BatchForm):
    """A draft, rewritten. `seen` says which state of it the page showed."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, batch: Batch, **kwargs: Any) -> None:
        self.before = Selection.from_json(batch.selection)
        super().__init__(
            *args,
            project=batch.project,
            # A draft says itself which cohorts it wants, and may take each down to none again.
            offered={},
            rows=len(self.before.metadata),
            initial=_values_of(batch, self.before),
            **kwargs,
        )

    def selection(self) -> Selection:
        """What was chosen; a list of single items, which no field here shows, is kept."""
        return replace(super().selection(), external_ids=self.before.external_ids)


def _values_of(batch: Batch, selection: Selection) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": batch.name, "version": batch.guideline_version, "priority": batch.priority, "seed": batch.seed,
        "lease_minutes": batch.lease_minutes, "seen": draft_as_seen(batch), "mode": selection.mode,
        "size": selection.size, "stratum": selection.stratum, "tags": ", ".join(selection.tags),
        "unlabeled": selection.unlabeled, "without_examples": selection.without_examples, "order": selection.order,
    }  # fmt: skip
    for number, (name, value) in enumerate(selection.metadata.items(), start=1):
        values |= {f"field_{number}": name, f"value_{number}": value}
    for quota in batch.quotas.all():
        values |= {f"raters_{quota.cohort}": quota.raters, f"most_{quota.cohort}": quota.max_raters}
    return values


class AddItemsForm(SelectionForm):
    """More items for an open batch."""


class RaiseOverlapForm(OverlapForm):
    """More raters per item."""
