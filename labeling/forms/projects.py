"""The form of a project, and one row per field of its items."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms

from .. import task_types
from ..models import Project
from ..project_settings import DEFAULTS, audit_share, default_overlap
from ..projects import FIELD_KINDS, LARGEST_OVERLAP, ProjectForm, project_as_seen
from ..vocabulary import Cohort, Phase


def _time_zones() -> list[tuple[str, str]]:
    return [
        (name, name.replace("_", " ")) for name in sorted(available_timezones(), key=lambda name: (name != "UTC", name))
    ]


class ProjectSettingsForm(forms.Form):
    name = forms.CharField(max_length=120)
    question = forms.CharField(
        max_length=300, help_text="One sentence that a rater answers for each item: “Is there a defect on this screen?”"
    )
    task_type = forms.ChoiceField(label="Task type")
    labels = forms.CharField(
        label="Labels", required=False, widget=forms.Textarea(attrs={"rows": 4}),
        help_text="One a line, in the order of the keyboard. They start the draft of the definition, where you say what each means.",
    )  # fmt: skip
    time_zone = forms.ChoiceField(
        label="Time zone", initial="UTC", help_text="A day's limit of labels ends at midnight here."
    )
    phase = forms.ChoiceField(choices=Phase.choices, initial=Phase.POC)
    audit_percent = forms.DecimalField(
        label="Audit share, in %", min_value=0, max_value=100, max_digits=5, decimal_places=2,
        help_text="Drawn at random and looked at by the SME even when raters agree. Without it no ruling can serve as a reference.",
    )  # fmt: skip
    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, project: Project | None = None, **kwargs: Any) -> None:
        kwargs.setdefault(
            "initial", settings_of(project) if project else {"audit_percent": 100 * DEFAULTS["audit_share"]}
        )
        super().__init__(*args, **kwargs)
        self.fields["task_type"].choices = [(slug, task.title) for slug, task in task_types.registry().items()]  # type: ignore[attr-defined]
        self.fields["time_zone"].choices = _time_zones()  # type: ignore[attr-defined]
        overlap = default_overlap(project) if project else DEFAULTS["overlap"]
        for cohort, title in Cohort.choices:
            self.fields[f"overlap_{cohort}"] = forms.IntegerField(
                label=title, min_value=0, max_value=LARGEST_OVERLAP, initial=overlap.get(cohort, 0)
            )
        if project:
            del self.fields["labels"]

    def overlap_fields(self) -> list[forms.BoundField]:
        return [self[f"overlap_{cohort}"] for cohort in Cohort.values]

    def described(self, fields: list[dict[str, Any]]) -> ProjectForm:
        """What was typed, for the acts."""
        data = self.cleaned_data
        return ProjectForm(
            name=data["name"],
            question=data["question"],
            task_type=data["task_type"],
            fields=fields,
            overlap={cohort: data[f"overlap_{cohort}"] for cohort in Cohort.values},
            time_zone=data["time_zone"],
            phase=data["phase"],
            audit_share=float(data["audit_percent"]) / 100,
        )

    def label_names(self) -> list[str]:
        return [line for line in self.cleaned_data.get("labels", "").splitlines() if line.strip()]


def settings_of(project: Project) -> dict[str, Any]:
    """The form's initial values for a project."""
    return {
        "name": project.name,
        "question": project.question,
        "task_type": project.task_type,
        "time_zone": project.time_zone,
        "phase": project.phase,
        "audit_percent": f"{100 * audit_share(project):g}",
        "seen": project_as_seen(project),
    }


class FieldForm(forms.Form):
    name = forms.CharField(max_length=60, required=False, widget=forms.TextInput(attrs={"spellcheck": "false"}))
    title = forms.CharField(label="Shown as", max_length=120, required=False)
    kind = forms.ChoiceField(choices=list(FIELD_KINDS.items()), initial="text")
    required = forms.BooleanField(label="Must be there", required=False, initial=True)


SPARE_ROWS = 3
FieldFormSet = forms.formset_factory(FieldForm, extra=SPARE_ROWS, max_num=40 + SPARE_ROWS)


def fields_of(project: Project) -> list[dict[str, Any]]:
    """The project's payload fields as initial rows."""
    return [
        {"name": field["name"], "title": field.get("title", ""), "kind": field.get("kind", "text"), "required": field.get("required", True)}
        for field in (project.payload_schema or {}).get("fields", [])
    ]  # fmt: skip


def typed_fields(rows: forms.BaseFormSet[FieldForm]) -> list[dict[str, Any]]:
    """The rows that were given a name."""
    return [row.cleaned_data for row in rows.forms if row.cleaned_data.get("name", "").strip()]
