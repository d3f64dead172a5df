"""Potato's annotation output: one folder per user, its JSONL export, or one `annotated_instances.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from .longform import Read, json_lines
from .perrater import question, unpacked
from .ratings import Collector, Columns, RatingsFileError, as_text, joined

Answer = tuple[str, Any, Any, dict[str, list[Any]]]
"""(where, item, rater, {question: labels})"""


def read(path: Path, name: str, columns: Columns) -> Read:
    """Ratings from `user_state.json` (Potato 2) or `annotated_instances.jsonl` (Potato 1) of each user's folder, or
    from the JSONL export with `user_id` in each line. `columns.label` names the scheme when there are several.
    """
    collector = Collector(name)
    with unpacked(path, name, (".jsonl", ".json")) as files:
        answers = [answer for inside, file in files for answer in _answers(inside, file, name)]
    found = list(dict.fromkeys(scheme for *_, schemes in answers for scheme in schemes))
    if not found:
        raise RatingsFileError(f"{name}: there is no answer in it")
    chosen = question(found, columns.label, "label", name)
    for where, item, rater, schemes in answers:
        collector.add(where, item=item, rater=rater, label=joined(schemes.get(chosen, []), collector))
    return collector.finish()


def _answers(inside: str, file: Path, name: str) -> Iterator[Answer]:
    base = PurePosixPath(inside).name
    folder = PurePosixPath(inside).parent.name
    if base.endswith("user_state.json") or (inside == name and _is_state(file)):
        try:
            state = json.loads(file.read_bytes())
        except (ValueError, RecursionError) as error:
            raise RatingsFileError(f"{name}: {inside} is not JSON ({error})") from error
        rater = state.get("user_id") or folder
        for item, answer in (state.get("instance_id_to_label_to_value") or {}).items():
            yield f"{inside}, item {item}", item, rater, _schemes(answer)
        return
    if base not in ("annotated_instances.jsonl", "annotations.jsonl") and inside != name:
        return  # surveys, behavioural logs, the data themselves
    for number, record in json_lines(file, inside):
        answer = record.get("labels", record.get("label_annotations", record.get("annotation")))
        if answer is None:
            raise RatingsFileError(
                f"{name}, {inside}, line {number}: neither labels nor label_annotations in the record"
            )
        rater = record.get("user_id") or record.get("user") or folder
        if not rater:
            raise RatingsFileError(f"{name}: nothing says who answered; give the folder that holds one folder per user")
        yield f"{inside}, line {number}", record.get("instance_id", record.get("id")), rater, _schemes(answer)


def _is_state(file: Path) -> bool:
    with file.open("rb") as stream:
        return b'"instance_id_to_label_to_value"' in stream.read(1 << 20)


def _schemes(answer: Any) -> dict[str, list[Any]]:
    """{scheme: labels} from any of Potato's shapes: {scheme: {label: value}}, [[{schema, name}, value], …], lists."""
    schemes: dict[str, list[Any]] = {}
    if isinstance(answer, list):
        for pair in answer:
            if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], dict):
                _put(schemes, as_text(pair[0].get("schema", "")), pair[0].get("name"), pair[1])
        return schemes
    if not isinstance(answer, dict):
        return schemes
    for scheme, labels in answer.items():
        if isinstance(labels, dict) and set(labels) == {"labels"} and isinstance(labels["labels"], dict):
            labels = labels["labels"]
        if isinstance(labels, dict):
            for label, value in labels.items():
                _put(schemes, str(scheme), label, value)
        elif isinstance(labels, list):
            schemes.setdefault(str(scheme), []).extend(labels)
        elif labels not in (None, ""):
            schemes.setdefault(str(scheme), []).append(labels)
    return schemes


def _put(schemes: dict[str, list[Any]], scheme: str, label: Any, value: Any) -> None:
    """A ticked box stores its own name with a true value; a slider or a text box stores the answer as the value."""
    if value in (None, "", False, "false"):
        return
    is_typed = label in ("text_box", "slider", "number", "_value") or label is None
    schemes.setdefault(scheme, []).append(value if is_typed else label)
