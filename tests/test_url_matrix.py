"""Role × every address × expected status. A new address without a row fails; so does a method nobody listed."""

from __future__ import annotations

import types
from collections import Counter
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.test import override_settings
from django.urls import path, reverse

from labeling import access
from labeling.models import Membership
from tests.url_table import ROLES, Row, addresses, ask, table, url_of, without_row
from tests.worlds import World

pytestmark = pytest.mark.django_db

NAMES = sorted({row.full_name for row in table()})


def problems(world: World, row: Row) -> list[str]:
    """What the row expects and does not get, one line per role. Each role acts on the same untouched world."""
    with transaction.atomic():
        url, data = url_of(row, world), row.data(world)
        lines = []
        for role in ROLES:
            with transaction.atomic():
                answer = ask(world, row, role, url, data)
                transaction.set_rollback(True)
            if answer.status_code != row.expect[role]:
                lines.append(f"{row} for {role}: {answer.status_code}, expected {row.expect[role]}")
            elif role == "anonymous" and answer.status_code == 302 and not answer["Location"].startswith(_log_in()):
                lines.append(f"{row} sends nobody in particular to {answer['Location']}")
        transaction.set_rollback(True)
    return lines


def _log_in() -> str:
    return reverse("labeling:log_in")


def unlisted_methods(world: World, name: str) -> list[str]:
    """Methods that an address takes from the owner though no row speaks of them."""
    rows = [row for row in table() if row.full_name == name]
    lines = []
    for method in ("get", "post", "put", "delete"):
        if any(row.method == method for row in rows):
            continue
        with transaction.atomic():
            row = Row(rows[0].name, {}, rows[0].kwargs, method, json=rows[0].json, namespace=rows[0].namespace)
            answer = ask(world, row, "olga", url_of(row, world), {})
            transaction.set_rollback(True)
        if answer.status_code != 405:
            lines.append(f"{name} answers {answer.status_code} to {method} and has no row for it")
    return lines


def accepted_without_token(world: World, row: Row) -> list[str]:
    """A change that goes through without a CSRF token."""
    with transaction.atomic():
        lines = []
        url, data = url_of(row, world), row.data(world)
        for role in ("anonymous", "olga"):
            answer = ask(world, row, role, url, data, csrf_checks=True)
            if answer.status_code != 403 or b"open too long" not in answer.content:
                lines.append(f"{row} for {role} without a token: {answer.status_code}")
        transaction.set_rollback(True)
    return lines


@pytest.mark.parametrize("row", table(), ids=str)
def test_each_role_gets_what_the_table_says(world: World, row: Row) -> None:
    assert set(row.expect) == set(ROLES)
    assert problems(world, row) == []


def test_every_address_has_a_row() -> None:
    assert without_row() == []


def test_every_row_has_an_address() -> None:
    assert {row.full_name for row in table()} - set(addresses()) == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_method_an_address_takes_has_a_row(world: World, name: str) -> None:
    assert unlisted_methods(world, name) == []


@pytest.mark.parametrize("row", [row for row in table() if row.method != "get" and row.csrf], ids=str)
def test_no_change_without_a_csrf_token(world: World, row: Row) -> None:
    assert accepted_without_token(world, row) == []


# --- negative controls: each guard removed, each test sees it ---------------------------------------


def test_a_new_address_without_a_row_is_found() -> None:
    from config import urls

    def secret(request: Any) -> HttpResponse:
        return HttpResponse("all labels")

    planted = types.ModuleType("planted")
    planted.urlpatterns = [*urls.urlpatterns, path("secret/", secret, name="secret"), path("s/", secret)]
    with override_settings(ROOT_URLCONF=planted):
        assert set(without_row()) >= {"secret", "unnamed s/"}


def test_the_matrix_fails_without_the_rights_table(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everyone inside may do everything: each row that refuses an insider must notice."""
    monkeypatch.setattr(access, "has_right", lambda membership, right: membership.active)
    refusing = [row for row in table() if 403 in row.expect.values() and row.name != "project_create"]
    assert len(refusing) > 5
    unnoticed = [str(row) for row in refusing if not problems(world, row)]
    assert unnoticed == []


def of_a_project(row: Row, world: World) -> bool:
    """Whether the address names its project. A row sets its scene to say so, and the next must not find it there."""
    with transaction.atomic():
        named = "slug" in row.kwargs(world)
        transaction.set_rollback(True)
    return named


def test_the_matrix_fails_when_strangers_are_let_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger is given the owner's seat: each row of a project's page must notice."""
    owner = world.member("olga")
    seat = access._seat

    def open_door(user: Any, membership: Membership | None, right: str) -> access.Seat:
        return seat(user, membership or owner, right)

    monkeypatch.setattr(access, "_seat", open_door)
    rows = [
        row for row in table() if row.expect["otto"] == 404 and row.expect["olga"] != 404 and of_a_project(row, world)
    ]
    assert len(rows) > 5
    unnoticed = [str(row) for row in rows if not problems(world, row)]
    assert unnoticed == []


def test_the_matrix_fails_without_csrf_checks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CsrfViewMiddleware, "process_view", lambda *args, **kwargs: None)
    rows = [row for row in table() if row.method != "get" and row.csrf]
    unnoticed = [str(row) for row in rows if not accepted_without_token(world, row)]
    assert unnoticed == []


def test_the_table_has_no_row_twice() -> None:
    twice = [
        key for key, count in Counter((row.full_name, row.method, row.query, tuple(sorted(row.expect.items()))) for row in table()).items() if count > 1
    ]  # fmt: skip
    assert twice == []
