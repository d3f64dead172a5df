"""Files to import, and the databases of their own that killed processes need."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Maker = Callable[..., Path]


def picture(colour: int = 0, size: tuple[int, int] = (8, 6), kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a small image."""
    stream = io.BytesIO()
    Image.new("RGB", size, (colour % 256, 40, 90)).save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture
def table(tmp_path: Path) -> Maker:
    """Writes a CSV file from a header and rows."""

    def make(header: Sequence[str], *rows: Sequence[Any], name: str = "items.csv") -> Path:
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([header, *rows])
        return path

    return make


@pytest.fixture
def lines(tmp_path: Path) -> Maker:
    """Writes a JSON Lines file."""

    def make(*rows: Any, name: str = "items.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return make


@pytest.fixture
def archive(tmp_path: Path) -> Maker:
    """Writes a zip of {name or ZipInfo: bytes}."""

    def make(files: dict[Any, bytes], name: str = "images.zip", compression: int = zipfile.ZIP_DEFLATED) -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", compression) as zipped:
            for entry, data in files.items():
                zipped.writestr(entry, data)
        return path

    return make
