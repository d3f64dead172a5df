"""The second pass for items: small transactions, each with the run's cursor in it, and a pause between them."""

from __future__ import annotations

import time
from typing import Any

from django.db import transaction
from django.utils import timezone

from ..db.intake import CHUNK, ids_by_uuid, insert_rows, let_others_write, new_uuids, stamp
from ..events import event, record
from ..models import ImportRun, Item, ItemTag
from .checking import differing_metadata
from .mapping import Draft, Ready
from .runs import advance

ITEM_COLUMNS = ("uuid", "project_id", "import_run_id", *Ready._fields[:-1])
TAG_COLUMNS = ("item_id", "tag", "by_id", "at")


def write_items(run: ImportRun, items: list[Ready]) -> None:
    """Insert the items of the run, with their tags, in transactions of at most CHUNK rows."""
    chunk: list[Ready] = []
    size = 0
    for item in items:
        if size + 1 + len(item.tags) > CHUNK:
            _write_chunk(run, chunk)
            chunk, size = [], 0
        chunk.append(item)
        size += 1 + len(item.tags)
    if chunk:
        _write_chunk(run, chunk)


def _write_chunk(run: ImportRun, items: list[Ready]) -> None:
    started = time.perf_counter()
    keys = new_uuids(len(items))
    rows = [(key, run.project_id, run.pk, *item[:-1]) for key, item in zip(keys, items, strict=True)]
    tags = [(key, tag) for key, item in zip(keys, items, strict=True) for tag in item.tags]
    with transaction.atomic():
        advance(run, len(rows))
        insert_rows(Item, ITEM_COLUMNS, rows)
        if tags:
            ids = ids_by_uuid(Item, [key for key, _ in tags])
            now = stamp(timezone.now())
            insert_rows(ItemTag, TAG_COLUMNS, [(ids[key], tag, run.by_id, now) for key, tag in tags])
    # After the commit: a chunk that was rolled back leaves the cursor where it was.
    run.rows_kept += len(rows)
    let_others_write(time.perf_counter() - started)


def correct_known(run: ImportRun, known: list[tuple[Draft, int]]) -> None:
    """Bring metadata and tags of items that are there already up to the file; each correction is an Event.

    Keys the file does not name are kept, tags are only added. Again with the same rows, nothing is left to do.
    """
    changes = differing_metadata(known)
    wanted = {pk: draft.tags for draft, pk in known if draft.tags}
    for start in range(0, len(changes), CHUNK // 2):
        _correct(run, changes[start : start + CHUNK // 2])
    if wanted:
        _add_tags(run, wanted)


def _correct(run: ImportRun, changes: list[tuple[Draft, Item, dict[str, Any]]]) -> None:
    started = time.perf_counter()
    now = timezone.now()
    events = []
    for _draft, item, changed in changes:
        before = {name: item.metadata.get(name) for name in changed}
        item.metadata = {**item.metadata, **changed}
        events.append(
            event(
                "corrected_metadata",
                item,
                by=run.by,
                at=now,
                project_id=run.project_id,
                before=before,
                after=changed,
                run=run.pk,
            )
        )
    with transaction.atomic():
        advance(run, 0)
        Item.objects.bulk_update([item for _, item, _ in changes], ["metadata"])
        record(*events)
    let_others_write(time.perf_counter() - started)


def _add_tags(run: ImportRun, wanted: dict[int, list[str]]) -> None:
    started = time.perf_counter()
    there = set(ItemTag.objects.filter(item__in=wanted, removed_at__isnull=True).values_list("item_id", "tag"))
    now = timezone.now()
    missing = [
        (pk, tag, run.by_id, stamp(now)) for pk, tags in wanted.items() for tag in tags if (pk, tag) not in there
    ]
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        with transaction.atomic():
            advance(run, 0)
            insert_rows(ItemTag, TAG_COLUMNS, chunk)
            record(
                *(
                    event("tagged", ("item", pk), by=run.by, at=now, project_id=run.project_id, tag=tag, run=run.pk)
                    for pk, tag, _, _ in chunk
                )
            )
        let_others_write(time.perf_counter() - started)
