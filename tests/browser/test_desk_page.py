"""The desk's page: accessible in light and dark and at phone width, light to load, in the theme one chose."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Response, expect

from tests.browser.conftest import axe_violations
from tests.browser.desk import Desk
from tests.worlds import World

Sit = Callable[..., BrowserContext]
PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 800}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_no_accessibility_violation_in_any_state(world: World, sit: Sit, scheme: str, viewport: dict[str, int]) -> None:
    # axe is put into the page from outside, which the content policy rightly refuses: lifted for this test alone.
    context = sit(world.people["gina"], color_scheme=scheme, viewport=viewport, bypass_csp=True)
    desk = Desk(context, world.open_batch())
    assert axe_violations(desk.page) == []
    for keys in (["b", "1"], ["Escape", "n"], ["Escape", "q"], ["Escape", "c"], ["Escape", "?"]):
        desk.press(*keys)
        assert axe_violations(desk.page) == [], keys
    desk.press("Escape")
    desk.page.locator(".menu > summary").click()
    assert axe_violations(desk.page) == []


def test_no_accessibility_violation_when_there_is_nothing_to_do(world: World, sit: Sit) -> None:
    desk = Desk(sit(world.people["gina"], bypass_csp=True), world.open_batch())
    desk.press(*"10101")
    desk.page.locator("#empty-title").wait_for()
    assert axe_violations(desk.page) == []


def test_axe_finds_a_violation_when_there_is_one(world: World, sit: Sit) -> None:
    """Negative control of the test above."""
    desk = Desk(sit(world.people["gina"], bypass_csp=True), world.open_batch())
    desk.page.evaluate("document.querySelector('#comment').previousElementSibling.remove(); document.title = ''")
    found = axe_violations(desk.page)
    assert any(line.startswith("document-title") for line in found)


def test_nothing_scrolls_sideways_and_targets_are_large_at_phone_width(world: World, sit: Sit) -> None:
    desk = Desk(sit(world.people["gina"], viewport=PHONE), world.open_batch())
    assert desk.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    small = desk.page.evaluate(
        "[...document.querySelectorAll('#answer button, #answer .toggle')]"
        ".filter((it) => it.checkVisibility() && it.offsetHeight < 44).map((it) => it.textContent)"
    )
    assert small == []


def test_nothing_scrolls_on_a_laptop(world: World, sit: Sit) -> None:
    desk = Desk(sit(world.people["gina"], viewport=WIDE), world.open_batch())
    assert desk.page.evaluate("document.documentElement.scrollHeight") == WIDE["height"]
    assert desk.page.locator("#answer [data-does=undo]").is_visible()


def test_the_first_page_is_light(world: World, sit: Sit) -> None:
    """≤ 10 requests and ≤ 120 KB compressed, and ≤ 1 KB per item ahead beside its own text."""
    batch = world.open_batch()
    page = sit(world.people["gina"]).new_page()
    seen: list[Response] = []
    page.on("response", lambda response: seen.append(response))
    page.goto(reverse("labeling:desk", args=[batch.uuid]), wait_until="networkidle")
    assert len(seen) <= 10, [response.url for response in seen]
    size = sum(len(gzip.compress(response.body(), 9)) for response in seen)
    assert size <= 120_000
    per_item = page.evaluate(
        "JSON.parse(document.getElementById('desk-data').textContent).hand.map((place) => JSON.stringify(place).length)"
    )
    assert max(per_item) <= 1024 + len(world.items[0].payload["text"])


def test_the_chosen_theme_is_there_before_the_first_paint_and_stays(world: World, sit: Sit) -> None:
    context = sit(world.people["gina"], color_scheme="light")
    batch = world.open_batch()
    desk = Desk(context, batch)
    theme = "document.documentElement.dataset.bsTheme"
    assert desk.page.evaluate(theme) == "light"
    desk.page.locator(".menu > summary").click()
    desk.page.get_by_label("dark").check()
    assert desk.page.evaluate(theme) == "dark"
    # Asked while the head is being read: no style sheet applies and nothing is painted yet.
    context.add_init_script(
        "document.addEventListener('readystatechange', () => { window.early ??= document.documentElement.dataset.bsTheme })"
    )
    desk.page.reload()
    assert desk.page.evaluate("window.early") == "dark"
    desk.page.locator(".menu > summary").click()
    desk.page.get_by_label("as the system").check()
    for scheme in ("dark", "light"):
        desk.page.emulate_media(color_scheme=scheme)
        expect(desk.page.locator("html")).to_have_attribute("data-bs-theme", scheme)
