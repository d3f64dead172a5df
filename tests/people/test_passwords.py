"""Passwords: changed by oneself, or by a link of the owner that opens nothing the owner does not own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from labeling import people
from labeling.models import Event, Membership, Project, User
from labeling.people import change_password, make_reset_link, reset_password, reset_tokens, user_of_reset_link
from labeling.refusals import BadValue, NotAllowed, NotSeen, Refusal, TooMany
from tests.worlds import PASSWORD, World, make_user

pytestmark = pytest.mark.django_db
NEW = "another long secret"


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    cache.clear()


def link(world: World, name: str = "gene", by: str = "olga") -> str:
    return make_reset_link(by=world.seat(by), member=world.member(name))


def another_project(owner: User, member: User | None = None, role: str = "rater") -> Project:
    project = Project.objects.create(slug=f"p{owner.pk}", name="Other", task_type="single_choice", question="?")
    Membership.objects.create(project=project, user=owner, role="owner")
    if member is not None:
        Membership.objects.create(project=project, user=member, role=role, cohort="generalist")
    return project


def test_gene_sets_a_new_password_by_olgas_link_once(world: World) -> None:
    client = Client()
    client.force_login(world.people["olga"])
    url = reverse("labeling:member_reset_link", args=["phones", world.member("gene").uuid])
    shown = client.post(url).context["url"].removeprefix("http://testserver")
    gene = Client()
    old_session = Client()
    old_session.force_login(world.people["gene"])
    shown_again = link(world)
    page = gene.get(reverse("labeling:reset_password", args=[shown_again]))
    assert "For Gene Ralston" in page.content.decode()
    done = gene.post(reverse("labeling:reset_password", args=[shown_again]), {"password": NEW, "again": NEW})
    assert done["Location"] == reverse("labeling:log_in")
    assert User.objects.get(username="gene").check_password(NEW)
    assert old_session.get(reverse("labeling:home")).status_code == 302, "every session of the account has ended"
    for used in (shown, reverse("labeling:reset_password", args=[shown_again])):
        assert gene.get(used).status_code == 404
        assert gene.post(used, {"password": PASSWORD, "again": PASSWORD}).status_code == 404


def test_a_link_dies_with_the_next_log_in(world: World) -> None:
    signed = link(world)
    Client().post(reverse("labeling:log_in"), {"username": "gene", "password": PASSWORD})
    with pytest.raises(NotSeen):
        user_of_reset_link(signed)


def test_a_link_runs_out_after_three_days(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = link(world)
    now = reset_tokens._now()
    monkeypatch.setattr(reset_tokens, "_now", lambda: now + timedelta(days=2, hours=23))
    assert user_of_reset_link(signed).username == "gene"
    monkeypatch.setattr(reset_tokens, "_now", lambda: now + timedelta(days=3, minutes=1))
    with pytest.raises(NotSeen):
        user_of_reset_link(signed)


@pytest.mark.parametrize("forged", ["", "x", "W10:abc:def", "WzEsMSwiYSJd"])
def test_a_forged_link_is_no_link(world: World, forged: str) -> None:
    with pytest.raises(NotSeen):
        user_of_reset_link(forged)


def test_olga_cannot_walk_into_a_project_she_does_not_own(world: World) -> None:
    another_project(world.people["otto"], world.people["gene"])
    with pytest.raises(Refusal) as refused:
        link(world)
    assert refused.value.code == "account_opens_more"
    another_project(world.people["gina"])
    with pytest.raises(Refusal, match="opens more than your projects"):
        link(world, "gina")
    assert not Event.objects.filter(verb="made_reset_link").exists()


def test_nor_by_a_link_made_before_the_account_opened_more(world: World) -> None:
    signed = link(world)
    another_project(world.people["otto"], world.people["gene"])
    with pytest.raises(NotSeen):
        reset_password(signed=signed, password=NEW)
    assert User.objects.get(username="gene").check_password(PASSWORD)


def test_nor_the_operators_account_nor_a_former_owners_link(world: World) -> None:
    signed = link(world)
    Membership.objects.filter(project=world.project, user=world.people["olga"]).update(role="sme")
    with pytest.raises(NotSeen):
        user_of_reset_link(signed)
    Membership.objects.filter(project=world.project, user=world.people["olga"]).update(role="owner")
    User.objects.filter(username="mel").update(is_staff=True)
    with pytest.raises(Refusal, match="opens more"):
        link(world, "mel")


def test_without_the_check_the_account_of_another_project_is_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: `opens_more_than` is what stands between."""
    another_project(world.people["otto"], world.people["gene"], "owner")
    monkeypatch.setattr(people, "opens_more_than", lambda user, owner: False)
    reset_password(signed=link(world), password=NEW)
    assert User.objects.get(username="gene").check_password(NEW)


def test_olga_may_help_people_of_her_own_projects(world: World) -> None:
    another_project(world.people["olga"], world.people["gene"])
    assert reset_password(signed=link(world), password=NEW).username == "gene"


def test_no_link_for_oneself_or_by_others(world: World) -> None:
    with pytest.raises(Refusal) as own:
        link(world, "olga")
    assert own.value.code == "own_account"
    for name in ("sam", "mel", "gina"):
        with pytest.raises(NotAllowed):
            link(world, by=name)


def test_changing_ones_own_password_keeps_this_session_and_ends_the_others(world: World) -> None:
    here, elsewhere = Client(), Client()
    here.force_login(world.people["gene"])
    elsewhere.force_login(world.people["gene"])
    url = reverse("labeling:change_password")
    wrong = here.post(url, {"current": "wrong", "password": NEW, "again": NEW})
    assert wrong.status_code == 422
    assert "This is not your current password." in wrong.content.decode()
    assert here.post(url, {"current": PASSWORD, "password": NEW, "again": NEW}).status_code == 302
    assert here.get(reverse("labeling:account")).status_code == 200
    assert elsewhere.get(reverse("labeling:account")).status_code == 302


def test_guessing_the_current_password_in_a_stolen_session_ends_in_a_pause(world: World) -> None:
    for _ in range(10):
        with pytest.raises(BadValue):
            change_password(by=world.people["gene"], current="wrong", password=NEW)
    with pytest.raises(TooMany):
        change_password(by=world.people["gene"], current=PASSWORD, password=NEW)


def test_the_switch_for_single_keys_is_kept_and_returns_to_its_page(world: World) -> None:
    client = Client()
    client.force_login(world.people["gene"])
    back = client.post(reverse("labeling:single_keys"), {"on": "0", "next": reverse("labeling:account")})
    assert back["Location"] == reverse("labeling:account")
    assert 'data-single-keys="off"' in client.get(reverse("labeling:home")).content.decode()
    away = client.post(reverse("labeling:single_keys"), {"on": "1", "next": "https://evil.example/"})
    assert away["Location"] == reverse("labeling:home")


def test_the_first_person_of_a_server_may_found_projects(db: None, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.StringIO("a good long password\n"))
    call_command("create_owner", "olga", "--display-name", "Olga Owner", "--password-stdin")
    olga = User.objects.get()
    assert olga.check_password("a good long password")
    client = Client()
    client.force_login(olga)
    assert "Create the first project" in client.get(reverse("labeling:home")).content.decode()
    assert client.get(reverse("labeling:project_create")).status_code == 200
    for name, password, words in (("olga", "a good long password", "taken"), ("ole", "short", "too short")):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
        with pytest.raises(CommandError, match=words):
            call_command("create_owner", name, "--password-stdin")
    assert User.objects.count() == 1


def test_a_new_account_is_no_founder(world: World) -> None:
    nora = make_user("nora")
    client = Client()
    client.force_login(nora)
    assert client.get(reverse("labeling:project_create")).status_code == 403
    assert "You are in no project yet" in client.get(reverse("labeling:home")).content.decode()
