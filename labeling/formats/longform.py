"""Long-form ratings files: one row per rating, in CSV, TSV, JSON Lines or Parquet."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .ratings import DEFAULT_NAMES, OPTIONAL, Columns, RatingsFileError, as_text

if TYPE_CHECKING:
    import pyarrow as pa

Read = tuple["pa.Table", tuple[str, ...]]
_BLOCK = 8 << 20


def cells_of(line: str, delimiter: str, name: str) -> list[str]:
    """The cells of a header line.

    Raises
    ------
    RatingsFileError
        When it is no line of a table.
    """
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise RatingsFileError(f"{name}: not readable as a table ({error})") from error


def read_csv(path: Path, name: str, columns: Columns) -> Read:
    """Comma-separated; semicolons or tabs are accepted when the header has more of them (as many spreadsheets save)."""
    header = first_line(path, name)
    return _read_delimited(path, name, columns, max(",;\t", key=header.count))


def read_tsv(path: Path, name: str, columns: Columns) -> Read:
    """Tab-separated."""
    return _read_delimited(path, name, columns, "\t")


def first_line(path: Path, name: str) -> str:
    """The first line that is not blank, as text.

    Raises
    ------
    RatingsFileError
        When it is not UTF-8.
    """
    with path.open("rb") as stream:
        number, line = 1, stream.readline(1 << 20)
        if line.startswith(b"\xef\xbb\xbf"):
            line = line[3:]
        while line in (b"\n", b"\r\n"):
            number, line = number + 1, stream.readline(1 << 20)
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise RatingsFileError(f"{name}, line {number}: not UTF-8 text; save the file as UTF-8") from error
    # lines may end as on old Macs
    return text.split("\r", 1)[0]


def _read_delimited(path: Path, name: str, columns: Columns, delimiter: str) -> Read:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header = cells_of(first_line(path, name), delimiter, name)
    if not header:
        raise RatingsFileError(f"{name}: the file is empty")
    picked = columns.pick([cell.strip() for cell in header], f"{name}, line 1")
    original = {cell.strip(): cell for cell in header}
    text = pa.dictionary(pa.int32(), pa.string())
    wanted = [original[column] for column in picked.values()]
    try:
        table = arrow_csv.read_csv(
            path,
            # One thread: the message about a ragged line then says which line, and four text columns are read at
            # a million rows per second anyway.
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(dict.fromkeys(wanted)),
                column_types=dict.fromkeys(wanted, text),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise RatingsFileError(_explain(str(error), path, name)) from error
    table = pa.table({role: table.column(original[column]) for role, column in picked.items()}).unify_dictionaries()
    _refuse_missing_names(table, picked, lambda row: f"line {_line_of(path, delimiter, row)}", name)
    return table, ()


def _explain(message: str, path: Path, name: str) -> str:
    """Arrow's message about a broken file, in words a person can act on."""
    ragged = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message)
    if ragged:
        row, expected, got = ragged.groups()
        return (
            f"{name}, line {row}: {got} fields where the header has {expected}; quote a field that holds the separator"
        )
    if "UTF8" in message or "utf8" in message:
        return f"{name}, line {_line_not_utf8(path)}: not UTF-8 text; save the file as UTF-8"
    if "Empty CSV" in message:
        return f"{name}: the file is empty"
    return f"{name}: not readable as a table ({message.splitlines()[0].strip().rstrip('.')})"


def _line_not_utf8(path: Path) -> int:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


def _line_of(path: Path, delimiter: str, row: int) -> int:
    """The line of the file on which data row `row` (from 0) ends; quoted line breaks and blank lines considered."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        seen = -2
        for cells in reader:
            seen += bool(cells)
            if seen == row:
                return reader.line_num
    return row + 2


def _refuse_missing_names(table: pa.Table, picked: dict[str, str], place: Any, name: str) -> None:
    for role in ("item", "rater"):
        column = table.column(role)
        if column.null_count:
            import pyarrow.compute as pc

            row = pc.index(pc.is_null(column), True).as_py()
            raise RatingsFileError(f"{name}, {place(row)}: the {role} ({picked[role]}) is empty")


def read_jsonl(path: Path, name: str, columns: Columns) -> Read:
    """One JSON object per line. A label is a text, a number or a truth value; null or absent is a missing label."""
    import pyarrow as pa

    roles = tuple(DEFAULT_NAMES)
    keys = {role: columns.name(role) for role in roles}
    names: dict[str, dict[str, int]] = {role: {} for role in roles}
    codes: dict[str, list[int | None]] = {role: [] for role in roles}
    plan = [(keys[role], names[role], codes[role].append, role in ("item", "rater")) for role in roles]
    checked = False
    for number, record in json_lines(path, name):
        if not checked:
            # The label may be absent from a record (no answer); the other names must be there from the start.
            absent = [keys[role] for role in ("label", *OPTIONAL) if keys[role] not in record]
            if any(keys[role] not in record for role in ("item", "rater")):
                absent = []  # the message lists the keys that are there
            columns.pick([*record, *absent], name)
            checked = True
        for key, known, append, needed in plan:
            value = record.get(key)
            if type(value) is not str:
                if isinstance(value, list | dict):
                    kind = "list" if isinstance(value, list) else "object"
                    raise RatingsFileError(
                        f"{name}, line {number}: {key} is a {kind}; a text, a number or true/false is needed"
                    )
                value = "" if value is None else as_text(value)
            if value == "":
                if needed:
                    raise RatingsFileError(f"{name}, line {number}: there is no {key}")
                append(None)
            else:
                append(known.setdefault(value, len(known)))
    for role in roles:
        if codes[role] and not names[role] and (role == "label" or columns.asked_for(role)):
            raise RatingsFileError(f"{name}: no line has a {keys[role]!r}. Name yours with --{role}")
    return pa.table(
        {
            role: pa.DictionaryArray.from_arrays(
                pa.array(codes[role], pa.int32()), pa.array(list(names[role]), pa.string())
            )
            for role in roles
            if names[role] or role not in OPTIONAL
        }
    ), ()


def json_lines(path: Path, name: str) -> Any:
    """(line number, object) for each line that is not blank; of a file that is one JSON list, its objects.

    Raises
    ------
    RatingsFileError
        For a line that is not UTF-8 or not a JSON object.
    """
    if is_json_list(path):
        yield from _listed_objects(path, name)
        return
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if number == 1 and line.startswith(b"\xef\xbb\xbf"):
                line = line[3:]
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except UnicodeDecodeError as error:
                raise RatingsFileError(f"{name}, line {number}: not UTF-8 text; save the file as UTF-8") from error
            except (ValueError, RecursionError) as error:
                raise RatingsFileError(f"{name}, line {number}: not JSON ({error})") from error
            if not isinstance(record, dict):
                raise RatingsFileError(f"{name}, line {number}: a JSON object is needed on each line")
            yield number, record


def is_json_list(path: Path) -> bool:
    """Whether the first character that is no space is an opening bracket."""
    with path.open("rb") as stream:
        return stream.read(1 << 12).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _listed_objects(path: Path, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        records = json.loads(path.read_bytes())
    except UnicodeDecodeError as error:
        raise RatingsFileError(f"{name}: not UTF-8 text; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise RatingsFileError(f"{name}: not JSON ({error})") from error
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise RatingsFileError(f"{name}: entry {number} of the list is no object")
        yield number, record


def read_parquet(path: Path, name: str, columns: Columns) -> Read:
    """Parquet; numbers are read as the text they print as, whole numbers without a point."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        picked = columns.pick(list(file.schema_arrow.names), name)
        table = file.read(columns=list(dict.fromkeys(picked.values())))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        first = str(error).splitlines()[0].strip().rstrip(".")
        raise RatingsFileError(f"{name}: not readable as Parquet ({first})") from error
    table = pa.table({role: _as_dictionary(table.column(column), column, name) for role, column in picked.items()})
    _refuse_missing_names(table, picked, lambda row: f"row {row + 1}", name)
    return table, ()


def _as_dictionary(column: pa.ChunkedArray, called: str, name: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_floating(kind):
        # pandas stores whole numbers with gaps as floats: 3.0 means 3. NaN is its "missing".
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
        if column.null_count == len(column) or pc.all(pc.equal(column, pc.floor(column))).as_py():
            column = column.cast(pa.int64())
    elif pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise RatingsFileError(f"{name}: the column {called!r} holds {kind}; text or numbers are needed")
    text = column.cast(pa.string())
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return text.cast(pa.string()).dictionary_encode().unify_dictionaries()
