"""Tables as they come: good ones, and each way a file can be bad, named by row and field."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labeling.formats.rows import FIELD_LIMIT, BadRow, RowsError, open_rows, value_at

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(content: bytes | str, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def read(path: Path, **options: Any) -> list[tuple[int, Any]]:
    with open_rows(path, **options) as reader:
        return list(reader)


def test_a_csv_counts_rows_as_a_spreadsheet_does(write: Write) -> None:
    rows = read(write('id,text\n1,"two\nlines"\n\n2,b\n'))
    assert rows == [(2, {"id": "1", "text": "two\nlines"}), (4, {"id": "2", "text": "b"})]


@pytest.mark.parametrize(
    ("content", "name", "options"),
    [
        (b"\xef\xbb\xbfid,text\n1,\xc3\xa4\n", "t.csv", {}),
        ("id\ttext\n1\tä\n".encode("utf-16"), "t.csv", {}),
        ("id;text\r\n1;ä\r\n".encode(), "t.csv", {}),
        ("id;text\n1;ä\n".encode("cp1252"), "t.csv", {"encoding": "cp1252"}),
        ("id\ttext\n1\tä\n".encode(), "t.tsv", {}),
        ("id,text\r1,ä\r".encode(), "t.csv", {}),
        ('"id"|"text"\n1|ä\n'.encode(), "t.csv", {}),
    ],
)
def test_spreadsheets_of_many_countries_read_the_same(write: Write, content: bytes, name: str, options: Any) -> None:
    assert [row for _, row in read(write(content, name), **options)] == [{"id": "1", "text": "ä"}]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n\n", "blank lines"),
        (b"a,,c\n1,2,3\n", "column 2 has no name"),
        (b"a,b,a\n1,2,3\n", "'a' stands twice"),
        (b"PK\x03\x04rest", "save the sheet as CSV"),
        (b"\x1f\x8brest", "unpack it first"),
        (b'[{"a": 1}]', "one JSON object per line"),
        (b"a\x00b\x00\n", "not text"),
        (b'a,b\n1,"open\n2,c\n', "row 2 (line 2): a quote is opened there and never closed"),
        (b'a,b\n1,"x"y\n', "row 2 (line 2): text follows a closing quote"),
        (b"a\n" + b"x" * (FIELD_LIMIT + 1) + b"\n", "row 2 (line 2): a field is longer"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_says_where_and_why(write: Write, content: bytes, says: str) -> None:
    with pytest.raises(RowsError, match=says.replace("(", r"\(").replace(")", r"\)")):
        read(write(content))


def test_a_line_without_end_does_not_fill_the_memory(write: Write) -> None:
    path = write(b"a\n" + b"," * 40_000_000)
    tracemalloc.start()
    with pytest.raises(RowsError, match="line 2 is longer"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 60_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("line", "code", "field", "value"),
    [
        (b"1,2,3", "ragged", "", "1,2,3"),
        (b"1", "ragged", "", "1"),
        (b"1,caf\xe9", "bad_text", "text", "caf\N{REPLACEMENT CHARACTER}"),
        (b"1,a\x00b", "bad_text", "text", "a\N{REPLACEMENT CHARACTER}b"),
    ],
)
def test_a_bad_row_is_named_and_the_next_ones_are_read(
    write: Write, line: bytes, code: str, field: str, value: str
) -> None:
    rows = read(write(b"id,text\n0,first\n" + line + b"\n2,last\n"))
    assert [number for number, _ in rows] == [2, 3, 4]
    bad = rows[1][1]
    assert isinstance(bad, BadRow)
    assert (bad.code, bad.field, bad.value) == (code, field, value)
    assert rows[2][1] == {"id": "2", "text": "last"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"a": 1', "not JSON"),
        ("[1]", "no object"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": "x\\u0000y"}', "NUL"),
        ('{"a": "\\ud800"}', "half of a character"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_json_line_is_named_and_the_next_ones_are_read(write: Write, line: str, says: str) -> None:
    rows = read(write('{"a": "\\u00e4"}\n' + line + '\n\n{"a": 3}\n', "t.jsonl"))
    assert [number for number, _ in rows] == [1, 2, 4]
    assert isinstance(rows[1][1], BadRow)
    assert says in rows[1][1].reason
    assert rows[0][1] == {"a": "ä"}
    assert rows[2][1] == {"a": 3}


def test_nested_objects_are_columns_one_level_down(write: Write) -> None:
    path = write('{"external_id": "1", "payload": {"text": "a"}}\n{"payload": {"more": 1}, "x": null}\n', "t.jsonl")
    with open_rows(path) as reader:
        assert reader.columns == ["external_id", "payload", "payload.text", "payload.more", "x"]
        rows = list(reader)
    assert value_at(rows[0][1], "payload.text") == "a"
    assert value_at(rows[1][1], "payload.text") is None


def test_parquet_with_dates_numbers_gaps_and_structs(tmp_path: Path) -> None:
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table(
            {
                "id": [1, 2], "share": [0.5, float("nan")], "day": [datetime.date(2024, 5, 31), None],
                "payload": [{"text": "a"}, {"text": "b"}], "raw": [None, b"\x00"],
            }
        ),
        path,
    )  # fmt: skip
    with open_rows(path) as reader:
        assert reader.columns == ["id", "share", "day", "payload", "payload.text", "raw"]
        rows = list(reader)
    assert rows[0] == (1, {"id": 1, "share": 0.5, "day": "2024-05-31", "payload": {"text": "a"}, "raw": None})
    assert isinstance(rows[1][1], BadRow)
    assert rows[1][1].field == "raw"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RowsError, match="cannot be read as Parquet"):
        read(path)


def test_memory_does_not_grow_with_the_file(write: Write) -> None:
    path = write("id,text\n" + "".join(f"{n},{'word ' * 20}\n" for n in range(60_000)))
    tracemalloc.start()
    with open_rows(path) as reader:
        count = sum(1 for _ in reader)
        assert reader.fraction() == 1.0
    assert count == 60_000
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
