"""Items over REST: sent in every format, reported row by row, found by filters, withdrawn."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError
from django.db.models import QuerySet
from django.test import override_settings

from api.views.rest.receiving import json_lines
from labeling.importing.predictions import Checker
from labeling.models import ImportRun, Item
from tests.api.client import Program, key_for
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db

ROWS = [
    {"external_id": "a-1", "text": "A crack, “long”.", "camera": "left", "tags": "night;wet"},
    {"external_id": "a-2", "text": "Nothing.\nAt all.", "camera": "right", "tags": ""},
]


@pytest.fixture
def mel(world: World) -> Program:
    return Program(key_for(world, "mel"))


def as_json(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows, indent=2).encode()


def as_wrapped(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps({"items": rows}).encode()


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


FORMATS = [
    ("application/json", as_json),
    ("application/json; charset=utf-8", as_wrapped),
    ("application/x-ndjson", as_lines),
    ("text/csv", as_csv),
    ("application/vnd.apache.parquet", as_parquet),
]


@pytest.mark.parametrize(("kind", "write"), FORMATS, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_every_format_brings_in_the_same_items(world: World, mel: Program, kind: str, write: Any) -> None:
    sent = mel.post("items", write(ROWS), kind=kind)
    assert sent.status_code == 202
    assert sent["Location"] == sent.json()["url"]
    run_jobs()
    done = mel.get(f"imports/{sent.json()['uuid']}").json()
    assert (done["status"], done["rows_read"], done["rows_kept"]) == ("done", 2, 2)
    assert mel.get(f"jobs/{sent.json()['job']}").json()["status"] == "done"
    found = mel.everything("items?external_id=a-1")[0]
    assert found["payload"] == {"text": "A crack, “long”."}
    assert found["metadata"] == {"camera": "left"}
    assert found["tags"] == ["night", "wet"]
    again = mel.post("items", write(ROWS), kind=kind)
    assert again.status_code == 200
    assert again.json()["uuid"] == sent.json()["uuid"]
    assert Item.objects.filter(external_id__startswith="a-").count() == 2


def test_a_report_names_row_field_and_reason(world: World, mel: Program) -> None:
    rows = [
        {"external_id": "b-1", "text": "Good."},
        {"external_id": "b-2", "text": ""},
        {"external_id": "b-1", "text": "Other."},
    ]
    sent = mel.post("items", rows)
    run_jobs_quietly()
    report = mel.get(f"imports/{sent.json()['uuid']}").json()
    assert (report["status"], report["rows_refused"]) == ("refused", 2)
    assert [(row["row"], row["code"]) for row in report["errors"]["listed"]] == [(2, "empty"), (3, "id_twice")] or (
        [row["row"] for row in report["errors"]["listed"]] == [2, 3]
    )
    assert not Item.objects.filter(external_id="b-1").exists()
    some = mel.post("items?skip_refused=true", rows)
    run_jobs()
    assert mel.get(f"imports/{some.json()['uuid']}").json()["rows_kept"] == 1


def run_jobs_quietly() -> None:
    from labeling import jobs

    while (job := jobs.take()) is not None:
        jobs.run(job, heartbeat=False)


def test_a_mapping_may_be_given(world: World, mel: Program) -> None:
    body = b"key;note;where\nc-1;A scratch.;hall\n"
    mapping = {"external_id": "key", "payload": {"text": "note"}, "metadata": {"place": "where"}}
    sent = mel.post(f"items?mapping={json.dumps(mapping)}", body, kind="text/csv")
    assert sent.status_code == 202, sent.content
    run_jobs()
    assert mel.everything("items?metadata[place]=hall")[0]["external_id"] == "c-1"
    wrong = [
        ("[]", "object"), ("{", "object"), ('{"payload": 1}', "kind"), ('{"nonsense": 1}', "no 'nonsense'"),
        ('{"payload": {"text": "absent"}}', "absent"), ('{"external_id": "\\u0000"}', "stored"),
        ('{"images": "/etc"}', "no 'images'"),
    ]  # fmt: skip
    for text, words in wrong:
        reply = mel.post(f"items?mapping={text}", body, kind="text/csv")
        assert reply.status_code == 422, text
        assert words in reply.json()["message"], reply.json()
    assert not ImportRun.objects.filter(status="checking").exists(), "a refused upload leaves nothing that waits"


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b" ", "application/json", 400, "bad_json"),
        (b"{}", "application/json", 400, "bad_json"),
        (b'[{"a": 1}', "application/json", 400, "bad_json"),
        (b'[{"a": 1}] x', "application/json", 400, "bad_json"),
        (b'[{"a": 1, "a": 2}]', "application/json", 400, "bad_json"),
        (b"[1, 2]", "application/json", 400, "bad_json"),
        (b"[\xff]", "application/json", 400, "bad_json"),
        (b"[]", "application/json", 400, "empty"),
        (b"[" * 50_000, "application/json", 400, "bad_json"),
        (b"\x00\x01", "text/csv", 422, "bad_file"),
        (b"id,id\n1,2\n", "text/csv", 422, "bad_file"),
        (b"PAR1 no parquet", "application/vnd.apache.parquet", 422, "bad_file"),
        (b"PK\x03\x04 no zip", "application/zip", 422, "bad_file"),
        (b"a,b\n1,2\n", "text/csv", 422, "no_column"),
        (b"text\nx\n", "text/html", 415, "bad_content_type"),
        (b"text\nx\n", "multipart/form-data; boundary=x", 415, "bad_content_type"),
    ],
)
def test_bodies_that_cannot_be_taken(
    world: World, mel: Program, body: bytes, kind: str, status: int, code: str
) -> None:
    uploads = Path(settings.MEDIA_ROOT) / "uploads"
    before = set(uploads.glob("*/*"))
    reply = mel.post("items", body, kind=kind)
    assert (reply.status_code, reply.json()["code"]) == (status, code), reply.content
    assert not Item.objects.filter(project=world.project).exclude(external_id__startswith="n").exists()
    # A refused upload's file goes by its clearing job, an unreadable body is never stored at all.
    assert set(uploads.glob("*/*")) == before or status == 422


def test_a_body_that_is_too_large_is_refused(world: World, mel: Program) -> None:
    with override_settings(UPLOAD_MAX_BYTES=1000):
        announced = mel.post("items", b"text\n" + b"x" * 2000, kind="text/csv")
        assert (announced.status_code, announced.json()["code"]) == (413, "too_large")
    assert not ImportRun.objects.exists()


def test_a_json_array_is_read_piece_by_piece() -> None:
    rows = [{"n": n, "text": "ä" * (n % 50), "inner": [{"a": [1, 2, "]}"]}]} for n in range(300)]
    whole = json.dumps(rows, ensure_ascii=False).encode()
    for size in (1, 7, 100, 100_000):
        pieces = iter([whole[start : start + size] for start in range(0, len(whole), size)])
        lines = b"".join(json_lines(pieces)).decode().splitlines()
        assert [json.loads(line) for line in lines] == rows


def test_filters_and_pages(world: World, mel: Program) -> None:
    world.add_items(7, camera="x", range="far")
    assert [row["external_id"] for row in mel.everything("items?metadata[camera]=x&limit=3")] == [
        f"n{n}" for n in range(6, 13)
    ]
    assert len(mel.everything("items?metadata[range]=far&metadata[camera]=x")) == 7
    for odd in ("metadata[isnull]=x", "metadata[in]=1", "metadata[camera]=nan", "metadata[a'b]=1e999", "metadata[0]=1"):
        assert mel.everything(f"items?{odd}") == []
    assert mel.everything("items?tag=absent") == []
    refused = [
        ("items?colour=red", "unknown_parameter"), ("items?limit=0", "bad_value"), ("items?limit=x", "bad_value"),
        ("items?after=x", "bad_cursor"), ("items?after=WyJhIl0", "bad_cursor"), ("items?limit=1&limit=2", "bad_value"),
        ("items?tag=%00", "bad_value"), ("items?metadata[a__b]=1", "bad_value"),
    ]  # fmt: skip
    for path, code in refused:
        reply = mel.get(path)
        assert (path, reply.status_code, reply.json()["code"]) == (path, 422, code)


def test_queries_do_not_grow_with_rows(world: World, mel: Program, django_assert_max_num_queries: Any) -> None:
    def count(path: str) -> int:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as seen:
            assert mel.get(path).status_code == 200
        return len(seen)

    world.open_batch()
    mel.get("annotations")  # notes the token's use, and numbers what is there
    few = {
        path: count(f"{path}?limit=500")
        for path in ("items", "members", "batches", "jobs", "guidelines", "annotations")
    }
    world.add_items(995)
    run_jobs()
    for number in range(10):
        world.open_batch(f"Batch {number}", read=False)
    for path, queries in few.items():
        assert count(f"{path}?limit=500") == queries, path


def test_withdrawing_takes_an_item_out(world: World) -> None:
    olga = Program(key_for(world, "olga"))
    uuid = world.items[0].uuid
    assert olga.post(f"items/{uuid}/withdraw", {"reason": ""}).status_code == 422
    gone = olga.post(f"items/{uuid}/withdraw", {"reason": "Consent was withdrawn."})
    assert gone.json()["withdrawn_at"] is not None
    assert str(uuid) not in {row["uuid"] for row in olga.everything("items")}
    assert olga.get(f"items/{uuid}").json()["withdrawn_at"] is not None


def test_predictions_stay_in_the_shadow(world: World, mel: Program) -> None:
    def send(*rows: dict[str, Any], version: str = "1") -> Any:
        return mel.post("predictions", {"model_name": "eye", "model_version": version, "predictions": list(rows)})

    first = send({"external_id": "n1", "value": "defect", "probabilities": {"defect": 0.8, "no_defect": 0.2}})
    assert first.json() == {"kept": 1, "unchanged": 0, "refused": []}
    again = send(
        {"item": str(world.items[0].uuid), "value": "defect"},
        {"external_id": "n2", "value": "nonsense"},
        {"external_id": "absent", "value": "defect"},
        {"external_id": "n3", "value": "defect", "probabilities": {"defect": 2}},
        {"external_id": "n4", "value": "no_defect"},
    )
    assert (again.json()["kept"], again.json()["unchanged"]) == (1, 1)
    assert [row["position"] for row in again.json()["refused"]] == [1, 2, 3]
    other = send({"external_id": "n1", "value": "no_defect"})
    assert other.json()["refused"][0]["code"] == "predicted"
    assert send({"external_id": "n1", "value": "no_defect"}, version="2").json()["kept"] == 1
    assert len(mel.everything("predictions?model_name=eye")) == 3
    assert [row["value"] for row in mel.everything("predictions?model_version=2")] == ["no_defect"]
    strange = send({"external_id": "n5", "probabilities": {"defect": 0.5, "scratch": 0.5}}).json()["refused"]
    assert [(row["code"], "scratch" in row["reason"]) for row in strange] == [("bad_value", True)]
    likeliest = send({"external_id": "n5", "probabilities": {"defect": 0.3, "no_defect": 0.7}})
    assert likeliest.json()["kept"] == 1
    assert [row["value"] for row in mel.everything(f"predictions?item={world.items[4].uuid}")] == ["no_defect"]
    twice = send({"external_id": "n1", "value": "defect"}, {"item": str(world.items[0].uuid), "value": "defect"})
    assert [row["code"] for row in twice.json()["refused"]] == ["twice"]
    both = send({"external_id": "n1", "item": str(world.items[0].uuid), "value": "defect"})
    assert both.status_code == 422


def test_of_two_predictions_at_the_same_moment_one_stands(
    world: World, mel: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other is told what stands. Control: without the constraint's help the later request would break."""
    looks: list[int] = []
    said = Checker.said

    def blind_at_first(self: Checker, items: Iterable[int]) -> dict[int, str]:
        """As if nothing stood yet while both passes checked."""
        looks.append(1)
        return said(self, items) if len(looks) > 2 else {}

    def send(value: str) -> Any:
        rows = [{"external_id": "n1", "value": value}]
        return mel.post("predictions", {"model_name": "eye", "model_version": "1", "predictions": rows})

    assert send("defect").json()["kept"] == 1
    monkeypatch.setattr(Checker, "said", blind_at_first)
    answer = send("no_defect").json()
    assert (answer["kept"], [row["code"] for row in answer["refused"]]) == (0, ["predicted"])
    looks.clear()
    create = QuerySet.bulk_create
    monkeypatch.setattr(QuerySet, "bulk_create", lambda self, rows, ignore_conflicts: create(self, rows))
    with pytest.raises(IntegrityError):
        send("no_defect")
