"""Ratings files: anything that says who gave which label to which item, read into one Arrow table.

`read_ratings` takes a long-form file (CSV, TSV, JSONL, Parquet), a multi-rater export of another tool (Label
Studio, doccano, Prodigy, Potato) or standard input (`-`). Names and labels stay text as written; nothing is
converted, guessed or dropped: an empty label stays in the table as null and is counted by whoever measures.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("csv", "tsv", "jsonl", "parquet", "labelstudio", "doccano", "prodigy", "potato")
FOREIGN = ("labelstudio", "doccano", "prodigy", "potato")
DEFAULT_NAMES = {
    "item": "item_id",
    "rater": "rater_id",
    "label": "label",
    "cohort": "cohort",
    "gold": "gold",
    "session": "session",
}
OPTIONAL = ("cohort", "gold", "session")


def clipped(text: str, most: int = 60) -> str:
    """A name or value as it may stand in a one-line message."""
    return text if len(text) <= most else text[: most - 1] + "…"


class RatingsFileError(ValueError):
    """A file that cannot be used. Its message is one line that names the place and what would be right."""


@dataclass(frozen=True)
class Columns:
    """The names of the columns to read. None: the usual name, and for cohort, gold and session only if present."""

    item: str | None = None
    rater: str | None = None
    label: str | None = None
    cohort: str | None = None
    gold: str | None = None
    session: str | None = None

    def name(self, role: str) -> str:
        """The column name that plays `role`."""
        given: str | None = getattr(self, role)
        return given if given is not None else DEFAULT_NAMES[role]

    def asked_for(self, role: str) -> bool:
        """Whether the column was named by the caller, so that its absence is an error."""
        return getattr(self, role) is not None

    def pick(self, present: list[str], where: str) -> dict[str, str]:
        """Role -> column name for what is present.

        Raises
        ------
        RatingsFileError
            When a needed or asked-for column is missing, or one stands twice in the header.
        """
        picked = {}
        for role in DEFAULT_NAMES:
            name = self.name(role)
            if name in present:
                if present.count(name) > 1:
                    raise RatingsFileError(
                        f"{where}: the column {name!r} stands {present.count(name)} times in the header"
                    )
                picked[role] = name
            elif role not in OPTIONAL or self.asked_for(role):
                listed = ", ".join(map(clipped, present[:12])) + (", …" if len(present) > 12 else "")
                raise RatingsFileError(
                    f"{where}: there is no column {name!r} for the {role}; "
                    + (f"the columns are: {listed}. Name yours with --{role}" if listed else "it has no columns at all")
                )
        return picked


@dataclass(frozen=True)
class RatingsFile:
    """What was read.

    Attributes
    ----------
    table : pyarrow.Table
        Columns `item`, `rater`, `label` and, where present, `cohort`, `gold`, `session`; each
        dictionary<int32, string>, rows in the order of the file.
    format : str
        One of `FORMATS`.
    source : str
        The name to print: the file's own name, or "standard input".
    sha256 : str
        Of the bytes read (of all files in name order, for a folder).
    notes : tuple of str
        What a reader must know about how foreign answers became labels.
    """

    table: pa.Table
    format: str
    source: str
    sha256: str
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows, those without a label included."""
        return int(self.table.num_rows)

    def has(self, role: str) -> bool:
        """Whether the file has that optional column."""
        return role in self.table.column_names


def read_ratings(
    source: str, *, format: str = "auto", columns: Columns | None = None, stdin: IO[bytes] | None = None
) -> RatingsFile:
    """Read a ratings file.

    Parameters
    ----------
    source : str
        Path of a file, a folder (doccano, Potato: one file or folder per rater), a ZIP of such a folder, or `-`.
    format : str
        One of `FORMATS`, or "auto": by name and content.
    columns : Columns, optional
        For foreign formats `label` names the question when an export holds several.
    stdin : binary stream, optional
        What `-` reads; standard input when not given.

    Raises
    ------
    RatingsFileError
        For a missing, empty or unreadable file, a wrong column or format, a row without an item or a rater.
    """
    from . import sniffing

    columns = columns or Columns()
    if format not in (*FORMATS, "auto"):
        raise RatingsFileError(f"unknown format {format!r}; known: auto, {', '.join(FORMATS)}")
    with _on_disk(source, stdin) as (path, name):
        if path.is_file() and path.stat().st_size == 0:
            raise RatingsFileError(f"{name}: the file is empty")
        found = sniffing.sniff(path, name, columns) if format == "auto" else format
        try:
            table, notes = _reader(found)(path, name, columns)
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            if found not in FOREIGN:
                raise
            # An export of another tool may hold anything anywhere: a list where a text should be is no crash.
            raise RatingsFileError(
                f"{name}: not built like a {found} export (somewhere {str(error) or type(error).__name__})"
            ) from error
        if table.num_rows == 0:
            raise RatingsFileError(f"{name}: there is no rating in it")
        return RatingsFile(table=table, format=found, source=name, sha256=_sha256(path), notes=notes)


def _reader(found: str) -> Any:
    from . import doccano, labelstudio, longform, potato, prodigy

    return {
        "csv": longform.read_csv,
        "tsv": longform.read_tsv,
        "jsonl": longform.read_jsonl,
        "parquet": longform.read_parquet,
        "labelstudio": labelstudio.read,
        "doccano": doccano.read,
        "prodigy": prodigy.read,
        "potato": potato.read,
    }[found]


@contextmanager
def _on_disk(source: str, stdin: IO[bytes] | None) -> Iterator[tuple[Path, str]]:
    """The source as a path with the name to print. Standard input is spooled to disk: sniffing must look twice."""
    if source == "-":
        with tempfile.NamedTemporaryFile(prefix="concord-ratings-") as spool:
            shutil.copyfileobj(stdin or sys.stdin.buffer, spool, 1 << 20)
            spool.flush()
            yield Path(spool.name), "standard input"
        return
    path = Path(source)
    if not path.exists():
        raise RatingsFileError(f"{source}: there is no such file")
    try:
        if path.is_file():
            path.open("rb").close()
        yield path, path.name or source
    except PermissionError as error:
        raise RatingsFileError(f"{source}: the file may not be read (permission denied)") from error
    except IsADirectoryError as error:
        raise RatingsFileError(f"{source}: that is a folder; give a file") from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@dataclass
class Collector:
    """Builds the table of a foreign export row by row; names are stored once."""

    name: str
    codes: dict[str, list[int | None]] = field(default_factory=lambda: {"item": [], "rater": [], "label": []})
    names: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def add(self, where: str, *, item: Any, rater: Any, label: str | None, **optional: str | None) -> None:
        """Add one rating; `label` None is an answer without a label."""
        for role, value in (("item", item), ("rater", rater)):
            if value is None or value == "":
                raise RatingsFileError(f"{self.name}, {where}: there is no {role}")
        rows = len(self.codes["item"])
        for role, value in (("item", item), ("rater", rater), ("label", label), *optional.items()):
            column = self.codes.get(role)
            if column is None:
                column = self.codes[role] = []
            column.extend([None] * (rows - len(column)))
            column.append(None if value is None or value == "" else self._code(role, as_text(value)))

    def _code(self, role: str, value: str) -> int:
        known = self.names.setdefault(role, {})
        return known.setdefault(value, len(known))

    def note(self, text: str) -> None:
        """Keep a remark for the reader, once."""
        self.notes[text] = None

    def table(self) -> pa.Table:
        """The rows as an Arrow table of dictionary columns."""
        import pyarrow as pa

        rows = len(self.codes["item"])
        columns = {}
        for role, codes in self.codes.items():
            codes.extend([None] * (rows - len(codes)))
            if role in OPTIONAL and all(code is None for code in codes):
                continue
            dictionary = pa.array(list(self.names.get(role, {})), pa.string())
            columns[role] = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), dictionary)
        return pa.table(columns)

    def finish(self) -> tuple[pa.Table, tuple[str, ...]]:
        """(table, notes)"""
        return self.table(), tuple(self.notes)


def as_text(value: Any) -> str:
    """A JSON scalar as the text of a name or a label: true stays "true", 3 is "3", 3.0 is "3".

    >>> as_text(3.0), as_text(True), as_text("007")
    ('3', 'true', '007')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if value is None or isinstance(value, list | dict):
        kind = "nothing" if value is None else "a list" if isinstance(value, list) else "an object"
        raise TypeError(f"there is {kind} where a text or a number is needed")
    return str(value)


SET_NOTE = (
    "Answers with several choices count as one answer each, written “a + b”: they agree only when all choices do."
)


def joined(choices: list[Any], collector: Collector) -> str | None:
    """Several choices as one label (sorted, "a + b"), none as no label."""
    texts = sorted({as_text(choice) for choice in choices})
    if len(texts) > 1:
        collector.note(SET_NOTE)
    return " + ".join(texts) if texts else None
