"""doccano exports: JSON Lines, one file per user (as a folder or the ZIP doccano makes), or the older single file."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from .longform import Read, json_lines
from .perrater import unpacked
from .ratings import Collector, Columns, RatingsFileError, as_text, joined

_KEYS = ("label", "labels", "cats")


def read(path: Path, name: str, columns: Columns) -> Read:
    """Ratings from one file per user (the file's name is the rater) or from `annotations` with a `user` each.

    item = the example's id (or the field named by `columns.item`). An empty list is a missing label: doccano
    writes every example into every user's file, answered or not.
    """
    collector = Collector(name)
    with unpacked(path, name, (".jsonl", ".json")) as files:
        if not files:
            raise RatingsFileError(f"{name}: there is no .jsonl file in it")
        for inside, file in files:
            rater = PurePosixPath(inside).name.rsplit(".", 1)[0]
            for number, record in json_lines(file, inside):
                where = f"{inside}, line {number}" if inside != name else f"line {number}"
                _add(collector, record, rater, where, name, columns)
    return collector.finish()


def _add(collector: Collector, record: dict[str, Any], rater: str, where: str, name: str, columns: Columns) -> None:
    item = record.get(columns.item or "id")
    if isinstance(record.get("annotations"), list):
        by_user: dict[Any, list[Any]] = {}
        for annotation in record["annotations"]:
            if "start_offset" in annotation:
                raise RatingsFileError(f"{name}, {where}: {_SPANS}")
            by_user.setdefault(annotation.get("user"), []).append(annotation.get("label", annotation.get("text")))
        for user, labels in by_user.items():
            collector.add(where, item=item, rater=user, label=joined([x for x in labels if x is not None], collector))
        return
    key = columns.label if columns.label is not None else next((k for k in _KEYS if k in record), None)
    if key is None or key not in record:
        raise RatingsFileError(
            f"{name}, {where}: no {columns.label or 'label'!r} in the record; it has: {', '.join(record)}"
        )
    value = record[key]
    if isinstance(value, list):
        if any(isinstance(entry, list | dict) for entry in value):
            raise RatingsFileError(f"{name}, {where}: {_SPANS}")
        label = joined(value, collector)
    else:
        label = None if value is None else as_text(value)
    if columns.rater is not None:
        if columns.rater not in record:
            raise RatingsFileError(f"{name}, {where}: no {columns.rater!r} in the record, asked for with --rater")
        rater = record[columns.rater]
    collector.add(where, item=item, rater=rater, label=label)


_SPANS = "its labels are spans; agreement on whole-item labels needs a classification project"
