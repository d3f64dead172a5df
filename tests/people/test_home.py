"""The first page: what is next, and the reason for each batch's state, the same as the desk would give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from labeling import dispatch
from labeling.claiming import claim_next, start_of_day
from labeling.models import (
    Assignment,
    Batch,
    BatchItem,
    GuidelineVersion,
    Item,
    Membership,
    Project,
    Question,
    Quota,
)
from labeling.queries.home import OwnBatch, count_today, own_batches, seats_of
from labeling.submission import Answer, skip_place, submit_annotation
from labeling.views.home import greeting, state_in_words
from tests.worlds import World, publish_plainly, run_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    cache.clear()


def rows(world: World, name: str, at: datetime | None = None) -> list[OwnBatch]:
    at = at or timezone.now()
    seats = seats_of(world.people[name])
    midnights = {seat.project.time_zone: start_of_day(seat.project.time_zone, at) for seat in seats}
    return own_batches(seats, at, count_today(seats, midnights))


def label(world: World, name: str, batch: Batch, count: int = 1000) -> int:
    """Label up to `count` items; returns how many it were."""
    done = 0
    while done < count and (places := claim_next(by=world.people[name], batch=batch).places):
        place = places[0]
        submit_annotation(
            by=world.people[name], batch=batch, assignment=place.uuid, token=place.claim_token,
            answer=Answer(value="defect", seconds=6.0),
        )  # fmt: skip
        done += 1
    return done


def page(world: World, name: str) -> str:
    client = Client()
    client.force_login(world.people[name])
    return client.get(reverse("labeling:home")).content.decode()


def test_gene_sees_his_batch_and_enter_continues_it(world: World) -> None:
    batch = world.open_batch()
    label(world, "gene", batch, 2)
    text = page(world, "gene")
    assert "One batch is waiting." in text
    assert f'href="{reverse("labeling:desk", args=[batch.uuid])}" data-key="Enter"' in text
    assert "You have done 2 of 5." in text
    assert "2 / 5" in text
    assert "Today 2 labels" in text


def test_the_state_is_the_one_the_desk_gives(world: World) -> None:
    """For each rater and moment: workable exactly when `claim_next` serves something, else its own reason."""
    Membership.objects.filter(user=world.people["tom"]).update(daily_cap=2)
    batch = world.open_batch(quotas={"generalist": 1, "target_user": 1, "expert": 1})

    def check(name: str) -> str:
        (row,) = rows(world, name)
        served = claim_next(by=world.people[name], batch=row.batch)
        assert row.workable == bool(served.places), (name, row.state)
        if not served.places:
            assert row.state == served.empty.reason
        return row.state

    assert check("gene") == "open"  # and now he holds four of five
    label(world, "gina", batch, 1)
    assert check("gina") == "waiting"
    label(world, "tom", batch)
    assert check("tom") == "cap"
    label(world, "gene", batch)
    assert check("gene") == "done"
    assert check("ella") == "open"
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    batch.refresh_from_db()
    assert rows(world, "gene")[0].state == "closed"
    assert check("ella") == "open", "what she holds can still be answered"


@pytest.mark.parametrize("overlap", [1, 2])
def test_what_is_left_is_what_still_comes(world: World, overlap: int) -> None:
    batch = world.open_batch(quotas={"generalist": overlap})
    place = claim_next(by=world.people["gina"], batch=batch).places[0]
    skip_place(by=world.people["gina"], batch=batch, assignment=place.uuid, token=place.claim_token)
    label(world, "gina", batch, 2)
    (row,) = rows(world, "gina")
    assert row.done == 2
    assert row.left == 2
    assert label(world, "gina", batch) == 2
    (row,) = rows(world, "gina")
    assert (row.done, row.left) == (4, 0)


def test_an_unread_version_comes_first(world: World) -> None:
    world.open_batch(read=False)
    assert rows(world, "gene")[0].state == "unread"
    text = page(world, "gene")
    assert "Definition v1 comes first: one page, read once." in text
    assert "open; definition v1 to be read first" in text


def test_a_limit_says_when_it_goes_on_in_the_projects_time_zone(world: World) -> None:
    Project.objects.filter(pk=world.project.pk).update(time_zone="Pacific/Auckland")
    Membership.objects.filter(user=world.people["gene"]).update(daily_cap=1)
    batch = world.open_batch()
    label(world, "gene", batch)
    (row,) = rows(world, "gene")
    assert row.state == "cap"
    monday_noon = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)  # Monday noon in Auckland
    assert state_in_words(row, monday_noon) == "your limit of 1 labels is reached; goes on Tuesday at 00:00"
    assert "Today 1 of 1 label" in page(world, "gene")


def test_a_rest_between_repeats_says_when_it_ends(world: World) -> None:
    batch = world.open_batch()
    opens = timezone.now() + timedelta(days=14)
    Assignment.objects.filter(batch=batch).update(not_before=opens)
    (row,) = rows(world, "gene")
    assert (row.state, row.left) == ("later", 5)
    assert abs(row.opens_at - opens) < timedelta(seconds=1)
    assert state_in_words(row, timezone.now()).startswith(f"opens {opens.day} ")
    assert rows(world, "gene", opens + timedelta(minutes=1))[0].state == "open"


def test_places_reserved_for_others_are_not_promised(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    Assignment.objects.filter(batch=batch).update(reserved_for=world.member("gina"))
    assert [(row.state, row.left) for row in rows(world, "gene")] == [("done", 0)]
    assert [(row.state, row.left) for row in rows(world, "gina")] == [("open", 5)]


def test_ones_own_part_is_done_while_others_still_work(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1, "expert": 1})
    label(world, "gene", batch)
    (row,) = rows(world, "gene")
    assert (row.state, row.others_wait) == ("done", True)
    text = page(world, "gene")
    assert "yours are done; waiting for others" in text
    assert "There is nothing to label right now, and nothing has gone wrong." in text


def test_only_batches_for_ones_cohort_and_project(world: World) -> None:
    world.open_batch(quotas={"expert": 1})
    other = World.build(slug="notes", with_otto=False)
    other.open_batch("Other batch")
    assert [row.batch.name for row in rows(world, "gene")] == ["Other batch"]
    assert [row.batch.name for row in rows(world, "ella")] == ["First look"]
    assert rows(world, "otto") == rows(world, "sam") == []
    Membership.objects.filter(user=world.people["gene"], project=other.project).update(active=False)
    assert rows(world, "gene") == []


def test_the_higher_priority_comes_next(world: World) -> None:
    world.open_batch("Later", priority=0)
    world.open_batch("Urgent", priority=5)
    assert [row.batch.name for row in rows(world, "gene")] == ["Urgent", "Later"]


def test_no_figure_and_no_name_of_another_rater_is_on_the_page(world: World) -> None:
    batch = world.open_batch()
    label(world, "gina", batch)
    text = page(world, "gene")
    assert "Gina" not in text
    assert "Note number" not in text


def test_pace_needs_ten_answers(world: World) -> None:
    world.add_items(25)
    batch = world.open_batch()
    label(world, "gene", batch, 9)
    assert "At your pace" not in page(world, "gene")
    label(world, "gene", batch, 1)
    assert "At your pace the rest takes about 2 minutes." in page(world, "gene")


def ask(world: World, batch: Batch, answer: str = "") -> Question:
    now = timezone.now()
    sam = {"answer": answer, "answered_by": world.people["sam"], "answered_at": now} if answer else {}
    item = BatchItem.objects.filter(batch=batch).first()
    return Question.objects.create(batch_item=item, by=world.member("gene"), text="Does dust count?", at=now, **sam)


def test_the_answer_to_a_question_comes_home_to_its_asker_alone(world: World) -> None:
    ask(world, world.open_batch(), "Dust does not count.")
    assert "Dust does not count." in page(world, "gene")
    assert "Dust does not count." not in page(world, "gina")


def test_what_changed_in_the_definition_stands_beside_the_work(world: World) -> None:
    version = publish_plainly(world.project, 2)
    # A published version is sealed: the note has to be there before.
    draft = GuidelineVersion.objects.create(
        project=world.project, number=3, change_note="Longer than 0.3 mm, not 0.3 mm."
    )
    GuidelineVersion.objects.filter(pk=draft.pk).update(
        status="published", published_at=timezone.now(), body_sha256=version.body_sha256
    )
    draft.refresh_from_db()
    world.open_batch(version=draft, read=False)
    text = page(world, "gene")
    assert "New in definition v3" in text
    assert "Longer than 0.3 mm" in text
    assert "not read yet" in text


# --- those who set up --------------------------------------------------------------------------------


def next_for(world: World, name: str) -> str:
    client = Client()
    client.force_login(world.people[name])
    projects = client.get(reverse("labeling:home")).context["projects"]
    (says,) = [row["next"].says for row in projects if row["seat"].project_id == world.project.pk]
    return says


def test_what_comes_next_in_a_project_from_nothing_to_labels(world: World) -> None:
    world.project = Project.objects.create(slug="fresh", name="Fresh", task_type="single_choice", question="Which?")
    for name, role in (("olga", "owner"), ("sam", "sme"), ("mel", "engineer")):
        Membership.objects.create(project=world.project, user=world.people[name], role=role)
    world.items = []
    assert next_for(world, "olga") == next_for(world, "mel") == "No items yet."
    assert next_for(world, "sam") == "Nothing says yet what the labels mean."
    world.add_items(3)
    assert next_for(world, "olga") == "Nothing says yet what the labels mean."
    GuidelineVersion.objects.create(project=world.project, number=1)
    assert next_for(world, "sam") == "The first draft waits to be published."
    assert next_for(world, "mel") == "The first draft waits to be published. That is for others in the project to do."
    GuidelineVersion.objects.filter(project=world.project).delete()
    version = publish_plainly(world.project)
    assert next_for(world, "olga") == "Nobody can label yet."
    Membership.objects.create(project=world.project, user=world.people["gene"], role="rater", cohort="generalist")
    assert next_for(world, "olga") == "1 generalist. Agreement needs two."
    Membership.objects.create(project=world.project, user=world.people["gina"], role="rater", cohort="generalist")
    assert next_for(world, "olga") == "No batch yet."
    batch = dispatch.create_batch(
        by=world.seat("olga"), name="First", guideline_version=version, quotas={"generalist": 2}, seed=1
    )
    assert next_for(world, "olga") == "A batch is ready to be opened."
    dispatch.open_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    assert next_for(world, "olga") == "One batch is open."
    batch.refresh_from_db()
    ask(world, batch)
    assert next_for(world, "sam") == "One question is waiting for an answer."
    assert next_for(world, "mel") == "One batch is open."
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    assert next_for(world, "mel") == "Every batch is closed; their labels can be exported."


@pytest.mark.parametrize(
    ("hour", "words"), [(3, "evening"), (4, "morning"), (11, "morning"), (12, "afternoon"), (18, "evening")]
)
def test_the_greeting_goes_by_the_clock_of_the_project(world: World, hour: int, words: str) -> None:
    Project.objects.update(time_zone="Asia/Tokyo")
    at = datetime(2026, 3, 2, (hour - 9) % 24, 30, tzinfo=UTC)
    assert greeting(world.people["gene"], seats_of(world.people["gene"]), at) == f"Good {words}, Gene"


# --- size ---------------------------------------------------------------------------------------------


def many_batches(world: World, count: int) -> None:
    for start in range(0, count, 100):
        batches = Batch.objects.bulk_create(
            Batch(project=world.project, guideline_version=world.version, name=f"B{number}", status="open", opened_at=timezone.now())
            for number in range(start, min(start + 100, count))
        )  # fmt: skip
        Quota.objects.bulk_create(Quota(batch=batch, cohort="generalist", raters=1) for batch in batches)
        item = world.items[0]
        placed = BatchItem.objects.bulk_create(BatchItem(batch=batch, item=item, rank=0) for batch in batches)
        Assignment.objects.bulk_create(
            Assignment(batch_item=row, batch=row.batch, cohort="generalist", ordinal=1, rank=0) for row in placed
        )


@pytest.mark.parametrize("count", [10, 1000])
def test_home_costs_the_same_queries_for_ten_and_a_thousand_batches(world: World, count: int) -> None:
    many_batches(world, count)
    client = Client()
    client.force_login(world.people["gene"])
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(reverse("labeling:home"))
    assert len(answer.context["lines"]) == min(count, 50)
    assert len(queries) <= 13, "\n".join(query["sql"] for query in queries)


@pytest.mark.parametrize("count", [10, 300])
def test_home_costs_the_same_queries_for_few_and_many_projects(world: World, count: int) -> None:
    projects = Project.objects.bulk_create(
        Project(slug=f"p{number}", name=f"P{number}", task_type="single_choice", question="?")
        for number in range(count)
    )
    Membership.objects.bulk_create(
        Membership(project=project, user=world.people["olga"], role="owner") for project in projects
    )
    Item.objects.bulk_create(
        Item(project=project, external_id="1", payload={"text": "x"}, payload_sha256="0") for project in projects
    )
    client = Client()
    client.force_login(world.people["olga"])
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(reverse("labeling:home"))
    assert len(answer.context["projects"]) == min(count + 1, 20)
    assert len(queries) <= 11, "\n".join(query["sql"] for query in queries)
    assert "1 to 20 of 301" in answer.content.decode() or count == 10
