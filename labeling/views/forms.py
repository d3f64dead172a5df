"""Between forms and acts."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, QueryDict

from ..refusals import Refusal


def show_refusal(form: forms.BaseForm, refusal: Refusal) -> None:
    """Show an act's refusal beside the field it names, or above the form."""
    field = refusal.data.get("field")
    form.add_error(field if field in form.fields else None, refusal.message)


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form binds to: the body of a POST, an empty one too; None for other methods."""
    return request.POST if request.method == "POST" else None
