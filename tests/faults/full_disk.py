"""An import, an upload and a rater's answer on a disk that is full, then with room. A program of its own.

`python -m tests.faults.full_disk '{"what": "items", "disk": "/mnt/…", "room": "64m"}'` with DATABASE_URL on that disk
(or MEDIA on it) prints one JSON line: what the first and the second run of the command said, and what was visible.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout[-500:] + done.stderr[-4000:]


def write_rows(path: Path, count: int, size: int) -> Path:
    with path.open("w") as out:
        for number in range(count):
            out.write(json.dumps({"id": f"n{number}", "text": f"{number} {os.urandom(size // 2).hex()}"}) + "\n")
    return path


def write_images(path: Path, count: int, side: int) -> Path:
    """A zip of pictures that do not get smaller: noise."""
    import io

    from PIL import Image

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(count):
            stream = io.BytesIO()
            Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(stream, "PNG")
            archive.writestr(f"p{number}.png", stream.getvalue())
    return path


def visible() -> dict[str, int]:
    from labeling.models import ImportRun, Item

    return {
        "items": Item.objects.visible().filter(external_id__startswith="n").count()
        + Item.objects.visible().filter(media__isnull=False).exclude(media={}).count(),
        "runs": ImportRun.objects.count(),
        "unfinished": ImportRun.objects.filter(status__in=("checking", "writing")).count(),
    }


def fill(disk: Path) -> None:
    """Take what is left of the disk."""
    with (disk / "ballast").open("wb", buffering=0) as out:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    out.write(b"\0" * size)
            except OSError:
                continue


def answer_while_full(world: Any, batch: Any, disk: Path) -> dict[str, Any]:
    """A rater's answer meets the full disk, and is sent again once there is room."""
    from django.db import connections
    from django.test import Client

    from labeling.models import Annotation

    client = Client(raise_request_exception=False)
    client.force_login(world.people["gene"])
    base = f"/batches/{batch.uuid}/desk/"
    place = client.post(f"{base}claim", {}, content_type="application/json").json()["hand"][0]
    body = {"assignment": place["assignment"], "token": place["token"], "value": "defect", "outcome": "labeled"}
    body["comment"] = "x" * 4000
    fill(disk)
    statuses, codes = [], set()
    for _ in range(1_500):  # what the database had reserved takes some: SQLite's log is written over before it grows
        reply = client.post(f"{base}submit", body, content_type="application/json")
        statuses.append(reply.status_code)
        if reply.status_code not in (200, 201):
            codes.add(reply.json()["code"])
            break
        place = client.post(f"{base}claim", {}, content_type="application/json")
        if place.status_code != 200:
            statuses.append(place.status_code)
            codes.add(place.json()["code"])
            break
        hand = place.json()["hand"]
        if not hand:
            break
        body |= {"assignment": hand[0]["assignment"], "token": hand[0]["token"]}
    connections.close_all()
    (disk / "ballast").unlink()
    again = client.post(f"{base}submit", body, content_type="application/json").status_code
    told = sum(status in (200, 201) for status in statuses)
    return {
        "statuses": statuses,
        "codes": sorted(codes),
        "again": again,
        "acknowledged": told + (again == 201),
        "recorded": Annotation.objects.filter(assignment__batch=batch).count(),
    }


def story(plan: dict[str, Any]) -> dict[str, Any]:
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    from labeling.ledger import verify
    from tests.worlds import World

    settings.ALLOWED_HOSTS = ["testserver"]
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    call_command("migrate", verbosity=0)
    folder, disk = Path(plan["folder"]), Path(plan["disk"])
    if plan["what"] == "images":
        world = World.build(items=0)
        world.project.payload_schema = {"fields": [{"name": "image", "kind": "image", "title": "Picture"}]}
        world.project.save()
        file = write_images(folder / "pictures.zip", plan["count"], plan["size"])
    else:
        world = World.build(items=0)
        file = write_rows(folder / "rows.jsonl", plan["count"], plan["size"])
    told: dict[str, Any] = {}
    connections.close_all()
    told["first"] = command("import_items", world.project.slug, str(file))
    told["after_first"] = visible()
    parts = [str(path) for path in Path(settings.MEDIA_ROOT).rglob("*.part")]
    told["parts"] = parts
    connections.close_all()
    subprocess.run(["mount", "-o", f"remount,size={plan['room']}", str(disk)], check=True)
    # Behind the making of room: PostgreSQL sorts what is verified in files of its own.
    told["ledger_after_first"] = [str(problem) for problem in verify(files=True)]
    connections.close_all()
    told["second"] = command("import_items", world.project.slug, str(file))
    told["after_second"] = visible()
    if plan.get("answers"):
        batch = world.open_batch(quotas={"generalist": 1})
        told["answers"] = answer_while_full(world, batch, disk)
    told["ledger"] = [str(problem) for problem in verify(files=True)]
    return told


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    print(json.dumps(story(json.loads(sys.argv[1]))))
