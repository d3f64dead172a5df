"""The one way an act says no."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An act refused, with a stable code, a sentence for people, and data for programs.

    Views answer it with the status of its kind: 404 unseen, 403 right, 409 state, 422 value, 429 rate.
    """

    status = 409

    def __init__(self, code: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def as_json(self) -> dict[str, Any]:
        """The error form of every JSON answer: code, message, data."""
        return {"code": self.code, "message": self.message, "data": self.data}


class NotSeen(Refusal):
    """The thing does not exist for this person."""

    status = 404


class NotAllowed(Refusal):
    """The person belongs here, and this right is not theirs."""

    status = 403


class BadValue(Refusal):
    """A value is not what it should be; `data` names the field or row."""

    status = 422


class TooMany(Refusal):
    """Too many requests; `data['retry_after']` in seconds."""

    status = 429
