"""Resolutions: the value in force for an item, one revision after another, whoever decides it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from labeling.db.compiled import Rows, whole
from labeling.models import BatchItem

from .models import Resolution
from .verdict import Verdict

# One item is compared whenever a rater's answer settles it, so what that asks is compiled once.
ONE_RESOLUTION = Rows(lambda: Resolution.objects.filter(batch_item=whole("item")).order_by("-revision")[:1])


def resolutions_in_force(batch_item_ids: Sequence[int]) -> dict[int, Resolution]:
    """{batch item: its resolution of the highest revision}, for at most a chunk of items."""
    rows: Iterable[Resolution] = (
        ONE_RESOLUTION.run(item=batch_item_ids[0])
        if len(batch_item_ids) == 1
        else Resolution.objects.filter(batch_item_id__in=batch_item_ids)
        .select_related("run")
        .order_by("batch_item_id", "revision")
    )
    return {row.batch_item_id: row for row in rows}


def next_resolution(
    batch_item: BatchItem, standing: Resolution | None, verdict: Verdict, *, method: str, value: Any, at: datetime,
    **origin: Any,
) -> Resolution:  # fmt: skip
    """The resolution that follows the one in force, not saved yet; `origin` is what decided: a run, an adjudication.

    Its digest is that of the answers it was made from: with other answers it is compared again.
    """
    return Resolution(
        batch_item=batch_item,
        revision=standing.revision + 1 if standing is not None else 1,
        value=value,
        method=method,
        distribution=verdict.distribution,
        raters=verdict.raters,
        input_sha256=verdict.input_sha256,
        at=at,
        **origin,
    )
