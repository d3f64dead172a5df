"""A withdrawn item counts in no figure any more, and every page says what was left out and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from consistency.adjudication import rule_on
from consistency.comparing import compare_batch, sweep_uncompared
from consistency.gains import measure_gain
from consistency.holding import hold_disagreement
from consistency.measuring import measure_now
from consistency.models import Disagreement
from consistency.queries import ratings
from consistency.queries.figures import figures_of
from consistency.queries.input_report import input_report
from consistency.queries.ratings import read_ratings
from consistency.relabeling import Sizes
from labeling.models import Annotation, Batch
from labeling.refusals import Refusal
from labeling.selection import Selection
from labeling.withdrawing import withdraw_item
from tests.bench.helpers import no_audit, ruling
from tests.consistency.test_figure_pages import pages
from tests.loop.scenes import publish_next, read_by_all, relabel
from tests.worlds import World

pytestmark = pytest.mark.django_db
NAMES = [f"n{i}" for i in range(1, 6)]


def labeled(world: World) -> Batch:
    """Of five items both say defect, but of the fifth, and gene finds too little in the fourth."""
    batch = world.open_batch(quotas={"generalist": 2})
    world.say(batch, "gene", {**dict.fromkeys(NAMES, "defect"), "n4": None})
    world.say(batch, "gina", {**dict.fromkeys(NAMES, "defect"), "n5": "no_defect"})
    return batch


def withdraw(world: World, name: str) -> None:
    item = next(one for one in world.items if one.external_id == name)
    withdraw_item(by=world.seat("olga"), item=item, reason="The person took back their consent.")


def test_figures_leave_it_out_and_say_so(world: World) -> None:
    batch = labeled(world)
    before = figures_of(measure_now(batch)[0])
    assert before.get("percent_agreement", cohort="generalist").value == pytest.approx(3 / 4)
    withdraw(world, "n5")
    agreement, hlp = (figures_of(run) for run in measure_now(batch))
    assert agreement.run.pk != before.run.pk, "the digest tells"
    figure = agreement.get("percent_agreement", cohort="generalist")
    assert (figure.value, figure.n_items) == (1.0, 4)
    assert hlp.get("pairwise", cohort="generalist").value == 1.0
    for run in (agreement.run, hlp.run):
        assert run.findings["left_out"]["items_withdrawn"] == 1
        assert run.findings["left_out"]["ratings_withdrawn"] == 2
    assert Annotation.objects.count() == 10, "the ledger keeps them"
    texts = pages(world, batch)
    assert "Labels of withdrawn items 2 1 item taken out of use; the ledger keeps what was said" in texts["figures"]
    assert "2 labels of withdrawn items left out" in texts["hlp"]
    assert "2 labels are left out: 1 item taken out of use" in texts["batch"]


def test_not_enough_information_about_it_does_not_count_either(world: World) -> None:
    batch = labeled(world)
    assert input_report(batch).affected == 1
    withdraw(world, "n4")
    found = figures_of(measure_now(batch)[0])
    assert found.get("cannot_label_rate", cohort="generalist").value == 0.0
    report = input_report(batch)
    assert (report.items, report.affected, report.reasons) == (4, 0, [])


def test_control_without_the_guard_it_would_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = labeled(world)
    withdraw(world, "n5")
    assert read_ratings([batch]).table.n_ratings == 7
    nothing = {"items": 0, "ratings": 0}
    monkeypatch.setattr(ratings, "_without_withdrawn", lambda raw, item, _: (raw, item, nothing))
    assert read_ratings([batch]).table.n_ratings == 9


def test_nobody_is_asked_to_decide_about_it(world: World, django_capture_on_commit_callbacks: Any) -> None:
    no_audit(world)
    batch = labeled(world)
    compare_batch(batch=batch)
    case = Disagreement.objects.get(batch_item__batch=batch, batch_item__item__external_id="n5")
    held = hold_disagreement(by=world.seat("sam"), disagreement=case)
    with django_capture_on_commit_callbacks(execute=True):
        withdraw(world, "n5")
    case.refresh_from_db()
    assert (case.status, case.holder) == ("dismissed", None)
    with pytest.raises(Refusal):
        rule_on(
            by=world.seat("sam"), disagreement=case, token=held.hold_token or "", seen=case.input_sha256,
            ruling=ruling(),
        )  # fmt: skip
    assert compare_batch(batch=batch) == {}, "and comparing again does not bring it back"
    # Withdrawn before anyone looked: no case is made. What a lost signal missed is found by the sweep.
    other = world.open_batch("Second look", selection=Selection(order="as_listed"))
    world.say(other, "gene", {"n1": "defect", "n2": "defect"})
    world.say(other, "gina", {"n1": "no_defect", "n2": "no_defect"})
    withdraw(world, "n1")
    compare_batch(batch=other)
    assert set(Disagreement.objects.filter(batch=other).values_list("batch_item__item__external_id", flat=True)) == {
        "n2"
    }
    withdraw(world, "n2")
    sweep_uncompared(timezone.now() + timedelta(minutes=3))
    assert set(Disagreement.objects.filter(batch=other).values_list("status", flat=True)) == {"dismissed"}


def test_before_and_after_compare_what_both_still_have(world: World, client: Client) -> None:
    batch = labeled(world)
    version = publish_next(world, world.version)
    after = relabel(world, batch, version, Sizes(whole=True))
    read_by_all(world, after)
    for who in ("gene", "gina"):
        world.say(after, who, dict.fromkeys(NAMES, "defect"))
    withdraw(world, "n5")
    run = measure_gain(after)
    assert run.findings["withdrawn"] == [1, 1]
    client.force_login(world.people["olga"])
    answer: Any = client.get(f"/projects/phones/before-after/{after.uuid}/")
    assert "Withdrawn items are left out of both: 1 of the earlier batch, 1 of this one." in answer.content.decode()
