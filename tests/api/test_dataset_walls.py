"""Two projects' datasets never cross, though their items, batches and raters lie between one another in the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.datasets.definition import Definition
from api.datasets.reading import Reader
from api.models import DatasetVersion
from api.queries.datasets import datasets_that_hold
from labeling.models import Batch, Item
from labeling.pseudonyms import pseudonym
from tests.api.client import Program, key_for
from tests.api.test_datasets import labeled, made, rows_of
from tests.worlds import World

pytestmark = pytest.mark.django_db

OURS = {"n1": ("defect", "defect"), "n2": ("no_defect", "no_defect"), "n6": ("defect", "defect")}
THEIRS = {"n1": ("no_defect", "no_defect"), "n3": ("defect", "defect"), "n6": ("no_defect", "no_defect")}


@pytest.fixture
def other(world: World, settings: Any, tmp_path: Path) -> World:
    """The same people and the same external ids in a second project, each project's rows between the other's."""
    settings.DATA_DIR = tmp_path
    second = World.build(slug="tablets", with_otto=False)
    world.add_items(1)
    second.add_items(1)
    labeled(world, OURS)
    labeled(second, THEIRS)
    return second


def said(dataset: DatasetVersion) -> dict[str, str]:
    return {row["item"]: row["value"] for row in rows_of(dataset)}


def test_each_holds_its_own_items_batches_and_raters(world: World, other: World) -> None:
    ours, theirs = made(world), made(other)
    assert said(ours) == {item: pair[0] for item, pair in OURS.items()}
    assert said(theirs) == {item: pair[0] for item, pair in THEIRS.items()}
    for name in ("batches", "raters"):
        assert not set(ours.manifest["lineage"][name]) & set(theirs.manifest["lineage"][name]), name
    lying = Batch.objects.get(project=other.project)
    assert datasets_that_hold(world.project, batch=str(lying.uuid)) == []
    assert datasets_that_hold(world.project, rater=pseudonym(other.member("gene").uuid)) == []
    everything = made(world, labels="annotations", include_unresolved=True)
    uuids = {str(uuid) for uuid in Item.objects.filter(project=other.project).values_list("uuid", flat=True)}
    assert not uuids & {row["item_uuid"] for row in rows_of(everything)}


def test_the_other_project_s_rows_cannot_be_named(world: World, other: World) -> None:
    mel, theirs = Program(key_for(world, "mel")), made(other)
    ours, lying = made(world), Batch.objects.get(project=other.project)
    assert mel.post("datasets", {"name": "X", "batch": str(lying.uuid)}).json()["data"]["field"] == "batch"
    assert mel.post("datasets", {"name": "X", "parent": str(theirs.uuid)}).json()["data"]["field"] == "parent"
    compared = mel.post(f"datasets/{ours.uuid}/compare", {"other": str(theirs.uuid)})
    assert compared.json()["data"]["field"] == "other"
    assert {row["uuid"] for row in mel.everything("datasets")} == {str(ours.uuid)}
    for path in ("", "/content", "/manifest", "/card", "/notices"):
        assert mel.send("GET", f"datasets/{theirs.uuid}{path}").status_code == 404, path


def test_control_a_reader_without_its_wall_would_mix_them(
    world: World, other: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "items", lambda self: Item.objects.available().filter(pk__lte=self.as_of["item"] + 1))
    reader = Reader(world.project, Definition(guideline_version=1))
    found = [labeled.item["external_id"] for page in reader.pages() for labeled in page]
    assert len(found) > len(set(found))
