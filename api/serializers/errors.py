"""The one error form."""

from __future__ import annotations

from .fields import Object, Output, Text


class Error(Output):
    """What was refused, and why: a stable code for programs, a sentence for people, data beside it."""

    code = Text()
    message = Text()
    data = Object()
