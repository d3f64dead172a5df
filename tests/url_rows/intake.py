"""Addresses of intake."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile

from labeling import jobs
from labeling.formats.images import inspect_image, store_image
from labeling.hashing import sha256_json
from labeling.importing.items import import_items
from labeling.importing.mapping import ItemMapping
from labeling.importing.runs import FileSource, Started
from labeling.importing.uploads import receive_upload
from labeling.models import ImportRun, Item
from tests.intake.conftest import picture
from tests.url_table import Row, by_role, owner_only, setup_only, slug
from tests.worlds import World

importers = {"olga": 200, "mel": 200, "sam": 403, "gene": 403}


def posted() -> dict[str, int]:
    return by_role(olga=302, mel=302, sam=403, gene=403)


class Notes(SimpleUploadedFile):
    """A file that can be sent again: one row's data serve every role."""

    def read(self, *size: int) -> bytes:  # type: ignore[override]
        self.seek(0)
        return super().read()


def a_file(content: str = "id,text\n1,a\n") -> SimpleUploadedFile:
    return Notes("notes.csv", content.encode(), "text/csv")


def at(world: World, run: ImportRun) -> dict[str, Any]:
    return {"slug": world.project.slug, "uuid": run.uuid}


def waiting(world: World) -> dict[str, Any]:
    return at(world, receive_upload(by=world.seat("mel"), kind="items", files=[a_file()]))


def labels_waiting(world: World) -> dict[str, Any]:
    upload = a_file("item_id,rater_id,cohort,label\nn1,w1,crowd,a\n")
    return at(world, receive_upload(by=world.seat("mel"), kind="labels", files=[upload]))


def started(world: World) -> Started:
    """An import of a file of its own: the same one twice would be one import."""
    folder = Path(tempfile.mkdtemp(dir=settings.DATA_DIR))
    (folder / "notes.csv").write_text(f"id,text\n{folder.name},{folder.name}\n")
    mapping = ItemMapping(external_id="id", payload={"text": "text"})
    return import_items(by=world.seat("mel"), source=FileSource.in_place(folder / "notes.csv"), mapping=mapping)


def run_job_of(begun: Started) -> dict[str, Any]:
    """Only this job: other rows may have left jobs that cannot run."""
    assert begun.job is not None
    job = jobs.take(job_id=begun.job.pk)
    assert job is not None
    assert jobs.run(job, heartbeat=False).status == "done"
    return {"slug": begun.run.project.slug, "uuid": begun.run.uuid}


def moving(world: World) -> dict[str, Any]:
    return at(world, started(world).run)


def done(world: World) -> dict[str, Any]:
    return run_job_of(started(world))


def refused(world: World) -> dict[str, Any]:
    run = receive_upload(by=world.seat("mel"), kind="items", files=[a_file("id,text\n1,a\n1,b\n")])
    mapping = ItemMapping(external_id="id", payload={"text": "text"})
    source = FileSource(Path(settings.MEDIA_ROOT) / run.file, run.source, run.file_sha256, run.file)
    return run_job_of(import_items(by=world.seat("mel"), source=source, mapping=mapping, run=run))


def stopped(world: World) -> dict[str, Any]:
    begun = started(world)
    assert begun.job is not None
    type(begun.job).objects.filter(pk=begun.job.pk).update(status="failed", error="The disk was full.")
    return at(world, begun.run)


def an_item(world: World) -> dict[str, Any]:
    return {"slug": world.project.slug, "uuid": world.items[0].uuid}


def an_image(world: World) -> dict[str, Any]:
    data = picture(1)
    media = store_image(data, inspect_image(data, max_bytes=1 << 20), Path(settings.MEDIA_ROOT))
    payload = {"screen": f"sha256:{media['sha256']}"}
    item, _ = Item.objects.get_or_create(
        project=world.project, external_id="pictured",
        defaults={"payload": payload, "payload_sha256": sha256_json(payload), "media": {"screen": media}},
    )  # fmt: skip
    return {"uuid": item.uuid, "field": "screen"}


def a_choice(world: World) -> dict[str, Any]:
    return {"use_0": "id", "use_1": "payload:text", "encoding": ""}


ROWS = [
    Row("items", setup_only(), kwargs=slug),
    Row("items", setup_only(), kwargs=slug, query="?name=camera&value=1&search=n&after=1"),
    Row("item", setup_only(), kwargs=an_item),
    Row(
        "item_withdraw",
        owner_only(302),
        kwargs=an_item,
        method="post",
        data=lambda world: {"reason": "Blurred."},
    ),
    Row("item_file", {**setup_only(), "gene": 200}, kwargs=an_image, page=False),
    Row("item_file", {**setup_only(404), "gene": 404}, kwargs=lambda w: {**an_image(w), "field": "text"}, page=False),
    Row("imports", by_role(**importers), kwargs=slug),
    Row("imports", by_role(**importers), kwargs=lambda world: {"slug": done(world)["slug"]}, query="?page=9"),
    Row("import_create", by_role(**importers), kwargs=slug),
    Row("import_create", by_role(olga=422, mel=422, sam=403, gene=403), kwargs=slug, method="post"),
    Row(
        "import_create", posted(), kwargs=slug, method="post", data=lambda world: {"kind": "items", "upload": a_file()}
    ),
    Row("import_run", by_role(**importers), kwargs=waiting),
    Row("import_run", by_role(**importers), kwargs=labels_waiting, query="?scene=labels_waiting"),
    Row("import_run", by_role(**importers), kwargs=moving, query="?scene=moving"),
    Row("import_run", by_role(**importers), kwargs=done, query="?scene=done"),
    Row("import_run", by_role(**importers), kwargs=refused, query="?scene=refused"),
    Row("import_run", by_role(**importers), kwargs=stopped, query="?scene=stopped"),
    Row("import_start", posted(), kwargs=waiting, method="post", data=a_choice),
    Row("import_start", by_role(olga=422, mel=422, sam=403, gene=403), kwargs=waiting, method="post"),
    Row("import_resume", posted(), kwargs=stopped, method="post"),
    Row("import_discard", posted(), kwargs=waiting, method="post"),
    Row("import_again", posted(), kwargs=refused, method="post"),
]
