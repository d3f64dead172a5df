"""Everything that cannot be made again in one file: the database, items' files, datasets. And back into a fresh place.

The file is a tar archive: `manifest.json` first, then `database`, then the folders' files, then `end.json`, whose
absence tells a cut file. The secret key is not in it: keep that elsewhere.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from .db import backup as database
from .refusals import Refusal

FORMAT = 1
MANIFEST, DATABASE, END = "manifest.json", "database", "end.json"
_BLOCK = 1024 * 1024
Tell = Callable[[str], Any]


def folders() -> dict[str, Path]:
    """Folders that belong to the database, by their name in the archive."""
    return {"media": Path(settings.MEDIA_ROOT), "datasets": Path(settings.DATA_DIR) / "datasets"}


def _files(folder: Path) -> Iterator[Path]:
    """Regular files below the folder, in a fixed order; not those that are still being written."""
    for path, below, names in os.walk(folder):
        below.sort()
        for name in sorted(names):
            file = Path(path) / name
            if file.is_file() and not file.is_symlink() and file.suffix not in (".part", ".raw"):
                yield file


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _add_json(archive: tarfile.TarFile, name: str, value: dict[str, Any], at: datetime) -> None:
    content = json.dumps(value, indent=1).encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(content), int(at.timestamp()), 0o600
    archive.addfile(entry, io.BytesIO(content))


def back_up(
    *, target: Path, replace: bool = False, at: datetime | None = None, tell: Tell | None = None
) -> dict[str, Any]:
    """Write a backup; returns its manifest. A file that was not finished never bears the name asked for.

    Safe while people label: the database is taken as it is at one moment, first; files named by it exist by then and
    are never changed. A name ending in .gz is compressed. Raises Refusal.
    """
    at, target = at or timezone.now(), target.expanduser().resolve()
    if target.exists() and not replace:
        raise Refusal("exists", f"{target} is there already. Choose another name, or say --replace.")
    if not target.parent.is_dir():
        raise Refusal("no_folder", f"There is no folder {target.parent}.")
    for folder in folders().values():
        if target.is_relative_to(folder):
            raise Refusal("inside", f"{folder} is itself backed up. Choose another folder.")
    # Beside the target: where the backup has room, its parts have.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as parts:
        dumped, partial = Path(parts) / DATABASE, Path(parts) / "archive"
        database.dump(dumped)
        manifest = {
            "format": FORMAT,
            "made_at": at.isoformat(),
            "database": database.kind(),
            "database_bytes": dumped.stat().st_size,
            "database_sha256": _sha256(dumped),
            "migrations": database.applied(),
        }
        if tell:
            tell(f"database: {dumped.stat().st_size:,} bytes")
        counts = dict.fromkeys(folders(), 0)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # it holds password hashes
        with os.fdopen(handle, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w:gz" if target.suffix == ".gz" else "w") as archive:
                _add_json(archive, MANIFEST, manifest, at)
                archive.add(dumped, DATABASE, recursive=False)
                for name, folder in folders().items():
                    for file in _files(folder):
                        try:
                            archive.add(file, f"{name}/{file.relative_to(folder).as_posix()}", recursive=False)
                        except FileNotFoundError:
                            continue  # an upload that was discarded meanwhile
                        counts[name] += 1
                _add_json(archive, END, {"files": counts}, at)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, target)
    if tell:
        tell(f"files: {', '.join(f'{name} {count:,}' for name, count in counts.items())}")
    return {**manifest, "files": counts}


# --- back -----------------------------------------------------------------------------------------


def _json(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> dict[str, Any]:
    stream = archive.extractfile(entry)
    found = json.loads(stream.read(_BLOCK)) if stream else None
    if not isinstance(found, dict):
        raise ValueError(entry.name)
    return found


def _check_manifest(manifest: dict[str, Any]) -> None:
    if manifest.get("format") != FORMAT:
        raise Refusal("format", f"This backup has the format {manifest.get('format')!r}; this version reads {FORMAT}.")
    if manifest.get("database") != database.kind():
        raise Refusal(
            "kind",
            f"This backup is of a {manifest.get('database')} database, and DATABASE_URL names a {database.kind()} one.",
        )
    if not isinstance(manifest.get("migrations"), list):
        raise ValueError("its manifest has no migrations")
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    known = {f"{app}.{name}" for app, name in loader.disk_migrations}
    ours = {app.label for app in apps.get_app_configs() if not app.name.startswith("django.")}
    newer = [name for name in manifest["migrations"] if name not in known and name.split(".")[0] in ours]
    if newer:
        raise Refusal(
            "newer", f"This backup was made by a newer version (it has {newer[-1]}). Install that version first."
        )


def _check_fresh() -> None:
    """A restore fills a fresh place: it never mixes with, or replaces, what is there."""
    if not database.is_empty():
        raise Refusal(
            "not_fresh", "The database is not empty. Restore into a fresh one (set DATABASE_URL or DATA_DIR)."
        )
    for folder in folders().values():
        if folder.is_dir() and any(folder.iterdir()):
            raise Refusal("not_fresh", f"{folder} is not empty. Restore into a fresh DATA_DIR.")


def _place_for(name: str, staging: Path) -> Path:
    """Where an entry belongs. Raises Refusal for a name that no backup has: nothing is written outside the staging folder."""
    parts = PurePosixPath(name).parts
    if name == DATABASE:
        return staging / DATABASE
    if len(parts) < 2 or parts[0] not in folders() or ".." in parts or name.startswith("/"):
        raise Refusal("not_a_backup", f"This is no backup of Concord: it holds {name!r}.")
    return staging.joinpath(*parts)


def _unpack(archive: tarfile.TarFile, staging: Path) -> dict[str, Any]:
    """Write every entry below the staging folder; returns the manifest. Raises Refusal when something is missing or odd."""
    manifest: dict[str, Any] | None = None
    end: dict[str, Any] | None = None
    counts = dict.fromkeys(folders(), 0)
    for entry in archive:
        if manifest is None:
            if entry.name != MANIFEST:
                raise Refusal("not_a_backup", "This is no backup of Concord.")
            manifest = _json(archive, entry)
            _check_manifest(manifest)
            continue
        if entry.name == END:
            end = _json(archive, entry)
            break
        place = _place_for(entry.name, staging)
        stream = archive.extractfile(entry) if entry.isreg() else None
        if stream is None:
            raise Refusal("not_a_backup", f"This is no backup of Concord: {entry.name!r} is no plain file.")
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as out:
            shutil.copyfileobj(stream, out, _BLOCK)
        if entry.name != DATABASE:
            counts[entry.name.split("/")[0]] += 1
    if manifest is None or end is None or end.get("files") != counts:
        raise Refusal("cut", "This backup is cut: its end is missing. Nothing was restored.")
    if _sha256(staging / DATABASE) != manifest.get("database_sha256"):
        raise Refusal("damaged", "This backup is damaged: its database has another hash. Nothing was restored.")
    return {**manifest, "files": counts}


def restore(*, source: Path) -> dict[str, Any]:
    """Fill a fresh place from a backup; returns its manifest. Raises Refusal, and then nothing was restored.

    Afterwards `migrate` brings an older backup to this version and puts the seals in place.
    """
    source = source.expanduser().resolve()
    if not source.is_file():
        raise Refusal("no_file", f"There is no file {source}.")
    _check_fresh()
    data = Path(settings.DATA_DIR)
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="restoring-", dir=data) as parts:
        staging = Path(parts)
        try:
            with tarfile.open(source) as archive:
                manifest = _unpack(archive, staging)
        except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
            raise Refusal("not_a_backup", f"{source.name} cannot be read as a backup: {error}") from None
        database.load(staging / DATABASE)
        for name, folder in folders().items():
            if (staging / name).is_dir():
                if folder.is_dir():
                    folder.rmdir()  # empty, as was checked
                folder.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(staging / name, folder)
    return manifest
