"""Holding, ruling, clusters, discussions, overruling: what an SME may do, and what is refused."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from consistency import adjudication as bench
from consistency import comparing, discussing, holding, voting
from consistency.models import Adjudication, Disagreement, DiscussionMessage, Resolution, ResolutionRun
from labeling import dispatch
from labeling.models import Assignment, BatchItem, Event, Gold, Membership
from labeling.refusals import BadValue, NotAllowed, NotSeen, Refusal
from labeling.submission import Answer
from labeling.vocabulary import Cohort
from tests.bench.helpers import A, B, case_of, disputed, found, no_audit, resolutions, revise, rule, ruling
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


def refused(code: str) -> Any:
    """Expect a Refusal with this code."""
    return pytest.raises(Refusal, check=lambda refusal: refusal.code == code)


def test_a_ruling_writes_everything_in_one_go(world: World) -> None:
    batch = disputed(world)
    made = rule(world, batch, "n1", A)
    case = case_of(batch, "n1")
    assert (case.status, case.holder, case.hold_token) == ("ruled", None, None)
    assert (made.revision, made.value, made.cause, made.outcome) == (1, A, "ambiguous_definition", "adjudicate")
    (resolution,) = resolutions(batch, "n1")
    assert (resolution.method, resolution.value, resolution.adjudication_id) == ("adjudicated", A, made.pk)
    assert resolution.distribution["labels"] == {A: 1, B: 1}
    gold = Gold.objects.get(adjudication_uuid=made.uuid)
    assert (gold.origin, gold.value, gold.author, gold.guideline_version) == (
        "adjudicated", A, world.member("sam"), world.version,
    )  # fmt: skip
    assert BatchItem.objects.get(pk=case.batch_item_id).ruled_at is not None
    verbs = Event.objects.filter(subject_type="disagreement", subject_id=case.pk).order_by("pk")
    assert list(verbs.values_list("verb", flat=True)) == ["found", "held", "ruled"]
    with refused("ruled"):
        revise(world, batch, "gene", "n1", Answer(value=B))
    # Comparing again leaves it alone.
    assert comparing.compare_batch(batch=batch) == {}


def test_a_ruling_needs_hold_reason_and_the_answers_that_were_seen(world: World) -> None:
    batch = disputed(world)
    sam, case = world.seat("sam"), case_of(batch, "n1")
    with refused("hold_lost"):
        bench.rule_on(by=sam, disagreement=case, token=uuid.uuid4(), seen=case.input_sha256, ruling=ruling())
    held = holding.hold_disagreement(by=sam, disagreement=case)
    token = held.hold_token
    assert token is not None
    for bad, field in (
        (ruling(rationale="  "), "rationale"),
        (ruling(rationale="x" * 4001), "rationale"),
        (ruling(cause="mood"), "cause"),
        (ruling(outcome="shrug"), "outcome"),
        (ruling(value="scratch"), "value"),
        (ruling(value=None), "value"),
        (ruling(value=A, outcome="keep_distribution"), "value"),
        (ruling(value=None, outcome="keep_distribution", distribution={A: 0.9, B: 0.2}), "distribution"),
        (ruling(value=None, outcome="keep_distribution", distribution={"scratch": 1.0}), "distribution"),
        (ruling(value=A, distribution={A: 1.0}), "distribution"),
    ):
        with pytest.raises(BadValue) as caught:
            bench.rule_on(by=sam, disagreement=case, token=token, seen=case.input_sha256, ruling=bad)
        assert caught.value.data["field"] == field, bad
    revise(world, batch, "gina", "n1", Answer(outcome="cannot_label", reason="Blurred."))
    with refused("answers_changed"):
        bench.rule_on(by=sam, disagreement=case, token=token, seen=case.input_sha256, ruling=ruling())
    comparing.compare_batch(batch=batch)
    # Compared meanwhile: what was seen still is not what is there.
    with refused("answers_changed"):
        bench.rule_on(by=sam, disagreement=case, token=token, seen=case.input_sha256, ruling=ruling())
    again = case_of(batch, "n1")
    assert (again.kind, again.status) == ("outcome", "held")
    made = bench.rule_on(by=sam, disagreement=again, token=token, seen=again.input_sha256, ruling=ruling())
    # A lost reply: the same ruling sent twice is recorded once.
    same = bench.rule_on(by=sam, disagreement=again, token=token, seen=again.input_sha256, ruling=ruling())
    assert same == made
    with refused("ruled"):
        bench.rule_on(by=sam, disagreement=again, token=token, seen=again.input_sha256, ruling=ruling(B))
    assert Adjudication.objects.count() == 1


def test_answers_that_agree_by_now_are_not_ruled_on(world: World) -> None:
    batch = disputed(world)
    sam, case = world.seat("sam"), case_of(batch, "n1")
    token = holding.hold_disagreement(by=sam, disagreement=case).hold_token
    assert token is not None
    revise(world, batch, "gina", "n1", Answer(value=A))
    comparing.compare_batch(batch=batch)  # dismisses the case although it is held
    assert case_of(batch, "n1").status == "dismissed"
    with refused("hold_lost"):
        bench.rule_on(by=sam, disagreement=case, token=token, seen=case.input_sha256, ruling=ruling())
    with refused("dismissed"):
        holding.hold_disagreement(by=sam, disagreement=case)
    assert [r.method for r in resolutions(batch, "n1")] == ["unanimous"]


def test_holds(world: World) -> None:
    batch = disputed(world)
    sam, olga, case = world.seat("sam"), world.seat("olga"), case_of(batch, "n1")
    now = timezone.now()
    first = holding.hold_disagreement(by=sam, disagreement=case, at=now)
    assert first.hold_until == now + holding.HOLD
    with refused("held_by_other"):
        holding.hold_disagreement(by=olga, disagreement=case, at=now + timedelta(minutes=9))
    again = holding.hold_disagreement(by=sam, disagreement=case, at=now + timedelta(minutes=5))
    assert again.hold_token == first.hold_token
    assert first.hold_token is not None
    holding.extend_hold(by=sam, disagreement=case, token=first.hold_token, at=now + timedelta(minutes=8))
    with refused("held_by_other"):
        holding.hold_disagreement(by=olga, disagreement=case, at=now + timedelta(minutes=17))
    # The lease ran out: another takes the case, and the first one's token is worth nothing.
    taken = holding.hold_disagreement(by=olga, disagreement=case, at=now + timedelta(minutes=19))
    assert taken.holder == olga.membership
    with refused("hold_lost"):
        holding.extend_hold(by=sam, disagreement=case, token=first.hold_token)
    with refused("hold_lost"):
        bench.rule_on(by=sam, disagreement=case, token=first.hold_token, seen=case.input_sha256, ruling=ruling())
    holding.release_hold(by=sam, disagreement=case, token=first.hold_token)  # not theirs any more: nothing happens
    assert case_of(batch, "n1").status == "held"
    assert taken.hold_token is not None
    holding.release_hold(by=olga, disagreement=case, token=taken.hold_token)
    holding.release_hold(by=olga, disagreement=case, token=taken.hold_token)
    assert case_of(batch, "n1").status == "open"
    holding.hold_disagreement(by=sam, disagreement=case, at=now)
    assert holding.sweep_holds(now + timedelta(minutes=9)) == 0
    assert holding.sweep_holds(now + timedelta(minutes=11)) == 1
    assert case_of(batch, "n1").status == "open"


def test_nobody_rules_on_an_item_they_rated(world: World) -> None:
    Membership.objects.filter(pk=world.member("sam").pk).update(cohort=Cohort.EXPERT)
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2, "expert": 1})
    world.say(batch, "gene", {"n1": A, "n2": A})
    world.say(batch, "gina", {"n1": B, "n2": B})
    world.say(batch, "ella", {"n1": B, "n2": B})
    comparing.compare_batch(batch=batch)
    other = world.open_batch("Second look", quotas={"expert": 1})
    from labeling.claiming import acknowledge_version

    acknowledge_version(by=world.people["sam"], batch=other)
    world.say(other, "sam", {"n1": A})  # in another batch, and it is still their own item
    case = case_of(batch, "n1")
    with pytest.raises(NotAllowed) as caught:
        holding.hold_disagreement(by=world.seat("sam"), disagreement=case)
    assert caught.value.code == "own_item"
    report = bench.rule_on_cluster(
        by=world.seat("sam"), batch=batch, ruling=ruling(B),
        cases=[(case_of(batch, item).uuid, case_of(batch, item).input_sha256) for item in ("n1", "n2")],
    )  # fmt: skip
    assert [(one.disagreement, one.code) for one in report.refused] == [(case.uuid, "own_item")]
    assert [one.disagreement.uuid for one in report.rulings] == [case_of(batch, "n2").uuid]
    assert holding.hold_disagreement(by=world.seat("olga"), disagreement=case).status == "held"


def test_who_may_rule(world: World) -> None:
    batch = disputed(world)
    case = case_of(batch, "n1")
    for name in ("mel", "tom"):
        with pytest.raises(NotAllowed):
            holding.hold_disagreement(by=world.seat(name), disagreement=case)
    from labeling import access

    otto = access.project_for(world.people["otto"], "phones-otto")
    with pytest.raises(NotSeen):
        holding.hold_disagreement(by=otto, disagreement=case)


def test_people_who_are_still_answering_are_waited_for(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2, "expert": 1})
    world.say(batch, "gene", {"n1": A})
    world.say(batch, "gina", {"n1": B})
    comparing.compare_batch(batch=batch)
    case = case_of(batch, "n1")
    assert not case.complete
    with refused("not_complete"):
        holding.hold_disagreement(by=world.seat("sam"), disagreement=case)
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    assert rule(world, batch, "n1").value == A


def test_a_distribution_or_nothing_may_be_the_answer(world: World) -> None:
    batch = disputed(world)
    sam, case = world.seat("sam"), case_of(batch, "n1")
    token = holding.hold_disagreement(by=sam, disagreement=case).hold_token
    assert token is not None
    kept = bench.keep_distribution(
        by=sam, disagreement=case, token=token, seen=case.input_sha256, rationale="Taste."
    )  # fmt: skip
    assert (kept.value, kept.distribution, kept.outcome) == (None, {A: 0.5, B: 0.5}, "keep_distribution")
    (resolution,) = resolutions(batch, "n1")
    assert (resolution.method, resolution.value) == ("adjudicated", None)
    none = rule(world, batch, "n2", None, cause="insufficient_input", outcome="improve_input")
    assert (none.value, none.distribution) == (None, None)
    assert not Gold.objects.filter(origin="adjudicated").exists()


def test_a_cluster_under_one_rationale(world: World) -> None:
    batch = disputed(world, items=("n1", "n2", "n3", "n4"))
    sam, olga = world.seat("sam"), world.seat("olga")
    cases = [(case_of(batch, item).uuid, case_of(batch, item).input_sha256) for item in ("n1", "n2", "n3", "n4")]
    holding.hold_disagreement(by=olga, disagreement=case_of(batch, "n2"))
    holding.hold_disagreement(by=sam, disagreement=case_of(batch, "n1"))
    revise(world, batch, "gina", "n3", Answer(value=A))
    report = bench.rule_on_cluster(by=sam, batch=batch, cases=cases, ruling=ruling(B))
    assert {(one.disagreement, one.code) for one in report.refused} == {
        (cases[1][0], "held_by_other"),
        (cases[2][0], "answers_changed"),
    }
    assert sorted(case.batch_item.item.external_id for case in Disagreement.objects.filter(status="ruled")) == [
        "n1", "n4",
    ]  # fmt: skip
    assert {made.cluster for made in Adjudication.objects.all()} == {report.cluster}
    with pytest.raises(BadValue):
        bench.rule_on_cluster(by=sam, batch=batch, cases=cases, ruling=ruling(rationale=""))
    with pytest.raises(BadValue):
        bench.rule_on_cluster(by=sam, batch=batch, cases=[], ruling=ruling())
    with pytest.raises(NotSeen):
        bench.rule_on_cluster(by=sam, batch=batch, cases=[(uuid.uuid4(), "x")], ruling=ruling())


def test_one_ruling_covers_one_confusion(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2})
    world.say(batch, "gene", {"n1": A, "n2": A})
    world.say(batch, "gina", {"n1": B, "n2": None})
    comparing.compare_batch(batch=batch)
    cases = [(case_of(batch, item).uuid, case_of(batch, item).input_sha256) for item in ("n1", "n2")]
    with pytest.raises(BadValue) as caught:
        bench.rule_on_cluster(by=world.seat("sam"), batch=batch, cases=cases, ruling=ruling())
    assert caught.value.code == "mixed"


def test_a_chunk_is_written_whole_or_not_at_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = disputed(world)
    cases = [(case_of(batch, item).uuid, case_of(batch, item).input_sha256) for item in ("n1", "n2", "n3")]
    written = bench._write
    calls = []

    def fails_at_the_third(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise Refusal("changed_meanwhile", "Someone was faster.")
        return written(*args, **kwargs)

    monkeypatch.setattr(bench, "_write", fails_at_the_third)
    report = bench.rule_on_cluster(by=world.seat("sam"), batch=batch, cases=cases, ruling=ruling())
    assert report.rulings == []
    assert {one.code for one in report.refused} == {"changed_meanwhile"}
    assert len(report.refused) == 3
    assert not Adjudication.objects.exists()
    assert not Resolution.objects.exists()
    assert not Disagreement.objects.filter(status="ruled").exists()


def test_discussion(world: World) -> None:
    batch = disputed(world)
    sam, case = world.seat("sam"), case_of(batch, "n1")
    token = holding.hold_disagreement(by=sam, disagreement=case).hold_token
    assert token is not None
    with refused("not_discussed"):
        discussing.say_in_discussion(by=world.seat("gene"), disagreement=case, text="Hello?")
    with pytest.raises(BadValue):
        discussing.open_discussion(by=sam, disagreement=case, token=token, text=" ")
    discussing.open_discussion(by=sam, disagreement=case, token=token, text="How long is it, do you think?")
    case = case_of(batch, "n1")
    assert (case.status, case.holder) == ("discussing", None)
    assert case.batch_item.revealed_at is not None
    discussing.say_in_discussion(by=world.seat("gene"), disagreement=case, text="About 0.2 mm.")
    with pytest.raises(NotSeen):  # tom did not rate it
        discussing.say_in_discussion(by=world.seat("tom"), disagreement=case, text="Let me in.")
    revise(world, batch, "gene", "n1", Answer(outcome="cannot_label", reason="Too small to say."))
    place = Assignment.objects.get(batch=batch, member=world.member("gene"), batch_item=case.batch_item)
    assert [row.blind for row in place.annotations.order_by("revision")] == [True, False]
    comparing.compare_batch(batch=batch)
    case = case_of(batch, "n1")
    assert (case.kind, case.status) == ("outcome", "discussing")
    # A hold that ends goes back to the discussion; a ruling ends it.
    held = holding.hold_disagreement(by=sam, disagreement=case)
    assert held.hold_token is not None
    holding.release_hold(by=sam, disagreement=case, token=held.hold_token)
    assert case_of(batch, "n1").status == "discussing"
    rule(world, batch, "n1")
    with refused("not_discussed"):
        discussing.say_in_discussion(by=sam, disagreement=case, text="One more thing.")
    assert [m.text for m in DiscussionMessage.objects.all()] == ["How long is it, do you think?", "About 0.2 mm."]


def test_the_owner_overrules_with_history(world: World) -> None:
    batch = disputed(world)
    rule(world, batch, "n1", A)
    case, olga = case_of(batch, "n1"), world.seat("olga")
    with pytest.raises(NotAllowed):
        bench.overrule(by=world.seat("sam"), disagreement=case, revision=1, ruling=ruling(B))
    with refused("not_ruled"):
        bench.overrule(by=olga, disagreement=case_of(batch, "n2"), revision=1, ruling=ruling(B))
    bench.overrule(by=olga, disagreement=case, revision=1, ruling=ruling(B, rationale="Customer care says so."))
    with refused("changed_meanwhile"):
        bench.overrule(by=olga, disagreement=case, revision=1, ruling=ruling(A))
    assert [(made.revision, made.value) for made in case.adjudications.order_by("revision")] == [(1, A), (2, B)]
    assert [(r.revision, r.value) for r in resolutions(batch, "n1")] == [(1, A), (2, B)]
    assert Gold.objects.filter(origin="adjudicated").order_by("-id").values_list("value", flat=True)[0] == B
    assert case_of(batch, "n1").status == "ruled"


def test_voting_is_the_last_resort(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2, "expert": 1})
    world.say(batch, "gene", {"n1": A, "n2": A, "n3": A, "n4": A})
    world.say(batch, "gina", {"n1": B, "n2": A, "n3": A, "n4": B})
    world.say(batch, "ella", {"n1": B, "n2": A, "n3": B, "n4": None})
    comparing.compare_batch(batch=batch)
    olga = world.seat("olga")
    with pytest.raises(NotAllowed):
        voting.resolve_by_vote(by=world.seat("sam"), batch=batch, method="majority")
    with pytest.raises(BadValue):
        voting.resolve_by_vote(by=olga, batch=batch, method="unanimous")
    kept = voting.resolve_by_vote(by=olga, batch=batch, method="majority")
    assert (kept.resolved, kept.ties) == (0, 0)  # nothing within a threshold of 0, and no case was released
    holding.hold_disagreement(by=world.seat("sam"), disagreement=case_of(batch, "n3"))
    report = voting.resolve_by_vote(by=olga, batch=batch, method="majority", release=True)
    assert (report.resolved, report.ties) == (1, 1)
    (voted,) = resolutions(batch, "n1")
    assert (voted.method, voted.value, voted.run) == ("majority", B, report.run)
    assert voted.confidence == pytest.approx(2 / 3)
    assert case_of(batch, "n1").status == "dismissed"
    assert case_of(batch, "n4").status == "open"  # A, B and not enough information: a tie stays with a person
    assert case_of(batch, "n3").status == "held"  # someone is on it
    # The same vote again, and comparing again, change nothing.
    assert voting.resolve_by_vote(by=olga, batch=batch, method="majority", release=True).resolved == 0
    assert comparing.compare_batch(batch=batch) == {}
    # Dawid–Skene over one cohort replaces the row and says so.
    again = voting.resolve_by_vote(by=olga, batch=batch, method="dawid_skene", cohort="expert")
    assert (again.run.cohort, again.run.parameters["smoothing"]) == ("expert", 0.1)
    assert [(r.method, r.value) for r in resolutions(batch, "n1")] == [("majority", B), ("dawid_skene", B)]
    # New answers take the vote back: people are asked again.
    revise(world, batch, "gina", "n1", Answer(outcome="cannot_label", reason="Dark."))
    comparing.compare_batch(batch=batch)
    assert case_of(batch, "n1").status == "open"
    assert resolutions(batch, "n1")[-1].method == "none"
    assert ResolutionRun.objects.count() == 4
    assert not found(batch, "n2")


def test_a_vote_in_the_background(world: World) -> None:
    batch = disputed(world)
    world.say(batch, "gene", {})
    job = voting.enqueue_vote(by=world.seat("olga"), batch=batch, method="majority", release=True)
    run_jobs()
    job.refresh_from_db()
    assert (job.status, job.result["ties"], job.result["resolved"]) == ("done", 3, 0)


def test_a_vote_reads_only_what_is_in_question(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all answered alike is decided; of one cohort's answers alone that cannot be known."""
    batch = world.open_batch(quotas={"generalist": 2})
    world.say(batch, "gene", dict.fromkeys(("n1", "n2", "n3"), A))
    world.say(batch, "gina", {"n1": B, "n2": A, "n3": None})
    asked: list[int] = []
    fill = voting._fill
    monkeypatch.setattr(voting, "_fill", lambda *given: (asked.extend(given[3]), fill(*given)))

    def vote(cohort: str | None) -> set[str]:
        asked.clear()
        voting.resolve_by_vote(by=world.seat("olga"), batch=batch, method="majority", cohort=cohort)
        return set(BatchItem.objects.filter(pk__in=asked).values_list("item__external_id", flat=True))

    assert vote(None) == {"n1", "n3"}
    assert vote("generalist") == {"n1", "n2", "n3"}


def test_what_differs_within_the_threshold_waits_for_the_vote(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2, "expert": 1})
    type(world.version).objects.filter(pk=world.version.pk)  # sealed: the settings are put in by hand below
    world.say(batch, "gene", {"n1": A})
    world.say(batch, "gina", {"n1": B})
    world.say(batch, "ella", {"n1": A})
    batch.guideline_version.task_settings = {"threshold": 1}
    comparing.compare_items(batch=batch, batch_item_ids=[BatchItem.objects.get(batch=batch, rank=0).pk])
    assert not found(batch, "n1")
    assert not resolutions(batch, "n1")
    report = voting.resolve_by_vote(by=world.seat("olga"), batch=batch, method="majority")
    assert (report.resolved, resolutions(batch, "n1")[0].value) == (1, A)


def test_a_replaced_ruling_is_no_reference(world: World) -> None:
    from consistency.queries.ratings import read_ratings
    from consistency.queries.references import references_of

    batch = disputed(world)
    BatchItem.objects.filter(batch=batch).update(audit=True)
    rule(world, batch, "n1", A)
    reading = read_ratings([batch])
    assert list(references_of(reading)["adjudicated"].labels.values()) == [A]
    bench.overrule(
        by=world.seat("olga"), disagreement=case_of(batch, "n1"), revision=1,
        ruling=ruling(None, outcome="improve_input", cause="insufficient_input"),
    )  # fmt: skip
    assert "adjudicated" not in references_of(reading)
