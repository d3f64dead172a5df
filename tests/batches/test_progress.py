"""Stories of a batch's progress: derived from its places, with as many queries for ten items as for a thousand."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling import dispatch
from labeling.claiming import acknowledge_version, claim_next
from labeling.models import Membership
from labeling.queries.batch_plans import plan_batch
from labeling.queries.progress import (
    batch_rows,
    cohort_people,
    cohort_progress,
    count_items,
    rater_progress,
    short_items,
    shown_jobs,
)
from labeling.submission import Answer, skip_place, submit_annotation
from labeling.views.batch_words import reasons
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


def answer(world: World, name: str, batch, count: int) -> None:
    for _ in range(count):
        place = claim_next(by=world.people[name], batch=batch, slots=1).places[0]
        submit_annotation(
            by=world.people[name], batch=batch, assignment=place.uuid, token=place.claim_token, answer=Answer("defect")
        )


def skip(world: World, name: str, batch) -> None:
    place = claim_next(by=world.people[name], batch=batch, slots=1).places[0]
    skip_place(by=world.people[name], batch=batch, assignment=place.uuid, token=place.claim_token)


def test_places_are_counted_by_cohort_in_fixed_order(world: World) -> None:
    batch = world.open_batch(quotas={"expert": 1, "generalist": 2})
    answer(world, "gene", batch, 3)
    answer(world, "ella", batch, 1)
    claim_next(by=world.people["gina"], batch=batch, slots=2)
    generalists, experts = cohort_progress(batch)
    assert (generalists.cohort, experts.cohort) == ("generalist", "expert")
    assert (generalists.done, generalists.in_hand, generalists.open, generalists.wanted) == (3, 2, 5, 10)
    assert (experts.done, experts.in_hand, experts.open, experts.total) == (1, 0, 4, 5)
    assert count_items(batch) == 5
    by_name = {row.member.user.username: (row.done, row.in_hand) for row in rater_progress(batch, 15)}
    assert by_name == {"gene": (3, 0), "gina": (0, 2), "ella": (1, 0)}


def test_an_item_is_short_once_nobody_can_answer_it_any_more(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": (2, 2)})
    skip(world, "gene", batch)
    (row,) = cohort_progress(batch)
    assert (row.skipped, row.short_items) == (1, 0), "the other place of that item is still open"
    answer(world, "gina", batch, 1)
    (row,) = cohort_progress(batch)
    assert row.short_items == 1
    quota = batch.quotas.get()
    assert [short["answers"] for short in short_items(batch, quota)] == [1]


def test_closing_leaves_short_items_and_reopening_takes_them_back(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    answer(world, "gene", batch, 2)
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    (row,) = cohort_progress(batch)
    assert (row.done, row.open, row.void, row.short_items) == (2, 0, 3, 3)
    dispatch.reopen_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    (row,) = cohort_progress(batch)
    assert (row.done, row.open, row.short_items) == (2, 3, 0)


@pytest.mark.parametrize("items", [10, 1000])
def test_queries_do_not_grow(world: World, items: int) -> None:
    world.add_items(items - 5)
    batch = world.open_batch(quotas={"generalist": 2, "expert": 1, "target_user": 1})
    for name in ("gene", "gina", "ella"):
        skip(world, name, batch)
        answer(world, name, batch, 3)
    with CaptureQueriesContext(connection) as queries:
        cohort_progress(batch)
        rater_progress(batch, 20)
        batch_rows([batch])
        cohort_people(world.project, batch.guideline_version_id)
        shown_jobs(batch)
    # quotas, counts, ranks, short items of two cohorts with skips, rater counts, members, two for the list, people, jobs
    assert len(queries) <= 11, "\n".join(query["sql"] for query in queries)


def why(world: World, batch) -> str:
    batch.refresh_from_db()
    found = reasons(batch, cohort_progress(batch), cohort_people(world.project, batch.guideline_version_id), told=False)
    return " ".join(f"{reason.strong} {reason.text}" for reason in found)


def test_the_page_says_why_a_batch_does_not_move(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 3, "target_user": 1}, read=False)
    assert "15 places wait for generalists. Each item asks for 3 generalists and the project has 2" in why(world, batch)
    assert "2 generalists and 1 target user have not read the definition yet" in why(world, batch)
    acknowledge_version(by=world.people["gina"], batch=batch)
    assert "1 generalist and 1 target user have not" in why(world, batch)
    acknowledge_version(by=world.people["gene"], batch=batch)
    assert "1 target user has not read the definition yet" in why(world, batch)
    Membership.objects.filter(cohort="target_user").update(active=False)
    assert "5 places wait for target users. Nobody in the project has that cohort" in why(world, batch)


def test_the_page_says_when_all_is_answered_or_closed(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 1})
    answer(world, "gene", batch, 5)
    assert "Every place is answered" in why(world, batch)
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    assert "Closed." in why(world, batch)


def test_a_plan_multiplies_and_names_what_it_does_not_know(world: World) -> None:
    def costs(name: str, cost: str) -> None:
        Membership.objects.filter(project=world.project, user=world.people[name]).update(cost_per_label=cost)

    plan = plan_batch(world.project, 100, {"generalist": 3, "expert": 1})
    assert plan.places == 400
    assert not plan.cost_known
    assert [(cohort.cohort, cohort.missing) for cohort in plan.cohorts] == [("generalist", 1), ("expert", 0)]
    costs("gene", "0.10")
    costs("gina", "0.20")
    plan = plan_batch(world.project, 100, {"generalist": 3, "expert": 1})
    assert (float(plan.usual), float(plan.lowest), float(plan.highest)) == (45.0, 30.0, 60.0)
    assert plan.cost_partial, "ella's cost is not known"
    costs("ella", "1")
    plan = plan_batch(world.project, 100, {"generalist": 3, "expert": 1})
    assert float(plan.usual) == 145.0
    assert not plan.cost_partial
