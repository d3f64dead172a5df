"""Addresses of figures, human-level performance, references and slices."""

from __future__ import annotations

from typing import Any

from consistency.models import Slice
from labeling.models import Batch
from tests.url_table import Row, by_role, setup_only, slug
from tests.worlds import World, run_jobs


def measured(world: World) -> dict[str, Any]:
    """A labeled batch whose figures are there: two cohorts, gold, a slice."""
    from consistency.measuring import measure_now
    from labeling.models import Gold

    if found := Batch.objects.filter(project=world.project, name="Measured").first():
        return {"slug": world.project.slug, "uuid": found.uuid}
    batch = world.open_batch("Measured", quotas={"generalist": 2, "expert": 1})
    for who, wrong in (("gene", ()), ("gina", ("n2", "n4")), ("ella", ("n3",))):
        world.say(batch, who, {i.external_id: "no_defect" if i.external_id in wrong else "defect" for i in world.items})
    for item in world.items:
        Gold.objects.create(
            item=item, guideline_version=world.version, value="defect", origin="external", at=batch.opened_at
        )
    a_slice(world)
    run_jobs()
    measure_now(batch)
    return {"slug": world.project.slug, "uuid": batch.uuid}


def just_opened(world: World) -> dict[str, Any]:
    found = Batch.objects.filter(project=world.project, name="Fresh").first() or world.open_batch("Fresh")
    return {"slug": world.project.slug, "uuid": found.uuid}


def csv_of(kind: str):
    return lambda world: {**measured(world), "kind": kind}


def a_slice(world: World) -> dict[str, Any]:
    found, _ = Slice.objects.get_or_create(
        project=world.project, key="night", defaults={"name": "Night", "filter": {"metadata": {"camera": "1"}}}
    )
    return {"slug": world.project.slug, "key": found.key}


def owner_and_engineer(status: int) -> dict[str, int]:
    return by_role(olga=status, mel=status, sam=403, gene=403)


def definers(status: int) -> dict[str, int]:
    return by_role(olga=status, sam=status, mel=403, gene=403)


def only_slug(world: World) -> dict[str, Any]:
    return {"slug": measured(world)["slug"]}


def table_csv(table: str):
    return lambda world: {**only_slug(world), "table": table}


C = {"namespace": "consistency"}

ROWS = [
    Row("figures", setup_only(), kwargs=measured, **C),
    Row("figures", setup_only(), kwargs=just_opened, query="?nothing=measured", **C),
    Row("figures", setup_only(), kwargs=measured, query="?part=age", page=False, **C),
    Row("batch_figures_csv", setup_only(), kwargs=csv_of("agreement"), page=False, **C),
    Row("batch_figures_csv", setup_only(), kwargs=csv_of("hlp"), query="?kind=hlp", page=False, **C),
    Row("batch_figures_csv", setup_only(404), kwargs=csv_of("comparison"), page=False, **C),
    Row("hlp", setup_only(), kwargs=slug, **C),
    Row("hlp", setup_only(), kwargs=only_slug, query="?kind=rest", **C),
    Row("hlp", setup_only(404), kwargs=slug, query="?batch=made-up", **C),
    Row(
        "adopt_reference", definers(302), kwargs=measured, method="post", query="?of=gene",
        data=lambda world: {"member": str(world.member("gene").uuid)}, **C,
    ),
    Row("slices", setup_only(), kwargs=slug, **C),
    Row("slices", setup_only(), kwargs=lambda world: {"slug": a_slice(world)["slug"]}, query="?with=one", **C),
    Row("slice_create", owner_and_engineer(200), kwargs=slug, **C),
    Row("slice_create", owner_and_engineer(422), kwargs=slug, method="post", **C),
    Row("slice_edit", owner_and_engineer(200), kwargs=a_slice, **C),
    Row(
        "slice_edit", owner_and_engineer(302), kwargs=a_slice, method="post",
        data=lambda world: {"name": "Night", "field_1": "camera", "value_1": "2"}, **C,
    ),
    Row("slice_edit", owner_and_engineer(404), kwargs=lambda world: {"slug": world.project.slug, "key": "no"}, **C),
    Row("slice_delete", owner_and_engineer(302), kwargs=a_slice, method="post", **C),
]  # fmt: skip
ROWS += [
    Row("overview_csv", setup_only(), kwargs=table_csv(table), query=f"?{table}", page=False, **C)
    for table in ("progress", "cost", "agreement", "hlp", "confusion", "waiting", "pairs", "raters")
]
ROWS.append(Row("overview_csv", setup_only(404), kwargs=lambda w: {**slug(w), "table": "secrets"}, page=False, **C))
ROWS.append(Row("project", setup_only(), kwargs=only_slug, query="?measured"))
