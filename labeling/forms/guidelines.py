"""Forms of the definition's editor and of the questions' inbox."""

from __future__ import annotations

from typing import Any

from django import forms

from ..guidelines.fields import BODY_LIMIT, TEXT_LIMIT, LabelFields
from ..models import GuidelineVersion, LabelDefinition, Project
from ..queries.definitions import shown_fields
from ..questions import ANSWER_LIMIT
from ..vocabulary import COLOUR_TOKENS, Operator, Polarity
from ..wording import plain_number

POLARITIES = [
    (Polarity.POSITIVE, "Example: this is it"),
    (Polarity.NEGATIVE, "Counter-example: this is not"),
    (Polarity.BORDERLINE, "Borderline example"),
]


class DraftForm(forms.Form):
    body = forms.CharField(
        label="Instructions", required=False, strip=False, max_length=BODY_LIMIT,
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "true"}),
        help_text="What holds for all labels. Markdown: # heading, **bold**, - list, [text](address).",
    )  # fmt: skip
    change_note = forms.CharField(
        label="What changes and why", required=False, max_length=TEXT_LIMIT, widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Raters read it once, before they go on under the new version.",
    )  # fmt: skip
    attribute = forms.CharField(
        label="What raters judge", required=False, max_length=80,
        help_text="In a few words, such as “marks on the screen”. Reports name it.",
    )  # fmt: skip
    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    @staticmethod
    def of(draft: GuidelineVersion, seen: str) -> dict[str, Any]:
        return {
            "body": draft.body,
            "change_note": draft.change_note,
            "attribute": draft.task_settings.get("attribute", ""),
            "seen": seen,
        }


class LabelForm(forms.Form):
    name = forms.CharField(max_length=80)
    hotkey = forms.CharField(
        label="Key", required=False, max_length=1, widget=forms.TextInput(attrs={"autocapitalize": "none"})
    )
    definition = forms.CharField(required=False, max_length=TEXT_LIMIT, widget=forms.Textarea(attrs={"rows": 3}))
    threshold_attribute = forms.CharField(label="attribute", required=False, max_length=80)
    threshold_operator = forms.ChoiceField(
        label="is", required=False, choices=[("", "–"), *((it.value, it.label) for it in Operator)]
    )
    threshold_value = forms.CharField(
        label="value", required=False, max_length=40, widget=forms.TextInput(attrs={"inputmode": "decimal"})
    )
    threshold_unit = forms.CharField(label="unit", required=False, max_length=20)
    include = forms.CharField(
        label="Counts", required=False, max_length=TEXT_LIMIT, widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One point a line.",
    )  # fmt: skip
    exclude = forms.CharField(
        label="Does not count", required=False, max_length=TEXT_LIMIT, widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One point a line.",
    )  # fmt: skip
    key = forms.CharField(
        label="Stored as", required=False, max_length=60, help_text="What answers and exports hold. Made from the name."
    )
    colour_token = forms.ChoiceField(
        label="Colour", required=False,
        choices=[("", "next free one"), *((token, f"colour {token.removeprefix('label-')}") for token in COLOUR_TOKENS)],
    )  # fmt: skip
    is_borderline = forms.BooleanField(label="This is the borderline label: b gives it", required=False)
    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    @staticmethod
    def of(label: LabelDefinition, seen: str) -> dict[str, Any]:
        values: dict[str, Any] = {name: getattr(label, name) for name in LabelFields.__dataclass_fields__}
        if label.threshold_value is not None:
            values["threshold_value"] = plain_number(label.threshold_value)
        return {**values, "seen": seen}

    def typed(self) -> LabelFields:
        """What was typed; rules are the act's."""
        return LabelFields(**{name: self.cleaned_data[name] for name in LabelFields.__dataclass_fields__})

    @property
    def rule_fields(self) -> list[forms.BoundField]:
        return [self[f"threshold_{name}"] for name in ("attribute", "operator", "value", "unit")]


class ExampleForm(forms.Form):
    """An example of own words: a field for each text or number of the payload that raters see."""

    polarity = forms.ChoiceField(label="Kind", choices=POLARITIES)
    note = forms.CharField(
        label="What it shows", required=False, max_length=300, help_text="A few words, such as “0.36 mm”."
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        declared = shown_fields(project) or [{"name": "text", "kind": "text", "title": "Text"}]
        self.payload_names = [field["name"] for field in declared if field.get("kind") != "image"]
        for field in declared:
            if field.get("kind") == "image":
                continue
            title, name = field.get("title") or field["name"], f"payload_{field['name']}"
            if field.get("kind") == "number":
                self.fields[name] = forms.FloatField(label=title, required=False)
            else:
                self.fields[name] = forms.CharField(
                    label=title, required=False, max_length=TEXT_LIMIT, widget=forms.Textarea(attrs={"rows": 2})
                )
        self.order_fields([f"payload_{name}" for name in self.payload_names])

    def payload(self) -> dict[str, Any]:
        return {name: self.cleaned_data[f"payload_{name}"] for name in self.payload_names}


class ItemExampleForm(forms.Form):
    """An item of the project as an example."""

    item = forms.UUIDField()
    polarity = forms.ChoiceField(choices=POLARITIES)
    note = forms.CharField(required=False, max_length=300)


class RemoveLabelForm(forms.Form):
    merge_into = forms.ChoiceField(label="Earlier answers with it", required=False)

    def __init__(self, *args: Any, others: list[LabelDefinition], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "stay apart"), *((label.key, f"read as “{label.name}”") for label in others)]
        self.fields["merge_into"].choices = choices  # type: ignore[attr-defined]


class AnswerForm(forms.Form):
    text = forms.CharField(
        label="Your answer", max_length=ANSWER_LIMIT, widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Say what the definition means here. It goes to the asker alone and never says how others labeled.",
    )  # fmt: skip
