"""`verify_ledger`: silent on a true ledger, and each kind of damage is found and named."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling import dispatch, guidelines, ledger
from labeling.claiming import acknowledge_version, claim_next, release_place, show_place
from labeling.hashing import canonical_json, sha256_json
from labeling.models import (
    Annotation,
    Assignment,
    Batch,
    BatchItem,
    Event,
    GuidelineVersion,
    Item,
    LabelDefinition,
    LabelExample,
)
from labeling.people import change_member
from labeling.submission import Answer, skip_place, submit_annotation, undo_last
from tests.guidelines.test_editing import draft_in
from tests.guidelines.test_publishing import complete
from tests.sealing import seals_lifted
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


def answer(world: World, name: str, batch: Batch, place: Assignment, value: str = "defect", **more):
    return submit_annotation(
        by=world.people[name], batch=batch, assignment=place.uuid, token=place.claim_token,
        answer=Answer(value=value, **more),
    )  # fmt: skip


@pytest.fixture
def lived(world: World) -> World:
    """A world in which everything happened once: answers, a revision, skips, an undo, leavers, a close, a new version."""
    world.version = guidelines.publish_version(by=world.seat("sam"), version=complete(world, draft_in(world)))
    batch = world.open_batch(quotas={"generalist": (2, 3), "expert": 1}, version=world.version)
    hand = claim_next(by=world.people["gene"], batch=batch).places
    answer(world, "gene", batch, hand[0])
    submit_annotation(
        by=world.people["gene"], batch=batch, assignment=hand[0].uuid, token=hand[0].claim_token,
        answer=Answer(value="no_defect", borderline=True, second_value="defect"), revises=True,
    )  # fmt: skip
    skip_place(by=world.people["gene"], batch=batch, assignment=hand[1].uuid, token=hand[1].claim_token)
    claim_next(by=world.people["gene"], batch=batch)
    undo_last(by=world.people["gene"], batch=batch)  # the hand is full: the place furthest ahead goes back
    skip_place(by=world.people["gene"], batch=batch, assignment=hand[2].uuid, token=hand[2].claim_token)
    gina = claim_next(by=world.people["gina"], batch=batch).places
    show_place(by=world.people["gina"], batch=batch, assignment=gina[0].uuid, token=gina[0].claim_token)
    answer(world, "gina", batch, gina[0], "no_defect", comment="a reflection")
    release_place(by=world.people["gina"], batch=batch, assignment=gina[1].uuid, token=gina[1].claim_token)
    ella = claim_next(by=world.people["ella"], batch=batch).places[0]
    submit_annotation(
        by=world.people["ella"], batch=batch, assignment=ella.uuid, token=ella.claim_token,
        answer=Answer(outcome="cannot_label", reason="blurred"),
    )  # fmt: skip
    member = world.member("ella")
    change_member(
        by=world.seat("olga"), member=member, role=member.role, cohort=member.cohort, daily_cap=None,
        cost_per_label=None, active=False,
    )  # fmt: skip
    dispatch.close_batch(by=world.seat("olga"), batch=Batch.objects.get(pk=batch.pk))
    run_jobs()
    dispatch.reopen_batch(by=world.seat("olga"), batch=Batch.objects.select_related("project").get(pk=batch.pk))
    run_jobs()
    draft_in(world)
    return world


def found() -> list[str]:
    return [str(problem) for problem in ledger.verify()]


def test_a_ledger_that_lived_is_as_it_was_written(lived: World) -> None:
    assert {"skipped", "voided", "revised", "released", "reopened"} <= set(Event.objects.values_list("verb", flat=True))
    assert found() == []
    out = StringIO()
    call_command("verify_ledger", stdout=out)
    assert out.getvalue().startswith("The ledger is as it was written. Checked: seals, guidelines")


def _place(status: str) -> Assignment:
    return Assignment.objects.filter(status=status).order_by("pk")[0]


def _change_definition(world: World) -> None:
    LabelDefinition.objects.filter(version=world.version, key="defect").update(definition="Anything goes.")


def _change_example(world: World) -> None:
    LabelExample.objects.filter(definition__version=world.version).update(note="not this one")


def _add_label(world: World) -> None:
    LabelDefinition.objects.create(version=world.version, key="pit", name="Pit")


def _change_payload(world: World) -> None:
    Item.objects.filter(pk=world.items[0].pk).update(payload={"text": "something else"})


def _change_value(world: World) -> None:
    Annotation.objects.filter(revision=1, outcome="labeled").update(value="no_defect")


def _change_mark(world: World) -> None:
    Annotation.objects.filter(revision=2).update(borderline=False, second_value=None)


def _lose_first_revision(world: World) -> None:
    Annotation.objects.filter(assignment__in=Annotation.objects.filter(revision=2).values("assignment")).filter(
        revision=1
    ).delete()


def _skip_a_revision(world: World) -> None:
    Annotation.objects.filter(revision=2).update(revision=3)


def _lose_an_answer(world: World) -> None:
    Annotation.objects.filter(comment="a reflection").delete()


def _take_back_a_submission(world: World) -> None:
    Assignment.objects.filter(annotations__comment="a reflection").update(
        status="open", member=None, claim_token=None, finished_at=None
    )


def _add_a_place(world: World) -> None:
    item = BatchItem.objects.order_by("rank")[0]
    Assignment.objects.create(
        batch_item=item, batch=item.batch, cohort="generalist", ordinal=40, rank=item.rank, origin="planned"
    )


def _add_a_cohort(world: World) -> None:
    item = BatchItem.objects.order_by("rank")[0]
    Assignment.objects.create(
        batch_item=item, batch=item.batch, cohort="target_user", ordinal=1, rank=item.rank, origin="planned"
    )


def _void_an_answer(world: World) -> None:
    Assignment.objects.filter(pk=_place("submitted").pk).update(
        status="void", member=None, claim_token=None, finished_at=None
    )


def _close_the_batch(world: World) -> None:
    Batch.objects.update(status="closed")


def _lose_events(world: World) -> None:
    Event.objects.filter(verb__in=("submitted", "claimed")).delete()


def _unpublish(world: World) -> None:
    Event.objects.filter(verb="published").delete()


DAMAGE: list[tuple[str, Callable[[World], None], str, str]] = [
    ("a definition rewritten", _change_definition, "guidelines", "phones v2: its content is not what was published"),
    ("an example rewritten", _change_example, "guidelines", "phones v2"),
    ("a label added", _add_label, "guidelines", "phones v2"),
    ("a payload changed", _change_payload, "items", "its payload is not what was imported"),
    ("a value changed", _change_value, "annotations", "its answer is not what was recorded"),
    ("a borderline mark taken away", _change_mark, "annotations", "its answer is not what was recorded"),
    ("the first revision lost", _lose_first_revision, "revisions", "1 revisions numbered 2 to 2: one is missing"),
    ("a revision number skipped", _skip_a_revision, "revisions", "2 revisions numbered 1 to 3: one is missing"),
    ("an answer lost", _lose_an_answer, "answers", "submitted, and its answer is missing"),
    ("a submission taken back", _take_back_a_submission, "answers", "has an answer, and is open"),
    ("a place too many", _add_a_place, "quotas", "3 places, and its overlap is 2"),
    ("a cohort nobody asked for", _add_a_cohort, "quotas", "target_user: 1 places, and the batch asks nobody"),
    ("an answer voided", _void_an_answer, "statuses", "void, and its last Event says “"),
    ("a batch closed by hand", _close_the_batch, "statuses", "closed, and its last Event says “reopened”"),
    ("events lost", _lose_events, "statuses", "no Event says how it came to that"),
    ("a publication without its Event", _unpublish, "statuses", "definition"),
]


@pytest.mark.parametrize(("damage", "check", "words"), [case[1:] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_planted_damage_is_found(lived: World, damage, check: str, words: str) -> None:
    assert found() == []
    with seals_lifted():
        damage(lived)
    problems = found()
    assert any(problem.startswith(f"{check}: ") and words in problem for problem in problems), problems
    with pytest.raises(CommandError) as failed:
        call_command("verify_ledger", stdout=StringIO())
    assert failed.value.returncode == 1


def test_a_lifted_seal_is_found(lived: World) -> None:
    with seals_lifted():
        assert "seals: seal_labeling_annotation_update: not in the database; run `manage.py migrate`" in found()


def test_the_list_is_lines_or_json_and_ends(lived: World) -> None:
    with seals_lifted():
        Item.objects.update(payload={"text": "x"})
    out = StringIO()
    with pytest.raises(CommandError, match="5 problems in the ledger, 2 listed"):
        call_command("verify_ledger", most=2, json=True, stdout=out)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(lines) == 2
    assert lines[0]["check"] == "items"


def test_files_are_read_when_asked_for(lived: World, settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    (tmp_path / "a.png").write_bytes(b"a picture")
    true = hashlib.sha256(b"a picture").hexdigest()
    for name, file, digest in (("true", "a.png", true), ("other", "a.png", "0" * 64), ("gone", "b.png", true)):
        payload = {"picture": name}
        Item.objects.create(
            project=lived.project, external_id=name, payload=payload, payload_sha256=sha256_json(payload),
            media={"picture": {"file": file, "sha256": digest, "type": "image/png"}},
        )  # fmt: skip
    assert found() == []
    problems = [str(problem) for problem in ledger.verify(files=True)]
    assert problems == [
        "files: phones item other, picture: a.png is not what was imported",
        "files: phones item gone, picture: b.png is missing",
    ]


def test_numbers_that_a_database_writes_another_way_hash_the_same(lived: World) -> None:
    """jsonb gives 1e22 back as an integer and -0.0 as 0.0: no damage."""
    payload = {"text": "x", "large": 1e22, "small": 1e-7, "zero": -0.0, "ratio": 0.1, "many": [1e300, 2.0, 3]}
    Item.objects.create(
        project=lived.project, external_id="numbers", payload=payload, payload_sha256=sha256_json(payload)
    )
    assert found() == []
    assert canonical_json({"a": 1e22}) == '{"a":10000000000000000000000}'


def test_checking_costs_the_same_for_few_and_many_rows(lived: World) -> None:
    with CaptureQueriesContext(connection) as few:
        assert found() == []
    lived.add_items(1200)
    with CaptureQueriesContext(connection) as many:
        assert found() == []
    # PostgreSQL shows a fetch per chunk; what counts is that no row costs a query.
    assert len(many) <= len(few) + 12


def test_memory_stays_flat(lived: World) -> None:
    payload = {"text": "long " * 400}
    Item.objects.bulk_create(
        Item(project=lived.project, external_id=f"m{number}", payload=payload, payload_sha256=sha256_json(payload))
        for number in range(6000)
    )
    found()  # imports and caches
    tracemalloc.start()
    assert found() == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6_000_000, "the payloads alone are 12 MB"


def test_a_version_that_was_never_sealed_is_not_judged(world: World) -> None:
    draft = draft_in(world)
    GuidelineVersion.objects.filter(pk=draft.pk).update(body="x")
    acknowledge_version(by=world.people["gene"], batch=world.open_batch(read=False))
    assert found() == []
