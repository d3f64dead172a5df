"""A web process that dies by `kill -9` at a point the request names, and guards that can be switched off."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse

# before: the request is here, nothing is done. inside: written, not committed. after: committed, not answered.
POINTS = ("before", "inside", "after")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at_the_first_event(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
    """Events are written last, behind the place and the answer, in one transaction with them."""
    if sql.startswith('INSERT INTO "labeling_event"'):
        die()
    return execute(sql, *rest)


class Deadly:
    """Ends the process as the header X-Die says. Outermost, so `after` lies behind the commit and before the reply."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        sabotage(os.environ.get("FAULT_SABOTAGE", ""))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        point = request.headers.get("X-Die", "")
        if point == "before":
            die()
        if point == "inside":
            with connection.execute_wrapper(_die_at_the_first_event):
                return self.get_response(request)
        response = self.get_response(request)
        if point == "after":
            die()
        return response


def sabotage(name: str) -> None:
    """Switch a guard off, for the negative controls."""
    from labeling import submission

    if name == "no_transaction":

        @contextlib.contextmanager
        def nothing(*args: Any, **kwargs: Any) -> Iterator[None]:
            yield

        loose = type("Loose", (), {"atomic": staticmethod(nothing), "on_commit": transaction.on_commit})
        submission.transaction = loose  # type: ignore[assignment]
        lock = submission.lock_member

        def unlocked(by: Any, batch: Any) -> Any:
            with transaction.atomic():
                return lock(by, batch)

        submission.lock_member = unlocked
    elif name == "no_replay":
        submit = submission._submit

        def once(member: Any, batch: Any, place: Any, *rest: Any) -> Any:
            if place.status == "submitted":
                raise submission.lease_lost()
            return submit(member, batch, place, *rest)

        submission._submit = once
    elif name:
        raise SystemExit(f"unknown sabotage {name}")
