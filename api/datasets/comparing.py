"""Two dataset versions side by side: which items came, left, or changed their label, definition or split.

The files are read once each into a temporary SQLite table that lies on disk, so two millions of rows are compared in
flat memory.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labeling import access, jobs
from labeling.access import Seat
from labeling.hashing import canonical_json
from labeling.models import Job
from labeling.refusals import BadValue, Refusal
from labeling.vocabulary import JobStatus

from ..models import DatasetVersion
from ..vocabulary import DatasetStatus
from . import files, formats

JOB = "compare_datasets"
SHOWN = 200


def compare_datasets(*, by: Seat, old: DatasetVersion, new: DatasetVersion) -> Job:
    """The job that compares two ready datasets of a project, or the finished one: both never change.

    Raises NotAllowed, or a Refusal when one of them is not ready or of another project.
    """
    access.require(by.membership, "export")
    if old.project_id != by.project.pk or new.project_id != by.project.pk:
        raise BadValue("bad_value", "Two datasets of one project can be compared.", field="with")
    if old.pk == new.pk:
        raise BadValue("bad_value", "Choose another dataset to compare with.", field="with")
    for dataset in (old, new):
        if dataset.status != DatasetStatus.READY:
            raise Refusal("not_ready", f"{dataset.name} ({dataset.number}) is not ready yet.")
    key = f"{JOB}:{old.pk}:{new.pk}"
    finished = Job.objects.filter(dedup_key=key, status__in=(JobStatus.DONE, JobStatus.RUNNING)).order_by("-pk").first()
    if finished is not None:
        return finished
    job = jobs.enqueue(
        kind=JOB, by=by.user, dedup_key=key, parameters={"old": old.pk, "new": new.pk}, project=by.project
    )
    job.refresh_from_db()
    return job


@jobs.handles(JOB)
def run_comparison(run: jobs.JobRun) -> dict[str, Any]:
    """Compare, and keep the counts and the first changed items as the job's result."""
    old = DatasetVersion.objects.get(pk=run.parameters["old"])
    new = DatasetVersion.objects.get(pk=run.parameters["new"])
    total = (old.rows or 0) + (new.rows or 0)
    with tempfile.TemporaryDirectory(prefix="concord-diff-") as folder:
        database = sqlite3.connect(Path(folder) / "diff.sqlite3")
        try:
            done = _load(database, "old", old, run, 0, total)
            _load(database, "new", new, run, done, total)
            return _differences(database)
        finally:
            database.close()


def _entries(dataset: DatasetVersion) -> Iterator[tuple[Any, ...]]:
    annotations = dataset.filter.get("labels") == "annotations"
    for row in formats.read_back(str(files.path_of(dataset)), dataset.format):
        value = row.get("item_value" if annotations else "value")
        shown = None if value in (None, "") else value if isinstance(value, str) else canonical_json(value)
        yield (
            str(row.get("item_uuid")), row.get("item"), shown, str(row.get("guideline_version") or ""),
            row.get("split") or "",
        )  # fmt: skip


def _load(
    database: sqlite3.Connection, name: str, dataset: DatasetVersion, run: jobs.JobRun, done: int, total: int
) -> int:
    database.execute(
        f"CREATE TABLE {name} (uuid TEXT PRIMARY KEY, item TEXT, value TEXT, version TEXT, split TEXT) WITHOUT ROWID"
    )
    page: list[tuple[Any, ...]] = []
    for entry in _entries(dataset):
        page.append(entry)
        if len(page) == 5_000:
            done += _insert(database, name, page)
            run.report(done, total, "Reading rows")
    return done + _insert(database, name, page)


def _insert(database: sqlite3.Connection, name: str, page: list[tuple[Any, ...]]) -> int:
    # A dataset of annotations has several rows per item, all with the same value of the item.
    database.executemany(f"INSERT OR IGNORE INTO {name} VALUES (?, ?, ?, ?, ?)", page)
    database.commit()
    count = len(page)
    page.clear()
    return count


def _differences(database: sqlite3.Connection) -> dict[str, Any]:
    def one(sql: str) -> int:
        return int(database.execute(sql).fetchone()[0])

    both = "FROM old JOIN new USING (uuid)"
    changed = database.execute(
        f"SELECT coalesce(old.value, ''), coalesce(new.value, ''), count(*) {both} "
        "WHERE old.value IS NOT new.value GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
    ).fetchall()
    items = database.execute(
        f"SELECT new.item, new.uuid, old.value, new.value, old.version, new.version, old.split, new.split {both} "
        f"WHERE old.value IS NOT new.value OR old.split <> new.split ORDER BY new.item LIMIT {SHOWN}"
    ).fetchall()
    names = ("item", "item_uuid", "old_value", "new_value", "old_version", "new_version", "old_split", "new_split")
    added = database.execute(
        f"SELECT item FROM new WHERE uuid NOT IN (SELECT uuid FROM old) ORDER BY item LIMIT {SHOWN}"
    ).fetchall()
    removed = database.execute(
        f"SELECT item FROM old WHERE uuid NOT IN (SELECT uuid FROM new) ORDER BY item LIMIT {SHOWN}"
    ).fetchall()
    return {
        "added": one("SELECT count(*) FROM new WHERE uuid NOT IN (SELECT uuid FROM old)"),
        "removed": one("SELECT count(*) FROM old WHERE uuid NOT IN (SELECT uuid FROM new)"),
        "in_both": one(f"SELECT count(*) {both}"),
        "changed_labels": sum(row[2] for row in changed),
        "changed_versions": one(f"SELECT count(*) {both} WHERE old.version <> new.version"),
        "changed_splits": one(f"SELECT count(*) {both} WHERE old.split <> new.split"),
        "from_to": [{"from": old or None, "to": new or None, "items": count} for old, new, count in changed[:100]],
        "items": [dict(zip(names, row, strict=True)) for row in items],
        "added_items": [row[0] for row in added],
        "removed_items": [row[0] for row in removed],
    }
