"""Intake in the browser: upload, columns, progress, report, items, and the files of items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.importing import uploads
from labeling.importing.runs import path_of
from labeling.models import Annotation, Batch, ImportRun, Item, ItemTag, Job
from tests.intake.conftest import picture
from tests.url_rows.intake import an_image, refused, stopped
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture
def mel(world: World) -> Client:
    client = Client()
    client.force_login(world.people["mel"])
    return client


def upload(client: Client, *files: tuple[str, bytes], kind: str = "items") -> Any:
    sent = [SimpleUploadedFile(name, content) for name, content in files]
    return client.post(reverse("labeling:import_create", args=["phones"]), {"kind": kind, "upload": sent}, follow=True)


def newest() -> ImportRun:
    return ImportRun.objects.order_by("-pk")[0]


def url(name: str, run: ImportRun) -> str:
    return reverse(f"labeling:{name}", args=["phones", run.uuid])


def begin(client: Client, run: ImportRun, **choices: str) -> Any:
    response = client.post(url("import_start", run), choices, follow=True)
    run_jobs()
    return response


def test_from_file_to_items(world: World, mel: Client) -> None:
    page = upload(mel, ("../../x/notes.csv", b"id,text,gold\na,first,yes\nb,<script>alert(1)</script>,no\n"))
    run = newest()
    assert run.source == "notes.csv"
    assert path_of(run).parent.parent == Path(settings.MEDIA_ROOT) / "uploads"
    form = page.context["form"]
    assert [field.value() for field in form.column_fields()] == ["id", "payload:text", "metadata"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.content.decode()
    assert not Item.objects.filter(external_id="a").exists()
    begin(mel, run, use_0="id", use_1="payload:text", use_2="metadata")
    run.refresh_from_db()
    assert run.status == "done"
    assert Item.objects.get(external_id="a").metadata == {"gold": "yes"}
    report = mel.get(url("import_run", run))
    assert report.context["standing"].state == "done"


def test_the_upload_is_gone_once_it_is_imported(
    world: World, mel: Client, django_capture_on_commit_callbacks: Any
) -> None:
    upload(mel, ("notes.csv", b"id,text\na,first\n"))
    run = newest()
    with django_capture_on_commit_callbacks(execute=True):
        begin(mel, run, use_0="id", use_1="payload:text")
    assert not path_of(run).exists()


def test_a_choice_that_cannot_be_keeps_what_was_chosen(world: World, mel: Client) -> None:
    upload(mel, ("notes.csv", b"id,text,more\na,first,x\n"))
    run = newest()
    page = mel.post(url("import_start", run), {"use_0": "id", "use_1": "payload:text", "use_2": "payload:text"})
    assert page.status_code == 422
    assert "“text” is used for this already." in page.content.decode()
    page = mel.post(url("import_start", run), {"use_0": "id", "use_1": "metadata", "use_2": ""})
    assert page.status_code == 422
    assert "Say which column holds “text”" in page.content.decode()
    assert [field.value() for field in page.context["form"].column_fields()] == ["id", "metadata", ""]
    assert uploads.is_waiting(newest())
    begin(mel, run, use_0="id", use_1="payload:text", use_2="")
    assert Item.objects.get(external_id="a").metadata == {}, "left out means left out"


def test_pressed_twice_it_runs_once(world: World, mel: Client) -> None:
    upload(mel, ("notes.csv", b"id,text\na,first\n"))
    run = newest()
    choice = {"use_0": "id", "use_1": "payload:text"}
    assert mel.post(url("import_start", run), choice).status_code == 302
    assert mel.post(url("import_start", run), choice).status_code == 302
    assert Job.objects.filter(kind="import_items").count() == 1


def test_the_same_file_again_leads_to_the_import_there_is(world: World, mel: Client) -> None:
    for _ in range(2):
        upload(mel, ("notes.csv", b"id,text\na,first\n"))
        page = begin(mel, newest(), use_0="id", use_1="payload:text")
    assert "imported the same way before. Nothing was changed." in page.content.decode()
    assert list(ImportRun.objects.order_by("pk").values_list("status", flat=True)) == ["done", "discarded"]
    assert page.context["run"] == ImportRun.objects.earliest("pk")


def test_several_images_and_one(world: World, mel: Client) -> None:
    world.project.payload_schema = {"fields": [{"name": "screen", "kind": "image"}]}
    world.project.save()
    upload(mel, ("b.png", picture(2)), ("a.png", picture(1)))
    run = newest()
    assert run.source == "2 files.zip"
    begin(mel, run, use_0="payload:screen", use_1="metadata", use_2="")
    run.refresh_from_db()
    assert run.status == "done", run.report
    upload(mel, ("c.png", picture(3)))
    begin(mel, newest(), use_0="payload:screen", use_1="", use_2="id")
    assert Item.objects.visible().filter(external_id="c.png").exists()
    assert Item.objects.filter(media__isnull=False).count() == 3


@pytest.mark.parametrize("declared", [True, False])
def test_pictures_come_in_as_the_page_suggests(world: World, mel: Client, declared: bool) -> None:
    """Sent untouched: each picture is an item, its path is its id, and raters see it."""
    world.project.payload_schema = {"fields": [{"name": "screen", "kind": "image"}]} if declared else {}
    world.project.save()
    upload(mel, ("b.png", picture(2)), ("a.png", picture(1)))
    run = newest()
    form = mel.get(url("import_run", run)).context["form"]
    begin(mel, run, **{bound.html_name: bound.value() for bound in form if bound.value() not in (None, False)})
    run.refresh_from_db()
    assert run.status == "done", run.report
    item = Item.objects.get(external_id="a.png")
    assert list(item.media) == ["screen" if declared else "image"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([], "This field is required."),
        ([("a.csv", b"")], "The submitted file is empty."),
        ([("a.png", b"1"), ("x/a.png", b"2")], "Two files are called “a.png”."),
        ([("a.csv", b"x" * 2000)], "That is more than 0 MB."),
    ],
)
def test_what_is_not_taken(world: World, mel: Client, settings: Any, files: Any, says: str) -> None:
    settings.UPLOAD_MAX_BYTES = 1000
    page = upload(mel, *files)
    assert page.status_code == 422
    assert says in page.content.decode()
    assert not ImportRun.objects.exists()
    folder = Path(settings.MEDIA_ROOT) / "uploads"
    assert not list(folder.glob("*/*.part"))


def test_a_file_of_another_kind_says_so_on_its_page(world: World, mel: Client) -> None:
    page = upload(mel, ("book.xlsx", b"PK\x03\x04nothing"))
    assert page.status_code == 200
    assert "save the sheet as CSV" in page.content.decode()
    assert mel.post(url("import_discard", newest())).status_code == 302
    run_jobs()
    assert newest().status == "discarded"
    assert not path_of(newest()).exists()


def test_refused_is_mapped_again_without_uploading(world: World, mel: Client) -> None:
    run = ImportRun.objects.get(uuid=refused(world)["uuid"])
    page = mel.get(url("import_run", run)).content.decode()
    assert "The id stands in row 2 already, with another payload." in page
    again = mel.post(url("import_again", run), follow=True)
    assert [field.value() for field in again.context["form"].column_fields()] == ["id", "payload:text"]
    begin(mel, newest(), use_0="", use_1="payload:text")
    assert newest().status == "done"
    assert mel.post(url("import_again", run), follow=True).status_code == 200, "the file has moved on; said, not broken"
    assert ImportRun.objects.count() == 2


def test_stopped_goes_on(world: World, mel: Client) -> None:
    run = ImportRun.objects.get(uuid=stopped(world)["uuid"])
    assert "The disk was full." in mel.get(url("import_run", run)).content.decode()
    mel.post(url("import_resume", run))
    run_jobs()
    run.refresh_from_db()
    assert run.status == "done"


def test_progress_is_polled_and_gives_way_to_the_report(world: World, mel: Client) -> None:
    upload(mel, ("notes.csv", b"id,text\na,first\n"))
    run = newest()
    mel.post(url("import_start", run), {"use_0": "id", "use_1": "payload:text"})
    poll = mel.get(url("import_run", run), headers={"HX-Request": "true"})
    assert b"Waiting for a worker" in poll.content
    assert b"<html" not in poll.content
    Job.objects.update(
        status="running", progress={"done": 40, "total": 200, "what": "writing"}, lease_until="2999-01-01T00:00Z"
    )
    assert b'<progress max="200" value="40"' in mel.get(url("import_run", run), headers={"HX-Request": "true"}).content
    Job.objects.update(status="queued", lease_until=None)
    run_jobs()
    over = mel.get(url("import_run", run), headers={"HX-Request": "true"})
    assert (over.status_code, over.headers["HX-Refresh"]) == (204, "true")


def test_labels_by_upload(world: World, mel: Client) -> None:
    content = b"item_id,rater_id,cohort,label\nn1,w1,crowd,yes\nn2,w1,crowd,no\n"
    page = upload(mel, ("given.csv", content), kind="labels")
    roles = {str(field.label): field.value() for field in page.context["form"].column_fields()}
    assert (roles["Item id"], roles["Label"], roles["Session"]) == ("item_id", "label", "")
    columns = {"item": "item_id", "rater": "rater_id", "label": "label", "cohort": "cohort"}
    wrong = mel.post(url("import_start", newest()), {**columns, "cohorts": "crowd=novice"})
    assert (wrong.status_code, "“novice” is no cohort" in wrong.content.decode()) == (422, True)
    begin(mel, newest(), **columns)
    assert "“crowd” (2 rows)" in mel.get(url("import_run", newest())).content.decode()
    mel.post(url("import_again", newest()))
    begin(mel, newest(), **columns, cohorts="crowd=generalist")
    assert newest().status == "done"
    assert Annotation.objects.count() == 2
    assert Batch.objects.get().name in mel.get(url("import_run", newest())).content.decode()


# --- items ----------------------------------------------------------------------------------------
def test_items_by_filter_and_in_pages(world: World, mel: Client) -> None:
    world.add_items(120)
    ItemTag.objects.create(item=world.items[3], tag="odd")
    address = reverse("labeling:items", args=["phones"])
    first = mel.get(address)
    assert len(first.context["rows"]) == 50
    second = mel.get(address + first.context["older_url"])
    third = mel.get(address + second.context["older_url"])
    assert [len(page.context["rows"]) for page in (second, third)] == [50, 25]
    assert third.context["older_url"] == ""
    back = mel.get(address + third.context["newer_url"])
    assert [row["item"] for row in back.context["rows"]] == [row["item"] for row in second.context["rows"]]
    assert {row["item"].metadata["camera"] for row in mel.get(address + "?name=camera&value=2").context["rows"]} == {
        "2"
    }
    assert [row["item"] for row in mel.get(address + "?tag=odd").context["rows"]] == [world.items[3]]
    assert [row["item"].external_id for row in mel.get(address + "?search=n12").context["rows"]] == ["n12", "n120", "n121", "n122", "n123", "n124", "n125"]  # fmt: skip
    assert b"No item passes this filter" in mel.get(address + "?search=zz%00").content
    assert mel.get(address + "?after=abc&before=99999999999999999999").status_code == 200


def test_the_list_costs_the_same_for_ten_and_for_a_thousand(world: World, mel: Client) -> None:
    address = reverse("labeling:items", args=["phones"])
    mel.get(address)
    counts = []
    for more in (5, 1000):
        world.add_items(more)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            mel.get(address)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_unfinished_items_are_nowhere(world: World, mel: Client) -> None:
    run = ImportRun.objects.create(
        project=world.project, kind="items", source="x", file_sha256="x", mapping_sha256="x", status="writing"
    )
    uuid = an_image(world)["uuid"]
    hidden = Item.objects.create(project=world.project, external_id="not-yet", payload={"text": "h"}, payload_sha256="h", import_run=run, media=Item.objects.get(uuid=uuid).media)  # fmt: skip
    assert "not-yet" not in mel.get(reverse("labeling:items", args=["phones"])).content.decode()
    assert mel.get(reverse("labeling:item", args=["phones", hidden.uuid])).status_code == 404
    assert mel.get(reverse("labeling:item_file", args=[hidden.uuid, "screen"])).status_code == 404


def test_an_item_of_another_project_is_not_here(world: World, mel: Client) -> None:
    other = World.build(slug="other", with_otto=False)
    assert mel.get(reverse("labeling:item", args=["phones", other.items[0].uuid])).status_code == 404


# --- files of items -------------------------------------------------------------------------------
def test_a_rater_gets_the_image_and_nothing_that_tells(world: World) -> None:
    client = Client()
    client.force_login(world.people["gene"])
    address = reverse("labeling:item_file", kwargs=an_image(world))
    response = client.get(address)
    assert b"".join(response.streaming_content) == picture(1)  # type: ignore[attr-defined]
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "pictured" not in response.headers["Content-Disposition"], "an external id may say what raters must not know"
    assert client.get(address, headers={"If-None-Match": response.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize(
    "media",
    [
        {"file": "../../secret_key", "type": "image/png", "sha256": "x"},
        {"file": "/etc/passwd", "type": "image/png", "sha256": "x"},
        {"file": f"items/ab/{'a' * 64}.png", "type": "text/html", "sha256": "x"},
        {"file": f"items/ab/{'a' * 64}.png", "type": "image/png", "sha256": "x"},
    ],
)
def test_no_row_makes_the_server_read_elsewhere(world: World, mel: Client, media: dict[str, str]) -> None:
    (Path(settings.DATA_DIR) / "secret_key").write_text("secret")
    item = Item.objects.create(
        project=world.project, external_id="odd", payload={}, payload_sha256="x", media={"screen": media}
    )
    assert mel.get(reverse("labeling:item_file", args=[item.uuid, "screen"])).status_code == 404


# --- too much at once -----------------------------------------------------------------------------
@pytest.fixture
def limited(settings: Any) -> Any:
    """The middleware where it belongs, whatever the settings say."""
    name = "labeling.views.limits.BodyLimitMiddleware"
    before = [entry for entry in settings.MIDDLEWARE if entry != name]
    at = before.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1
    settings.MIDDLEWARE = [*before[:at], name, *before[at:]]
    settings.UPLOAD_MAX_BYTES = 8 << 20
    return settings


def announce(client: Client, length: int) -> int:
    """The status of an upload that announces so many bytes; reading any of them would be an error."""
    address = reverse("labeling:import_create", args=["phones"])
    return client.generic(
        "POST", address, b"--x\r\n", "multipart/form-data; boundary=x", CONTENT_LENGTH=str(length)
    ).status_code


def test_the_limit_stands_behind_the_authentication(settings: Any) -> None:
    order = settings.MIDDLEWARE
    assert order.index("labeling.views.limits.BodyLimitMiddleware") == 1 + order.index(
        "django.contrib.auth.middleware.AuthenticationMiddleware"
    )


def test_what_is_too_large_is_refused_unread(world: World, mel: Client, limited: Any) -> None:
    assert announce(mel, 10 << 20) == 413
    assert announce(Client(), 8 << 20) == 413, "who is not logged in has nothing to upload"
    assert upload(mel, ("notes.csv", b"id,text\n" + b"x" * (7 << 20))).status_code == 200
    limited.MIDDLEWARE = [name for name in limited.MIDDLEWARE if "BodyLimit" not in name]
    # Control: without it the upload is read, however large.
    bare = Client()
    bare.force_login(world.people["mel"])
    with pytest.raises(AssertionError, match="Cannot read more"):
        announce(bare, 10 << 20)
