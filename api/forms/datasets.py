"""The form that defines a dataset version."""

from __future__ import annotations

from typing import Any

from django import forms

from consistency.models import Slice
from consistency.vocabulary import ResolutionMethod
from labeling.models import Batch, GuidelineVersion, Project
from labeling.vocabulary import BatchStatus, Cohort, VersionStatus

from ..datasets.definition import METHODS
from ..vocabulary import DatasetFormat

METHOD_WORDS = {
    ResolutionMethod.SINGLE: "One rater",
    ResolutionMethod.UNANIMOUS: "All agreed",
    ResolutionMethod.ADJUDICATED: "Ruled by an SME",
    ResolutionMethod.MAJORITY: "Majority vote",
    ResolutionMethod.DAWID_SKENE: "Dawid–Skene",
    ResolutionMethod.MAPPED: "Read through a merge or normalisation",
    ResolutionMethod.AUTOMATIC: "Set by a model",
}


class DatasetForm(forms.Form):
    """What the dataset holds, and how it is parted."""

    name = forms.CharField(label="Name", max_length=120, help_text="Such as “Screens, spring, for training”.")
    batch = forms.ChoiceField(label="Labels from", required=False)
    guideline_version = forms.ChoiceField(label="As of definition", required=False)
    versions = forms.ChoiceField(
        label="Earlier definitions",
        choices=[
            ("compatible", "Take labels whose definition has not changed, or was mapped"),
            ("exact", "Only labels given under exactly this one"),
        ],
        widget=forms.RadioSelect,
        initial="compatible",
    )
    slice = forms.ChoiceField(label="Slice", required=False)
    cohort = forms.ChoiceField(label="Cohort", required=False)
    methods = forms.MultipleChoiceField(
        label="Take values that were reached by",
        choices=[(method, METHOD_WORDS[ResolutionMethod(method)]) for method in METHODS],
        widget=forms.CheckboxSelectMultiple,
        initial=[method for method in METHODS if method != ResolutionMethod.AUTOMATIC],
    )
    labels = forms.ChoiceField(
        label="Each row holds",
        choices=[
            ("hard", "An item with its value"),
            ("soft", "An item with the shares of its labels"),
            ("annotations", "One annotation"),
        ],
        widget=forms.RadioSelect,
        initial="hard",
    )
    include_unresolved = forms.BooleanField(label="Keep items without a value, and say why", required=False)
    split_method = forms.ChoiceField(
        label="Splits",
        choices=[
            ("none", "None"),
            ("stratified", "Exactly stratified: each split has the same share of each label"),
            ("grouped", "Stratified, and equal payloads stay together"),
            ("random", "Plainly random"),
        ],
        initial="none",
    )
    train = forms.FloatField(label="train %", initial=60, min_value=0, max_value=100, required=False)
    dev = forms.FloatField(label="dev %", initial=20, min_value=0, max_value=100, required=False)
    test = forms.FloatField(label="test %", initial=20, min_value=0, max_value=100, required=False)
    seed = forms.IntegerField(label="Seed", initial=0, min_value=0, max_value=2**31 - 1, required=False)
    format = forms.ChoiceField(label="Format", choices=DatasetFormat.choices, initial=DatasetFormat.JSONL)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        batches = Batch.objects.filter(project=project, status__in=(BatchStatus.OPEN, BatchStatus.CLOSED))
        versions = GuidelineVersion.objects.filter(project=project).exclude(status=VersionStatus.DRAFT)
        choices: dict[str, list[tuple[str, str]]] = {
            "batch": [
                ("", "The newest batch of each item"),
                *((str(row.uuid), row.name) for row in batches.order_by("-pk")[:500]),
            ],
            "guideline_version": [
                ("", "The newest that is published"),
                *(
                    (str(row.number), f"v{row.number}" + (" (as imported)" if row.status == "as_imported" else ""))
                    for row in versions.order_by("-number")[:500]
                ),
            ],
            "slice": [("", "All items"), *((row.key, row.name) for row in Slice.objects.filter(project=project))],
            "cohort": [("", "All, as resolved"), *Cohort.choices],
        }
        for name, options in choices.items():
            self.fields[name].choices = options  # type: ignore[attr-defined]

    def definition(self) -> dict[str, Any]:
        """What the act takes. Only on a valid form."""
        data = self.cleaned_data
        shares = {name: round(data[name] / 100, 6) for name in ("train", "dev", "test") if data[name]}
        splits: dict[str, Any] = {"method": data["split_method"]}
        if data["split_method"] != "none":
            splits |= {"shares": shares, "seed": data["seed"] or 0}
        taken = ("batch", "guideline_version", "versions", "slice", "cohort", "methods", "labels", "include_unresolved")
        return {**{name: data[name] for name in taken}, "splits": splits, "format": data["format"]}
