"""Exports that keep one file per rater: a folder, or a ZIP of one."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from .ratings import RatingsFileError

MOST_UNPACKED = 4 << 30
"""A ZIP may unpack to at most this many bytes: a small file must not be able to fill the disk."""


@contextmanager
def unpacked(path: Path, name: str, endings: tuple[str, ...]) -> Iterator[list[tuple[str, Path]]]:
    """(name inside, path) of every file of a folder, a ZIP, or the file itself, whose name ends in one of `endings`.

    Raises
    ------
    RatingsFileError
        For a broken ZIP or one that unpacks to too much.
    """
    if path.is_dir():
        yield sorted((str(p.relative_to(path)), p) for p in path.rglob("*") if p.is_file() and p.name.endswith(endings))
        return
    if not zipfile.is_zipfile(path):
        yield [(name, path)]
        return
    with TemporaryDirectory(prefix="concord-ratings-") as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                entries = [e for e in archive.infolist() if not e.is_dir() and e.filename.endswith(endings)]
                if sum(entry.file_size for entry in entries) > MOST_UNPACKED:
                    raise RatingsFileError(f"{name}: unpacks to more than {MOST_UNPACKED >> 30} GiB")
                files = []
                for number, entry in enumerate(sorted(entries, key=lambda e: e.filename)):
                    # Under a number, never under the name inside: an archive may not choose where it writes.
                    target = Path(folder) / str(number)
                    with archive.open(entry) as source, target.open("wb") as sink:
                        while block := source.read(1 << 20):
                            sink.write(block)
                    files.append((entry.filename, target))
        except zipfile.BadZipFile as error:
            raise RatingsFileError(f"{name}: the ZIP is damaged ({error})") from error
        yield files


def question(found: list[str], asked: str | None, default: str, where: str) -> str:
    """Which of the questions of an export to read.

    Raises
    ------
    RatingsFileError
        When there are several and none was named, or the named one is not there.
    """
    if asked is not None:
        if asked in found:
            return asked
        raise RatingsFileError(f"{where}: there is no question {asked!r}; it has: {', '.join(found)}")
    if len(found) == 1:
        return found[0]
    if default in found:
        return default
    raise RatingsFileError(f"{where}: it has several questions ({', '.join(found)}); choose one with --label NAME")
