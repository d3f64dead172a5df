"""Tokens: shown once, stored as a hash, bound to a member, ended by everything that ends the member."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from api import tokens
from api.models import ApiToken
from api.tokens import create_token, revoke_token, scopes_of, token_of
from api.vocabulary import Scope
from labeling.models import Event
from labeling.refusals import BadValue, NotAllowed, NotSeen, Refusal
from labeling.vocabulary import Role
from tests.api.client import Program, key_for
from tests.worlds import World

pytestmark = pytest.mark.django_db


def browser(world: World, who: str) -> Client:
    client = Client()
    client.force_login(world.people[who])
    return client


def test_made_in_the_browser_and_shown_once(world: World) -> None:
    client = browser(world, "mel")
    made = client.post(
        "/projects/phones/tokens/new/", {"name": "Notebook", "scopes": ["read", "export"], "expires": "30"}
    )
    assert made.status_code == 200
    assert made["Cache-Control"] == "no-store"
    key = re.search(r'value="(concord_[^"]+)"', made.content.decode()).group(1)  # type: ignore[union-attr]
    token = ApiToken.objects.get()
    assert key not in repr(token.__dict__)
    assert len(token.digest) == 64
    assert token.digest == tokens.digest_of(key)
    assert key.startswith(token.prefix)
    assert timedelta(days=29) < token.expires_at - timezone.now() < timedelta(days=31)
    listed = client.get("/projects/phones/tokens/").content.decode()
    assert key not in listed
    assert token.prefix in listed
    assert not any(key in str(event.data) for event in Event.objects.all())
    assert Program(key).get("projects").json()["results"][0]["role"] == "engineer"
    assert (
        "never"
        not in re.sub(r"\s+", " ", client.get("/projects/phones/tokens/").content.decode()).split("Notebook")[1][:700]
    )


@pytest.mark.parametrize(
    ("who", "scopes"),
    [
        ("olga", ["read", "import", "export", "adjudicate", "manage", "raters:identify"]),
        ("sam", ["read", "adjudicate"]),
        ("mel", ["read", "import", "export"]),
        ("gene", ["read", "label"]),
    ],
)
def test_scopes_are_limited_to_what_the_member_may(world: World, who: str, scopes: list[str]) -> None:
    assert scopes_of(world.member(who)) == scopes
    for scope in set(Scope.values) - set(scopes):
        with pytest.raises(NotAllowed):
            create_token(by=world.seat(who), name="More", scopes=[*scopes, scope], expires_at=None)
    form = browser(world, who).post(
        "/projects/phones/tokens/new/", {"name": "x", "scopes": [*scopes, "nonsense"], "expires": "30"}
    )
    assert form.status_code == 422


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"scopes": []}, "scopes"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "expires"),
        ({"expires_at": timezone.now() + timedelta(days=4000)}, "expires"),
    ],
)
def test_bad_values_are_named(world: World, values: dict[str, Any], field: str) -> None:
    with pytest.raises(BadValue) as refused:
        create_token(by=world.seat("mel"), **{"name": "x", "scopes": ["read"], "expires_at": None, **values})
    assert refused.value.data["field"] == field


def test_a_member_has_so_many_tokens_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_TOKENS", 2)
    key_for(world, "mel")
    second = create_token(by=world.seat("mel"), name="2", scopes=["read"], expires_at=None)[0]
    with pytest.raises(Refusal, match="2 tokens"):
        key_for(world, "mel")
    revoke_token(by=world.seat("mel"), token=second)
    key_for(world, "mel")


def answer_of(key: str) -> tuple[int, str]:
    reply = Program(key).get("projects")
    return reply.status_code, reply.json().get("code", "")


def test_what_ends_the_member_ends_the_token(world: World) -> None:
    key = key_for(world, "gene")
    token = ApiToken.objects.get()
    assert answer_of(key) == (200, "")
    member = world.member("gene")
    member.active = False
    member.save()
    assert answer_of(key) == (401, "token_ended")
    member.active = True
    member.save()
    world.people["gene"].is_active = False
    world.people["gene"].save()
    assert answer_of(key) == (401, "token_ended")
    world.people["gene"].is_active = True
    world.people["gene"].save()
    world.project.archived_at = timezone.now()
    world.project.save()
    assert answer_of(key) == (403, "archived")
    world.project.archived_at = None
    world.project.save()
    assert answer_of(key) == (200, "")
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert answer_of(key) == (401, "token_ended")
    ApiToken.objects.filter(pk=token.pk).update(expires_at=None)
    revoke_token(by=world.seat("gene"), token=token)
    assert answer_of(key) == (401, "token_ended")


def test_a_token_that_did_not_end_would_be_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    key = key_for(world, "gene")
    revoke_token(by=world.seat("gene"), token=ApiToken.objects.get())
    monkeypatch.setattr(tokens, "ended_because", lambda token, at: "")
    assert answer_of(key) == (200, "")


def test_a_role_that_was_taken_away_is_gone_at_once(world: World) -> None:
    program = Program(key_for(world, "mel"))
    assert program.get("items").status_code == 200
    member = world.member("mel")
    member.role, member.cohort = Role.RATER, "generalist"
    member.save()
    assert (program.get("items").status_code, program.get("items").json()["code"]) == (403, "no_right")


@pytest.mark.parametrize("key", ["", "nonsense", "concord_", "concord_" + "x" * 43, "concord_ä", "x" * 5000])
def test_a_made_up_key_opens_nothing(world: World, key: str) -> None:
    reply = Client().get("/api/v1/projects", headers={"Authorization": f"Bearer {key}"})
    assert reply.status_code == 401
    assert reply.json()["code"] == "bad_token"
    assert reply["WWW-Authenticate"].startswith("Bearer")
    basic = Client().get("/api/v1/projects", headers={"Authorization": "Basic b2xnYTpwdw=="})
    assert (basic.status_code, basic.json()["code"]) == (401, "bad_token")
    assert Client().get("/api/v1/projects").json()["code"] == "log_in"


def test_a_key_is_found_by_its_hash_alone(world: World, django_assert_num_queries: Any) -> None:
    key = key_for(world, "mel")
    with django_assert_num_queries(1):
        assert token_of(key) is not None
    with django_assert_num_queries(1):
        assert token_of(key + "x") is None
    with django_assert_num_queries(0):
        assert token_of("nonsense") is None


def test_last_used_is_written_once_a_minute(world: World) -> None:
    program = Program(key_for(world, "mel"))
    program.get("projects")
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    program.get("projects")
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    program.get("projects")
    assert ApiToken.objects.get().last_used_at > first - timedelta(seconds=1)


def test_who_sees_and_ends_whose_tokens(world: World) -> None:
    key_for(world, "gene")
    key_for(world, "olga")
    genes = ApiToken.objects.get(membership=world.member("gene"))
    assert "gene&#x27;s" in browser(world, "olga").get("/projects/phones/tokens/").content.decode()
    assert "gene&#x27;s" not in browser(world, "mel").get("/projects/phones/tokens/").content.decode()
    assert "olga&#x27;s" not in browser(world, "gene").get("/projects/phones/tokens/").content.decode()
    with pytest.raises(NotAllowed):
        revoke_token(by=world.seat("mel"), token=genes)
    other = World.build(slug="tablets", with_otto=False)
    with pytest.raises(NotSeen):
        revoke_token(by=other.seat("olga"), token=genes)
    revoke_token(by=world.seat("olga"), token=genes)
    assert ApiToken.objects.get(pk=genes.pk).revoked_at is not None


def test_names_of_raters_need_their_own_scope(world: World) -> None:
    without = Program(key_for(world, "olga", ["read"])).everything("members")
    assert {(row["name"], row["uuid"]) for row in without} == {(None, None)}
    assert "Gene" not in str(without)
    named = Program(key_for(world, "olga", ["read", "raters:identify"])).everything("members")
    assert "Gene Ralston" in {row["name"] for row in named}
    assert {row["rater"] for row in named} == {row["rater"] for row in without}
    member = world.member("olga")
    member.role = Role.ENGINEER
    member.save()
    program = Program(key_for(world, "olga", ["read"]))
    ApiToken.objects.filter(digest=tokens.digest_of(program.key)).update(scopes=["read", "raters:identify"])
    assert {row["name"] for row in program.everything("members")} == {None}, (
        "the role is gone, so the scope says nothing"
    )


def test_too_many_requests_are_told_when_to_go_on(world: World) -> None:
    program, other = Program(key_for(world, "mel")), Program(key_for(world, "sam"))
    with override_settings(API_RATE=3):
        assert [program.get("projects").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
        late = program.get("projects")
        assert late.json()["code"] == "throttled"
        assert 1 <= int(late["Retry-After"]) <= 60
        assert other.get("projects").status_code == 200, "each token has its own count"
