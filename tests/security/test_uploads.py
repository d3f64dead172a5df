"""Files made to do harm: what they call themselves, what they hold, and how they come back out."""

from __future__ import annotations

import csv
import io
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from labeling import dispatch
from labeling.claiming import acknowledge_version, claim_next
from labeling.hashing import sha256_json
from labeling.models import Batch, ImportRun, Item
from labeling.submission import Answer, submit_annotation
from tests.intake.conftest import picture
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db
JS = b"<script>alert(1)</script>"


@pytest.fixture
def screens(world: World, settings: Any, tmp_path: Path) -> World:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.TASKS = "worker"
    world.project.payload_schema = {"fields": [{"name": "image", "kind": "image", "title": "Picture"}]}
    world.project.save()
    return world


@pytest.fixture
def mel(world: World) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(world.people["mel"])
    return client


def upload(client: Client, name: str, data: bytes, kind: str = "items", mime: str = "text/csv") -> ImportRun | None:
    """The run of an upload, with its mapping taken as guessed; None when the upload was refused."""
    answer = client.post(
        reverse("labeling:import_create", args=["phones"]),
        {"kind": kind, "upload": SimpleUploadedFile(name, data, mime)},
    )
    assert answer.status_code in (302, 422), answer.status_code
    if answer.status_code == 422:
        return None
    run = ImportRun.objects.order_by("-pk")[0]
    page = client.get(answer["Location"])
    assert page.status_code == 200
    form = page.context.get("form")
    if form is not None:
        sent = {bound.html_name: bound.value() for bound in form if bound.value() not in (None, False)}
        assert client.post(reverse("labeling:import_start", args=["phones", run.uuid]), sent).status_code in (302, 422)
    run_jobs()
    run.refresh_from_db()
    return run


def zipped(files: dict[Any, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def outside(world_folder: Path) -> list[str]:
    return sorted(str(path.relative_to(world_folder)) for path in world_folder.rglob("*") if path.is_file())


def png_that_is_huge() -> bytes:
    """A few bytes that promise 60,000 × 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def link_in_zip() -> bytes:
    info = zipfile.ZipInfo("passwd.png")
    info.external_attr = 0o120777 << 16
    return zipped({info: b"/etc/passwd"})


HARMFUL = {
    "svg with a script": zipped({"a.svg": b"<svg xmlns='http://www.w3.org/2000/svg'>" + JS + b"</svg>"}),
    "svg that calls itself png": zipped({"a.png": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"}),
    "page that calls itself png": zipped({"a.png": b"<!doctype html>" + JS}),
    "huge dimensions": zipped({"a.png": png_that_is_huge()}),
    "traversal": zipped({"../../../../evil.png": picture(1)}),
    "traversal with backslashes": zipped({"..\\..\\evil.png": picture(1)}),
    "absolute": zipped({"/etc/evil.png": picture(1)}),
    "drive": zipped({"C:/evil.png": picture(1)}),
    "symbolic link": link_in_zip(),
    "bomb": zipped({"a.png": b"\0" * (80 << 20)}, zipfile.ZIP_DEFLATED),
    "zip in a zip": zipped({"a.zip": zipped({"b.png": picture(1)})}),
    "cut off": zipped({"a.png": picture(1)})[:-30],
    "half a picture": zipped({"a.png": picture(1)[:40]}),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_zip_made_to_do_harm_brings_nothing_in(
    screens: World, mel: Client, settings: Any, tmp_path: Path, name: str
) -> None:
    before = Item.objects.count()
    run = upload(mel, "pictures.zip", HARMFUL[name], mime="application/zip")
    # Refused after the check, or already when the page for its columns could not read it.
    assert run is None or run.status in ("refused", "checking"), run and run.report
    assert Item.objects.count() == before
    stored = [path for path in outside(tmp_path) if path.endswith((".png", ".svg")) or "/items/" in path]
    assert stored == []
    assert not any(
        path.exists() for path in (Path("/etc/evil.png"), tmp_path / "evil.png", tmp_path.parent / "evil.png")
    )
    if run is not None:
        page = mel.get(reverse("labeling:import_run", args=["phones", run.uuid])).content.decode()
        assert "<script>alert" not in page
        assert re.search("[Rr]efused|cannot be read|would unpack", page)


POLYGLOTS = {
    "a picture with a page behind it": picture(1) + b"<html>" + JS,
    "a gif that begins like a script": picture(2, kind="GIF") + b"*/=alert(1)//",
    "a jpeg with a script in its comment": picture(3, kind="JPEG", comment=JS),
    "a picture with a zip behind it": picture(4) + zipped({"x.html": JS}),
}


@pytest.mark.parametrize("name", POLYGLOTS)
def test_what_is_two_things_is_served_as_the_picture_it_is(screens: World, mel: Client, name: str) -> None:
    run = upload(mel, "pictures.zip", zipped({"page.html.png": POLYGLOTS[name]}), mime="application/zip")
    assert run is not None
    if run.status == "refused":
        return  # as good
    item = Item.objects.get(import_run=run)
    answer = mel.get(reverse("labeling:item_file", args=[item.uuid, "image"]))
    assert answer["Content-Type"] in ("image/png", "image/gif", "image/jpeg")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "html" not in answer["Content-Disposition"]
    assert answer["Content-Disposition"].startswith("inline; filename=")
    assert len(b"".join(answer.streaming_content)) == len(POLYGLOTS[name])


def test_polyglots_do_come_in_so_the_headers_matter(screens: World, mel: Client) -> None:
    """Control: at least one of them is a good picture."""
    runs = [
        upload(mel, f"p{n}.zip", zipped({"a.png": data}), mime="application/zip")
        for n, data in enumerate(POLYGLOTS.values())
    ]
    assert any(run is not None and run.status == "done" for run in runs)


NAMES = [
    "../../../etc/cron.d/evil.csv", "..\\..\\evil.csv", "/etc/passwd.csv", "a\r\nSet-Cookie: x=1.csv", 'a".csv', "<script>alert(1)</script>.csv",
    "a\x00.csv", "x" * 400 + ".csv", ".csv", "-rf.csv", "\u202egnp.csv", "a;b=c.csv", "CON.csv", "%2e%2e%2fevil.csv", "$(touch evil).csv",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_files_name_is_a_word_on_a_page_and_never_a_path(
    world: World, mel: Client, settings: Any, tmp_path: Path, name: str
) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.TASKS = "worker"
    answer = mel.post(
        reverse("labeling:import_create", args=["phones"]),
        {"kind": "items", "upload": SimpleUploadedFile(name, b"id,text\n1,a\n", "text/csv")},
    )
    assert answer.status_code in (302, 422)
    files = outside(tmp_path)
    assert all(path.startswith("media/uploads/") and path.split("/")[-1].startswith("file") for path in files), files
    if answer.status_code == 302:
        page = mel.get(answer["Location"])
        assert page.status_code == 200
        assert "<script>alert" not in page.content.decode()
        assert "Set-Cookie: x" not in str(page.headers)


TABLES = {
    "not text": b"\x00\x01\x02\xff\xfe" * 200,
    "a page": b"<html>" + JS + b"</html>",
    "one endless line": b"id,text\n1," + b"a" * 5_000_000,
    "ten thousand columns": b",".join(b"c%d" % n for n in range(10_000))
    + b"\n"
    + b",".join(b"1" for _ in range(10_000))
    + b"\n",
    "a column twice": b"id,text,text\n1,a,b\n",
    "nested too deep": b'{"id": "1", "text": ' + b"[" * 50_000 + b"]" * 50_000 + b"}\n",
    "a number too long": b'{"id": "1", "text": ' + b"9" * 6_000 + b"}\n",
    "a lone surrogate": b'{"id": "1", "text": "\\ud800"}\n',
    "zero bytes in a cell": b'{"id": "1", "text": "a\\u0000b"}\n',
    "a parquet of nonsense": b"PAR1" + b"\x00" * 100 + b"PAR1",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_made_to_do_harm_ends_in_words(
    world: World, mel: Client, settings: Any, tmp_path: Path, name: str
) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.TASKS = "worker"
    suffix = "jsonl" if TABLES[name].startswith(b"{") else "parquet" if TABLES[name].startswith(b"PAR1") else "csv"
    answer = mel.post(
        reverse("labeling:import_create", args=["phones"]),
        {"kind": "items", "upload": SimpleUploadedFile(f"t.{suffix}", TABLES[name], "text/csv")},
    )
    assert answer.status_code in (302, 422)
    if answer.status_code == 302:
        page = mel.get(answer["Location"])
        assert page.status_code in (200, 409, 422)
        run = ImportRun.objects.get()
        sent = {"use_0": "id", "use_1": "payload:text", "encoding": ""}
        assert mel.post(reverse("labeling:import_start", args=["phones", run.uuid]), sent).status_code in (
            302,
            409,
            422,
        )
        run_jobs()
        assert mel.get(answer["Location"]).status_code == 200
        run.refresh_from_db()
        assert run.status in ("checking", "refused", "done")


def test_what_goes_out_as_a_table_runs_in_no_spreadsheet(world: World, mel: Client) -> None:
    """Formulas in ids, payloads, comments, reasons, labels' names and names of raters, in by the pages and out by the export."""
    evil = [
        "=1+1",
        "+1+1",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "＝1+1",
        '=HYPERLINK("http://evil")',
        " =1",
    ]
    Item.objects.create(
        project=world.project,
        external_id=evil[0],
        payload={"text": evil[1]},
        payload_sha256=sha256_json({"text": evil[1]}),
    )
    people = world.people
    type(people["gene"]).objects.filter(pk=people["gene"].pk).update(display_name=evil[2])
    batch = dispatch.create_batch(
        by=world.seat("olga"), name=evil[7], guideline_version=world.version, quotas={"generalist": 1}, seed=1
    )
    dispatch.open_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    batch = Batch.objects.select_related("project", "guideline_version").get(pk=batch.pk)
    acknowledge_version(by=people["gene"], batch=batch)
    for number in range(6):
        place = claim_next(by=people["gene"], batch=batch).places[0]
        answer = (
            Answer(value="defect", comment=evil[number])
            if number % 2
            else Answer(outcome="cannot_label", reason=evil[min(number + 3, 8)], comment=evil[number])
        )
        submit_annotation(
            by=people["gene"], batch=batch, assignment=place.uuid, token=place.claim_token or "", answer=answer
        )
    olga = Client()
    olga.force_login(people["olga"])
    reply = olga.get(reverse("labeling:batch_export", args=["phones", batch.uuid]) + "?format=csv&names=1")
    disposition = reply["Content-Disposition"]
    assert disposition.startswith("attachment; filename=")
    assert not set(disposition.removeprefix('attachment; filename="').removesuffix('"')) & set('"=;\r\n\\/')
    assert reply["X-Content-Type-Options"] == "nosniff"
    rows = list(csv.reader(io.StringIO(b"".join(reply.streaming_content).decode(), newline="")))
    assert len(rows) == 7
    starts = tuple("=+-@\t\r＝")
    running = [
        cell
        for row in rows
        for cell in row
        if cell.startswith(starts) and not cell.lstrip("-").replace(".", "", 1).isdigit()
    ]
    assert running == []
    assert any(cell.startswith("'=") for row in rows for cell in row), "they did come through, made safe"


def test_the_first_bytes_of_a_file_decide_and_not_its_announced_kind(screens: World, mel: Client) -> None:
    run = upload(mel, "a.png", b"<svg onload=alert(1)>", mime="image/png")
    assert run is None or run.status == "refused"
    assert not Item.objects.filter(import_run__isnull=False).exists()


ELSEWHERE = (
    "../../etc/passwd", "/etc/passwd", "uploads/x", "items/../../secret_key", "items/aa/" + "a" * 64 + ".png/../../../x",
)  # fmt: skip


@pytest.mark.parametrize("field", ["../image", "..%2f..%2fdb.sqlite3", "image%00", "file", "sha256", ""])
def test_no_path_comes_from_an_address(screens: World, mel: Client, field: str) -> None:
    run = upload(mel, "pictures.zip", zipped({"a.png": picture(1)}), mime="application/zip")
    assert run is not None
    item = Item.objects.get(import_run=run)
    assert mel.get(f"/items/{item.uuid}/files/{field}/").status_code == 404
    # Even a row that says otherwise serves nothing from outside the folder of pictures.
    for number, file in enumerate(ELSEWHERE):
        made = Item.objects.create(
            project=screens.project, external_id=f"forged {number}", payload={}, payload_sha256=sha256_json({}),
            media={"image": {**item.media["image"], "file": file}},
        )  # fmt: skip
        assert mel.get(f"/items/{made.uuid}/files/image/").status_code == 404
