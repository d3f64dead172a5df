"""Stories of the desk's calls: what the page's script says and what it hears."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling import dispatch
from labeling.hashing import sha256_json
from labeling.models import Annotation, Assignment, BatchItem, Event, Gold, Item, Membership, Prediction, Question
from labeling.submission import lock_item
from tests.desk.helpers import Sitter
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db

KEYS = {"assignment", "token", "slot", "position", "lease_until", "item"}


@pytest.fixture
def gene(world: World) -> Sitter:
    return Sitter(world, "gene", world.open_batch())


def test_a_claim_brings_the_hand_the_progress_and_no_more(gene: Sitter) -> None:
    reply = gene.claim()
    assert [place["position"] for place in reply["hand"]] == [1, 2, 3, 4]
    assert {frozenset(place) for place in reply["hand"]} == {frozenset(KEYS)}
    assert reply["progress"] == {"done": 0, "total": 5, "today": 0, "daily_cap": None}
    assert reply["empty"] is None
    assert "Note number 1" in reply["hand"][0]["item"]["html"]
    assert reply["hand"][0]["item"]["kind"] == "text"
    assert gene.claim()["hand"] == reply["hand"], "asking again changes nothing"


def test_an_answer_is_recorded_and_the_reply_brings_the_next_place(gene: Sitter) -> None:
    first, second, *_ = gene.claim()["hand"]
    reply = gene.submit(
        first, borderline=True, second_value="no_defect", comment="thin", shown_next=second["assignment"]
    )
    assert reply.status_code == 201
    data = reply.json()
    annotation = Annotation.objects.get()
    assert data["result"] == {"assignment": first["assignment"], "annotation": str(annotation.uuid), "revision": 1}
    assert (annotation.value, annotation.borderline, annotation.second_value, annotation.comment, annotation.seconds) == (
        "defect", True, "no_defect", "thin", 1.5,
    )  # fmt: skip
    assert annotation.origin == "browser"
    assert annotation.blind
    assert data["progress"] == {"done": 1, "total": 5, "today": 1, "daily_cap": None}
    assert data["hand"][0]["assignment"] == second["assignment"], "what is shown comes first"
    assert [place["position"] for place in data["hand"]] == [2, 3, 4, 5]
    shown = Assignment.objects.get(uuid=second["assignment"])
    assert shown.shown_at is not None
    assert shown.lease_until > timezone.now() + timedelta(minutes=10)


def test_the_same_answer_again_is_200_and_another_is_409_with_the_hand(gene: Sitter) -> None:
    first = gene.claim()["hand"][0]
    assert gene.submit(first, idempotency_key="k1").status_code == 201
    again = gene.submit(first, idempotency_key="k1")
    assert again.status_code == 200
    assert again.json()["result"]["revision"] == 1
    other = gene.submit(first, "no_defect", idempotency_key="k2")
    assert other.status_code == 409
    assert other.json()["code"] == "answered_otherwise"
    assert len(other.json()["hand"]) == 4
    assert other.json()["progress"]["done"] == 1
    assert Annotation.objects.count() == 1


def test_a_lost_lease_is_409_and_the_page_can_go_on(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    gene, gina = Sitter(world, "gene", batch), Sitter(world, "gina", batch)
    first = gene.claim()["hand"][0]
    Assignment.objects.filter(batch=batch, status="claimed").update(lease_until=timezone.now() - timedelta(seconds=1))
    assert len(gina.claim()["hand"]) == 4
    reply = gene.submit(first)
    assert (reply.status_code, reply.json()["code"]) == (409, "lease_lost")
    assert first["assignment"] not in {place["assignment"] for place in reply.json()["hand"]}
    assert reply.json()["progress"]["done"] == 0
    assert not Annotation.objects.exists()


def test_undo_brings_the_own_answer_back_and_a_revision_keeps_both(gene: Sitter) -> None:
    first = gene.claim()["hand"][0]
    gene.submit(first, comment="scratch?")
    undone = gene.call("undo").json()["undone"]
    assert undone["assignment"] == first["assignment"]
    assert undone["item"] == first["item"]
    assert undone["position"] == 1
    assert undone["answer"] == {
        "value": "defect", "second_value": None, "outcome": "labeled", "borderline": False, "reason": "",
        "comment": "scratch?", "revision": 1,
    }  # fmt: skip
    assert Annotation.objects.count() == 1, "until it is changed, the answer stands"
    changed = gene.submit(undone, "no_defect", revises=True, idempotency_key="r")
    assert (changed.status_code, changed.json()["result"]["revision"]) == (201, 2)
    assert gene.submit(undone, "no_defect", revises=True, idempotency_key="r").status_code == 200
    assert list(Annotation.objects.order_by("revision").values_list("value", flat=True)) == ["defect", "no_defect"]


def test_a_skip_passes_on_and_undo_takes_it_back(gene: Sitter) -> None:
    first, second, *_ = gene.claim()["hand"]
    body = {
        "assignment": first["assignment"],
        "token": first["token"],
        "shown_next": second["assignment"],
        "reason": "mine",
    }
    reply = gene.call("skip", body)
    assert reply.status_code == 200
    held = [place["assignment"] for place in reply.json()["hand"]]
    assert held[0] == second["assignment"]
    assert first["assignment"] not in held
    assert gene.call("skip", body).status_code == 200, "the same skip again changes nothing"
    undone = gene.call("undo").json()
    assert undone["undone"]["answer"] is None
    assert undone["undone"]["assignment"] == first["assignment"]
    assert first["assignment"] in {place["assignment"] for place in undone["hand"]}
    again = next(place for place in undone["hand"] if place["assignment"] == first["assignment"])
    assert gene.submit(again).status_code == 201


def test_nothing_to_undo_is_a_friendly_409(gene: Sitter) -> None:
    reply = gene.call("undo")
    assert (reply.status_code, reply.json()["code"]) == (409, "nothing_to_undo")
    assert len(reply.json()["hand"]) == 4


def test_showing_and_heartbeats_keep_what_is_held(gene: Sitter) -> None:
    hand = gene.claim()["hand"]
    assert gene.call("shown", {name: hand[0][name] for name in ("assignment", "token")}).status_code == 200
    soon = timezone.now() + timedelta(seconds=5)
    Assignment.objects.filter(batch=gene.batch, status="claimed").update(lease_until=soon)
    reply = gene.call("heartbeat", {"assignments": [place["assignment"] for place in hand]})
    assert reply.status_code == 200
    assert {place["assignment"] for place in reply.json()["hand"]} == {place["assignment"] for place in hand}
    assert not Assignment.objects.filter(batch=gene.batch, status="claimed", lease_until__lte=soon).exists()
    lost = gene.call("shown", {"assignment": hand[0]["assignment"], "token": str(uuid4())})
    assert (lost.status_code, lost.json()["code"]) == (409, "lease_lost")


def test_a_question_goes_out_and_its_answer_comes_to_the_asker_once(gene: Sitter) -> None:
    first = gene.claim()["hand"][0]
    reply = gene.call("ask", {"assignment": first["assignment"], "text": "Is dust a mark?"})
    assert reply.status_code == 201
    question = Question.objects.get(uuid=reply.json()["question"])
    assert question.text == "Is dust a mark?"
    assert gene.claim()["replies"] == [], "nobody has answered yet"
    question.answer, question.answered_by, question.answered_at = "No.", gene.world.people["sam"], timezone.now()
    question.save()
    heard = gene.call("heartbeat", {"assignments": []}).json()["replies"]
    assert heard == [{"question": str(question.uuid), "text": "Is dust a mark?", "answer": "No.", "by": "Sam Ode"}]
    assert gene.claim()["replies"] == []
    gina = Sitter(gene.world, "gina", gene.batch)
    assert gina.claim()["replies"] == [], "it was not her question"


def test_the_end_of_a_batch_says_why_and_names_the_next(world: World) -> None:
    first = world.open_batch("First", quotas={"generalist": 2})
    second = world.open_batch("Second", quotas={"generalist": 1}, priority=5)
    gene = Sitter(world, "gene", first)
    while hand := (reply := gene.claim())["hand"]:
        for place in hand:
            gene.submit(place)
    assert reply["empty"]["reason"] == "done"
    assert reply["progress"] == {"done": 5, "total": 5, "today": 5, "daily_cap": None}
    there = Sitter(world, "gene", second)
    assert reply["empty"]["next_url"] == there.url()
    assert reply["empty"]["next"] == "Go on with Second"
    while hand := (reply := there.claim())["hand"]:
        for place in hand:
            there.submit(place)
    assert reply["empty"]["next_url"] is None


def test_a_daily_cap_is_told_and_offers_nothing_of_the_same_project(world: World) -> None:
    Membership.objects.filter(project=world.project, user=world.people["gene"]).update(daily_cap=1)
    batch, _other = world.open_batch("First"), world.open_batch("Second")
    gene = Sitter(world, "gene", batch)
    reply = gene.submit(gene.claim()["hand"][0]).json()
    assert reply["hand"] == []
    assert reply["empty"]["reason"] == "cap"
    assert reply["empty"]["next_url"] is None
    assert reply["progress"]["daily_cap"] == reply["progress"]["today"] == 1


def test_closed_in_mid_session_honours_the_hand_then_says_so(gene: Sitter) -> None:
    hand = gene.claim()["hand"]
    dispatch.close_batch(by=gene.world.seat("olga"), batch=gene.batch)
    run_jobs()
    for place in hand:
        reply = gene.submit(place)
        assert reply.status_code == 201
    assert reply.json()["empty"]["reason"] == "closed"


def test_a_ruled_item_takes_no_revision(gene: Sitter) -> None:
    first = gene.claim()["hand"][0]
    gene.submit(first)
    lock_item(batch_item=BatchItem.objects.get(batch=gene.batch, rank=0), at=timezone.now())
    reply = gene.submit(first, "no_defect", revises=True)
    assert (reply.status_code, reply.json()["code"]) == (409, "ruled")


# --- who and what may call ------------------------------------------------------------------------

CALLS = ("claim", "submit", "skip", "undo", "shown", "heartbeat", "ask")


@pytest.mark.parametrize("name", CALLS)
def test_strangers_and_people_without_a_cohort(world: World, name: str) -> None:
    batch = world.open_batch()
    held = Sitter(world, "gene", batch).claim()["hand"][0]
    body = {"assignment": held["assignment"], "token": held["token"], "value": "defect", "text": "?"}
    assert Sitter(world, "otto", batch).call(name, body).status_code == 404
    for insider in ("mel", "sam", "olga"):
        assert Sitter(world, insider, batch).call(name, body).status_code == 403
    logged_out = Sitter(world, "gene", batch)
    logged_out.client.logout()
    reply = logged_out.call(name, body)
    assert (reply.status_code, reply.json()["code"]) == (401, "log_in")
    assert logged_out.client.get(logged_out.url(name)).status_code == 405
    assert not Annotation.objects.exists()


@pytest.mark.parametrize("name", ["submit", "skip", "shown", "ask"])
def test_nobody_acts_on_anothers_place(world: World, name: str) -> None:
    batch = world.open_batch()
    held = Sitter(world, "gene", batch).claim()["hand"][0]
    body = {"assignment": held["assignment"], "token": held["token"], "value": "defect", "text": "?"}
    reply = Sitter(world, "gina", batch).call(name, body)
    assert (reply.status_code, reply.json()["code"]) == (409, "lease_lost")
    assert Assignment.objects.get(uuid=held["assignment"]).status == "claimed"


def test_the_csrf_token_is_asked_for(world: World) -> None:
    gene = Sitter(world, "gene", world.open_batch(), csrf=True)
    reply = gene.call("claim")
    assert (reply.status_code, reply.json()["code"]) == (403, "csrf")


def test_someone_else_logged_in_does_not_send_the_first_persons_answers(world: World) -> None:
    batch = world.open_batch()
    gene, gina = Sitter(world, "gene", batch), Sitter(world, "gina", batch)
    as_gene = str(world.people["gene"].pk)
    assert gene.call("claim", {}, HTTP_X_CONCORD_USER=as_gene).status_code == 200
    reply = gina.call("claim", {}, HTTP_X_CONCORD_USER=as_gene)
    assert (reply.status_code, reply.json()["code"]) == (401, "log_in")


JUNK_BODIES = [
    (b"{}", 422), (b"{", 400), (b"[]", 400), (b"null", 400), (b'"x"', 400), (b"\xff\xfe", 400), (b'{"a": NaN}', 400),
    (b'{"comment": "\\ud800"}', 400), (b"[" * 30_000, 400), (b'{"seconds": ' + b"9" * 6000 + b"}", 400),
    (b'{"comment": "' + b"x" * 70_000 + b'"}', 413),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "status"), JUNK_BODIES, ids=range(len(JUNK_BODIES)))
def test_junk_bodies_are_refused_in_words(gene: Sitter, raw: bytes, status: int) -> None:
    reply = gene.call("submit", raw)
    assert reply.status_code == status
    assert set(reply.json()) == {"code", "message", "data"}


JUNK_FIELDS = [
    ("assignment", None), ("assignment", 7), ("assignment", "x" * 50), ("assignment", ["a"]), ("token", {}),
    ("token", "no"), ("value", None), ("value", 3), ("value", ["defect"]), ("value", "Defect"), ("value", "\x00"),
    ("second_value", "defect"), ("second_value", "nonsense"), ("outcome", "maybe"), ("outcome", 1), ("reason", 5),
    ("borderline", "yes"), ("borderline", 1), ("comment", {}), ("comment", "x" * 5000), ("seconds", "3"),
    ("seconds", -1), ("seconds", 1e300), ("seconds", True), ("revises", 2), ("shown_next", "x"), ("shown_next", 1),
    ("idempotency_key", "k" * 65), ("idempotency_key", "a\x00b"), ("idempotency_key", 5),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), JUNK_FIELDS, ids=str)
def test_a_junk_field_is_named(gene: Sitter, field: str, value: object) -> None:
    first = gene.claim()["hand"][0]
    reply = gene.submit(first, **{"value": "defect", field: value}) if field != "value" else gene.submit(first, value)
    assert reply.status_code == 422, reply.content
    assert reply.json()["data"]["field"] in (field, "value")
    assert not Annotation.objects.exists()
    assert gene.submit(first).status_code == 201, "nothing is lost by it"


def test_not_enough_information_needs_its_reason(gene: Sitter) -> None:
    first = gene.claim()["hand"][0]
    reply = gene.submit(first, None, outcome="cannot_label")
    assert (reply.status_code, reply.json()["code"]) == (422, "reason_missing")
    assert gene.submit(first, None, outcome="cannot_label", reason="glare").status_code == 201
    assert Annotation.objects.get().outcome == "cannot_label"


def test_heartbeats_refuse_a_long_list(gene: Sitter) -> None:
    assert gene.call("heartbeat", {"assignments": [str(uuid4())] * 100}).status_code == 422
    assert gene.call("heartbeat", {"assignments": "x"}).status_code == 422


# --- nothing of others, nothing hidden ------------------------------------------------------------

SECRETS = ("SECRET-metadata", "SECRET-hidden", "SECRET-undeclared", "SECRET-gold", "SECRET-model", "SECRET-tag",
           "SECRET-comment", "SECRET-reason", "SECRET-question")  # fmt: skip


def plant_secrets(world: World, batch) -> None:
    """Everything a rater must never see, beside every item of the batch."""
    now = timezone.now()
    project = world.project
    project.payload_schema = {
        "fields": [
            {"name": "text", "kind": "text", "title": "Note"},
            {"name": "hidden", "kind": "text", "title": "Hidden", "shown": False},
        ]
    }
    project.save()
    ella = Sitter(world, "ella", batch)
    for place in ella.claim()["hand"]:
        ella.call("ask", {"assignment": place["assignment"], "text": "SECRET-question"})
        ella.submit(place, None, outcome="cannot_label", reason="SECRET-reason", comment="SECRET-comment")
    for item in world.items:
        Gold.objects.create(item=item, value="SECRET-gold", origin="external", by=None, at=now)
        Prediction.objects.create(
            item=item,
            model_name="SECRET-model",
            model_version="1",
            guideline_version=world.version,
            value="defect",
            at=now,
        )
        item.tags.create(tag="SECRET-tag")


def test_no_reply_and_no_page_carries_what_is_not_the_raters() -> None:
    world = World.build(items=0)
    for number in range(5):
        payload = {"text": f"VISIBLE {number}", "hidden": "SECRET-hidden", "extra": "SECRET-undeclared"}
        world.items.append(
            Item.objects.create(
                project=world.project, external_id=f"s{number}", payload=payload, payload_sha256=sha256_json(payload),
                metadata={"source": "SECRET-metadata"},
            )
        )  # fmt: skip
    batch = world.open_batch(quotas={"generalist": 1, "expert": 1})
    plant_secrets(world, batch)
    gene = Sitter(world, "gene", batch)
    seen = [gene.page().content.decode()]
    hand = gene.claim()["hand"]
    first, second, third, *_ = hand
    seen += [
        reply.content.decode()
        for reply in (
            gene.call("claim"),
            gene.call("shown", {"assignment": first["assignment"], "token": first["token"]}),
            gene.submit(first),
            gene.submit(first, "no_defect"),
            gene.submit(second, "nonsense"),
            gene.call("undo"),
            gene.call("skip", {"assignment": second["assignment"], "token": second["token"]}),
            gene.call("undo"),
            gene.call("heartbeat", {"assignments": []}),
            gene.call("ask", {"assignment": third["assignment"], "text": "Why?"}),
            gene.page(plain="1"),
            gene.page(again=first["assignment"]),
            gene.client.get(f"/batches/{batch.uuid}/answers/"),
            gene.client.get(f"/answers/{first['assignment']}/"),
        )
    ]
    for text in seen:
        assert "SECRET" not in text, text[max(0, text.index("SECRET") - 300) : text.index("SECRET") + 60]
        assert "Ella" not in text
    assert sum("VISIBLE" in text for text in seen) >= 12, "the check reads pages that do show items"


def test_the_sentinels_would_be_found(world: World) -> None:
    """The negative control: shown fields do reach the page, so a leak through them would be seen."""
    world.project.payload_schema = {"fields": [{"name": "text", "kind": "text"}]}
    world.project.save()
    batch = world.open_batch()
    assert "Note number 1" in json.dumps(Sitter(world, "gene", batch).claim())


# --- cost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [10, 1000])
def test_a_submission_costs_the_same_for_ten_and_a_thousand_items(world: World, items: int) -> None:
    world.add_items(items - 5)
    gene = Sitter(world, "gene", world.open_batch())
    first, second, third, *_ = gene.claim()["hand"]
    gene.submit(first, shown_next=second["assignment"])
    with CaptureQueriesContext(connection) as queries:
        reply = gene.submit(second, shown_next=third["assignment"])
    assert reply.status_code == 201
    # session, user, batch; then the act (with its savepoints); then own counts, items left (2) and the day's count
    assert len(queries) <= 27, "\n".join(query["sql"] for query in queries)


def test_events_of_a_submission_are_one_insert(gene: Sitter) -> None:
    first = gene.claim()["hand"][0]
    with CaptureQueriesContext(connection) as queries:
        gene.submit(first)
    inserts = [query["sql"] for query in queries if 'INSERT INTO "labeling_event"' in query["sql"]]
    assert len(inserts) == 1
    assert Event.objects.filter(verb="submitted").count() == 1
