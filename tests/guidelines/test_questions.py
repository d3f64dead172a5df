"""Stories of questions: a rater asks, an SME answers, and nobody learns how others labeled."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.claiming import claim_next
from labeling.models import Event, Question
from labeling.queries.desk import new_replies
from labeling.questions import answer_question, mark_answers_seen
from labeling.refusals import BadValue, NotAllowed, NotSeen, Refusal
from labeling.submission import Answer, ask_question, submit_annotation
from tests.guidelines.test_pages import browser, url
from tests.worlds import World

pytestmark = pytest.mark.django_db


def ask(world: World, batch, name: str = "gene", text: str = "Does the frame count?") -> Question:
    place = claim_next(by=world.people[name], batch=batch).places[0]
    return ask_question(by=world.people[name], batch=batch, assignment=place.uuid, text=text)


def test_an_answer_reaches_the_asker_alone_and_once(world: World) -> None:
    batch = world.open_batch()
    question = ask(world, batch)
    assert new_replies(world.member("gene"), batch, None) == []
    answer_question(by=world.seat("sam"), question=question, text=" Only the glass counts. ")
    (reply,) = new_replies(world.member("gene"), batch, None)
    assert (reply.answer, reply.answered_by) == ("Only the glass counts.", world.people["sam"])
    assert new_replies(world.member("gina"), batch, None) == []
    mark_answers_seen(questions=[reply], at=timezone.now())
    assert new_replies(world.member("gene"), batch, None) == []
    reply.refresh_from_db()
    first = reply.seen_at
    mark_answers_seen(questions=[reply], at=timezone.now())
    reply.refresh_from_db()
    assert reply.seen_at == first, "saying it twice changes nothing"
    assert Event.objects.filter(verb="answered").count() == 1


def test_who_may_answer(world: World) -> None:
    question = ask(world, world.open_batch())
    for name in ("gene", "mel"):
        with pytest.raises(NotAllowed):
            answer_question(by=world.seat(name), question=question, text="x")
    elsewhere = World.build(slug="tablets", with_otto=False)
    with pytest.raises(NotSeen):
        answer_question(by=elsewhere.seat("sam"), question=question, text="x")
    for text in ("", "   "):
        with pytest.raises(BadValue, match="Write the answer"):
            answer_question(by=world.seat("sam"), question=question, text=text)
    with pytest.raises(BadValue, match="longer than 4,000"):
        answer_question(by=world.seat("sam"), question=question, text="x" * 4001)


def test_two_people_answer_at_once_and_the_second_keeps_the_text(world: World) -> None:
    question = ask(world, world.open_batch())
    olga = browser(world, "olga")
    answer_question(by=world.seat("sam"), question=question, text="Only the glass.")
    page = olga.post(url("question_answer", "phones", question.uuid), {"text": "The frame too."})
    assert page.status_code == 409
    text = page.content.decode()
    assert "Sam Ode was faster" in text
    assert "The frame too." in text
    assert "Only the glass." in text
    question.refresh_from_db()
    assert question.answer == "Only the glass."


def test_an_answer_may_be_corrected_until_it_was_read(world: World) -> None:
    question = ask(world, world.open_batch())
    for text in ("Only teh glass.", "Only the glass.", "Only the glass."):
        answer_question(by=world.seat("sam"), question=question, text=text)
    question.refresh_from_db()
    assert question.answer == "Only the glass."
    assert Event.objects.filter(verb="answered").count() == 2, "the same text again is no act"
    mark_answers_seen(questions=[question], at=timezone.now())
    with pytest.raises(Refusal, match="the asker has read it"):
        answer_question(by=world.seat("sam"), question=question, text="The frame too.")


def test_the_inbox_shows_item_and_definition_and_no_labels(world: World) -> None:
    batch = world.open_batch()
    (question, other) = (ask(world, batch), ask(world, batch, "gina", "Is exactly 0.3 mm a defect?"))
    place = claim_next(by=world.people["gina"], batch=batch).places[0]
    submit_annotation(
        by=world.people["gina"], batch=batch, assignment=place.uuid, token=place.claim_token,
        answer=Answer(value="no_defect", comment="told-in-confidence"),
    )  # fmt: skip
    sam = browser(world, "sam")
    page = sam.get(url("questions", "phones"))
    text = page.content.decode()
    assert page.context["question"] == question, "the oldest waits first"
    assert question.batch_item.item.payload["text"] in text
    assert "What Defect means." in text
    assert "told-in-confidence" not in text
    assert "Gene Ralston" not in text, "names are for the owner"
    assert "Gene Ralston" in browser(world, "olga").get(url("questions", "phones")).content.decode()
    after = sam.post(url("question_answer", "phones", question.uuid), {"text": "The glass."}, follow=True)
    assert after.context["question"] == other, "on to the next one"


def test_nothing_waits(world: World) -> None:
    assert "No questions" in browser(world, "sam").get(url("questions", "phones")).content.decode()
    question = ask(world, world.open_batch())
    answer_question(by=world.seat("sam"), question=question, text="The glass.")
    page = browser(world, "olga").get(url("questions", "phones")).content.decode()
    assert "Every question has its answer." in page


def test_the_inbox_costs_the_same_for_two_and_for_two_hundred(world: World) -> None:
    batch = world.open_batch()
    place = claim_next(by=world.people["gene"], batch=batch).places[0]
    sam = browser(world, "sam")

    def cost(count: int) -> int:
        for number in range(count):
            ask_question(by=world.people["gene"], batch=batch, assignment=place.uuid, text=f"Question {number}?")
        with CaptureQueriesContext(connection) as queries:
            assert sam.get(url("questions", "phones")).status_code == 200
        return len(queries)

    cost(1)  # reads the sealed definition, which is then kept
    few = cost(2)
    assert cost(198) == few
