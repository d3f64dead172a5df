"""What a program's call must be before a view sees it: a POST of a small JSON object by a person who is logged in."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError

View = Callable[..., HttpResponse]
JSON_LIMIT = 64 * 1024


def refuse_json(status: int, code: str, message: str, **data: Any) -> JsonResponse:
    """The one error form for programs."""
    return JsonResponse({"code": code, "message": message, "data": data}, status=status)


def json_act(view: View) -> View:
    """For the desk's own calls: POST with a JSON object of at most 64 KiB, given to the view as `body`.

    Answers 405, 401 `log_in`, 413, 415 and 400 itself. The page names its person in X-Concord-User: when someone else
    has logged in meanwhile in the same browser, their session must not send the first person's answers.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "POST":
            response = refuse_json(405, "method", "Use POST here.")
            response["Allow"] = "POST"
            return response
        if not request.user.is_authenticated:
            return refuse_json(401, "log_in", "You are logged out. Log in again; nothing is lost.")
        named = request.headers.get("X-Concord-User", "")
        if named and named != str(request.user.pk):
            return refuse_json(401, "log_in", "Someone else is logged in here now. Log in as yourself again.")
        if request.content_type != "application/json":
            return refuse_json(415, "not_json", "Send the body as application/json.")
        try:
            raw = request.body
        except RequestDataTooBig:
            raw = b" " * (JSON_LIMIT + 1)
        except UnreadablePostError:
            return refuse_json(400, "broken_off", "The request broke off on its way. Send it again.")
        if len(raw) > JSON_LIMIT:
            return refuse_json(413, "too_large", f"A request may have {JSON_LIMIT // 1024} KiB at most.")
        try:
            body = read_json(raw)
        except ValueError as error:
            return refuse_json(400, "bad_json", str(error))
        answer = view(request, *args, body=body, **kwargs)
        answer["Cache-Control"] = "no-store"
        return answer

    return wrapped


def read_json(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw` (an empty one when there is nothing); ValueError with one clear sentence otherwise.

    >>> read_json(b'{"value": "defect"}')
    {'value': 'defect'}
    """
    try:
        body = json.loads(raw.decode() or "{}", parse_constant=_no_constant)
        # A lone surrogate passes the parser and breaks in the database driver.
        json.dumps(body, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("The body is nested too deeply.") from None
    except UnicodeError:
        raise ValueError("The body is not valid UTF-8 text.") from None
    except ValueError:
        raise ValueError("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise ValueError("The body must be a JSON object.")
    return body


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
