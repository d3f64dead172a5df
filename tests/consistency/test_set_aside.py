"""Setting a rater aside: figures and places follow, the ledger does not; lifting brings everything back."""

from __future__ import annotations

import pytest

from consistency.measuring import measure_now
from consistency.queries.figures import figures_of
from consistency.queries.ratings import read_ratings
from labeling.exclusions import aside_of, lift, set_aside
from labeling.ledger import verify
from labeling.models import Annotation, Assignment, Event, Exclusion
from labeling.queries import annotations
from labeling.refusals import BadValue, NotAllowed, Refusal
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


def labeled(world: World, **extra):
    batch = world.open_batch(quotas={"generalist": 2}, **extra)
    world.say(batch, "gene", {f"n{i}": "defect" for i in range(1, 6)})
    world.say(batch, "gina", {f"n{i}": "defect" if i < 4 else "no_defect" for i in range(1, 6)})
    return batch


def places(batch) -> dict[str, int]:
    rows = Assignment.objects.filter(batch=batch).values_list("status", flat=True)
    return {status: list(rows).count(status) for status in set(rows)}


def agreement(batch):
    return figures_of(measure_now(batch)[0])


def test_figures_leave_out_who_is_set_aside_and_say_so(world: World) -> None:
    batch = labeled(world)
    before = agreement(batch)
    assert before.get("percent_agreement", cohort="generalist").value == pytest.approx(3 / 5)
    ledger = Annotation.objects.count()
    found = set_aside(by=world.seat("olga"), member=world.member("gina"), reason="Answered without looking.")
    after = agreement(batch)
    assert after.run.pk != before.run.pk
    figure = after.get("percent_agreement", cohort="generalist")
    assert figure.value is None
    assert "only one rater" in (figure.undefined or "")
    assert after.run.findings["left_out"]["raters_set_aside"] == 1
    assert after.run.findings["left_out"]["ratings_set_aside"] == 5
    assert Annotation.objects.count() == ledger
    lift(by=world.seat("olga"), exclusion=found)
    again = agreement(batch)
    assert again.get("percent_agreement", cohort="generalist").value == pytest.approx(3 / 5)
    assert again.run.findings["left_out"]["raters_set_aside"] == 0


def test_without_the_condition_the_figures_would_not_change(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: the condition is what leaves the rater out."""
    batch = labeled(world)
    set_aside(by=world.seat("olga"), member=world.member("gina"), reason="Answered without looking.")
    assert read_ratings([batch]).table.n_raters == 1
    nobody = Exclusion.objects.none()
    monkeypatch.setattr(annotations, "is_set_aside", lambda: annotations.Q(pk__in=nobody.values("pk")))
    assert read_ratings([batch]).table.n_raters == 2


def test_places_are_opened_for_someone_else_and_given_up_again(world: World) -> None:
    batch = labeled(world)
    assert places(batch) == {"submitted": 10}
    found = set_aside(by=world.seat("olga"), member=world.member("gina"), reason="Left early.", reopen_places=True)
    run_jobs()
    assert places(batch) == {"submitted": 10, "open": 5}
    new = Assignment.objects.filter(batch=batch, status="open")
    assert set(new.values_list("origin", "ordinal")) == {("replacement", 3)}
    assert list(verify()) == []
    lift(by=world.seat("olga"), exclusion=found)
    run_jobs()
    assert places(batch) == {"submitted": 10, "void": 5}
    assert list(verify()) == []


def test_opening_places_twice_adds_nothing(world: World) -> None:
    from labeling import jobs

    batch = labeled(world)
    set_aside(by=world.seat("olga"), member=world.member("gina"), reason="Left early.", reopen_places=True)
    run_jobs()
    jobs.enqueue(
        kind="reopen_places", by=None, project=world.project, dedup_key="again",
        parameters={"batch": batch.pk, "member": world.member("gina").pk},
    )  # fmt: skip
    run_jobs()
    assert places(batch) == {"submitted": 10, "open": 5}


def test_what_someone_has_in_hand_stays_theirs_when_lifted(world: World) -> None:
    from labeling.claiming import claim_next
    from labeling.models import Membership
    from tests.worlds import make_user

    batch = labeled(world)
    found = set_aside(by=world.seat("olga"), member=world.member("gina"), reason="Left early.", reopen_places=True)
    run_jobs()
    world.people["gus"] = make_user("gus")
    Membership.objects.create(project=world.project, user=world.people["gus"], role="rater", cohort="generalist")
    from labeling.claiming import acknowledge_version

    acknowledge_version(by=world.people["gus"], batch=batch)
    assert claim_next(by=world.people["gus"], batch=batch, slots=1).places
    lift(by=world.seat("olga"), exclusion=found)
    run_jobs()
    assert places(batch) == {"submitted": 10, "claimed": 1, "void": 4}
    assert list(verify()) == []


def test_max_raters_holds(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": (2, 2)})
    world.say(batch, "gene", {f"n{i}": "defect" for i in range(1, 6)})
    world.say(batch, "gina", {f"n{i}": "defect" for i in range(1, 6)})
    set_aside(by=world.seat("olga"), member=world.member("gina"), reason="Left early.", reopen_places=True)
    run_jobs()
    assert places(batch) == {"submitted": 10}


def test_it_needs_a_reason_the_right_and_happens_once(world: World) -> None:
    labeled(world)
    gina = world.member("gina")
    with pytest.raises(BadValue):
        set_aside(by=world.seat("olga"), member=gina, reason="  ")
    with pytest.raises(NotAllowed):
        set_aside(by=world.seat("sam"), member=gina, reason="No.")
    found = set_aside(by=world.seat("olga"), member=gina, reason="Left early.")
    with pytest.raises(Refusal) as refused:
        set_aside(by=world.seat("olga"), member=gina, reason="Again.")
    assert refused.value.code == "aside_already"
    assert aside_of(gina) == found
    lift(by=world.seat("olga"), exclusion=found)
    lift(by=world.seat("olga"), exclusion=found)
    assert aside_of(gina) is None
    assert Event.objects.filter(verb="lifted").count() == 1
    set_aside(by=world.seat("olga"), member=gina, reason="Once more.")


def test_resolutions_are_written_again(world: World) -> None:
    from consistency.models import Disagreement, Resolution

    batch = labeled(world)
    run_jobs()
    from consistency.comparing import compare_batch

    compare_batch(batch=batch)
    assert Disagreement.objects.filter(batch=batch, status="open").exclude(kind="audit").count() == 2
    set_aside(by=world.seat("olga"), member=world.member("gina"), reason="Left early.")
    run_jobs()
    assert Disagreement.objects.filter(batch=batch, status="open").exclude(kind="audit").count() == 0
    newest = Resolution.objects.filter(batch_item__batch=batch).order_by("batch_item", "-revision")
    assert {r.method for r in newest.filter(revision__gt=0)} >= {"single"}
