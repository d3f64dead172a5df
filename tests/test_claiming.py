"""Stories of the queue: what comes into a rater's hand, and why sometimes nothing does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling import dispatch
from labeling.claiming import claim_next, heartbeat, release_place, show_place
from labeling.models import Annotation, Assignment, Membership
from labeling.refusals import NotAllowed, NotSeen, Refusal
from labeling.submission import Answer, skip_place, submit_annotation, undo_last
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


def say(world: World, name: str, batch, place, value="defect", **more):
    return submit_annotation(
        by=world.people[name],
        batch=batch,
        assignment=place.uuid,
        token=place.claim_token,
        answer=Answer(value=value),
        **more,
    )


def label_all(world: World, name: str, batch, value="defect") -> int:
    count = 0
    while (hand := claim_next(by=world.people[name], batch=batch)).places:
        for place in hand.places:
            say(world, name, batch, place, value)
            count += 1
    return count


def test_one_shown_and_three_ahead_in_order(world: World) -> None:
    batch = world.open_batch()
    hand = claim_next(by=world.people["gene"], batch=batch)
    assert [place.slot for place in hand.places] == [1, 2, 3, 4]
    assert [place.rank for place in hand.places] == [0, 1, 2, 3]
    assert claim_next(by=world.people["gene"], batch=batch).places == hand.places, "asking again claims nothing more"


def test_each_item_gets_exactly_its_overlap(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 2})
    assert label_all(world, "gene", batch) == label_all(world, "gina", batch) == 5
    third = world.people["olga"]
    Membership.objects.filter(user=third, project=world.project).update(cohort="generalist")
    from labeling.claiming import acknowledge_version

    acknowledge_version(by=third, batch=batch)
    assert claim_next(by=third, batch=batch).empty.reason == "done"
    assert Annotation.objects.count() == 10


def test_a_stranger_sees_nothing_and_an_engineer_without_cohort_may_not(world: World) -> None:
    batch = world.open_batch()
    with pytest.raises(NotSeen):
        claim_next(by=world.people["otto"], batch=batch)
    with pytest.raises(NotAllowed):
        claim_next(by=world.people["mel"], batch=batch)


def test_an_unread_version_is_asked_for_first(world: World) -> None:
    batch = world.open_batch(read=False)
    assert claim_next(by=world.people["gene"], batch=batch).empty.reason == "unread"
    assert not Assignment.objects.filter(status="claimed").exists()


def test_the_daily_cap_counts_submitted_and_in_hand(world: World) -> None:
    Membership.objects.filter(user=world.people["gene"], project=world.project).update(daily_cap=3)
    batch = world.open_batch()
    hand = claim_next(by=world.people["gene"], batch=batch)
    assert len(hand.places) == 3
    say(world, "gene", batch, hand.places[0])
    assert len(claim_next(by=world.people["gene"], batch=batch).places) == 2
    for place in hand.places[1:]:
        say(world, "gene", batch, place)
    empty = claim_next(by=world.people["gene"], batch=batch).empty
    assert empty.reason == "cap"
    assert empty.opens_at > timezone.now()
    tomorrow = timezone.now() + timedelta(days=1)
    assert len(claim_next(by=world.people["gene"], batch=batch, at=tomorrow).places) == 2


def test_the_cap_holds_when_the_slot_in_hand_is_not_the_first(world: World) -> None:
    batch = world.open_batch()
    hand = claim_next(by=world.people["gene"], batch=batch)
    for place in hand.places[:3]:
        release_place(by=world.people["gene"], batch=batch, assignment=place.uuid, token=place.claim_token)
    Membership.objects.filter(user=world.people["gene"], project=world.project).update(daily_cap=2)
    again = claim_next(by=world.people["gene"], batch=batch)
    assert [place.slot for place in again.places] == [1, 4]


def test_waiting_for_others_and_a_lapsed_claim_comes_back(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    mine = claim_next(by=world.people["gene"], batch=batch)
    assert len(mine.places) == 4
    gina = claim_next(by=world.people["gina"], batch=batch)
    assert len(gina.places) == 1
    say(world, "gina", batch, gina.places[0])
    assert claim_next(by=world.people["gina"], batch=batch).empty.reason == "waiting"
    later = timezone.now() + timedelta(minutes=5)
    hand = claim_next(by=world.people["gina"], batch=batch, at=later)
    assert len(hand.places) == 4
    with pytest.raises(Refusal) as lost:
        say(world, "gene", batch, mine.places[0])
    assert lost.value.code == "lease_lost"
    assert Annotation.objects.count() == 1


def test_a_lapsed_claim_nobody_took_is_still_mine(world: World) -> None:
    batch = world.open_batch()
    hand = claim_next(by=world.people["gene"], batch=batch)
    later = timezone.now() + timedelta(hours=3)
    assert say(world, "gene", batch, hand.places[0], at=later).created


def test_showing_and_heartbeat_keep_a_place(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    gene = world.people["gene"]
    hand = claim_next(by=gene, batch=batch)
    show_place(by=gene, batch=batch, assignment=hand.places[0].uuid, token=hand.places[0].claim_token)
    at = timezone.now()
    for _ in range(30):
        at += timedelta(minutes=1)
        heartbeat(by=gene, batch=batch, at=at)
    assert len(claim_next(by=world.people["gina"], batch=batch, at=at).places) == 1, "only the fifth item was free"


def test_released_places_go_to_others(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    gene = world.people["gene"]
    hand = claim_next(by=gene, batch=batch)
    for place in hand.places:
        release_place(by=gene, batch=batch, assignment=place.uuid, token=place.claim_token)
    assert label_all(world, "gina", batch) == 5


def test_the_same_answer_again_is_recorded_once_and_another_is_refused(world: World) -> None:
    batch = world.open_batch()
    place = claim_next(by=world.people["gene"], batch=batch).places[0]
    first = say(world, "gene", batch, place, idempotency_key="k1")
    again = say(world, "gene", batch, place, idempotency_key="k1")
    assert (first.created, again.created) == (True, False)
    assert first.annotation == again.annotation
    with pytest.raises(Refusal) as otherwise:
        say(world, "gene", batch, place, value="no_defect")
    assert otherwise.value.code == "answered_otherwise"
    assert Annotation.objects.count() == 1


def test_undo_shows_the_answer_and_a_change_is_a_revision(world: World) -> None:
    batch = world.open_batch()
    gene = world.people["gene"]
    place = claim_next(by=gene, batch=batch).places[0]
    say(world, "gene", batch, place)
    undone = undo_last(by=gene, batch=batch)
    assert undone.place == place
    assert undone.annotation.value == "defect"
    say(world, "gene", batch, place, value="no_defect", revises=True, idempotency_key="r1")
    say(world, "gene", batch, place, value="no_defect", revises=True, idempotency_key="r1")
    assert list(Annotation.objects.order_by("revision").values_list("revision", "value")) == [
        (1, "defect"),
        (2, "no_defect"),
    ]


def test_a_skip_opens_a_replacement_and_never_returns(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    gene = world.people["gene"]
    place = claim_next(by=gene, batch=batch).places[0]
    skip_place(by=gene, batch=batch, assignment=place.uuid, token=place.claim_token)
    assert label_all(world, "gene", batch) == 4
    assert label_all(world, "gina", batch) == 1
    assert Assignment.objects.get(pk=place.pk).status == "skipped"


def test_undo_of_a_skip_while_its_replacement_is_open(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    gene = world.people["gene"]
    place = claim_next(by=gene, batch=batch).places[0]
    skip_place(by=gene, batch=batch, assignment=place.uuid, token=place.claim_token)
    undone = undo_last(by=gene, batch=batch)
    assert undone.place == place
    assert undone.annotation is None
    assert place in claim_next(by=gene, batch=batch).places
    assert Assignment.objects.filter(batch_item=place.batch_item, status="void").count() == 1


def test_max_raters_ends_replacements(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": (1, 2)})
    for name in ("gene", "gina"):
        place = claim_next(by=world.people[name], batch=batch).places[0]
        assert place.rank == 0
        skip_place(by=world.people[name], batch=batch, assignment=place.uuid, token=place.claim_token)
    assert Assignment.objects.filter(batch=batch, rank=0).count() == 2


def test_closing_voids_open_places_and_honours_claimed_ones(world: World) -> None:
    batch = world.open_batch()
    gene = world.people["gene"]
    hand = claim_next(by=gene, batch=batch)
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    assert not Assignment.objects.filter(batch=batch, status="open").exists()
    assert say(world, "gene", batch, hand.places[0]).created
    assert [p.pk for p in claim_next(by=gene, batch=batch).places] == [p.pk for p in hand.places[1:]]
    dispatch.reopen_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    assert label_all(world, "gina", batch) == 5


def test_overlap_rises_for_the_whole_batch_as_planned_places(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    assert label_all(world, "gene", batch) == 5
    dispatch.raise_overlap(by=world.seat("olga"), batch=batch, quotas={"generalist": 2, "expert": 1})
    run_jobs()
    assert label_all(world, "gina", batch) == 5
    assert label_all(world, "ella", batch) == 5
    assert not Assignment.objects.exclude(origin="planned").exists()


@pytest.mark.parametrize("items", [10, 1000])
def test_a_claim_costs_the_same_queries_for_ten_and_a_thousand_items(world: World, items: int) -> None:
    world.add_items(items - 5)
    batch = world.open_batch()
    gene = world.people["gene"]
    place = claim_next(by=gene, batch=batch).places[0]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        say(world, "gene", batch, place, claim=True)
    assert len(queries) <= 19, "\n".join(query["sql"] for query in queries)


def test_the_hand_in_the_reply_is_the_one_in_the_database(world: World) -> None:
    """A newly claimed place is not read again; what is said of it must be what was written."""
    world.add_items(5)
    batch = world.open_batch()
    hand = claim_next(by=world.people["gene"], batch=batch).places
    for _ in range(3):
        hand = say(world, "gene", batch, hand[0], claim=True).hand.places
        stored = list(
            Assignment.objects.filter(batch=batch, member=world.member("gene"), status="claimed").order_by("slot")
        )
        columns = [field.attname for field in Assignment._meta.concrete_fields]
        assert [[getattr(place, name) for name in columns] for place in hand] == [
            [getattr(place, name) for name in columns] for place in stored
        ]
