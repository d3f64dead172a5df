"""The whole loop on the phone demo, as its people would go it: disagree, rule, revise, relabel, and see whether it helped."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from consistency.models import Adjudication, Disagreement, GuidelineMotive
from labeling.demo.people import seed_people
from labeling.demo.phones import seed_phones
from labeling.demo.simulate import simulate_raters
from labeling.models import Annotation, Assignment, Batch, GuidelineVersion, Item, Project, User
from tests.browser.desk import Desk
from tests.worlds import run_jobs

Sit = Callable[..., BrowserContext]
LIMIT = 0.3
SHOTS = os.environ.get("TEST_SHOTS", "")


def keep_picture(page: Page, name: str) -> None:
    """A picture of the page for looking at, where TEST_SHOTS names a folder."""
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def is_defect(item: Item) -> bool:
    """By the definition that is to come: a scratch or pit longer than 0.3 mm."""
    return item.metadata["mark"] in ("scratch", "pit") and float(item.metadata["scratch_mm"]) > LIMIT


@pytest.fixture
def demo(site: Any, settings: Any) -> tuple[Project, dict[str, User]]:
    settings.TASKS = "inline"
    users = seed_people()
    project = seed_phones(users)
    settings.TASKS = "worker"
    run_jobs()
    return project, users


def rule_by_keyboard(page: Page, project: Project) -> Adjudication:
    """Sam looks at the worst case and the ones like it, and rules on them with one rationale."""
    page.goto(reverse("consistency:bench", args=[project.slug]))
    expect(page.locator("#hold-words")).to_contain_text("held for you")
    keep_picture(page, "1-bench")
    item = Item.objects.get(project=project, external_id=page.locator("#case-main h1").inner_text())
    page.wait_for_timeout(200)
    page.keyboard.press("1" if is_defect(item) else "0")
    page.keyboard.press("a")
    page.keyboard.press("Shift+R")
    page.keyboard.press("r")
    page.keyboard.type("Nobody said from which length on a mark counts. Customer care counts it from 0.3 mm on.")
    before = Adjudication.objects.count()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#case-main h1")).not_to_have_text(item.external_id)
    for _ in range(100):
        if Adjudication.objects.count() > before:
            break
        page.wait_for_timeout(100)
    return Adjudication.objects.order_by("pk").last()  # type: ignore[return-value]


def write_v2(page: Page, project: Project) -> GuidelineVersion:
    """The limit with its sign, in the editor; then published."""
    expect(page.get_by_role("heading", name="Why this change")).to_be_visible()
    page.get_by_role("link", name="Defect", exact=True).click()
    page.locator("[name=definition]").fill("At least one mark is longer than 0.3 mm, end to end in a straight line.")
    page.locator("[name=threshold_attribute]").fill("length of the longest mark")
    page.locator("[name=threshold_operator]").select_option(">")
    page.locator("[name=threshold_value]").fill("0.3")
    page.locator("[name=threshold_unit]").fill("mm")
    page.locator("[name=include]").fill("scratches and pits")
    page.locator("[name=exclude]").fill("discoloration")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messages")).to_contain_text("saved")
    page.get_by_role("link", name="No defect", exact=True).click()
    page.locator("[name=definition]").fill("No mark is longer than 0.3 mm.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messages")).to_contain_text("saved")
    page.get_by_role("link", name="Instructions", exact=True).click()
    page.locator("[name=body]").fill(
        "Look at the picture. Is a mark longer than 0.3 mm? The bar at the lower left is 0.1 mm long."
    )
    page.get_by_role("button", name="Save", exact=True).click()
    keep_picture(page, "2-draft")
    page.get_by_role("link", name=re.compile("Publish")).click()
    expect(page.get_by_role("heading", name="What publishing would start")).to_be_visible()
    keep_picture(page, "3-publish")
    page.get_by_role("button", name=re.compile("^Publish v2")).click()
    expect(page.get_by_role("heading", name="Does v2 help? Label again")).to_be_visible()
    return GuidelineVersion.objects.get(project=project, number=2)


def label_some(sit: Sit, user: User, batch: Batch, count: int) -> None:
    """A rater reads what is new, once, and labels a few screens by keyboard, by the rule they have just read."""
    page = sit(user).new_page()
    page.goto(reverse("labeling:desk", args=[batch.uuid]))
    expect(page.get_by_role("heading", name=re.compile("definition v2"))).to_be_visible()
    expect(page.locator("section", has=page.locator("#new"))).to_contain_text("longer than 0.3 mm")
    if user.username == "gene":
        keep_picture(page, "5-what-changed")
    page.keyboard.press("Enter")
    expect(page.locator("#item")).to_be_visible()
    desk = Desk(page.context, batch, page=page)
    for number in range(count):
        expect(page.locator("#position")).to_have_text(str(number + 1))
        desk.settle()
        desk.saved()
        done = Annotation.objects.filter(assignment__batch=batch, assignment__member__user=user)
        place = (
            Assignment.objects.filter(batch=batch, member__user=user, status="claimed")
            .exclude(annotations__in=done)
            .select_related("batch_item__item")
            .order_by("rank")
            .first()
        )
        assert place is not None
        desk.press("1" if is_defect(place.batch_item.item) else "0")
    desk.saved()
    assert Annotation.objects.filter(assignment__batch=batch, assignment__member__user=user).count() == count
    page.context.close()


def rater_sees_nothing_of_before(sit: Sit, user: User, batch: Batch) -> None:
    place = Assignment.objects.filter(batch=batch, reserved_for__user=user).first()
    assert place is not None, "places are kept for those who labeled before"


@pytest.mark.slow
def test_from_raters_disagree_to_agreement_rose(demo: tuple[Project, dict[str, User]], sit: Sit) -> None:
    project, users = demo
    first = Batch.objects.get(project=project)
    disputed = Disagreement.objects.filter(batch=first, status="open").exclude(kind="audit").count()
    assert disputed > 15, "six people who each drew the line somewhere else"

    sam = sit(users["sam"]).new_page()
    ruling = rule_by_keyboard(sam, project)
    second = rule_by_keyboard(sam, project)
    assert (ruling.cause, ruling.outcome, second.by) == ("ambiguous_definition", "revise", users["sam"])
    sam.goto(reverse("consistency:bench_case", args=[project.slug, ruling.disagreement.uuid]) + "?state=ruled")
    sam.get_by_role("button", name="Take it into the draft definition").click()
    version = write_v2(sam, project)
    assert GuidelineMotive.objects.filter(guideline_version=version).count() >= 1
    keep_picture(sam, "4-offer-sam")
    expect(sam.get_by_text("The project’s owner opens it.")).to_be_visible()

    olga = sit(users["olga"]).new_page()
    olga.goto(reverse("consistency:relabel_offer", args=[project.slug, version.uuid]))
    expect(olga.locator("#relabel-plan")).to_contain_text("fresh")
    keep_picture(olga, "4-offer")
    olga.get_by_role("button", name="Open the relabel batch").click()
    expect(olga.get_by_text("blind to what they said")).to_be_visible()
    run_jobs()
    again = Batch.objects.select_related("project", "guideline_version", "parent").get(project=project, kind="relabel")
    assert (again.status, again.parent) == ("open", first)

    for name in ("gene", "gina", "ella", "tom"):
        rater_sees_nothing_of_before(sit, users[name], again)
        label_some(sit, users[name], again, 2)
    # The others, and the rest of their screens, are simulated as `manage.py simulate_raters` does.
    simulate_raters(batch=again)
    run_jobs()

    olga.goto(reverse("consistency:comparison", args=[project.slug, again.uuid]))
    run_jobs()
    lead = olga.locator(".lead")
    expect(lead).to_contain_text("Agreement beyond chance (α) rose by", timeout=15_000)
    said = lead.inner_text()
    assert re.search(r"rose by 0\.\d\d \[\+0\.\d\d, \+0\.\d\d\], from 0\.\d\d to 0\.\d\d", said), said
    assert re.search(r"HLP, rater against rater, went from \d\d\.\d\s% to \d\d\.\d\s%", said), said
    keep_picture(olga, "6-comparison")
    expect(olga.get_by_text("Chosen because they disagreed: rises by itself.")).to_be_visible()

    sam.goto(reverse("labeling:guideline", args=[project.slug, version.uuid]))
    story = sam.locator("section", has=sam.locator("#result"))
    expect(story).to_contain_text(re.compile(r"Agreement rose by 0\.\d\d \[.*\], HLP from \d\d\.\d\s% to \d\d\.\d\s%"))
    keep_picture(sam, "7-version")
