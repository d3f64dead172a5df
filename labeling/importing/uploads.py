"""Files that come through the browser: stored under names of our own, then waiting to be mapped."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from ..access import Seat, require
from ..events import event, record
from ..formats.images import unsafe_name
from ..models import ImportRun
from ..refusals import BadValue, Refusal
from ..vocabulary import ImportKind, RunStatus
from . import runs
from .runs import FileSource

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
FILES_LIMIT = 1000


class Upload(Protocol):
    """An uploaded file."""

    name: str | None
    size: int | None

    def chunks(self) -> Iterator[bytes]: ...


def receive_upload(*, by: Seat, kind: str, files: Sequence[Any], at: datetime | None = None) -> ImportRun:
    """Store the upload and make a run that waits for its mapping. Several files, or one image, are put into a zip.

    Raises BadValue when there is none, or too much.
    """
    at = at or timezone.now()
    require(by.membership, "import")
    if kind not in ImportKind.values:
        raise BadValue("bad_value", "Choose items or labels.", field="kind")
    _check(files, kind)
    runs.remove_old_uploads(by.project, at)
    folder = Path(settings.MEDIA_ROOT) / "uploads" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        first = _name(files[0])
        together = len(files) > 1 or first.lower().endswith(IMAGE_SUFFIXES)
        target = folder / ("images.zip" if together else f"file{_suffix(first)}")
        digest = _store_together(files, target) if together else _store(files[0], target)
        source = f"{len(files)} files.zip" if len(files) > 1 else f"{first}.zip" if together else first
        with transaction.atomic():
            run = ImportRun.objects.create(
                project=by.project, kind=kind, source=source[-300:], file=target.relative_to(settings.MEDIA_ROOT).as_posix(),
                file_sha256=digest, mapping_sha256="", by=by.user,
            )  # fmt: skip
            record(event("uploaded", run, by=by.user, at=at, project=by.project, file=source[-300:]))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return run


def _check(files: Sequence[Any], kind: str) -> None:
    if not files:
        raise BadValue("empty", "Choose a file first.", field="upload")
    if len(files) > FILES_LIMIT:
        raise BadValue("too_many", f"At most {FILES_LIMIT:,} files at once; put more into a zip.", field="upload")
    if kind == ImportKind.LABELS and len(files) > 1:
        raise BadValue("too_many", "Labels come in one file.", field="upload")
    if sum(file.size or 0 for file in files) > settings.UPLOAD_MAX_BYTES:
        limit = settings.UPLOAD_MAX_BYTES >> 20
        raise BadValue(
            "too_large", f"That is more than {limit:,} MB. Split it, or import it with `manage.py import_items` on the server.",
            field="upload",
        )  # fmt: skip


def _name(file: Any) -> str:
    """The file's own name: the last part, without anything a path or a page could trip over."""
    name = PurePosixPath(str(file.name or "file").replace("\\", "/")).name
    return "".join(c for c in name if c.isprintable())[:200] or "file"


def _suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if suffix[1:].isalnum() and len(suffix) <= 9 else ""


def _store(file: Any, target: Path) -> str:
    """Write the upload to `target`; returns its hex SHA-256."""
    digest = hashlib.sha256()
    with target.open("xb") as stream:
        for chunk in file.chunks():
            digest.update(chunk)
            stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()


def _store_together(files: Sequence[Any], target: Path) -> str:
    """Write the uploads into one zip, in order of name and without times, so that the same files have the same hash."""
    names: set[str] = set()
    with zipfile.ZipFile(target, "x", zipfile.ZIP_STORED) as archive:
        for file in sorted(files, key=_name):
            name = _name(file)
            if name in names:
                raise BadValue("twice", f"Two files are called “{name}”. Rename one of them.", field="upload")
            if why := unsafe_name(name):
                raise BadValue("bad_name", f"“{name}” is refused: {why}.", field="upload")
            names.add(name)
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as stream:
                for chunk in file.chunks():
                    stream.write(chunk)
    return runs.fingerprint(target)


def upload_of(run: ImportRun) -> FileSource:
    """The stored file of a run. Raises Refusal when it is gone."""
    path = runs.path_of(run)
    if not run.file or not path.is_file():
        raise Refusal("no_file", "The uploaded file is no longer kept. Upload it again.")
    return FileSource(path=path, name=run.source, sha256=run.file_sha256, stored=run.file)


def is_waiting(run: ImportRun) -> bool:
    """Whether the upload waits for its mapping."""
    return run.status == RunStatus.CHECKING and not run.mapping_sha256


def map_again(*, by: Seat, run: ImportRun, at: datetime | None = None) -> ImportRun:
    """A new run over the upload of a refused one, waiting for a better mapping. The upload moves with it."""
    at = at or timezone.now()
    require(by.membership, "import")
    source = upload_of(run)
    with transaction.atomic():
        taken = ImportRun.objects.filter(pk=run.pk, status=RunStatus.REFUSED, file=run.file).update(file="")
        if not taken:
            raise Refusal("not_refused", "Only a refused import is mapped again.", status=run.status)
        new = ImportRun.objects.create(
            project=by.project, kind=run.kind, source=run.source, file=source.stored, file_sha256=run.file_sha256,
            mapping=run.mapping, mapping_sha256="", by=by.user,
        )  # fmt: skip
        record(event("mapped_again", new, by=by.user, at=at, project=by.project, refused=run.pk))
    return new
