"""What keeps the desk quick changes nothing that it says: replies without known items, tallies, counts kept for a while."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.claiming import claim_next, start_of_day
from labeling.models import Assignment
from labeling.queries import desk, open_places
from labeling.submission import Answer, skip_place, submit_annotation
from tests.desk.helpers import Sitter
from tests.worlds import World

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_cached() -> None:
    cache.clear()


# --- items the page has already -------------------------------------------------------------------


def test_known_items_are_left_out_and_the_whole_hand_is_there(world: World) -> None:
    world.add_items(5)
    gene = Sitter(world, "gene", world.open_batch())
    first, *ahead = gene.claim()["hand"]
    known = [place["assignment"] for place in ahead]
    hand = gene.submit(first, known=known).json()["hand"]
    assert len(hand) == 4
    assert all(place["token"] and place["position"] for place in hand)
    assert [("item" in place) for place in hand] == [place["assignment"] not in known for place in hand]
    assert sum("item" in place for place in hand) == 1
    assert all("item" in place for place in gene.claim()["hand"]), "who names nothing gets everything"


def test_a_refusal_too_leaves_known_items_out(world: World) -> None:
    gene = Sitter(world, "gene", world.open_batch())
    first, *_ = hand = gene.claim()["hand"]
    known = [place["assignment"] for place in hand]
    reply = gene.call("shown", {"assignment": first["assignment"], "token": str(uuid4()), "known": known})
    assert reply.status_code == 409
    assert [place["assignment"] for place in reply.json()["hand"]] == known
    assert not any("item" in place for place in reply.json()["hand"])


@pytest.mark.parametrize("known", ["all", [1], ["x"], [str(uuid4())] * 17])
def test_what_is_known_is_a_short_list_of_ids(world: World, known: Any) -> None:
    gene = Sitter(world, "gene", world.open_batch())
    reply = gene.call("claim", {"known": known})
    assert (reply.status_code, reply.json()["data"]["field"]) == (422, "known")
    assert not Assignment.objects.filter(status="claimed").exists()


def test_a_label_costs_less_than_a_kilobyte_beside_the_item(world: World) -> None:
    """Heads included; with the item and the head's compressible part it is below one, too."""
    world.add_items(20)
    gene = Sitter(world, "gene", world.open_batch())
    first, second, *ahead = gene.claim()["hand"]
    known = [place["assignment"] for place in (second, *ahead)]
    plain = gene.submit(first, known=known)
    known += [place["assignment"] for place in plain.json()["hand"] if "item" in place]
    known.remove(second["assignment"])
    body = {"assignment": second["assignment"], "token": second["token"], "value": "defect", "known": known}
    small = gene.call("submit", body, headers={"Accept-Encoding": "gzip, deflate, br"})
    assert small["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in small["Vary"]
    assert len(json.loads(gzip.decompress(small.content))["hand"]) == 4
    head = sum(len(name) + len(value) + 4 for name, value in small.items())
    assert head + len(small.content) <= 1024


# --- how far the rater is -------------------------------------------------------------------------


def _recount(world: World, batch: Any, midnight: Any) -> tuple[int, int, int]:
    own = Assignment.objects.filter(member=world.member("gene"))
    submitted = own.filter(status="submitted")
    return (
        submitted.filter(batch=batch).count(),
        own.filter(batch=batch, status="skipped").count(),
        submitted.filter(finished_at__gte=midnight).count(),
    )


def _says(world: World, batch: Any, at: Any) -> tuple[int, int, int]:
    midnight = start_of_day(world.project.time_zone, at)
    stands = desk.standing(world.member("gene"), batch, at, midnight)
    assert stands.items == len(world.items)
    return stands.answered, stands.skipped, stands.today


@pytest.fixture
def small_tallies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "TALLY_AFTER", 2)


def _label(world: World, batch: Any, at: Any, count: int) -> None:
    for number in range(count):
        moment = at + timedelta(seconds=number)
        place = claim_next(by=world.people["gene"], batch=batch, slots=1, at=moment).places[0]
        if number == 1:
            skip_place(by=world.people["gene"], batch=batch, assignment=place.uuid, token=place.claim_token, at=moment)
        else:
            submit_annotation(
                by=world.people["gene"], batch=batch, assignment=place.uuid, token=place.claim_token,
                answer=Answer(value="defect"), at=moment,
            )  # fmt: skip


def test_a_tally_says_what_counting_says(world: World, small_tallies: None) -> None:
    """Over days and batches, with skips, from the first answer on and after the cache is lost."""
    world.add_items(35)
    batch, other = world.open_batch(), world.open_batch(name="Second look")
    noon = timezone.now().replace(hour=12, minute=0)
    for hours in (0, 1, 1.01, 11.9, 12.1, 30):
        at = noon + timedelta(hours=hours)
        _label(world, batch, at, 5)
        _label(world, other, at + timedelta(seconds=20), 3)
        for later in (timedelta(seconds=30), timedelta(minutes=3), timedelta(minutes=4)):
            midnight = start_of_day(world.project.time_zone, at + later)
            assert _says(world, batch, at + later) == _recount(world, batch, midnight)
            assert _says(world, other, at + later) == _recount(world, other, midnight)
    cache.clear()
    assert _says(world, batch, at + later) == _recount(world, batch, midnight)


def test_a_clock_put_back_is_counted_afresh(world: World, small_tallies: None) -> None:
    world.add_items(10)
    batch = world.open_batch()
    noon = timezone.now().replace(hour=12, minute=0)
    _label(world, batch, noon, 5)
    _says(world, batch, noon + timedelta(minutes=3))
    before = noon - timedelta(minutes=30)
    _label(world, batch, before, 3)
    assert _says(world, batch, before + timedelta(minutes=1))[0] == 6


def test_control_the_tally_is_what_the_counts_come_from(world: World, small_tallies: None) -> None:
    """Spoilt, it spoils them: else the tests above would say nothing about it."""
    world.add_items(10)
    batch = world.open_batch()
    noon = timezone.now().replace(hour=12, minute=0)
    _label(world, batch, noon, 5)
    later = noon + timedelta(minutes=3)
    _says(world, batch, later)
    member = world.member("gene")
    key = f"tally:{member.uuid}:{batch.uuid}"
    tally = cache.get(key)
    cache.set(key, desk._Tally(tally.until, tally.answered + 100, tally.midnight, tally.today))
    assert _says(world, batch, later)[0] == 104


# --- how many places are open ---------------------------------------------------------------------


def _count(batch: Any) -> int:
    return open_places.count_open_places([(batch, "generalist")])[batch.pk, None]


def test_a_large_count_is_kept_and_then_renewed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_places, "COUNT_FRESH_BELOW", 5)
    batch = world.open_batch()
    assert _count(batch) == 10
    claim_next(by=world.people["gene"], batch=batch)
    with CaptureQueriesContext(connection) as queries:
        assert _count(batch) == 10
    assert len(queries) == 0
    clock = open_places.time.time() + open_places.COUNT_AGE_SECONDS + 1
    monkeypatch.setattr(open_places.time, "time", lambda: clock)
    assert _count(batch) == 6


def test_while_one_counts_the_others_go_on_with_the_old_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_places, "COUNT_FRESH_BELOW", 5)
    batch = world.open_batch()
    _count(batch)
    claim_next(by=world.people["gene"], batch=batch)
    clock = open_places.time.time() + open_places.COUNT_AGE_SECONDS + 1
    monkeypatch.setattr(open_places.time, "time", lambda: clock)
    key = f"places_open:{batch.uuid}:generalist:counting"
    cache.set(key, 1, 30)
    assert _count(batch) == 10
    cache.delete(key)
    assert _count(batch) == 6


def test_a_small_count_is_always_fresh(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_places, "COUNT_FRESH_BELOW", 8)
    batch = world.open_batch()
    assert _count(batch) == 10
    claim_next(by=world.people["gene"], batch=batch)
    clock = open_places.time.time() + open_places.COUNT_AGE_SECONDS + 1
    monkeypatch.setattr(open_places.time, "time", lambda: clock)
    assert _count(batch) == 6
    claim_next(by=world.people["gina"], batch=batch)
    assert _count(batch) == 2


def test_several_batches_are_counted_in_one_query(world: World) -> None:
    first = world.open_batch()
    second = world.open_batch(name="Second look", quotas={"generalist": 1, "expert": 3})
    with CaptureQueriesContext(connection) as queries:
        found = open_places.count_open_places([(first, "generalist"), (second, "expert")])
    assert found == {(first.pk, None): 10, (second.pk, None): 15}
    assert len(queries) == 1
