"""Before and after, from raters' answers to stored figures: the course's numbers, controls, and what is undefined."""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.utils import timezone

from consistency.comparing import compare_batch
from consistency.gains import comparison_for, look_now, measure_gain
from consistency.models import AgreementRun
from consistency.queries.gains import Compared, newest_comparison, rows_of
from consistency.queries.relabels import progress_of
from consistency.relabeling import Sizes
from labeling import dispatch
from labeling.models import Assignment, Batch, Gold, Membership
from labeling.refusals import Refusal
from labeling.selection import Selection
from labeling.submission import Answer
from tests.loop.scenes import add_raters, publish_next, read_by_all, relabel
from tests.worlds import World, run_jobs

D, N = "defect", "no_defect"
# AC-1: scratch mm, ground truth, inspector; then both under “longer than 0.3 mm”
AC1 = {
    "n1": (0.7, D, D), "n2": (0.2, D, N), "n3": (0.5, D, D), "n4": (0.2, N, N), "n5": (0.1, N, N), "n6": (0.1, N, D),
}  # fmt: skip


def line(rows: list[Compared], coefficient: str, sample: str = "whole", **narrowed: str) -> Compared:
    found = [
        row
        for row in rows
        if (row.sample, row.coefficient) == (sample, coefficient)
        and all(getattr(row, name) == narrowed.get(name, "") for name in ("cohort", "label", "origin", "part"))
    ]
    assert len(found) == 1, [(row.sample, row.coefficient, row.label, row.cohort) for row in rows]
    return found[0]


def ac1() -> tuple[World, Batch, Batch]:
    world = World.build(items=6)
    before = world.open_batch("Six screens")
    world.say(before, "gene", {item: truth for item, (_, truth, _) in AC1.items()})
    world.say(before, "gina", {item: inspector for item, (_, _, inspector) in AC1.items()})
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    for who in ("gene", "gina"):
        said = world.say(after, who, {item: D if mm > 0.3 else N for item, (mm, _, _) in AC1.items()})
        assert said == 6
    return world, before, after


@pytest.mark.django_db
def test_ac1_from_two_thirds_to_all() -> None:
    _, _, after = ac1()
    run = measure_gain(after)
    rows = rows_of(run)
    share = line(rows, "percent_agreement")
    assert (round(share.before.value or 0, 3), share.after.value) == (0.667, 1.0)
    assert share.change.value == pytest.approx(1 / 3)
    alpha = line(rows, "krippendorff_alpha")
    assert (round(alpha.before.value or 0, 3), alpha.after.value) == (0.389, 1.0)
    loo = line(rows, "leave_one_out")
    assert (round(loo.before.value or 0, 3), loo.after.value) == (0.667, 1.0)
    assert (run.findings["headline"], run.findings["design"], run.findings["raters"]) == (
        "whole",
        "paired",
        "same raters",
    )
    moved = run.findings["flips"]["whole"]
    assert (moved["changed"], moved["n"]) == (2, 12)
    assert sorted(moved["directions"]) == [[D, N, 2]]
    shares = {label: (p, q) for label, p, q in run.findings["distribution"]["labels"]}
    assert shares[D][1] == pytest.approx(2 / 6), "positives 2 of 6"
    assert run.findings["distribution"]["collapsed"] is False
    assert run.findings["hint"]["verdict"] in ("not_decided", "go_on")


@pytest.mark.django_db
def test_ac1b_two_of_eight_labels_change() -> None:
    """The defect-vs-length plot: one person's labels before and after the limit, over eight lengths."""
    lengths = {"n1": 0.12, "n2": 0.18, "n3": 0.21, "n4": 0.24, "n5": 0.29, "n6": 0.35, "n7": 0.44, "n8": 0.50}
    told = dict(zip(lengths, (N, N, D, D, N, D, D, D), strict=True))
    world = World.build(items=8)
    before = world.open_batch("Eight lengths", quotas={"generalist": 1})
    world.say(before, "gene", told)
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    world.say(after, "gene", {item: D if mm > 0.3 else N for item, mm in lengths.items()})
    run = measure_gain(after)
    moved = run.findings["flips"]["whole"]
    assert (moved["changed"], moved["n"], moved["directions"]) == (2, 8, [[D, N, 2]])
    alpha = line(rows_of(run), "krippendorff_alpha")
    assert alpha.change.value is None
    assert "two raters" in (alpha.change.undefined or "") or "one rater" in (alpha.change.undefined or "").lower()
    assert run.findings["hint"]["verdict"] == "not_decided"


def simulated(world: World, batch: Batch, names: list[str], seed: int, accuracy: float = 0.8) -> None:
    """Raters who each slip independently: whoever labels again under the same words does no better."""
    items = {f"n{number}": D if number % 3 == 0 else N for number in range(1, len(world.items) + 1)}
    for name in names:
        rng = random.Random(f"{seed}:{name}:{batch.name}")
        flip = {D: N, N: D}
        world.say(batch, name, {i: v if rng.random() < accuracy else flip[v] for i, v in items.items()})


@pytest.mark.django_db
@pytest.mark.parametrize("seed", [1, 2])
def test_relabeling_under_an_unchanged_definition_claims_no_gain(seed: int) -> None:
    """The negative control, and its own control: the disputed items alone do show a gain, with nothing changed."""
    world = World.build(items=60, slug=f"control-{seed}")
    names = ["gene", "gina", *add_raters(world, 1)]
    before = world.open_batch("Before", quotas={"generalist": 3}, read=True)
    read_by_all(world, before)
    simulated(world, before, names, seed)
    compare_batch(batch=before)
    version = publish_next(world, world.version)
    after = relabel(world, before, version, Sizes(whole=True))
    simulated(world, after, names, seed)
    run = measure_gain(after)
    rows = rows_of(run)
    alpha = line(rows, "krippendorff_alpha")
    assert alpha.change.low is not None
    assert alpha.change.low <= 0 <= (alpha.change.high or 0), "no gain is claimed"
    assert run.findings["hint"]["verdict"] in ("stop", "not_decided")
    disputed = line(rows, "percent_agreement", "affected")
    assert (disputed.change.low or 0) > 0, "chosen because they disagreed: rises by itself"
    assert run.findings["headline"] == "whole", "and never feeds the hint"


@pytest.mark.django_db
def test_merging_is_told_apart_from_relabeling() -> None:
    """Two labels that people mixed up become one: that step alone lifts agreement, and nobody labeled anything for it."""
    labels = (("scratch", "Scratch", "1"), ("mark", "Mark", "2"), ("clean", "Clean", "0"))
    world = World.build(items=8)
    version = publish_next(world, world.version, labels=labels)
    before = world.open_batch("Three labels", version=version)
    one = dict.fromkeys(("n1", "n2", "n3", "n4"), "scratch") | dict.fromkeys(("n5", "n6", "n7", "n8"), "clean")
    two = one | {"n1": "mark", "n2": "mark", "n8": "scratch"}
    world.say(before, "gene", one)
    world.say(before, "gina", two)
    merged = (("scratch", "Scratch", "1"), ("clean", "Clean", "0"))
    after = relabel(
        world, before, publish_next(world, version, labels=merged, mappings=[("merge", "mark", "scratch")]),
        Sizes(whole=True),
    )  # fmt: skip
    for who in ("gene", "gina"):
        world.say(after, who, one)
    run = measure_gain(after)
    rows = rows_of(run)
    merging = line(rows, "percent_agreement", part="merging")
    relabeling = line(rows, "percent_agreement")
    assert (merging.before.value, merging.after.value) == (5 / 8, 7 / 8)
    assert (relabeling.before.value, relabeling.after.value) == (7 / 8, 1.0)
    assert run.findings["merged"] == [["mark", "scratch", "merge"]]
    moved = run.findings["flips"]["whole"]
    assert (moved["changed"], moved["directions"]) == (1, [["scratch", "clean", 1]]), "a mapped label did not flip"


@pytest.mark.django_db
def test_a_half_done_batch_is_compared_on_request_only_and_looks_are_counted() -> None:
    world = World.build(items=12)
    world.project.settings = {"planned_looks": 3}
    world.project.save()
    before = world.open_batch("Before")
    for who in ("gene", "gina"):
        world.say(before, who, {f"n{number}": D for number in range(1, 13)})
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    world.say(after, "gene", {f"n{number}": D for number in range(1, 13)})
    seat = world.seat("olga")
    run, job, state = comparison_for(by=seat, child=after)
    assert (run, job) == (None, None)
    assert (state.done, state.items, len(state.never_came), state.complete) == (12, 12, 1, False), "gina may still come"
    ranked = list(Assignment.objects.filter(batch=after, reserved_for=world.member("gina")).order_by("rank"))
    first = [place.batch_item.item.external_id for place in ranked[:4]]
    _answer(world, after, "gina", dict.fromkeys(first, N), most=4)
    run, job, state = comparison_for(by=seat, child=after)
    assert (run, job, state.done) == (None, None, 4)
    look_now(by=seat, child=after)
    run_jobs()
    run = newest_comparison(after)
    assert run is not None
    assert (run.findings["look"], run.findings["complete"], run.findings["done"]) == (1, False, 4)
    assert line(rows_of(run), "percent_agreement").after.n_items == 4
    _answer(world, after, "gina", dict.fromkeys([p.batch_item.item.external_id for p in ranked[4:6]], N), most=2)
    look_now(by=seat, child=after)
    run_jobs()
    _answer(world, after, "gina", dict.fromkeys([p.batch_item.item.external_id for p in ranked[6:7]], N), most=1)
    with pytest.raises(Refusal) as refused:
        look_now(by=seat, child=after)
    assert refused.value.code == "no_look_left"
    world.say(after, "gina", {f"n{number}": N for number in range(1, 13)})
    run, job, state = comparison_for(by=seat, child=after)
    assert state.complete
    assert job is not None
    run_jobs()
    done, job, _ = comparison_for(by=seat, child=after)
    assert done is not None
    assert (done.findings["complete"], done.findings["hint"]["peeked"], job) == (True, True, None)


def _answer(world: World, batch: Batch, who: str, answers: dict[str, str], *, most: int) -> None:
    from uuid import uuid4

    from labeling.claiming import claim_next
    from labeling.submission import submit_annotation

    for _ in range(most):
        place = claim_next(by=world.people[who], batch=batch, slots=1).places[0]
        submit_annotation(
            by=world.people[who], batch=batch, assignment=place.uuid, token=place.claim_token or "",
            answer=Answer(value=answers[place.batch_item.item.external_id]), idempotency_key=uuid4().hex,
        )  # fmt: skip


@pytest.mark.django_db
def test_a_cohort_that_never_comes_holds_nothing_up() -> None:
    world = World.build(items=6)
    before = world.open_batch("Before", quotas={"generalist": 2, "expert": 1})
    for who in ("gene", "gina", "ella"):
        world.say(before, who, {f"n{number}": D if number < 4 else N for number in range(1, 7)})
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    for who in ("gene", "gina"):
        world.say(after, who, {f"n{number}": D if number < 3 else N for number in range(1, 7)})
    assert not progress_of(after).complete, "ella may still come"
    dispatch.close_batch(by=world.seat("olga"), batch=after)
    run_jobs()
    run = measure_gain(after)
    assert run.findings["complete"] is True
    assert run.findings["cohorts_never_came"] == ["expert"]
    assert run.findings["raters"] == "common raters"
    assert any("2 raters of both tables" in note for note in line(rows_of(run), "krippendorff_alpha").change.notes)
    cohort = line(rows_of(run), "krippendorff_alpha", cohort="expert")
    assert cohort.after.value is None
    assert cohort.after.undefined


@pytest.mark.django_db
def test_other_raters_cannot_separate_the_definition_from_the_people() -> None:
    world = World.build(items=6)
    before = world.open_batch("Before")
    for who in ("gene", "gina"):
        world.say(before, who, {f"n{number}": D if number < 4 else N for number in range(1, 7)})
    Membership.objects.filter(project=world.project, user__username__in=("gene", "gina")).update(active=False)
    version = publish_next(world, world.version)
    with pytest.raises(Refusal) as refused:
        relabel(world, before, version, Sizes(whole=True))
    assert refused.value.code == "nobody"
    names = add_raters(world, 2)
    after = relabel(world, before, version, Sizes(whole=True), same_raters=False)
    read_by_all(world, after)
    for who in names:
        world.say(after, who, {f"n{number}": D if number < 4 else N for number in range(1, 7)})
    run = measure_gain(after)
    alpha = line(rows_of(run), "krippendorff_alpha")
    assert run.findings["raters"] == "different raters"
    assert alpha.change.value is None
    assert "cannot separate the definition from the people" in (alpha.change.undefined or "")
    assert run.findings["hint"]["verdict"] == "not_decided"


@pytest.mark.django_db
def test_empty_one_category_no_gold_and_gold_by_origin() -> None:
    world = World.build(items=4)
    before = world.open_batch("Before")
    for who in ("gene", "gina"):
        world.say(before, who, dict.fromkeys(("n1", "n2", "n3", "n4"), D))
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    empty = measure_gain(after)
    assert (empty.findings["headline"], empty.findings["hint"], rows_of(empty)) == ("", None, [])
    for who in ("gene", "gina"):
        world.say(after, who, dict.fromkeys(("n1", "n2", "n3", "n4"), D))
    run = measure_gain(after)
    assert run.pk != empty.pk
    alpha = line(rows_of(run), "krippendorff_alpha")
    assert alpha.before.value is None, "one category only: beyond chance is undefined"
    assert alpha.change.undefined
    assert line(rows_of(run), "percent_agreement").change.value == 0.0
    assert not [row for row in rows_of(run) if row.coefficient == "against_gold"]
    for item in world.items:
        Gold.objects.create(item=item, value=N if item.external_id == "n1" else D, origin="external", at=timezone.now())
    again = measure_gain(after)
    gold = line(rows_of(again), "against_gold", origin="external")
    assert (gold.before.value, gold.after.value, gold.change.value) == (0.75, 0.75, 0.0)
    assert measure_gain(after).pk == again.pk, "the same question over the same labels is the same row"


@pytest.mark.django_db
def test_rulings_are_a_reference_on_the_audit_sample_only() -> None:
    world = World.build(items=4)
    before = world.open_batch("Before")
    for who in ("gene", "gina"):
        world.say(before, who, {"n1": D, "n2": D, "n3": N, "n4": N})
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    for who in ("gene", "gina"):
        world.say(after, who, {"n1": D, "n2": D, "n3": N, "n4": N})
    before.batch_items.update(audit=False)
    after.batch_items.update(audit=False)
    for version in (before.guideline_version, after.guideline_version):
        for item in world.items:
            Gold.objects.create(item=item, value=N, origin="adjudicated", guideline_version=version, at=timezone.now())
    run = measure_gain(after)
    gold = line(rows_of(run), "against_gold", origin="adjudicated")
    assert gold.before.value is None
    assert gold.before.undefined
    for batch in (before, after):
        batch.batch_items.filter(item__external_id__in=("n1", "n3")).update(audit=True)
    Gold.objects.create(item=world.items[3], value=N, origin="external", at=timezone.now())
    gold = line(rows_of(measure_gain(after)), "against_gold", origin="adjudicated")
    assert (gold.before.value, gold.before.n_items, gold.after.value) == (0.5, 2, 0.5)


@pytest.mark.django_db
def test_history_and_both_arms_are_stored(django_assert_max_num_queries: Any) -> None:
    _, before, after = ac1()
    run = measure_gain(after)
    assert [point["version"] for point in run.findings["history"]] == [1, 2]
    assert [round(point["figures"][""]["value"], 3) for point in run.findings["history"]] == [0.389, 1.0]
    arms = AgreementRun.objects.filter(kind="comparison").order_by("pk")
    assert [arm.batch_id for arm in arms] == [before.pk, after.pk]
    assert {row.compared_run_id for row in run.estimates.filter(compared_run__isnull=False)} == {arms[0].pk}
    with django_assert_max_num_queries(2):
        assert rows_of(run)


@pytest.mark.django_db
def test_the_random_sample_and_fresh_items_lead_where_not_everything_is_labeled_again() -> None:
    world = World.build(items=30)
    before = world.open_batch(
        "Before", selection=Selection(external_ids=tuple(f"n{n}" for n in range(1, 21)), order="as_listed")
    )
    for who in ("gene", "gina"):
        world.say(before, who, {f"n{n}": D if (n + (who == "gina") * (n % 4 == 0)) % 2 else N for n in range(1, 21)})
    compare_batch(batch=before)
    version = publish_next(world, world.version)
    fresh = relabel(world, before, version, Sizes(affected=3, control=5, fresh=6))
    for who in ("gene", "gina"):
        world.say(fresh, who, {f"n{n}": D if n % 2 else N for n in range(1, 31)})
    run = measure_gain(fresh)
    assert (run.findings["headline"], run.findings["design"], run.findings["whole"]) == ("fresh", "fresh", False)
    assert set(run.findings["samples"]) == {"fresh", "affected", "control"}
    assert line(rows_of(run), "krippendorff_alpha", "fresh").change.value is not None
    drawn = relabel(world, before, version, Sizes(normal=8), name="Drawn")
    for who in ("gene", "gina"):
        world.say(drawn, who, {f"n{n}": D if n % 2 else N for n in range(1, 31)})
    run = measure_gain(drawn)
    assert (run.findings["headline"], run.findings["design"]) == ("random", "paired")
