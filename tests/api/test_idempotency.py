"""Idempotency-Key: the same request again gets the first answer; two at once are carried out once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from api import idempotency
from api.idempotency import Answered, answer_once, forget_old_keys
from api.models import IdempotencyRecord
from labeling.models import Batch, ImportRun
from labeling.refusals import BadValue, Refusal
from tests.api.client import Program, key_for
from tests.worlds import World

pytestmark = pytest.mark.django_db
BATCH = {"name": "Next", "quotas": [{"cohort": "generalist", "raters": 2}]}


@pytest.fixture
def olga(world: World) -> Program:
    return Program(key_for(world, "olga"))


def test_the_same_key_again_gets_the_same_answer(world: World, olga: Program) -> None:
    first = olga.post("batches", BATCH, **{"Idempotency-Key": "k1"})
    again = olga.post("batches", BATCH, **{"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again["Location"] == first["Location"]
    assert (first.get("Idempotent-Replayed"), again["Idempotent-Replayed"]) == (None, "true")
    assert Batch.objects.filter(name="Next").count() == 1
    other = olga.post("batches", {**BATCH, "name": "Other"}, **{"Idempotency-Key": "k1"})
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    elsewhere = olga.post(f"batches/{first.json()['uuid']}/open", **{"Idempotency-Key": "k1"})
    assert elsewhere.json()["code"] == "key_reused"


def test_keys_of_two_members_are_two(world: World) -> None:
    from labeling.vocabulary import Role

    member = world.member("mel")
    member.role = Role.OWNER
    member.save()
    one, two = Program(key_for(world, "olga")), Program(key_for(world, "mel"))
    assert one.post("batches", BATCH, **{"Idempotency-Key": "k"}).status_code == 201
    assert two.post("batches", {**BATCH, "name": "Two"}, **{"Idempotency-Key": "k"}).status_code == 201


def test_what_was_refused_frees_its_key(world: World, olga: Program) -> None:
    bad = olga.post("batches", {**BATCH, "name": " "}, **{"Idempotency-Key": "k2"})
    assert bad.status_code == 422
    assert not IdempotencyRecord.objects.exists()
    assert olga.post("batches", BATCH, **{"Idempotency-Key": "k2"}).status_code == 201


def test_a_key_in_progress_is_409(world: World, olga: Program) -> None:
    now = timezone.now()
    seen: list[Any] = []

    def act() -> Answered:
        with pytest.raises(Refusal) as refused:
            answer_once(member=world.member("olga"), key="k", request_sha256="a" * 64, act=act, at=now)
        seen.append(refused.value)
        return Answered(200, {"done": True}, {})

    answer_once(member=world.member("olga"), key="k", request_sha256="a" * 64, act=act, at=now)
    assert (seen[0].status, seen[0].code) == (409, "in_progress")
    IdempotencyRecord.objects.create(member=world.member("olga"), key="k9", request_sha256="b" * 64, at=now)
    busy = olga.post("batches", BATCH, **{"Idempotency-Key": "k9"})
    assert busy.status_code == 422, "another request"
    with pytest.raises(BadValue):
        answer_once(member=world.member("olga"), key="k", request_sha256="c" * 64, act=act, at=now)


def test_an_act_that_fails_leaves_neither_answer_nor_key(world: World) -> None:
    def act() -> Answered:
        Batch.objects.create(project=world.project, guideline_version=world.version, name="Half")
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        answer_once(member=world.member("olga"), key="k", request_sha256="a" * 64, act=act)
    assert not Batch.objects.filter(name="Half").exists()
    assert not IdempotencyRecord.objects.exists()


def test_a_key_left_behind_by_a_dead_process_may_be_taken_over(world: World) -> None:
    member, now = world.member("olga"), timezone.now()
    IdempotencyRecord.objects.create(
        member=member, key="k", request_sha256="a" * 64, at=now - idempotency.ABANDONED - timedelta(seconds=1)
    )
    answer = answer_once(
        member=member, key="k", request_sha256="a" * 64, act=lambda: Answered(200, {"ok": 1}, {}), at=now
    )
    assert not answer.replayed
    assert answer_once(member=member, key="k", request_sha256="a" * 64, act=lambda: answer, at=now).replayed


def test_an_upload_sent_twice_is_one_import(world: World) -> None:
    mel = Program(key_for(world, "mel"))
    body = b"external_id,text\nz-1,One.\n"
    first = mel.post("items", body, kind="text/csv", **{"Idempotency-Key": "up"})
    again = mel.post("items", body, kind="text/csv", **{"Idempotency-Key": "up"})
    assert first.json() == again.json()
    assert ImportRun.objects.count() == 1
    other = mel.post("items", body + b"z-2,Two.\n", kind="text/csv", **{"Idempotency-Key": "up"})
    assert other.json()["code"] == "key_reused"


@pytest.mark.parametrize("key", ["", "x" * 129, "ä"])
def test_a_key_that_is_none(world: World, olga: Program, key: str) -> None:
    reply = olga.post("batches", BATCH, **{"Idempotency-Key": key})
    assert (reply.status_code, reply.json()["code"]) == (422, "bad_value")


def test_old_keys_are_forgotten(world: World) -> None:
    member, now = world.member("olga"), timezone.now()
    for key, age in (("old", 25), ("new", 1)):
        IdempotencyRecord.objects.create(
            member=member, key=key, request_sha256="a" * 64, status=200, response={}, at=now - timedelta(hours=age)
        )
    assert forget_old_keys(now) == 1
    assert IdempotencyRecord.objects.get().key == "new"
