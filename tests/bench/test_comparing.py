"""From settled items to resolutions and disagreements: kinds, waiting, idempotence, re-comparing, the sweep."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from consistency import comparing
from consistency.models import Disagreement, Resolution
from labeling import dispatch
from labeling.models import Assignment, BatchItem, Event, Exclusion
from labeling.queries.annotations import that_measure, that_resolve
from labeling.submission import Answer
from tests.bench.helpers import A, B, no_audit, resolutions, revise
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


def case_of(batch: Any, item: str) -> Disagreement | None:
    return Disagreement.objects.filter(batch_item__batch=batch, batch_item__item__external_id=item).first()


def test_kinds_and_resolutions(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2})
    borderline = Answer(value=A, borderline=True, second_value=B)
    world.say(batch, "gene", {"n1": A, "n2": A, "n3": A, "n4": None, "n5": borderline})
    world.say(batch, "gina", {"n1": A, "n2": B, "n3": None, "n4": None, "n5": A})
    comparing.compare_batch(batch=batch)
    assert [(r.method, r.value, r.raters) for r in resolutions(batch, "n1")] == [("unanimous", A, 2)]
    case = case_of(batch, "n2")
    assert case is not None
    assert not resolutions(batch, "n2")
    assert (case.kind, case.status, case.distance, case.entropy) == ("labels", "open", 1.0, 1.0)
    assert (case.confusion, case.cohorts_split, case.complete) == (f"{A} | {B}", ["generalist"], True)
    outcome = case_of(batch, "n3")
    assert outcome is not None
    assert (outcome.kind, outcome.confusion) == ("outcome", f"cannot_label | {A}")
    # All say "not enough information": nobody has to rule, the input has to improve.
    assert [(r.method, r.value) for r in resolutions(batch, "n4")] == [("none", None)]
    assert case_of(batch, "n4") is None
    # Equal labels with different marks are no disagreement.
    (five,) = resolutions(batch, "n5")
    assert (five.method, five.value, case_of(batch, "n5")) == ("unanimous", A, None)
    assert five.distribution == {
        "labels": {A: 2}, "cannot_label": 0, "borderline": 1, "cohorts": {"generalist": {A: 2}},
    }  # fmt: skip


def test_the_same_answers_again_write_nothing(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2})
    world.say(batch, "gene", dict.fromkeys(("n1", "n2"), A))
    world.say(batch, "gina", {"n1": A, "n2": B})
    assert comparing.compare_batch(batch=batch) == {"found": 1, "resolved": 1}
    events = Event.objects.count()
    assert comparing.compare_batch(batch=batch) == {}
    assert Event.objects.count() == events


def _stored(batch: Any) -> dict[int, Any]:
    """{batch item: all that comparing may change of it}"""
    rows = BatchItem.objects.filter(batch=batch).values_list("pk", flat=True)
    cases = {case["batch_item_id"]: case for case in Disagreement.objects.filter(batch=batch).values()}
    return {pk: (cases.get(pk), list(Resolution.objects.filter(batch_item=pk).values())) for pk in rows}


def _look_and_compare(batch: Any) -> set[str]:
    """The items (by external id) that a look without locks calls changed; comparing all writes exactly those."""
    audit = dict(BatchItem.objects.filter(batch=batch).values_list("pk", "audit"))
    changed = set(comparing.changed_items(audit, comparing.Judging(batch)))
    before = _stored(batch)
    comparing.compare_items(batch=batch, batch_item_ids=list(audit))
    after = _stored(batch)
    assert changed == {pk for pk in audit if before[pk] != after[pk]}
    assert comparing.changed_items(audit, comparing.Judging(batch)) == []
    return set(BatchItem.objects.filter(pk__in=changed).values_list("item__external_id", flat=True))


def test_a_look_without_locks_finds_exactly_what_comparing_writes(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2, "expert": 1})
    assert _look_and_compare(batch) == set()
    world.say(batch, "gene", {"n1": A, "n2": A, "n3": A, "n4": None})
    world.say(batch, "gina", {"n1": A, "n2": B, "n3": None, "n4": None})
    assert _look_and_compare(batch) == {"n2", "n3"}
    world.say(batch, "ella", {"n1": B, "n2": B, "n3": A})
    # n2 and n3 are complete now; n4 was passed on by ella and still waits for another expert.
    assert _look_and_compare(batch) == {"n1", "n2", "n3"}
    revise(world, batch, "gina", "n2", Answer(value=A))
    revise(world, batch, "ella", "n2", Answer(value=A))
    assert _look_and_compare(batch) == {"n2"}  # dismissed, and resolved
    Exclusion.objects.create(
        member=world.member("ella"), reason="Away.", by=world.people["olga"], at=timezone.now()
    )  # fmt: skip
    assert _look_and_compare(batch) == {"n1", "n2", "n3"}
    Exclusion.objects.update(lifted_at=timezone.now())
    revise(world, batch, "gina", "n2", Answer(value=B))
    assert _look_and_compare(batch) == {"n1", "n2", "n3"}  # reopened, and the resolution taken back
    BatchItem.objects.filter(batch=batch, item__external_id="n5").update(audit=True)
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    assert _look_and_compare(batch) == set()


def test_comparing_again_asks_the_same_few_questions_whatever_the_size(
    world: World, django_assert_max_num_queries: Any
) -> None:
    no_audit(world)
    world.add_items(35)
    batch = world.open_batch(quotas={"generalist": 2})
    names = [item.external_id for item in world.items]
    world.say(batch, "gene", dict.fromkeys(names, A))
    world.say(batch, "gina", {name: (A, B)[n % 2] for n, name in enumerate(names)})
    assert comparing.compare_batch(batch=batch) == {"found": 20, "resolved": 20}
    with django_assert_max_num_queries(7) as asked:
        assert comparing.compare_batch(batch=batch) == {}
    assert not any("FOR UPDATE" in query["sql"] or "SAVEPOINT" in query["sql"] for query in asked.captured_queries)


def test_cohorts_wait_for_each_other_and_are_never_outvoted(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2, "expert": 1})
    world.say(batch, "gene", dict.fromkeys(("n1", "n2", "n3"), A))
    world.say(batch, "gina", {"n1": A, "n2": B, "n3": A})
    comparing.compare_batch(batch=batch)
    # Generalists agree on n1 and n3, experts have not answered: nothing is said yet.
    assert not resolutions(batch, "n1")
    assert case_of(batch, "n1") is None
    # Within the settled cohort a difference shows at once; the case is not complete.
    early = case_of(batch, "n2")
    assert early is not None
    assert (early.kind, early.complete) == ("labels", False)
    world.say(batch, "ella", {"n1": B, "n2": B, "n3": A})
    comparing.compare_batch(batch=batch)
    split = case_of(batch, "n1")
    assert split is not None
    assert not resolutions(batch, "n1")
    assert (split.kind, split.cohorts_split) == ("cohorts", ["expert", "generalist"])
    early.refresh_from_db()
    assert (early.kind, early.complete, early.cohorts_split) == ("labels", True, ["generalist"])
    assert [r.method for r in resolutions(batch, "n3")] == ["unanimous"]


def test_a_cohort_that_never_comes_is_waited_for_until_the_close(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 1, "expert": 1})
    world.say(batch, "gene", {"n1": A, "n2": None})
    comparing.compare_batch(batch=batch)
    assert not Resolution.objects.exists()
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()  # voids the open places and tells which items settled by that
    assert [(r.method, r.value) for r in resolutions(batch, "n1")] == [("single", A)]
    assert [r.method for r in resolutions(batch, "n2")] == ["none"]
    # Items nobody answered have neither a resolution nor a case.
    assert not resolutions(batch, "n3")
    assert case_of(batch, "n3") is None


def test_an_audit_sample_goes_to_the_bench_whether_or_not_people_disagreed(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2})
    BatchItem.objects.filter(batch=batch, item__external_id__in=("n1", "n2", "n5")).update(audit=True)
    world.say(batch, "gene", dict.fromkeys(("n1", "n2", "n3"), A))
    world.say(batch, "gina", {"n1": A, "n2": B, "n3": A})
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    comparing.compare_batch(batch=batch)
    audit, differing = case_of(batch, "n1"), case_of(batch, "n2")
    assert audit is not None
    assert differing is not None
    assert (audit.kind, audit.distance, audit.entropy) == ("audit", 0.0, 0.0)
    assert [r.method for r in resolutions(batch, "n1")] == ["unanimous"]  # in force until someone rules
    assert differing.kind == "labels"
    assert case_of(batch, "n3") is None
    assert case_of(batch, "n5") is None


def test_a_revision_dismisses_reopens_and_takes_the_resolution_back(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2})
    world.say(batch, "gene", {"n1": A})
    world.say(batch, "gina", {"n1": B})
    comparing.compare_batch(batch=batch)
    revise(world, batch, "gina", "n1", Answer(value=A))
    comparing.compare_batch(batch=batch)
    case = case_of(batch, "n1")
    assert case is not None
    assert case.status == "dismissed"
    assert [(r.revision, r.method, r.value) for r in resolutions(batch, "n1")] == [(1, "unanimous", A)]
    revise(world, batch, "gene", "n1", Answer(value=B))
    comparing.compare_batch(batch=batch)
    case.refresh_from_db()
    assert case.status == "open"
    # While they differ nobody's answer is in force.
    assert [(r.revision, r.method, r.value) for r in resolutions(batch, "n1")][-1] == (2, "none", None)
    verbs = Event.objects.filter(subject_type="disagreement", subject_id=case.pk).order_by("pk")
    assert list(verbs.values_list("verb", flat=True)) == ["found", "dismissed", "reopened"]


def test_who_is_set_aside_does_not_count(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2})
    world.say(batch, "gene", {"n1": A, "n2": A})
    world.say(batch, "gina", {"n1": B, "n2": A})
    comparing.compare_batch(batch=batch)
    now = timezone.now()
    aside = Exclusion.objects.create(
        member=world.member("gina"), reason="A bot.", by=world.people["olga"], at=now
    )  # fmt: skip
    comparing.compare_batch(batch=batch)
    case = case_of(batch, "n1")
    assert case is not None
    assert case.status == "dismissed"
    assert [(r.method, r.value) for r in resolutions(batch, "n1")] == [("single", A)]
    assert [r.method for r in resolutions(batch, "n2")] == ["unanimous", "single"]
    Exclusion.objects.create(member=world.member("gene"), reason="A bot too.", by=world.people["olga"], at=now)
    comparing.compare_batch(batch=batch)
    assert [(r.method, r.raters) for r in resolutions(batch, "n2")][-1] == ("none", 0)  # nobody's answer counts
    Exclusion.objects.update(lifted_at=now)
    aside.refresh_from_db()
    comparing.compare_batch(batch=batch)
    case.refresh_from_db()
    assert case.status == "open"
    assert [r.method for r in resolutions(batch, "n2")][-1] == "unanimous"


def test_the_receiver_compares_after_commit(world: World, django_capture_on_commit_callbacks: Any) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2})
    world.say(batch, "gene", {"n1": A})
    with django_capture_on_commit_callbacks(execute=True):
        world.say(batch, "gina", {"n1": B})
    assert case_of(batch, "n1") is not None


def test_the_sweep_finds_what_a_lost_signal_missed(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2})
    world.say(batch, "gene", {"n1": A, "n2": A})
    world.say(batch, "gina", {"n1": B, "n2": A})
    assert comparing.sweep_uncompared() == 0  # too young: something with a lower number may be uncommitted
    later = timezone.now() + timedelta(minutes=3)
    assert comparing.sweep_uncompared(later) == 5  # skipped items too: they may have settled by that
    assert case_of(batch, "n1") is not None
    assert resolutions(batch, "n2")
    assert comparing.sweep_uncompared(later) == 0
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    comparing.sweep_uncompared(timezone.now() + timedelta(minutes=3))
    kinds = [job.kind for job in world.project.jobs.filter(status="queued")]
    assert "compare_batch" in kinds


def test_other_kinds_of_batches_resolve_nothing(world: World) -> None:
    no_audit(world)
    batch = world.open_batch("Again", quotas={"generalist": 1}, kind="retest")
    world.say(batch, "gene", {"n1": A})
    assert comparing.compare_batch(batch=batch) == {}
    assert comparing.compare_item(BatchItem.objects.filter(batch=batch).first().pk) == {}  # type: ignore[union-attr]


def test_which_annotation_counts_for_what(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 2})
    world.say(batch, "gene", {"n1": A, "n2": A, "n3": A})
    world.say(batch, "gina", {"n1": A})
    revise(world, batch, "gene", "n1", Answer(value=B))
    item = BatchItem.objects.get(batch=batch, item__external_id="n2")
    BatchItem.objects.filter(pk=item.pk).update(revealed_at=timezone.now())
    revise(world, batch, "gene", "n2", Answer(value=B))  # after the discussion: not blind
    place = Assignment.objects.get(batch=batch, member=world.member("gene"), batch_item__item__external_id="n3")
    Assignment.objects.filter(pk=place.pk).update(origin="extra")

    def values(rows: Any) -> dict[tuple[str, str], str]:
        names = ("assignment__member__user__username", "assignment__batch_item__item__external_id", "value")
        return {(who, item): value for who, item, value in rows.values_list(*names)}

    counted = {("gene", "n1"): B, ("gene", "n2"): B, ("gene", "n3"): A, ("gina", "n1"): A}
    assert values(that_resolve([batch])) == counted
    assert values(that_resolve(type(batch).objects.filter(pk=batch.pk))) == counted
    # Blind revisions of planned places only.
    assert values(that_measure([batch])) == {("gene", "n1"): B, ("gene", "n2"): A, ("gina", "n1"): A}
    Exclusion.objects.create(
        member=world.member("gina"), reason="Away.", by=world.people["olga"], at=timezone.now()
    )  # fmt: skip
    assert ("gina", "n1") not in values(that_resolve([batch]))
    assert ("gina", "n1") not in values(that_measure([batch]))
    assert ("gina", "n1") in values(that_measure([batch], with_set_aside=True))
    mine = Assignment.objects.get(batch=batch, member=world.member("gene"), batch_item__item__external_id="n1")
    Exclusion.objects.create(assignment=mine, reason="Slipped.", by=world.people["olga"], at=timezone.now())
    assert ("gene", "n1") not in values(that_resolve([batch]))
    assert ("gene", "n2") in values(that_resolve([batch]))
