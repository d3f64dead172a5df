"""A project's items: lists by filter, and one with what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from ..models import BatchItem, Item, ItemTag, Project
from ..selection import Selection, matching

COUNTED = 10_000
NAMES_FROM = 200
TAGS_SHOWN = 100


@dataclass(frozen=True)
class ItemPage:
    """A page of items by id. `before` and `after` are the ids to go on from, None at an end."""

    items: list[Item]
    before: int | None
    after: int | None
    count: int
    more_than_counted: bool


def items_page(
    project: Project,
    *,
    metadata: dict[str, Any],
    tag: str,
    search: str,
    size: int,
    after: int | None,
    before: int | None,
) -> ItemPage:
    """Items that pass the filter, by keyset; four queries however many there are.

    `search`: the beginning of an external id. The count stops at COUNTED.
    """
    rows = matching(project, Selection(metadata=metadata, tags=(tag,) if tag else ()))
    if search:
        rows = rows.filter(external_id__startswith=search)
    count = rows.order_by()[: COUNTED + 1].count()
    items, earlier, later = _slice(rows, size, after, before)
    return ItemPage(items, earlier, later, min(count, COUNTED), count > COUNTED)


def _slice(
    rows: QuerySet[Item], size: int, after: int | None, before: int | None
) -> tuple[list[Item], int | None, int | None]:
    rows = rows.prefetch_related(None)
    if before is not None:
        found = list(rows.filter(pk__lt=before).order_by("-pk")[: size + 1])
        items = found[:size][::-1]
        earlier = items[0].pk if len(found) > size else None
        return items, earlier, (items[-1].pk if items else None)
    found = list((rows.filter(pk__gt=after) if after is not None else rows).order_by("pk")[: size + 1])
    items = found[:size]
    return items, (items[0].pk if items and after is not None else None), (items[-1].pk if len(found) > size else None)


def tags_of(items: Sequence[Item]) -> dict[int, list[str]]:
    """{item id: its tags} for at most a page of items."""
    tags: dict[int, list[str]] = {}
    rows = ItemTag.objects.filter(item__in=[item.pk for item in items], removed_at__isnull=True).order_by("tag")
    for pk, tag in rows.values_list("item_id", "tag"):
        tags.setdefault(pk, []).append(tag)
    return tags


def metadata_names(project: Project) -> list[str]:
    """Names of metadata that the newest items have: what a filter offers."""
    newest = (
        Item.objects.visible().filter(project=project).order_by("-pk").values_list("metadata", flat=True)[:NAMES_FROM]
    )
    return sorted({name for metadata in newest for name in metadata})


def tag_names(project: Project) -> list[str]:
    """Tags in use, at most TAGS_SHOWN."""
    rows = ItemTag.objects.filter(item__project=project, removed_at__isnull=True).order_by("tag")
    return list(rows.values_list("tag", flat=True).distinct()[:TAGS_SHOWN])


def batch_items_of(item: Item) -> list[BatchItem]:
    """The item's places in batches of finished imports or of our own, the newest first, at most fifty."""
    rows = BatchItem.objects.filter(item=item).filter(
        Q(batch__import_run__isnull=True) | Q(batch__import_run__status="done")
    )
    return list(rows.select_related("batch__guideline_version").order_by("-batch_id")[:50])
