"""Defining a dataset version and building its file: once, by a job; then it never changes.

Two passes in flat memory. The first reads every item as of one moment into a file of raw rows and learns columns,
labels and strata; the second sets the splits and writes the format. Killed in between, the job starts over: nothing is
visible before the row says ready, and ready rows are sealed.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from labeling import access, jobs, transitions
from labeling.access import Seat
from labeling.events import event, record
from labeling.models import Project
from labeling.refusals import BadValue, Refusal

from ..models import DatasetVersion
from ..queries.datasets import build_job, build_key, state_of
from ..vocabulary import DatasetStatus
from . import files, formats
from .definition import Definition, Splits, check_definition
from .manifest import make_manifest
from .reading import Labeled, Reader
from .rows import Shape, raw_rows

JOB = "build_dataset"
# Made once: `json.dumps` makes an encoder for every row.
_as_json = json.JSONEncoder(ensure_ascii=False).encode


def define_dataset(
    *, by: Seat, name: str, definition: dict[str, Any], parent: DatasetVersion | None = None, at: datetime | None = None
) -> DatasetVersion:
    """A new dataset version, to be built by a job. Raises NotAllowed, or BadValue naming what is wrong."""
    access.require(by.membership, "export")
    access.refuse_archived(by.project)
    at = at or timezone.now()
    name = " ".join(str(name or "").split())
    if not 1 <= len(name) <= 120:
        raise BadValue("bad_value", "Give the dataset a name of 1 to 120 characters.", field="name")
    if parent is not None and parent.project_id != by.project.pk:
        raise BadValue("bad_value", "The parent is a dataset of this project.", field="parent")
    checked = check_definition(by.project, definition)
    for _ in range(5):
        try:
            with transaction.atomic():
                number = DatasetVersion.objects.filter(project=by.project).aggregate(n=Max("number"))["n"] or 0
                dataset = DatasetVersion.objects.create(
                    project=by.project, number=number + 1, name=name, parent=parent, filter=checked.as_json(),
                    format=checked.format, by=by.user, created_at=at,
                )  # fmt: skip
                record(event("dataset_defined", dataset, by=by.user, at=at, project=by.project, name=name))
                queue_build(dataset, by)
        except IntegrityError:
            continue  # somebody defined one at the same moment and has the number
        return dataset
    raise Refusal("busy", "Others are defining datasets just now. Try again in a moment.")


def queue_build(dataset: DatasetVersion, by: Seat) -> None:
    jobs.enqueue(
        kind=JOB,
        by=by.user,
        dedup_key=build_key(dataset),
        parameters={"dataset": dataset.pk},
        project=dataset.project,
    )


def rebuild_dataset(*, by: Seat, dataset: DatasetVersion) -> DatasetVersion:
    """Try a failed dataset again. Raises `not_failed` for any other."""
    access.require(by.membership, "export")
    access.refuse_archived(by.project)
    if dataset.status == DatasetStatus.BUILDING and state_of(dataset, build_job(dataset))[0] == DatasetStatus.FAILED:
        # Its worker was killed so often that nobody was left to say so in the row.
        transitions.move(dataset, DatasetStatus.FAILED, error="The worker stopped during the build.")
    if dataset.status != DatasetStatus.FAILED:
        raise Refusal("not_failed", "Only a dataset that could not be built can be tried again.")
    with transaction.atomic():
        if transitions.move(dataset, DatasetStatus.BUILDING, error=""):
            record(event("dataset_retried", dataset, by=by.user, at=timezone.now(), project=by.project))
            queue_build(dataset, by)
    return dataset


@jobs.handles(JOB)
def build_dataset(run: jobs.JobRun) -> dict[str, Any]:
    """Build the file of a dataset that is being built; a ready one is left as it is."""
    dataset = DatasetVersion.objects.select_related("project", "parent").get(pk=run.parameters["dataset"])
    if dataset.status == DatasetStatus.READY:
        return {"rows": dataset.rows, "sha256": dataset.sha256}
    if dataset.status == DatasetStatus.FAILED:
        transitions.move(dataset, DatasetStatus.BUILDING, error="")
    try:
        return _build(dataset, run)
    except Refusal as refusal:
        _fail(dataset, refusal.message)
        raise
    except OSError as error:
        _fail(dataset, f"The file could not be written: {error.strerror or error}.")
        raise Refusal("not_written", f"The file could not be written: {error.strerror or error}.") from None


def _fail(dataset: DatasetVersion, words: str) -> None:
    transitions.move(dataset, DatasetStatus.FAILED, error=words)


class _Gathered:
    """What the first pass learns."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.shape = Shape(definition)
        self.counts: Counter[str] = Counter()
        self.excluded: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.lineage: dict[str, set[str]] = defaultdict(set)
        # A few bytes per item, however many there are.
        self.items = array("q")
        self.strata: list[str | None] = []
        self.borderline = bytearray()
        self.groups = array("Q")

    def wanted(self, labeled: Labeled) -> bool:
        if not labeled.why:
            return True
        self.excluded[labeled.why] += 1
        has_answers = bool(labeled.answers)
        if not self.definition.include_unresolved or labeled.why in ("in_no_batch", "definition_changed"):
            return False
        return has_answers or self.definition.labels == "hard"

    def take(self, labeled: Labeled) -> None:
        self.counts["items"] += 1
        if labeled.why:
            self.counts["unresolved_items"] += 1
        self.items.append(labeled.item["pk"])
        label = None if labeled.value is None else sys.intern(_label(labeled.value))
        if label is not None:
            self.labels[label] += 1
        self.strata.append(label)
        self.borderline.append(2 * labeled.borderline > sum(labeled.cohorts.values()) > 0)
        by = self.definition.splits.group_by
        key = str((labeled.item["metadata"] or {}).get(by, "")) if by else labeled.item["payload_sha256"]
        self.groups.append(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))
        if labeled.version:
            self.lineage["guideline_versions"].add(str(labeled.version.number))
        self.lineage["batches"].add(labeled.batch)
        if labeled.import_run:
            self.lineage["import_runs"].add(labeled.import_run)
        self.lineage["raters"].update(answer["rater"] for answer in labeled.answers)


def _label(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _build(dataset: DatasetVersion, run: jobs.JobRun) -> dict[str, Any]:
    project: Project = dataset.project
    definition = Definition.from_json(dataset.filter)
    reader = Reader(project, definition)
    # Named by attempt: a worker that lost the job may still be writing, and must not touch what its successor made.
    stem = f"{project.slug}-{dataset.number}-{dataset.uuid}-{run.attempt}"
    raw = files.folder() / f"{stem}.raw"
    part = files.folder() / f"{stem}.part"
    final = files.folder() / f"{stem}.{definition.format}"
    try:
        total = reader.items().count()
        gathered = _Gathered(definition)
        with raw.open("w", encoding="utf-8") as out:
            _first_pass(reader, gathered, out, run, total)
        splits, words = _part(gathered)
        digest = hashlib.sha256()
        columns: list[str] = []
        with part.open("wb") as file:
            count = formats.write(
                _second_pass(raw, splits, columns, gathered.shape), gathered.shape, definition.format, file
            )
            _to_disk(file)
        with part.open("rb") as whole:
            for piece in iter(lambda: whole.read(1 << 20), b""):
                digest.update(piece)
        members = np.array(gathered.items, dtype="<i8")
        gathered.counts["rows"] = count
        run.report(total, total, "Writing the manifest")
        manifest = make_manifest(
            dataset, reader, counts=gathered.counts, excluded=gathered.excluded, labels=gathered.labels,
            lineage=gathered.lineage, splits=words, columns=columns,
            files={
                "rows": count, "bytes": part.stat().st_size, "sha256": digest.hexdigest(), "format": definition.format,
                "items_sha256": hashlib.sha256(members.tobytes()).hexdigest(),
            },
        )  # fmt: skip
        with final.with_suffix(".items").open("wb") as file:
            file.write(members.tobytes())
            _to_disk(file)
        part.replace(final)
        now = timezone.now()
        with transaction.atomic():
            mine = transitions.move(
                dataset, DatasetStatus.READY, rows=count, bytes=final.stat().st_size, sha256=digest.hexdigest(),
                manifest=manifest, file=final.name, ready_at=now,
            )  # fmt: skip
            if mine:
                record(event("dataset_ready", dataset, by=None, at=now, project=project, sha256=digest.hexdigest()))
        if not mine:
            final.unlink(missing_ok=True)
            final.with_suffix(".items").unlink(missing_ok=True)
            raise jobs.LostJob(f"dataset {dataset.pk} was built by another worker")
    finally:
        raw.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    return {"rows": count, "sha256": digest.hexdigest()}


def _first_pass(reader: Reader, gathered: _Gathered, out: IO[str], run: jobs.JobRun, total: int) -> None:
    done = 0
    for page in reader.pages():
        for labeled in page:
            if not gathered.wanted(labeled):
                continue
            number = len(gathered.items)
            gathered.take(labeled)
            for row in raw_rows(labeled, reader.definition):
                gathered.shape.see(row)
                out.write(_as_json([number, row]) + "\n")
        done += len(page)
        run.report(done, total, "Reading items")


def _second_pass(raw: Path, splits: list[str] | None, columns: list[str], shape: Shape) -> Iterator[dict[str, Any]]:
    with raw.open(encoding="utf-8") as lines:
        for line in lines:
            number, row = json.loads(line)
            if splits is not None:
                row["split"] = splits[number]
            if not columns:
                columns += list(shape.flat_types(row))
            yield row


def _part(gathered: _Gathered) -> tuple[list[str] | None, dict[str, Any]]:
    """The split of each item and what to say about it; None without splits."""
    asked: Splits = gathered.definition.splits
    if asked.method == "none" or not gathered.items:
        return None, {"method": "none"}
    from consistency.statistics.splits import split_items

    result = split_items(
        gathered.strata,
        fractions=asked.shares,
        method="random" if asked.method == "random" else "balanced",
        groups=gathered.groups if asked.method == "grouped" else None,
        borderline=[bool(mark) for mark in gathered.borderline],
        seed=asked.seed,
    )
    words = {
        "method": asked.method, "seed": asked.seed, "shares": asked.shares, "group_by": asked.group_by or None,
        "sizes": result.sizes, "labels": result.counts, "notes": list(result.notes),
    }  # fmt: skip
    return list(result.assignment), words


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
