"""Items to choose an example from."""

from __future__ import annotations

import json
from uuid import UUID

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from ..models import Item, LabelDefinition, Project

LONGEST_SEARCH = 100


def items_to_show(project: Project, search: str) -> QuerySet[Item]:
    """Available items whose id starts with the words, or whose payload holds them; all of them without words."""
    items = Item.objects.available().filter(project=project).order_by("pk")
    words = search.strip()[:LONGEST_SEARCH]
    if not words:
        return items
    # SQLite keeps JSON with other letters than ASCII escaped, PostgreSQL as themselves.
    escaped = json.dumps(words)[1:-1]
    return items.annotate(payload_text=Cast("payload", TextField())).filter(
        Q(external_id__istartswith=words) | Q(payload_text__icontains=words) | Q(payload_text__icontains=escaped)
    )


def item_of(project: Project, uuid: UUID) -> Item | None:
    """An available item of the project by its uuid."""
    return Item.objects.available().filter(project=project, uuid=uuid).first()


def shown_as_example(label: LabelDefinition) -> set[int]:
    """Ids of the items that are examples of the label already."""
    return {pk for pk in label.examples.values_list("item_id", flat=True) if pk is not None}
