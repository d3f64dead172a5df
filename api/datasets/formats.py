"""Writers of datasets: JSON lines, CSV, Parquet; rows go in one by one, in flat memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import IO, Any

from labeling.formats.cells import cell
from labeling.hashing import canonical_json

from ..vocabulary import DatasetFormat
from .rows import FLAG, INTEGER, LIST, NUMBER, Shape

ROWS_PER_GROUP, ROWS_PER_BATCH = 5_000, 500
CONTENT_TYPE = {
    DatasetFormat.JSONL: "application/x-ndjson",
    DatasetFormat.CSV: "text/csv; charset=utf-8",
    DatasetFormat.PARQUET: "application/vnd.apache.parquet",
}


def write(rows: Iterable[dict[str, Any]], shape: Shape, form: str, out: IO[bytes]) -> int:
    """Write raw rows to `out` in the format; returns how many. No row at all makes an empty, valid file."""
    return {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[form](rows, shape, out)


def _jsonl(rows: Iterable[dict[str, Any]], shape: Shape, out: IO[bytes]) -> int:
    count = 0
    for row in rows:
        out.write((canonical_json(shape.even(row)) + "\n").encode())
        count += 1
    return count


def _csv(rows: Iterable[dict[str, Any]], shape: Shape, out: IO[bytes]) -> int:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\r\n")
    count = 0
    columns: list[str] = []
    for row in rows:
        if not count:
            columns = list(shape.flat_types(row))
            writer.writerow(columns)
        flat = shape.flat(row)
        writer.writerow([cell(flat.get(column)) for column in columns])
        count += 1
    if not count:
        writer.writerow(["item", "value"])
    text.detach()
    return count


def _parquet(rows: Iterable[dict[str, Any]], shape: Shape, out: IO[bytes]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {NUMBER: pa.float64(), INTEGER: pa.int64(), FLAG: pa.bool_(), LIST: pa.list_(pa.string())}
    count = 0
    writer: Any = None
    schema = pa.schema([pa.field("item", pa.string()), pa.field("value", pa.string())])
    # Rows as Python objects take ten times the memory of Arrow's: only some are held, of one group at a time.
    some: list[dict[str, Any]] = []
    group: list[Any] = []

    def pack(*, last: bool = False) -> None:
        if some:
            group.append(pa.RecordBatch.from_pylist(some, schema=schema))
            some.clear()
        if group and (last or len(group) * ROWS_PER_BATCH == ROWS_PER_GROUP):
            writer.write_table(pa.Table.from_batches(group, schema=schema), row_group_size=ROWS_PER_GROUP)
            group.clear()

    for row in rows:
        if writer is None:
            types = shape.flat_types(row)
            schema = pa.schema([pa.field(name, kinds.get(kind, pa.string())) for name, kind in types.items()])
            writer = pq.ParquetWriter(out, schema, compression="zstd")
        some.append(shape.flat(row))
        count += 1
        if len(some) == ROWS_PER_BATCH:
            pack()
    pack(last=True)
    if writer is None:
        writer = pq.ParquetWriter(out, schema, compression="zstd")
        writer.write_table(schema.empty_table())
    writer.close()
    return count


def read_back(path: str, form: str) -> Iterator[dict[str, Any]]:
    """The rows of a written dataset, one by one: for comparing two versions and for parting files by split."""
    if form == DatasetFormat.PARQUET:
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(path).iter_batches(batch_size=2_000):
            yield from batch.to_pylist()
    elif form == DatasetFormat.CSV:
        with open(path, encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
    else:
        import json

        with open(path, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
