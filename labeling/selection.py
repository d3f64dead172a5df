"""Which items a batch gets, and in which order: all, a filter, a random or a stratified sample, by a seed."""

from __future__ import annotations

import hashlib
import math
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTransform

from .models import Batch, BatchItem, ImportRun, Item, LabelExample, Project
from .refusals import BadValue
from .vocabulary import RunStatus

MODES = ("all", "random", "stratified")
ORDERS = ("shuffled", "as_listed")


@dataclass(frozen=True)
class Selection:
    """A choice of items. `metadata` and `tags` filter first; then `mode` draws `size` of them.

    stratum: the metadata field whose values are the strata; each gets its share of `size` (largest remainder).
    unlabeled: only items that are in no batch yet.
    without_examples: no item that the batch's definition shows as an example; its raters have read the answer there.
    """

    mode: str = "all"
    size: int | None = None
    stratum: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    external_ids: tuple[str, ...] = ()
    unlabeled: bool = False
    without_examples: bool = True
    order: str = "shuffled"

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Selection:
        known = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw}
        for name in ("tags", "external_ids"):
            known[name] = tuple(known.get(name, ()))
        selection = cls(**known)
        selection.check()
        return selection

    def check(self) -> None:
        """Raise BadValue naming the field that is wrong."""
        if self.mode not in MODES:
            raise BadValue("bad_value", f"mode must be one of {', '.join(MODES)}.", field="mode")
        if self.order not in ORDERS:
            raise BadValue("bad_value", f"order must be one of {', '.join(ORDERS)}.", field="order")
        if self.mode != "all" and (self.size is None or self.size < 1):
            raise BadValue("bad_value", "Say how many items to draw: 1 or more.", field="size")
        for name in (*self.metadata, self.stratum):
            if not isinstance(name, str) or "__" in name:
                raise BadValue("bad_value", f"{name!r} is no metadata field that can be filtered by.", field="metadata")
        if self.mode == "stratified" and not self.stratum:
            raise BadValue("bad_value", "Choose the metadata field that makes the strata.", field="stratum")

    def as_json(self) -> dict[str, Any]:
        return {
            "mode": self.mode, "size": self.size, "stratum": self.stratum, "metadata": self.metadata,
            "tags": list(self.tags), "external_ids": list(self.external_ids), "unlabeled": self.unlabeled,
            "without_examples": self.without_examples, "order": self.order,
        }  # fmt: skip


def matching(
    project: Project, selection: Selection, *, version_id: int | None = None, not_in_batch: int | None = None
) -> QuerySet[Item]:
    """Items that pass the selection's filter, before drawing, by id.

    `version_id`: the definition that the items are labeled under; without it no item counts as an example.
    """
    items = Item.objects.available().filter(project=project)
    for number, (name, value) in enumerate(selection.metadata.items()):
        # By a transform and not by a lookup's path: a field may be called “range” or “isnull”.
        field = f"metadata_{number}"
        condition = Q(**{field: value})
        if isinstance(value, str):
            # A CSV says "3", JSON lines may say 3: a filter typed in a form means both.
            for kind in (int, float):
                try:
                    other = kind(value)
                except ValueError:
                    continue
                if math.isfinite(other):
                    condition |= Q(**{field: other})
        items = items.alias(**{field: KeyTransform(name, "metadata")}).filter(condition)
    for tag in selection.tags:
        items = items.filter(tags__tag=tag, tags__removed_at__isnull=True)
    if selection.external_ids:
        items = items.filter(external_id__in=selection.external_ids)
    if selection.unlabeled:
        taken = BatchItem.objects.filter(item__project=project)
        if not_in_batch is not None:
            taken = taken.exclude(batch_id=not_in_batch)
        items = items.exclude(pk__in=taken.values("item_id"))
    if selection.without_examples and version_id is not None:
        items = items.exclude(pk__in=shown_as_examples(version_id))
    return items.order_by("pk")


def shown_as_examples(version_id: int) -> QuerySet[Any]:
    """Ids of the items that a definition shows as examples."""
    shown = LabelExample.objects.filter(definition__version_id=version_id, item__isnull=False)
    return shown.order_by().values("item_id")


def freeze(project: Project, selection: Selection, *, batch_id: int | None = None) -> dict[str, Any]:
    """The selection with what is there now, so that a job killed half-way draws the same items again.

    With `batch_id` the items that the batch holds by now are left out before drawing.
    """
    newest = Item.objects.filter(project=project).order_by("-pk").values_list("pk", flat=True).first() or 0
    pending = ImportRun.objects.filter(project=project, status__in=(RunStatus.CHECKING, RunStatus.WRITING))
    return {
        **selection.as_json(),
        "up_to_item": newest,
        "not_from_runs": list(pending.values_list("pk", flat=True)),
        "beyond_rank": _highest_rank(batch_id),
    }


def _highest_rank(batch_id: int | None) -> int | None:
    if batch_id is None:
        return None
    return BatchItem.objects.filter(batch_id=batch_id).order_by("-rank").values_list("rank", flat=True).first()


def draw(project: Project, frozen: dict[str, Any], seed: int, *, batch_id: int | None = None) -> list[int]:
    """Ids of the selected items in their order; the same for the same frozen selection and seed."""
    selection = Selection.from_json(frozen)
    version = Batch.objects.filter(pk=batch_id or 0).values_list("guideline_version_id", flat=True).first()
    items = (
        matching(project, selection, version_id=version, not_in_batch=batch_id)
        .filter(pk__lte=frozen["up_to_item"])
        .exclude(import_run_id__in=frozen["not_from_runs"])
    )
    if batch_id is not None and frozen.get("beyond_rank") is not None:
        held = BatchItem.objects.filter(batch_id=batch_id, rank__lte=frozen["beyond_rank"])
        items = items.exclude(pk__in=held.values("item_id"))
    rng = random.Random(seed)
    if selection.mode == "stratified":
        chosen = _stratified(items, selection, rng)
    else:
        ids = list(items.values_list("pk", flat=True))
        chosen = ids if selection.mode == "all" else rng.sample(ids, min(selection.size or 0, len(ids)))
    chosen.sort()
    if selection.order == "shuffled":
        rng.shuffle(chosen)
    return chosen


def _stratified(items: QuerySet[Item], selection: Selection, rng: random.Random) -> list[int]:
    strata: dict[str, list[int]] = defaultdict(list)
    for pk, value in items.values_list("pk", f"metadata__{selection.stratum}"):
        strata[str(value)].append(pk)
    total = sum(len(ids) for ids in strata.values())
    size = min(selection.size or 0, total)
    if not total:
        return []
    shares = {name: size * len(ids) / total for name, ids in strata.items()}
    counts = {name: int(share) for name, share in shares.items()}
    rest = size - sum(counts.values())
    for name in sorted(shares, key=lambda name: (counts[name] - shares[name], name))[:rest]:
        counts[name] += 1
    return [pk for name in sorted(strata) for pk in rng.sample(strata[name], counts[name])]


def drawn_for_audit(seed: int, item: UUID, share: float) -> bool:
    """Whether the item belongs to the random audit sample: decided by seed and item alone, before any answer."""
    digest = hashlib.sha256(f"{seed}:{item}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < share
