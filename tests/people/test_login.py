"""Logging in: the same words for every wrong guess, a pause after too many, and nobody is sent elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from labeling import login
from labeling.models import User
from labeling.refusals import BadValue, TooMany
from tests.worlds import PASSWORD, World, make_user

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    cache.clear()


def guess(name: str, password: str, at: datetime = NOON) -> User:
    return login.check_log_in(request=None, username=name, password=password, at=at)


def log_in(client: Client, name: str = "gene", password: str = PASSWORD, **more: str):
    return client.post(reverse("labeling:log_in"), {"username": name, "password": password, **more})


def test_gene_logs_in_and_comes_back_to_where_he_wanted_to_go(world: World, client: Client) -> None:
    wanted = reverse("labeling:account")
    asked = client.get(wanted)
    assert asked.status_code == 302
    page = client.get(asked["Location"])
    assert f'name="next" value="{wanted}"' in page.content.decode()
    assert log_in(client, next=wanted)["Location"] == wanted
    assert client.get(wanted).status_code == 200


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "http:///evil.example", "\\\\evil.example", ""],
)
def test_next_never_leads_to_another_site(world: World, client: Client, elsewhere: str) -> None:
    assert log_in(client, next=elsewhere)["Location"] == reverse("labeling:home")


def test_unknown_wrong_and_closed_are_told_in_the_same_words(world: World, client: Client) -> None:
    make_user("carl")
    User.objects.filter(username="carl").update(is_active=False)
    answers = [log_in(client, "gene", "wrong"), log_in(client, "nobody", "wrong"), log_in(client, "carl")]
    texts = {answer.content.decode().split('role="alert"')[1].split("</div>")[0] for answer in answers}
    assert {answer.status_code for answer in answers} == {422}
    assert len(texts) == 1
    assert "Name and password do not belong together" in texts.pop()


@pytest.mark.parametrize("name", ["gene", "nobody", "GENE "])
def test_a_pause_after_ten_wrong_guesses_for_known_and_unknown_names(world: World, name: str) -> None:
    for _ in range(10):
        with pytest.raises(BadValue):
            guess(name, "wrong")
    with pytest.raises(TooMany) as pause:
        guess(name, "wrong")
    assert 0 < pause.value.data["retry_after"] <= login.WINDOW_SECONDS + 1
    assert "15 minutes" in pause.value.message or "16 minutes" in pause.value.message


def test_the_right_password_waits_out_the_pause_too_and_then_works(world: World) -> None:
    for _ in range(10):
        with pytest.raises(BadValue):
            guess("gene", "wrong")
    with pytest.raises(TooMany):
        guess("gene", PASSWORD)
    assert guess("gina", PASSWORD).username == "gina", "the pause is per account"
    assert guess("gene", PASSWORD, NOON + timedelta(minutes=15)).username == "gene"


def test_a_right_password_forgets_the_wrong_ones(world: World) -> None:
    for _ in range(3):
        for _ in range(9):
            with pytest.raises(BadValue):
                guess("gene", "wrong")
        assert guess("gene", PASSWORD)


def test_the_pause_reaches_the_page_with_a_time_to_come_back(world: World, client: Client) -> None:
    for _ in range(10):
        assert log_in(client, password="wrong").status_code == 422
    paused = log_in(client)
    assert paused.status_code == 429
    assert int(paused["Retry-After"]) > 0
    assert "Please try again in" in paused.content.decode()
    assert "_auth_user_id" not in client.session


def test_without_counting_guesses_go_on_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the pause comes from `take_attempt` alone."""
    monkeypatch.setattr(login, "take_attempt", lambda account, at=None: "key")
    for _ in range(30):
        with pytest.raises(BadValue):
            guess("gene", "wrong")


def test_logging_out_takes_a_post_and_ends_the_session(world: World, client: Client) -> None:
    log_in(client)
    assert client.get(reverse("labeling:log_out")).status_code == 405
    assert client.get(reverse("labeling:home")).status_code == 200
    client.post(reverse("labeling:log_out"))
    assert client.get(reverse("labeling:home")).status_code == 302


def test_pages_of_a_person_are_not_kept_by_the_browser(world: World, client: Client) -> None:
    log_in(client)
    assert "no-store" in client.get(reverse("labeling:home"))["Cache-Control"]


def test_a_program_without_a_session_gets_401(client: Client) -> None:
    answer = client.get(reverse("labeling:home"), headers={"Accept": "application/json"})
    assert answer.status_code == 401
    assert answer.json()["code"] == "log_in"
