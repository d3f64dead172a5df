"""Relabel batches: which items, whose places, blind, killed half-way, closed and opened again, two owners at once."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from consistency.comparing import compare_batch
from consistency.queries.relabels import offer_for
from consistency.relabeling import Sizes, accept_relabel_offer, choose_items, suggest_sizes
from labeling import dispatch, guidelines, jobs, relabeling, submission
from labeling.claiming import claim_next
from labeling.db.seals import install, lift
from labeling.guidelines.editing import start_draft
from labeling.models import Annotation, Assignment, Batch, BatchItem, GuidelineVersion, Job, LabelExample, Membership
from labeling.refusals import BadValue, NotAllowed, Refusal
from labeling.relabeling import RelabelItems
from labeling.selection import Selection
from labeling.submission import Answer, skip_place, submit_annotation
from tests.loop.scenes import add_raters, publish_next, read_by_all, relabel
from tests.worlds import World, run_jobs

D, N = "defect", "no_defect"


def labeled(world: World, count: int = 12, **quotas: int) -> Batch:
    batch = world.open_batch(
        "Before", quotas=quotas or {"generalist": 2},
        selection=Selection(external_ids=tuple(f"n{number}" for number in range(1, count + 1)), order="as_listed"),
    )  # fmt: skip
    for who in ("gene", "gina", "ella", "tom"):
        if str(world.member(who).cohort) in (quotas or {"generalist": 2}):
            world.say(batch, who, {f"n{n}": N if who == "gina" and n % 3 == 0 else D for n in range(1, count + 1)})
    compare_batch(batch=batch)
    return batch


@pytest.mark.django_db
def test_places_are_kept_for_those_who_labeled_the_item() -> None:
    world = World.build(items=15)
    before = labeled(world)
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True, fresh=2))
    roles = Counter(after.batch_items.values_list("role", flat=True))
    assert roles == {"affected": 4, "control": 8, "fresh": 2}
    assert {item.item.external_id for item in after.batch_items.filter(role="affected")} == {"n3", "n6", "n9", "n12"}
    places = Assignment.objects.filter(batch=after)
    assert places.count() == 28
    kept = Counter(places.values_list("reserved_for__user__username", flat=True))
    assert kept == {"gene": 14, "gina": 14}
    assert (after.kind, after.parent, after.status) == ("relabel", before, "open")
    ranks = list(after.batch_items.order_by("rank").values_list("role", flat=True))
    assert ranks != sorted(ranks), "roles are mixed: the order tells nothing"


@pytest.mark.django_db
def test_nobody_else_is_served_and_a_skip_is_replaced_by_nobody() -> None:
    world = World.build(items=4)
    add_raters(world, 1)
    before = labeled(world, 4)
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    read_by_all(world, after)
    assert not claim_next(by=world.people["generalist0"], batch=after).places
    place = claim_next(by=world.people["gene"], batch=after, slots=1).places[0]
    skip_place(by=world.people["gene"], batch=after, assignment=place.uuid, token=place.claim_token or "")
    assert Assignment.objects.filter(batch=after).count() == 8
    assert not claim_next(by=world.people["generalist0"], batch=after).places


@pytest.mark.django_db
def test_the_seed_draws_the_same_items_and_the_random_sample_comes_first() -> None:
    world = World.build(items=30)
    before = labeled(world, 20)
    version = publish_next(world, world.version)
    offer = offer_for(before, version)
    assert (len(offer.affected), len(offer.untouched) + len(offer.rest), offer.fresh) == (6, 14, 10)
    sizes = Sizes(affected=6, control=5, normal=8, fresh=4)
    one, two = choose_items(offer, sizes, seed=5), choose_items(offer, sizes, seed=5)
    assert one == two != choose_items(offer, sizes, seed=6)
    roles = one.by_role()
    assert [len(roles[role]) for role in ("normal", "fresh")] == [8, 4]
    drawn = [pk for ids in roles.values() for pk in ids]
    assert len(drawn) == len(set(drawn)), "each item once"
    assert len(roles["affected"]) == 6 - len(set(roles["normal"]) & set(offer.affected))


@pytest.mark.django_db
def test_examples_of_the_new_definition_are_left_out() -> None:
    world = World.build(items=6)
    before = labeled(world, 6)
    version = publish_next(world, world.version)
    plain = publish_next(world, version)
    label = version.labels.first()
    assert label is not None
    lift("default")
    LabelExample.objects.create(definition=label, polarity="positive", item=world.items[2])
    install("default")
    offer = offer_for(before, version)
    assert (offer.items, offer.examples) == (5, 1)
    with pytest.raises(BadValue):
        relabeling.open_relabel_batch(
            by=world.seat("olga"), parent=before, guideline_version=version, name="With it",
            items=RelabelItems(affected=[world.items[2].pk]),
        )  # fmt: skip
    assert offer_for(before, plain).examples == 0


@pytest.mark.django_db
def test_what_does_not_belong_is_refused() -> None:
    world = World.build(items=8)
    before = labeled(world, 6)
    version = publish_next(world, world.version)
    fresh, old = world.items[7].pk, world.items[0].pk
    common: dict[str, Any] = {"parent": before, "guideline_version": version}
    for items in (RelabelItems(affected=[fresh]), RelabelItems(fresh=[old]), RelabelItems(control=[10**9])):
        with pytest.raises(BadValue):
            relabeling.open_relabel_batch(by=world.seat("olga"), name="Wrong", items=items, **common)
    with pytest.raises(BadValue):
        relabeling.open_relabel_batch(by=world.seat("olga"), name="Empty", items=RelabelItems(), **common)
    with pytest.raises(NotAllowed):
        accept_relabel_offer(by=world.seat("sam"), parent=before, version=version, sizes=Sizes(whole=True))
    after = relabel(world, before, version, Sizes(whole=True))
    for act in (
        lambda: dispatch.add_items(by=world.seat("olga"), batch=after, selection=Selection()),
        lambda: dispatch.raise_overlap(by=world.seat("olga"), batch=after, quotas={"generalist": 3}),
    ):
        with pytest.raises(Refusal) as refused:
            act()
        assert refused.value.code == "relabel"


@pytest.mark.django_db
def test_a_job_killed_half_way_goes_on_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World.build(items=12)
    before = labeled(world)
    monkeypatch.setattr(relabeling, "ROWS_PER_CHUNK", 8)
    batch = accept_relabel_offer(
        by=world.seat("olga"),
        parent=before,
        version=publish_next(world, world.version),
        sizes=Sizes(whole=True),
        seed=3,
    )
    job = Job.objects.get(kind="open_relabel_batch")
    report, calls = jobs.JobRun.report, []

    def die(self: jobs.JobRun, *args: Any) -> None:
        report(self, *args)
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(jobs.JobRun, "report", die)
    with pytest.raises(KeyboardInterrupt):
        relabeling.open_relabel_batch_job(_taken(job))
    half = BatchItem.objects.filter(batch=batch).count()
    assert 0 < half < 12
    monkeypatch.setattr(jobs.JobRun, "report", lambda self, *args: None)
    relabeling.open_relabel_batch_job(_taken(job))
    batch.refresh_from_db()
    assert (batch.status, batch.batch_items.count(), Assignment.objects.filter(batch=batch).count()) == ("open", 12, 24)


def _taken(job: Job) -> jobs.JobRun:
    Job.objects.filter(pk=job.pk).update(
        status="running", attempts=1, lease_until=timezone.now(), heartbeat_at=timezone.now()
    )
    job.refresh_from_db()
    return jobs.JobRun(job)


@pytest.mark.django_db
def test_closed_and_opened_again_each_place_is_kept_for_its_rater() -> None:
    world = World.build(items=6)
    before = labeled(world, 6)
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    world.say(after, "gene", {f"n{n}": D for n in range(1, 7)})
    dispatch.close_batch(by=world.seat("olga"), batch=after)
    run_jobs()
    after.refresh_from_db()
    dispatch.reopen_batch(by=world.seat("olga"), batch=after)
    run_jobs()
    after.refresh_from_db()
    waiting = Assignment.objects.filter(batch=after, status="open")
    assert set(waiting.values_list("reserved_for__user__username", flat=True)) == {"gina"}
    assert waiting.count() == 6
    assert world.say(after, "gina", {f"n{n}": D for n in range(1, 7)}) == 6


@pytest.mark.django_db
def test_who_left_is_left_out_and_fresh_items_go_round() -> None:
    world = World.build(items=16)
    names = add_raters(world, 2)
    before = world.open_batch("Before", quotas={"generalist": 2}, selection=Selection(
        external_ids=tuple(f"n{n}" for n in range(1, 9)), order="as_listed"))  # fmt: skip
    read_by_all(world, before)
    for who in ("gene", names[0], names[1], "gina"):
        for _ in range(4):
            place = claim_next(by=world.people[who], batch=before, slots=1).places[0]
            submit_annotation(
                by=world.people[who], batch=before, assignment=place.uuid, token=place.claim_token or "",
                answer=Answer(value=D), idempotency_key=f"{who}-{place.pk}",
            )  # fmt: skip
    Membership.objects.filter(pk=world.member("gene").pk).update(active=False)
    version = publish_next(world, world.version)
    assert offer_for(before, version).gone == 1
    after = relabel(world, before, version, Sizes(whole=True, fresh=6))
    kept = Counter(
        Assignment.objects.filter(batch=after, batch_item__role="fresh").values_list(
            "reserved_for__user__username", flat=True
        )
    )
    assert "gene" not in kept
    assert sum(kept.values()) == 12
    assert max(kept.values()) - min(kept.values()) <= 1, "in turn, so all get equally many"


@pytest.mark.django_db
def test_sizes_are_suggested_by_the_rule() -> None:
    world = World.build(items=30)
    before = labeled(world, 20)
    found = suggest_sizes(offer_for(before, publish_next(world, world.version)))
    assert found.sizes.whole, "small data: all of it"
    assert found.paired_needed is not None
    assert found.sizes.fresh == 7, "two thirds of what is there; some stay for the next round"


@pytest.mark.django_db(transaction=True)
def test_two_owners_opening_at_once_get_one_batch() -> None:
    world = World.build(items=6)
    before = labeled(world, 6)
    version = publish_next(world, world.version)
    barrier, outcomes = threading.Barrier(2), []

    def act() -> None:
        try:
            barrier.wait(timeout=10)
            accept_relabel_offer(
                by=world.seat("olga"), parent=before, version=version, sizes=Sizes(whole=True), name="Again"
            )
            outcomes.append("opened")
        except Refusal as refusal:
            outcomes.append(refusal.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=act) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(outcomes) == ["opened", "taken"]
    assert Batch.objects.filter(kind="relabel").count() == 1


class _UnderTheNewest:
    """Annotation as a careless submission would write it: under whatever is published at the moment."""

    objects = Annotation.objects

    def __new__(cls, **values: Any) -> Any:
        newest = GuidelineVersion.objects.filter(status="published").order_by("-number").first()
        assert newest is not None
        return Annotation(**{**values, "guideline_version_id": newest.pk})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sabotaged", [False, True])
def test_publishing_while_someone_labels_changes_nothing_for_them(
    monkeypatch: pytest.MonkeyPatch, sabotaged: bool
) -> None:
    """A rater answers under v1 while v2 is published: the answer stays v1's, and figures of the two never mix.

    The control lets submission take the newest version in place of the batch's: the answer then lies about what was read.
    """
    world = World.build(items=3)
    batch = world.open_batch()
    draft = start_draft(by=world.seat("sam"))
    for label in draft.labels.select_related("version"):
        guidelines.add_example(by=world.seat("sam"), label=label, polarity="positive", payload={"text": label.name})
    guidelines.save_draft(by=world.seat("sam"), version=draft, body="Longer than 0.3 mm.", change_note="A limit.")
    place = claim_next(by=world.people["gene"], batch=batch, slots=1).places[0]
    published, submitted = threading.Event(), threading.Event()
    failures: list[str] = []

    def publish() -> None:
        try:
            guidelines.publish_version(by=world.seat("sam"), version=draft)
        except Refusal as refusal:
            failures.append(refusal.message)
        finally:
            published.set()
            connection.close()

    if sabotaged:
        monkeypatch.setattr(submission, "Annotation", _UnderTheNewest)
    thread = threading.Thread(target=publish)
    thread.start()
    assert published.wait(timeout=20)
    submit_annotation(
        by=world.people["gene"], batch=batch, assignment=place.uuid, token=place.claim_token or "",
        answer=Answer(value=D), idempotency_key="once",
    )  # fmt: skip
    submitted.set()
    thread.join(timeout=20)
    assert failures == []
    annotation = Annotation.objects.get()
    assert (annotation.guideline_version_id == batch.guideline_version_id) is not sabotaged
    batch.refresh_from_db()
    assert batch.guideline_version_id == world.version.pk, "an open batch stays under its version"


@pytest.mark.django_db
def test_relabeling_is_blind_to_the_old_answers(client: Client) -> None:
    """While a rater has an item to label again, no page of theirs shows what they said; then it is back."""
    world = World.build(items=4)
    before = labeled(world, 4)
    gina = world.member("gina")
    place = Assignment.objects.filter(batch=before, member=gina).order_by("rank")[0]
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    client.force_login(world.people["gina"])
    listed, one = reverse("labeling:my_answers", args=[before.uuid]), reverse("labeling:my_answer", args=[place.uuid])
    page = client.get(listed).content.decode()
    assert "4 answers are put away for now." in page
    assert "Look<" not in page
    assert client.get(one).status_code == 404
    assert world.say(after, "gina", {f"n{n}": D for n in range(1, 5)}) == 4
    assert "put away" not in client.get(listed).content.decode()
    assert client.get(one).status_code == 200
    client.force_login(world.people["gene"])
    assert "4 answers are put away for now." in client.get(listed).content.decode()
