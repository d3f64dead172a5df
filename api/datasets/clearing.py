"""What a build that was killed left lying: raw rows, unfinished files, and whole ones that no dataset names."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from labeling import sweeps
from labeling.models import Job
from labeling.vocabulary import JobStatus

from ..models import DatasetVersion
from ..queries.datasets import build_key
from . import files

# Longer than any worker goes on after it has lost its job: it would take the missing file for a broken disk.
UNTOUCHED = timedelta(hours=1)
NAME = re.compile(r"-(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(?P<attempt>\d+)\.(?P<suffix>\w+)$")
UNFINISHED = ("raw", "part")


@sweeps.each_minute("dataset_leftovers")
def clear_leftovers(now: float | None = None) -> int:
    """Remove what killed builds left, an hour after it was last written; returns how many files. Whatever has another
    kind of name, or belongs to a ready dataset or a running build, stays."""
    oldest = (time.time() if now is None else now) - UNTOUCHED.total_seconds()
    found: list[tuple[Path, UUID, int]] = []
    for path in files.folder().iterdir():
        named = NAME.search(path.name)
        if named and path.is_file() and path.stat().st_mtime < oldest:
            found.append((path, UUID(named["uuid"]), int(named["attempt"])))
    removed = 0
    for start in range(0, len(found), 500):
        part = found[start : start + 500]
        datasets = {row.uuid: row for row in DatasetVersion.objects.filter(uuid__in=[uuid for _, uuid, _ in part])}
        keys = [build_key(row) for row in datasets.values()]
        running = set(
            Job.objects.filter(dedup_key__in=keys, status=JobStatus.RUNNING).values_list("dedup_key", "attempts")
        )
        for path, uuid, attempt in part:
            dataset = datasets.get(uuid)
            if dataset is None:
                wanted = path.suffix[1:] not in UNFINISHED
            else:
                mine = Path(dataset.file).stem if dataset.file else None
                wanted = (build_key(dataset), attempt) in running or (
                    path.stem == mine and path.suffix[1:] not in UNFINISHED
                )
            if not wanted:
                path.unlink(missing_ok=True)
                removed += 1
    return removed
