"""For whoever runs the server: is the process alive, can it serve, and how is it doing."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from .. import metrics as figures
from .. import workers
from ..db import seals
from ..refusals import NotSeen

logger = logging.getLogger("concord.operations")


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Asks nothing else, so that a slow database does not get it restarted."""
    return HttpResponse("ok\n", content_type="text/plain")


# --- ready ----------------------------------------------------------------------------------------


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"not applied: {len(waiting)}" if waiting else ""


def _seals() -> str:
    missing = seals.missing()
    return f"missing: {len(missing)}" if missing else ""


def _cache() -> str:
    cache.set("readyz", "1", 10)
    return "" if cache.get("readyz") == "1" else "the cache does not keep values"


CHECKS: dict[str, Callable[[], str]] = {
    "database": _database,
    "migrations": _migrations,
    "seals": _seals,
    "cache": _cache,
}


def _redis() -> str:
    return "redis is away; this process keeps its own" if getattr(cache, "away", False) else ""


def _worker() -> str:
    if settings.TASKS == "inline" or workers.heard_of("worker"):
        return ""
    return "no worker was heard of for a minute; jobs wait"


def _beat() -> str:
    if settings.TASKS != "celery" or workers.heard_of("beat"):
        return ""
    return "beat was not heard of for a minute; what Redis lost is not knocked for again"


# Pages are served all the same, so a proxy must not take this process out of use.
WATCHED: tuple[tuple[str, Callable[[], str]], ...] = (("cache", _redis), ("worker", _worker), ("beat", _beat))


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when the database is reachable, migrated and sealed and the cache works; else 503 naming what is not.

    A missing Redis, worker or beat is named and makes the answer `degraded`, not unready: people go on labeling.
    `?strict` answers 503 for these too, for whoever is called when something is amiss.
    """
    problems: dict[str, str] = {}
    for name, check in CHECKS.items():
        try:
            problem = check()
        except Exception:
            # What exactly broke may name hosts or files: that is for the log.
            logger.exception("readyz: %s", name)
            problem = "not reachable"
        if problem:
            problems[name] = problem
        if name == "database" and problem:
            break
    checks = {name: problems.get(name, "ok") for name in CHECKS if name in problems or "database" not in problems}
    worries = {name: words for name, check in WATCHED if (words := check())}
    checks |= {name: words for name, words in worries.items() if checks.get(name, "ok") == "ok"}
    bad = bool(problems) or (bool(worries) and "strict" in request.GET)
    answer = {"ready": not problems, "degraded": bool(worries), "checks": checks}
    return JsonResponse(answer, status=503 if bad else 200)


# --- figures --------------------------------------------------------------------------------------


def _may_read_metrics(request: HttpRequest) -> bool:
    """With a token set: who shows it. Without: this machine only, and nobody for whom a proxy speaks."""
    if token := settings.METRICS_TOKEN:
        return constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {token}")
    through_proxy = settings.TRUST_PROXY or any(
        name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via")
    )
    return not through_proxy and request.META.get("REMOTE_ADDR", "") in ("127.0.0.1", "::1")


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures in Prometheus' text format. To others this address does not exist."""
    if not _may_read_metrics(request):
        raise NotSeen("not_found", "There is no such page.")
    return HttpResponse(figures.page(), content_type="text/plain; version=0.0.4; charset=utf-8")
