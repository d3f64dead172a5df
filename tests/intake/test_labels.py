"""Labels given elsewhere: one closed batch, repeats below it, raters without a way in, gold as external."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test import Client

from labeling import jobs
from labeling.importing import label_writing
from labeling.importing.label_checking import parse_time
from labeling.importing.label_columns import LabelMapping, parse_cohorts, suggest_label_columns
from labeling.importing.labels import import_labels
from labeling.importing.runs import FileSource, Started, discard_import, resume_import
from labeling.models import (
    Annotation,
    Assignment,
    Batch,
    BatchItem,
    Gold,
    GuidelineVersion,
    ImportRun,
    Item,
    Job,
    LabelDefinition,
    Membership,
    User,
)
from labeling.refusals import BadValue, NotAllowed
from tests.intake.conftest import Maker
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db
HEADER = ["item_id", "rater_id", "cohort", "label"]


def start(world: World, path: Path, who: str = "mel", **options: Any) -> Started:
    from labeling.formats.rows import open_rows

    with open_rows(path) as reader:
        columns = suggest_label_columns(reader.columns)
    mapping = LabelMapping(**{**columns, **options})
    return import_labels(by=world.seat(who), source=FileSource.in_place(path), mapping=mapping)


def bring(world: World, path: Path, **options: Any) -> ImportRun:
    started = start(world, path, **options)
    run_jobs()
    return ImportRun.objects.get(pk=started.run.pk)


def reasons(run: ImportRun) -> list[tuple[int, str, str]]:
    return [(f["row"], f["code"], f["value"]) for f in run.report["errors"]["listed"]]


def said(batch: Batch) -> list[tuple[str, str, int, str]]:
    """(item, rater, ordinal, label) of a batch, in order."""
    return list(
        Annotation.objects.filter(assignment__batch=batch)
        .order_by("assignment__rank", "assignment__cohort", "assignment__ordinal")
        .values_list(
            "assignment__batch_item__item__external_id",
            "assignment__member__imported_id",
            "assignment__ordinal",
            "value",
        )
    )


def test_labels_become_a_closed_batch_under_a_version_as_imported(world: World, table: Maker) -> None:
    path = table(
        [*HEADER, "gold", "timestamp"],
        ["n2", "w1", "expert", "yes", "yes", "2014-07-12T00:10:09"], ["n1", "w1", "expert", "no", "", ""],
        ["n2", "w2", "generalist", "no", "yes", "2014-07-12T00:00:01Z"], ["n2", "w3", "generalist", "yes", "", "2014-07-11"],
    )  # fmt: skip
    run = bring(world, path)
    assert (run.status, run.rows_kept) == ("done", 4)
    batch = Batch.objects.get()
    assert (batch.kind, batch.status, batch.parent, batch.quotas.count()) == ("import", "closed", None, 0)
    assert said(batch) == [
        ("n2", "w1", 1, "yes"),
        ("n2", "w3", 1, "yes"),
        ("n2", "w2", 2, "no"),
        ("n1", "w1", 1, "no"),
    ], "ordinals go by arrival within item and cohort"
    version = batch.guideline_version
    assert (version.status, version.parent) == ("as_imported", None)
    assert version.published_at is not None
    assert list(version.labels.values_list("key", flat=True)) == ["no", "yes"]
    first = Annotation.objects.get(assignment__member__imported_id="w2")
    assert (first.origin, first.blind, first.revision, first.outcome) == ("import", True, 1, "labeled")
    assert first.at.isoformat() == "2014-07-12T00:00:01+00:00"
    place = first.assignment
    assert (place.status, place.origin, place.slot, place.finished_at) == ("submitted", "planned", None, first.at)
    gold = Gold.objects.get()
    assert (gold.item.external_id, gold.value, gold.origin, gold.guideline_version) == ("n2", "yes", "external", None)


def test_hashes_are_those_of_answers_given_here(world: World, table: Maker) -> None:
    from labeling.claiming import claim_next
    from labeling.submission import Answer, submit_annotation

    batch = world.open_batch()
    place = claim_next(by=world.people["gene"], batch=batch).places[0]
    here = submit_annotation(
        by=world.people["gene"], batch=batch, assignment=place.uuid, token=place.claim_token, answer=Answer(value="defect")
    ).annotation  # fmt: skip
    bring(world, table(HEADER, ["n1", "w1", "expert", "defect"]))
    assert Annotation.objects.get(origin="import").value_sha256 == here.value_sha256


def test_raters_come_without_a_way_in_and_stay_the_same_person(world: World, table: Maker) -> None:
    bring(world, table(HEADER, ["n1", "w1@example.org", "expert", "a"]))
    member = Membership.objects.get(imported_id="w1@example.org")
    assert (member.active, member.role, member.cohort, member.user.is_active) == (False, "rater", "expert", False)
    assert not member.user.has_usable_password()
    assert "w1" not in member.user.username
    assert not Client().login(username=member.user.username, password="")
    bring(world, table(HEADER, ["n2", "w1@example.org", "expert", "b"], name="more.csv"))
    assert Membership.objects.filter(imported_id="w1@example.org").count() == 1
    clash = bring(world, table(HEADER, ["n3", "w1@example.org", "generalist", "b"], name="clash.csv"))
    assert reasons(clash)[0][1] == "two_cohorts"


def test_the_kth_repeat_goes_to_a_retest_batch_by_session(world: World, table: Maker) -> None:
    path = table(
        [*HEADER, "session"],
        ["n1", "w1", "expert", "third", "10"], ["n1", "w1", "expert", "first", "1"], ["n1", "w2", "expert", "only", "1"],
        ["n2", "w1", "expert", "again", "2"], ["n1", "w1", "expert", "second", "2"], ["n2", "w1", "expert", "once", "1"],
    )  # fmt: skip
    run = bring(world, path)
    main, second, third = Batch.objects.order_by("pk")
    assert [(b.kind, b.parent, b.status) for b in (main, second, third)] == [
        ("import", None, "closed"), ("retest", main, "closed"), ("retest", main, "closed"),
    ]  # fmt: skip
    assert said(main) == [("n1", "w1", 1, "first"), ("n1", "w2", 2, "only"), ("n2", "w1", 1, "once")]
    assert said(second) == [("n1", "w1", 1, "second"), ("n2", "w1", 1, "again")]
    assert said(third) == [("n1", "w1", 1, "third")]
    assert run.report["facts"]["repeats"] == {
        "1": {"items": 2, "labels": 3}, "2": {"items": 2, "labels": 2}, "3": {"items": 1, "labels": 1},
    }  # fmt: skip


def test_repeats_without_session_go_by_time_and_then_by_the_file(world: World, table: Maker) -> None:
    path = table(
        [*HEADER, "timestamp"],
        ["n1", "w", "expert", "late", "2020-01-02"],
        ["n1", "w", "expert", "early", "2020-01-01"],
    )
    bring(world, path)
    assert said(Batch.objects.get(parent=None)) == [("n1", "w", 1, "early")]
    other = World.build(slug="other", with_otto=False)
    bring(other, table(HEADER, ["n1", "w", "expert", "late"], ["n1", "w", "expert", "early"], name="plain.csv"))
    assert said(Batch.objects.get(project=other.project, parent=None)) == [("n1", "w", 1, "late")]


def test_foreign_cohort_names_are_refused_with_a_list_and_mapped_when_said(world: World, table: Maker) -> None:
    path = table(HEADER, ["n1", "w1", "target_group", "0"], ["n1", "w2", "control", "1"], ["n2", "w2", "control", "1"])
    run = bring(world, path, cohorts={"target_group": "target_user"})
    assert run.status == "refused"
    assert "“control” (2 rows)" in run.report["errors"]["listed"][0]["reason"]
    assert run.report["facts"]["unmapped_cohorts"] == {"control": 2}
    assert not Batch.objects.exists()
    assert not Membership.objects.exclude(imported_id="").exists()
    done = bring(world, path, cohorts={"target_group": "target_user", "control": "generalist"})
    assert done.status == "done"
    assert dict(Assignment.objects.values_list("member__imported_id", "cohort")) == {
        "w1": "target_user",
        "w2": "generalist",
    }


def test_one_cohort_for_a_file_that_does_not_say(world: World, table: Maker) -> None:
    path = table(["item", "annotator", "label"], ["n1", "w1", "a"])
    with pytest.raises(BadValue, match="does not say which cohort"):
        start(world, path)
    assert bring(world, path, all_cohort="expert").status == "done"


def test_everything_wrong_is_named_and_nothing_is_written(world: World, table: Maker) -> None:
    path = table(
        [*HEADER, "gold", "timestamp"],
        ["n1", "w1", "expert", "a", "a", "yesterday"], ["n1", "w2", "expert", "", "", ""], ["", "w2", "expert", "a", "", ""],
        ["nowhere", "w3", "expert", "a", "", ""], ["n1", "w4", "expert", "a", "a", ""], ["n2", "w4", "generalist", "a", "", ""],
        ["n1", "w5", "expert", "a", "b", ""], ["n1", "w6", "expert", "z" * 61, "", ""], ["n1", "w7", "expert", "a", "", "2999-01-01"],
    )  # fmt: skip
    run = bring(world, path)
    assert run.status == "refused"
    assert reasons(run) == [
        (2, "bad_time", "yesterday"), (3, "empty", ""), (4, "empty", ""), (5, "unknown_item", "nowhere"), (7, "two_cohorts", "generalist"),
        (8, "two_golds", "b"), (9, "too_long", "z" * 61), (10, "bad_time", "2999-01-01"),
    ]  # fmt: skip
    assert run.rows_refused == 8
    for model in (Batch, Annotation, Gold):
        assert not model.objects.exists()
    left = bring(world, path, skip_refused=True)
    assert (left.status, left.rows_kept, left.rows_refused) == ("done", 1, 8)


def test_declared_labels_are_kept_though_nobody_used_them(world: World, table: Maker) -> None:
    path = table(HEADER, ["n1", "w1", "expert", "P"], ["n1", "w2", "expert", "Q"])
    assert reasons(bring(world, path, labels=("G", "P")))[0][1] == "unknown_label"
    bring(world, path, labels=("Q", "P", "G"))
    assert list(LabelDefinition.objects.filter(version__status="as_imported").values_list("key", flat=True)) == [
        "Q",
        "P",
        "G",
    ]


def test_labels_that_are_no_labels(world: World, table: Maker) -> None:
    path = table(HEADER, *(["n1", f"w{n}", "expert", f"free text {n}"] for n in range(101)))
    assert "Is this the column of the labels?" in bring(world, path).report["errors"]["listed"][0]["reason"]


def test_numbers_are_labels_in_their_order(world: World, lines: Maker) -> None:
    run = bring(world, lines(*({"item_id": "n1", "rater_id": n, "cohort": "expert", "label": n} for n in (10, 2, 1.0))))
    assert run.status == "done"
    assert list(run.report["facts"]["labels"]) == ["1", "2", "10"]


def test_unknown_items_may_be_made_without_content(world: World, table: Maker) -> None:
    path = table(HEADER, ["far", "w1", "expert", "a"], ["n1", "w1", "expert", "a"], ["far", "w2", "expert", "b"])
    run = bring(world, path, create_items=True)
    assert run.status == "done"
    made = Item.objects.get(external_id="far")
    assert (made.payload, [tag.tag for tag in made.tags.all()]) == ({"external_id": "far"}, ["placeholder"])
    assert said(Batch.objects.get()) == [("far", "w1", 1, "a"), ("far", "w2", 2, "b"), ("n1", "w1", 1, "a")]
    assert "1 items are not in the project" in run.report["notes"][0]


def test_the_same_gold_is_not_written_twice_and_a_new_one_is_in_force(world: World, table: Maker) -> None:
    header = [*HEADER, "gold"]
    bring(world, table(header, ["n1", "w1", "expert", "a", "a"]))
    bring(world, table(header, ["n1", "w2", "expert", "a", "a"], name="same.csv"))
    assert Gold.objects.count() == 1
    bring(world, table(header, ["n1", "w3", "expert", "a", "b"], name="new.csv"))
    assert [gold.value for gold in Gold.objects.order_by("pk")] == ["a", "b"]


def test_importing_twice_changes_nothing(world: World, table: Maker) -> None:
    path = table(HEADER, ["n1", "w1", "expert", "a"])
    bring(world, path)
    assert start(world, path).nothing_to_do
    assert Batch.objects.count() == Annotation.objects.count() == 1


def test_two_files_of_the_same_name_get_two_batches(world: World, table: Maker, tmp_path: Path) -> None:
    bring(world, table(HEADER, ["n1", "w1", "expert", "a"], name="labels.csv"))
    bring(world, table(HEADER, ["n2", "w1", "expert", "a"], name="labels.csv"))
    assert [batch.name for batch in Batch.objects.order_by("pk")] == [
        "Imported: labels.csv",
        "Imported: labels.csv (2)",
    ]
    numbers = GuidelineVersion.objects.order_by("number").values_list("number", "status")
    assert list(numbers) == [(1, "published"), (2, "as_imported"), (3, "as_imported")]


def test_settled_is_told_once_the_run_is_done(world: World, table: Maker) -> None:
    """One job looks at all items of the run, whatever their number."""
    bring(
        world,
        table(HEADER, ["n1", "w1", "expert", "a"], ["n1", "w2", "generalist", "b"], ["n2", "w1", "expert", "a"]),
    )
    (batch,) = Batch.objects.filter(kind="import")
    (job,) = Job.objects.filter(kind="compare_batch")
    assert job.dedup_key == f"compare_batch:{batch.pk}"
    run_jobs()
    job.refresh_from_db()
    assert job.result == {"items": 2, "found": 1, "resolved": 1}


def test_who_may_import(world: World, table: Maker) -> None:
    with pytest.raises(NotAllowed):
        start(world, table(HEADER, ["n1", "w1", "expert", "a"]), "sam")


# --- interrupted, taken back, sealed --------------------------------------------------------------
def interrupted(world: World, path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> ImportRun:
    started = start(world, path, **options)
    write = label_writing.LabelWriter._write
    calls: list[int] = []

    def once(self: Any, places: Any) -> None:
        calls.append(len(places))
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        write(self, places)

    with monkeypatch.context() as patch:
        patch.setattr(label_writing, "LABELS_PER_CHUNK", 3)
        patch.setattr(label_writing.LabelWriter, "_write", once)
        jobs.run(jobs.take(job_id=started.job.pk), heartbeat=False)  # type: ignore[union-attr,arg-type]
    Job.objects.update(status="failed", error="No space left on device", not_before=None)
    return ImportRun.objects.get(pk=started.run.pk)


@pytest.fixture
def seven(table: Maker) -> Path:
    rows = [["n1", f"w{n}", "expert", "a"] for n in range(5)] + [
        ["n2", "w0", "expert", "b"],
        ["n1", "w0", "expert", "c"],
    ]
    return table([*HEADER, "gold"], *([*row, "a" if row[0] == "n1" else ""] for row in rows))


def test_an_interrupted_import_goes_on_behind_the_last_chunk(
    world: World, seven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted(world, seven, monkeypatch)
    assert (run.status, run.rows_kept, Annotation.objects.count()) == ("writing", 3, 3)
    assert [batch.status for batch in Batch.objects.all()] == ["opening", "opening"]
    resume_import(by=world.seat("mel"), run=run)
    run_jobs()
    run.refresh_from_db()
    assert (run.status, run.rows_kept, Annotation.objects.count()) == ("done", 7, 7)
    main = Batch.objects.get(parent=None)
    assert said(main) == [*(("n1", f"w{n}", n + 1, "a") for n in range(5)), ("n2", "w0", 1, "b")]
    assert Gold.objects.count() == 1


def test_control_without_the_cursor_a_resumed_import_cannot_finish(
    world: World, seven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted(world, seven, monkeypatch)
    ImportRun.objects.filter(pk=run.pk).update(rows_kept=0)
    resume_import(by=world.seat("mel"), run=run)
    job = jobs.run(jobs.take(), heartbeat=False)  # type: ignore[arg-type]
    assert "IntegrityError" in job.error
    assert Annotation.objects.count() == 3, "the schema refuses what the cursor would have prevented"


def test_a_discarded_import_leaves_nothing(world: World, seven: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (User.objects.count(), GuidelineVersion.objects.count(), Membership.objects.count())
    run = interrupted(world, seven, monkeypatch, create_items=True)
    discard_import(by=world.seat("olga"), run=run)
    run_jobs()
    for model in (Annotation, Assignment, BatchItem, Batch, Gold):
        assert not model.objects.exists(), model
    assert (User.objects.count(), GuidelineVersion.objects.count(), Membership.objects.count()) == before
    assert bring(world, seven).rows_kept == 7


def test_what_is_finished_is_sealed(world: World, seven: Path) -> None:
    bring(world, seven)
    for statement in (
        "DELETE FROM labeling_annotation", "UPDATE labeling_annotation SET comment = 'x'", "DELETE FROM labeling_gold",
        "UPDATE labeling_labeldefinition SET name = 'x' WHERE version_id IN (SELECT id FROM labeling_guidelineversion WHERE status = 'as_imported')",
    ):  # fmt: skip
        with pytest.raises(DatabaseError, match="sealed"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


# --- words of a file ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2014-07-12T00:10:09", "2014-07-11T22:10:09+00:00"), ("2014-07-12T00:10:09Z", "2014-07-12T00:10:09+00:00"),
        ("2014-07-12 00:10:09+02:00", "2014-07-11T22:10:09+00:00"), ("1405123809", "2014-07-12T00:10:09+00:00"),
        ("1405123809000", "2014-07-12T00:10:09+00:00"), ("20140712", "2014-07-11T22:00:00+00:00"),
    ],
)  # fmt: skip
def test_times_as_files_write_them(text: str, iso: str) -> None:
    at = parse_time(text, ZoneInfo("Europe/Berlin"))
    assert at is not None
    assert at.isoformat() == iso


@pytest.mark.parametrize("text", ["", "noon", "2014", "nan", "1e30", "12/07/2014"])
def test_what_is_no_time(text: str) -> None:
    assert parse_time(text, ZoneInfo("UTC")) is None


def test_cohort_names() -> None:
    assert parse_cohorts("crowd=generalist, control_group=expert") == (
        {"crowd": "generalist", "control_group": "expert"},
        "",
    )
    assert parse_cohorts(" expert ") == ({}, "expert")
    assert parse_cohorts("") == ({}, "")
    with pytest.raises(BadValue, match="“novice” is no cohort"):
        parse_cohorts("crowd=novice")
