"""Tables read row by row in bounded memory: CSV, TSV, JSON Lines, Parquet.

A reader yields `(number, row)`. `number` is what a person finds in the file: the spreadsheet's row (the header is row 1),
the line of a JSON Lines file, the row of a Parquet file from 1. A row is a dict, or a `BadRow` where this one cannot
be read and the next ones can. What makes the whole file unreadable raises `RowsError`.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

FORMATS = ("csv", "tsv", "jsonl", "parquet")
FIELD_LIMIT = 1_000_000  # characters of one CSV field
LINE_LIMIT = 8_000_000  # characters of one line
GROUP_LIMIT = 1 << 30  # uncompressed bytes of one Parquet row group
COLUMNS_LIMIT = 2_000
_HEAD = 1 << 16
_SAMPLE = 200  # rows of a JSON Lines file whose keys make its columns
_DELIMITERS = ",;\t|"
csv.field_size_limit(FIELD_LIMIT)


class RowsError(ValueError):
    """A file that cannot be read as a table. Its message is one sentence that says where and what would be right."""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read, and why. `code` groups equal reasons."""

    code: str
    reason: str
    field: str = ""
    value: str = ""


Row = dict[str, Any] | BadRow


class RowReader:
    """A table that is read once, from the first row to the last. Use it in a `with` block.

    columns: names in the file's order; of JSON Lines those of the first rows. An object's keys stand behind it one level
    down, as `payload.text`; `value_at` reads both.
    """

    format: str
    columns: list[str]

    def __enter__(self) -> RowReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        raise NotImplementedError

    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""


def open_rows(path: Path, *, format: str = "auto", encoding: str = "", name: str = "") -> RowReader:
    """A reader of the file.

    `format`: one of FORMATS, or `auto`: by what is in the file first, by the name second. `encoding`: of text files;
    empty means UTF-8, or UTF-16 where a byte order mark says so. `name`: what messages call the file.

    Raises RowsError when the file is empty, of another kind, or has a header that cannot be used.
    """
    name = name or path.name
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise RowsError(f"{name} cannot be opened: {(error.strerror or str(error)).lower()}.") from error
    if not head:
        raise RowsError(f"{name} is empty.")
    if format == "auto":
        format = sniff(head, name)
    if format not in FORMATS:
        raise RowsError(f"Unknown format {format!r}. Use one of: {', '.join(FORMATS)}.")
    if format == "parquet":
        return _ParquetRows(path, name)
    encoding = _encoding(head, encoding, name)
    return _JsonRows(path, name, encoding) if format == "jsonl" else _CsvRows(path, name, encoding, format, head)


def sniff(head: bytes, name: str) -> str:
    """One of FORMATS from a file's first bytes and its name. Raises RowsError naming what the file seems to be."""
    for magic, what in (
        (b"PK\x03\x04", "a zip or a spreadsheet workbook: unpack it, or save the sheet as CSV (UTF-8)"),
        (b"\xd0\xcf\x11\xe0", "an old spreadsheet workbook: save the sheet as CSV (UTF-8)"),
        (b"\x1f\x8b", "compressed: unpack it first"),
        (b"%PDF", "a PDF: a table in CSV, TSV, JSON Lines or Parquet is needed"),
        (b"SQLite format 3", "a database: export the table as CSV"),
    ):
        if head.startswith(magic):
            raise RowsError(f"{name} is {what}.")
    if head.startswith(b"PAR1"):
        return "parquet"
    utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = head.decode("utf-16" if utf16 else "utf-8-sig", errors="replace").lstrip()
    if text.startswith("{"):
        return "jsonl"
    if text.startswith("["):
        raise RowsError(f"{name} is one JSON array. Write one JSON object per line (JSON Lines).")
    suffix = Path(name).suffix.lower()
    if suffix in (".tsv", ".tab"):
        return "tsv"
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    return "csv"


def _encoding(head: bytes, asked: str, name: str) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if asked and asked.lower().replace("_", "-") not in ("utf-8", "utf8", "utf-8-sig"):
        try:
            "".encode(asked)
        except LookupError:
            raise RowsError(f"Unknown encoding {asked!r}. Common ones are utf-8, cp1252, latin-1 and utf-16.") from None
        return asked
    if b"\x00" in head.partition(b"\n")[0]:
        raise RowsError(
            f"{name} is not text (it holds NUL bytes). A table in CSV, TSV, JSON Lines or Parquet is needed."
        )
    return "utf-8-sig"


def value_at(row: Mapping[str, Any], column: str) -> Any:
    """The row's value in a column, or one level down for `payload.text`; None when there is none.

    >>> value_at({"payload": {"text": "a"}, "a.b": 1}, "payload.text"), value_at({"a.b": 1}, "a.b")
    ('a', 1)
    """
    if column in row:
        return row[column]
    head, dot, rest = column.partition(".")
    inner = row.get(head) if dot else None
    return inner.get(rest) if isinstance(inner, Mapping) else None


def _with_parts(names: Mapping[str, Iterable[str]]) -> list[str]:
    return [column for name, parts in names.items() for column in (name, *(f"{name}.{part}" for part in parts))]


def shorten(value: Any, length: int = 80) -> str:
    """The value as a report shows it: one line, control characters made visible, at most `length` characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" if c == "\x00" or "\ud800" <= c <= "\udfff" else " "
        for c in text[: length + 1]
    )
    return text[: length - 1] + "…" if len(text) > length else text


def unstorable(value: Any) -> str:
    """Why a text, or a text inside a JSON value, cannot be stored; empty when it can."""
    if isinstance(value, str):
        if "\x00" in value:
            return "holds a NUL character"
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                return (
                    "is not UTF-8 text; save the file as UTF-8, or name its encoding"
                    if "\udc80" <= value[error.start] <= "\udcff"
                    else "holds half of a character (a lone surrogate)"
                )
    elif isinstance(value, Mapping):
        return next((why for pair in value.items() for part in pair if (why := unstorable(part))), "")
    elif isinstance(value, list):
        return next((why for part in value if (why := unstorable(part))), "")
    return ""


def _first_unstorable(row: Mapping[str, Any]) -> BadRow | None:
    for field, value in row.items():
        if why := unstorable(field) or unstorable(value):
            return BadRow("bad_text", f"The field {why}.", shorten(field), shorten(value))
    return None


def _check_columns(columns: list[str], name: str) -> None:
    seen: set[str] = set()
    if len(columns) > COLUMNS_LIMIT:
        raise RowsError(f"{name} has {len(columns):,} columns; at most {COLUMNS_LIMIT:,} can be read.")
    for position, column in enumerate(columns, start=1):
        if not column:
            raise RowsError(f"{name}: column {position} has no name in the header. Name it, or delete the column.")
        if column in seen:
            raise RowsError(f"{name}: the column {shorten(column)!r} stands twice in the header. Rename one of them.")
        if why := unstorable(column):
            raise RowsError(f"{name}: the name of column {position} {why}.")
        seen.add(column)


class _CsvRows(RowReader):
    def __init__(self, path: Path, name: str, encoding: str, format: str, head: bytes) -> None:
        self.format = format
        self._name = name
        self._size = path.stat().st_size
        self._raw: BinaryIO = path.open("rb")
        # surrogateescape: a byte that is not UTF-8 is found in its row and field instead of stopping the decoder.
        errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
        self._text: TextIO = io.TextIOWrapper(self._raw, encoding=encoding, errors=errors, newline="")
        self._suspect = False
        self._lines = 0
        delimiter = "\t" if format == "tsv" else self._delimiter(head, encoding)
        self._cells = csv.reader(self._checked_lines(), delimiter=delimiter, strict=True)
        self._number = 0
        try:
            header = self._next_cells()
            while header is not None and not any(cell.strip() for cell in header):
                header = self._next_cells()
            if header is None:
                raise RowsError(f"{name} holds nothing but blank lines.")
            self.columns = [cell.strip() for cell in header]
            _check_columns(self.columns, name)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _delimiter(head: bytes, encoding: str) -> str:
        lines = head.decode(encoding, errors="replace").lstrip().splitlines()
        first = lines[0] if lines else ""
        outside = "".join(first.split('"')[::2])
        return max(_DELIMITERS, key=outside.count)

    def _checked_lines(self) -> Iterator[str]:
        """Lines of the file, noting whether one of the current row needs a closer look."""
        readline = self._text.readline
        while True:
            line = readline(LINE_LIMIT)
            if not line:
                return
            self._lines += 1
            if len(line) >= LINE_LIMIT and line[-1] not in "\r\n":
                raise RowsError(f"{self._name}, line {self._lines} is longer than {LINE_LIMIT:,} characters.")
            if "\x00" in line or not line.isascii():
                try:
                    line.encode()
                    self._suspect = self._suspect or "\x00" in line
                except UnicodeEncodeError:
                    self._suspect = True
            yield line

    def _next_cells(self) -> list[str] | None:
        self._suspect = False
        line = self._lines + 1
        self._number += 1
        try:
            return next(self._cells, None)
        except csv.Error as error:
            where = f"{self._name}, row {self._number} (line {line})"
            message = str(error)
            if "field larger" in message:
                why = f"a field is longer than {FIELD_LIMIT:,} characters; perhaps a quote is opened there and never closed"
            elif "unexpected end" in message:
                why = "a quote is opened there and never closed"
            elif "expected after" in message:
                why = "text follows a closing quote; write a quote inside a quoted field twice"
            else:
                why = message
            raise RowsError(f"{where}: {why}.") from error
        except UnicodeError as error:
            raise RowsError(
                f"{self._name}, near line {self._lines + 1}: not text in this encoding ({self._text.encoding})."
            ) from error

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        columns, width = self.columns, len(self.columns)
        while (cells := self._next_cells()) is not None:
            if len(cells) != width:
                if not cells or (len(cells) == 1 and not cells[0].strip()):
                    continue  # a blank line
                yield (
                    self._number,
                    BadRow(
                        "ragged",
                        f"{len(cells)} fields where the header has {width}; put quotes around a field that holds the separator.",
                        "",
                        shorten(self._cells.dialect.delimiter.join(cells)),
                    ),
                )
                continue
            row = dict(zip(columns, cells, strict=True))
            if self._suspect and (bad := _first_unstorable(row)) is not None:
                yield self._number, bad
                continue
            yield self._number, row

    def fraction(self) -> float:
        return min(1.0, self._raw.tell() / self._size) if self._size else 1.0

    def close(self) -> None:
        self._text.close()


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice in one object"
        )
    return made


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON number; leave the field out or write null")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant)


class _JsonRows(RowReader):
    format = "jsonl"

    def __init__(self, path: Path, name: str, encoding: str) -> None:
        self._name = name
        self._size = path.stat().st_size
        self._raw: BinaryIO = path.open("rb")
        self._utf8 = encoding == "utf-8-sig"
        self._text: TextIO | None = None if self._utf8 else io.TextIOWrapper(self._raw, encoding=encoding)
        self._waiting: list[tuple[int, Row]] = []
        self._rows = self._read()
        names: dict[str, dict[str, None]] = {}
        for pair in self._rows:
            self._waiting.append(pair)
            if isinstance(pair[1], dict):
                for key, value in pair[1].items():
                    names.setdefault(key, {}).update(dict.fromkeys(value) if isinstance(value, dict) else {})
            if len(self._waiting) >= _SAMPLE:
                break
        self.columns = _with_parts(names)

    def _lines(self) -> Iterator[bytes | str]:
        if self._text is None:
            while line := self._raw.readline(LINE_LIMIT):
                yield line
            return
        try:
            while text := self._text.readline(LINE_LIMIT):
                yield text
        except UnicodeError as error:
            raise RowsError(f"{self._name}: not text in this encoding ({self._text.encoding}).") from error

    def _read(self) -> Iterator[tuple[int, Row]]:
        number = 0
        for line in self._lines():
            number += 1
            if len(line) >= LINE_LIMIT and line[-1:] not in (b"\n", "\n"):
                raise RowsError(f"{self._name}, line {number} is longer than {LINE_LIMIT:,} characters.")
            if number == 1 and isinstance(line, bytes):
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            yield number, self._parse(line)

    def _parse(self, line: bytes | str) -> Row:
        try:
            text = line if isinstance(line, str) else line.decode()
        except UnicodeDecodeError:
            shown = shorten(line.decode(errors="replace"))  # type: ignore[union-attr]
            return BadRow(
                "bad_text", "The line is not UTF-8 text; save the file as UTF-8, or name its encoding.", "", shown
            )
        try:
            row = _DECODER.decode(text.strip())
        except (ValueError, RecursionError) as error:
            why = (
                "nested too deeply"
                if isinstance(error, RecursionError)
                else str(error).replace("line 1 column", "column")
            )
            return BadRow("bad_json", f"The line is not JSON: {why}.", "", shorten(text))
        if not isinstance(row, dict):
            return BadRow("bad_json", "The line is JSON, but no object: write {…} on each line.", "", shorten(text))
        # Only an escape can bring in what the decoder let through.
        if "\\u" in text and (bad := _first_unstorable(row)) is not None:
            return bad
        return row

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        waiting, self._waiting = self._waiting, []
        yield from waiting
        yield from self._rows

    def fraction(self) -> float:
        return min(1.0, self._raw.tell() / self._size) if self._size else 1.0

    def close(self) -> None:
        if self._text is not None:
            self._text.close()
        self._raw.close()


def _plain(value: Any) -> Any:
    """A Parquet value as JSON holds it; raises ValueError naming the type that has no such form."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value  # NaN is how pandas writes "missing"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    raise ValueError(f"a value of type {type(value).__name__} cannot be read; write it as text or number")


class _ParquetRows(RowReader):
    format = "parquet"

    def __init__(self, path: Path, name: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._name = name
        self._arrow_error: tuple[type[Exception], ...] = (pa.ArrowException, OSError)
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False)
        except self._arrow_error as error:
            raise RowsError(f"{name} cannot be read as Parquet: {_first_line(error)}.") from error
        schema = self._file.schema_arrow
        self._total = self._file.metadata.num_rows
        self._done = 0
        groups = (self._file.metadata.row_group(i).total_byte_size for i in range(self._file.metadata.num_row_groups))
        if (largest := max(groups, default=0)) > GROUP_LIMIT:
            self.close()
            raise RowsError(
                f"{name} has a row group of {largest >> 20:,} MB. Write it with smaller row groups (100,000 rows)."
            )
        _check_columns(schema.names, name)
        parts = {f.name: [part.name for part in f.type] if pa.types.is_struct(f.type) else [] for f in schema}
        self.columns = _with_parts(parts)

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        try:
            for batch in self._file.iter_batches(batch_size=500, use_threads=False):
                for row in batch.to_pylist():
                    self._done += 1
                    yield self._done, self._clean(row)
        except self._arrow_error as error:
            raise RowsError(f"{self._name}, after row {self._done}: {_first_line(error)}.") from error

    @staticmethod
    def _clean(row: dict[str, Any]) -> Row:
        for field, value in row.items():
            try:
                row[field] = _plain(value)
            except ValueError as error:
                return BadRow("bad_type", f"The field holds {error}.", field, shorten(repr(value)))
        return _first_unstorable(row) or row

    def fraction(self) -> float:
        return self._done / self._total if self._total else 1.0

    def close(self) -> None:
        self._file.close()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip().rstrip(".")
