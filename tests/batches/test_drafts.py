"""Stories of a draft: rewritten, given up, opened by someone else meanwhile; and what its selection leaves out."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling import dispatch, guidelines, ledger
from labeling.models import Assignment, Batch, BatchItem, Event, GuidelineVersion, Item, LabelExample
from labeling.refusals import BadValue, NotAllowed, NotSeen, Refusal
from labeling.selection import Selection
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(world: World) -> Client:
    client = Client()
    client.force_login(world.people["olga"])
    return client


def a_draft(world: World, **more: Any) -> Batch:
    values = {"name": "First look", "guideline_version": world.version, "quotas": {"generalist": 2}, "seed": 3}
    return dispatch.create_batch(by=world.seat("olga"), **{**values, **more})


def edit(world: World, batch: Batch, who: str = "olga", **more: Any) -> Batch:
    values = {
        "name": "Second look", "guideline_version": world.version, "quotas": {"expert": (1, 3)},
        "selection": Selection(mode="random", size=2), "seed": 9, "priority": 4, "lease_minutes": 20,
    }  # fmt: skip
    return dispatch.edit_batch(by=world.seat(who), batch=batch, **{**values, **more})


def url(name: str, batch: Batch) -> str:
    return reverse(f"labeling:{name}", args=["phones", batch.uuid])


def form_of(client: Client, batch: Batch) -> dict[str, Any]:
    """What the edit page would send back untouched."""
    form = client.get(url("batch_edit", batch)).context["form"]
    values = {bound.html_name: bound.value() for bound in form}
    return {name: getattr(value, "uuid", value) for name, value in values.items() if value not in (None, "", False)}


def test_everything_of_a_draft_can_change_and_it_opens_as_it_stands_then(world: World) -> None:
    batch = edit(world, a_draft(world))
    assert (batch.name, batch.seed, batch.priority, batch.lease_minutes) == ("Second look", 9, 4, 20)
    dispatch.open_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    assert Assignment.objects.filter(batch=batch).count() == 2
    assert set(Assignment.objects.values_list("cohort", flat=True)) == {"expert"}
    assert list(ledger.verify()) == []


def test_the_page_shows_what_stands_and_saving_it_untouched_changes_nothing(world: World, olga: Client) -> None:
    batch = a_draft(
        world, quotas={"generalist": (2, 5), "expert": 1},
        selection=Selection(
            mode="stratified", size=4, stratum="camera", metadata={"camera": "1"}, tags=("a", "b"), unlabeled=True,
            external_ids=("n1", "n2"), without_examples=False, order="as_listed",
        ),
    )  # fmt: skip
    before = dispatch.draft_as_seen(batch)
    saved = olga.post(url("batch_edit", batch), form_of(olga, batch))
    assert saved["Location"] == url("batch", batch)
    assert dispatch.draft_as_seen(Batch.objects.get(pk=batch.pk)) == before


def test_more_filters_than_the_form_offers_rows_for_are_kept(world: World, olga: Client) -> None:
    for item in world.items:
        Item.objects.filter(pk=item.pk).update(metadata={f"m{n}": str(n) for n in range(5)})
    batch = a_draft(world, selection=Selection(metadata={f"m{n}": str(n) for n in range(5)}))
    assert olga.post(url("batch_edit", batch), form_of(olga, batch)).status_code == 302
    assert len(Batch.objects.get(pk=batch.pk).selection["metadata"]) == 5


def test_an_empty_seed_draws_a_new_one_and_a_taken_name_is_told_beside_it(world: World, olga: Client) -> None:
    other, batch = a_draft(world, name="Taken"), a_draft(world)
    form = form_of(olga, batch)
    del form["seed"]
    assert olga.post(url("batch_edit", batch), form).status_code == 302
    assert Batch.objects.get(pk=batch.pk).seed != 3
    refused = olga.post(url("batch_edit", batch), {**form_of(olga, batch), "name": other.name})
    assert refused.status_code == 422
    assert "There is a batch named “Taken” already" in refused.content.decode()


def test_two_who_edit_at_once_and_the_second_is_told(world: World, olga: Client) -> None:
    batch = a_draft(world)
    form = form_of(olga, batch)
    edit(world, batch)
    late = olga.post(url("batch_edit", batch), form)
    assert late.status_code == 409
    assert "Someone else changed this draft meanwhile" in late.content.decode()
    assert Batch.objects.get(pk=batch.pk).name == "Second look"


def test_once_opened_it_is_neither_rewritten_nor_discarded(world: World, olga: Client) -> None:
    batch = a_draft(world)
    dispatch.open_batch(by=world.seat("olga"), batch=Batch.objects.get(pk=batch.pk))
    for act in (lambda: edit(world, batch), lambda: dispatch.discard_batch(by=world.seat("olga"), batch=batch)):
        with pytest.raises(Refusal) as refused:
            act()
        assert refused.value.code == "not_draft"
    assert olga.get(url("batch_edit", batch))["Location"] == url("batch", batch)
    assert olga.post(url("batch_discard", batch))["Location"] == url("batch", batch)
    assert "Discard" not in olga.get(url("batch", batch)).content.decode()
    assert Batch.objects.filter(pk=batch.pk).exists()


def test_a_discarded_draft_leaves_its_name_and_an_event(world: World, olga: Client) -> None:
    batch = a_draft(world)
    assert "Discard the draft “First look”?" in olga.get(url("batch_discard", batch)).content.decode()
    assert olga.post(url("batch_discard", batch))["Location"] == "/projects/phones/batches/"
    assert not Batch.objects.filter(pk=batch.pk).exists()
    assert Event.objects.get(verb="discarded").data == {"name": "First look"}
    assert a_draft(world).name == "First look"
    for act in (dispatch.discard_batch, dispatch.open_batch):
        with pytest.raises(Refusal):
            act(by=world.seat("olga"), batch=batch)
    assert list(ledger.verify()) == []


def test_only_the_owner_and_only_of_this_project(world: World) -> None:
    batch = a_draft(world)
    with pytest.raises(NotAllowed):
        edit(world, batch, "mel")
    world.people["olga"], olga = world.people["otto"], world.people["olga"]
    other = World.build(slug="other", with_otto=False)
    with pytest.raises(NotSeen):
        dispatch.discard_batch(by=other.seat("olga"), batch=batch)
    with pytest.raises((NotSeen, Refusal)):
        dispatch.edit_batch(
            by=other.seat("olga"), batch=batch, name="x", guideline_version=other.version, quotas={"expert": 1},
            selection=Selection(),
        )  # fmt: skip
    assert Batch.objects.get(pk=batch.pk).name == "First look"
    assert olga.username == "olga"


def test_a_bad_plan_is_refused_as_when_creating(world: World) -> None:
    batch = a_draft(world)
    for wrong in ({"name": " "}, {"quotas": {}}, {"selection": Selection(mode="random")}):
        with pytest.raises(BadValue):
            edit(world, batch, **wrong)
    draft = guidelines.start_draft(by=world.seat("olga"))
    with pytest.raises(Refusal, match="published"):
        edit(world, batch, guideline_version=draft)


# --- items shown as examples ------------------------------------------------------------------------


def with_example(world: World, item: Item) -> GuidelineVersion:
    """A second published version that shows the item as an example."""
    draft = guidelines.start_draft(by=world.seat("olga"))
    for label in draft.labels.select_related("version"):
        guidelines.add_example(by=world.seat("olga"), label=label, polarity="positive", payload={"text": label.name})
    label = draft.labels.select_related("version").get(key="defect")
    guidelines.add_example(by=world.seat("olga"), label=label, polarity="positive", item=item)
    guidelines.save_draft(by=world.seat("olga"), version=draft, body="Look twice.", change_note="Look twice.")
    return guidelines.publish_version(by=world.seat("olga"), version=draft)


def items_of(batch: Batch) -> set[str]:
    return set(BatchItem.objects.filter(batch=batch).values_list("item__external_id", flat=True))


def test_items_shown_as_examples_are_left_out_unless_asked_for(world: World) -> None:
    second = with_example(world, world.items[0])
    assert items_of(world.open_batch("Second", version=second)) == {"n2", "n3", "n4", "n5"}
    assert "n1" in items_of(world.open_batch("First", version=world.version)), "the first version does not show it"
    asked = world.open_batch("All", version=second, selection=Selection(without_examples=False))
    assert "n1" in items_of(asked)
    assert LabelExample.objects.filter(item__isnull=False).count() == 1


def test_nor_do_they_come_in_later(world: World) -> None:
    second = with_example(world, world.items[0])
    batch = world.open_batch("Second", version=second, selection=Selection(external_ids=("n2",)))
    dispatch.add_items(by=world.seat("olga"), batch=batch, selection=Selection())
    run_jobs()
    assert items_of(batch) == {"n2", "n3", "n4", "n5"}


def test_the_form_leaves_them_out_by_default_counts_so_and_says_so(world: World, olga: Client) -> None:
    second = with_example(world, world.items[0])
    page = olga.get("/projects/phones/batches/new/")
    assert page.context["form"]["without_examples"].value() is True
    assert page.context["plan"].items == 4
    counted = olga.get(f"/projects/phones/batches/estimate/?mode=all&order=shuffled&version={second.uuid}")
    assert counted.context["plan"].items == 5, "unticked: the browser sends nothing"
    batch = world.open_batch("Second", version=second)
    assert "without the definition’s examples" in olga.get(url("batch", batch)).content.decode()


def test_only_examples_left_opens_nothing(world: World) -> None:
    second = with_example(world, world.items[0])
    batch = dispatch.create_batch(
        by=world.seat("olga"), name="One", guideline_version=second, quotas={"generalist": 1},
        selection=Selection(external_ids=("n1",)),
    )  # fmt: skip
    with pytest.raises(Refusal) as refused:
        dispatch.open_batch(by=world.seat("olga"), batch=batch)
    assert refused.value.code == "no_items"
