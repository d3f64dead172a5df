"""Markup that people write runs in no page: no dialog, no script of theirs, nothing for the content policy to refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from playwright.sync_api import BrowserContext

from labeling.refusals import Refusal
from tests.browser.conftest import Watch
from tests.security.poisoned import furnish, poisoned_world
from tests.url_table import table, url_of
from tests.worlds import World

Sit = Callable[..., BrowserContext]
SCRIPT = "document.querySelectorAll('*').length && [...document.querySelectorAll('*')].filter(it => it.localName.startsWith('poison-')).length"
# The poisoned definition shows a picture by the address of an item's file, as definitions may, and that item has none.
PICTURE_THAT_IS_NOT_THERE = r"status of 404 \(Not Found\)"


@pytest.fixture
def world(transactional_db: None, settings: Any) -> World:
    settings.TASKS = "worker"
    world = poisoned_world()
    furnish(world)
    return world


@pytest.mark.parametrize("role", ["olga", "gene"])
def test_no_page_runs_it(world: World, sit: Sit, watch: Watch, role: str) -> None:
    watch.expect(PICTURE_THAT_IS_NOT_THERE)
    page = sit(world.people[role]).new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    seen = 0
    for row in table():
        if row.method != "get" or not row.page or row.json or row.expect[role] != 200:
            continue
        try:
            url = url_of(row, world) + row.query
        # What stands in this world is in a row's way: tests/security/test_inert.py walks them one by one.
        except (Refusal, ObjectDoesNotExist, IndexError):
            continue
        answer = page.goto(url, wait_until="load")
        assert answer is not None
        assert answer.status == 200, url
        assert page.evaluate(SCRIPT) == 0, url
        seen += 1
    assert seen > 8
    assert dialogs == []
    assert watch.trouble() == []


def test_the_desk_works_on_with_poisoned_items(world: World, sit: Sit, watch: Watch) -> None:
    """The next items come as JSON and are painted by script: they too are text."""
    from labeling.models import Batch

    batch = Batch.objects.filter(project=world.project, status="open").get()
    from labeling.claiming import acknowledge_version

    acknowledge_version(by=world.people["gina"], batch=batch)
    watch.expect(PICTURE_THAT_IS_NOT_THERE)
    page = sit(world.people["gina"]).new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(f"/batches/{batch.uuid}/desk/")
    for _ in range(3):
        page.wait_for_timeout(250)
        assert "<poison-payload>" in page.locator("#item").inner_text()
        assert page.evaluate(SCRIPT) == 0
        page.keyboard.press("1")
    page.keyboard.press("?")
    page.wait_for_timeout(200)
    assert dialogs == []
    assert watch.trouble() == []


def test_control_the_same_markup_unescaped_is_noticed(world: World, sit: Sit, watch: Watch) -> None:
    page = sit(world.people["gene"]).new_page()
    page.goto("/account/")
    plant = "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(1)><poison-planted>')"
    page.context.new_cdp_session(page).send("Runtime.evaluate", {"expression": plant})
    page.wait_for_timeout(300)
    assert page.evaluate(SCRIPT) == 1
    assert any("Content Security Policy" in line for line in watch.trouble()), watch.seen
    watch.expect(".*")
