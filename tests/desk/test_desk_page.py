"""Stories of the desk without JavaScript: the form is the whole desk."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape

import pytest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from labeling.hashing import sha256_json
from labeling.models import Annotation, Assignment, Item, Question
from labeling.views.item_html import item_as_shown, one_line
from tests.desk.helpers import Sitter
from tests.worlds import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def gene(world: World) -> Sitter:
    return Sitter(world, "gene", world.open_batch())


def field(html: str, name: str) -> str:
    """The value of the form's hidden field."""
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', html)
    assert found, f"no field {name}"
    return unescape(found[1])


def fill(sitter: Sitter, html: str, **more: str) -> dict[str, str]:
    """What a browser without JavaScript sends: the hidden fields, and what the person chose."""
    data = {name: field(html, name) for name in ("assignment", "token", "action", "outcome")}
    if 'name="revises"' in html:
        data["revises"] = "1"
    return {**data, "reason": "", "comment": "", "question": "", "second_value": "", **more}


def send(sitter: Sitter, html: str, **more: str):
    return sitter.client.post(sitter.url(), fill(sitter, html, **more), follow=True)


def desk_data(html: str) -> dict:
    found = re.search(r'<script id="desk-data" type="application/json">(.*?)</script>', html, re.S)
    assert found
    return json.loads(found[1])


def test_the_page_shows_the_first_item_and_embeds_the_desk(gene: Sitter) -> None:
    response = gene.page()
    html = response.content.decode()
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert "Note number 1" in html
    assert "Is there a defect on this screen?" in html
    assert 'name="value" value="defect"' in html
    data = desk_data(html)
    assert len(data["hand"]) == 4
    assert data["hand"][0]["assignment"] == field(html, "assignment")
    assert data["progress"]["total"] == 5
    assert desk_data(gene.page().content.decode())["hand"] == data["hand"], "a reload loses nothing"
    first = Assignment.objects.get(uuid=data["hand"][0]["assignment"])
    assert first.shown_at is not None, "without JavaScript nobody else says that it is shown"


def test_labeling_a_batch_by_form_alone(gene: Sitter) -> None:
    html = gene.page().content.decode()
    for number in range(1, 6):
        assert f"Note number {number}:" in html
        response = send(gene, html, value="defect" if number % 2 else "no_defect")
        assert response.redirect_chain[0][1] == 302
        html = response.content.decode()
    assert "Your part is done" in html
    assert Annotation.objects.count() == 5
    assert all(annotation.seconds is not None for annotation in Annotation.objects.all())


def test_borderline_with_a_second_label_comment_and_not_enough_information(gene: Sitter) -> None:
    html = gene.page().content.decode()
    html = send(gene, html, value="defect", borderline="1", second_value="no_defect", comment="thin").content.decode()
    send(gene, html, outcome="cannot_label", reason="glare")
    first, second = Annotation.objects.order_by("id")
    assert (first.value, first.borderline, first.second_value, first.comment) == ("defect", True, "no_defect", "thin")
    assert (second.outcome, second.reason, second.value) == ("cannot_label", "glare", None)


def test_a_missing_reason_shows_the_form_again_with_what_was_entered(gene: Sitter) -> None:
    html = gene.page().content.decode()
    response = gene.client.post(gene.url(), fill(gene, html, outcome="cannot_label", comment="kept words"))
    assert response.status_code == 422
    again = response.content.decode()
    assert "Say in a few words what is missing" in unescape(again)
    assert 'value="kept words"' in again
    assert field(again, "assignment") == field(html, "assignment")
    assert not Annotation.objects.exists()


def test_a_form_sent_twice_records_one_answer(gene: Sitter) -> None:
    html = gene.page().content.decode()
    data = fill(gene, html, value="defect")
    assert gene.client.post(gene.url(), data).status_code == 302
    assert gene.client.post(gene.url(), data).status_code == 302
    assert Annotation.objects.count() == 1


def test_undo_by_form_shows_the_answer_and_records_a_revision(gene: Sitter) -> None:
    html = gene.page().content.decode()
    first = field(html, "assignment")
    html = send(gene, html, value="defect", comment="first thought").content.decode()
    html = send(gene, html, action="undo").content.decode()
    assert field(html, "assignment") == first
    assert re.search(r'value="defect"[^>]*aria-pressed="true"', html)
    assert 'value="first thought"' in html
    html = send(gene, html, value="no_defect").content.decode()
    assert "Changed." in html
    assert field(html, "assignment") != first
    assert list(Annotation.objects.order_by("revision").values_list("value", flat=True)) == ["defect", "no_defect"]


def test_skip_and_its_undo_by_form(gene: Sitter) -> None:
    html = gene.page().content.decode()
    first = field(html, "assignment")
    html = send(gene, html, action="skip").content.decode()
    assert field(html, "assignment") != first
    html = send(gene, html, action="undo").content.decode()
    assert field(html, "assignment") == first
    send(gene, html, value="defect")
    assert Annotation.objects.get().assignment.uuid.hex == first.replace("-", "")


def test_a_question_by_form_and_its_reply_until_the_next_answer(gene: Sitter) -> None:
    html = gene.page().content.decode()
    html = send(gene, html, action="ask", question="Is dust a mark?").content.decode()
    assert "Your question is on its way" in html
    Question.objects.update(
        answer="No, dust is none.", answered_by=gene.world.people["sam"], answered_at=timezone.now()
    )
    for _ in range(2):
        html = gene.page(plain="1").content.decode()
        assert "No, dust is none." in html, "a reload does not lose it"
    html = send(gene, html, value="defect").content.decode()
    assert "No, dust is none." not in html


def test_a_lost_lease_says_so_and_goes_on(gene: Sitter) -> None:
    html = gene.page().content.decode()
    Assignment.objects.filter(status="claimed").update(
        status="open", member=None, slot=None, claim_token=None, claimed_at=None, shown_at=None, lease_until=None
    )
    response = send(gene, html, value="defect")
    assert "went back to the queue" in response.content.decode()
    assert not Annotation.objects.exists()


@pytest.mark.parametrize(
    "junk",
    [
        {"assignment": "x"}, {"token": "x"}, {"token": "\x00"}, {"value": "nonsense"}, {"outcome": "x"},
        {"action": "explode", "value": ""}, {"second_value": "zz", "borderline": "1", "value": "defect"},
    ],
    ids=str,
)  # fmt: skip
def test_a_tampered_form_is_answered_in_words(gene: Sitter, junk: dict[str, str]) -> None:
    html = gene.page().content.decode()
    response = gene.client.post(gene.url(), fill(gene, html, **{"value": "defect", **junk}))
    assert response.status_code in (302, 422)
    assert not Annotation.objects.exists()


def test_an_unread_version_leads_to_the_definition(world: World) -> None:
    gene = Sitter(world, "gene", world.open_batch(read=False))
    try:
        target = reverse("labeling:acknowledge", args=[gene.batch.uuid])
    except NoReverseMatch:
        pytest.skip("no acknowledge page yet")
    response = gene.page()
    assert (response.status_code, response.url) == (302, target)
    reply = gene.claim()
    assert reply["hand"] == []
    assert reply["empty"]["reason"] == "unread"
    assert reply["empty"]["next_url"] == target


def test_who_may_sit_at_the_desk(world: World) -> None:
    batch = world.open_batch()
    expect = {"gene": 200, "ella": 200, "olga": 403, "sam": 403, "mel": 403, "otto": 404}
    for name, status in expect.items():
        assert Sitter(world, name, batch).page().status_code == status, name
    gone = Sitter(world, "gene", batch)
    gone.client.logout()
    response = gone.page()
    assert response.status_code == 302
    assert gone.url() in unescape(response.url).replace("%2F", "/")


def test_without_script_one_place_is_held(world: World) -> None:
    gene = Sitter(world, "gene", world.open_batch())
    gene.page(plain="1")
    assert Assignment.objects.filter(status="claimed").count() == 1


# --- the item itself ------------------------------------------------------------------------------


def shown(world: World, fields: list[dict], payload: dict, media: dict | None = None, **schema) -> dict:
    world.project.payload_schema = {"fields": fields, **schema}
    item = Item.objects.create(
        project=world.project, external_id="x", payload=payload, payload_sha256=sha256_json(payload), media=media
    )
    return item_as_shown(item, world.project)


def test_a_record_says_what_is_not_known_and_keeps_the_projects_order(world: World) -> None:
    item = shown(
        world,
        [{"name": "price", "kind": "number", "title": "Price"}, {"name": "brand", "kind": "text"}, {"name": "odd", "kind": "text"}],
        {"brand": "", "price": 0, "odd": {"b": 1}},
    )  # fmt: skip
    assert item["kind"] == "record"
    assert item["html"].index("Price") < item["html"].index("brand")
    assert "not known" in item["html"]
    assert ">0<" in item["html"]
    assert "{&quot;b&quot;:1}" in item["html"]


def test_markup_in_a_payload_is_text(world: World) -> None:
    item = shown(world, [{"name": "text", "kind": "text"}], {"text": "<script>alert(1)</script> & more"})
    assert "<script>" not in item["html"]
    assert "&lt;script&gt;" in item["html"]


def test_two_texts_are_shown_as_text_and_the_project_may_choose(world: World) -> None:
    fields = [{"name": "a", "kind": "text", "title": "Premise"}, {"name": "b", "kind": "text", "title": "Claim"}]
    assert shown(world, fields, {"a": "1", "b": "2"})["kind"] == "text"


def test_a_picture_is_fetched_through_the_permission_check(world: World) -> None:
    fields = [{"name": "photo", "kind": "image", "title": "Photo"}]
    try:
        item = shown(world, fields, {"photo": "a.png"}, {"photo": {"file": "m/a.png", "width": 20, "height": 10}})
    except NoReverseMatch:
        pytest.skip("no item_file page yet")
    assert item["kind"] == "image"
    assert f"{item['uuid']}" in item["html"]
    assert "m/a.png" not in item["html"]
    assert one_line(Item.objects.get(external_id="x"), world.project) == "Photo"


# --- my answers -----------------------------------------------------------------------------------


def answers_url(batch) -> str:
    return reverse("labeling:my_answers", args=[batch.uuid])


def answer_url(place: dict) -> str:
    return reverse("labeling:my_answer", args=[place["assignment"]])


def test_my_answers_lists_mine_newest_first_and_nobody_elses(gene: Sitter) -> None:
    gina = Sitter(gene.world, "gina", gene.batch)
    gina.submit(gina.claim()["hand"][0], comment="hers")
    assert "No answers yet" in gene.client.get(answers_url(gene.batch)).content.decode()
    first, second, *_ = gene.claim()["hand"]
    gene.submit(first, comment="mine")
    gene.submit(second, None, outcome="cannot_label", reason="glare")
    html = gene.client.get(answers_url(gene.batch)).content.decode()
    assert "mine" in html
    assert "hers" not in html
    assert html.index("Note number 2") < html.index("Note number 1")
    assert "not enough information: glare" in html


def test_changing_one_of_my_answers(gene: Sitter) -> None:
    first = gene.claim()["hand"][0]
    gene.submit(first, comment="hm")
    page = gene.client.get(answer_url(first)).content.decode()
    assert "Note number 1" in page
    response = gene.client.post(answer_url(first), {"choice": "label:no_defect", "comment": "hm", "reason": ""})
    assert (response.status_code, response.url) == (302, answers_url(gene.batch))
    assert list(Annotation.objects.order_by("revision").values_list("value", flat=True)) == ["defect", "no_defect"]
    bad = gene.client.post(answer_url(first), {"choice": "cannot_label", "reason": ""})
    assert bad.status_code == 422
    assert "Say in a few words" in bad.content.decode()
    same = gene.client.post(answer_url(first), {"choice": "label:no_defect", "comment": "hm"}, follow=True)
    assert "Nothing was different" in same.content.decode()
    assert Annotation.objects.count() == 2


def test_a_closed_batch_and_a_ruled_item_keep_their_answers(gene: Sitter) -> None:
    from labeling import dispatch
    from labeling.submission import lock_item

    first, second, *_ = gene.claim()["hand"]
    gene.submit(first)
    gene.submit(second)
    ruled = Assignment.objects.get(uuid=second["assignment"]).batch_item
    lock_item(batch_item=ruled, at=timezone.now())
    assert "ruled on" in gene.client.get(answer_url(second)).content.decode()
    assert gene.client.post(answer_url(second), {"choice": "label:no_defect"}).status_code == 409
    dispatch.close_batch(by=gene.world.seat("olga"), batch=gene.batch)
    response = gene.client.post(answer_url(first), {"choice": "label:no_defect"})
    assert response.status_code == 409
    assert "closed" in response.content.decode()
    assert Annotation.objects.count() == 2


def test_an_answer_is_seen_by_its_rater_only(gene: Sitter) -> None:
    first = gene.claim()["hand"][0]
    gene.submit(first)
    for name, status in {"gina": 404, "ella": 404, "otto": 404, "sam": 403}.items():
        sitter = Sitter(gene.world, name, gene.batch)
        assert sitter.client.get(answer_url(first)).status_code == status, name
        assert sitter.client.post(answer_url(first), {"choice": "label:no_defect"}).status_code == status
    assert Annotation.objects.count() == 1


def test_my_answers_pages_by_fifty_with_constant_queries(world: World, django_assert_max_num_queries) -> None:
    world.add_items(118)
    gene = Sitter(world, "gene", world.open_batch())
    start = timezone.now()
    while hand := gene.claim()["hand"]:
        for place in hand:
            gene.submit(place)
    # some at one and the same moment: the page boundary must not lose or repeat them
    for number, place in enumerate(Assignment.objects.filter(status="submitted").order_by("pk")):
        Assignment.objects.filter(pk=place.pk).update(finished_at=start + timedelta(seconds=number // 30))
    seen: list[str] = []
    url = answers_url(gene.batch)
    for _ in range(4):
        with django_assert_max_num_queries(12):
            html = gene.client.get(url).content.decode()
        seen += re.findall(r"Note number (\d+):", html)
        older = re.search(r'rel="next" href="([^"]+)"', html)
        if not older:
            break
        url = answers_url(gene.batch) + unescape(older[1])
    assert len(seen) == len(set(seen)) == 123
    assert gene.client.get(answers_url(gene.batch) + "?before=junk").status_code == 200
    assert gene.client.get(answers_url(gene.batch) + "?before=2026-01-01T00:00:00_9").status_code == 200
