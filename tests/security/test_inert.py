"""Markup that people write, upload or put into addresses is shown as text on every page, and runs nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote, urljoin, urlsplit

import pytest
from django.db import transaction
from django.template import Context, Template
from django.test import Client
from django.utils.html import escape

from labeling.views import item_html
from tests.security.poisoned import SHOWN, furnish, poison, poisoned_world
from tests.url_table import ROLES, Row, ask, table, url_of
from tests.worlds import World

pytestmark = pytest.mark.django_db

HREF = re.compile(r"""(?:href|src|action|hx-get|hx-post|formaction)\s*=\s*["']?([^"'\s>]*)""", re.I)
HANDLER = re.compile(r"<[a-z][^<>]*\son[a-z]+\s*=", re.I)
FOLLOWED_AT_MOST = 120


@pytest.fixture
def world(db: None) -> World:
    return poisoned_world()


def holes(html: str) -> list[str]:
    """Where the poison became markup."""
    found = re.findall(r"<poison-[a-z-]*", html, re.I)
    found += [match.group() for match in HANDLER.finditer(html) if "<img src=x" in match.group()]
    for address in HREF.findall(html):
        plain = unescape(address).strip().lower()
        if plain.startswith(("javascript:", "vbscript:", "data:text")) or "elsewhere.example" in plain:
            found.append(address)
    found += ["{{7*7}} was counted"] if ">49<" in html else []
    return found


def pages(world: World, role: str) -> Iterator[tuple[str, str]]:
    """(address, source) of the address table's pages for the role, and of every page linked from there."""
    client = Client(raise_request_exception=False)
    client.force_login(world.people[role])
    seen: set[str] = set()
    waiting = ["/"]
    for row in table():
        if row.method == "get" and row.expect[role] in (200, 404, 422):
            with transaction.atomic():  # each row sets its scene in the same untouched world
                url = url_of(row, world) + row.query
                answer = ask(world, row, role, url, row.data(world))
                transaction.set_rollback(True)
            if "html" in answer.get("Content-Type", ""):
                seen.add(url)
                text = answer.content.decode()
                waiting += links(url, text)
                yield url, text
    with transaction.atomic():
        furnish(world)
        yield from followed(client, waiting)
        transaction.set_rollback(True)


def followed(client: Client, waiting: list[str]) -> Iterator[tuple[str, str]]:
    """Every page that is linked from those that wait, and from there on."""
    seen: set[str] = set()
    while waiting and len(seen) < 400:
        url = waiting.pop(0)
        if url in seen:
            continue
        seen.add(url)
        answer = client.get(url)
        if answer.status_code >= 500:
            yield url, f"<poison-status> {answer.status_code}"
        if "html" in answer.get("Content-Type", "") and not answer.streaming:
            text = answer.content.decode()
            if len(seen) < FOLLOWED_AT_MOST:
                waiting += links(url, text)
            yield url, text


def links(url: str, html: str) -> list[str]:
    found = (urljoin(url, unescape(address)) for address in re.findall(r'href="([^"]+)"', html))
    return [address.partition("#")[0] for address in found if not urlsplit(address).netloc and address.startswith("/")]


def test_every_page_shows_it_as_text(world: World) -> None:
    problems: list[str] = []
    escaped: set[str] = set()
    count = 0
    for role in ("olga", "sam", "mel", "gene"):
        for url, html in pages(world, role):
            count += 1
            problems += [f"{role}, {url}: {hole}" for hole in holes(html)]
            escaped |= set(re.findall(r"(?:&lt;|\\u003C)poison-([a-z-]+)", html))
    assert problems == []
    assert count > 150
    assert set(SHOWN) - escaped == set(), "these were shown nowhere, so nothing was proven about them"


@pytest.mark.parametrize("role", ROLES)
def test_what_stands_in_the_address_comes_back_as_text(world: World, role: str) -> None:
    """Reflected: queries and paths."""
    client = Client(raise_request_exception=False)
    if role != "anonymous":
        client.force_login(world.people[role])
    evil = quote(poison("reflected"))
    names = (
        "search",
        "name",
        "value",
        "tag",
        "page",
        "against",
        "next",
        "after",
        "before",
        "imported",
        "format",
        "batch",
        "version",
        "mode",
    )
    query = "&".join(f"{name}={evil}" for name in names)
    problems = []
    for row in table():
        if row.method != "get":
            continue
        with transaction.atomic():
            url = f"{url_of(row, world)}?{query}"
            for accept in ("text/html", "*/*", "application/json"):
                answer = client.get(url, headers={"Accept": accept})
                assert answer.status_code != 500, url
                if "html" in answer.get("Content-Type", "") and not answer.streaming:
                    problems += [f"{url}: {hole}" for hole in holes(answer.content.decode())]
            transaction.set_rollback(True)
    for path in (f"/{evil}", f"/projects/{evil}/", f"/reset/{evil}/", f"/join/{evil}/", f"/items/{evil}/files/{evil}/"):
        answer = client.get(path)
        assert answer.status_code in (302, 404), path
        problems += [f"{path}: {hole}" for hole in holes(answer.content.decode())]
    assert problems == []


def test_what_is_sent_in_a_form_comes_back_as_text(world: World) -> None:
    """Reflected: every form, filled with poison, answers with poison as text."""
    problems: list[str] = []
    forms = 0
    for row in table():
        if row.method != "post" or row.json:
            continue
        for role in ("olga", "gene", "anonymous"):
            if row.expect[role] not in (403, 404):
                with transaction.atomic():  # what one form changed, the next does not find
                    problems += sent_back(world, row, role)
                    transaction.set_rollback(True)
                forms += 1
    assert problems == []
    assert forms > 20


def sent_back(world: World, row: Row, role: str) -> list[str]:
    client = Client(raise_request_exception=False)
    if role != "anonymous":
        client.force_login(world.people[role])
    url = url_of(row, world)
    shown = client.get(url)
    form = (shown.context or {}).get("form") if shown.status_code == 200 else None
    names = {"name", "text", "body", "labels", "username", "comment", "reason", "search", *getattr(form, "fields", {})}
    answer = client.post(url + row.query, dict.fromkeys(names, poison("sent")))
    assert answer.status_code < 500, (url, answer.status_code)
    return [f"{role}, {url}: {hole}" for hole in holes(answer.content.decode())]


# --- negative controls --------------------------------------------------------------------------------


def test_a_template_that_trusts_what_people_write_is_seen() -> None:
    text = Template("<p>{{ it|safe }}</p>").render(Context({"it": poison("planted")}))
    assert {"<poison-planted"} <= set(holes(text))
    assert any("onerror" in hole for hole in holes(text))
    assert holes(f'<a href="JavaScript&#58;alert(1)">{escape(poison("planted"))}</a>') == ["JavaScript&#58;alert(1)"]
    assert holes(Template('<p title="{{ it }}">{{ it }}</p>').render(Context({"it": poison("planted")}))) == []


def test_a_page_that_does_not_escape_an_item_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: one room forgets to escape, and the walk over all pages notices."""
    monkeypatch.setattr(
        item_html,
        "render_to_string",
        lambda name, context: "".join(str(f["value"]) for f in context["item"]["fields"] if "value" in f),
    )
    assert any(holes(html) for _, html in pages(world, "gene"))
