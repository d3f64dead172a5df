"""Stories of the ledger as a file: all of it, told apart when cut, safe in a spreadsheet, flat in memory."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from labeling import dispatch, export
from labeling.claiming import claim_next
from labeling.export import Ledger
from labeling.formats.cells import cell
from labeling.hashing import sha256_json
from labeling.models import Annotation, Assignment, BatchItem, Exclusion, Item
from labeling.pseudonyms import pseudonym
from labeling.submission import Answer, reveal_item, submit_annotation
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


def say(world: World, name: str, batch, count: int = 1, **answer):
    places = []
    for _ in range(count):
        place = claim_next(by=world.people[name], batch=batch, slots=1).places[0]
        submit_annotation(
            by=world.people[name], batch=batch, assignment=place.uuid, token=place.claim_token,
            answer=Answer(**{"value": "defect", **answer}),
        )  # fmt: skip
        places.append(place)
    return places


def revise(world: World, name: str, batch, place, **answer) -> None:
    submit_annotation(
        by=world.people[name], batch=batch, assignment=place.uuid, token=place.claim_token, answer=Answer(**answer),
        revises=True,
    )  # fmt: skip


def jsonl(ledger: Ledger) -> list[dict]:
    return [json.loads(line) for line in b"".join(ledger.stream("jsonl")).decode().splitlines()]


def frame(ledger: Ledger) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(b"".join(ledger.stream("csv"))), dtype=str, keep_default_na=False)


@pytest.fixture
def batch(world: World):
    return world.open_batch()


def ledger(world: World, batch, **more) -> Ledger:
    return Ledger(project=world.project, batches=[batch], **more)


def test_every_revision_is_there_and_says_whether_it_counts(world: World, batch) -> None:
    (place,) = say(world, "gene", batch, comment="first thought", seconds=2.5)
    revise(world, "gene", batch, place, value="no_defect")
    reveal_item(batch_item=BatchItem.objects.get(batch=batch, rank=0), at=timezone.now())
    revise(world, "gene", batch, place, value="defect", borderline=True, second_value="no_defect")
    say(world, "gina", batch, value=None, outcome="cannot_label", reason="glare")
    rows = jsonl(ledger(world, batch))[:-1]
    assert [(row["revision"], row["counts"], row["counts_for_agreement"], row["blind"]) for row in rows] == [
        (1, False, False, True),
        (2, False, True, True),
        (3, True, False, False),
        (1, True, False, False),
    ]
    first, third, ginas = rows[0], rows[2], rows[3]
    assert first["item"] == "n1"
    assert first["payload"] == {"text": "Note number 1: a mark near the camera."}
    assert (first["place"], first["cohort"], first["comment"], first["seconds"]) == (
        str(place.uuid), "generalist", "first thought", 2.5,
    )  # fmt: skip
    assert (first["guideline_version"], first["guideline_sha256"]) == (1, world.version.body_sha256)
    assert (third["borderline"], third["second_value"], third["origin"]) == (True, "no_defect", "browser")
    assert (ginas["value"], ginas["outcome"], ginas["reason"]) == (None, "cannot_label", "glare")


def test_pandas_reads_the_csv_as_it_is(world: World, batch) -> None:
    say(world, "gene", batch, 5)
    say(world, "gina", batch, 3, value="no_defect", comment='with "quotes", commas\nand a new line')
    table = pd.read_csv(io.BytesIO(b"".join(ledger(world, batch).stream("csv"))))
    assert len(table) == 8
    assert list(table["row"]) == list(range(1, 9))
    assert table["value"].value_counts().to_dict() == {"defect": 5, "no_defect": 3}
    assert table["payload.text"].notna().all()
    assert table.pivot(index="item", columns="rater", values="value").shape == (5, 2)
    assert table["comment"].dropna().unique().tolist() == ['with "quotes", commas\nand a new line']


def test_what_is_set_aside_stays_in_the_file_and_says_so(world: World, batch) -> None:
    say(world, "gene", batch)
    (ginas,) = say(world, "gina", batch)
    olga = world.people["olga"]
    Exclusion.objects.create(member=world.member("gene"), reason="tested the desk", by=olga, at=timezone.now())
    lifted = Exclusion.objects.create(assignment=ginas, reason="by mistake", by=olga, at=timezone.now())
    by_rater = {row["rater"]: (row["set_aside"], row["counts"]) for row in jsonl(ledger(world, batch))[:-1]}
    assert set(by_rater.values()) == {(True, False)}
    Exclusion.objects.filter(pk=lifted.pk).update(lifted_at=timezone.now())
    by_rater = {row["rater"]: (row["set_aside"], row["counts"]) for row in jsonl(ledger(world, batch))[:-1]}
    assert by_rater[pseudonym(world.member("gina").uuid)] == (False, True)


def test_extra_places_count_for_labels_and_not_for_agreement(world: World, batch) -> None:
    (place,) = say(world, "gene", batch)
    Assignment.objects.filter(pk=place.pk).update(origin="extra")
    (row, _end) = jsonl(ledger(world, batch))
    assert (row["counts"], row["counts_for_agreement"]) == (True, False)


def test_a_cut_file_is_told_from_a_whole_one(world: World, batch) -> None:
    say(world, "gene", batch, 5)
    raw = b"".join(ledger(world, batch).stream("jsonl"))
    *lines, last = raw.decode().splitlines(keepends=True)
    end = json.loads(last)
    assert end == {"end": True, "rows": 5, "sha256": hashlib.sha256("".join(lines).encode()).hexdigest()}


def test_an_export_that_moved_breaks_off(world: World, batch, monkeypatch: pytest.MonkeyPatch) -> None:
    say(world, "gene", batch, 2)
    moving = ledger(world, batch)
    monkeypatch.setattr(moving, "count", lambda: 3)
    for form in export.FORMATS:
        with pytest.raises(export.LedgerMovedError):
            b"".join(moving.stream(form))


def test_answers_given_while_it_runs_are_not_half_in(world: World, batch) -> None:
    say(world, "gene", batch, 2)
    running = ledger(world, batch)
    say(world, "gina", batch, 1)
    assert len(jsonl(running)) == 3


FORMULAS = ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1"]


@pytest.mark.parametrize("text", FORMULAS, ids=repr)
def test_no_cell_runs_in_a_spreadsheet(text: str) -> None:
    assert cell(text) == "'" + text


@pytest.mark.parametrize("text", ["-3", "+3.5", "-1e5", "a=1", "", "'=1"], ids=repr)
def test_numbers_and_plain_text_stay_as_they_are(text: str) -> None:
    assert cell(text) == text


def test_formulas_are_made_safe_wherever_they_come_from() -> None:
    world = World.build(items=0)
    payload = {"text": "=HYPERLINK(1)"}
    Item.objects.create(project=world.project, external_id="@id", payload=payload, payload_sha256=sha256_json(payload))
    batch = world.open_batch("=name")
    say(world, "gene", batch, comment="+cmd|calc")
    say(world, "gina", batch, value=None, outcome="cannot_label", reason="-1+1")
    raw = b"".join(ledger(world, batch).stream("csv")).decode()
    cells = [value for row in csv.reader(io.StringIO(raw)) for value in row]
    assert not [value for value in cells if value.startswith(tuple("=+-@"))]
    assert {"'=HYPERLINK(1)", "'@id", "'=name", "'+cmd|calc", "'-1+1"} <= set(cells)
    assert jsonl(ledger(world, batch))[0]["payload"] == payload, "JSON lines carry what was there"


def test_names_are_there_when_asked_for_and_pseudonyms_stay_the_same(world: World, batch) -> None:
    second = world.open_batch("Second")
    say(world, "gene", batch)
    say(world, "gene", second)
    plain = frame(ledger(world, batch))
    assert "rater_name" not in plain
    assert "Gene" not in b"".join(ledger(world, batch).stream("csv")).decode()
    named = frame(ledger(world, batch, names=True))
    assert named["rater_name"].tolist() == ["Gene Ralston"]
    assert frame(ledger(world, second))["rater"].tolist() == plain["rater"].tolist()
    assert str(world.member("gene").uuid) not in b"".join(ledger(world, batch).stream("jsonl")).decode()


def test_a_project_without_declared_fields_has_its_payload_in_one_column(world: World, batch) -> None:
    say(world, "gene", batch)
    world.project.payload_schema = {}
    (payload,) = frame(ledger(world, batch))["payload"]
    assert json.loads(payload) == {"text": "Note number 1: a mark near the camera."}


def test_an_empty_batch_is_a_header_and_a_trailer(world: World, batch) -> None:
    assert len(frame(ledger(world, batch))) == 0
    assert jsonl(ledger(world, batch)) == [
        {"end": True, "rows": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    ]  # fmt: skip


# --- the button -----------------------------------------------------------------------------------


def download(world: World, name: str, batch, **query):
    client = Client()
    client.force_login(world.people[name])
    return client.get(reverse("labeling:batch_export", args=[world.project.slug, batch.uuid]), query)


def test_the_button_streams_and_names_its_rows(world: World, batch) -> None:
    say(world, "gene", batch, 3)
    response = download(world, "mel", batch)
    assert response.streaming
    assert response["X-Concord-Rows"] == "3"
    assert "phones-first-look-3-annotations.csv" in response["Content-Disposition"]
    assert len(pd.read_csv(io.BytesIO(response.getvalue()))) == 3
    assert download(world, "mel", batch, format="xlsx").status_code == 422
    assert b"Gene Ralston" in download(world, "olga", batch, names="1").getvalue()
    assert download(world, "mel", batch, names="1").status_code == 403


# --- the command ----------------------------------------------------------------------------------


def test_the_command_writes_a_file_that_appears_whole(world: World, batch, tmp_path: Path, capsys) -> None:
    say(world, "gene", batch, 4)
    out = tmp_path / "labels.jsonl"
    call_command("export_labels", "phones", format="jsonl", out=out)
    assert out.read_text().count("\n") == 5
    assert list(tmp_path.iterdir()) == [out]
    assert "4 rows" in capsys.readouterr().err
    with pytest.raises(CommandError, match="Cannot write"):
        call_command("export_labels", "phones", out=tmp_path / "no" / "such" / "folder.csv")


def test_the_command_leaves_nothing_when_it_breaks(world: World, batch, tmp_path: Path, monkeypatch) -> None:
    say(world, "gene", batch)
    monkeypatch.setattr(Ledger, "count", lambda self: 9)
    with pytest.raises(CommandError, match="moved during the export"):
        call_command("export_labels", str(batch.uuid), out=tmp_path / "labels.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (["nowhere"], "no project 'nowhere'. Projects: phones"),
        (["11111111-1111-1111-1111-111111111111"], "There is no batch 11111111"),
        (["phones-otto"], "has no batch yet"),
    ],
)
def test_the_command_names_what_is_wrong(world: World, batch, what: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("export_labels", *what)


# --- size -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_stays_flat_and_queries_grow_with_pages_only() -> None:
    def peak(items: int, slug: str) -> tuple[int, int]:
        world = World.build(items=items, slug=slug, with_otto=False)
        batch = world.open_batch(quotas={"generalist": 1})
        now, member = timezone.now(), world.member("gene")
        Assignment.objects.filter(batch=batch).update(status="submitted", member=member, finished_at=now)
        Annotation.objects.bulk_create(
            [
                Annotation(
                    assignment_id=pk, revision=1, guideline_version=world.version, value="defect", value_sha256="x",
                    outcome="labeled", origin="simulated", blind=True, comment="c" * 200, at=now,
                )
                for pk in Assignment.objects.filter(batch=batch).values_list("pk", flat=True)
            ],
            batch_size=500,
        )  # fmt: skip
        exported = ledger(world, batch)
        with CaptureQueriesContext(connection) as queries:
            tracemalloc.start()
            for _piece in exported.stream("csv"):
                pass
            _now, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert exported.written == items
        return most, len(queries)

    small, few = peak(400, "small")
    large, many = peak(4000, "large")
    assert large < 1.5 * small + 2_000_000
    assert many - few == 18, "one read per 200 items"


def test_closed_and_reopened_batches_export_all_the_same(world: World, batch) -> None:
    say(world, "gene", batch, 2)
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    assert len(jsonl(ledger(world, batch))) == 3
