"""Which role gets which answer from which address. Rooms add their rows in `tests/url_rows/<room>.py` as `ROWS`."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.worlds import World

# Everyone who may come: nobody in particular, one of each role, and otto, who belongs elsewhere.
ROLES = ("anonymous", "olga", "sam", "mel", "gene", "otto")

NOTHING: Callable[[World], dict[str, Any]] = lambda world: {}  # noqa: E731


def slug(world: World) -> dict[str, Any]:
    return {"slug": world.project.slug}


@dataclass(frozen=True)
class Row:
    """One address, one method, and the status each role gets.

    `kwargs` and `data` are made in the row's own world, so they may set the scene: open a batch, write a question.
    `expect` maps role → status; `json` rows send and ask for JSON (an anonymous caller gets 401 there). A row that
    changes something leaves nothing behind for the next role. `csrf=False` only for addresses that take no session.
    """

    name: str
    expect: Mapping[str, int]
    kwargs: Callable[[World], dict[str, Any]] = NOTHING
    method: str = "get"
    data: Callable[[World], dict[str, Any]] = NOTHING
    query: str = ""
    json: bool = False
    csrf: bool = True
    # Pages that answer with a file or JSON are no pages for the accessibility test.
    page: bool = True
    namespace: str = field(default="labeling")

    @property
    def full_name(self) -> str:
        return f"{self.namespace}:{self.name}" if self.namespace else self.name

    def __str__(self) -> str:
        return f"{self.full_name}-{self.method}"


def everyone(status: int, **others: int) -> dict[str, int]:
    """The same status for every role but those named."""
    return {role: others.get(role, status) for role in ROLES}


def by_role(**statuses: int) -> dict[str, int]:
    """Statuses of the insiders; nobody in particular is asked to log in (302) and otto finds nothing (404)."""
    return {"anonymous": 302, "otto": 404, **statuses}


def owner_only(status: int = 200) -> dict[str, int]:
    return by_role(olga=status, sam=403, mel=403, gene=403)


def setup_only(status: int = 200) -> dict[str, int]:
    """Owner, SME and engineer, not raters."""
    return by_role(olga=status, sam=status, mel=status, gene=403)


@cache
def table() -> tuple[Row, ...]:
    """Every row of every room."""
    import tests.url_rows as rooms

    rows: list[Row] = []
    for module in pkgutil.iter_modules(rooms.__path__):
        rows += importlib.import_module(f"{rooms.__name__}.{module.name}").ROWS
    return tuple(rows)


def addresses(resolver: URLResolver | None = None, namespace: str = "") -> Iterator[str]:
    """Full name of every address the resolver knows; an unnamed one yields its pattern."""
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from addresses(entry, inner)
        elif isinstance(entry, URLPattern):
            yield f"{namespace}{entry.name}" if entry.name else f"unnamed {entry.pattern}"


def without_row() -> list[str]:
    """Addresses that no row speaks of."""
    known = {row.full_name for row in table()}
    return sorted({name for name in addresses() if name not in known})


def ask(world: World, row: Row, role: str, url: str, data: dict[str, Any], *, csrf_checks: bool = False) -> Any:
    """The answer that the role gets."""
    client = Client(raise_request_exception=False, enforce_csrf_checks=csrf_checks)
    if role != "anonymous":
        client.force_login(world.people[role])
    extra: dict[str, Any] = {"headers": {"Accept": "application/json"}} if row.json else {}
    if row.method == "get":
        return client.get(url + row.query, data, **extra)
    if row.json:
        return client.generic(row.method.upper(), url + row.query, json.dumps(data), "application/json", **extra)
    if row.method == "post":
        return client.post(url + row.query, data, **extra)
    return client.generic(row.method.upper(), url + row.query, **extra)


def url_of(row: Row, world: World) -> str:
    return reverse(row.full_name, kwargs=row.kwargs(world))
