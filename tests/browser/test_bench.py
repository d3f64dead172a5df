"""Sam at the bench, by keyboard: cases one after the other, what the server refuses, discussions, and the switch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from consistency import holding
from consistency.models import Adjudication, Disagreement
from labeling.submission import Answer
from tests.bench.helpers import B, case_of, disputed, revise
from tests.browser.conftest import Watch, axe_violations
from tests.worlds import World

Sit = Callable[..., BrowserContext]
PAINT = 200  # keys right after a paint belong to the case before


def at_the_bench(world: World, sit: Sit, **options: Any) -> Page:
    page = sit(world.people["sam"], **options).new_page()
    page.goto("/projects/phones/bench/")
    expect(page.locator("#hold-words")).to_contain_text("held for you")
    return page


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def rule_by_keys(page: Page, words: str = "No length is named.") -> None:
    page.wait_for_timeout(PAINT)
    press(page, "0", "a", "Shift+R", "r")
    page.keyboard.type(words)
    page.keyboard.press("Control+Enter")


def shown(page: Page) -> str:
    return page.locator("#case-main h1").inner_text()


def test_sam_rules_three_cases_by_keyboard_only(world: World, sit: Sit) -> None:
    disputed(world)
    page = at_the_bench(world, sit)
    seen = []
    for number in range(3):
        seen.append(shown(page))
        if number == 1:
            # Shift is read, not Caps Lock: a capital letter without Shift is a cause, not an outcome.
            page.wait_for_timeout(PAINT)
            page.evaluate(
                """document.dispatchEvent(new KeyboardEvent("keydown", {key: "A", code: "KeyA", bubbles: true}))"""
            )
            assert page.locator("[name=cause][value=ambiguous_definition]").is_checked()
            assert not page.locator("[name=outcome][value=adjudicate]").is_checked()
        rule_by_keys(page)
        if number < 2:
            expect(page.locator("#case-main h1")).not_to_have_text(seen[-1])
            assert page.evaluate("document.activeElement.tagName") == "H1"
    expect(page.locator("#main")).to_contain_text("Nothing waits for a ruling")
    assert len(set(seen)) == 3
    made = list(Adjudication.objects.all())
    assert {(one.value, one.cause, one.outcome, one.rationale) for one in made} == {
        (B, "ambiguous_definition", "revise", "No length is named.")
    }
    assert len(made) == 3


def test_the_next_case_is_there_before_the_server_has_answered(world: World, sit: Sit) -> None:
    disputed(world)
    context = sit(world.people["sam"])
    waiting: list[Route] = []
    context.route("**/rule", lambda route: waiting.append(route))
    page = context.new_page()
    page.goto("/projects/phones/bench/")
    expect(page.locator("#hold-words")).to_contain_text("held for you")
    first = shown(page)
    page.wait_for_timeout(500)  # the next one is fetched meanwhile
    rule_by_keys(page)
    expect(page.locator("#case-main h1")).not_to_have_text(first)
    assert not Adjudication.objects.exists()
    page.wait_for_timeout(100)
    waiting.pop().continue_()
    expect(page.locator("#bench-said")).to_have_text(f"Ruled on {first}.")
    assert Adjudication.objects.count() == 1


def test_what_is_missing_is_said_and_nothing_is_sent(world: World, sit: Sit) -> None:
    disputed(world)
    page = at_the_bench(world, sit)
    page.wait_for_timeout(PAINT)
    for keys, words in ((("Enter",), "Choose the cause"), (("a", "Enter"), "Choose the outcome"),
                        (("Shift+A", "Enter"), "Choose the label"), (("1", "Enter"), "Say why")):  # fmt: skip
        press(page, *keys)
        expect(page.locator("#ruling-wrong")).to_contain_text(words)
    # The field for the reason has the focus now: keys are text there.
    page.keyboard.type("0 j k")
    assert page.locator("#why").input_value() == "0 j k"
    assert page.locator("[name=value][value=defect]").is_checked()
    press(page, "Escape", "0")
    assert page.locator("[name=value][value=no_defect]").is_checked()
    assert not Adjudication.objects.exists()


def test_a_refused_ruling_comes_back_with_its_text(world: World, sit: Sit, watch: Watch) -> None:
    watch.expect(r"status of 409")
    batch = disputed(world)
    page = at_the_bench(world, sit)
    first = shown(page)
    revise(world, batch, "gina", first, Answer(outcome="cannot_label", reason="Blurred."))
    rule_by_keys(page, "Clean by any reading.")
    banner = page.locator("#bench-news .banner-problem")
    expect(banner).to_contain_text(f"{first} was not recorded: An answer was changed")
    assert not Adjudication.objects.exists()
    banner.get_by_role("button", name="Back to it").click()
    expect(page.locator("#case-main h1")).to_have_text(first)
    expect(page.locator("#why")).to_have_value("Clean by any reading.")
    expect(page.locator("#case-main")).to_contain_text("Blurred.")
    expect(page.locator("#hold-words")).to_contain_text("held for you")
    page.wait_for_timeout(PAINT)
    press(page, "Enter")
    expect(page.locator("#case-main h1")).not_to_have_text(first)
    expect(page.locator("#bench-said")).to_have_text(f"Ruled on {first}.")
    assert Adjudication.objects.get().disagreement.kind == "outcome"


def test_holds_come_and_go_with_the_case(world: World, sit: Sit, watch: Watch) -> None:
    watch.expect(r"status of 409")
    batch = disputed(world)
    page = at_the_bench(world, sit)
    first = shown(page)
    holding.hold_disagreement(by=world.seat("olga"), disagreement=case_of(batch, "n3"))
    press(page, "j")
    expect(page.locator("#case-main h1")).not_to_have_text(first)
    expect(page.locator("#hold-words")).to_contain_text("held for you")
    for _ in range(50):
        if case_of(batch, first).status == "open":
            break
        page.wait_for_timeout(100)
    assert case_of(batch, first).status == "open"
    press(page, "j")
    expect(page.locator("#hold-words")).to_contain_text("someone else is ruling", ignore_case=True)
    taken = shown(page)
    press(page, "k")
    expect(page.locator("#case-main h1")).not_to_have_text(taken)
    press(page, "k")
    expect(page.locator("#case-main h1")).to_have_text(first)
    expect(page.locator("#hold-words")).to_contain_text("held for you")
    press(page, "h")
    expect(page.locator("#hold-words")).to_have_text("let go")


def test_the_same_ruling_for_similar_cases(world: World, sit: Sit) -> None:
    disputed(world)
    page = at_the_bench(world, sit)
    page.wait_for_timeout(PAINT)
    press(page, "x")
    expect(page.locator("#same-count")).to_have_text("2")
    rule_by_keys(page)
    expect(page.locator("#main")).to_contain_text("Nothing waits for a ruling")
    assert Disagreement.objects.filter(status="ruled").count() == 3
    assert len({made.cluster for made in Adjudication.objects.all()}) == 1


def test_asking_the_raters(world: World, sit: Sit) -> None:
    batch = disputed(world)
    page = at_the_bench(world, sit)
    first = shown(page)
    page.wait_for_timeout(PAINT)
    press(page, "w")
    page.keyboard.type("How long is it?")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#case-main h1")).not_to_have_text(first)
    expect(page.locator("#bench-said")).to_have_text(f"The raters of {first} are asked.")
    assert case_of(batch, first).status == "discussing"


def test_the_switch_for_single_keys(world: World, sit: Sit) -> None:
    disputed(world)
    world.people["sam"].single_key_shortcuts = False
    world.people["sam"].save()
    page = at_the_bench(world, sit)
    first = shown(page)
    page.wait_for_timeout(PAINT)
    press(page, "j", "1", "a", "Shift+R")
    assert shown(page) == first
    assert page.locator("#ruling input:checked").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_bench_without_a_script_and_its_parts_are_accessible(world: World, sit: Sit, scheme: str) -> None:
    disputed(world)
    page = at_the_bench(world, sit, color_scheme=scheme)
    press(page, "j")
    expect(page.locator("#hold-words")).to_contain_text("held for you")
    assert axe_violations(page) == []
    plain = sit(world.people["olga"], java_script_enabled=False).new_page()
    plain.goto("/projects/phones/bench/")
    for name, value in (("value", B), ("cause", "rater_slip"), ("outcome", "adjudicate")):
        plain.locator(f"#ruling [name={name}][value={value}]").check(force=True)
    plain.locator("#why").fill("Clean.")
    plain.get_by_role("button", name="Rule and next").click()
    assert Adjudication.objects.get().rationale == "Clean."
