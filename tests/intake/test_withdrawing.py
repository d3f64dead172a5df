"""A withdrawn item: nobody labels it any more, what was said of it stays."""

from __future__ import annotations

import pytest

from labeling import ledger, submission
from labeling.claiming import claim_next
from labeling.dispatch import close_batch, reopen_batch
from labeling.models import Annotation, Assignment, Event, Item
from labeling.refusals import BadValue, NotAllowed, Refusal
from labeling.submission import Answer
from labeling.withdrawing import withdraw_item
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


def test_places_are_voided_answers_stay_and_the_ledger_verifies(world: World) -> None:
    batch = world.open_batch()
    world.say(batch, "gene", {"n1": "defect"})
    held = claim_next(by=world.people["gina"], batch=batch, slots=1).places[0]
    assert held.batch_item.item.external_id == "n1"
    withdraw_item(by=world.seat("olga"), item=world.items[0], reason="The person took back their consent.")
    places = Assignment.objects.filter(batch_item__item=world.items[0])
    assert set(places.values_list("status", flat=True)) == {"submitted", "void"}
    assert Annotation.objects.filter(assignment__in=places).count() == 1
    with pytest.raises(Refusal) as lost:
        submission.submit_annotation(
            by=world.people["gina"], batch=batch, assignment=held.uuid, token=held.claim_token, answer=Answer("defect")
        )
    assert lost.value.code == "lease_lost"
    assert world.say(batch, "gina", {f"n{i}": "defect" for i in range(1, 6)}) == 4
    assert list(ledger.verify()) == []


def test_once_for_all_with_a_reason_by_the_owner(world: World) -> None:
    item = world.items[0]
    with pytest.raises(NotAllowed):
        withdraw_item(by=world.seat("mel"), item=item, reason="Blurred.")
    with pytest.raises(BadValue, match="Say why"):
        withdraw_item(by=world.seat("olga"), item=item, reason="  ")
    first = withdraw_item(by=world.seat("olga"), item=item, reason="Blurred.").withdrawn_at
    assert withdraw_item(by=world.seat("olga"), item=item, reason="Again.").withdrawn_at == first
    assert Event.objects.filter(verb="withdrawn").count() == 1


def test_neither_a_skip_nor_a_reopened_batch_brings_it_back(world: World) -> None:
    batch = world.open_batch()
    held = claim_next(by=world.people["gina"], batch=batch, slots=1).places[0]
    # As when the skip waited for the withdrawing's lock: the place is still claimed in its eyes.
    Item.objects.filter(pk=world.items[0].pk).update(withdrawn_at="2026-01-01T00:00Z")
    submission.skip_place(by=world.people["gina"], batch=batch, assignment=held.uuid, token=held.claim_token)
    assert not Assignment.objects.filter(batch_item__item=world.items[0], origin="replacement").exists()
    close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    batch.refresh_from_db()
    reopen_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    assert not Assignment.objects.filter(batch_item__item=world.items[0], status="open").exists()
    assert Assignment.objects.filter(batch_item__item=world.items[1], status="open").count() == 2
