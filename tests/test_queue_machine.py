"""Any order of claims, answers, skips, undos, lapses, closes and openings keeps the queue's promises."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from labeling import dispatch, ledger, submission
from labeling.claiming import claim_next, release_place, show_place, sweep_lapsed
from labeling.models import Annotation, Assignment, Batch, Membership
from labeling.refusals import Refusal
from labeling.settling import is_settled
from labeling.submission import Answer, skip_place, submit_annotation, undo_last
from tests.worlds import CAST, World, make_user, run_jobs

RATERS = ("gene", "gina", "rita", "rolf")
OVERLAP, MOST = 2, 3
people = st.sampled_from(RATERS)
choices = st.integers(0, 40)
values = st.sampled_from(["defect", "no_defect"])


class Queue(RuleBasedStateMachine):
    """The real acts on a real database, beside a ledger kept in plain Python."""

    world: World
    batch: Batch

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.savepoint()
        self.world = World.build(items=4, with_otto=False)
        for name in ("rita", "rolf"):
            self.world.people[name] = make_user(name)
            Membership.objects.create(
                project=self.world.project, user=self.world.people[name], role="rater", cohort="generalist"
            )
        self.batch = self.world.open_batch(quotas={"generalist": (OVERLAP, MOST)}, read=False)
        from labeling.claiming import acknowledge_version

        for name in RATERS:
            acknowledge_version(by=self.world.people[name], batch=self.batch)
        self.now = timezone.now()
        # what each rater believes to hold: {name: {place uuid: token}}
        self.believed: dict[str, dict[Any, Any]] = {name: {} for name in RATERS}
        self.acknowledged: dict[Any, list[str]] = {}

    def teardown(self) -> None:
        try:
            assert list(ledger.verify()) == []
        finally:
            transaction.savepoint_rollback(self.savepoint)

    def pick(self, choice: int) -> tuple[str, Any, Any] | None:
        """A (rater, place, token) that somebody believes to hold: many are stale, and that is the point."""
        held = [(name, uuid, token) for name in RATERS for uuid, token in self.believed[name].items()]
        return held[choice % len(held)] if held else None

    @initialize()
    def everybody_starts(self) -> None:
        for name in RATERS[:3]:
            self.claim(name)

    def refresh(self) -> None:
        self.batch = Batch.objects.select_related("project", "guideline_version").get(pk=self.batch.pk)

    @rule(name=people)
    def asks_for_more(self, name: str) -> None:
        self.claim(name)

    def claim(self, name: str) -> None:
        hand = claim_next(by=self.world.people[name], batch=self.batch, at=self.now)
        assert hand.places or hand.empty
        for place in hand.places:
            assert place.member.user == self.world.people[name]
            self.believed[name][place.uuid] = place.claim_token

    @rule(name=people, value=values, several=st.integers(1, 3))
    def answers_what_comes(self, name: str, value: str, several: int) -> None:
        """An ordinary rater: the shown item is answered and the next one comes."""
        self.claim(name)
        for _ in range(several):
            hand = claim_next(by=self.world.people[name], batch=self.batch, at=self.now)
            if hand.places:
                self.believed[name][hand.places[0].uuid] = hand.places[0].claim_token
                self._send(name, hand.places[0].uuid, hand.places[0].claim_token, value, claim=True)

    @rule(choice=choices, value=values, claim=st.booleans())
    def submit(self, choice: int, value: str, claim: bool) -> None:
        if (picked := self.pick(choice)) is None:
            return
        self._send(*picked, value, claim=claim)

    def _send(self, name: str, uuid: Any, token: Any, value: str, *, claim: bool) -> None:
        try:
            done = submit_annotation(
                by=self.world.people[name], batch=self.batch, assignment=uuid, token=token,
                answer=Answer(value=value), claim=claim, at=self.now,
            )  # fmt: skip
        except Refusal as refusal:
            assert refusal.code in ("lease_lost", "answered_otherwise")
            if refusal.code == "answered_otherwise":
                assert self.acknowledged[uuid][0] != value
            return
        if done.created:
            assert uuid not in self.acknowledged, "a place is answered once"
            self.acknowledged[uuid] = [value]
        else:
            assert self.acknowledged[uuid][0] == value

    @rule(choice=choices)
    def skip(self, choice: int) -> None:
        if (picked := self.pick(choice)) is None:
            return
        name, uuid, token = picked
        try:
            skip_place(by=self.world.people[name], batch=self.batch, assignment=uuid, token=token, at=self.now)
        except Refusal as refusal:
            assert refusal.code == "lease_lost"

    @rule(name=people, value=values)
    def undo_and_change(self, name: str, value: str) -> None:
        try:
            undone = undo_last(by=self.world.people[name], batch=self.batch, at=self.now)
        except Refusal as refusal:
            assert refusal.code in ("nothing_to_undo", "batch_closed", "too_late", "hand_full")
            return
        if undone.annotation is None:
            self.believed[name][undone.place.uuid] = undone.place.claim_token
            return
        done = submit_annotation(
            by=self.world.people[name], batch=self.batch, assignment=undone.place.uuid, token="", revises=True,
            answer=Answer(value=value), at=self.now,
        )  # fmt: skip
        if done.created:
            self.acknowledged[undone.place.uuid].append(value)

    @rule(choice=choices)
    def show(self, choice: int) -> None:
        if (picked := self.pick(choice)) is None:
            return
        name, uuid, token = picked
        try:
            show_place(by=self.world.people[name], batch=self.batch, assignment=uuid, token=token, at=self.now)
        except Refusal as refusal:
            assert refusal.code == "lease_lost"

    @rule(choice=choices)
    def release(self, choice: int) -> None:
        if (picked := self.pick(choice)) is None:
            return
        name, uuid, token = picked
        try:
            release_place(by=self.world.people[name], batch=self.batch, assignment=uuid, token=token, at=self.now)
        except Refusal as refusal:
            assert refusal.code == "lease_lost"

    @rule(minutes=st.integers(-30, 60), sweep=st.booleans())
    def time_passes(self, minutes: int, sweep: bool) -> None:
        """Or jumps back: the clock of a server is set now and then."""
        self.now += timedelta(minutes=minutes)
        if sweep:
            sweep_lapsed(self.now)

    @precondition(lambda self: self.batch.status == "open")
    @rule()
    def close(self) -> None:
        dispatch.close_batch(by=self.world.seat("olga"), batch=self.batch, at=self.now)
        run_jobs()
        self.refresh()
        assert not Assignment.objects.filter(batch=self.batch, status="open").exists()

    @precondition(lambda self: self.batch.status == "closed")
    @rule()
    def reopen(self) -> None:
        dispatch.reopen_batch(by=self.world.seat("olga"), batch=self.batch, at=self.now)
        run_jobs()
        self.refresh()

    @invariant()
    def never_more_places_than_the_overlap(self) -> None:
        alive = Assignment.objects.filter(batch=self.batch).exclude(status__in=("skipped", "void"))
        assert not alive.values("batch_item").annotate(n=Count("pk")).filter(n__gt=OVERLAP).exists()
        kept = Assignment.objects.filter(batch=self.batch).exclude(status="void")
        assert not kept.values("batch_item").annotate(n=Count("pk")).filter(n__gt=MOST).exists()

    @invariant()
    def an_open_batch_is_never_short_without_reason(self) -> None:
        if self.batch.status != "open":
            return
        counts = Assignment.objects.filter(batch=self.batch).values("batch_item").annotate(
            alive=Count("pk", filter=~Q(status__in=("skipped", "void"))), kept=Count("pk", filter=~Q(status="void"))
        )  # fmt: skip
        assert all(row["alive"] == OVERLAP or row["kept"] >= MOST for row in counts)

    @invariant()
    def nobody_has_an_item_twice(self) -> None:
        mine = Assignment.objects.filter(batch=self.batch, member__isnull=False)
        assert not mine.values("batch_item", "member").annotate(n=Count("pk")).filter(n__gt=1).exists()

    @invariant()
    def the_ledger_holds_what_was_acknowledged_and_nothing_else(self) -> None:
        recorded: dict[Any, list[str]] = {}
        rows = Annotation.objects.order_by("assignment", "revision").values_list("assignment__uuid", "value")
        for uuid, value in rows:
            recorded.setdefault(uuid, []).append(value)
        assert recorded == self.acknowledged

    @invariant()
    def settled_means_nothing_is_open_or_in_hand(self) -> None:
        for item in self.batch.batch_items.all():
            waiting = item.assignments.filter(status__in=("open", "claimed")).exists()
            assert is_settled(item.pk, "generalist") is not waiting


def _submit_without_looking(
    member: Any, batch: Any, place: Any, token: Any, clean: Any, key: str, origin: str, at: Any
) -> Any:
    """`_submit` as it would be if any token were as good as the right one."""
    if place.status not in ("claimed", "submitted"):
        raise submission.lease_lost()
    Assignment.objects.filter(pk=place.pk).update(
        status="submitted", member=member, slot=None, lease_until=None, finished_at=at
    )
    return submission.Submission(submission._write(place, batch, 1, clean, key, origin, at), created=True)


def play(examples: int) -> None:
    run_state_machine_as_test(
        Queue,
        settings=settings(
            max_examples=examples, stateful_step_count=40, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck), phases=(Phase.generate,), print_blob=False,
        ),
    )  # fmt: skip


@pytest.mark.django_db
@pytest.mark.slow
def test_the_queue_keeps_its_promises() -> None:
    assert set(RATERS[:2]) <= set(CAST)
    play(25)


@pytest.mark.django_db
@pytest.mark.slow
@pytest.mark.parametrize("guard", ["replacement", "token"])
def test_control_a_queue_without_its_guards_breaks_a_promise(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if guard == "replacement":
        monkeypatch.setattr(submission, "_replace", lambda place: None)
    else:
        monkeypatch.setattr(submission, "_submit", _submit_without_looking)
    with pytest.raises((AssertionError, IntegrityError, FlakyFailure)):
        play(15)
