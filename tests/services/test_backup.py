"""Stories of backup and restore: everything comes back, nothing is ever replaced, and a bad file is refused whole."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dj_database_url
import pytest

from labeling import backup
from labeling.db import backup as database
from labeling.refusals import Refusal
from tests.races.databases import psql

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def fresh_place(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Environment of another, empty place of the same kind."""
    folder = tmp_path / "elsewhere"
    if database_url.startswith("sqlite"):
        yield {"DATABASE_URL": f"sqlite:///{folder / 'concord.sqlite3'}", "DATA_DIR": str(folder)}
        return
    server = request.getfixturevalue("postgres_url")
    name = f"{dj_database_url.parse(database_url)['NAME']}_again"
    psql(server, f'CREATE DATABASE "{name}"')
    yield {"DATABASE_URL": f"{server.rsplit('/', 1)[0]}/{name}", "DATA_DIR": str(folder)}
    psql(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def manage(run_program: Run, *arguments: str, fails: bool = False, **environment: str) -> str:
    """What the command said; it must end well, or badly."""
    done = run_program("manage", *arguments, **environment)
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_everything_comes_back_in_a_fresh_place(
    run_program: Run, database_url: str, fresh_place: dict[str, str], tmp_path: Path
) -> None:
    before = json.loads(run_program("tests.services.seeded", "seed").stdout)
    assert before["labeling_annotation"][0] > 300
    assert sum(name.startswith("media/") for name in before) > 100
    file = tmp_path / "backup.tar"
    said = manage(run_program, "backup", str(file))
    assert "database:" in said
    assert file.stat().st_mode & 0o077 == 0, "only its owner may read it: it holds password hashes"
    assert "there already" in manage(run_program, "backup", str(file), fails=True)
    manage(run_program, "backup", str(file), "--replace")
    assert [path.name for path in tmp_path.glob(".backup*")] == [], "no parts are left"

    assert "not empty" in manage(run_program, "restore", str(file), fails=True), "where people work nothing is replaced"
    assert json.loads(run_program("tests.services.seeded", "tell").stdout) == before

    said = manage(run_program, "restore", str(file), **fresh_place)
    assert "The ledger is as it was written" in said
    assert "files" in said
    after = json.loads(run_program("tests.services.seeded", "tell", **fresh_place).stdout)
    assert after == before
    manage(run_program, "verify_ledger", "--files", **fresh_place)
    # Sealed, and sequences go on where they were: an answer can be written and none changed.
    assert run_program("tests.services.seeded", "seed", **fresh_place).returncode == 0
    assert "not empty" in manage(run_program, "restore", str(file), fails=True, **fresh_place)


@pytest.mark.slow
def test_a_lost_file_is_told_by_the_restore(
    run_program: Run, database_url: str, fresh_place: dict[str, str], tmp_path: Path
) -> None:
    """The control of the check behind each restore: a backup whose files are not all there does not pass as whole."""
    run_program("tests.services.seeded", "seed")
    victim = next(path for path in sorted((tmp_path / "media").rglob("*.png")))
    victim.unlink()
    file = tmp_path / "backup.tar.gz"
    manage(run_program, "backup", str(file))
    done = run_program("manage", "restore", str(file), **fresh_place)
    assert done.returncode != 0
    assert victim.name in done.stdout + done.stderr or "problem" in done.stderr


# --- SQLite while it is written to ----------------------------------------------------------------


def write_pairs(path: Path, stop: threading.Event, started: threading.Event) -> None:
    """Two rows a transaction: a moment of the database always holds an even number."""
    connection = sqlite3.connect(path, timeout=20, isolation_level=None)
    while not stop.is_set():
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t (x) VALUES (randomblob(2000))")
        connection.execute("INSERT INTO t (x) VALUES (randomblob(2000))")
        connection.execute("COMMIT")
        started.set()
    connection.close()


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Path]:
    """A database in WAL mode that somebody writes to all the time."""
    path = tmp_path / "busy.sqlite3"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)")
    connection.executemany("INSERT INTO t (x) VALUES (randomblob(2000))", [()] * 500)
    stop, started = threading.Event(), threading.Event()
    thread = threading.Thread(target=write_pairs, args=(path, stop, started))
    thread.start()
    started.wait(20)
    yield path
    stop.set()
    thread.join()
    connection.close()


def rows(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])


def test_a_backup_while_people_write_is_one_moment_and_stops_nobody(busy: Path, tmp_path: Path) -> None:
    for number in range(5):
        before = rows(busy)
        copy = tmp_path / f"copy{number}"
        database._dump_sqlite(busy, copy)
        assert rows(copy) >= before, "what was committed is in it, whether or not it has left the -wal file"
        assert rows(copy) % 2 == 0
        assert rows(busy) >= rows(copy)
        assert not Path(f"{copy}-wal").exists()


def test_control_a_copied_file_lacks_what_was_committed_last(tmp_path: Path) -> None:
    path = tmp_path / "wal.sqlite3"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("INSERT INTO t (x) VALUES (randomblob(10))")
    shutil.copy(path, tmp_path / "copied")
    database._dump_sqlite(path, tmp_path / "backed-up")
    assert rows(tmp_path / "copied") == 0
    assert rows(tmp_path / "backed-up") == 1
    connection.close()


# --- files that are no good backup ----------------------------------------------------------------


@pytest.fixture
def place(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh place in this process, whose database is never touched: it is loaded into a file of that name."""
    settings.DATA_DIR, settings.MEDIA_ROOT = tmp_path / "data", tmp_path / "data" / "media"
    monkeypatch.setattr(database, "is_empty", lambda using="default": not (tmp_path / "loaded").exists())
    monkeypatch.setattr(database, "kind", lambda using="default": "sqlite")
    monkeypatch.setattr(database, "load", lambda source, using="default": shutil.copy(source, tmp_path / "loaded"))
    monkeypatch.setattr(database, "applied", lambda using="default": ["labeling.0001_initial"])
    monkeypatch.setattr(database, "dump", lambda target, using="default": target.write_bytes(b"the database" * 1000))
    return tmp_path


@pytest.fixture
def good(place: Path, settings: Any) -> Path:
    """A backup with three files, made in another folder than it will be restored to."""
    data = settings.DATA_DIR
    for name in ("media/a.png", "media/deep/er/b.png", "datasets/v1.jsonl"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(name.encode() * 100)
    backup.back_up(target=place / "good.tar")
    shutil.rmtree(data)
    return place / "good.tar"


def refused(place: Path, file: Path, code: str) -> str:
    with pytest.raises(Refusal) as refusal:
        backup.restore(source=file)
    assert refusal.value.code == code, refusal.value.message
    assert not (place / "loaded").exists(), "nothing was restored"
    left = list((place / "data").rglob("*")) if (place / "data").exists() else []
    assert left == []
    return refusal.value.message


def rewritten(good: Path, change: Callable[[str, bytes], list[tuple[str, bytes]]]) -> Path:
    """The backup with each entry changed as told; hashes and counts are left as they were."""
    target = good.with_name("changed.tar")
    with tarfile.open(good) as old, tarfile.open(target, "w") as new:
        for entry in old:
            stream = old.extractfile(entry)
            assert stream
            for name, content in change(entry.name, stream.read()):
                made = tarfile.TarInfo(name)
                made.size = len(content)
                new.addfile(made, io.BytesIO(content))
    return target


def test_a_good_one_is_restored(place: Path, good: Path, settings: Any) -> None:
    manifest = backup.restore(source=good)
    assert manifest["files"] == {"media": 2, "datasets": 1}
    assert (settings.MEDIA_ROOT / "deep/er/b.png").read_bytes() == b"media/deep/er/b.png" * 100
    assert (place / "loaded").read_bytes() == b"the database" * 1000
    with pytest.raises(Refusal, match="not empty"):
        backup.restore(source=good)


def test_files_that_are_there_are_never_replaced(place: Path, good: Path, settings: Any) -> None:
    settings.MEDIA_ROOT.mkdir(parents=True)
    (settings.MEDIA_ROOT / "a.png").write_text("somebody's")
    with pytest.raises(Refusal, match="media is not empty"):
        backup.restore(source=good)
    assert (settings.MEDIA_ROOT / "a.png").read_text() == "somebody's"


def test_a_cut_file_is_refused_wherever_it_is_cut(place: Path, good: Path) -> None:
    whole = good.read_bytes()
    cut = good.with_name("cut.tar")
    with tarfile.open(good) as archive:
        ends = [entry.offset for entry in archive]
    for size in (10, 700, *ends[1:], len(whole) // 2):
        cut.write_bytes(whole[:size])
        with pytest.raises(Refusal) as refusal:
            backup.restore(source=cut)
        assert refusal.value.code in ("cut", "not_a_backup"), size
        assert not (place / "loaded").exists()
        # Python's tarfile takes a file that ends between two entries for whole: hence the entry at the end.
    assert "end is missing" in refused(place, rewritten(good, lambda n, c: [] if n == "end.json" else [(n, c)]), "cut")


def test_a_changed_database_is_refused(place: Path, good: Path) -> None:
    changed = rewritten(good, lambda n, c: [(n, c[:-1] + b"X")] if n == "database" else [(n, c)])
    refused(place, changed, "damaged")


def test_a_missing_file_is_refused(place: Path, good: Path) -> None:
    refused(place, rewritten(good, lambda n, c: [] if n == "media/a.png" else [(n, c)]), "cut")


@pytest.mark.parametrize("name", ["media/../../evil", "/etc/evil", "other/evil", "evil", "media"])
def test_nothing_is_written_outside(place: Path, good: Path, name: str) -> None:
    refused(
        place, rewritten(good, lambda n, c: [(n, c), (name, b"x")] if n == "database" else [(n, c)]), "not_a_backup"
    )
    assert not (place / "evil").exists()


def test_a_link_is_refused(place: Path, good: Path) -> None:
    linked = good.with_name("linked.tar")
    with tarfile.open(good) as old, tarfile.open(linked, "w") as new:
        for entry in old:
            stream = old.extractfile(entry)
            new.addfile(entry, stream)
            if entry.name == "database":
                link = tarfile.TarInfo("media/link")
                link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
                new.addfile(link)
    refused(place, linked, "not_a_backup")


def with_manifest(good: Path, **values: Any) -> Path:
    def change(name: str, content: bytes) -> list[tuple[str, bytes]]:
        return [(name, json.dumps({**json.loads(content), **values}).encode() if name == "manifest.json" else content)]

    return rewritten(good, change)


def test_what_this_version_cannot_read_is_refused(place: Path, good: Path) -> None:
    assert "postgresql" in refused(place, with_manifest(good, database="postgresql"), "kind")
    newer = with_manifest(good, migrations=["labeling.0001_initial", "labeling.9999_from_the_future"])
    assert "9999_from_the_future" in refused(place, newer, "newer")
    refused(place, with_manifest(good, format=99), "format")
    refused(place, with_manifest(good, database_sha256=None), "damaged")
    (place / "text").write_text("no archive")
    refused(place, place / "text", "not_a_backup")
    refused(place, place / "nothing", "no_file")
    with tarfile.open(place / "other.tar", "w") as archive:
        archive.add(place / "text", "text")
    refused(place, place / "other.tar", "not_a_backup")


# --- writing one ----------------------------------------------------------------------------------


def test_a_backup_that_fails_half_way_leaves_no_file(
    place: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MEDIA_ROOT.mkdir(parents=True)
    (settings.MEDIA_ROOT / "a.png").write_text("a")
    whole = backup._add_json

    def full(archive: tarfile.TarFile, name: str, *more: Any) -> None:
        if name == "end.json":
            raise OSError("No space left on device")
        whole(archive, name, *more)

    monkeypatch.setattr(backup, "_add_json", full)
    with pytest.raises(OSError, match="No space"):
        backup.back_up(target=place / "b.tar")
    assert [path.name for path in place.iterdir()] == ["data"]


def test_where_a_backup_cannot_go(place: Path, settings: Any) -> None:
    settings.MEDIA_ROOT.mkdir(parents=True)
    for target, code in (
        (place / "nowhere" / "b.tar", "no_folder"),
        (settings.MEDIA_ROOT / "b.tar", "inside"),
        (place / "data", "exists"),
    ):
        with pytest.raises(Refusal) as refusal:
            backup.back_up(target=target)
        assert refusal.value.code == code


def test_a_missing_program_is_named(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    class Connection:
        settings_dict: dict[str, Any] = {}

    with pytest.raises(Refusal, match="pg_dump is not installed"):
        database._postgresql(Connection(), "pg_dump")  # type: ignore[arg-type]


def test_what_a_program_says_is_passed_on_without_the_password(tmp_path: Path) -> None:
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho 'pg_dump: error: aborting because of server version mismatch' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(Refusal) as refusal:
        database._run([str(program)], {"PGPASSWORD": "hush"})
    assert "version mismatch" in refusal.value.message
    assert "postgresql-client" in refusal.value.message
    assert "hush" not in refusal.value.message
