"""One error form for everything: {code, message, data}."""

from __future__ import annotations

import math
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from labeling.refusals import BadValue, Refusal, TooMany


class TooLarge(Refusal):
    """A body that is larger than may be sent."""

    status = 413


class BadRequest(Refusal):
    """A request that cannot be read at all."""

    status = 400


class Unsupported(Refusal):
    """A body of a kind that is not taken here."""

    status = 415


def answer_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None lets the error through: it is ours to mend, and answered 500."""
    refusal, headers = as_refusal(error, context)
    if refusal is None:
        return None
    if (wait := refusal.data.get("retry_after")) is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return Response(refusal.as_json(), status=refusal.status, headers=headers)


def _refusal(status: int, code: str, message: str, **data: Any) -> Refusal:
    refusal = Refusal(code, message, **data)
    refusal.status = status
    return refusal


def as_refusal(error: Exception, context: dict[str, Any]) -> tuple[Refusal | None, dict[str, str]]:
    """What went wrong as a refusal, with headers; (None, {}) for an error of ours."""
    headers: dict[str, str] = {}
    if isinstance(error, Refusal):
        return error, headers
    if isinstance(error, RequestDataTooBig):
        return TooLarge("too_large", "The body is larger than may be sent here."), headers
    if isinstance(error, Http404):
        return _refusal(404, "not_found", "There is nothing at this address."), headers
    if isinstance(error, PermissionDenied):
        return _refusal(403, "no_right", "This is not part of your role in the project."), headers
    if not isinstance(error, exceptions.APIException):
        return None, headers
    if isinstance(error, exceptions.ValidationError):
        return refuse_fields(error.detail), headers
    codes, words = error.get_codes(), str(error.detail)
    code = codes if isinstance(codes, str) else "error"
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        if header := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = header
        if isinstance(error, exceptions.NotAuthenticated):
            return _refusal(401, "log_in", "Send a token: “Authorization: Bearer …”."), headers
        return _refusal(401, code, words), headers
    if isinstance(error, exceptions.MethodNotAllowed):
        allowed = context["view"].allowed_methods
        return _refusal(405, "method", f"Use {' or '.join(allowed)} here.", allowed=allowed), headers
    if isinstance(error, exceptions.NotAcceptable):
        return _refusal(406, "not_acceptable", "Answers are JSON: send “Accept: application/json”."), headers
    if isinstance(error, exceptions.UnsupportedMediaType):
        return Unsupported("not_json", "Send the body as application/json."), headers
    if isinstance(error, exceptions.Throttled):
        wait = math.ceil(getattr(error, "wait", None) or 60)
        return TooMany("throttled", f"Too many requests in this minute. Go on in {wait} s.", retry_after=wait), headers
    if isinstance(error, exceptions.PermissionDenied):
        return _refusal(403, code if code != "permission_denied" else "no_right", words), headers
    return _refusal(error.status_code, code, words), headers


def refuse_fields(detail: Any) -> BadValue:
    """A serializer's complaints: the first one as the message, all of them by field in `data`."""
    fields = _flatten(detail)
    name, words = next(iter(fields.items()))
    message = f"{name}: {words[0]}" if name else words[0]
    return BadValue("bad_value", message, field=name, fields=fields)


def _flatten(detail: Any, path: str = "") -> dict[str, list[str]]:
    if isinstance(detail, dict):
        found: dict[str, list[str]] = {}
        for name, inner in detail.items():
            found |= _flatten(inner, path if name == "non_field_errors" else f"{path}.{name}" if path else str(name))
        return found
    if isinstance(detail, list):
        if detail and all(not isinstance(part, dict | list) for part in detail):
            return {path: [str(part) for part in detail]}
        found = {}
        for number, inner in enumerate(detail):
            if inner:
                found |= _flatten(inner, f"{path}[{number}]")
        return found or {path: ["is wrong"]}
    return {path: [str(detail)]}
