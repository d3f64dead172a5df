"""Prodigy's `db-out`: JSON Lines, one answered task per line, with named sessions for the raters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .longform import Read, json_lines
from .ratings import Collector, Columns, RatingsFileError, as_text, joined


def read(path: Path, name: str, columns: Columns) -> Read:
    """Ratings from answered tasks.

    A choice task asks about its input, so the item is the input's hash and the label is what was chosen. A task
    with one suggested label asks yes or no about that label, so the item is the task's hash and the label is
    `accept` or `reject`. An ignored task is a missing label; so is a rejected choice (nobody chose anything).
    rater = `_annotator_id`, else `_session_id`.
    """
    collector = Collector(name)
    for number, record in json_lines(path, name):
        where = f"line {number}"
        answer = record.get("answer")
        if answer not in ("accept", "reject", "ignore"):
            raise RatingsFileError(f"{name}, {where}: the answer is {answer!r}; accept, reject or ignore is expected")
        is_choice = isinstance(record.get("accept"), list) or isinstance(record.get("options"), list)
        if not is_choice and record.get("spans") and "label" not in record:
            raise RatingsFileError(
                f"{name}, {where}: a task of spans; whole-item answers (choice or one label) are needed"
            )
        label = None
        if answer != "ignore":
            label = _chosen(record, answer, collector) if is_choice else as_text(answer)
        collector.add(
            where,
            item=_item(record, columns, is_choice),
            rater=_rater(record, columns, where, name),
            label=label,
        )
    return collector.finish()


def _chosen(record: dict[str, Any], answer: str, collector: Collector) -> str | None:
    if answer == "reject":
        collector.note("Rejected choice tasks count as missing labels: a rejection chooses none of the options.")
        return None
    chosen = record.get("accept") or []
    several = (record.get("config") or {}).get("choice_style") == "multiple"
    if not chosen and several:
        return "(none)"
    return joined(list(chosen), collector)


def _item(record: dict[str, Any], columns: Columns, is_choice: bool) -> Any:
    if columns.item is not None:
        return record.get(columns.item, (record.get("meta") or {}).get(columns.item))
    keys = ("_input_hash", "_task_hash", "id", "text", "image") if is_choice else ("_task_hash", "id", "text", "image")
    return next((record[key] for key in keys if record.get(key) not in (None, "")), None)


def _rater(record: dict[str, Any], columns: Columns, where: str, name: str) -> Any:
    if columns.rater is not None:
        return record.get(columns.rater)
    rater = record.get("_annotator_id") or record.get("_session_id")
    if not rater:
        raise RatingsFileError(
            f"{name}, {where}: neither _annotator_id nor _session_id says who answered; "
            "Prodigy writes them when raters open it with ?session=name"
        )
    return rater
