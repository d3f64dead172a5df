"""Dataset versions: what they hold, that they never change, and what is said when something is left out."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client

from api.datasets import building, clearing, formats
from api.datasets.building import define_dataset, rebuild_dataset
from api.datasets.clearing import clear_leftovers
from api.datasets.comparing import compare_datasets
from api.datasets.files import folder, path_of
from api.datasets.withdrawing import note_withdrawals
from api.models import DatasetNotice, DatasetVersion
from api.queries.datasets import datasets_that_hold
from consistency.adjudication import Ruling, rule_on
from consistency.comparing import compare_batch
from consistency.holding import hold_disagreement
from consistency.models import Disagreement, Slice
from labeling import dispatch, jobs
from labeling.db import seals
from labeling.models import Batch, GuidelineVersion, Item, Job, LabelMapping
from labeling.pseudonyms import pseudonym
from labeling.refusals import BadValue, NotAllowed, Refusal
from labeling.selection import Selection
from labeling.withdrawing import withdraw_item
from tests.api.client import Program, key_for
from tests.worlds import World, publish_plainly, run_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def labeled(world: World, answers: dict[str, tuple[Any, Any]], **extra: Any) -> Batch:
    """A closed batch in which gene and gina gave these answers, compared."""
    batch = world.open_batch(**extra)
    world.say(batch, "gene", {item: pair[0] for item, pair in answers.items()})
    world.say(batch, "gina", {item: pair[1] for item, pair in answers.items()})
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    compare_batch(batch=batch)
    return Batch.objects.select_related("guideline_version", "project").get(pk=batch.pk)


ANSWERS = {
    "n1": ("defect", "defect"),
    "n2": ("no_defect", "no_defect"),
    "n3": ("defect", "no_defect"),
    "n4": (None, None),
    "n5": ("no_defect", "no_defect"),
}


def made(world: World, name: str = "Spring", who: str = "mel", **definition: Any) -> DatasetVersion:
    dataset = define_dataset(by=world.seat(who), name=name, definition=definition)
    run_jobs()
    dataset.refresh_from_db()
    assert dataset.status == "ready", dataset.error
    return dataset


def rows_of(dataset: DatasetVersion) -> list[dict[str, Any]]:
    return list(formats.read_back(str(path_of(dataset)), dataset.format))


def test_hard_labels_with_their_lineage(world: World) -> None:
    batch = labeled(world, ANSWERS)
    dataset = made(world)
    rows = {row["item"]: row for row in rows_of(dataset)}
    assert set(rows) == {"n1", "n2", "n5"}
    assert rows["n1"]["value"] == "defect"
    assert rows["n1"]["method"] == "unanimous"
    assert rows["n1"]["distribution"] == {"defect": 1.0, "no_defect": 0.0}
    assert rows["n1"]["cohorts"] == {"generalist": 2}
    assert len(rows["n1"]["annotations"]) == 2
    assert rows["n1"]["guideline_sha256"] == world.version.body_sha256
    assert rows["n1"]["batch"] == str(batch.uuid)
    assert rows["n1"]["metadata"] == {"camera": "1"}
    excluded = {reason: entry["items"] for reason, entry in dataset.manifest["excluded"].items()}
    assert excluded == {"waits_for_a_ruling": 1, "not_enough_information": 1}
    assert dataset.manifest["labels"] == {"defect": 1, "no_defect": 2}
    assert dataset.manifest["lineage"]["raters"] == sorted(pseudonym(world.member(w).uuid) for w in ("gene", "gina"))
    names = json.dumps(dataset.manifest) + path_of(dataset).read_text()
    assert "Gene" not in names
    assert "gina" not in names


def test_the_file_is_what_the_manifest_says_and_a_second_build_is_the_same(world: World) -> None:
    labeled(world, ANSWERS)
    first, second = made(world), made(world)
    content = path_of(first).read_bytes()
    assert hashlib.sha256(content).hexdigest() == first.sha256 == first.manifest["sha256"]
    assert first.bytes == len(content)
    assert path_of(second).read_bytes() == content
    # Later answers and rulings leave it as it is; the job run again does not build it again.
    job = building.queue_build(first, world.seat("mel"))
    assert job is None
    run_jobs()
    assert path_of(first).read_bytes() == content


def test_a_ready_dataset_is_sealed(world: World) -> None:
    labeled(world, ANSWERS)
    dataset = made(world)
    for sql in (
        "UPDATE api_datasetversion SET sha256 = 'forged' WHERE id = %s",
        "DELETE FROM api_datasetversion WHERE id = %s",
    ):
        with pytest.raises(DatabaseError, match="sealed"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql, [dataset.pk])


def test_unresolved_items_are_kept_with_their_reason_when_asked(world: World) -> None:
    labeled(world, ANSWERS)
    rows = {row["item"]: row for row in rows_of(made(world, include_unresolved=True))}
    assert set(rows) == {"n1", "n2", "n3", "n4", "n5"}
    assert rows["n3"]["value"] is None
    assert rows["n3"]["unresolved"] == "waits_for_a_ruling"
    assert rows["n3"]["distribution"] == {"defect": 0.5, "no_defect": 0.5}
    assert rows["n4"]["unresolved"] == "not_enough_information"
    assert rows["n4"]["cannot_label"] == 2


def test_a_ruling_is_told_with_its_cause(world: World) -> None:
    labeled(world, ANSWERS)
    case = Disagreement.objects.get(batch_item__item__external_id="n3")
    held = hold_disagreement(by=world.seat("sam"), disagreement=case)
    ruling = Ruling(value="defect", cause="ambiguous_definition", outcome="adjudicate", rationale="It is a scratch.")
    seen = held.input_sha256
    rule_on(by=world.seat("sam"), disagreement=held, token=held.hold_token, seen=seen, ruling=ruling)
    row = next(row for row in rows_of(made(world)) if row["item"] == "n3")
    assert (row["value"], row["method"], row["ruling_cause"]) == ("defect", "adjudicated", "ambiguous_definition")
    without = made(world, methods=["unanimous"])
    assert "n3" not in {row["item"] for row in rows_of(without)}
    assert without.manifest["excluded"]["method_not_accepted"]["items"] == 1


def test_every_annotation(world: World) -> None:
    labeled(world, ANSWERS)
    dataset = made(world, labels="annotations", include_unresolved=True)
    rows = rows_of(dataset)
    assert len(rows) == 10
    assert Counter(row["item"] for row in rows) == dict.fromkeys(ANSWERS, 2)
    n3 = [row for row in rows if row["item"] == "n3"]
    assert {row["value"] for row in n3} == {"defect", "no_defect"}
    assert {row["item_value"] for row in n3} == {None}
    assert {row["outcome"] for row in rows if row["item"] == "n4"} == {"cannot_label"}


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("labels", ["hard", "soft", "annotations"])
def test_pandas_reads_it_as_it_is(world: World, form: str, labels: str) -> None:
    import pandas as pd

    labeled(world, ANSWERS)
    dataset = made(world, format=form, labels=labels, include_unresolved=True)
    path = str(path_of(dataset))
    read = {"jsonl": lambda: pd.read_json(path, lines=True), "csv": lambda: pd.read_csv(path),
            "parquet": lambda: pd.read_parquet(path)}[form]  # fmt: skip
    frame = read()
    assert len(frame) == dataset.rows == (10 if labels == "annotations" else 5)
    assert list(frame[frame["item"] == "n1"]["value"].unique()) == ["defect"]
    if form != "jsonl":
        assert list(frame.columns) == dataset.manifest["columns"]
        if labels != "annotations":
            assert frame.set_index("item").loc["n3", "share.defect"] == 0.5


def test_a_formula_is_no_formula_in_the_csv(world: World) -> None:
    payload = {"text": "=cmd|' /C calc'!A0"}
    Item.objects.create(project=world.project, external_id="evil", payload=payload, payload_sha256="0" * 64)
    labeled(world, {**ANSWERS, "evil": ("defect", "defect")})
    text = path_of(made(world, format="csv")).read_text()
    row = next(row for row in csv.DictReader(io.StringIO(text)) if row["item"] == "evil")
    assert row["payload.text"] == "'=cmd|' /C calc'!A0"


def test_exact_stratified_splits_are_18_6_6_for_every_seed(world: World) -> None:
    world.add_items(95)
    labeled(world, {f"n{i}": (("defect",) * 2 if i <= 30 else ("no_defect",) * 2) for i in range(1, 101)})
    members = set()
    for seed in (1, 2, 3):
        dataset = made(world, splits={"method": "stratified", "seed": seed})
        rows = rows_of(dataset)
        counts = Counter(row["split"] for row in rows if row["value"] == "defect")
        assert counts == {"train": 18, "dev": 6, "test": 6}
        assert Counter(row["split"] for row in rows) == {"train": 60, "dev": 20, "test": 20}
        members.add(tuple(row["item"] for row in rows if row["split"] == "test"))
        assert dataset.manifest["splits"]["labels"]["train"]["defect"] == 18
    assert len(members) == 3


def test_grouped_splits_keep_a_group_on_one_side(world: World) -> None:
    world.add_items(55, factory="A")
    labeled(world, {f"n{i}": ("defect", "defect") for i in range(1, 61)})
    rows = rows_of(
        made(world, splits={"method": "grouped", "group_by": "camera", "shares": {"train": 0.5, "test": 0.5}})
    )
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row["metadata"]["camera"], set()).add(row["split"])
    assert all(len(side) == 1 for side in sides.values())


@contextmanager
def unsealed() -> Iterator[None]:
    """Scenes with a history are set up without the editor."""
    with transaction.atomic():
        seals.lift()
        yield
        seals.install()


def relabeled(world: World) -> tuple[GuidelineVersion, Batch]:
    """v2 merges no_defect into clean; one item was labeled again under it."""
    version = publish_plainly(world.project, 2, (("defect", "Defect", "1"), ("clean", "Clean", "0")))
    with unsealed():
        GuidelineVersion.objects.filter(pk=version.pk).update(parent=world.version)
        LabelMapping.objects.create(guideline_version=version, kind="merge", from_key="no_defect", to_key="clean")
    version.refresh_from_db()
    batch = labeled(
        world, {"n1": ("clean", "clean")}, name="Again", version=version,
        selection=Selection(order="as_listed", external_ids=("n1",)),
    )  # fmt: skip
    return version, batch


def test_labels_of_before_are_read_through_the_mapping_and_the_newest_batch_wins(world: World) -> None:
    labeled(world, ANSWERS)
    relabeled(world)
    rows = {row["item"]: row for row in rows_of(made(world))}
    assert (rows["n1"]["value"], rows["n1"]["guideline_version"], rows["n1"]["mapped"]) == ("clean", 2, False)
    assert (rows["n2"]["value"], rows["n2"]["guideline_version"], rows["n2"]["mapped"]) == ("clean", 1, True)
    assert rows["n2"]["method"] == "mapped"
    exact = rows_of(made(world, versions="exact"))
    assert [row["item"] for row in exact] == ["n1"]
    before = {row["item"]: row for row in rows_of(made(world, guideline_version=1))}
    assert (before["n1"]["value"], before["n2"]["value"]) == ("defect", "no_defect")


def test_a_label_whose_definition_changed_is_left_out(world: World) -> None:
    labeled(world, ANSWERS)
    version = publish_plainly(world.project, 2)
    with unsealed():
        GuidelineVersion.objects.filter(pk=version.pk).update(parent=world.version)
        version.labels.filter(key="defect").update(definition="Longer than 0.3 mm.")
    dataset = made(world)
    assert {row["item"] for row in rows_of(dataset)} == {"n2", "n5"}
    assert dataset.manifest["excluded"]["definition_changed"]["items"] == 1


def test_one_cohort_alone(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 2, "expert": 1})
    world.say(batch, "gene", {f"n{i}": "defect" for i in range(1, 6)})
    world.say(batch, "gina", {f"n{i}": "defect" if i > 2 else "no_defect" for i in range(1, 6)})
    world.say(batch, "ella", {f"n{i}": "no_defect" for i in range(1, 6)})
    compare_batch(batch=batch)
    experts = rows_of(made(world, cohort="expert"))
    assert {row["value"] for row in experts} == {"no_defect"}
    assert {row["method"] for row in experts} == {"single"}
    generalists = made(world, cohort="generalist")
    assert {row["item"] for row in rows_of(generalists)} == {"n3", "n4", "n5"}
    assert generalists.manifest["excluded"]["tie"]["items"] == 2


def test_a_slice_and_its_frozen_members(world: World) -> None:
    labeled(world, ANSWERS)
    Slice.objects.create(project=world.project, key="cam2", name="Camera 2", filter={"metadata": {"camera": "2"}})
    dataset = made(world, slice="cam2")
    assert {row["item"] for row in rows_of(dataset)} == {"n2", "n5"}
    assert dataset.manifest["slice"]["filter"] == {"metadata": {"camera": "2"}}
    assert len(dataset.manifest["items_sha256"]) == 64


def test_a_withdrawn_item_is_noted_beside_old_versions_and_left_out_of_the_next(world: World) -> None:
    labeled(world, ANSWERS)
    old = made(world)
    other = made(world, methods=["adjudicated"])
    content, manifest = path_of(old).read_bytes(), old.manifest
    withdraw_item(by=world.seat("olga"), item=world.items[0], reason="The person took back their consent.")
    mel = Program(key_for(world, "mel"))
    for path in (f"datasets/{old.uuid}", f"datasets/{old.uuid}/notices"):
        assert mel.get(path).status_code == 200
    assert not DatasetNotice.objects.exists(), "reading writes nothing"
    assert note_withdrawals() == 1
    assert note_withdrawals() == 0
    assert len(mel.get(f"datasets/{old.uuid}/notices").json()["notices"]) == 1
    old.refresh_from_db()
    assert (path_of(old).read_bytes(), old.manifest) == (content, manifest)
    notice = DatasetNotice.objects.get(dataset_version=old)
    assert notice.reason == "Item n1 was withdrawn: The person took back their consent."
    assert not DatasetNotice.objects.filter(dataset_version=other).exists()
    assert "n1" not in {row["item"] for row in rows_of(made(world))}
    client = Client()
    client.force_login(world.people["mel"])
    page = client.get(f"/projects/phones/datasets/{old.uuid}/").content.decode()
    assert "took back their consent" in page


def test_what_changed_between_two_versions(world: World) -> None:
    labeled(world, ANSWERS)
    old = made(world)
    relabeled(world)
    withdraw_item(by=world.seat("olga"), item=world.items[4], reason="Blurred.")
    new = made(world)
    job = compare_datasets(by=world.seat("mel"), old=old, new=new)
    run_jobs()
    job.refresh_from_db()
    result = job.result
    assert (result["in_both"], result["added"], result["removed"]) == (2, 0, 1)
    assert result["from_to"] == [
        {"from": "defect", "to": "clean", "items": 1}, {"from": "no_defect", "to": "clean", "items": 1},
    ]  # fmt: skip
    assert result["removed_items"] == ["n5"]
    assert compare_datasets(by=world.seat("mel"), old=old, new=new).pk == job.pk
    with pytest.raises(BadValue, match="another dataset"):
        compare_datasets(by=world.seat("mel"), old=old, new=old)


def test_which_versions_hold_labels_of_a_rater(world: World) -> None:
    labeled(world, ANSWERS)
    dataset = made(world)
    gene = pseudonym(world.member("gene").uuid)
    assert [row["uuid"] for row in datasets_that_hold(world.project, rater=gene)] == [str(dataset.uuid)]
    assert datasets_that_hold(world.project, rater=pseudonym(world.member("ella").uuid)) == []
    assert len(datasets_that_hold(world.project, guideline_version="1")) == 1
    assert datasets_that_hold(world.project, guideline_version="2") == []


def test_an_empty_dataset_is_a_valid_file_and_says_why(world: World) -> None:
    for form in ("jsonl", "csv", "parquet"):
        dataset = made(world, format=form)
        assert dataset.rows == 0
        assert rows_of(dataset) == []
        assert dataset.manifest["excluded"]["in_no_batch"]["items"] == 5


@pytest.mark.parametrize(
    ("definition", "field"),
    [
        ({"format": "xml"}, "format"),
        ({"labels": "harder"}, "labels"),
        ({"guideline_version": 9}, "guideline_version"),
        ({"slice": "night"}, "slice"),
        ({"batch": "none"}, "batch"),
        ({"methods": ["guess"]}, "methods"),
        ({"cohort": "robots"}, "cohort"),
        ({"include_unresolved": "yes"}, "include_unresolved"),
        ({"splits": {"method": "random", "shares": {"train": 0.6, "test": 0.6}}}, "shares"),
        ({"splits": {"method": "random", "seed": -1}}, "seed"),
        ({"splits": {"method": "random", "group_by": "camera"}}, "group_by"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_definition_is_refused_by_field(world: World, definition: dict[str, Any], field: str) -> None:
    with pytest.raises(BadValue) as refused:
        define_dataset(by=world.seat("mel"), name="X", definition=definition)
    assert refused.value.data["field"] == field
    assert not DatasetVersion.objects.exists()


def test_who_may_define(world: World) -> None:
    for who in ("sam", "gene"):
        with pytest.raises(NotAllowed):
            define_dataset(by=world.seat(who), name="X", definition={})


def test_a_full_disk_fails_the_dataset_with_words_and_it_can_be_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    labeled(world, ANSWERS)

    def full(*_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(formats, "write", full)
        dataset = define_dataset(by=world.seat("mel"), name="Spring", definition={})
        with pytest.raises(AssertionError, match="No space left"):
            run_jobs()
    dataset.refresh_from_db()
    assert (dataset.status, dataset.error) == ("failed", "The file could not be written: No space left on device.")
    assert list(folder().iterdir()) == []
    rebuild_dataset(by=world.seat("mel"), dataset=dataset)
    run_jobs()
    dataset.refresh_from_db()
    assert dataset.status == "ready"
    with pytest.raises(Refusal, match="could not be built"):
        rebuild_dataset(by=world.seat("mel"), dataset=dataset)


def test_a_build_whose_worker_was_killed_too_often_can_be_tried_again(world: World) -> None:
    """Nobody was left to say in the row that it failed: its job says so."""
    labeled(world, ANSWERS)
    dataset = define_dataset(by=world.seat("mel"), name="Spring", definition={})
    with pytest.raises(Refusal, match="could not be built"):
        rebuild_dataset(by=world.seat("mel"), dataset=dataset)
    Job.objects.filter(kind="build_dataset").update(status="failed", error="The worker stopped 5 times.")
    rebuild_dataset(by=world.seat("mel"), dataset=dataset)
    run_jobs()
    dataset.refresh_from_db()
    assert dataset.status == "ready"


def test_a_worker_that_lost_the_job_leaves_the_other_workers_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker stalls before its last step; the second finishes; the first must change nothing."""
    labeled(world, ANSWERS)
    dataset = define_dataset(by=world.seat("mel"), name="Spring", definition={})
    slow, fast = jobs.take(), None
    assert slow is not None
    original = building.make_manifest

    def stall(*args: Any, **kwargs: Any) -> dict[str, Any]:
        nonlocal fast
        if fast is None:
            type(slow).objects.filter(pk=slow.pk).update(lease_until="2020-01-01T00:00Z")
            fast = jobs.take()
            assert fast is not None
            assert jobs.run(fast, heartbeat=False).status == "done"
        return original(*args, **kwargs)

    monkeypatch.setattr(building, "make_manifest", stall)
    jobs.run(slow, heartbeat=False)
    dataset.refresh_from_db()
    assert dataset.status == "ready"
    assert hashlib.sha256(path_of(dataset).read_bytes()).hexdigest() == dataset.sha256
    assert sorted(path.suffix for path in folder().iterdir()) == [".items", ".jsonl"]


class KilledError(BaseException):
    """The worker is gone: nothing of its own runs any more."""


def test_what_a_killed_build_left_is_swept_and_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    labeled(world, ANSWERS)
    ready = made(world)
    dataset = define_dataset(by=world.seat("mel"), name="Killed", definition={})
    killed = jobs.take()
    assert killed is not None

    def kill(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(building, "_to_disk", kill)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # kill -9 cleans nothing up
        with pytest.raises(KilledError):
            building.build_dataset(jobs.JobRun(killed))
    left = {path for path in folder().iterdir() if str(dataset.uuid) in path.name}
    kept = set(folder().iterdir()) - left
    assert {path.suffix for path in left} == {".raw", ".part"}
    other = folder() / "notes.part"
    other.write_text("An operator's own.")
    later = time.time() + 2 * 3600
    assert clear_leftovers() == 0, "written a moment ago"
    assert clear_leftovers(later) == 0, "the build is running"
    Job.objects.filter(pk=killed.pk).update(lease_until="2020-01-01T00:00Z")
    run_jobs()
    dataset.refresh_from_db()
    assert dataset.status == "ready"
    orphan = path_of(dataset).with_name(path_of(dataset).name.replace("-2.", "-1."))
    orphan.write_bytes(b"whole, but killed before the row said so")
    assert left | {orphan} <= set(folder().iterdir())
    assert clear_leftovers(later) == 3
    whole = {path_of(dataset), path_of(dataset).with_suffix(".items")}
    assert set(folder().iterdir()) == kept | whole | {other}
    assert path_of(ready) in kept


def test_control_without_its_look_at_the_jobs_the_sweep_would_take_a_running_build(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    labeled(world, ANSWERS)
    dataset = define_dataset(by=world.seat("mel"), name="Running", definition={})
    running = jobs.take()
    assert running is not None
    path = folder() / f"phones-{dataset.number}-{dataset.uuid}-{running.attempts}.raw"
    path.write_text("{}")
    later = time.time() + 2 * 3600
    assert clear_leftovers(later) == 0
    monkeypatch.setattr(clearing, "build_key", lambda dataset: "another")
    assert clear_leftovers(later) == 1


# --- serving --------------------------------------------------------------------------------------


@pytest.fixture
def served(world: World) -> tuple[Client, str, bytes, DatasetVersion]:
    labeled(world, ANSWERS)
    dataset = made(world)
    client = Client()
    client.force_login(world.people["mel"])
    return client, f"/projects/phones/datasets/{dataset.uuid}/content/", path_of(dataset).read_bytes(), dataset


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def test_a_cut_download_is_resumed(served: tuple[Client, str, bytes, DatasetVersion]) -> None:
    client, url, content, dataset = served
    whole = client.get(url)
    assert body(whole) == content
    assert whole["ETag"] == f'"{dataset.sha256}"'
    assert int(whole["Content-Length"]) == len(content)
    head = client.head(url)
    assert (head.status_code, int(head["Content-Length"]), head["Accept-Ranges"]) == (200, len(content), "bytes")
    first = client.get(url, headers={"Range": "bytes=0-99"})
    rest = client.get(url, headers={"Range": "bytes=100-", "If-Range": whole["ETag"]})
    assert (first.status_code, rest.status_code) == (206, 206)
    assert body(first) + body(rest) == content
    assert rest["Content-Range"] == f"bytes 100-{len(content) - 1}/{len(content)}"
    assert body(client.get(url, headers={"Range": "bytes=-7"})) == content[-7:]
    assert client.get(url, headers={"If-None-Match": whole["ETag"]}).status_code == 304


@pytest.mark.parametrize("header", ["bytes=5-2", "lines=1-2", "bytes=0-1,3-4", "bytes=-", "bytes=a-b"])
def test_a_range_that_says_nothing_gets_the_whole_file(served: Any, header: str) -> None:
    client, url, content, _ = served
    response = client.get(url, headers={"Range": header})
    assert (response.status_code, body(response)) == (200, content)


def test_a_range_outside_and_another_file(served: Any) -> None:
    client, url, content, _ = served
    outside = client.get(url, headers={"Range": f"bytes={len(content)}-"})
    assert (outside.status_code, outside["Content-Range"]) == (416, f"bytes */{len(content)}")
    changed = client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (changed.status_code, body(changed)) == (200, content)


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_the_command_writes_a_folder(world: World, tmp_path: Path, form: str) -> None:
    import pandas as pd

    world.add_items(15)
    labeled(world, {f"n{i}": ("defect" if i % 2 else "no_defect",) * 2 for i in range(1, 21)})
    out = tmp_path / "out"
    call_command("export", "phones", out=out, format=form, split="stratified")
    assert sorted(path.name for path in (out / "data").iterdir()) == [f"{s}.{form}" for s in ("dev", "test", "train")]
    reader = {"jsonl": lambda p: pd.read_json(p, lines=True), "csv": pd.read_csv, "parquet": pd.read_parquet}[form]
    train = reader(str(out / "data" / f"train.{form}"))
    assert len(train) == 12
    assert set(train["split"]) == {"train"}
    manifest = json.loads((out / "manifest.json").read_text())
    card = (out / "README.md").read_text()
    assert f'path: "data/dev.{form}"' in card
    assert "- split: validation" in card
    assert manifest["sha256"] in card
    with pytest.raises(CommandError, match="not an empty folder"):
        call_command("export", "phones", out=out)


def test_the_command_names_what_is_wrong(world: World, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no project 'nowhere'"):
        call_command("export", "nowhere", out=tmp_path / "a")
    with pytest.raises(CommandError, match="There is no slice night"):
        call_command("export", "phones", out=tmp_path / "a", slice="night")
    dataset = made(world)
    path_of(dataset).write_bytes(b"forged")
    with pytest.raises(CommandError, match="not what was built"):
        call_command("export", str(dataset.uuid), out=tmp_path / "a")
    assert not (tmp_path / "a").exists()
