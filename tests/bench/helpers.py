"""Steps of the bench's stories."""

from __future__ import annotations

from typing import Any

from consistency import comparing
from consistency.adjudication import Ruling, rule_on
from consistency.holding import hold_disagreement
from consistency.models import Adjudication, Disagreement, Resolution
from labeling.models import Assignment, Batch
from labeling.submission import Answer, submit_annotation
from tests.worlds import World

A, B = "defect", "no_defect"


def no_audit(world: World) -> None:
    """Nothing is drawn for audit by chance."""
    world.project.settings = {**world.project.settings, "audit_share": 0}
    world.project.save()


def disputed(
    world: World, *, items: tuple[str, ...] = ("n1", "n2", "n3"), name: str = "First look", **quotas: int
) -> Batch:
    """A compared batch in which gene and gina differ on the items; the others were skipped by both."""
    no_audit(world)
    batch = world.open_batch(name, quotas=quotas or {"generalist": 2})
    world.say(batch, "gene", dict.fromkeys(items, A))
    world.say(batch, "gina", dict.fromkeys(items, B))
    comparing.compare_batch(batch=batch)
    return batch


def case_of(batch: Any, item: str) -> Disagreement:
    return Disagreement.objects.select_related("batch_item", "batch").get(
        batch=batch, batch_item__item__external_id=item
    )


def found(batch: Any, item: str) -> bool:
    return Disagreement.objects.filter(batch=batch, batch_item__item__external_id=item).exists()


def resolutions(batch: Any, item: str) -> list[Resolution]:
    rows = Resolution.objects.filter(batch_item__batch=batch, batch_item__item__external_id=item)
    return list(rows.order_by("revision"))


def revise(world: World, batch: Batch, who: str, item: str, answer: Answer) -> None:
    place = Assignment.objects.get(batch=batch, member=world.member(who), batch_item__item__external_id=item)
    submit_annotation(
        by=world.people[who], batch=batch, assignment=place.uuid, token=place.claim_token or "", answer=answer,
        revises=True,
    )  # fmt: skip


def ruling(value: Any = A, **extra: Any) -> Ruling:
    words = {"cause": "ambiguous_definition", "outcome": "adjudicate", "rationale": "Longer than 0.3 mm."}
    return Ruling(value=value, **{**words, **extra})


def rule(world: World, batch: Batch, item: str, value: Any = A, *, who: str = "sam", **extra: Any) -> Adjudication:
    """Hold and rule in one go."""
    seat, case = world.seat(who), case_of(batch, item)
    held = hold_disagreement(by=seat, disagreement=case)
    assert held.hold_token is not None
    return rule_on(
        by=seat, disagreement=case, token=held.hold_token, seen=case.input_sha256, ruling=ruling(value, **extra)
    )
