"""The shared cache on Redis, which may go away: then each process keeps its own until Redis is back.

What stands in the cache is counted attempts and numbers that can be counted again. Losing it must cost nobody their
log-in or their page, so an error of Redis is never an error of a request.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger("concord.cache")

# A server that drops packets costs one request this long, then nobody asks it for the pause.
TIMEOUT_SECONDS = 0.5
PAUSE_SECONDS = 5.0


class SteadyRedisCache(RedisCache):
    """Django's Redis cache; while Redis does not answer, a cache in this process takes its place.

    Log-in attempts are then counted per process instead of together: the pause comes a little later, and still comes.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        options = {"socket_connect_timeout": TIMEOUT_SECONDS, "socket_timeout": TIMEOUT_SECONDS}
        params = {**params, "OPTIONS": {**options, **params.get("OPTIONS", {})}}
        super().__init__(server, params)
        self.local = LocMemCache(f"beside:{server}", {k: v for k, v in params.items() if k != "OPTIONS"})
        self._lock = threading.Lock()

    # When Redis may be asked again: shared by the instances that Django makes per thread.
    _ask_again: float = 0.0

    @property
    def away(self) -> bool:
        """Whether Redis did not answer lately, so that this process keeps its own values."""
        return time.monotonic() < SteadyRedisCache._ask_again

    def _try(self, ask: Callable[[], Any], instead: Callable[[], Any]) -> Any:
        if not self.away:
            try:
                return ask()
            except (RedisError, OSError) as error:
                with self._lock:
                    first = not self.away
                    SteadyRedisCache._ask_again = time.monotonic() + PAUSE_SECONDS
                if first:
                    logger.warning(
                        "redis does not answer; this process keeps its own cache", extra={"error": type(error).__name__}
                    )
        return instead()


def _steady(name: str) -> Callable[..., Any]:
    """The method asked of Redis, and of this process's own cache while Redis is away."""
    ask = getattr(RedisCache, name)

    def method(self: SteadyRedisCache, *args: Any, **kwargs: Any) -> Any:
        return self._try(lambda: ask(self, *args, **kwargs), lambda: getattr(self.local, name)(*args, **kwargs))

    method.__name__ = name
    return method


for _name in (
    "add",
    "get",
    "set",
    "touch",
    "delete",
    "get_many",
    "set_many",
    "delete_many",
    "has_key",
    "incr",
    "clear",
):
    setattr(SteadyRedisCache, _name, _steady(_name))
