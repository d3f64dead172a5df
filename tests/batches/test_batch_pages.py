"""Stories of the owner's pages: a batch is created, opened, extended, closed and opened again in the browser."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling import jobs
from labeling.claiming import claim_next
from labeling.models import Assignment, Batch, BatchItem, Job, Membership
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


def client_of(world: World, name: str) -> Client:
    client = Client()
    client.force_login(world.people[name])
    return client


@pytest.fixture
def olga(world: World) -> Client:
    return client_of(world, "olga")


def url(world: World, name: str, batch: Batch | None = None) -> str:
    args: list[Any] = [world.project.slug] + ([batch.uuid] if batch else [])
    return reverse(f"labeling:{name}", args=args)


def filled(world: World, **more: Any) -> dict[str, Any]:
    return {
        "name": "First look", "version": str(world.version.uuid), "mode": "all", "order": "shuffled",
        "raters_generalist": "2", "act": "open", **more,
    }  # fmt: skip


def test_creating_and_opening_lays_out_the_places(world: World, olga: Client) -> None:
    response = olga.post(url(world, "batch_create"), filled(world, most_generalist="4", seed="9", priority="3"))
    batch = Batch.objects.get()
    assert response.url == url(world, "batch", batch)
    assert (batch.status, batch.seed, batch.priority) == ("opening", 9, 3)
    page = olga.get(url(world, "batch", batch)).content.decode()
    assert "Waiting for the background worker" in page
    assert 'hx-trigger="every 2s"' in page
    run_jobs()
    page = olga.get(url(world, "batch", batch)).content.decode()
    assert "0 of 10 answers" in page
    assert "at most 4" in page
    assert "all items, shuffled, seed 9" in page
    piece = olga.get(url(world, "batch", batch), headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in piece
    assert "0 of 10 answers" in piece


def test_a_draft_shows_its_plan_and_is_opened_after_a_question(world: World, olga: Client) -> None:
    olga.post(url(world, "batch_create"), filled(world, act="draft", mode="random", size="3"))
    batch = Batch.objects.get()
    assert batch.status == "draft"
    page = olga.get(url(world, "batch", batch)).content.decode()
    assert "Nothing is served yet" in page
    question = olga.get(url(world, "batch_open", batch)).content.decode()
    assert re.search(r"3 <span[^>]*>items", question)
    assert Batch.objects.get().status == "draft", "looking at the question opens nothing"
    olga.post(url(world, "batch_open", batch))
    run_jobs()
    assert BatchItem.objects.count() == 3
    again = olga.post(url(world, "batch_open", batch), follow=True)
    assert "has been opened already" in again.content.decode()


def test_the_count_follows_the_form(world: World, olga: Client) -> None:
    Membership.objects.filter(user=world.people["gene"]).update(cost_per_label="0.5")

    def count(**query: Any) -> str:
        data = {"mode": "all", "order": "shuffled", "raters_generalist": "2", **query}
        piece = olga.get(url(world, "batch_estimate"), data).content.decode()
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", piece))

    assert "5 items" in count()
    assert "10" in count()
    assert "5.00" in count(), "10 places at 0.5"
    assert "2 items" in count(mode="random", size="2")
    assert "2 items" in count(field_1="camera", value_1="1"), "items 1 and 4"
    assert "Nothing matches" in count(tags="nowhere")
    assert "The count appears once" in count(mode="random", size="")
    assert "The count appears once" in count(mode="nonsense")
    assert "Give at least one cohort" in count(raters_generalist="")
    without_script = olga.post(url(world, "batch_create"), filled(world, act="count", mode="random", size="4"))
    assert without_script.status_code == 200
    assert "4 <span" in without_script.content.decode()
    assert not Batch.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": ""}, "required"),
        ({"raters_generalist": ""}, "at least one cohort"),
        ({"raters_generalist": "51"}, "less than or equal to 50"),
        ({"raters_generalist": "3", "most_generalist": "2"}, "below the overlap of 3"),
        ({"mode": "random"}, "how many items"),
        ({"mode": "stratified", "size": "3"}, "metadata field whose shares"),
        ({"value_1": "x"}, "Choose the field"),
        ({"field_1": "camera", "field_2": "camera", "value_1": "1", "value_2": "2"}, "filtered by twice"),
        ({"field_1": "nothing__like"}, "not one of the available choices"),
        ({"version": "x"}, "not a valid UUID"),
        ({"seed": "-1"}, "greater than or equal to 0"),
        ({"size": "9" * 30, "mode": "random"}, "less than or equal to"),
    ],
    ids=str,
)
def test_a_wrong_form_says_what_would_be_right(world: World, olga: Client, wrong: dict[str, str], words: str) -> None:
    response = olga.post(url(world, "batch_create"), filled(world, **wrong))
    assert response.status_code == 422
    assert words in response.content.decode()
    assert not Batch.objects.exists()


def test_a_name_is_taken_once(world: World, olga: Client) -> None:
    olga.post(url(world, "batch_create"), filled(world))
    response = olga.post(url(world, "batch_create"), filled(world))
    assert response.status_code == 422
    assert "a batch named “First look” already" in response.content.decode()


def test_a_stratified_sample_keeps_the_shares(world: World, olga: Client) -> None:
    world.add_items(55)
    olga.post(url(world, "batch_create"), filled(world, mode="stratified", size="30", stratum="camera"))
    run_jobs()
    cameras = [row.item.metadata["camera"] for row in BatchItem.objects.select_related("item")]
    assert {camera: cameras.count(camera) for camera in "012"} == {"0": 10, "1": 10, "2": 10}


def test_closing_asks_first_and_reopening_adds_what_is_missing(world: World, olga: Client) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    claim_next(by=world.people["gene"], batch=batch)
    question = olga.get(url(world, "batch_close", batch)).content.decode()
    assert "One place that nobody has taken is given up" in question
    assert "Four items in hand still count" in question
    olga.post(url(world, "batch_close", batch))
    run_jobs()
    page = olga.get(url(world, "batch", batch)).content.decode()
    assert "4 items are still in hand" in page
    assert "Open again" in page
    assert olga.post(url(world, "batch_close", batch), follow=True).content.decode().count("Only an open batch") == 1
    olga.post(url(world, "batch_reopen", batch))
    run_jobs()
    assert Assignment.objects.filter(status="open").count() == 1


def test_adding_items_adds_only_new_ones_and_a_sample_is_drawn_from_them(world: World, olga: Client) -> None:
    batch = world.open_batch()
    world.add_items(20)
    page = olga.get(url(world, "batch_add_items", batch)).content.decode()
    assert "20 <span" in page
    data = {"mode": "random", "size": "8", "order": "shuffled", "act": "add"}
    assert olga.post(url(world, "batch_add_items", batch), data).url == url(world, "batch", batch)
    run_jobs()
    assert BatchItem.objects.count() == 13
    assert Assignment.objects.count() == 26
    piece = olga.get(url(world, "batch_estimate"), {**data, "size": "50", "batch": str(batch.uuid)}).content.decode()
    assert "12 <span" in piece
    elsewhere = olga.get(url(world, "batch_estimate"), {**data, "batch": "11111111-1111-1111-1111-111111111111"})
    assert elsewhere.status_code == 404


def test_overlap_only_rises(world: World, olga: Client) -> None:
    batch = world.open_batch(quotas={"generalist": 2})
    lower = olga.post(url(world, "batch_raise_overlap", batch), {"raters_generalist": "1"})
    assert lower.status_code == 422
    assert "greater than or equal to 2" in lower.content.decode()
    olga.post(url(world, "batch_raise_overlap", batch), {"raters_generalist": "3", "raters_expert": "1"})
    run_jobs()
    assert Assignment.objects.filter(batch=batch).count() == 20


def test_raters_are_named_to_the_owner_alone(world: World, olga: Client) -> None:
    batch = world.open_batch()
    claim_next(by=world.people["gene"], batch=batch)
    assert "Gene Ralston" in olga.get(url(world, "batch", batch)).content.decode()
    for name in ("sam", "mel"):
        page = client_of(world, name).get(url(world, "batch", batch)).content.decode()
        assert "Gene Ralston" not in page
        assert "rater-" in page


def test_a_batch_is_found_in_its_own_project_only(world: World, olga: Client) -> None:
    batch = world.open_batch()
    assert olga.get(reverse("labeling:batch", args=["phones-otto", batch.uuid])).status_code == 404


def test_a_failed_job_says_why_and_is_tried_again(world: World, olga: Client) -> None:
    olga.post(url(world, "batch_create"), filled(world))
    batch, job = Batch.objects.get(), Job.objects.get()
    Job.objects.filter(pk=job.pk).update(status="failed", error="The disk was full.", attempts=5)
    page = olga.get(url(world, "batch", batch)).content.decode()
    assert "Opening a batch stopped." in page
    assert "The disk was full." in page
    listed = olga.get(url(world, "jobs")).content.decode()
    assert "The disk was full." in listed
    assert client_of(world, "mel").post(reverse("labeling:job_retry", args=[job.uuid])).status_code == 403
    back = olga.post(reverse("labeling:job_retry", args=[job.uuid]), {"next": url(world, "batch", batch)})
    assert back.url == url(world, "batch", batch)
    away = olga.post(reverse("labeling:job_retry", args=[job.uuid]), {"next": "https://elsewhere.example/"})
    assert away.status_code == 409, "it is queued already"
    run_jobs()
    batch.refresh_from_db()
    assert batch.status == "open"
    reply = olga.get(reverse("labeling:job", args=[job.uuid])).json()
    assert (reply["status"], reply["progress"]["done"], reply["result"]) == ("done", 5, {"items": 5})


def test_a_job_of_no_project_is_its_askers_own(world: World, olga: Client) -> None:
    jobs.handles("test_nothing")(lambda run: None)
    try:
        job = jobs.enqueue(kind="test_nothing", by=world.people["olga"], dedup_key="x")
        assert olga.get(reverse("labeling:job", args=[job.uuid])).status_code == 200
        assert client_of(world, "mel").get(reverse("labeling:job", args=[job.uuid])).status_code == 404
    finally:
        del jobs.HANDLERS["test_nothing"]


def test_the_empty_page_says_what_comes_first() -> None:
    world = World.build(items=0)
    page = client_of(world, "olga").get(url(world, "batches")).content.decode()
    assert "A batch needs items" in page
    world.add_items(1)
    page = client_of(world, "olga").get(url(world, "batches")).content.decode()
    assert "Choose items, a definition and how many raters" in page
    assert 'href="' + url(world, "batch_create") in page
    assert url(world, "batch_create") not in client_of(world, "sam").get(url(world, "batches")).content.decode()


def test_lists_are_paged_with_constant_queries(world: World, olga: Client, django_assert_max_num_queries) -> None:
    for number in range(25):
        Batch.objects.create(project=world.project, guideline_version=world.version, name=f"Old {number:02}")
    with django_assert_max_num_queries(14):
        page = olga.get(url(world, "batches")).content.decode()
    assert page.count("Old ") == 20
    assert "Old 04" in olga.get(url(world, "batches") + "?page=2").content.decode()
    assert olga.get(url(world, "batches") + "?page=junk").status_code == 200
