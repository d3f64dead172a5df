"""The form of a new token."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms

from ..vocabulary import Scope

DAYS = [("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("never", "no end")]


class TokenForm(forms.Form):
    """A new token; `offered` are the scopes its member may give it."""

    name = forms.CharField(
        label="Name", max_length=80, help_text="What it is for, or where it lives: “nightly export”, “Mel’s notebook”.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )  # fmt: skip
    scopes = forms.MultipleChoiceField(
        label="What it may do", widget=forms.CheckboxSelectMultiple,
        help_text="Never more than you may yourself, whatever is chosen here.",
    )  # fmt: skip
    expires = forms.ChoiceField(label="It ends after", choices=DAYS, initial="90")

    def __init__(self, *args: Any, offered: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = [(scope, Scope(scope).label) for scope in offered]  # type: ignore[attr-defined]

    def expires_at(self, at: datetime) -> datetime | None:
        """When the token ends; None for never."""
        days = self.cleaned_data["expires"]
        return at + timedelta(days=int(days)) if days != "never" else None
