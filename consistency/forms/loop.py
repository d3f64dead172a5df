"""Forms of the loop: what a relabel batch holds, and when to stop."""

from __future__ import annotations

from typing import Any

from django import forms

from ..queries.relabels import Offer
from ..relabeling import Sizes, Suggestion

ALL, SOME = "all", "some"


class RelabelForm(forms.Form):
    scope = forms.ChoiceField(
        label="Items of the earlier batch", widget=forms.RadioSelect,
        choices=[(ALL, "All of them"), (SOME, "Some of them, as many as below")],
    )  # fmt: skip
    normal = forms.IntegerField(label="Items drawn at random", min_value=0, required=False)
    affected = forms.IntegerField(label="Items people differed on (affected)", min_value=0, required=False)
    control = forms.IntegerField(label="Items nobody disputed (control)", min_value=0, required=False)
    fresh = forms.IntegerField(label="Items never labeled (fresh)", min_value=0, required=False)
    name = forms.CharField(label="Name of the batch", max_length=120)
    seed = forms.IntegerField(
        label="Seed", min_value=0, max_value=2**31 - 1, required=False,
        help_text="Draws items and order; empty for a new one.",
    )  # fmt: skip
    anyone = forms.BooleanField(
        label="Let anyone of the cohorts relabel",
        required=False,
        help_text="The comparison then cannot separate the definition from the people.",
    )

    def __init__(self, *args: Any, offer: Offer, suggestion: Suggestion, name: str, **kwargs: Any) -> None:
        sizes = suggestion.sizes
        kwargs["initial"] = {
            "scope": ALL if sizes.whole else SOME,
            "normal": sizes.normal,
            "affected": sizes.affected,
            "control": sizes.control,
            "fresh": sizes.fresh,
            "name": name,
        }
        super().__init__(*args, **kwargs)
        for field, most in (
            ("normal", offer.items), ("affected", len(offer.affected)), ("control", len(offer.untouched)),
            ("fresh", offer.fresh),
        ):  # fmt: skip
            self.fields[field].widget.attrs["max"] = most
            self.fields[field].help_text = f"of {most:,}"
        if offer.raters:
            del self.fields["anyone"]

    def same_raters(self) -> bool:
        return not self.cleaned_data.get("anyone", False)

    def sizes(self) -> Sizes:
        data = self.cleaned_data
        number: dict[str, Any] = {name: data.get(name) or 0 for name in ("normal", "affected", "control", "fresh")}
        if data["scope"] == ALL:
            return Sizes(whole=True, fresh=number["fresh"])
        return Sizes(**number)


class StopRuleForm(forms.Form):
    delta_min = forms.FloatField(
        label="Smallest gain in α worth a revision", min_value=0.005, max_value=0.5,
        widget=forms.NumberInput(attrs={"step": "0.005"}),
    )  # fmt: skip
    agreement_target = forms.FloatField(
        label="Target for α", min_value=0, max_value=0.999, required=False,
        widget=forms.NumberInput(attrs={"step": "0.01"}),
    )  # fmt: skip
    planned_looks = forms.IntegerField(label="Planned looks at one batch", min_value=1, max_value=20)
    most_rounds = forms.IntegerField(label="Revisions at most", min_value=1, max_value=50)
