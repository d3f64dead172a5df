"""Label Studio exports: JSON (a list of tasks with annotations) and JSON-MIN (a list of flat answers)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .longform import Read
from .perrater import question
from .ratings import Collector, Columns, RatingsFileError, as_text, joined

KINDS = ("choices", "rating", "number", "pairwise", "taxonomy")
"""Answer types that give one label per item. Regions (boxes, spans) have no one label to compare."""


def read(path: Path, name: str, columns: Columns) -> Read:
    """Ratings from a JSON or JSON-MIN export.

    item = the task's id; rater = who completed the annotation; a skipped or empty annotation is a missing label;
    an annotation marked as ground truth is gold and not a rating (nobody is compared with themselves). Predictions
    are ignored. `columns.label` names the control (`from_name`) when there are several.
    """
    try:
        tasks = json.loads(path.read_bytes())
    except UnicodeDecodeError as error:
        raise RatingsFileError(f"{name}: not UTF-8 text; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise RatingsFileError(f"{name}: not JSON ({error})") from error
    if isinstance(tasks, dict):
        tasks = [tasks]
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise RatingsFileError(f"{name}: a Label Studio export is a list of tasks")
    if not tasks:
        raise RatingsFileError(f"{name}: there is no task in it")
    if any("annotations" in task or "completions" in task for task in tasks):
        return _read_tasks(tasks, name, columns)
    if all("annotator" in task for task in tasks):
        return _read_minimal(tasks, name, columns)
    raise RatingsFileError(
        f"{name}: neither a Label Studio JSON export (tasks with 'annotations') nor JSON-MIN (records with 'annotator')"
    )


def _read_tasks(tasks: list[dict[str, Any]], name: str, columns: Columns) -> Read:
    collector = Collector(name)
    answers = [(task, annotation) for task in tasks for annotation in _annotations(task)]
    found: dict[str, None] = {}
    regions: set[str] = set()
    for _, annotation in answers:
        for result in annotation.get("result") or []:
            if result.get("type") in KINDS and "from_name" in result:
                found[str(result["from_name"])] = None
            else:
                regions.add(str(result.get("type")))
    if not found:
        what = f" (it has: {', '.join(sorted(regions))})" if regions else ""
        raise RatingsFileError(f"{name}: no answer of type {', '.join(KINDS)}{what}")
    chosen = question(list(found), columns.label, "label", name)
    gold = {}
    for task, annotation in answers:
        if annotation.get("ground_truth"):
            gold[as_text(task.get("id", ""))] = _label(annotation, chosen, collector)
            collector.note("Annotations marked as ground truth are the gold and not ratings.")
    for index, (task, annotation) in enumerate(answers):
        if annotation.get("ground_truth"):
            continue
        where = f"task {task.get('id', '?')}, annotation {annotation.get('id', index)}"
        label = None if annotation.get("was_cancelled") else _label(annotation, chosen, collector)
        item = _item(task, columns, where, name)
        collector.add(
            where, item=item, rater=_rater(annotation), label=label, gold=gold.get(as_text(task.get("id", "")))
        )
    return collector.finish()


def _annotations(task: dict[str, Any]) -> list[dict[str, Any]]:
    """A task's annotations in the order they were made, so that the first of a rater's is the one that counts."""
    annotations = [a for a in task.get("annotations", task.get("completions")) or [] if isinstance(a, dict)]
    return sorted(annotations, key=lambda annotation: str(annotation.get("created_at", "")))


def _item(task: dict[str, Any], columns: Columns, where: str, name: str) -> Any:
    if not columns.asked_for("item"):
        return task.get("id")
    data = task.get("data") or {}
    if columns.item not in data:
        raise RatingsFileError(f"{name}, {where}: its data have no {columns.item!r}, asked for with --item")
    return data[columns.item]


def _rater(annotation: dict[str, Any]) -> Any:
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        return by.get("email") or by.get("username") or by.get("id")
    return by


def _label(annotation: dict[str, Any], chosen: str, collector: Collector) -> str | None:
    """The answer to the chosen question; of several (one for each region) all together."""
    answers: list[Any] = []
    given = 0
    for result in annotation.get("result") or []:
        if str(result.get("from_name")) != chosen:
            continue
        value = result.get("value") or {}
        kind = result.get("type")
        given += 1
        if kind == "choices":
            choices = value.get("choices")
            answers += [choices] if isinstance(choices, str) else choices or []
        elif kind == "taxonomy":
            answers += [" / ".join(map(as_text, leaf)) for leaf in value.get("taxonomy") or []]
        else:
            answer = value.get("selected" if kind == "pairwise" else str(kind))
            answers += [] if answer is None else [answer]
    if given > 1:
        collector.note("Where an annotation answers the question for several regions, its answers count together.")
    return joined(answers, collector)


def _read_minimal(records: list[dict[str, Any]], name: str, columns: Columns) -> Read:
    """JSON-MIN: one record per annotation, answers flattened beside the data."""
    known = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}
    asked = columns.name("label")
    if not any(asked in record for record in records):
        others = sorted({key for record in records for key in record} - known)
        raise RatingsFileError(
            f"{name}: no record has {asked!r}; name the question with --label, one of: {', '.join(others)}"
        )
    collector = Collector(name)
    item = columns.item or "id"
    for number, record in enumerate(sorted(records, key=lambda r: str(r.get("created_at", ""))), start=1):
        value = record.get(asked)
        if isinstance(value, dict):
            value = value.get("choices")
        label = joined(value, collector) if isinstance(value, list) else (None if value is None else as_text(value))
        where = f"annotation {record.get('annotation_id', number)}"
        collector.add(where, item=record.get(item), rater=record.get(columns.rater or "annotator"), label=label)
    return collector.finish()
