"""How much a request may send, decided before any of it is read."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from .errors import answer

# What the other fields of an upload's form take, generously.
FORM_BYTES = 1 << 20
# What Django itself would read and store before a view is asked.
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


class BodyLimitMiddleware:
    """Refuse a body that is too large by the length it announces: 413, and nothing of it is written to disk.

    Django stores uploads in full before a view, or even the CSRF check, sees them. Who is not logged in has nothing to
    upload, so their limit is that of any form. Goes behind the authentication middleware. Programs' addresses are not
    asked here: REST knows its caller first, and then reads a body piece by piece up to its own limit.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        announced = request.headers.get("Content-Length", "")
        length = int(announced) if announced.isascii() and announced.isdigit() else 0
        small = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + FORM_BYTES
        if request.path.startswith("/api/v1/") and request.content_type not in FORMS:
            return self.get_response(request)
        if length > small and length > (limit := self._limit(request, small)):
            return answer(
                request, 413, "too_large",
                f"At most {limit >> 20:,} MB can be sent at once. Nothing was kept. Split the file, or import it on the server with "
                "`manage.py import_items`.",
            )  # fmt: skip
        return self.get_response(request)

    @staticmethod
    def _limit(request: HttpRequest, small: int) -> int:
        uploads = request.content_type == "multipart/form-data" and request.user.is_authenticated
        return settings.UPLOAD_MAX_BYTES + FORM_BYTES if uploads else small
