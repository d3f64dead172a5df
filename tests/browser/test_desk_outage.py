"""Nothing is lost: dropped networks, broken servers, reloads, log-outs, leases that ran out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import BrowserContext, Route, expect

from labeling.claiming import claim_next
from labeling.models import Assignment, Batch
from labeling.submission import skip_place
from tests.browser.conftest import Watch
from tests.browser.desk import Desk, answers
from tests.worlds import PASSWORD, World

Sit = Callable[..., BrowserContext]
SUBMIT = "**/desk/submit"
UNREACHABLE = "ERR_INTERNET_DISCONNECTED|ERR_FAILED|ERR_CONNECTION"


def values(batch: Batch, name: str) -> list[str]:
    return [annotation.value for annotation in answers(batch, name)]


def test_gina_goes_on_without_a_network_and_everything_goes_out_when_it_is_back(
    world: World, sit: Sit, watch: Watch
) -> None:
    watch.expect(UNREACHABLE)
    batch = world.open_batch()
    context = sit(world.people["gina"])
    desk = Desk(context, batch)
    context.set_offline(True)
    desk.press("1", "0", "1")
    desk.kept(3)
    expect(desk.page.locator("[data-trouble]")).to_contain_text("Nothing is lost.")
    assert answers(batch, "gina") == []
    desk.press("0")  # the last of the four in the hand
    expect(desk.page.locator(".waits")).to_be_visible()
    desk.press("u")  # was never sent: simply taken back
    assert desk.position == "4"
    context.set_offline(False)
    desk.press("r")
    desk.saved()
    expect(desk.page.locator("[data-trouble]")).to_have_count(0)
    assert values(batch, "gina") == ["defect", "no_defect", "defect"]


def test_answers_survive_a_reload_while_the_server_is_down(world: World, sit: Sit, watch: Watch) -> None:
    watch.expect("503")
    batch = world.open_batch()
    context = sit(world.people["gina"])
    context.route("**/desk/*", _down)
    desk = Desk(context, batch)
    desk.press("1", "0")
    desk.kept(2)
    third = desk.text
    desk.page.reload()
    desk.settle()
    assert desk.text == third
    context.unroute("**/desk/*")
    desk.press("r")
    desk.saved()
    assert values(batch, "gina") == ["defect", "no_defect"]


def test_control_without_the_browsers_store_a_reload_loses_the_answer(world: World, sit: Sit, watch: Watch) -> None:
    """Negative control of the test above: what is kept in the browser is what survives."""
    watch.expect("503")
    batch = world.open_batch()
    context = sit(world.people["gina"])
    context.route("**/desk/*", _down)
    desk = Desk(context, batch)
    desk.press("1")
    desk.kept(1)
    desk.page.evaluate("localStorage.clear()")
    desk.page.reload()
    context.unroute("**/desk/*")
    desk.settle()
    desk.saved()
    assert values(batch, "gina") == []


def _down(route: Route) -> None:
    if route.request.method == "POST":
        route.fulfill(status=503, body="down")
    else:
        route.continue_()


def test_a_reply_lost_on_its_way_records_the_answer_once(world: World, sit: Sit, watch: Watch) -> None:
    watch.expect(UNREACHABLE)
    batch = world.open_batch()
    context = sit(world.people["gina"])
    desk = Desk(context, batch)

    def record_and_drop(route: Route) -> None:
        assert route.fetch().status == 201
        route.abort()

    context.route(SUBMIT, record_and_drop, times=1)
    desk.press("1")
    desk.kept(1)
    assert values(batch, "gina") == ["defect"]
    desk.press("r")
    desk.saved()
    assert values(batch, "gina") == ["defect"]
    assert answers(batch, "gina")[0].revision == 1


def test_a_log_out_in_mid_session_keeps_the_answers_and_logging_in_sends_them(
    world: World, sit: Sit, watch: Watch
) -> None:
    watch.expect("401")
    batch = world.open_batch()
    desk = Desk(sit(world.people["gina"]), batch)
    Session.objects.all().delete()
    desk.press("1", "0")
    desk.kept(2)
    desk.page.get_by_role("link", name="Log in again").click()
    desk.page.fill("[name=username]", "gina")
    desk.page.fill("[name=password]", PASSWORD)
    desk.page.keyboard.press("Enter")
    desk.page.wait_for_url("**/desk/")
    desk.settle()
    desk.saved()
    assert desk.position == "3"
    assert values(batch, "gina") == ["defect", "no_defect"]


def test_another_person_on_the_same_computer_never_sends_ginas_answers(world: World, sit: Sit, watch: Watch) -> None:
    watch.expect("401", "503")
    batch = world.open_batch()
    context = sit(world.people["gina"])
    desk = Desk(context, batch)
    context.route(SUBMIT, _down)
    desk.press("1")
    desk.kept(1)
    context.clear_cookies()
    other = context.new_page()
    other.goto(reverse("labeling:log_in"))
    other.fill("[name=username]", "gene")
    other.fill("[name=password]", PASSWORD)
    other.keyboard.press("Enter")
    other.wait_for_url(lambda url: "log-in" not in url)
    context.unroute(SUBMIT)
    # Gina's tab is still open, and its requests now carry Gene's session.
    expect(desk.page.get_by_role("link", name="Log in again")).to_be_visible()
    expect(desk.page.locator("[data-trouble]")).to_contain_text("Someone else is logged in here now")
    desk.kept(1)
    # Gene's own desk finds nothing of hers.
    Desk(context, batch, page=other).saved()
    assert values(batch, "gene") == values(batch, "gina") == []


def test_an_item_passed_on_meanwhile_keeps_the_answer_and_offers_it_when_the_item_returns(
    transactional_db: None, sit: Sit, watch: Watch
) -> None:
    watch.expect("409")
    world = World.build(items=1)
    batch = world.open_batch(quotas={"generalist": 1})
    desk = Desk(sit(world.people["gina"]), batch)
    text = desk.text
    # The lid was closed for long: her lease ran out, and Gene took the item.
    Assignment.objects.filter(batch=batch).update(lease_until=timezone.now() - timedelta(minutes=1))
    (place,) = claim_next(by=world.people["gene"], batch=batch).places
    desk.press("1")
    expect(desk.page.locator(".banner", has_text="was passed on before your answer arrived")).to_contain_text("Defect")
    assert answers(batch, "gina") == []
    # Gene skips it, and it comes back to her with what she had answered; it is hers to send.
    skip_place(by=world.people["gene"], batch=batch, assignment=place.uuid, token=str(place.claim_token))
    desk.page.reload()
    desk.shows(text)
    assert desk.label("Defect").get_attribute("aria-pressed") == "true"
    assert answers(batch, "gina") == []
    desk.press("Enter")
    desk.saved()
    assert values(batch, "gina") == ["defect"]


def test_a_refused_answer_comes_back_filled_in(world: World, sit: Sit, watch: Watch) -> None:
    watch.expect("422")
    batch = world.open_batch()
    context = sit(world.people["gina"])
    desk = Desk(context, batch)
    first = desk.text

    def refuse(route: Route) -> None:
        route.fulfill(status=422, json={"code": "bad_value", "message": "That is not a label.", "data": {}})

    context.route(SUBMIT, refuse, times=1)
    desk.press("1")
    expect(desk.page.locator(".banner", has_text="was not recorded")).to_contain_text("That is not a label.")
    desk.press("0")
    desk.saved()
    desk.settle()
    assert desk.text == first
    assert desk.label("Defect").get_attribute("aria-pressed") == "true"
    desk.press("Enter")
    desk.saved()
    assert values(batch, "gina") == ["no_defect", "defect"]


def test_a_draft_survives_a_reload(world: World, sit: Sit) -> None:
    batch = world.open_batch()
    desk = Desk(sit(world.people["gina"]), batch)
    desk.press("c")
    desk.page.keyboard.type("half a thought")
    desk.press("Escape", "b", "1")
    desk.page.reload()
    desk.settle()
    assert desk.page.input_value("#comment") == "half a thought"
    expect(desk.page.locator("#pending-words")).to_contain_text("Defect, borderline")
    desk.press("Enter")
    desk.saved()
    (only,) = answers(batch, "gina")
    assert (only.value, only.borderline, only.comment) == ("defect", True, "half a thought")
