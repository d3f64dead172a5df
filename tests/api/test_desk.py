"""A rater's program: it claims, answers, skips and stays as the desk does, and learns no more than the desk shows."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from labeling.hashing import sha256_json
from labeling.models import Acknowledgement, Annotation, Assignment, Gold, Item, ItemTag, Prediction
from labeling.selection import Selection
from labeling.vocabulary import GoldOrigin, PlaceStatus
from tests.api.client import Program, key_for
from tests.worlds import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def gene(world: World) -> Program:
    return Program(key_for(world, "gene"))


def answer(token: str, value: str = "defect", **more: Any) -> dict[str, Any]:
    return {"token": token, "outcome": "labeled", "value": value, **more}


def test_claim_answer_and_go_on_until_done(world: World, gene: Program) -> None:
    batch = world.open_batch()
    claimed = gene.post(f"batches/{batch.uuid}/claim")
    assert claimed.status_code == 200
    place: Any = claimed.json()
    assert [held["uuid"] for held in place["hand"]] == [place["uuid"]]
    assert place["item"]["payload"] == {"text": "Note number 1: a mark near the camera."}
    for number in range(5):
        told = gene.post(f"assignments/{place['uuid']}/submit", answer(place["token"], seconds=2.5, next=True))
        assert told.status_code == 201
        assert told.json()["created"] is True
        place = told.json()["next"]
        assert (place is None) == (number == 4)
    assert told.json()["empty"]["reason"] == "done"
    again = gene.post(f"batches/{batch.uuid}/claim")
    assert (again.status_code, again.json()["code"]) == (409, "done")
    origins = Annotation.objects.filter(assignment__batch=batch).values_list("origin", "seconds").distinct()
    assert list(origins) == [("api", 2.5)]


def test_what_is_claimed_has_the_lease_of_what_is_shown(world: World, gene: Program) -> None:
    batch = world.open_batch(lease_minutes=30)
    place = gene.post(f"batches/{batch.uuid}/claim", {"count": 3}).json()
    leases = {
        held.uuid.hex: held.lease_until - timezone.now()
        for held in Assignment.objects.filter(status=PlaceStatus.CLAIMED)
    }
    assert len(leases) == 3
    assert leases.pop(place["uuid"].replace("-", "")) > timedelta(minutes=29)
    assert all(lease < timedelta(minutes=3) for lease in leases.values())


def test_the_same_answer_again_is_200_and_another_one_409(world: World, gene: Program) -> None:
    batch = world.open_batch()
    place = gene.post(f"batches/{batch.uuid}/claim").json()
    address = f"assignments/{place['uuid']}/submit"
    first = gene.post(address, answer(place["token"]))
    again = gene.post(address, answer(place["token"]))
    other = gene.post(address, answer(place["token"], "no_defect"))
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert again.json()["annotation"] == first.json()["annotation"]
    assert other.json()["code"] == "answered_otherwise"
    revised = gene.post(address, answer(place["token"], "no_defect", revises=True))
    assert (revised.status_code, revised.json()["revision"]) == (201, 2)
    assert Annotation.objects.filter(assignment__batch=batch).count() == 2


def test_without_having_read_the_version_nothing_is_claimed(world: World, gene: Program) -> None:
    batch = world.open_batch(read=False)
    refused = gene.post(f"batches/{batch.uuid}/claim")
    assert (refused.status_code, refused.json()["code"]) == (409, "version_unread")
    assert refused.json()["data"]["guideline"] == str(world.version.uuid)
    assert gene.get(f"guidelines/{world.version.uuid}").json()["acknowledged"] is False
    for _ in range(2):
        assert gene.send("POST", refused.json()["data"]["acknowledge"], {}).json()["acknowledged"] is True
    assert Acknowledgement.objects.filter(guideline_version=world.version).count() == 1
    assert gene.post(f"batches/{batch.uuid}/claim").status_code == 200


def test_skip_release_heartbeat_undo(world: World, gene: Program) -> None:
    batch = world.open_batch()
    place = gene.post(f"batches/{batch.uuid}/claim").json()
    token = {"token": place["token"]}
    beat = gene.post(f"assignments/{place['uuid']}/heartbeat", token)
    assert beat.json()["next"]["uuid"] == place["uuid"]
    assert gene.post(f"assignments/{place['uuid']}/release", token).status_code == 204
    lost = gene.post(f"assignments/{place['uuid']}/heartbeat", token)
    assert (lost.status_code, lost.json()["code"]) == (409, "lease_lost")
    place = gene.post(f"batches/{batch.uuid}/claim").json()
    skipped = gene.post(f"assignments/{place['uuid']}/skip", {"token": place["token"], "next": True})
    assert skipped.json()["next"]["uuid"] != place["uuid"]
    back = gene.post(f"batches/{batch.uuid}/undo").json()
    assert (back["place"], back["answer"]) == (place["uuid"], None)
    assert gene.post(f"assignments/{place['uuid']}/submit", answer(back["token"])).status_code == 201
    undone = gene.post(f"batches/{batch.uuid}/undo").json()
    assert undone["answer"]["value"] == "defect"
    mine = gene.get(f"batches/{batch.uuid}/mine").json()
    assert (mine["answered"], mine["today"]) == (1, 1)
    assert [row["value"] for row in gene.everything(f"batches/{batch.uuid}/answers")] == ["defect"]


def test_not_enough_information_needs_a_reason(world: World, gene: Program) -> None:
    batch = world.open_batch()
    place = gene.post(f"batches/{batch.uuid}/claim").json()
    address = f"assignments/{place['uuid']}/submit"
    bare = gene.post(address, {"token": place["token"], "outcome": "cannot_label"})
    assert (bare.status_code, bare.json()["code"]) == (422, "reason_missing")
    said = gene.post(address, {"token": place["token"], "outcome": "cannot_label", "reason": "Too dark."})
    assert said.status_code == 201


def test_a_question_is_asked_and_answered(world: World, gene: Program) -> None:
    batch = world.open_batch()
    place = gene.post(f"batches/{batch.uuid}/claim").json()
    asked = gene.post(f"assignments/{place['uuid']}/ask", {"text": "Is dust a mark?"})
    assert asked.status_code == 201
    sam, gina = Program(key_for(world, "sam")), Program(key_for(world, "gina"))
    assert [row["text"] for row in sam.everything("questions?waiting=true")] == ["Is dust a mark?"]
    assert gina.everything("questions") == []
    told = sam.post(f"questions/{asked.json()['uuid']}/answer", {"text": "No."})
    assert told.json()["answer"] == "No."
    assert gene.everything("questions")[0]["answer"] == "No."
    assert sam.everything("questions?waiting=true") == []


def test_the_daily_cap_is_told(world: World, gene: Program) -> None:
    batch = world.open_batch()
    member = world.member("gene")
    member.daily_cap = 1
    member.save()
    place = gene.post(f"batches/{batch.uuid}/claim").json()
    done = gene.post(f"assignments/{place['uuid']}/submit", answer(place["token"], next=True)).json()
    assert (done["next"], done["empty"]["reason"]) == (None, "cap")
    capped = gene.post(f"batches/{batch.uuid}/claim")
    assert (capped.status_code, capped.json()["code"]) == (409, "daily_cap")
    assert capped.json()["data"]["opens_at"]


def test_a_place_of_someone_else_is_a_lost_lease(world: World, gene: Program) -> None:
    batch = world.open_batch()
    place = gene.post(f"batches/{batch.uuid}/claim").json()
    gina = Program(key_for(world, "gina"))
    for name, body in (
        ("submit", answer(place["token"])),
        ("skip", {"token": place["token"]}),
        ("release", {"token": place["token"]}),
        ("heartbeat", {"token": place["token"]}),
    ):
        told = gina.post(f"assignments/{place['uuid']}/{name}", body)
        assert (told.status_code, told.json()["code"]) == (409, "lease_lost"), name


SECRETS = ("zebra-meta", "zebra-tag", "zebra-id", "zebra-model", "zebra-comment", "zebra-gold")


def what_a_rater_can_read(world: World, gene: Program) -> list[str]:
    """Every answer a rater's token with every scope gets from reading, claiming and answering."""
    payload = {"text": "A mark."}
    item = Item.objects.create(
        project=world.project, external_id="zebra-id", payload=payload, payload_sha256=sha256_json(payload),
        metadata={"note": "zebra-meta"},
    )  # fmt: skip
    chosen = Selection(external_ids=("n4", "n5", "zebra-id"), order="as_listed")
    batch = world.open_batch(quotas={"generalist": 3}, selection=chosen)
    ItemTag.objects.create(item=item, tag="zebra-tag")
    Prediction.objects.create(
        item=item, model_name="zebra-model", model_version="1", guideline_version=world.version, value="defect",
        at=timezone.now(),
    )  # fmt: skip
    Gold.objects.create(
        item=item, value="defect", origin=GoldOrigin.EXTERNAL, rationale="zebra-gold", at=timezone.now()
    )
    gina = Program(key_for(world, "gina"))
    for place in gina.post(f"batches/{batch.uuid}/claim", {"count": 4}).json()["hand"]:
        gina.post(f"assignments/{place['uuid']}/submit", answer(place["token"], comment="zebra-comment"))
    texts = []

    def note(reply: Any) -> Any:
        texts.append(reply.content.decode())
        return reply

    place = note(gene.post(f"batches/{batch.uuid}/claim", {"count": 4})).json()
    note(gene.post(f"assignments/{place['uuid']}/heartbeat", {"token": place["token"]}))
    note(gene.post(f"assignments/{place['uuid']}/submit", answer(place["token"], next=True)))
    note(gene.post(f"batches/{batch.uuid}/undo"))
    readable = [
        "projects", f"projects/{world.project.slug}", "members", "guidelines", f"guidelines/{world.version.uuid}", "items",
        f"items/{item.uuid}", "imports", "batches", f"batches/{batch.uuid}", f"batches/{batch.uuid}/progress",
        f"batches/{batch.uuid}/mine", f"batches/{batch.uuid}/answers", "questions", "annotations", "predictions", "jobs",
        "events",
    ]  # fmt: skip
    for path in readable:
        note(gene.get(path))
    return texts


def test_a_rater_learns_no_metadata_gold_prediction_or_answer_of_others(world: World, gene: Program) -> None:
    texts = what_a_rater_can_read(world, gene)
    assert len(texts) > 20
    assert [secret for secret in SECRETS if any(secret in text for text in texts)] == []
    gina = str(world.member("gina").uuid)
    assert not any(gina in text or "Gina" in text for text in texts)


def test_a_leak_would_be_seen(world: World, gene: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the item as its owner sees it in place of the rater's view, and the rights gone."""
    from api.views.rest import shown
    from labeling import access

    view = shown.shown_item
    monkeypatch.setattr(
        shown, "shown_item",
        lambda call, item, project: {**view(call, item, project), "payload": {**item.metadata, "id": item.external_id}},
    )  # fmt: skip
    monkeypatch.setattr(access, "has_right", lambda membership, right: membership.active)
    texts = what_a_rater_can_read(world, gene)
    assert {secret for secret in SECRETS if any(secret in text for text in texts)} >= {
        "zebra-meta", "zebra-id", "zebra-tag", "zebra-model", "zebra-comment",
    }  # fmt: skip


def test_bodies_are_read_strictly(world: World, gene: Program) -> None:
    batch = world.open_batch()
    place = gene.post(f"batches/{batch.uuid}/claim").json()
    address = f"assignments/{place['uuid']}/submit"
    wrong: list[tuple[Any, int, str]] = [
        (b"{", 400, "bad_json"),
        (b"\xff", 400, "bad_json"),
        (b'{"token": NaN}', 400, "bad_json"),
        (b'{"comment": "\\ud800"}', 400, "bad_json"),
        (b'{"comment": "\\u0000"}', 400, "bad_json"),
        (b'{"token": 1, "token": 2}', 400, "bad_json"),
        (b"[" * 100_000, 400, "bad_json"),
        (b"[]", 422, "bad_value"),
        (b" " * (1 << 20) + b"{}", 413, "too_large"),
        ({"token": "x"}, 422, "bad_value"),
        ({}, 422, "bad_value"),
        (answer(place["token"], extra=1), 422, "unknown_field"),
        (answer(place["token"], borderline="yes"), 422, "bad_value"),
        (answer(place["token"], seconds="2"), 422, "bad_value"),
        (answer(place["token"], seconds=-1), 422, "bad_value"),
        (answer(place["token"], confidence=2), 422, "bad_value"),
        (answer(place["token"], "Defect"), 422, "bad_value"),
        (answer(place["token"], comment="x" * 4001), 422, "bad_value"),
    ]
    for body, status, code in wrong:
        reply = gene.post(address, body)
        assert (reply.status_code, reply.json()["code"]) == (status, code), json.dumps(reply.json())[:300]
    form = gene.post(address, b"value=defect", kind="application/x-www-form-urlencoded")
    assert (form.status_code, form.json()["code"]) == (415, "not_json")
    assert not Annotation.objects.filter(assignment__batch=batch).exists()
