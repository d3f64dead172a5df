"""Images out of a folder or a zip file, looked into before they are believed.

Nothing here writes to a path that a file names: an image is stored under the hash of its bytes. What an image is, is
read from its content (PNG, JPEG, WebP, GIF); its name and extension say nothing.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import stat
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from .rows import shorten

TYPES = {
    "PNG": ("image/png", "png"),
    "JPEG": ("image/jpeg", "jpg"),
    "WEBP": ("image/webp", "webp"),
    "GIF": ("image/gif", "gif"),
}
EXTENSION_OF = dict(TYPES.values())
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
PIXEL_LIMIT = 60_000_000
NAME_LIMIT = 200
ENTRY_LIMIT = 200_000
# Photographs hardly compress: a zip that unpacks to much more than itself was made to fill a disk.
RATIO_LIMIT = 100
RATIO_FREE_BYTES = 4 << 20
TABLE_BYTES = 512 << 20
_IGNORED = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$|desktop\.ini$|\._[^/]*$)")
_ORIENTATION = 0x0112


class BadImageError(ValueError):
    """Why a file is not taken in; `code` groups equal reasons."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class BadSourceError(ValueError):
    """A folder or zip that cannot be used at all."""


@dataclass(frozen=True)
class ImageInfo:
    """What an image is: media type, and width and height in pixels as it is displayed."""

    type: str
    width: int
    height: int


def inspect_image(data: bytes, *, max_bytes: int) -> ImageInfo:
    """What the image is, after decoding it whole. Raises BadImageError when it is none, damaged or too large."""
    from PIL import Image, UnidentifiedImageError

    if len(data) > max_bytes:
        raise BadImageError("too_large", f"The image is larger than {max_bytes >> 20} MB.")
    if not data:
        raise BadImageError("empty", "The file is empty.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=tuple(TYPES)) as image:
                # A phone's JPEG with a second picture inside calls itself MPO.
                kind, _ = TYPES["JPEG" if image.format == "MPO" else str(image.format)]
                width, height = image.size
                if width * height > PIXEL_LIMIT:
                    raise BadImageError(
                        "too_large",
                        f"The image has {width:,} × {height:,} pixels; at most {PIXEL_LIMIT // 10**6} million.",
                    )
                turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
                # A JPEG is decoded at an eighth of its size: as thorough over the bytes, and much faster.
                image.draft(image.mode, (max(1, width // 8), max(1, height // 8)))
                image.load()
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError("not_an_image", f"The file is no PNG, JPEG, WebP or GIF image ({_guess(data)}).") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImageError("too_large", f"The image has more than {PIXEL_LIMIT // 10**6} million pixels.") from None
    except Exception as error:  # a broken image may raise anything out of its decoder
        raise BadImageError(
            "damaged", f"The image is damaged: {shorten(str(error)) or type(error).__name__}."
        ) from None
    return ImageInfo(kind, height, width) if turned else ImageInfo(kind, width, height)


def _guess(data: bytes) -> str:
    head = data[:512].lstrip().lower()
    for magic, what in (
        (b"%pdf", "it is a PDF"), (b"pk\x03\x04", "it is a zip"), (b"bm", "it may be a BMP"), (b"ii*\x00", "it is a TIFF"),
        (b"mm\x00*", "it is a TIFF"), (b"<svg", "it is an SVG drawing"), (b"<!doctype", "it is a web page"), (b"<html", "it is a web page"),
    ):  # fmt: skip
        if head.startswith(magic):
            return what
    if b"<svg" in head:
        return "it is an SVG drawing"
    if data[4:12] in (b"ftypheic", b"ftypmif1", b"ftypavif"):
        return "it is HEIC or AVIF; save it as JPEG"
    return "it begins with " + data[:8].hex(" ")


def store_image(data: bytes, info: ImageInfo, root: Path) -> dict[str, Any]:
    """Write the image below `root` under the hash of its bytes, whole or not at all.

    Returns {"file": path below root, "sha256", "type", "width", "height"}. The same bytes are stored once.
    """
    digest = hashlib.sha256(data).hexdigest()
    relative = PurePosixPath("items", digest[:2], f"{digest}.{EXTENSION_OF[info.type]}")
    target = root / relative
    if not (target.is_file() and target.stat().st_size == len(data)):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{digest[:16]}.{secrets.token_hex(6)}.part")
        try:
            with part.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return {"file": str(relative), "sha256": digest, "type": info.type, "width": info.width, "height": info.height}


def unsafe_name(name: str) -> str:
    """Why a file's name within a folder or zip is refused; empty when it is a plain relative path."""
    if not name or len(name) > NAME_LIMIT:
        return f"its name is longer than {NAME_LIMIT} characters" if name else "it has no name"
    if "\\" in name or name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "its name is no relative path with forward slashes"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "its name leads out of the folder"
    if not name.isprintable():
        return "its name holds control or undecodable characters"
    return ""


@dataclass(frozen=True)
class Entry:
    """A file of a source. `problem`: why it cannot be read, before anyone tried."""

    name: str
    size: int
    problem: BadImageError | None = None

    @property
    def is_table(self) -> bool:
        return self.name.lower().endswith(TABLE_SUFFIXES)


class ImageSource:
    """The files of a folder or zip, in order of name, without those that operating systems leave behind."""

    name: str
    entries: dict[str, Entry]

    def __enter__(self) -> ImageSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def images(self) -> Iterator[Entry]:
        """Every file but the table."""
        return (entry for entry in self.entries.values() if not entry.is_table)

    def table(self) -> Entry | None:
        """The one table beside the images, if there is one. Raises BadSourceError when there are several."""
        tables = [entry for entry in self.entries.values() if entry.is_table]
        if len(tables) > 1:
            names = ", ".join(entry.name for entry in tables[:5])
            raise BadSourceError(f"{self.name} holds {len(tables)} tables ({names}). Leave one, or none.")
        return tables[0] if tables else None

    def find(self, named: str, beside: str = "") -> Entry | None:
        """The file a table names, from the root or from the table's own folder `beside`."""
        named = named.strip().removeprefix("./")
        return self.entries.get(named) or (self.entries.get(f"{beside}/{named}") if beside else None)

    def read(self, entry: Entry, limit: int) -> bytes:
        """The file's bytes, at most `limit` + 1 of them. Raises BadImageError when it cannot be read."""
        if entry.problem is not None:
            raise entry.problem
        return self._read(entry, limit + 1)

    def _read(self, entry: Entry, most: int) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""


class FolderImages(ImageSource):
    """A folder on this machine. Symbolic links are neither followed nor read."""

    def __init__(self, path: Path) -> None:
        self.name, self._root = path.name, path
        found: dict[str, Entry] = {}
        for folder, folders, files in os.walk(path, followlinks=False):
            folders.sort()
            for name in sorted(files):
                full = Path(folder, name)
                relative = full.relative_to(path).as_posix()
                if _IGNORED.search(relative):
                    continue
                if len(found) >= ENTRY_LIMIT:
                    raise BadSourceError(f"{self.name} holds more than {ENTRY_LIMIT:,} files. Import it in parts.")
                found[relative] = self._entry(full, relative)
            for name in folders:
                if Path(folder, name).is_symlink():
                    relative = Path(folder, name).relative_to(path).as_posix()
                    found[relative] = Entry(relative, 0, _LINK)
        self.entries = dict(sorted(found.items()))

    @staticmethod
    def _entry(full: Path, relative: str) -> Entry:
        state = full.lstat()
        if stat.S_ISLNK(state.st_mode):
            return Entry(relative, 0, _LINK)
        if not stat.S_ISREG(state.st_mode):
            return Entry(relative, 0, BadImageError("not_a_file", "This is no ordinary file."))
        why = unsafe_name(relative)
        return Entry(relative, state.st_size, BadImageError("bad_name", f"Refused: {why}.") if why else None)

    def _read(self, entry: Entry, most: int) -> bytes:
        try:
            # O_NOFOLLOW: a file swapped for a link after the folder was listed is not followed either.
            handle = os.open(self._root / entry.name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            with os.fdopen(handle, "rb") as stream:
                return stream.read(most)
        except OSError as error:
            raise BadImageError(
                "unreadable", f"The file cannot be read: {(error.strerror or str(error)).lower()}."
            ) from None


_LINK = BadImageError("link", "This is a symbolic link; put the file itself there.")


class ZipImages(ImageSource):
    """A zip file. What it says about itself is checked before anything is unpacked, and again while reading."""

    def __init__(self, path: Path, name: str = "") -> None:
        self.name = name or path.name
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise BadSourceError(f"{self.name} cannot be read as a zip: {shorten(str(error)).lower()}.") from None
        try:
            self._look_through(path.stat().st_size)
        except BaseException:
            self.close()
            raise

    def _look_through(self, archive_bytes: int) -> None:
        infos = [info for info in self._zip.infolist() if not info.is_dir() and not _IGNORED.search(info.filename)]
        if len(infos) > ENTRY_LIMIT:
            raise BadSourceError(f"{self.name} holds more than {ENTRY_LIMIT:,} files. Import it in parts.")
        total = sum(info.file_size for info in infos)
        if total > RATIO_FREE_BYTES and total > RATIO_LIMIT * archive_bytes:
            raise BadSourceError(
                f"{self.name} would unpack to {total >> 20:,} MB from {max(1, archive_bytes >> 10):,} kB. "
                "Images hardly compress, so this is refused."
            )
        self._infos: dict[str, zipfile.ZipInfo] = {}
        found: dict[str, Entry] = {}
        for info in infos:
            twice = info.filename in found
            self._infos[info.filename] = info
            found[info.filename] = Entry(info.filename, info.file_size, self._problem(info, twice))
        self.entries = dict(sorted(found.items()))

    @staticmethod
    def _problem(info: zipfile.ZipInfo, twice: bool) -> BadImageError | None:
        mode = info.external_attr >> 16
        if mode and stat.S_ISLNK(mode):
            return _LINK
        if why := unsafe_name(info.filename):
            return BadImageError("bad_name", f"Refused: {why}.")
        if twice:
            return BadImageError("twice", "The zip holds this name twice.")
        if info.flag_bits & 0x1:
            return BadImageError("encrypted", "The file is encrypted; make the zip without a password.")
        if info.file_size > RATIO_FREE_BYTES and info.file_size > RATIO_LIMIT * max(1, info.compress_size):
            return BadImageError(
                "bomb", f"The file would unpack to {info.file_size >> 20:,} MB, over {RATIO_LIMIT} times its size."
            )
        return None

    def _read(self, entry: Entry, most: int) -> bytes:
        try:
            with self._zip.open(self._infos[entry.name]) as stream:
                return stream.read(most)
        except Exception as error:  # zlib.error, lzma.LZMAError and their like share no base
            raise BadImageError("damaged", f"The zip is damaged here: {shorten(str(error)).lower()}.") from None

    def close(self) -> None:
        self._zip.close()


def is_image_source(path: Path) -> bool:
    """Whether the path is a folder or a zip file, rather than a table."""
    return path.is_dir() or (path.is_file() and path.suffix.lower() != ".xlsx" and zipfile.is_zipfile(path))


def open_images(path: Path, name: str = "") -> ImageSource:
    """The files of a folder or zip. Raises BadSourceError when it cannot be read or looks made to do harm."""
    return FolderImages(path) if path.is_dir() else ZipImages(path, name)
