"""Every page of the address table, as each role that may see it: no WCAG A or AA violation, nothing the content policy
refuses, no error in the console, no request to elsewhere, no side scroll on a phone. A new page is in by its row."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page
from playwright.sync_api import Error as PlaywrightError

from tests.browser.conftest import Watch, axe_violations
from tests.browser.server import Server
from tests.url_table import ROLES, Row, table, url_of
from tests.worlds import World

Sit = Callable[..., BrowserContext]
PHONE = {"width": 390, "height": 844}

PAGES = [row for row in table() if row.method == "get" and row.page and not row.json and 200 in row.expect.values()]


# What a page is built of, without its words, addresses and ids.
ELEMENTS = """[...document.querySelectorAll('*')].map((element) => element.tagName + '.' + element.getAttribute('class') +
    [...element.attributes].map((one) => one.name)).join()"""


def look(page: Page, url: str, who: str, known: set[str]) -> list[str]:
    """What is wrong with the page at this address, one line each. axe looks only at what is not `known` to it yet:
    most roles are shown the same elements."""
    answer = page.goto(url, wait_until="load")
    assert answer is not None
    lines = [] if answer.status == 200 else [f"status {answer.status}"]
    if (elements := page.evaluate(ELEMENTS)) not in known:
        known.add(elements)
        lines += axe_violations(page)
    if page.viewport_size == PHONE and page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]:
        lines.append("scrolls sideways")
    return [f"{who}, {url}: {line}" for line in lines]


@pytest.mark.parametrize("row", PAGES, ids=str)
def test_every_page_is_accessible_and_keeps_the_policy(world: World, sit: Sit, site: Server, row: Row) -> None:
    url = url_of(row, world) + row.query
    problems: list[str] = []
    known: set[str] = set()
    seen_on_a_phone = False
    for role in ROLES:
        if row.expect[role] != 200:
            continue
        user = world.people.get(role)
        page = sit(user).new_page()
        problems += look(page, url, role, known)
        if not seen_on_a_phone:
            page = sit(user, viewport=PHONE, color_scheme="dark").new_page()
            problems += look(page, url, f"{role} on a dark phone", set())
            seen_on_a_phone = True
    assert problems == []


@pytest.mark.parametrize("who", ["anonymous", "gene"])
def test_a_page_that_is_not_there_says_so_kindly(world: World, sit: Sit, watch: Watch, who: str) -> None:
    watch.expect(r"status of 404")
    for options in ({}, {"viewport": PHONE, "color_scheme": "dark"}):
        page = sit(world.people.get(who), **options).new_page()
        answer = page.goto("/projects/no-such-project/nothing/")
        assert answer is not None
        assert answer.status == 404
        assert "There is no such page for you" in page.inner_text("h1")
        assert axe_violations(page) == []


def test_a_page_of_another_role_says_so_kindly(world: World, sit: Sit, watch: Watch) -> None:
    watch.expect(r"status of 403")
    page = sit(world.people["gene"]).new_page()
    page.goto("/projects/phones/members/")
    assert "Not part of your role" in page.inner_text("h1")
    assert axe_violations(page) == []


def test_logging_in_and_out_by_keyboard(world: World, sit: Sit, site: Server) -> None:
    world.open_batch()
    page = sit().new_page()
    page.goto("/")
    # The page focuses the name after it has loaded; a key before that goes nowhere.
    page.wait_for_function("document.activeElement.id === 'id_username'")
    page.keyboard.type("gene")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/")
    assert page.inner_text("h1").endswith(", Gene")
    page.keyboard.press("Enter")
    page.wait_for_url("**/desk/")
    page.locator(".menu > summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/log-in/")
    assert "You are logged out." in page.inner_text("main")


def test_an_invite_link_is_copied_and_lets_someone_in(world: World, sit: Sit, site: Server) -> None:
    owner = sit(world.people["olga"], permissions=["clipboard-read", "clipboard-write"]).new_page()
    owner.goto("/projects/phones/members/")
    owner.get_by_role("link", name="Invite").click()
    owner.select_option("#id_cohort", "target_user")
    owner.get_by_role("button", name="Make the link").click()
    owner.get_by_role("button", name="Copy link 1").click()
    owner.get_by_role("button", name="Copied").wait_for()
    link = owner.input_value("#link-1")
    assert link.startswith(f"{site.url}/join/")
    guest = sit().new_page()
    guest.goto(link)
    guest.fill("#id_username", "nora")
    guest.fill("#id_password", "a good long password")
    guest.fill("#id_again", "a good long password")
    guest.keyboard.press("Enter")
    guest.wait_for_url(f"{site.url}/")
    assert "Welcome to “Phone screens”." in guest.inner_text("main")
    owner.reload()
    assert "nora" in owner.inner_text("main")
    assert owner.locator("#link-1").count() == 0, "its one use is taken"


def test_axe_looks_again_where_the_elements_differ(world: World, sit: Sit) -> None:
    """The control of what is looked at once: a page that lost a name or gained a class is a new one, other words are not."""
    page = sit(world.people["gene"]).new_page()
    page.goto("/account/")
    elements = page.evaluate(ELEMENTS)
    page.evaluate("document.querySelector('h1').textContent = 'Other words'")
    assert page.evaluate(ELEMENTS) == elements
    page.evaluate("document.querySelector('main').classList.add('muted')")
    changed = page.evaluate(ELEMENTS)
    assert changed != elements
    page.evaluate("document.querySelector('nav, label[for]').removeAttribute('for')")
    assert page.evaluate(ELEMENTS) != changed


# --- negative controls: each kind of trouble is seen ---------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "seen"),
    [
        ("document.body.setAttribute('style', 'color: red')", "Content Security Policy"),
        ("const s = document.createElement('script'); s.textContent = '1'; document.body.append(s)", "Content Security Policy"),
        ("console.error('lost')", "lost"),
        ("setTimeout(() => { throw new Error('broken') })", "broken"),
        ("fetch('https://elsewhere.example/').catch(() => 0)", "elsewhere.example"),
    ],
)  # fmt: skip
def test_trouble_on_a_page_is_seen(world: World, sit: Sit, watch: Watch, trouble: str, seen: str) -> None:
    page = sit(world.people["gene"]).new_page()
    page.goto("/account/")
    page.context.new_cdp_session(page).send("Runtime.evaluate", {"expression": trouble})
    page.wait_for_timeout(200)
    assert any(seen in line for line in watch.trouble()), watch.seen
    watch.expect(".*")


def test_axe_sees_a_field_without_a_name_and_pale_text(world: World, sit: Sit) -> None:
    page = sit(world.people["gene"]).new_page()
    page.goto("/account/")
    assert axe_violations(page) == []
    plant = "document.querySelector('label[for=id_display_name]').remove()"
    page.context.new_cdp_session(page).send("Runtime.evaluate", {"expression": plant})
    assert any(line.startswith("label:") for line in axe_violations(page))


def test_a_server_that_is_gone_is_noticed(world: World, sit: Sit, watch: Watch) -> None:
    page = sit().new_page()
    with pytest.raises(PlaywrightError):
        page.goto("http://127.0.0.1:9/")
    assert any("request to elsewhere" in line for line in watch.trouble())
    watch.expect(".*")
