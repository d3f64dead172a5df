"""Forms about people: logging in, accounts, invites and members."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.password_validation import password_validators_help_texts, validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError

from ..models import User
from ..vocabulary import Cohort, Role

USERNAME = {"autocapitalize": "none", "autocomplete": "username", "spellcheck": "false"}
NO_COHORT = [("", "No cohort: does not label")]


class LogInForm(forms.Form):
    username = forms.CharField(
        label="Name", max_length=150, widget=forms.TextInput(attrs={**USERNAME, "autofocus": True})
    )
    password = forms.CharField(
        label="Password", strip=False, max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )  # fmt: skip


class NewPasswordForm(forms.Form):
    """A password, twice. `user` helps the validators refuse a password that is the person's name."""

    password = forms.CharField(
        label="New password", strip=False, max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=" ".join(password_validators_help_texts()),
    )  # fmt: skip
    again = forms.CharField(
        label="The same again", strip=False, max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )  # fmt: skip

    def __init__(self, *args: Any, user: User | None = None, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, **kwargs)

    def person(self) -> User:
        """Who the password is for, as far as the form knows."""
        return self.user or User(username=self.data.get("username", ""), display_name=self.data.get("display_name", ""))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        first, again = data.get("password"), data.get("again")
        if first and again and first != again:
            self.add_error("again", "The two passwords differ.")
        elif first:
            try:
                validate_password(first, self.person())
            except ValidationError as error:
                self.add_error("password", error)
        return data


class ChangePasswordForm(NewPasswordForm):
    current = forms.CharField(
        label="Current password", strip=False, max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )  # fmt: skip
    field_order = ["current", "password", "again"]


class NewAccountForm(NewPasswordForm):
    username = forms.CharField(
        label="Name for logging in", max_length=150, validators=[UnicodeUsernameValidator()],
        widget=forms.TextInput(attrs={**USERNAME, "autofocus": True}), help_text="Letters, digits and @ . + - _",
    )  # fmt: skip
    display_name = forms.CharField(
        label="Your name", max_length=120, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"}),
        help_text="Shown to the project’s owner and to you. Other raters never see it.",
    )  # fmt: skip
    field_order = ["username", "display_name", "password", "again"]


class AccountForm(forms.Form):
    display_name = forms.CharField(
        label="Your name", max_length=120, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"}),
        help_text="Shown to the project’s owner and to you.",
    )  # fmt: skip
    single_key_shortcuts = forms.BooleanField(label="Answer with single keys at the desk", required=False)


class InviteForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.RATER)
    cohort = forms.ChoiceField(
        label="Cohort", choices=[*NO_COHORT, *Cohort.choices], required=False, initial=Cohort.GENERALIST,
        help_text="Which kind of rater joins by this link. Who has a cohort may label.",
    )  # fmt: skip
    uses = forms.IntegerField(
        label="How many people may join", min_value=1, max_value=500, initial=1,
        help_text="The link stops working after that many.",
    )  # fmt: skip
    days = forms.IntegerField(label="Days it stays open", min_value=1, max_value=90, initial=14)


class MemberForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=Role.choices)
    cohort = forms.ChoiceField(
        label="Cohort", choices=[*NO_COHORT, *Cohort.choices], required=False,
        help_text="Places in hand go back to the queue when this changes. Labels already given keep the cohort they were given in.",
    )  # fmt: skip
    daily_cap = forms.IntegerField(
        label="Labels a day at most", required=False, min_value=1, max_value=100_000,
        help_text="Counted from midnight in the project’s time zone.",
    )  # fmt: skip
    cost_per_label = forms.DecimalField(
        label="Cost per label", required=False, min_value=0, max_digits=10, decimal_places=4,
        help_text="In the currency you plan with; used for the cost figures only.",
    )  # fmt: skip
    active = forms.BooleanField(
        label="Active: may enter the project", required=False,
        help_text="Switched off, the person no longer sees the project. Their labels stay.",
    )  # fmt: skip
    seen = forms.CharField(widget=forms.HiddenInput, required=False)
