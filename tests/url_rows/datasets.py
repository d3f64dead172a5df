"""Addresses of dataset versions."""

from __future__ import annotations

from typing import Any

from api.datasets.building import define_dataset
from api.models import DatasetVersion
from tests.url_table import Row, by_role, slug
from tests.worlds import World, run_jobs

exporters = by_role(olga=200, mel=200, sam=403, gene=403)
moved = by_role(olga=302, mel=302, sam=403, gene=403)
wrong = by_role(olga=422, mel=422, sam=403, gene=403)


def ready(world: World, number: int = 1) -> DatasetVersion:
    found = DatasetVersion.objects.filter(project=world.project, number=number).first()
    while found is None:
        define_dataset(by=world.seat("olga"), name="Spring", definition={"include_unresolved": True})
        run_jobs()
        found = DatasetVersion.objects.filter(project=world.project, number=number).first()
    return found


def at(world: World) -> dict[str, Any]:
    return {"slug": world.project.slug, "uuid": ready(world).uuid}


def row(name: str, expect: Any = exporters, **more: Any) -> Row:
    return Row(name, expect, namespace="api", **{"kwargs": at, **more})


ROWS = [
    row("datasets", kwargs=slug),
    row("datasets", kwargs=lambda world: at(world) and slug(world), query="?guideline_version=1"),
    row("dataset_create", kwargs=slug),
    row(
        "dataset_create", moved, kwargs=slug, method="post",
        data=lambda world: {
            "name": "Spring", "versions": "compatible", "labels": "hard", "methods": ["unanimous"], "format": "csv",
            "split_method": "none",
        },
    ),
    row("dataset_create", wrong, kwargs=slug, method="post"),
    row("dataset"),
    row("dataset_rebuild", moved, method="post"),
    row("dataset_content", page=False),
    row("dataset_manifest", page=False),
    row("dataset_card", page=False),
    row("dataset_compare"),
    row("dataset_compare", query="?chosen", data=lambda world: {"with": str(ready(world, 2).uuid)}, page=False),
]  # fmt: skip
