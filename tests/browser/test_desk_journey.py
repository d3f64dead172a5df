"""A rater at the desk, by keyboard: what one key does, what two do, and that the ledger says the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import BrowserContext, Route, expect

from labeling.models import Assignment, GuidelineVersion, LabelDefinition, Question
from labeling.vocabulary import Outcome, PlaceStatus, VersionStatus
from tests.browser.conftest import Watch
from tests.browser.desk import Desk, answers, submitted
from tests.worlds import PASSWORD, World

Sit = Callable[..., BrowserContext]


@pytest.mark.slow
def test_gina_labels_fifty_items_by_keyboard_only(world: World, sit: Sit) -> None:
    world.add_items(45)
    batch = world.open_batch()
    page = sit().new_page()
    page.goto(reverse("labeling:desk", args=[batch.uuid]))
    page.locator("[name=username]").focus()
    page.keyboard.type("gina")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#item")).to_be_visible()
    desk = Desk(page.context, batch, page=page)
    given = []
    for number in range(50):
        expect(page.locator("#position")).to_have_text(str(number + 1))
        expect(page.locator("#item")).to_be_visible()
        desk.settle()  # on a busy machine the queue may have run dry, and this item came just now
        # Note number n: odd ones are defects, so the ledger can be checked item by item.
        odd = int(desk.text.split("number ")[1].split(":")[0]) % 2
        given.append("defect" if odd else "no_defect")
        desk.press("1" if odd else "0")
    desk.saved()
    expect(page.locator("#empty-title")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "empty-title"
    found = answers(batch, "gina")
    assert [annotation.value for annotation in found] == given
    assert submitted(batch, "gina") == 50
    assert {annotation.revision for annotation in found} == {1}
    assert len({annotation.assignment_id for annotation in found}) == 50
    # Time on the item is counted from when it was shown, and nobody needs a minute for one key.
    assert all(annotation.seconds is not None and 0.1 <= annotation.seconds < 30 for annotation in found)


def test_the_next_item_is_there_before_the_server_has_answered(world: World, sit: Sit) -> None:
    batch = world.open_batch()
    context = sit(world.people["gina"])
    held: list[Route] = []
    context.route("**/desk/submit", lambda route: held.append(route))
    desk = Desk(context, batch)
    before = desk.text
    desk.page.keyboard.press("1")
    assert desk.text != before
    assert desk.page.evaluate("document.activeElement.id") == "item"
    desk.settle()
    assert len(held) == 1
    held[0].continue_()
    desk.saved()
    assert len(answers(batch, "gina")) == 1


def test_double_press_double_click_and_a_held_key_record_one_answer_each(world: World, sit: Sit) -> None:
    batch = world.open_batch()
    desk = Desk(sit(world.people["gina"]), batch)
    desk.press_twice("1")
    desk.saved()
    assert len(answers(batch, "gina")) == 1
    desk.label("No defect").dblclick()
    desk.settle()
    desk.saved()
    assert len(answers(batch, "gina")) == 2
    desk.page.keyboard.down("1")
    for _ in range(5):
        desk.page.keyboard.down("1")  # the system repeats a held key
        desk.settle()
    desk.page.keyboard.up("1")
    desk.saved()
    assert [annotation.value for annotation in answers(batch, "gina")] == ["defect", "no_defect", "defect"]


def test_control_without_the_pause_a_double_press_records_two(world: World, sit: Sit) -> None:
    """Negative control of the test above: the pause after a paint is what keeps a double press single."""
    batch = world.open_batch()
    context = sit(world.people["gina"])
    context.route("**/js/desk*.js", _with("const TOO_SOON = 150;", "const TOO_SOON = 0;"))
    desk = Desk(context, batch)
    desk.press_twice("1")
    desk.saved()
    assert len(answers(batch, "gina")) == 2


def _with(old: str, new: str) -> Callable[[Route], None]:
    """A route that serves a script with one thing changed."""

    def serve(route: Route) -> None:
        response = route.fetch()
        assert old in response.text()
        route.fulfill(response=response, body=response.text().replace(old, new))

    return serve


def test_keys_are_dead_in_fields_with_modifiers_and_in_dialogs(world: World, sit: Sit) -> None:
    batch = world.open_batch()
    desk = Desk(sit(world.people["gina"]), batch)
    desk.press("Control+1", "Alt+0", "Shift+S")
    desk.press("?")
    expect(desk.page.locator("#keys")).to_be_visible()
    desk.press("1", "Escape")
    desk.press("c")
    desk.page.keyboard.type("10 s u n b")
    desk.settle()
    assert desk.position == "1"
    assert answers(batch, "gina") == []
    assert desk.page.input_value("#comment") == "10 s u n b"


def test_borderline_with_a_second_label_a_comment_and_a_reason(world: World, sit: Sit) -> None:
    batch = world.open_batch()
    desk = Desk(sit(world.people["gina"]), batch)
    desk.press("b", "1")
    expect(desk.page.locator("#pending-words")).to_have_text("Defect, borderline; press a second label if two fit")
    desk.press("0", "Enter")
    desk.press("c")
    desk.page.keyboard.type("only seen at an angle")
    desk.press("Enter", "0", "Enter")
    desk.press("n", "Enter")
    expect(desk.page.locator("#reason-panel")).to_be_visible()
    desk.press("2", "Enter")
    desk.press("n")
    desk.page.locator("#reason").fill("the lens was covered")
    desk.press("Enter")
    desk.saved()
    first, second, third, fourth = answers(batch, "gina")
    assert (first.value, first.borderline, first.second_value) == ("defect", True, "no_defect")
    assert (second.value, second.borderline, second.comment) == ("no_defect", False, "only seen at an angle")
    chosen = desk.page.locator("[data-reason]").nth(1).get_attribute("data-reason")
    assert (third.outcome, third.value, third.reason) == (Outcome.CANNOT_LABEL, None, chosen)
    assert fourth.reason == "the lens was covered"


def test_a_borderline_label_of_the_definition_takes_the_key(world: World, sit: Sit) -> None:
    version = GuidelineVersion.objects.create(project=world.project, number=2, body="Look again.")
    for ordinal, (key, hotkey, borderline) in enumerate(
        (("defect", "1", False), ("ok", "0", False), ("edge", "", True))
    ):
        LabelDefinition.objects.create(
            version=version, key=key, name=key.title(), hotkey=hotkey, ordinal=ordinal, is_borderline=borderline
        )
    GuidelineVersion.objects.filter(pk=version.pk).update(
        status=VersionStatus.PUBLISHED, published_at=timezone.now(), body_sha256="0" * 64
    )
    version.refresh_from_db()
    batch = world.open_batch(version=version)
    desk = Desk(sit(world.people["gina"]), batch)
    expect(desk.page.locator("[name=borderline]")).to_have_count(0)
    desk.press("b")
    desk.saved()
    assert [(annotation.value, annotation.borderline) for annotation in answers(batch, "gina")] == [("edge", False)]


def test_undo_shows_the_answer_again_and_the_changed_one_is_a_revision(world: World, sit: Sit) -> None:
    batch = world.open_batch()
    desk = Desk(sit(world.people["gina"]), batch)
    first = desk.text
    desk.press("1")
    desk.saved()
    second = desk.text
    desk.press("u")
    desk.shows(first)
    expect(desk.page.locator("#pending-words")).to_have_text("You had answered: Defect")
    assert desk.label("Defect").get_attribute("aria-pressed") == "true"
    desk.press("0")
    desk.saved()
    assert desk.text == second
    found = answers(batch, "gina")
    assert [(annotation.revision, annotation.value) for annotation in found] == [(1, "defect"), (2, "no_defect")]
    desk.press("u")
    desk.shows(first)
    desk.press("Escape")
    desk.shows(second)
    assert len(answers(batch, "gina")) == 2


def test_a_skip_passes_the_item_on_and_can_be_taken_back(world: World, sit: Sit) -> None:
    batch = world.open_batch()
    desk = Desk(sit(world.people["gina"]), batch)
    first = desk.text
    desk.press("s")
    desk.saved()
    assert desk.text != first
    desk.press("u")
    desk.shows(first)
    desk.press("1")
    desk.saved()
    assert not Assignment.objects.filter(batch=batch, status=PlaceStatus.SKIPPED).exists()
    assert [annotation.value for annotation in answers(batch, "gina")] == ["defect"]


def test_a_question_goes_to_the_sme_and_the_reply_comes_to_the_desk(world: World, sit: Sit) -> None:
    batch = world.open_batch()
    context = sit(world.people["gina"])
    desk = Desk(context, batch)
    desk.press("q")
    desk.page.keyboard.type("Do I add the lengths?")
    desk.press("Control+Enter")
    expect(desk.page.locator(".banner", has_text="Your question is on its way")).to_be_visible()
    question = Question.objects.get()
    assert (question.text, question.by.user.username) == ("Do I add the lengths?", "gina")
    Question.objects.update(answer="Each counts alone.", answered_by=world.people["sam"], answered_at=timezone.now())
    desk.page.reload()
    reply = desk.page.locator("[data-reply]")
    expect(reply).to_contain_text("Sam Ode answered your question.")
    expect(reply).to_contain_text("Each counts alone.")
    reply.get_by_text("OK").click()
    expect(reply).to_have_count(0)


def test_two_tabs_show_different_items_and_record_each_once(world: World, sit: Sit) -> None:
    world.add_items(7)
    batch = world.open_batch()
    context = sit(world.people["gina"])
    left, right = Desk(context, batch), Desk(context, batch)
    assert left.text != right.text
    for _ in range(4):
        left.page.bring_to_front()
        left.press("1")
        right.page.bring_to_front()
        right.press("0")
    left.saved()
    right.saved()
    found = answers(batch, "gina")
    assert len(found) == len({annotation.assignment_id for annotation in found}) == 8
    assert {annotation.revision for annotation in found} == {1}


def test_single_keys_can_be_switched_off_and_everything_still_works_by_tab(world: World, sit: Sit) -> None:
    batch = world.open_batch()
    desk = Desk(sit(world.people["gina"]), batch)
    desk.press("?")
    desk.page.get_by_role("button", name="Turn single keys off").click()
    desk.page.wait_for_load_state()
    world.people["gina"].refresh_from_db()
    assert not world.people["gina"].single_key_shortcuts
    desk.press("1", "s", "n", "?")
    assert answers(batch, "gina") == []
    expect(desk.page.locator("#keys")).to_be_hidden()
    assert not desk.label("Defect").locator("kbd").is_visible()
    desk.label("No defect").focus()
    desk.press("Enter")
    desk.saved()
    assert [annotation.value for annotation in answers(batch, "gina")] == ["no_defect"]


def test_the_desk_works_without_javascript(world: World, sit: Sit) -> None:
    batch = world.open_batch()
    page = sit(world.people["gina"], java_script_enabled=False).new_page()
    page.goto(reverse("labeling:desk", args=[batch.uuid]))
    page.fill("#comment", "by form")
    page.press("#comment", "Enter")  # must not press the first label
    assert answers(batch, "gina") == []
    page.locator("[name=borderline]").check()
    page.select_option("[name=second_value]", "no_defect")
    page.locator(".label-btn", has_text="Defect").first.click()
    page.fill("#reason", "cut off")
    page.locator("#reason-panel").get_by_role("button", name="Send").click()
    page.get_by_role("button", name="Skip").click()
    page.get_by_role("button", name="Undo").click()
    first, second = answers(batch, "gina")
    assert (first.value, first.borderline, first.second_value, first.comment) == (
        "defect",
        True,
        "no_defect",
        "by form",
    )
    assert (second.outcome, second.reason) == (Outcome.CANNOT_LABEL, "cut off")


def test_watch_itself_sees_a_violation(world: World, sit: Sit, watch: Watch) -> None:
    """Negative control of every browser test: an inline handler and a request to elsewhere are noticed."""
    page: Any = sit(world.people["gina"]).new_page()
    page.goto(reverse("labeling:desk", args=[world.open_batch().uuid]))
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p onclick=\"1\" style=\"color:red\">x</p>')")
    page.evaluate("new Image().src = 'http://elsewhere.invalid/x.png'")
    page.wait_for_timeout(200)
    assert any("style" in line for line in watch.trouble())
    assert any("elsewhere" in line for line in watch.trouble())
    watch.seen.clear()
