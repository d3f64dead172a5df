"""The two commands as mel types them: what they print, how they end."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from labeling.importing import items as item_import
from labeling.management.following import bar_line
from labeling.models import Annotation, ImportRun, Item, Job
from tests.intake.conftest import Maker
from tests.worlds import World

pytestmark = pytest.mark.django_db
LABELS = ["item_id", "rater_id", "cohort", "label"]


@pytest.fixture
def world(db: None) -> World:
    return World.build(items=0)


def command(name: str, *arguments: Any, **options: Any) -> tuple[int, str]:
    """(exit status, everything printed)."""
    out = io.StringIO()
    try:
        call_command(name, *map(str, arguments), stdout=out, **options)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    return 0, out.getvalue()


def test_items_in_twice(world: World, table: Maker) -> None:
    path = table(["id", "text", "camera"], ["a", "x", "1"], ["b", "y", "2"])
    assert command("import_items", "phones", path) == (0, "2 items imported from items.csv (2 rows read).\n")
    assert set(Item.objects.visible().values_list("external_id", flat=True)) == {"a", "b"}
    assert ImportRun.objects.get().by == world.people["olga"], "the project's first owner unless named"
    status, says = command("import_items", "phones", path)
    assert (status, says.startswith("Nothing to do: this file was imported the same way on ")) == (0, True)


def test_columns_by_option(world: World, table: Maker) -> None:
    path = table(["nr", "note", "camera", "who", "words"], ["1", "x", "c1", "secret", "new"])
    status, _ = command(
        "import_items", "phones", path, "--payload", "text=note", "--metadata", "cam=camera", "--tags", "words", "--id", "nr",
        "--environment", "serving", "--by", "mel",
    )  # fmt: skip
    item = Item.objects.get()
    assert status == 0
    assert (item.external_id, item.payload, item.metadata) == (
        "1",
        {"text": "x"},
        {"cam": "c1", "environment": "serving"},
    )
    assert [tag.tag for tag in item.tags.all()] == ["new"]
    assert ImportRun.objects.get().by == world.people["mel"]


def test_refused_with_row_field_value_and_reason(world: World, table: Maker) -> None:
    status, says = command("import_items", "phones", table(["id", "text"], ["a", "x"], ["b", ""], ["a", "z"]))
    assert status == 1
    assert "row 3, text: “text” is empty; the project requires it." in says
    assert "row 4, id “a”: The id stands in row 2 already, with another payload." in says
    assert "Refused: nothing was written. 2 of 3 rows have problems." in says
    assert not Item.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "FILE"], "There is no project 'nowhere'. There are: phones, phones-otto."),
        (["phones", "/no/such/file.csv"], "There is no file /no/such/file.csv."),
        (["phones", "FILE", "--payload", "text=nope"], "The file has no column “nope”. Its columns are: id, text."),
        (["phones", "FILE", "--by", "nobody"], "'nobody' is no active member of 'phones'."),
        (["phones", "FILE", "--by", "gene"], "Importing is for the project's owner and ML engineers."),
        (["phones", "FILE", "--format", "parquet"], "cannot be read as Parquet"),
    ],
)
def test_what_cannot_be_begun_ends_with_two(world: World, table: Maker, arguments: list[str], says: str) -> None:
    path = table(["id", "text"], ["a", "x"])
    status, printed = command("import_items", *[str(path) if part == "FILE" else part for part in arguments])
    assert (status, says in printed) == (2, True), printed
    assert not ImportRun.objects.exists()


def test_stopped_resumed_and_taken_back(world: World, table: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(["id", "text"], *([str(n), f"row {n}"] for n in range(4)))
    write = item_import.write_items

    def stop(run: ImportRun, drafts: Any) -> None:
        write(run, drafts[:2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(item_import, "write_items", stop)
        status, says = command("import_items", "phones", path)
    assert (status, "The same command goes on" in says) == (130, True)
    assert Item.objects.count() == 2
    assert not Item.objects.visible().exists()
    with monkeypatch.context() as patch:
        patch.setattr(item_import, "write_items", stop)
        assert command("import_items", "phones", path)[0] == 130
    assert command("import_items", "phones", path) == (
        0, "Resuming an unfinished import of this file.\n4 items imported from items.csv (4 rows read).\n",
    )  # fmt: skip
    other = table(["id", "text"], ["x", "more"], ["y", "and more"], name="other.csv")
    with monkeypatch.context() as patch:
        patch.setattr(item_import, "write_items", stop)
        command("import_items", "phones", other)
    assert command("import_items", "phones", other, discard=True) == (0, "Discarded. Nothing of the import is left.\n")
    assert Item.objects.count() == 4
    assert not Job.objects.filter(status__in=("running", "queued")).exists()


def test_labels_with_cohorts_said(world: World, table: Maker) -> None:
    world.add_items(2)
    path = table(LABELS, ["n1", "w1", "crowd", "yes"], ["n1", "w1", "crowd", "no"], ["n2", "w2", "crowd", "yes"])
    status, says = command("import_labels", "phones", path)
    assert status == 1
    assert "“crowd” (3 rows). Say what each is, as crowd=generalist" in says
    status, says = command("import_labels", "phones", path, cohorts="crowd=generalist")
    assert status == 0
    assert says.splitlines() == [
        "3 labels imported from items.csv (3 rows read).",
        "  2 items; raters: 2 generalist",
        "  labels: no 1, yes 2",
        "  repeat 2: 1 labels on 1 items, in a retest batch",
    ]
    assert Annotation.objects.count() == 3
    assert command("import_labels", "phones", path, cohorts="crowd=expert")[0] == 1, (
        "these raters are generalists by now"
    )
    assert command("import_labels", "phones", path, cohorts="crowd")[0] == 2


def test_a_labels_file_without_its_columns(world: World, table: Maker) -> None:
    status, says = command("import_labels", "phones", table(["id", "text"], ["a", "x"]))
    assert (status, "Say which column holds the rater." in says) == (2, True)


def test_one_cohort_for_all(world: World, table: Maker) -> None:
    world.add_items(1)
    path = table(["item_id", "rater_id", "label"], ["n1", "w1", "yes"])
    assert command("import_labels", "phones", path)[0] == 2
    assert command("import_labels", "phones", path, cohorts="expert")[0] == 0


def test_the_bar() -> None:
    assert bar_line({"done": 5, "total": None, "what": "waiting"}) == "waiting   5"
    assert bar_line({"done": 9, "total": 3, "what": "x"}).count("#") == 30


def test_a_tab_in_a_path_is_a_path(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / "ä.csv").write_text("id;text\n1;x\n", encoding="utf-8")
    assert command("import_items", "phones", folder / "ä.csv")[0] == 0
