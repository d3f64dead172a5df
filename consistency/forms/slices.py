"""The form of a slice: a name, and what makes an item belong."""

from __future__ import annotations

from typing import Any

from django import forms

from ..queries.slices import SliceFilter

VALUE_ROWS = 3
RANGE_ROWS = 2
LOWER = [("above", ">"), ("at_least", "≥")]
UPPER = [("at_most", "≤"), ("below", "<")]


class SliceForm(forms.Form):
    """`fields` are the metadata fields that the project's items have."""

    name = forms.CharField(label="Name", max_length=80)
    tags = forms.CharField(
        label="With these tags",
        required=False,
        max_length=400,
        help_text="Separated by commas; an item has all of them.",
    )

    def __init__(self, *args: Any, fields: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [("", "—"), *((name, name) for name in fields if "__" not in name)]
        for number in range(1, VALUE_ROWS + 1):
            self.fields[f"field_{number}"] = forms.ChoiceField(label="Metadata field", required=False, choices=names)
            self.fields[f"value_{number}"] = forms.CharField(label="is", required=False, max_length=200)
        for number in range(1, RANGE_ROWS + 1):
            self.fields[f"range_{number}"] = forms.ChoiceField(label="Numeric field", required=False, choices=names)
            self.fields[f"low_side_{number}"] = forms.ChoiceField(label="from", required=False, choices=LOWER)
            self.fields[f"low_{number}"] = forms.FloatField(label="lower bound", required=False)
            self.fields[f"high_side_{number}"] = forms.ChoiceField(label="to", required=False, choices=UPPER)
            self.fields[f"high_{number}"] = forms.FloatField(label="upper bound", required=False)

    def value_rows(self) -> list[tuple[forms.BoundField, ...]]:
        return [(self[f"field_{n}"], self[f"value_{n}"]) for n in range(1, VALUE_ROWS + 1)]

    def range_rows(self) -> list[tuple[forms.BoundField, ...]]:
        parts = ("range", "low_side", "low", "high_side", "high")
        return [tuple(self[f"{part}_{n}"] for part in parts) for n in range(1, RANGE_ROWS + 1)]

    def given(self) -> SliceFilter:
        """The filter, once the form is valid."""
        data = self.cleaned_data
        metadata = {data[f"field_{n}"]: data[f"value_{n}"] for n in range(1, VALUE_ROWS + 1) if data[f"field_{n}"]}
        ranges: dict[str, dict[str, float]] = {}
        for n in range(1, RANGE_ROWS + 1):
            if not data[f"range_{n}"]:
                continue
            bounds = ranges.setdefault(data[f"range_{n}"], {})
            if data[f"low_{n}"] is not None:
                bounds[data[f"low_side_{n}"] or "at_least"] = data[f"low_{n}"]
            if data[f"high_{n}"] is not None:
                bounds[data[f"high_side_{n}"] or "at_most"] = data[f"high_{n}"]
        tags = tuple(tag for part in data["tags"].split(",") if (tag := part.strip()))
        return SliceFilter(tags, metadata, ranges)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for n in range(1, RANGE_ROWS + 1):
            bounded = data.get(f"low_{n}") is not None or data.get(f"high_{n}") is not None
            if bounded and not data.get(f"range_{n}"):
                self.add_error(f"range_{n}", "Choose the field that these bounds are of.")
            elif data.get(f"range_{n}") and not bounded and not self.errors:
                self.add_error(f"low_{n}", "Give a lower or an upper bound.")
        for n in range(1, VALUE_ROWS + 1):
            if data.get(f"value_{n}") and not data.get(f"field_{n}"):
                self.add_error(f"field_{n}", "Choose the field that has this value.")
        return data


def initial_of(name: str, given: SliceFilter) -> dict[str, Any]:
    """What the form starts with for a slice that is there."""
    start: dict[str, Any] = {"name": name, "tags": ", ".join(given.tags)}
    for n, (field, value) in enumerate((given.metadata or {}).items(), start=1):
        start |= {f"field_{n}": field, f"value_{n}": value}
    for n, (field, bounds) in enumerate((given.ranges or {}).items(), start=1):
        start[f"range_{n}"] = field
        for sides, side_name, bound in ((LOWER, "low_side", "low"), (UPPER, "high_side", "high")):
            for side, _ in sides:
                if side in bounds:
                    start |= {f"{side_name}_{n}": side, f"{bound}_{n}": bounds[side]}
    return start
