"""The doors: forged requests, guessed passwords, stolen and planted sessions, links that lead elsewhere, headers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.middleware.csrf import CsrfViewMiddleware
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from labeling import people
from labeling.models import Job
from tests.security.scenes import scene
from tests.url_table import ROLES, Row, ask, table
from tests.worlds import PASSWORD, World

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    cache.clear()


def log_in(client: Client, name: str = "gene", password: str = PASSWORD, **more: Any) -> Any:
    headers = more.pop("headers", {})
    return client.post(reverse("labeling:log_in"), {"username": name, "password": password, **more}, headers=headers)


# --- forged requests ------------------------------------------------------------------------------

ONE_ROW_EACH = list({row.full_name: row for row in table()}.values())


ORIGINS = ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Referer": "https://evil.example/"})


def forged(world: World, row: Row) -> list[str]:
    """Unsafe requests with the owner's cookie and without a token that are let through to the view."""
    lines = []
    with scene(world, row) as (url, _data):
        for method, origin, kind in product(
            ("post", "put", "patch", "delete"), ORIGINS, ("text/plain", "application/json")
        ):
            client = Client(enforce_csrf_checks=True, raise_request_exception=False)
            client.force_login(world.people["olga"])
            client.cookies["csrftoken"] = "a" * 32
            answer = client.generic(method.upper(), url, b"{}", kind, headers=origin)
            # The REST interface does not read what is no JSON, and has no such address for some methods.
            ignored = (415, 404, 405) if kind == "text/plain" else (404, 405)
            if answer.status_code != 403 and not (row.namespace == "api" and answer.status_code in ignored):
                lines.append(f"{method} {row.full_name} as {kind} with {origin}: {answer.status_code}")
    return lines


@pytest.mark.parametrize("row", ONE_ROW_EACH, ids=lambda row: row.full_name)
def test_no_unsafe_method_of_any_address_takes_a_forged_request(world: World, row: Row) -> None:
    assert forged(world, row) == []


def views(resolver: URLResolver | None = None, namespace: str = "") -> list[tuple[str, Any]]:
    found = []
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            found += views(entry, f"{namespace}{entry.namespace}:" if entry.namespace else namespace)
        elif isinstance(entry, URLPattern):
            found.append((f"{namespace}{entry.name}", entry.callback))
    return found


def test_no_page_is_exempt_from_the_token() -> None:
    """Django REST framework's views are, and ask for the token themselves where a session comes (the test above)."""
    exempt = [name for name, view in views() if getattr(view, "csrf_exempt", False) and not hasattr(view, "cls")]
    # Both say that there is no such address, and nothing else.
    assert set(exempt) <= {"api:rest_nothing", "api:rest_root"}


def test_control_without_the_middleware_forged_requests_pass(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CsrfViewMiddleware, "process_view", lambda *args, **kwargs: None)
    row = next(row for row in table() if row.full_name == "labeling:single_keys")
    assert forged(world, row)


# --- guessing passwords ---------------------------------------------------------------------------


def test_no_spelling_and_no_header_gets_more_guesses(world: World) -> None:
    spellings = ["gene", "GENE", " gene", "gene ", "Gene", "\tgene", "gEnE", "gene\u00a0", " GENE ", "genE"]
    for number, name in enumerate(spellings):
        headers = {
            "X-Forwarded-For": f"10.0.0.{number}", "X-Real-IP": f"10.1.0.{number}", "Forwarded": f"for=10.2.0.{number}",
            "Client-IP": f"10.3.0.{number}", "User-Agent": f"browser {number}",
        }  # fmt: skip
        assert log_in(Client(REMOTE_ADDR=f"192.0.2.{number}"), name, "wrong", headers=headers).status_code == 422
    for name in ("gene", "GENE ", "\u2003gene"):
        assert log_in(Client(REMOTE_ADDR="198.51.100.7"), name).status_code == 429, "the right password waits as well"
    assert log_in(Client(), "gina").status_code == 302


def test_guesses_at_the_password_page_and_at_the_log_in_count_together(world: World) -> None:
    client = Client()
    client.force_login(world.people["gene"])
    for _ in range(5):
        form = {"current": "wrong", "password": "a new long secret", "again": "a new long secret"}
        assert client.post(reverse("labeling:change_password"), form).status_code == 422
    for _ in range(5):
        assert log_in(Client(), password="wrong").status_code == 422
    assert log_in(Client()).status_code == 429


def test_odd_names_are_refused_and_not_an_error(world: World) -> None:
    for name in ("", "gene\x00", "g" * 5000, "\ud800", "'; DROP TABLE labeling_user; --", "🙂", "gene\n"):
        assert log_in(
            Client(raise_request_exception=False), name.encode("utf-8", "replace").decode(), "wrong"
        ).status_code in (422, 429)


# --- sessions -------------------------------------------------------------------------------------


def test_a_session_planted_before_is_not_the_one_after(world: World) -> None:
    victim = Client()
    victim.get(reverse("labeling:log_in"))
    session = victim.session
    session["planted"] = "by someone"
    session.save()
    planted = session.session_key
    victim.cookies["sessionid"] = planted
    assert log_in(victim).status_code == 302
    assert victim.cookies["sessionid"].value != planted
    attacker = Client()
    attacker.cookies["sessionid"] = planted
    assert attacker.get(reverse("labeling:home")).status_code == 302


def test_a_made_up_session_id_is_not_adopted(world: World) -> None:
    client = Client()
    client.cookies["sessionid"] = "a" * 32
    assert log_in(client).status_code == 302
    assert client.cookies["sessionid"].value != "a" * 32


def test_someone_else_logging_in_starts_an_empty_session(world: World) -> None:
    client = Client()
    log_in(client)
    before = client.cookies["sessionid"].value
    session = client.session
    session["left_over"] = "gene's"
    session.save()
    client.post(reverse("labeling:log_out"))
    assert client.session.get("left_over") is None
    log_in(client, "gina")
    assert client.cookies["sessionid"].value != before
    thief = Client()
    thief.cookies["sessionid"] = before
    assert thief.get(reverse("labeling:home")).status_code == 302, "logging out ended it on the server"


def test_joining_by_a_link_starts_a_new_session_too(world: World) -> None:
    link = people.invite_link_part(people.invite_member(by=world.seat("olga"), role="rater", cohort="expert"))
    client = Client()
    session = client.session
    session["x"] = 1
    session.save()
    client.cookies["sessionid"] = planted = session.session_key
    form = {
        "username": "nora",
        "password": "a good long password",
        "again": "a good long password",
        "display_name": "N",
    }
    assert client.post(reverse("labeling:invite_accept", args=[link]), form).status_code == 302
    assert client.cookies["sessionid"].value != planted


def test_cookies_say_who_may_read_them(world: World) -> None:
    client = Client()
    client.get(reverse("labeling:log_in"))
    log_in(client)
    session, token = client.cookies["sessionid"], client.cookies["csrftoken"]
    assert session["httponly"]
    assert (session["samesite"], token["samesite"]) == ("Lax", "Lax")
    assert (session["domain"], token["domain"]) == ("", "")


def settings_of(**environment: str) -> list[str]:
    """Safety settings as a process with this environment has them."""
    names = (
        "SESSION_COOKIE_SECURE CSRF_COOKIE_SECURE SECURE_SSL_REDIRECT SECURE_HSTS_SECONDS SESSION_COOKIE_HTTPONLY DEBUG"
    )
    code = f"from django.conf import settings; print(*(getattr(settings, n) for n in {names.split()!r}))"
    clean = {k: v for k, v in os.environ.items() if k not in ("ALLOWED_HOSTS", "DEBUG")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**clean, "DJANGO_SETTINGS_MODULE": "config.settings", "SECRET_KEY": "only-for-tests", **environment},
    )  # fmt: skip
    return done.stdout.split()


def test_on_a_public_name_cookies_travel_encrypted_only() -> None:
    assert settings_of(ALLOWED_HOSTS="concord.example") == [
        "True",
        "True",
        "True",
        str(60 * 60 * 24 * 30),
        "True",
        "False",
    ]
    assert settings_of(ALLOWED_HOSTS="*")[:3] == ["True", "True", "True"]
    assert settings_of()[:3] == ["False", "False", "False"], "on a loopback address there is no TLS"


# --- where redirects lead -------------------------------------------------------------------------

ELSEWHERE = [
    "https://evil.example/", "//evil.example", "///evil.example", "////evil.example/%2e%2e", "\\\\evil.example", "/\\evil.example",
    "\\/evil.example", "https:evil.example", "https:/evil.example", "https:///evil.example", "http:\\\\evil.example", "HTTPS://evil.example",
    "/\t/evil.example", "\t//evil.example", " //evil.example", "\n//evil.example", "/\n/evil.example", "\x00//evil.example", "//evil.example\\@testserver",
    "https://testserver@evil.example", "//testserver@evil.example/", "https://testserver.evil.example", "https://evil.example#testserver", "https://evil.example?testserver",
    "javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "ftp://testserver/", "//evil%E3%80%82example", "https://evil.example\\.testserver",
    "http://testserver:81/", "//google%00.com", "\u2028//evil.example", "//\u2044evil.example",
]  # fmt: skip


def leads_away(location: str) -> bool:
    """Whether a browser would leave the site: it reads \\ as / and drops tabs and line ends."""
    plain = re.sub(r"[\t\r\n]", "", location).strip("\x00 ").replace("\\", "/")
    own = "http://testserver/"
    return not (plain.startswith(own) or (plain.startswith("/") and not plain.startswith("//")))


@pytest.mark.parametrize("target", ELSEWHERE)
def test_no_next_leads_away(world: World, target: str) -> None:
    Job.objects.create(
        kind="open_batch", project=world.project, dedup_key="x", by=world.people["olga"], status="failed", error="Full.",
        created_at=timezone.now(), finished_at=timezone.now(), parameters={"batch": 0},
    )  # fmt: skip
    job = Job.objects.get()
    fresh, olga = Client(), Client()
    olga.force_login(world.people["olga"])
    answers = [
        log_in(fresh, next=target),
        fresh.get(reverse("labeling:log_in"), {"next": target}),
        olga.post(reverse("labeling:single_keys"), {"on": "1", "next": target}),
        olga.post(reverse("labeling:job_retry", args=[job.uuid]), {"next": target}),
    ]
    for answer in answers:
        assert answer.status_code == 302
        assert not leads_away(answer["Location"]), answer["Location"]


def test_an_address_that_looks_like_another_site_asks_to_log_in_here() -> None:
    for path in ("//evil.example/", "/\\evil.example/", "//evil.example/projects/phones/"):
        answer = Client(raise_request_exception=False).get(path)
        assert answer.status_code in (302, 404)
        if answer.status_code == 302:
            assert not leads_away(answer["Location"])


@pytest.mark.parametrize("location", ["//evil.example", "/\\evil.example", "/\t/evil.example", "https:evil.example"])
def test_what_leads_away_is_told(location: str) -> None:
    """Negative control of the judge above."""
    assert leads_away(location)
    assert not leads_away("/account/?next=//evil.example")


# --- the host -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["evil.example", "testserver.evil.example", "testserver@evil.example", "", "testserver:80@evil.example", "a" * 300],
)
def test_another_host_is_refused(world: World, settings: Any, host: str) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    answer = Client(raise_request_exception=False).get(reverse("labeling:log_in"), HTTP_HOST=host)
    assert answer.status_code == 400
    assert "evil" not in answer.content.decode()


def test_links_that_are_given_away_name_this_host_whatever_a_header_says(world: World) -> None:
    client = Client()
    client.force_login(world.people["olga"])
    headers = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Server": "evil.example",
        "Forwarded": "host=evil.example",
    }
    invite = people.invite_member(by=world.seat("olga"), role="rater", cohort="expert")
    page = client.get("/projects/phones/members/", headers=headers).content.decode()
    assert f"http://testserver/join/{invite.uuid.hex}" in page
    reset = client.post(
        reverse("labeling:member_reset_link", args=["phones", world.member("gene").uuid]), headers=headers
    )
    assert reset.context["url"].startswith("http://testserver/reset/")
    assert "evil.example" not in page + reset.content.decode()


# --- headers --------------------------------------------------------------------------------------


def bare(answer: Any) -> list[str]:
    """Headers that protect a page and are not there."""
    wanted = {
        "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }  # fmt: skip
    missing = [name for name, value in wanted.items() if answer.get(name) != value]
    policy = answer.get("Content-Security-Policy", "")
    if "default-src 'none'" not in policy or "unsafe" in policy or "*" in policy:
        missing.append(f"Content-Security-Policy: {policy}")
    return missing


def test_every_answer_carries_its_protection(world: World) -> None:
    lines = []
    for row in table():
        # The description of the REST interface has a stated policy of its own.
        if row.method != "get" or "schema" in row.name or "docs" in row.name:
            continue
        with scene(world, row) as (url, data):
            for role in ROLES:
                answer = ask(world, row, role, url, data)
                lines += [f"{url} for {role}: {name}" for name in bare(answer)]
    assert lines == []


def test_so_do_errors(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from labeling.views import home

    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    client.force_login(world.people["gene"])
    assert bare(client.get("/nothing/")) == []
    assert bare(client.post(reverse("labeling:log_out"))) == []
    monkeypatch.setattr(home.reads, "seats_of", lambda user: 1 / 0)
    broken = client.get("/")
    assert broken.status_code == 500
    assert bare(broken) == []
    assert "ZeroDivisionError" not in broken.content.decode()


def test_pages_of_people_are_kept_by_nobody(world: World) -> None:
    lines = []
    for row in table():
        # The description of the REST interface is the same for everyone and names nobody.
        if row.method != "get" or not row.page or row.json or "docs" in row.name:
            continue
        with scene(world, row) as (url, data):
            for role in ("olga", "gene"):
                if "no-store" not in ask(world, row, role, url, data).get("Cache-Control", ""):
                    lines.append(f"{url} for {role}")
    assert lines == []
