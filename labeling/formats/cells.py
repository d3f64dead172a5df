"""Cells of CSV files that are written for programs and for spreadsheets alike."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from ..hashing import canonical_json

# A spreadsheet runs a cell that starts with one of these; the full-width signs are read as the plain ones.
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def plain(value: Any) -> Any:
    """A value as JSON holds it: times in UTC, ids as text."""
    if value is None or isinstance(value, bool | int | float | str | list | dict):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)


def cell(value: Any) -> Any:
    """A value as one CSV cell. Text that a spreadsheet would run as a formula gets a leading apostrophe.

    >>> cell("=1+1"), cell("-3.5"), cell(True), cell(None), cell(["a"])
    ("'=1+1", '-3.5', 'true', '', '["a"]')
    """
    kind = type(value)  # of millions of cells: the usual kinds first
    if kind is bool:
        return "true" if value else "false"
    if value is None:
        return ""
    if kind is int or kind is float:
        return value
    told = value if kind is str else plain(value)
    if isinstance(told, list | dict):
        told = canonical_json(told)
    if isinstance(told, str) and told.startswith(FORMULA_STARTS) and not PLAIN_NUMBER.fullmatch(told):
        return "'" + told
    return told


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The table as CSV; nothing is NaN, an empty cell is no value."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()
