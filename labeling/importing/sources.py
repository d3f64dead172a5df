"""A file of items, whatever its kind: a table, a table beside images, or images alone."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from ..formats.images import (
    TABLE_BYTES,
    BadImageError,
    BadSourceError,
    ImageInfo,
    ImageSource,
    inspect_image,
    is_image_source,
    open_images,
    store_image,
)
from ..formats.rows import Row, RowReader, RowsError, open_rows
from ..refusals import BadValue
from .mapping import ItemMapping, declared_fields, with_schema
from .report import Finding

IMAGE_COLUMNS = ["file", "folder", "name"]
_BLOCK = 1 << 20


def fingerprint(path: Path, images: str = "") -> str:
    """Hex SHA-256 of a file, or of a folder's names and contents; with `images` of both. Raises BadValue."""
    try:
        digest = _digest(path)
        return hashlib.sha256(f"{digest} {_digest(Path(images))}".encode()).hexdigest() if images else digest
    except OSError as error:
        raise BadValue(
            "no_file",
            f"{error.filename or path} cannot be read: {(error.strerror or str(error)).lower()}.",
            field="file",
        ) from None
    except BadSourceError as error:
        raise BadValue("bad_file", str(error), field="file") from None


def _digest(path: Path) -> str:
    if path.is_dir():
        whole = hashlib.sha256()
        with open_images(path) as source:
            for entry in source.entries.values():
                content = _digest(path / entry.name) if entry.problem is None else entry.problem.code
                whole.update(f"{entry.name}\0{content}\n".encode(errors="surrogateescape"))
        return whole.hexdigest()
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


class ItemFile:
    """An opened file of items, in a `with` block. `rows()` may be read once.

    Raises RowsError or BadSourceError when it cannot be opened.
    """

    columns: list[str]

    def __init__(self, path: Path, *, name: str, images: str = "", format: str = "auto", encoding: str = "") -> None:
        self._stack = ExitStack()
        self._reader: RowReader | None = None
        self._images: ImageSource | None = None
        self._beside = ""
        self._done = 0
        self.used: set[str] = set()
        try:
            if images and not is_image_source(Path(images)):
                raise BadSourceError(f"{images} is neither a folder nor a zip file.")
            if is_image_source(path):
                self._images = self._stack.enter_context(open_images(path, name))
                self._open_table_within(format, encoding)
            else:
                self._reader = self._stack.enter_context(open_rows(path, format=format, encoding=encoding, name=name))
                if images:
                    self._images = self._stack.enter_context(open_images(Path(images)))
        except BaseException:
            self._stack.close()
            raise
        self.columns = self._reader.columns if self._reader is not None else list(IMAGE_COLUMNS)

    def _open_table_within(self, format: str, encoding: str) -> None:
        assert self._images is not None
        if (table := self._images.table()) is None:
            if not self._images.entries:
                raise BadSourceError(f"{self._images.name} holds no files.")
            return
        try:
            data = self._images.read(table, TABLE_BYTES)
        except BadImageError as error:
            raise BadSourceError(f"{self._images.name}, {table.name}: {error.reason}") from None
        if len(data) > TABLE_BYTES:
            raise BadSourceError(f"{table.name} is larger than {TABLE_BYTES >> 20} MB; give it beside the images.")
        copy = Path(self._stack.enter_context(tempfile.TemporaryDirectory()), "table")
        copy.write_bytes(data)
        self._beside = str(PurePosixPath(table.name).parent).removeprefix(".")
        self._reader = self._stack.enter_context(open_rows(copy, format=format, encoding=encoding, name=table.name))

    def __enter__(self) -> ItemFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def only_images(self) -> bool:
        """Whether each image is an item of its own."""
        return self._reader is None

    def rows(self) -> Iterator[tuple[int, Row]]:
        """(number, row); of images alone the rows are IMAGE_COLUMNS."""
        if self._reader is not None:
            yield from self._reader
            return
        assert self._images is not None
        for number, entry in enumerate(self._images.images(), start=1):
            self._done = number
            path = PurePosixPath(entry.name)
            yield number, {"file": entry.name, "folder": str(path.parent).removeprefix("."), "name": path.name}

    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        if self._reader is not None:
            return self._reader.fraction()
        assert self._images is not None
        return self._done / max(1, len(self._images.entries))

    def image_finder(self, known: KnownImages, *, store: Path | None, max_bytes: int) -> Callable[..., Any] | None:
        """A function (field, name) → (payload value, media) or Finding; None without images.

        `store`: where images are kept, or None to look at them only.
        """
        images = self._images
        if images is None:
            return None

        def find(field: str, name: str) -> tuple[str, dict[str, Any]] | Finding:
            entry = images.find(name, self._beside)
            if entry is None or entry.is_table:
                return Finding(0, "no_file", f"{images.name} holds no image of this name.", field)
            self.used.add(entry.name)
            try:
                data = images.read(entry, max_bytes)
                digest = hashlib.sha256(data).hexdigest()
                info = known.infos.get(digest) or inspect_image(data, max_bytes=max_bytes)
            except BadImageError as error:
                return Finding(0, error.code, error.reason, field)
            known.infos[digest] = info
            media = store_image(data, info, store) if store is not None else {"sha256": digest, "type": info.type}
            return f"sha256:{digest}", media

        return find

    def unused_images(self) -> int:
        """How many images no row has named so far."""
        return 0 if self._images is None else sum(entry.name not in self.used for entry in self._images.images())


@dataclass
class KnownImages:
    """{sha256: what it is} of images already looked into, so that the second pass need not decode them again."""

    infos: dict[str, ImageInfo]


def suggest_for_images(schema: dict[str, Any]) -> ItemMapping:
    """The mapping of a folder or zip in which each image is an item: its path is its id, its folder metadata."""
    names = [spec["name"] for spec in declared_fields(schema) if spec.get("kind") == "image"]
    field = names[0] if names else "image"
    mapping = ItemMapping(external_id="file", payload={field: "file"}, metadata={"folder": "folder"})
    made = with_schema(mapping, schema)
    return made if names else ItemMapping.from_json({**made.as_json(), "kinds": {**made.kinds, field: "image"}})


__all__ = ["BadSourceError", "ItemFile", "KnownImages", "RowsError", "fingerprint", "suggest_for_images"]
