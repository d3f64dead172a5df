"""Bring demo material in through the real imports, from files in the data folder that are removed afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from .. import jobs
from ..access import Seat
from ..importing.items import guess_mapping, import_items, open_item_file
from ..importing.label_columns import LabelMapping
from ..importing.labels import import_labels
from ..importing.mapping import ItemMapping
from ..importing.runs import FileSource
from ..models import Job
from ..vocabulary import JobStatus


def run_now(job: Job | None) -> None:
    """Run a job to its end in this process; RuntimeError with its reason when it fails."""
    while job is not None and job.status != JobStatus.DONE:
        taken = jobs.take(job_id=job.pk)
        if taken is not None:
            job = jobs.run(taken, heartbeat=False)
        else:
            job.refresh_from_db()
        if job.status == JobStatus.FAILED:
            raise RuntimeError(f"demo: {job.kind}: {job.error}")


def demo_folder(name: str) -> Path:
    folder = Path(settings.DATA_DIR) / "demo" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def bring_in_items(seat: Seat, name: str, rows: Iterable[Mapping[str, Any]], images: Mapping[str, bytes]) -> None:
    """Import rows {external_id, payload, metadata[, tags]} with their image files. The same rows again change nothing."""
    folder = demo_folder(name)
    for file_name, data in images.items():
        (folder / file_name).write_bytes(data)
    file = folder / "items.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    base = ItemMapping(images=str(folder) if images else "")
    with open_item_file(file, file.name, base) as opened:
        guessed = guess_mapping(seat.project.payload_schema, opened)
    mapping = ItemMapping.from_json({**guessed.as_json(), "images": base.images})
    started = import_items(by=seat, source=FileSource.in_place(file, base.images), mapping=mapping)
    run_now(started.job)
    shutil.rmtree(folder, ignore_errors=True)


def bring_in_labels(seat: Seat, name: str, text: str, mapping: LabelMapping) -> None:
    """Import a CSV of labels. The same text again changes nothing."""
    folder = demo_folder(name)
    file = folder / "labels.csv"
    file.write_text(text, encoding="utf-8")
    started = import_labels(by=seat, source=FileSource.in_place(file), mapping=mapping)
    run_now(started.job)
    shutil.rmtree(folder, ignore_errors=True)
