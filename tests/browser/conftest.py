"""Chromium against a live server. A content policy violation, a console error or a request to elsewhere fails a test."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as concord
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response

from labeling.models import User
from tests.browser.server import Server
from tests.worlds import World

# Playwright's synchronous driver runs an event loop in the test's thread, which Django takes for asynchronous code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def server(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Concord in a process of its own on the tests' database, once for all tests here."""
    with django_db_blocker.unblock():
        running = Server(tmp_path_factory.mktemp("server") / "log.txt")
    yield running
    running.stop()


@pytest.fixture
def site(server: Server, transactional_db: None) -> Server:
    """The server with an empty database."""
    return server


@pytest.fixture
def world(transactional_db: None, settings: Any) -> World:
    # A scene stays as it was set: what waits for a worker waits, until the story runs it (`run_jobs`).
    settings.TASKS = "worker"
    return World.build()


@dataclass
class Watch:
    """What a page must not do. `expect(pattern)`: trouble the test makes on purpose."""

    origin: str
    expected: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def expect(self, *patterns: str) -> None:
        self.expected += patterns

    def page(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.seen.append(f"script error: {error}"))
        page.on("request", lambda request: self._request(request.url))
        page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.seen.append(f"console {message.type}: {message.text}")

    def _request(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", "blob:")):
            self.seen.append(f"request to elsewhere: {url}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.seen.append(f"{response.status} from {response.url}")

    def trouble(self) -> list[str]:
        return [line for line in self.seen if not any(re.search(pattern, line) for pattern in self.expected)]


@pytest.fixture
def watch(site: Server) -> Iterator[Watch]:
    watch = Watch(site.url)
    yield watch
    assert watch.trouble() == []


@pytest.fixture
def sit(browser: Browser, site: Server, watch: Watch) -> Iterator[Callable[..., BrowserContext]]:
    """sit(user, **options) → a browser of that person, logged in; options are Playwright's (viewport, color_scheme …)."""
    opened: list[BrowserContext] = []

    def open_context(user: User | None = None, **options: Any) -> BrowserContext:
        options = {"viewport": {"width": 1280, "height": 800}, **options}
        context = browser.new_context(base_url=site.url, **options)
        context.set_default_timeout(30_000)
        context.on("page", watch.page)
        opened.append(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            cookie = client.cookies[concord.SESSION_COOKIE_NAME]
            context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": site.url}])
        return context

    yield open_context
    for context in opened:
        context.close()


def axe_violations(page: Page) -> list[str]:
    """WCAG 2.1 A and AA violations on the page as it is now, one line each.

    axe comes in by the debugger, from outside the page's content policy, which stays in force.
    """
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE})
    run = {"expression": f"axe.run(document, {{runOnly: {WCAG}}}).then((found) => JSON.stringify(found.violations))"}
    answer = session.send("Runtime.evaluate", {**run, "awaitPromise": True, "returnByValue": True})
    session.detach()
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    return [
        f"{violation['id']}: {node['html'][:160]} — {node['failureSummary']}"
        for violation in json.loads(answer["result"]["value"])
        for node in violation["nodes"]
    ]
