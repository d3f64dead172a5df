"""Role × scope × endpoint, generated from the router; and the walls between projects."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import get_resolver, reverse

from api.tokens import scopes_of
from api.urls_rest import urlpatterns as rest_addresses
from api.vocabulary import Scope
from labeling import access
from labeling.models import Membership
from tests.api.cases import ALL, CASES, Case
from tests.api.client import Program, key_for
from tests.worlds import World

pytestmark = pytest.mark.django_db


def declared() -> set[tuple[str, str]]:
    """(url name, method) of every operation the router knows, whoever wrote it."""
    found = set()
    for pattern in get_resolver("api.urls").url_patterns:
        for entry in getattr(pattern, "url_patterns", [pattern]):
            view = getattr(entry.callback, "cls", None)
            for method in ("get", "post", "patch", "delete"):
                if hasattr(getattr(view, method, None), "op"):
                    found.add((entry.name, method))
    return found


def ask(program: Program, world: World, case: Case, *, check: bool = True) -> Any:
    url = reverse(f"api:{case.name}", kwargs=case.kwargs(world))
    asked = case.asks(world)
    url += f"?{asked[1:]}" if asked else ""
    body = case.data(world) if case.method != "get" else None
    return program.send(case.method.upper(), url, body if case.method != "get" else b"", check=check)


def problems(world: World, case: Case) -> list[str]:
    """Where a token gets something else than the case says; each call is undone."""
    lines = []
    with transaction.atomic():
        case.kwargs(world)
        for who in ALL:
            offered = scopes_of(world.member(who))
            for scope in offered:
                with transaction.atomic():
                    answer = ask(Program(key_for(world, who, [scope])), world, case)
                    transaction.set_rollback(True)
                wanted = 403 if scope != case.scope else case.wanted(who)
                if answer.status_code != wanted:
                    lines.append(f"{case} for {who} with {scope}: {answer.status_code}, expected {wanted}")
                elif scope != case.scope and answer.json()["code"] != "no_scope":
                    lines.append(f"{case} for {who} with {scope}: {answer.json()}")
        transaction.set_rollback(True)
    return lines


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_role_and_scope_gets_what_the_table_says(world: World, case: Case) -> None:
    assert problems(world, case) == []


def test_every_operation_of_the_router_has_a_case() -> None:
    known = {(case.name, case.method) for case in CASES} | {("rest_item_file", "get")}
    assert declared() - known == set()
    assert known - declared() == set()
    assert len(rest_addresses) >= 40


def test_a_new_operation_without_a_case_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    from api.views.rest.work import Jobs

    monkeypatch.setattr(Jobs, "delete", Jobs.get, raising=False)
    assert ("rest_jobs", "delete") in declared() - {(case.name, case.method) for case in CASES}


def test_the_matrix_fails_without_scopes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a token may do whatever its member may."""
    from api.views.rest import endpoint

    monkeypatch.setattr(endpoint, "require_scope", lambda token, *scopes: None)
    unnoticed = [str(case) for case in CASES[::4] if not problems(world, case)]
    assert unnoticed == []


def test_the_matrix_fails_without_rights(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: everyone inside may do everything."""
    from api import tokens

    offered = {who: scopes_of(world.member(who)) for who in ALL}
    monkeypatch.setattr(access, "has_right", lambda membership, right: membership.active)
    monkeypatch.setitem(globals(), "scopes_of", lambda membership: offered[membership.user.username])
    monkeypatch.setattr(tokens, "scopes_of", lambda membership: list(Scope.values))
    cases = [case for case in CASES if set(ALL) - set(case.may) and case.scope == Scope.READ]
    assert len(cases) > 5
    assert [str(case) for case in cases if not problems(world, case)] == []


@pytest.fixture
def other(world: World) -> World:
    """A second project with the same people, and rows of every kind."""
    return World.build(slug="tablets", with_otto=False)


def strangers(world: World, other: World, case: Case) -> list[str]:
    """Where a token of the other project gets something else than 404 for a row of this one."""
    lines = []
    with transaction.atomic():
        kwargs = case.kwargs(world)
        url = reverse(f"api:{case.name}", kwargs=kwargs)
        body = case.data(world) if case.method != "get" else b""
        for who in ("olga", "gene"):
            program = Program(key_for(other, who))
            answer = program.send(case.method.upper(), url + ("" if kwargs else case.query() + case.asks(world)), body)
            wanted = (404,) if case.scope in scopes_of(other.member(who)) else (403,)
            if answer.status_code not in wanted:
                lines.append(f"{case} for {who} of another project: {answer.status_code}")
        transaction.set_rollback(True)
    return lines


@pytest.mark.parametrize("case", [case for case in CASES if not case.everywhere], ids=str)
def test_a_token_of_one_project_never_sees_another(world: World, other: World, case: Case) -> None:
    assert strangers(world, other, case) == []


def test_a_missing_wall_would_be_seen(world: World, other: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: rows are found wherever they lie, with the token's seat."""
    from api.views.rest import endpoint
    from labeling.access import Seat

    def no_wall(call: Any, rows: Any, uuid: Any, right: str, *_: Any) -> Any:
        member: Membership = call.token.membership
        return rows.filter(uuid=uuid).first(), Seat(member.project, member)

    monkeypatch.setattr(endpoint, "row_of", no_wall)
    reading = [
        case for case in CASES if case.method == "get" and case.name.endswith(("_item", "_batch", "_job", "_import"))
    ]
    assert len(reading) == 4
    assert [str(case) for case in reading if not strangers(world, other, case)] in ([], ["rest_batch-get"])


def test_lists_of_two_projects_never_mix(world: World, other: World) -> None:
    world.open_batch()
    other.open_batch()
    ours, theirs = Program(key_for(world, "olga")), Program(key_for(other, "olga"))
    for path in ("items", "batches", "guidelines", "jobs", "events", "members"):
        mine, yours = ours.everything(path), theirs.everything(path)
        name = next(name for name in ("uuid", "id", "rater") if mine[0].get(name))
        assert mine
        assert yours
        assert not {row[name] for row in mine} & {row[name] for row in yours}, path


def test_a_session_needs_a_csrf_token_to_change_anything(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["olga"])
    for case in CASES:
        if case.method == "get":
            continue
        with transaction.atomic():
            url = reverse(f"api:{case.name}", kwargs=case.kwargs(world))
            answer = client.post(url, case.data(world), content_type="application/json")
            assert (answer.status_code, answer.json()["code"]) == (403, "csrf"), case
            transaction.set_rollback(True)
    page = client.get("/account/")
    token = page.cookies["csrftoken"].value
    made = client.post(
        reverse("api:rest_batches"), {"name": "Next", "quotas": [{"cohort": "generalist", "raters": 2}]},
        content_type="application/json", headers={"X-CSRFToken": token},
    )  # fmt: skip
    assert made.status_code == 201
