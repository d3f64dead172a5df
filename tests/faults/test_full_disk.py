"""The disk runs full: during an import, under a rater's answer. It is said clearly, nothing shows half, it goes on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dj_database_url
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.test import Client

from labeling import jobs
from labeling.db.full import SENTENCE, disk_is_full
from labeling.importing import uploads
from labeling.models import ImportRun, Job
from labeling.views import home
from tests.races.databases import psql
from tests.worlds import World

Run = Callable[..., subprocess.CompletedProcess[str]]
program = [pytest.mark.races, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is really full when it is full."""
    disk = tmp_path / "small"
    disk.mkdir()
    mount = shutil.which("mount")
    done = (
        subprocess.run([str(mount), "-t", "tmpfs", "-o", "size=14m", "tmpfs", str(disk)], capture_output=True)
        if mount
        else None
    )
    if done is None or done.returncode:
        pytest.skip("a small file system can be mounted by root only")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def tell(run_program: Run, tmp_path: Path, disk: Path, *, environment: dict[str, str], **plan: Any) -> dict[str, Any]:
    plan = {"disk": str(disk), "folder": str(tmp_path), "room": "160m", **plan}
    done = run_program("tests.faults.full_disk", json.dumps(plan), timeout=500, **environment)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def refused_then_done(told: dict[str, Any], count: int) -> None:
    status, words = told["first"]
    assert status == 1, words
    assert SENTENCE in words
    assert "Traceback" not in words
    assert told["after_first"] == {"items": 0, "runs": 1, "unfinished": 1}
    assert told["ledger_after_first"] == []
    assert told["parts"] == []
    status, words = told["second"]
    assert status == 0, words
    assert "Resuming an unfinished import" in words
    assert told["after_second"] == {"items": count, "runs": 1, "unfinished": 0}
    assert told["ledger"] == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestOnSQLite:
    pytestmark = program

    def test_rows(self, run_program: Run, tmp_path: Path, small_disk: Path) -> None:
        told = tell(
            run_program, tmp_path, small_disk, what="rows", count=12_000, size=900, answers=True,
            environment={"DATABASE_URL": f"sqlite:///{small_disk / 'db.sqlite3'}"},
        )  # fmt: skip
        refused_then_done(told, 12_000)
        answers = told["answers"]
        assert answers["statuses"][-1] == 507, answers
        assert answers["codes"] == ["disk_full"]
        assert answers["again"] in (200, 201)
        assert answers["acknowledged"] == answers["recorded"]


class TestMedia:
    pytestmark = program

    def test_images(self, run_program: Run, tmp_path: Path, small_disk: Path) -> None:
        """The database has room, the pictures have none."""
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "media").symlink_to(small_disk)
        told = tell(
            run_program, tmp_path, small_disk, what="images", count=60, size=400,
            environment={"DATA_DIR": str(tmp_path / "data")},
        )  # fmt: skip
        refused_then_done(told, 60)


class TestOnPostgreSQL:
    pytestmark = program

    @pytest.fixture
    def small_tablespace(self, small_disk: Path, postgres_url: str) -> Iterator[str]:
        """URL of a database whose tables lie on the small disk."""
        place = small_disk / "pg"
        place.mkdir()
        name = f"{dj_database_url.parse(postgres_url)['NAME']}_full_{os.getpid()}"
        try:
            shutil.chown(place, "postgres", "postgres")
            for part in (small_disk, *small_disk.parents):
                if part.stat().st_mode & 0o011 == 0:
                    part.chmod(part.stat().st_mode | 0o011)
            psql(postgres_url, f"CREATE TABLESPACE {name} LOCATION '{place}'")
        except Exception as error:
            pytest.skip(f"no tablespace on a small disk: {error}")
        try:
            psql(postgres_url, f'CREATE DATABASE "{name}" TABLESPACE {name}')
            yield f"{postgres_url.rsplit('/', 1)[0]}/{name}"
        finally:
            psql(postgres_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            psql(postgres_url, f"DROP TABLESPACE {name}")

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # only for its program; the URL is ours
    def test_rows(self, run_program: Run, tmp_path: Path, small_disk: Path, small_tablespace: str) -> None:
        subprocess.run(["mount", "-o", "remount,size=30m", str(small_disk)], check=True)
        told = tell(
            run_program, tmp_path, small_disk, what="rows", count=24_000, size=900,
            environment={"DATABASE_URL": small_tablespace},
        )  # fmt: skip
        refused_then_done(told, 24_000)


# --- in one process ---------------------------------------------------------------------------------


def full(*args: Any, **kwargs: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_job_on_a_full_disk_stops_at_once_in_words_and_is_tried_again_by_hand(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setitem(jobs.HANDLERS, "test_full", lambda run: full() if not calls else None)
    job = jobs.enqueue(kind="test_full", by=None, project=world.project, dedup_key="full")
    taken = jobs.take(job_id=job.pk)
    assert taken is not None
    assert (jobs.run(taken, heartbeat=False).status, Job.objects.get().error) == ("failed", SENTENCE)
    calls.append(1)
    jobs.retry_job(by=world.people["olga"], job=Job.objects.get())
    taken = jobs.take(job_id=job.pk)
    assert taken is not None
    assert jobs.run(taken, heartbeat=False).status == "done"


def test_an_upload_that_finds_no_room_leaves_nothing_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    monkeypatch.setattr(uploads.os, "fsync", full)
    client = Client(raise_request_exception=False)
    client.force_login(world.people["olga"])
    file = SimpleUploadedFile("notes.csv", b"id,text\n1,a\n")
    reply = client.post("/projects/phones/imports/new/", {"kind": "items", "upload": file})
    assert reply.status_code == 507
    assert SENTENCE in reply.content.decode()
    assert not ImportRun.objects.exists()
    assert not any((tmp_path / "uploads").iterdir())


def test_any_page_says_so_to_people_and_programs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home.reads, "seats_of", full)
    client = Client(raise_request_exception=False)
    client.force_login(world.people["gene"])
    page = client.get("/")
    assert (page.status_code, SENTENCE in page.content.decode()) == (507, True)
    assert client.get("/", headers={"Accept": "application/json"}).json()["code"] == "disk_full"


def test_other_trouble_is_not_taken_for_a_full_disk() -> None:
    """Negative control of the sentence."""
    assert not disk_is_full(OSError(errno.EACCES, "no"))
    assert not disk_is_full(OperationalError("database is locked"))
    assert not disk_is_full(None)
    try:
        try:
            full()
        except OSError as error:
            raise OperationalError("could not write") from error
    except OperationalError as error:
        assert disk_is_full(error)
