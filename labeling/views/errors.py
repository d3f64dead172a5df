"""Error pages, and the one place where a Refusal becomes an answer."""

from __future__ import annotations

import sys
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from ..db.full import SENTENCE, disk_is_full
from ..refusals import Refusal

TITLES = {
    400: "That request could not be read",
    403: "Not part of your role",
    404: "There is no such page for you",
    409: "That is not possible right now",
    413: "That file is too large",
    422: "Please check what you entered",
    429: "A short pause, please",
    507: "No room is left",
    500: "Something broke on our side",
}


def wants_json(request: HttpRequest) -> bool:
    """Whether the caller is a program: it sent JSON, or accepts JSON and no HTML, or asks at an address of programs."""
    if request.path.startswith("/api/") and not request.path.startswith("/api/v1/docs"):
        return True
    accepted = request.headers.get("Accept", "")
    return request.content_type == "application/json" or (
        "application/json" in accepted and "text/html" not in accepted
    )


def answer(request: HttpRequest, status: int, code: str, message: str, data: dict | None = None) -> HttpResponse:
    """The error as JSON for programs and as a page for people; kept by no browser, as it may name things of a project."""
    response: HttpResponse
    if wants_json(request):
        response = JsonResponse({"code": code, "message": message, "data": data or {}}, status=status)
    else:
        context = {"title": TITLES.get(status, TITLES[400]), "message": message, "status": status}
        response = render(request, "error.html", context, status=status)
    add_never_cache_headers(response)
    return response


class RefusalMiddleware:
    """Turn a Refusal that a view let through into its answer. Forms that can show it beside the field catch it themselves."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, Refusal):
            return None
        return answer(request, exception.status, exception.code, exception.message, exception.data)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return answer(
        request,
        403,
        "csrf",
        "This page was open too long or in another session. Reload it and try again; nothing was changed.",
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, 400, "bad_request", "The request could not be read.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, 403, "no_right", "This is not part of your role in the project.")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(
        request, 404, "not_found", "The address may be mistyped, or the page belongs to a project you are not in."
    )


def server_error(request: HttpRequest) -> HttpResponse:
    if disk_is_full(sys.exc_info()[1]):
        return answer(request, 507, "disk_full", SENTENCE)
    return answer(
        request, 500, "broken", "It has been written to the log. What you had saved is kept; please try again."
    )
