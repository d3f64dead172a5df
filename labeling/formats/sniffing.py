"""Which format a ratings file has: by what is in it first, by its name second."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from .ratings import Columns, RatingsFileError

_HEAD = 1 << 16


def sniff(path: Path, name: str, columns: Columns) -> str:
    """One of `ratings.FORMATS`.

    Raises
    ------
    RatingsFileError
        When the content fits none of them, saying how to name the format.
    """
    if path.is_dir():
        return _sniff_folder(path, name)
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if head.startswith(b"PAR1"):
        return "parquet"
    if zipfile.is_zipfile(path):
        return _sniff_zip(path, name)
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    if text.startswith("["):
        return _sniff_list(text, columns)
    if text.startswith("{"):
        return _sniff_json(text, name, columns)
    suffix = Path(name).suffix.lower()
    if suffix in (".tsv", ".tab"):
        return "tsv"
    first = text.split("\n", 1)[0]
    if suffix != ".csv" and first.count("\t") > max(first.count(","), first.count(";")):
        return "tsv"
    if suffix == ".csv" or "," in first or ";" in first:
        return "csv"
    raise RatingsFileError(
        f"{name}: neither a table with a header nor JSON; name its form with --format csv, tsv, jsonl, parquet, …"
    )


def _sniff_json(text: str, name: str, columns: Columns) -> str:
    """The format of a file whose first character is `{`, from its first object."""
    try:
        first, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        # One long object that does not end within the head: a single Label Studio task or a Potato state.
        return "potato" if '"instance_id_to_label_to_value"' in text else "jsonl"
    return format_of_record(first, columns) or "jsonl"


def _sniff_list(text: str, columns: Columns) -> str:
    """The format of a JSON list, from its first object: Label Studio's unless its keys say another."""
    try:
        first, _ = json.JSONDecoder().raw_decode(text[1:].lstrip())
    except (ValueError, RecursionError):
        return "labelstudio"
    found = format_of_record(first, columns) if isinstance(first, dict) else None
    return found or "labelstudio"


def format_of_record(record: dict[str, Any], columns: Columns) -> str | None:
    """The format a JSON record's keys give away; long form wins when the three named columns are all there."""
    if all(columns.name(role) in record for role in ("item", "rater", "label")):
        return "jsonl"
    if "instance_id_to_label_to_value" in record or "label_annotations" in record:
        return "potato"
    if {"instance_id", "user_id", "labels"} <= record.keys():
        return "potato"
    if "answer" in record and ({"_input_hash", "_task_hash", "_session_id", "_annotator_id"} & record.keys()):
        return "prodigy"
    if "annotations" in record and "data" in record:
        return "labelstudio"
    if "id" in record and (isinstance(record.get("label"), list) or "annotation_approver" in record):
        return "doccano"
    if "annotations" in record and ("text" in record or "meta" in record):
        return "doccano"
    if "id" in record and isinstance(record.get("annotation"), dict):
        return "potato"
    return None


def _sniff_folder(path: Path, name: str) -> str:
    if next(path.glob("*/user_state.json"), None) or next(path.glob("*/annotated_instances.jsonl"), None):
        return "potato"
    if next(path.glob("*.jsonl"), None):
        return "doccano"
    raise RatingsFileError(
        f"{name}: a folder without ratings; expected one .jsonl per rater (doccano) or one folder per rater (Potato)"
    )


def _sniff_zip(path: Path, name: str) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(entry.endswith(("/user_state.json", "/annotated_instances.jsonl")) for entry in names):
        return "potato"
    if any(entry.endswith((".jsonl", ".json")) for entry in names):
        return "doccano"
    raise RatingsFileError(f"{name}: a ZIP without ratings; expected one .jsonl per rater (doccano)")
