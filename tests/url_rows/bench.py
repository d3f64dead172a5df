"""Addresses of the bench, of discussions, of voting, and of the report on items that do not show enough."""

from __future__ import annotations

from typing import Any

from consistency import discussing, holding
from consistency.input_reporting import report_now
from consistency.models import Disagreement
from labeling.models import Batch
from tests.bench.helpers import case_of, disputed
from tests.url_rows.guidelines import writers
from tests.url_table import Row, owner_only, setup_only, slug
from tests.worlds import World


def a_batch(world: World) -> Batch:
    """The batch with cases, whatever other batches the world has."""
    cases = Disagreement.objects.filter(batch__project=world.project, batch_item__item=world.items[0])
    case = cases.select_related("batch__project", "batch__guideline_version").first()
    named = tuple(item.external_id for item in world.items[:3])
    return case.batch if case else disputed(world, items=named, name="At the bench")


def scene(world: World) -> dict[str, Any]:
    """Three cases, one of them in discussion."""
    batch = a_batch(world)
    return {**slug(world), "uuid": case_of(batch, world.items[0].external_id).uuid}


def a_vote(world: World) -> dict[str, Any]:
    return {**slug(world), "uuid": a_batch(world).uuid}


def a_queue(world: World) -> dict[str, Any]:
    a_batch(world)
    return slug(world)


def a_report(world: World) -> dict[str, Any]:
    report_now(a_batch(world))
    return slug(world)


def nowhere(world: World) -> dict[str, Any]:
    return {**slug(world), "uuid": "00000000-0000-0000-0000-000000000000"}


def in_discussion(world: World) -> dict[str, Any]:
    kwargs = scene(world)
    case = Disagreement.objects.get(uuid=kwargs["uuid"])
    if case.status == "open":
        held = holding.hold_disagreement(by=world.seat("sam"), disagreement=case)
        assert held.hold_token is not None
        discussing.open_discussion(
            by=world.seat("sam"), disagreement=case, token=held.hold_token, text="How long is it?"
        )
    return kwargs


def a_ruling(world: World) -> dict[str, Any]:
    return {
        "seen": case_of(a_batch(world), world.items[0].external_id).input_sha256, "value": "defect", "cause": "rater_slip",
        "outcome": "adjudicate", "rationale": "Longer than 0.3 mm.",
    }  # fmt: skip


def insiders_json(sam: int, olga: int | None = None) -> dict[str, int]:
    return {
        "anonymous": 401, "otto": 404, "gene": 403, "mel": 403, "sam": sam, "olga": sam if olga is None else olga,
    }  # fmt: skip


C = {"namespace": "consistency"}

ROWS = [
    Row("bench", writers(), kwargs=a_queue, **C),
    Row("bench", writers(), kwargs=slug, query="?status=ruled&order=cluster&pair=x&meta=camera:1&cohort=expert", **C),
    Row("bench_case", writers(), kwargs=scene, **C),
    Row("bench_case", writers(), kwargs=in_discussion, query="?similar=all", **C),
    Row("bench_case", writers(404), kwargs=nowhere, **C),
    Row("bench_case", writers(302), kwargs=scene, method="post", data=a_ruling, **C),
    Row("bench_case", writers(404), kwargs=scene, method="post", data=lambda world: {"action": "shrug"}, **C),
    Row("bench_parts", {**writers(), "anonymous": 302}, kwargs=scene, page=False, **C),
    Row("bench_hold", insiders_json(200), kwargs=scene, method="post", json=True, **C),
    Row(
        "bench_extend", insiders_json(409), kwargs=scene, method="post", json=True,
        data=lambda world: {"token": "stale"}, **C,
    ),
    Row(
        "bench_release", insiders_json(200), kwargs=scene, method="post", json=True,
        data=lambda world: {"token": "stale"}, **C,
    ),
    Row(
        "bench_rule", insiders_json(409), kwargs=scene, method="post", json=True,
        data=lambda world: {**a_ruling(world), "token": "stale"}, **C,
    ),
    Row("bench_discuss", insiders_json(409), kwargs=scene, method="post", json=True,
        data=lambda world: {"token": "stale", "text": "How long?"}, **C),
    Row("bench_vote", owner_only(), kwargs=a_vote, **C),
    Row("bench_vote", owner_only(302), kwargs=a_vote, method="post", data=lambda world: {"method": "majority"}, **C),
    Row("bench_vote", owner_only(422), kwargs=a_vote, method="post", data=lambda world: {"method": "coin"}, **C),
    Row("input_report", setup_only(), kwargs=a_queue, **C),
    Row("input_report", setup_only(404), kwargs=slug, query="?batch=nonsense", **C),
    Row("input_report_csv", setup_only(), kwargs=a_report, page=False, **C),
    Row(
        "discussion_say", {**writers(404), "mel": 404, "gene": 302}, kwargs=in_discussion, method="post",
        data=lambda world: {"text": "Short."}, **C,
    ),
]  # fmt: skip
