"""Items that were withdrawn after a dataset was built: a notice beside the dataset, whose bytes stay as they are."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from labeling import sweeps
from labeling.models import Event, Item

from ..models import DatasetNotice, DatasetVersion
from ..vocabulary import DatasetStatus
from . import files


def holds(dataset: DatasetVersion, item_ids: list[int]) -> list[int]:
    """Which of these items the dataset holds, by its frozen list of items."""
    path = files.members_of(dataset)
    if not item_ids or not path.exists() or not path.stat().st_size:
        return []
    members = np.memmap(path, dtype="<i8", mode="r")
    places = np.searchsorted(members, item_ids)
    return [
        item for item, place in zip(item_ids, places, strict=True) if place < len(members) and members[place] == item
    ]


@sweeps.each_minute("dataset_notices")
def note_withdrawals(at: datetime | None = None) -> int:
    """Write the notices that are missing; returns how many. Repeating it changes nothing.

    Withdrawing is an act of labeling, which knows no datasets: so this looks each minute.
    """
    at = at or timezone.now()
    oldest = DatasetVersion.objects.filter(status=DatasetStatus.READY).aggregate(at=Min("created_at"))["at"]
    if oldest is None:
        return 0
    written = 0
    projects = set(
        Item.objects.filter(withdrawn_at__gte=oldest).order_by().values_list("project_id", flat=True).distinct()
    )
    for dataset in DatasetVersion.objects.filter(status=DatasetStatus.READY, project_id__in=projects).iterator():
        written += note_withdrawals_of(dataset, at)
    return written


def note_withdrawals_of(dataset: DatasetVersion, at: datetime | None = None) -> int:
    """Write the missing notices of one dataset; returns how many."""
    if dataset.status != DatasetStatus.READY:
        return 0
    at = at or timezone.now()
    known = DatasetNotice.objects.filter(dataset_version=dataset, item__isnull=False).values("item_id")
    gone = Item.objects.filter(project_id=dataset.project_id, withdrawn_at__gte=dataset.created_at).exclude(
        pk__in=known
    )
    rows = dict(gone.values_list("pk", "external_id"))
    held = holds(dataset, sorted(rows))
    reasons = {
        subject: data.get("reason", "")
        for subject, data in Event.objects.filter(subject_type="item", verb="withdrawn", subject_id__in=held[:500])
        .order_by("pk")
        .values_list("subject_id", "data")
    }
    with transaction.atomic():
        # One writer at a time per dataset, or two sweeps would both write the same notice.
        DatasetVersion.objects.select_for_update(no_key=True).get(pk=dataset.pk)
        there = set(
            DatasetNotice.objects.filter(dataset_version=dataset, item__isnull=False).values_list("item_id", flat=True)
        )
        new = [
            DatasetNotice(
                dataset_version=dataset, item_id=pk, at=at,
                reason=f"Item {rows[pk]} was withdrawn" + (f": {reasons[pk]}" if reasons.get(pk) else "."),
            )
            for pk in held
            if pk not in there
        ]  # fmt: skip
        DatasetNotice.objects.bulk_create(new, batch_size=500)
    return len(new)
