"""The bench's pages without a script, its JSON calls, what never appears there, and how many queries lists take."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from consistency import comparing, holding
from consistency.models import Adjudication, Disagreement, DiscussionMessage
from labeling import dispatch
from labeling.models import Assignment, Batch, BatchItem, Membership, User
from labeling.submission import Answer, ask_question
from tests.bench.helpers import A, B, case_of, disputed, no_audit, rule
from tests.worlds import World

pytestmark = pytest.mark.django_db
NAMES = ("Gene ", "Ralston", "Gina", "Roth", "Ella", "gina", "ella")


def sit(world: World, who: str) -> Client:
    client = Client()
    client.force_login(world.people[who])
    return client


def url(case: Disagreement, what: str = "") -> str:
    return f"/projects/phones/bench/{case.uuid}/{what}"


def call(client: Client, case: Disagreement, what: str, **body: Any) -> Any:
    return client.post(url(case, what), json.dumps(body), content_type="application/json")


RULING = {"cause": "ambiguous_definition", "outcome": "revise", "rationale": "No length is named.", "value": B}


def test_an_empty_bench_says_why(world: World) -> None:
    page = sit(world, "sam").get("/projects/phones/bench/")
    assert "Nobody disagrees so far" in page.content.decode()
    disputed(world)
    for item in ("n1", "n2", "n3"):
        rule(world, Batch.objects.get(), item)
    text = sit(world, "sam").get("/projects/phones/bench/").content.decode()
    assert "Nothing waits for a ruling in First look" in text
    assert "3 ruled" in text


def test_a_case_shows_everything_but_names(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2, "expert": 1})
    world.say(batch, "gene", {"n1": Answer(value=A, borderline=True, comment="Just under what we called long.")})
    world.say(batch, "gina", {"n1": Answer(value=B, comment="<b>clean</b>")})
    world.say(batch, "ella", {"n1": None})
    place = Assignment.objects.get(batch=batch, member=world.member("gina"), batch_item__item__external_id="n1")
    ask_question(by=world.people["gina"], batch=batch, assignment=place.uuid, text="Visible to whom?")
    comparing.compare_batch(batch=batch)
    for address in (url(case_of(batch, "n1")), url(case_of(batch, "n1"), "parts")):
        raw = sit(world, "sam").get(address).content.decode()
        text = json.loads(raw)["main"] + json.loads(raw)["side"] if address.endswith("parts") else raw
        for words in (
            "Generalist 1", "Generalist 2", "Expert 1", "borderline", "Just under what we called long.",
            "&lt;b&gt;clean&lt;/b&gt;", "Too dark.", "Visible to whom?", "What Defect means.", "camera 1",
            "No defect",
        ):  # fmt: skip
            assert words in text, words
        for name in NAMES:
            assert name not in text, name


def test_ruling_without_a_script(world: World) -> None:
    batch = disputed(world)
    sam, case = sit(world, "sam"), case_of(batch, "n1")
    refused = sam.post(url(case), {**RULING, "seen": case.input_sha256, "rationale": " "})
    assert refused.status_code == 422
    text = refused.content.decode()
    assert "Say why in a sentence" in text
    assert 'value="no_defect" checked' in text  # what was entered stays
    done = sam.post(url(case), {**RULING, "seen": case.input_sha256})
    assert done.status_code == 302
    assert str(case_of(batch, "n2").uuid) in done["Location"]  # on to the next case
    assert Adjudication.objects.get().value == B
    stale = sam.post(url(case), {**RULING, "seen": case.input_sha256, "value": A})
    assert stale.status_code == 409
    page = sam.get(url(case)).content.decode()
    assert "Ruled: No defect" in page
    assert "Replace this ruling" not in page
    olga = sit(world, "olga")
    assert "Replace this ruling" in olga.get(url(case)).content.decode()
    olga.post(url(case), {**RULING, "action": "overrule", "revision": "1", "value": A})
    assert [made.value for made in Adjudication.objects.order_by("revision")] == [B, A]
    assert olga.post(url(case), {**RULING, "action": "overrule", "revision": "x"}).status_code == 422


def test_ruling_by_the_script(world: World) -> None:
    batch = disputed(world)
    sam, olga, case = sit(world, "sam"), sit(world, "olga"), case_of(batch, "n1")
    held = call(sam, case, "hold").json()
    assert held["seen"] == case.input_sha256
    busy = call(olga, case, "hold")
    assert (busy.status_code, busy.json()["code"]) == (409, "held_by_other")
    assert "someone else is ruling" in olga.get(url(case)).content.decode()
    assert call(sam, case, "extend", token=held["token"]).status_code == 200
    for bad in ({"cause": 1}, {"also": "n2"}, {"also": [["a"]]}, {"rationale": None}):
        answer = call(sam, case, "rule", **{**RULING, "seen": held["seen"], "token": held["token"], **bad})
        assert answer.status_code == 422, bad
    done = call(sam, case, "rule", **RULING, seen=held["seen"], token=held["token"])
    assert (done.status_code, done.json()["ruled"]) == (200, [str(case.uuid)])
    two, three = case_of(batch, "n2"), case_of(batch, "n3")
    call(olga, three, "hold")
    both = call(
        sam, two, "rule", **RULING, seen=two.input_sha256, also=[[str(three.uuid), three.input_sha256]]
    ).json()  # fmt: skip
    assert both["ruled"] == [str(two.uuid)]
    assert [(one["case"], one["code"]) for one in both["refused"]] == [(str(three.uuid), "held_by_other")]
    assert call(sam, three, "rule", **RULING, seen="x", token="y").status_code == 409
    gone = call(sit(world, "otto"), three, "hold")
    assert gone.status_code == 404


def test_own_items_are_shown_and_not_ruled_on(world: World) -> None:
    Membership.objects.filter(pk=world.member("sam").pk).update(cohort="expert")
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 1, "expert": 1})
    from labeling.claiming import acknowledge_version

    acknowledge_version(by=world.people["sam"], batch=batch)
    world.say(batch, "gene", {"n1": A})
    world.say(batch, "sam", {"n1": B})
    comparing.compare_batch(batch=batch)
    case = case_of(batch, "n1")
    sam = sit(world, "sam")
    text = sam.get(url(case)).content.decode()
    assert "Your own item." in text
    assert 'id="ruling"' not in text
    assert call(sam, case, "hold").json()["code"] == "own_item"
    assert sam.post(url(case), {**RULING, "seen": case.input_sha256}).status_code == 403


def test_the_raters_of_an_item_talk_about_it(world: World) -> None:
    batch = disputed(world)
    sam, gene, tom = sit(world, "sam"), sit(world, "gene"), sit(world, "tom")
    case = case_of(batch, "n1")
    place = Assignment.objects.get(batch=batch, member=world.member("gene"), batch_item=case.batch_item)
    assert "Discussion of this item" not in gene.get(f"/answers/{place.uuid}/").content.decode()
    sam.post(url(case), {"action": "discuss", "text": "Which length did you read?"})
    assert case_of(batch, "n1").status == "discussing"
    assert "1 of your items is in discussion" in gene.get(f"/batches/{batch.uuid}/answers/").content.decode()
    # Where they land it stands until they have spoken, and again when someone else has.
    waits = "1 of your items is being discussed."
    home = gene.get("/").content.decode()
    assert waits in home
    assert f"/answers/{place.uuid}/" in home
    assert waits in sit(world, "gina").get("/").content.decode()
    assert "being discussed" not in tom.get("/").content.decode()
    assert "being discussed" not in sam.get("/").content.decode()
    text = gene.get(f"/answers/{place.uuid}/").content.decode()
    assert "Which length did you read?" in text
    assert "Sam Ode" in text  # who asks is no secret, who answers is
    say = f"/projects/phones/discussions/{case.uuid}/"
    assert gene.post(say, {"text": "About 0.2 mm."})["Location"] == f"/answers/{place.uuid}/"
    assert "being discussed" not in gene.get("/").content.decode()
    assert tom.post(say, {"text": "Hello"}).status_code == 404
    assert sit(world, "olga").post(say, {"text": "Hello"}).status_code == 404  # the bench is her place for that
    other = sit(world, "gina")
    theirs = Assignment.objects.get(batch=batch, member=world.member("gina"), batch_item=case.batch_item)
    text = other.get(f"/answers/{theirs.uuid}/").content.decode()
    assert "About 0.2 mm." in text
    assert "Generalist 1" in text
    assert "Ralston" not in text
    assert "Defect</" not in text.split("Discussion of this item")[1]  # what others answered does not stand there
    sam.post(url(case), {"action": "say", "text": "Thank you."})
    assert DiscussionMessage.objects.count() == 3
    assert waits in gene.get("/").content.decode()
    case = case_of(batch, "n1")
    sam.post(url(case), {**RULING, "seen": case.input_sha256})
    assert "This discussion is closed." in gene.get(f"/answers/{place.uuid}/").content.decode()
    assert "being discussed" not in gene.get("/").content.decode()
    gene.post(say, {"text": "Too late."})
    assert DiscussionMessage.objects.count() == 3


def test_filters_and_orders(world: World) -> None:
    no_audit(world)
    world.add_items(5)
    batch = world.open_batch(quotas={"generalist": 2, "expert": 1})
    world.say(batch, "gene", {"n1": A, "n2": A, "n3": A, "n4": A, "n5": A, "n6": A})
    world.say(batch, "gina", {"n1": B, "n2": B, "n3": None, "n4": A, "n5": B, "n6": A})
    world.say(batch, "ella", {"n1": A, "n2": B, "n3": A, "n4": B, "n5": B, "n6": A})
    comparing.compare_batch(batch=batch)
    rule(world, batch, "n5")
    sam = sit(world, "sam")

    def queue(query: str) -> list[str]:
        page = sam.get(f"/projects/phones/bench/?{query}")
        assert page.status_code == 200
        return [line["title"] for line in page.context["lines"]]

    assert sorted(queue("")) == ["n1", "n2", "n3", "n4"]
    assert queue("kind=cohorts") == ["n4"]
    assert queue("kind=outcome") == ["n3"]
    assert queue("status=ruled") == ["n5"]
    assert sorted(queue(f"pair={A} | {B}")) == ["n1", "n2", "n4"]
    assert queue("cohort=expert") == ["n4"]
    assert queue("meta=camera:1&kind=labels") == ["n1"]
    assert queue("order=cluster")[-1] == "n3"  # the larger cluster first
    assert queue("batch=nonsense&kind=nonsense&after=nonsense&meta=a__b:c") == queue("")
    from consistency.models import Slice

    Slice.objects.create(
        project=world.project, key="camera-2", name="Camera 2", filter={"metadata": {"camera": "2"}}
    )  # fmt: skip
    assert queue("slice=camera-2") == ["n2"]


def many_cases(world: World, count: int) -> Batch:
    """A batch with that many cases, written in bulk; gene and gina differ on each."""
    world.add_items(count - 5)
    batch = world.open_batch(quotas={"generalist": 2})
    from django.utils import timezone

    from labeling.hashing import answer_sha256
    from labeling.models import Annotation

    now = timezone.now()
    members = [world.member("gene"), world.member("gina")]
    places = list(Assignment.objects.filter(batch=batch).order_by("batch_item_id", "ordinal"))
    for place in places:
        place.member, place.status, place.finished_at = members[place.ordinal - 1], "submitted", now
    Assignment.objects.bulk_update(places, ["member", "status", "finished_at"], batch_size=400)
    said = [A, B]
    Annotation.objects.bulk_create(
        [
            Annotation(
                assignment=place, revision=1, guideline_version=batch.guideline_version, value=said[place.ordinal - 1],
                value_sha256=answer_sha256(said[place.ordinal - 1], "labeled", False, None), outcome="labeled",
                origin="simulated", blind=True, at=now,
            )
            for place in places
        ],
        batch_size=400,
    )  # fmt: skip
    comparing.compare_batch(batch=batch)
    assert Disagreement.objects.filter(batch=batch).count() == count
    return batch


@pytest.mark.parametrize("order", ["severity", "cluster"])
def test_queries_do_not_grow_with_the_queue(
    world: World, order: str, django_assert_max_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    no_audit(world)
    batch = many_cases(world, 10)
    sam = sit(world, "sam")
    address = f"/projects/phones/bench/?order={order}"
    sam.get(address)
    with CaptureQueriesContext(
        connection,
    ) as few:
        sam.get(address)
    world.project.batches.exclude(pk=batch.pk)
    other = World.build(slug="many", items=5, with_otto=False)
    no_audit(other)
    many = many_cases(other, 1000)
    sam.get(f"/projects/many/bench/?order={order}")
    with CaptureQueriesContext(connection) as lots:
        page = sam.get(f"/projects/many/bench/?order={order}")
    assert len(lots) == len(few) <= 40
    # Page by page, each case once.
    seen: list[str] = []
    for _ in range(40):
        seen += [line["title"] for line in page.context["lines"]]
        if not page.context["older_url"]:
            break
        page = sam.get(page.context["older_url"])
    assert len(seen) == len(set(seen)) == 1000
    case = Disagreement.objects.filter(batch=many).first()
    assert case is not None
    with CaptureQueriesContext(connection) as one:
        sam.get(f"/projects/many/bench/{case.uuid}/parts")
    assert len(one) <= 25


def test_the_next_case_is_one_the_person_may_rule_on(world: World) -> None:
    from consistency.queries.bench import QueueFilter, next_case

    batch = disputed(world)
    holding.hold_disagreement(by=world.seat("olga"), disagreement=case_of(batch, "n2"))
    after = case_of(batch, "n1")
    found = next_case(batch, QueueFilter(), after=after, member=world.member("sam"))
    assert found == case_of(batch, "n3")
    assert next_case(batch, QueueFilter(), after=after, member=world.member("gene")) is None
    last = next_case(batch, QueueFilter(), after=case_of(batch, "n3"), member=world.member("sam"))
    assert last == case_of(batch, "n1")  # round again


def test_the_top_bar_counts_what_waits(world: World) -> None:
    disputed(world)
    text = sit(world, "sam").get("/projects/phones/bench/").content.decode()
    assert 'aria-current="page">Bench <span class="tag">3</span>' in text
    assert not User.objects.filter(username="nobody").exists()
    assert BatchItem.objects.exists()


def next_at_home(world: World, name: str) -> tuple[str, str]:
    """What the first page says comes next in the project, and where its button leads."""
    (row,) = sit(world, name).get("/").context["projects"]
    return row["next"].says, row["next"].url


def test_the_first_page_leads_to_the_cases_that_wait(world: World) -> None:
    batch = disputed(world, items=("n1",))
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    assert next_at_home(world, "sam") == ("One case waits for a ruling.", "/projects/phones/bench/")
    says, leads_to = next_at_home(world, "mel")
    assert says == "Every batch is closed; their labels can be exported.", "who may not rule is not sent there"
    assert leads_to == "/projects/phones/datasets/"
    rule(world, batch, "n1")
    assert next_at_home(world, "sam")[0] == "Every batch is closed; their labels can be exported."
