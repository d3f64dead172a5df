"""Items come in: mel imports, olga looks, and whatever is wrong with a file is named before anything is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from labeling import jobs
from labeling.hashing import sha256_json
from labeling.importing import items as item_import
from labeling.importing import runs
from labeling.importing.items import guess_mapping, import_items, open_item_file
from labeling.importing.mapping import ItemMapping, Ready, suggest_mapping
from labeling.importing.runs import FileSource, Started, discard_import, resume_import
from labeling.importing.seen import Seen, key_of
from labeling.importing.writing import write_items
from labeling.models import Event, ImportRun, Item, ItemTag, Job
from labeling.refusals import BadValue, NotAllowed, Refusal
from tests.intake.conftest import Maker, picture
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None) -> World:
    return World.build(items=0)


def mapping_of(world: World, path: Path, **options: Any) -> ItemMapping:
    with open_item_file(path, path.name, ItemMapping(images=options.get("images", ""))) as file:
        return replace(guess_mapping(world.project.payload_schema, file), **options)


def start(world: World, path: Path, who: str = "mel", mapping: ItemMapping | None = None, **options: Any) -> Started:
    mapping = mapping or mapping_of(world, path, **options)
    return import_items(by=world.seat(who), source=FileSource.in_place(path, mapping.images), mapping=mapping)


def bring(world: World, path: Path, **options: Any) -> ImportRun:
    started = start(world, path, **options)
    run_jobs()
    return ImportRun.objects.get(pk=started.run.pk)


def seen(world: World) -> dict[str, Item]:
    return {item.external_id: item for item in Item.objects.visible().filter(project=world.project)}


def reasons(run: ImportRun, part: str = "errors") -> list[tuple[int, str, str, str]]:
    return [(f["row"], f["code"], f["field"], f["value"]) for f in run.report[part]["listed"]]


def test_a_table_becomes_items_with_hidden_metadata_and_tags(world: World, table: Maker) -> None:
    path = table(
        ["id", "text", "camera", "tags", "gold"],
        ["a", " scratch ", "3", "new; glass", "defect"],
        ["b", "ok", "", "", ""],
    )
    run = bring(world, path)
    assert (run.status, run.rows_read, run.rows_kept, run.rows_refused) == ("done", 2, 2, 0)
    a = seen(world)["a"]
    assert a.payload == {"text": " scratch "}, "text is kept as it is"
    assert a.payload_sha256 == sha256_json({"text": " scratch "})
    assert a.metadata == {"camera": "3", "gold": "defect"}
    assert set(a.tags.values_list("tag", flat=True)) == {"new", "glass"}
    assert seen(world)["b"].metadata == {}
    assert list(Event.objects.filter(subject_type="importrun").order_by("pk").values_list("verb", flat=True)) == [
        "import_started", "import_done",
    ]  # fmt: skip


def test_json_lines_with_payload_and_metadata_objects(world: World, lines: Maker) -> None:
    path = lines(
        {"external_id": "x1", "payload": {"text": "a"}, "metadata": {"seed": "may treat", "n": 3}, "tags": ["t"]},
        {"external_id": 7, "payload": {"text": "ä"}, "metadata": {"later": True}},
    )
    run = bring(world, path)
    assert run.status == "done"
    assert seen(world)["x1"].metadata == {"seed": "may treat", "n": 3}
    assert seen(world)["7"].metadata == {"later": True}, "a key the first rows did not have is not lost"


def test_a_payload_field_nobody_declared_refuses_the_row(world: World, lines: Maker) -> None:
    run = bring(world, lines({"id": "1", "payload": {"text": "a", "answer": "b"}}))
    assert run.status == "refused"
    assert reasons(run) == [(1, "no_field", "payload.answer", "b")]


def test_everything_wrong_is_named_and_nothing_is_written(world: World, table: Maker) -> None:
    world.add_items(1)
    path = table(
        ["id", "text", "tags"], ["a", "fine", ""], ["b", "  ", ""], ["c", "x"], ["a", "other", ""], ["", "y", ""], ["n1", "mine", ""],
        ["d", "z", "t" * 81],
    )  # fmt: skip
    run = bring(world, path)
    assert (run.status, run.rows_read, run.rows_refused, run.rows_kept) == ("refused", 7, 6, 0)
    assert reasons(run) == [
        (3, "empty", "text", ""),
        (4, "ragged", "", "c,x"),
        (5, "id_twice", "id", "a"),
        (6, "empty", "id", ""),
        (7, "other_payload", "id", "n1"),
        (8, "bad_tag", "tags", "t" * 79 + "…"),
    ]
    assert list(seen(world)) == ["n1"]
    assert not Item.objects.filter(import_run=run).exists()


def test_bad_rows_may_be_left_out_when_asked(world: World, table: Maker) -> None:
    path = table(["id", "text"], ["a", "fine"], ["b", ""], ["c", "good"])
    run = bring(world, path, skip_refused=True)
    assert (run.status, run.rows_kept, run.rows_refused) == ("done", 2, 1)
    assert reasons(run) == [(3, "empty", "text", "")]
    assert bring(world, table(["id", "text"], ["q", ""], name="all.csv"), skip_refused=True).status == "refused"


def test_an_unreadable_file_is_refused_even_when_bad_rows_may_be_left_out(world: World, tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    path.write_text('id,text\na,fine\nb,"never closed\n')
    run = bring(world, path, skip_refused=True)
    assert run.status == "refused"
    assert "never closed" in run.report["errors"]["listed"][0]["reason"]
    assert not seen(world)


def test_a_file_without_rows_is_refused(world: World, table: Maker) -> None:
    assert bring(world, table(["id", "text"])).report["errors"]["listed"][0]["code"] == "no_rows"


def test_more_problems_than_are_listed_are_still_counted(world: World, table: Maker) -> None:
    run = bring(world, table(["id", "text"], *([str(n), ""] for n in range(250))))
    assert run.report["errors"]["total"] == 250
    assert len(run.report["errors"]["listed"]) == 100
    assert run.report["errors"]["counts"] == [{"code": "empty", "field": "text", "count": 250}]


def test_importing_twice_changes_nothing_and_says_so(world: World, table: Maker) -> None:
    path = table(["id", "text"], ["a", "fine"], ["b", "good"])
    first = bring(world, path)
    again = start(world, path)
    assert again.nothing_to_do
    assert again.run == first
    assert ImportRun.objects.count() == 1
    corrected = bring(world, path, mapping=replace(mapping_of(world, path), environment="training"))
    assert (corrected.status, corrected.rows_kept, corrected.rows_skipped) == ("done", 0, 2)
    assert reasons(corrected, "left_out") == [(2, "unchanged", "", "a"), (3, "unchanged", "", "b")]


def test_the_same_payload_under_another_id_is_skipped_unless_kept(world: World, table: Maker) -> None:
    world.add_items(1)
    note = world.items[0].payload["text"]
    path = table(["id", "text"], ["a", note], ["b", "new"], ["c", "new"], ["b", "new"])
    run = bring(world, path)
    assert (run.status, run.rows_kept) == ("done", 1)
    assert reasons(run, "left_out") == [(2, "duplicate", "", "a"), (4, "duplicate", "", "c"), (5, "repeated", "", "b")]
    kept = bring(world, path, keep_duplicates=True)
    assert (kept.status, kept.rows_kept) == ("done", 2)
    assert set(seen(world)) == {"n1", "a", "b", "c"}
    with pytest.raises(BadValue, match="id of its own"):
        start(world, path, keep_duplicates=True, external_id="")


def test_without_an_id_column_the_payload_makes_the_id(world: World, table: Maker) -> None:
    run = bring(world, table(["text"], ["one"], ["two"], ["one"]))
    assert (run.status, run.rows_kept) == ("done", 2)
    again = bring(world, table(["text"], ["two"], ["three"], name="more.csv"))
    assert (again.rows_kept, again.rows_skipped) == (1, 1)


def test_metadata_is_corrected_only_when_asked_and_each_correction_is_recorded(world: World, table: Maker) -> None:
    bring(world, table(["id", "text", "camera", "line"], ["a", "x", "1", "L1"], ["b", "y", "1", "L1"]))
    path = table(["id", "text", "camera", "tags"], ["a", "x", "2", "moved"], ["b", "y", "1", ""], name="new.csv")
    plain = bring(world, path)
    assert seen(world)["a"].metadata["camera"] == "1"
    assert "1 items have other metadata" in plain.report["notes"][0]
    bring(world, path, update_metadata=True)
    a = seen(world)["a"]
    assert a.metadata == {"camera": "2", "line": "L1"}
    assert [tag.tag for tag in ItemTag.objects.filter(item=a)] == ["moved"]
    corrected = Event.objects.get(verb="corrected_metadata")
    assert (corrected.subject_id, corrected.data["before"], corrected.data["after"]) == (
        a.pk,
        {"camera": "1"},
        {"camera": "2"},
    )


def test_kinds_are_kept_to(world: World, lines: Maker) -> None:
    world.project.payload_schema = {
        "fields": [{"name": "text", "kind": "text"}, {"name": "mm", "kind": "number", "required": False}]
    }
    world.project.save()
    good = bring(world, lines({"id": "1", "text": 12, "mm": "0.5"}, {"id": "2", "text": "b"}))
    assert good.status == "done"
    assert seen(world)["1"].payload == {"text": "12", "mm": 0.5}
    bad = bring(
        world, lines({"id": "3", "text": ["a"], "mm": "0,5"}, {"id": "4", "text": "x", "mm": 1e999}, name="b.jsonl")
    )
    assert sorted((code, field) for _, code, field, _ in reasons(bad)) == [
        ("bad_json", ""),
        ("bad_value", "mm"),
        ("bad_value", "text"),
    ]


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        (ItemMapping(payload={"text": "nope"}), "no column “nope”"),
        (ItemMapping(payload={"other": "text"}), "no payload field “other”"),
        (ItemMapping(payload={}, required=("text",)), "which column holds “text”"),
        (ItemMapping(payload={}), "nothing is shown by guess"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_before_a_run_exists(
    world: World, table: Maker, mapping: ItemMapping, says: str
) -> None:
    with pytest.raises(BadValue, match=says):
        start(world, table(["id", "text"], ["a", "b"]), mapping=mapping)
    assert not ImportRun.objects.exists()


def test_nothing_is_shown_to_raters_by_guess() -> None:
    assert suggest_mapping({}, ["id", "gold", "sentence", "annotator"]).payload == {}
    assert suggest_mapping({}, ["id", "gold", "text"]).payload == {"text": "text"}
    guess = suggest_mapping({"fields": [{"name": "Note"}]}, ["ID", "note", "gold", "tags"])
    assert (guess.external_id, guess.payload, guess.metadata, guess.tags) == ("ID", {"Note": "note"}, None, ("tags",))


def test_who_may_import(world: World, table: Maker) -> None:
    path = table(["id", "text"], ["a", "b"])
    for who in ("sam", "gene"):
        with pytest.raises(NotAllowed):
            start(world, path, who)
    world.project.archived_at = timezone.now()
    world.project.save()
    with pytest.raises(Refusal, match="set aside"):
        start(world, path, "olga")


# --- unfinished, interrupted, taken back ----------------------------------------------------------
def interrupted(world: World, path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> ImportRun:
    """An import that stopped after its first chunk of three rows."""
    started = start(world, path, **options)

    def broken(run: ImportRun, items: list[Ready]) -> None:
        write_items(run, items[:3])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(item_import, "write_items", broken)
        job = jobs.take(job_id=started.job.pk)  # type: ignore[union-attr]
        assert job is not None
        assert "disk is full" in jobs.run(job, heartbeat=False).error
    Job.objects.update(status="failed", error="No space left on device", not_before=None)
    return ImportRun.objects.get(pk=started.run.pk)


@pytest.fixture
def five(table: Maker) -> Path:
    return table(["id", "text", "tags"], *([f"r{n}", f"row {n}", "t"] for n in range(5)))


def test_an_interrupted_import_is_invisible_and_goes_on(
    world: World, five: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted(world, five, monkeypatch)
    assert (run.status, run.rows_kept) == ("writing", 3)
    assert Item.objects.filter(import_run=run).count() == 3
    assert not seen(world)
    started = start(world, five)
    assert (started.run, started.resumed) == (run, True)
    run_jobs()
    run.refresh_from_db()
    assert (run.status, run.rows_kept) == ("done", 5)
    assert len(seen(world)) == ItemTag.objects.count() == 5


def test_a_second_worker_is_fenced_off(world: World, five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = interrupted(world, five, monkeypatch)
    stale = ImportRun.objects.get(pk=run.pk)
    ImportRun.objects.filter(pk=run.pk).update(rows_kept=4)  # another worker went on
    late = Ready("late", '{"text":"z"}', "{}", sha256_json({"text": "z"}), None, [])
    with pytest.raises(jobs.LostJob):
        write_items(stale, [late])
    assert not Item.objects.filter(external_id="late").exists()
    monkeypatch.setattr("labeling.importing.writing.advance", lambda run, rows: None)
    write_items(stale, [late])
    assert Item.objects.filter(external_id="late").exists(), "control: without the fence the stale worker writes"


def test_a_discarded_import_leaves_nothing(world: World, five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = interrupted(world, five, monkeypatch)
    discard_import(by=world.seat("mel"), run=run)
    run_jobs()
    run.refresh_from_db()
    assert run.status == "discarded"
    assert not Item.objects.filter(project=world.project).exists()
    assert not ItemTag.objects.exists()
    assert five.exists(), "a file read in place is not ours to delete"
    assert discard_import(by=world.seat("mel"), run=run) is None
    with pytest.raises(Refusal):
        resume_import(by=world.seat("mel"), run=run)
    assert bring(world, five).rows_kept == 5


def test_a_finished_import_is_not_taken_back(world: World, five: Path) -> None:
    run = bring(world, five)
    with pytest.raises(Refusal, match="may be in use"):
        discard_import(by=world.seat("mel"), run=run)
    assert len(seen(world)) == 5


def test_another_import_waits_for_the_interrupted_one(
    world: World, five: Path, table: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = interrupted(world, five, monkeypatch)
    clash = bring_failing(world, table(["id", "text"], ["r1", "row 1"], name="b.csv"))
    assert clash.status == "refused"
    assert reasons(clash)[0][1] == "unfinished"
    apart = start(world, table(["id", "text"], ["z", "apart"], name="c.csv"))
    job = jobs.run(jobs.take(job_id=apart.job.pk), heartbeat=False)  # type: ignore[union-attr,arg-type]
    assert "was interrupted" in job.error
    resume_import(by=world.seat("mel"), run=first)
    run_jobs()
    resume_import(by=world.seat("mel"), run=apart.run)
    run_jobs()
    assert set(seen(world)) == {"r0", "r1", "r2", "r3", "r4", "z"}


def bring_failing(world: World, path: Path) -> ImportRun:
    started = start(world, path)
    jobs.run(jobs.take(job_id=started.job.pk), heartbeat=False)  # type: ignore[union-attr,arg-type]
    return ImportRun.objects.get(pk=started.run.pk)


def test_items_that_came_in_between_the_passes_are_seen(
    world: World, table: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another import finishes after this one's check: its item with the same id and another payload refuses this one."""
    started = start(world, table(["id", "text"], ["n1", "mine"], ["q", "fine"]))
    take_turn = runs.take_turn

    def late(run: ImportRun) -> bool:
        world.add_items(1)
        return take_turn(run)

    monkeypatch.setattr(runs, "take_turn", late)
    run_jobs()
    run = ImportRun.objects.get(pk=started.run.pk)
    assert run.status == "refused"
    assert reasons(run) == [(2, "other_payload", "id", "n1")]
    assert list(seen(world)) == ["n1"]
    assert not Item.objects.filter(import_run=run).exists()


def test_a_file_changed_meanwhile_is_not_mixed(world: World, five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = interrupted(world, five, monkeypatch)
    five.write_text("id,text\nr9,other\n")
    resume_import(by=world.seat("mel"), run=run)
    job = jobs.run(jobs.take(), heartbeat=False)  # type: ignore[arg-type]
    assert "changed since the import began" in job.error
    assert not seen(world)


# --- images ---------------------------------------------------------------------------------------
@pytest.fixture
def screens(db: None) -> World:
    world = World.build(items=0)
    world.project.payload_schema = {"fields": [{"name": "screen", "kind": "image"}]}
    world.project.save()
    return world


def test_a_zip_of_images_alone(screens: World, archive: Maker) -> None:
    run = bring(screens, archive({"L1/a.png": picture(1), "L2/b.jpg": picture(2, (9, 9), "JPEG"), "c.png": picture(1)}))
    assert (run.status, run.rows_kept, run.rows_skipped) == ("done", 2, 1)
    a = seen(screens)["L1/a.png"]
    assert a.metadata == {"folder": "L1"}, "a folder's name often is the answer; raters do not see it"
    media = a.media["screen"]
    assert a.payload == {"screen": f"sha256:{media['sha256']}"}
    assert (media["type"], media["width"], media["height"]) == ("image/png", 8, 6)
    assert (Path(settings.MEDIA_ROOT) / media["file"]).read_bytes() == picture(1)


def test_a_table_beside_its_images(screens: World, archive: Maker, table: Maker, tmp_path: Path) -> None:
    within = archive({"data/items.csv": b"id,screen,mm\n1,img/a.png,0.3\n2,data/img/b.png,0.1\n", "data/img/a.png": picture(1), "data/img/b.png": picture(2), "x.png": picture(3)})  # fmt: skip
    run = bring(screens, within)
    assert (run.status, run.rows_kept) == ("done", 2)
    assert "1 images are named by no row" in run.report["notes"][0]
    assert seen(screens)["1"].metadata == {"mm": "0.3"}
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "c.png").write_bytes(picture(5))
    apart = table(["id", "screen"], ["3", "c.png"], ["4", "../secret.png"], ["5", "no.png"])
    run = bring(screens, apart, images=str(folder))
    assert run.status == "refused"
    assert [(row, code, value) for row, code, _, value in reasons(run)] == [
        (3, "no_file", "../secret.png"),
        (4, "no_file", "no.png"),
    ]
    without = bring(screens, apart)
    assert reasons(without)[0][1] == "no_images"


def test_one_bad_image_refuses_the_zip_and_stores_nothing(
    screens: World, archive: Maker, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    run = bring(screens, archive({"a.png": picture(1), "evil.png": b"<svg onload='alert(1)'/>", "big.png": picture(2)}))
    assert run.status == "refused"
    assert reasons(run) == [(3, "not_an_image", "file", "evil.png")]
    assert not (tmp_path / "media").exists()
    settings.IMAGE_MAX_BYTES = 10
    assert (
        bring(screens, archive({"a.png": picture(1)}, name="b.zip")).report["errors"]["listed"][0]["code"]
        == "too_large"
    )


def test_what_a_long_file_has_shown_is_remembered_on_disk_as_in_memory() -> None:
    rows = [(key_of(f"id {n}"), key_of(f"payload {n}"), n) for n in range(1000)]
    for most in (10, 10_000):
        seen_rows = Seen(most)
        for row in rows:
            seen_rows.add([row], [(row[1], row[2])])
        asked = [*(row[0] for row in rows[:20]), key_of("id 1000")]
        assert seen_rows.ids(asked) == {row[0]: (row[1], row[2]) for row in rows[:20]}
        assert seen_rows.payloads([rows[999][1], key_of("payload 1000")]) == {rows[999][1]: 999}
        seen_rows.close()
