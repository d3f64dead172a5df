"""The clock is set forward and back under people's hands: leases, the daily cap, the order of items, events, jobs."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings as concord
from django.db.models import Count
from django.db.models.functions import TruncDate
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling import claiming, dispatch, jobs, ledger
from labeling.claiming import claim_next, done_today, release_place, sweep_lapsed
from labeling.models import Annotation, Assignment, Batch, Event, Job, Membership
from labeling.refusals import Refusal
from labeling.submission import Answer, submit_annotation, undo_last
from labeling.vocabulary import PlaceStatus
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def claim(world: World, batch: Batch, at: datetime, who: str = "gene") -> list[Assignment]:
    return claim_next(by=world.people[who], batch=batch, at=at).places


def submit(world: World, batch: Batch, place: Assignment, at: datetime, who: str = "gene") -> Annotation:
    return submit_annotation(
        by=world.people[who], batch=batch, assignment=place.uuid, token=place.claim_token or "",
        answer=Answer(value="defect"), at=at,
    ).annotation  # fmt: skip


# --- leases ---------------------------------------------------------------------------------------


def test_forward_every_lease_runs_out_and_nothing_that_was_said_yes_to_is_lost(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    held = claim(world, batch, NOON)
    told = submit(world, batch, held[0], NOON)
    assert sweep_lapsed(NOON + DAY) == 3
    with pytest.raises(Refusal) as lost:
        submit(world, batch, held[1], NOON + DAY)
    assert lost.value.code == "lease_lost"
    assert submit(world, batch, held[0], NOON + DAY) == told, "the replay of what was recorded still is one answer"
    again = claim(world, batch, NOON + DAY)
    for place in again:
        submit(world, batch, place, NOON + DAY)
    assert Annotation.objects.count() == 5
    assert list(ledger.verify()) == []


def test_back_a_dead_raters_places_return_at_the_next_sweep_and_not_a_day_later(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    claim(world, batch, NOON)
    assert sweep_lapsed(NOON - DAY) == 4
    assert len(claim(world, batch, NOON - DAY, "gina")) == 4
    assert list(ledger.verify()) == []


def test_control_without_a_furthest_lease_they_stay_away_for_a_day(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    claim(world, batch, NOON)
    monkeypatch.setattr(claiming, "SLACK", timedelta(days=99))
    assert sweep_lapsed(NOON - DAY) == 0
    assert len(claim(world, batch, NOON - DAY, "gina")) == 1, "one place was not in anybody's hand"


def test_back_a_rater_who_is_there_keeps_the_hand(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1}, lease_minutes=240)
    held = claim(world, batch, NOON)
    claiming.show_place(
        by=world.people["gene"], batch=batch, assignment=held[0].uuid, token=held[0].claim_token or "", at=NOON
    )
    earlier = NOON - DAY
    claim(world, batch, earlier)
    claiming.heartbeat(by=world.people["gene"], batch=batch, at=earlier)
    assert sweep_lapsed(earlier) == 0
    assert {place.uuid for place in claim(world, batch, earlier)} == {place.uuid for place in held}
    leases = Assignment.objects.filter(status="claimed").values_list("lease_until", flat=True)
    assert max(leases) <= earlier + timedelta(minutes=240)


def test_a_long_lease_and_clocks_that_differ_by_minutes_are_no_jump(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1}, lease_minutes=240)
    held = claim(world, batch, NOON)
    claiming.heartbeat(by=world.people["gene"], batch=batch, at=NOON)
    claiming.show_place(
        by=world.people["gene"], batch=batch, assignment=held[0].uuid, token=held[0].claim_token or "", at=NOON
    )
    assert sweep_lapsed(NOON - timedelta(minutes=4)) == 0


# --- the daily cap --------------------------------------------------------------------------------


def test_the_cap_is_never_passed_whichever_way_the_day_turns(world: World) -> None:
    world.add_items(20)
    batch = world.open_batch(quotas={"generalist": 1})
    Membership.objects.filter(pk=world.member("gene").pk).update(daily_cap=3)
    late = NOON.replace(hour=23, minute=59)
    for at in (late, late + timedelta(minutes=2), late - timedelta(minutes=30), late + timedelta(minutes=3), late):
        for place in claim(world, batch, at):
            submit(world, batch, place, at)
    days = dict(
        Assignment.objects.filter(status="submitted").annotate(day=TruncDate("finished_at", tzinfo=UTC))
        .order_by().values_list("day").annotate(n=Count("pk"))
    )  # fmt: skip
    assert set(days.values()) == {3}, days
    assert len(days) == 2
    assert claim_next(by=world.people["gene"], batch=batch, at=late).empty.reason == "cap"  # type: ignore[union-attr]
    assert done_today(world.member("gene"), NOON) >= 3
    assert list(ledger.verify()) == []


# --- order, undo, events --------------------------------------------------------------------------


def test_the_rater_still_gets_each_item_once_when_the_clock_walks_back(world: World) -> None:
    world.add_items(15)
    batch = world.open_batch(quotas={"generalist": 2})
    at, seen = NOON, []
    while places := claim(world, batch, at):
        place = places[0]
        seen.append(place.batch_item_id)
        submit(world, batch, place, at)
        at -= timedelta(minutes=7)
    assert Counter(seen).most_common(1)[0][1] == 1
    assert len(seen) == 20
    assert claim_next(by=world.people["gene"], batch=batch, at=at).empty.reason == "done"  # type: ignore[union-attr]
    assert list(ledger.verify()) == []


def test_undo_brings_an_own_answer_and_changes_none_by_itself(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    first, second = claim(world, batch, NOON)[:2]
    submit(world, batch, first, NOON)
    submit(world, batch, second, NOON - DAY)
    undone = undo_last(by=world.people["gene"], batch=batch, at=NOON - DAY)
    assert undone.place.uuid in (first.uuid, second.uuid)
    assert Annotation.objects.count() == 2
    assert list(ledger.verify()) == []


def test_statuses_follow_the_order_of_events_not_their_times(world: World) -> None:
    batch = world.open_batch()
    place = claim(world, batch, NOON)[0]
    release_place(
        by=world.people["gene"], batch=batch, assignment=place.uuid, token=place.claim_token or "", at=NOON - DAY
    )
    dispatch.close_batch(by=world.seat("olga"), batch=batch, at=NOON - 2 * DAY)
    run_jobs()
    sweep_lapsed(NOON + DAY)
    dispatch.reopen_batch(by=world.seat("olga"), batch=batch, at=NOON - 3 * DAY)
    run_jobs()
    told = list(
        Event.objects.filter(subject_type="batch", subject_id=batch.pk).order_by("pk").values_list("at", flat=True)
    )
    assert told != sorted(told), "the times do run backwards here"
    assert list(ledger.verify()) == []


# --- jobs -----------------------------------------------------------------------------------------


def a_running_job(now: datetime) -> Job:
    jobs.HANDLERS.setdefault("test_clock", lambda run: {})
    Job.objects.create(kind="test_clock", dedup_key="clock", created_at=now)
    job = jobs.take(now=now)
    assert job is not None
    return job


def test_back_a_dead_workers_job_is_taken_again_at_once(db: None) -> None:
    job = a_running_job(NOON)
    assert jobs.take(now=NOON + timedelta(seconds=30)) is None, "it is at work"
    taken = jobs.take(now=NOON - DAY)
    assert taken is not None
    assert (taken.pk, taken.attempts) == (job.pk, 2)


def test_control_without_a_furthest_lease_it_runs_for_a_day(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    a_running_job(NOON)
    monkeypatch.setattr(jobs, "LEASE", timedelta(days=9))
    assert jobs.take(now=NOON - DAY) is None


def test_forward_a_slow_worker_loses_its_job_and_does_it_no_harm(db: None) -> None:
    job = a_running_job(NOON)
    other = jobs.take(now=NOON + DAY)
    assert other is not None
    with pytest.raises(jobs.LostJob):
        jobs.JobRun(job).report(1)
    jobs.JobRun(other).report(1)


# --- a whole batch through the pages, with a clock gone mad -------------------------------------------


def desk_of(world: World, name: str, batch: Batch) -> Any:
    client = Client()
    client.force_login(world.people[name])

    def call(what: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        reply = client.post(reverse(f"labeling:desk_{what}", args=[batch.uuid]), body, content_type="application/json")
        if reply.status_code == 401:  # the session ran out with the clock: log in again, as the page asks to
            client.force_login(world.people[name])
            return call(what, body)
        return reply.status_code, reply.json()

    return call


@pytest.mark.parametrize("seed", range(6))
def test_a_batch_is_finished_whole_while_the_clock_jumps(world: World, seed: int) -> None:
    world.add_items(7)
    batch = world.open_batch(quotas={"generalist": 2})
    rng = random.Random(seed)
    desks = {name: desk_of(world, name, batch) for name in ("gene", "gina")}
    jumps = [timedelta(seconds=5)] * 6 + [
        timedelta(hours=3), -timedelta(hours=3), timedelta(days=2), -timedelta(days=2), -timedelta(seconds=40),
        timedelta(seconds=concord.SESSION_COOKIE_AGE + 60),
    ]  # fmt: skip
    clock = timezone.now()
    acknowledged: dict[str, str] = {}
    kept: list[tuple[str, dict[str, Any]]] = []

    def now() -> datetime:
        return clock

    with patch("django.utils.timezone.now", now):
        for _ in range(400):
            clock += rng.choice(jumps)
            name = rng.choice(list(desks))
            status, reply = desks[name]("claim", {})
            assert status == 200
            places = reply["hand"]
            if not places:
                if not Assignment.objects.filter(batch=batch, status__in=("open", "claimed")).exists():
                    break
                sweep_lapsed()
                continue
            clock += rng.choice(jumps)
            place = rng.choice(places)
            body = {
                "assignment": place["assignment"], "token": place["token"], "value": rng.choice(["defect", "no_defect"]),
                "outcome": "labeled", "seconds": 1.0,
            }  # fmt: skip
            status, reply = desks[name]("submit", body)
            assert status in (200, 201, 409), reply
            if status == 409:
                assert reply["code"] == "lease_lost"
                continue
            acknowledged[place["assignment"]] = body["value"]
            kept.append((name, body))
            name, body = rng.choice(kept)
            clock += rng.choice(jumps)
            assert desks[name]("submit", body)[0] == 200, "a replay, whenever it comes, is the same answer"
    unfinished = Assignment.objects.filter(batch=batch, status__in=(PlaceStatus.OPEN, PlaceStatus.CLAIMED))
    assert not unfinished.exists()
    stands = Annotation.objects.values_list("assignment__uuid", "value")
    assert {str(place): value for place, value in stands} == acknowledged
    assert len(acknowledged) == 24
    assert list(ledger.verify()) == []
