"""Pages of the loop: what they say, in which words, and to whom."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from consistency.comparing import compare_batch
from consistency.gains import measure_gain
from consistency.measuring import measure_now
from consistency.relabeling import Sizes
from labeling.models import Batch, Membership
from labeling.vocabulary import Cohort
from tests.loop.scenes import publish_next, read_by_all, relabel
from tests.loop.test_gain import D, N, ac1, simulated
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


def page_of(client: Client, world: World, who: str, name: str, *args: Any, **query: str) -> str:
    client.force_login(world.people[who])
    answer = client.get(reverse(f"consistency:{name}", args=[world.project.slug, *args]), query)
    assert answer.status_code == 200, answer
    return re.sub(r"\s+", " ", answer.content.decode().replace("\u00a0", " "))


def test_a_useless_revision_is_not_praised(client: Client) -> None:
    world = World.build(items=60, slug="control-page")
    before = world.open_batch("Before")
    simulated(world, before, ["gene", "gina"], 1)
    compare_batch(batch=before)
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    simulated(world, after, ["gene", "gina"], 1)
    measure_gain(after)
    page = page_of(client, world, "sam", "comparison", after.uuid)
    assert "No gain can be told apart from chance." in page, re.findall(r"lead.{400}", page)
    assert "Yes." not in page
    assert "Chosen because they disagreed: rises by itself." in page
    assert "Worth going on" not in page


def test_the_overview_takes_a_relabeled_batch_as_its_comparison_does(client: Client) -> None:
    """Not by roles, which are chosen or few: on the items that nobody chose by their answers."""
    world, before, after = ac1()
    for batch in (before, after):
        measure_now(batch)
    client.force_login(world.people["olga"])
    address = reverse("labeling:project", args=[world.project.slug])
    roles = re.sub(r"<[^>]+>", "", client.get(address).content.decode())
    assert "α, generalists, " in roles, "before it is compared: by a role"
    run = measure_gain(after)
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", client.get(address).content.decode().replace("\u00a0", " ")))
    assert "Under v2 agreement (α) is 1.00 among generalists." in page
    assert "generalists from 0.39 to 1.00" in page
    assert "HLP: generalists from 66.7 % to 100.0 %" in page
    assert run.findings["history"][-1]["figures"][""]["value"] == 1.0


def test_csv_holds_every_figure_and_undefined_ones_say_why(client: Client) -> None:
    world, _, after = ac1()
    measure_gain(after)
    client.force_login(world.people["mel"])
    text = client.get(reverse("consistency:comparison_csv", args=[world.project.slug, after.uuid])).content.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    share = next(row for row in rows if (row["sample"], row["figure"]) == ("whole", "percent_agreement"))
    assert (round(float(share["before"]), 3), float(share["after"])) == (0.667, 1.0)
    assert all(bool(row["change"]) != bool(row["undefined"]) for row in rows)
    assert share["undefined"] == ""
    assert {row["cohort"] for row in rows} <= {"", *Cohort.values}
    text = client.get(reverse("consistency:history_csv", args=[world.project.slug, after.uuid])).content.decode()
    history = list(csv.DictReader(io.StringIO(text)))
    assert [(row["version"], row["cohort"]) for row in history] == [("1", "all"), ("2", "all")]


def test_empty_projects_say_what_comes_first(client: Client) -> None:
    world = World.build()
    assert "There is one definition so far" in page_of(client, world, "olga", "comparisons")
    version = publish_next(world, world.version)
    assert "Nothing has been labeled again yet" in page_of(client, world, "olga", "comparisons")
    assert "Nothing to label again" in page_of(client, world, "olga", "relabel_offer", version.uuid)


def test_the_offer_counts_costs_and_time(client: Client) -> None:
    world = World.build(items=12)
    before = world.open_batch("Before")
    for who in ("gene", "gina"):
        world.say(before, who, {f"n{n}": D if n % 2 or who == "gene" else N for n in range(1, 13)})
    Membership.objects.filter(project=world.project, cohort="generalist").update(cost_per_label="0.12", daily_cap=10)
    compare_batch(batch=before)
    version = publish_next(world, world.version)
    page = page_of(client, world, "sam", "relabel_offer", version.uuid)
    assert "labels on 12 items" in page
    assert "6 people differed on, 6 nobody disputed, 0 fresh." in page, re.findall(r"[^<>]*differed[^<>]*", page)
    assert "2.88" in page, "24 labels at 0.12"
    assert "2 days" in page, "ten a day each"
    assert "The project’s owner opens it." in page
    client.force_login(world.people["olga"])
    url = reverse("consistency:relabel_offer", args=[world.project.slug, version.uuid])
    counted = client.post(url, {"act": "count", "scope": "some", "normal": "4", "fresh": "0", "name": "x"})
    assert "labels on 4 items" in re.sub(r"\s+", " ", counted.content.decode()).replace("\u00a0", " ")
    opened = client.post(url, {"act": "open", "scope": "all", "fresh": "0", "name": "Again"})
    assert opened.status_code == 302
    run_jobs()
    batch = Batch.objects.get(name="Again")
    assert (batch.status, batch.kind) == ("open", "relabel")
    assert "“Again” is there already." in page_of(client, world, "olga", "relabel_offer", version.uuid)


def test_the_version_tells_its_story(client: Client) -> None:
    world, _, after = ac1()
    client.force_login(world.people["sam"])
    url = reverse("labeling:guideline", args=[world.project.slug, after.guideline_version.uuid])
    assert "Being labeled again." in client.get(url).content.decode()
    measure_gain(after)
    page = re.sub(r"\s+", " ", client.get(url).content.decode()).replace("\u00a0", " ")
    assert "HLP from 66.7 % to 100.0 %" in page
    assert reverse("consistency:comparison", args=[world.project.slug, after.uuid]) in page
    client.force_login(world.people["gene"])
    assert "Did it help?" not in client.get(url).content.decode(), "figures are not the raters' business"


def test_looks_at_an_unfinished_batch_are_few_and_said(client: Client) -> None:
    world = World.build(items=6)
    before = world.open_batch("Before")
    for who in ("gene", "gina"):
        world.say(before, who, {f"n{n}": D for n in range(1, 7)})
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    world.say(after, "gene", {f"n{n}": D for n in range(1, 7)})
    page = page_of(client, world, "olga", "comparison", after.uuid)
    assert "Not finished yet." in page
    assert "Look now (1 of 3)" in page
    client.post(reverse("consistency:comparison_look", args=[world.project.slug, after.uuid]))
    run_jobs()
    page = page_of(client, world, "olga", "comparison", after.uuid)
    assert "Looks so far: 1" in page


def test_different_raters_and_a_collapse_are_said(client: Client) -> None:
    world = World.build(items=10)
    before = world.open_batch("Before")
    world.say(before, "gene", {f"n{n}": D if n < 6 else N for n in range(1, 11)})
    world.say(before, "gina", {f"n{n}": D if n < 4 or n > 8 else N for n in range(1, 11)})
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    read_by_all(world, after)
    for who in ("gene", "gina"):
        world.say(after, who, {f"n{n}": N for n in range(1, 11)})
    measure_gain(after)
    page = page_of(client, world, "olga", "comparison", after.uuid)
    assert "Look first" in page or "It cannot be said" in page
    assert "hardly given any more" in page


def test_the_stop_rule_is_settled_by_the_owner(client: Client) -> None:
    world, _, after = ac1()
    measure_gain(after)
    client.force_login(world.people["olga"])
    url = reverse("consistency:stop_rule", args=[world.project.slug])
    client.post(url, {"delta_min": "0.1", "agreement_target": "0.6", "planned_looks": "2", "most_rounds": "3"})
    world.project.refresh_from_db()
    assert world.project.settings["delta_min"] == 0.1
    after = Batch.objects.select_related("project", "guideline_version", "parent").get(pk=after.pk)
    run = measure_gain(after)
    assert run.parameters["target"] == 0.6
    client.post(url, {"delta_min": "7", "planned_looks": "0", "most_rounds": "3"})
    world.project.refresh_from_db()
    assert world.project.settings["delta_min"] == 0.1


def test_the_comparison_page_takes_few_queries(client: Client, django_assert_max_num_queries: Any) -> None:
    """The same number for 6 items as for 60: figures are stored, not worked out here."""
    world, _, after = ac1()
    measure_gain(after)
    client.force_login(world.people["olga"])
    url = reverse("consistency:comparison", args=[world.project.slug, after.uuid])
    client.get(url)
    with django_assert_max_num_queries(22):
        assert client.get(url).status_code == 200
