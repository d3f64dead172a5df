"""How often a token may call: so many requests in each minute, counted in the cache that all processes share."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

WINDOW = 60


class PerCaller(BaseThrottle):
    """A fixed window of a minute per token; people in a browser session have one of their own."""

    def __init__(self) -> None:
        self._until = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        token: Any = request.auth
        name = f"token:{token.uuid}" if token is not None else f"user:{request.user.pk or 'nobody'}"
        now = time.time()
        window = int(now // WINDOW)
        self._until = (window + 1) * WINDOW
        key = f"rate:{name}:{window}"
        if cache.add(key, 1, timeout=2 * WINDOW):
            return True
        try:
            count = cache.incr(key)
        except ValueError:
            return True  # the counter ended this moment
        return count <= settings.API_RATE

    def wait(self) -> float:
        return max(1.0, self._until - time.time())
