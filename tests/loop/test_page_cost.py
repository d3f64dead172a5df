"""What the loop's pages ask of the database does not grow with the items: the same queries for 6 as for 60."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from consistency.comparing import compare_batch
from consistency.gains import measure_gain
from consistency.input_reporting import report_now
from consistency.measuring import measure_now
from consistency.models import Disagreement
from consistency.relabeling import Sizes
from consistency.revising import propose_change
from labeling.models import Assignment, Batch
from tests.bench.helpers import rule
from tests.loop.scenes import publish_next, relabel
from tests.worlds import World

pytestmark = pytest.mark.django_db
D, N = "defect", "no_defect"


def lived_in(items: int) -> dict[str, str]:
    """A project through one turn of the loop; {page: its address}. A third of its items is disputed, one is ruled on."""
    world = World.build(items=items, slug=f"p{items}", with_otto=False)
    names = [item.external_id for item in world.items]
    before = world.open_batch("Before")
    world.say(before, "gene", dict.fromkeys(names, D))
    world.say(before, "gina", {name: N if n % 3 == 0 else D for n, name in enumerate(names)})
    compare_batch(batch=before)
    made = rule(world, before, "n1", outcome="revise")
    after = relabel(world, before, publish_next(world, world.version), Sizes(whole=True))
    world.say(after, "gene", dict.fromkeys(names, D))
    world.say(after, "gina", {name: N if n % 6 == 0 else D for n, name in enumerate(names)})
    compare_batch(batch=after)
    propose_change(
        by=world.seat("sam"), adjudications=[made], disagreements=list(Disagreement.objects.filter(batch=after))
    )
    measure_now(before)
    report_now(before)
    measure_gain(after)
    case = Disagreement.objects.filter(batch=before, status="open").order_by("pk")[0]
    answer = Assignment.objects.filter(batch=before, member=world.member("gene"), status="submitted")[0]
    at = f"/projects/{world.project.slug}/"
    version = after.guideline_version.uuid
    return {
        "queue": f"{at}bench/?batch={before.uuid}",
        "queue by cluster": f"{at}bench/?batch={before.uuid}&order=cluster",
        "case": f"{at}bench/{case.uuid}/",
        "case for the script": f"{at}bench/{case.uuid}/parts",
        "vote": f"{at}bench/votes/{before.uuid}/",
        "improve the input": f"{at}input/?batch={before.uuid}",
        "before / after": f"{at}before-after/{after.uuid}/",
        "before / after CSV": f"{at}before-after/{after.uuid}/figures.csv",
        "relabel offer": f"{at}definitions/{version}/relabel/?batch={before.uuid}",
        "version's story": f"{at}definitions/{version}/",
        "draft with motives": f"{at}definitions/draft/",
        "batch": f"{at}batches/{before.uuid}/",
        "figures": f"{at}batches/{before.uuid}/figures/",
        "HLP": f"{at}hlp/?batch={before.uuid}",
        "slices": f"{at}slices/",
        "overview": at,
        "definition to read": f"/batches/{after.uuid}/definition/|gene",
        "my answer": f"/answers/{answer.uuid}/|gene",
        "home": "/|gene",
    }


def cost(addresses: dict[str, str]) -> dict[str, int]:
    from labeling.models import User

    found = {}
    for name, address in addresses.items():
        path, _, who = address.partition("|")
        client = Client()
        client.force_login(User.objects.get(username=who or "olga"))
        answer: Any = client.get(path)
        assert answer.status_code == 200, (name, answer.status_code)
        with CaptureQueriesContext(connection) as queries:
            client.get(path)
        found[name] = len(queries)
    return found


def test_queries_do_not_grow_with_the_items() -> None:
    few, many = cost(lived_in(6)), cost(lived_in(60))
    assert {name: (few[name], many[name]) for name in many if many[name] > few[name]} == {}
    assert max(many.values()) < 60, many


def test_control_a_query_per_item_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from consistency.views import bench

    addresses = {items: {"queue": lived_in(items)["queue"]} for items in (6, 30)}
    shown = bench.line_context

    def careless(line: Any, *rest: Any) -> Any:
        Batch.objects.get(pk=line.case.batch_id)
        return shown(line, *rest)

    monkeypatch.setattr(bench, "line_context", careless)
    assert cost(addresses[6])["queue"] < cost(addresses[30])["queue"]
