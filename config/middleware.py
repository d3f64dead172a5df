"""Two small middlewares: a request's id and log line, and the content policy."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from labeling import metrics

from .logs import REQUEST_ID

logger = logging.getLogger("concord.request")
Handler = Callable[[HttpRequest], HttpResponse]

POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class RequestLogMiddleware:
    """Give each request an id (returned as X-Request-ID, and on every log line written meanwhile), count it, and write
    one log line for slow or failed ones."""

    SLOW_MILLISECONDS = 1000
    SANE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.request_id = self.id_for(request)  # type: ignore[attr-defined]
        token = REQUEST_ID.set(request.request_id)  # type: ignore[attr-defined]
        try:
            return self.answer(request)
        finally:
            REQUEST_ID.reset(token)

    def id_for(self, request: HttpRequest) -> str:
        """The id a trusted proxy gave, so that its log and ours tell of the same request; else one of our own."""
        given = request.headers.get("X-Request-ID", "") if settings.TRUST_PROXY else ""
        return given if self.SANE_ID.fullmatch(given) else secrets.token_hex(8)

    def answer(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = self.get_response(request)
        spent = time.perf_counter() - started
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        match = request.resolver_match
        metrics.requests().count(match.view_name if match else metrics.UNKNOWN, response.status_code, spent)
        if response.status_code >= 500 or spent * 1000 > self.SLOW_MILLISECONDS:
            logger.warning(
                "request",
                extra={
                    "method": request.method,
                    "path": request.path,
                    "status": response.status_code,
                    "milliseconds": round(spent * 1000, 1),
                },
            )
        return response


class ContentPolicyMiddleware:
    """Send the content policy; `request.csp_nonce` is made only when a template asks for it."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.csp_nonce = SimpleLazyObject(lambda: secrets.token_urlsafe(16))  # type: ignore[attr-defined]
        response = self.get_response(request)
        # setdefault: a page with a stated policy of its own (the API's documentation) keeps it.
        response.headers.setdefault("Content-Security-Policy", POLICY.format(nonce=request.csp_nonce))  # type: ignore[attr-defined]
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        return response
