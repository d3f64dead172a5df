"""Addresses of the loop: a change proposed, relabeling offered, before and after."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from consistency.gains import measure_gain
from consistency.models import Disagreement
from consistency.relabeling import Sizes
from labeling.models import Batch, BatchItem, GuidelineVersion
from tests.loop.scenes import a_disagreement, publish_next, relabel
from tests.url_rows.guidelines import published, writers
from tests.url_table import Row, everyone, owner_only, setup_only, slug
from tests.worlds import World


def a_case(world: World) -> dict[str, Any]:
    found = Disagreement.objects.filter(batch__project=world.project).first()
    if found is None:
        found = a_disagreement(BatchItem.objects.filter(batch=world.open_batch("Disputed")).order_by("rank")[0])
    return {"disagreement": str(found.uuid)}


def next_version(world: World) -> dict[str, Any]:
    found = GuidelineVersion.objects.filter(
        project=world.project, parent=world.version, published_at__isnull=False
    ).first()
    if found is None:
        # A project has one draft: what an earlier scene began makes room.
        GuidelineVersion.objects.filter(project=world.project, status="draft").delete()
        found = publish_next(world, world.version)
    return {**slug(world), "uuid": found.uuid}


def labeled(world: World) -> Batch:
    found = Batch.objects.filter(project=world.project, name="Before").first()
    if found is None:
        found = world.open_batch("Before")
        for who in ("gene", "gina"):
            world.say(found, who, {item.external_id: "defect" for item in world.items})
    return found


def offered(world: World) -> dict[str, Any]:
    labeled(world)
    return next_version(world)


def compared(world: World) -> dict[str, Any]:
    parent = labeled(world)
    found = Batch.objects.filter(project=world.project, kind="relabel").first()
    if found is None:
        version = GuidelineVersion.objects.get(uuid=next_version(world)["uuid"])
        found = relabel(world, parent, version, Sizes(whole=True))
        for who in ("gene", "gina"):
            world.say(found, who, {item.external_id: "defect" for item in world.items})
        measure_gain(found)
    return {**slug(world), "uuid": found.uuid}


def an_offer(world: World) -> dict[str, Any]:
    return {"scope": "all", "fresh": "0", "name": f"Again {timezone.now().timestamp()}", "act": "open"}


def a_rule(world: World) -> dict[str, Any]:
    return {"delta_min": "0.05", "agreement_target": "0.67", "planned_looks": "4", "most_rounds": "5"}


def rows(name: str, expect: dict[str, int], **more: Any) -> Row:
    return Row(name, expect, namespace="consistency", **more)


ROWS = [
    rows("propose_change", writers(302), kwargs=slug, method="post", data=a_case),
    rows("propose_change", writers(404), kwargs=slug, method="post", data=lambda world: {"adjudication": "none"}),
    rows("relabel_offer", setup_only(), kwargs=next_version),
    rows("relabel_offer", setup_only(), kwargs=offered, query="?labeled"),
    rows("relabel_offer", owner_only(302), kwargs=offered, method="post", data=an_offer),
    rows("relabel_offer", owner_only(422), kwargs=offered, method="post", data=lambda world: {"scope": "some"}),
    rows(
        "relabel_offer",
        setup_only(),
        kwargs=offered,
        method="post",
        query="?count",
        data=lambda world: {"act": "count"},
    ),
    rows("comparisons", setup_only(), kwargs=slug),
    rows("comparison", setup_only(), kwargs=compared),
    rows("comparison", everyone(404, anonymous=302), kwargs=published, query="?a_version"),
    rows("comparison_look", setup_only(302), kwargs=compared, method="post"),
    rows("comparison_csv", setup_only(), kwargs=compared, page=False),
    rows("history_csv", setup_only(), kwargs=compared, page=False),
    rows("stop_rule", owner_only(302), kwargs=slug, method="post", data=a_rule),
]
