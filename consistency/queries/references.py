"""What labels are held against: gold in force by origin, and what models say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from django.db.models import Exists, F, OuterRef, Q, TextField
from django.db.models.functions import Cast

from labeling import task_types
from labeling.models import Batch, Gold, Prediction
from labeling.vocabulary import GoldOrigin

from ..models import Adjudication
from .ratings import CHUNK, Labels, Reading

ORIGIN_WORDS = {
    GoldOrigin.EXTERNAL: "the reference the items came with",
    GoldOrigin.ADJUDICATED: "rulings on the random audit sample",
    GoldOrigin.SINGLE_RATER: "one rater's labels, adopted as the reference",
    GoldOrigin.USER_DECLARED: "what users declared",
    GoldOrigin.FEEDBACK: "what was observed later",
}


@dataclass(frozen=True, eq=False)
class Reference:
    """Gold of one origin that is in force for the items of a reading.

    Attributes
    ----------
    origin
        `external`, `adjudicated`, `single_rater`, `user_declared` or `feedback`.
    labels
        {item name: label}.
    authors
        {item name: member whose labels it is}: their own ratings never count against it.
    left_out
        Adjudicated gold outside the audit sample: disputed items are hard by selection, so they are no reference.
    """

    origin: str
    labels: Mapping[str, str]
    authors: Mapping[str, int]
    left_out: int = 0

    def reading(self, reading: Reading) -> Reading:
        """The reading without the ratings of whoever the gold came from, item by item."""
        if not self.authors:
            return reading
        table = reading.table
        author = np.array([self.authors.get(name, -1) for name in table.items], np.int64)
        member = np.array([rater.member for rater in reading.raters], np.int64)
        own = author[table.item] == member[table.rater] if table.n_ratings else np.zeros(0, np.bool_)
        if not own.any():
            return reading
        rest = table.subset(rows=~own)
        items, raters = set(rest.items), dict(zip(table.raters, reading.raters, strict=True))
        kept = np.array([name in items for name in table.items], np.bool_)
        return replace(
            reading, table=rest, item_ids=reading.item_ids[kept], role=reading.role[kept], audit=reading.audit[kept],
            raters=tuple(raters[name] for name in rest.raters), marks=None, seconds=(np.zeros(0, np.int64), np.zeros(0)), _memo={},
        )  # fmt: skip


def references_of(reading: Reading, *, disputed: bool = False) -> dict[str, Reference]:
    """{origin: gold in force} for the reading's items; one query.

    In force is the newest of (item, origin) under the figure's version, `external` also with none. Adjudicated gold
    counts on the audit sample only; `disputed` keeps all of it, for the figure that says so.
    """
    held = Q(item__batch_items__batch__in=[batch.pk for batch in reading.batches[:500]])
    version = Q(guideline_version=reading.version) | Q(guideline_version__isnull=True, origin=GoldOrigin.EXTERNAL)
    labels = _labels(reading)
    names = {pk: str(pk) for pk in reading.item_ids.tolist()}
    audit = dict(zip(reading.item_ids.tolist(), reading.audit.tolist(), strict=True))
    found: dict[str, dict[str, tuple[str, int | None]]] = {}
    outside: dict[str, set[int]] = {}
    # A ruling that was replaced is no reference, also where its successor gives no label and so no gold.
    replaced = Adjudication.objects.filter(
        uuid=OuterRef("adjudication_uuid"), disagreement__adjudications__revision__gt=F("revision")
    )
    rows = Gold.objects.filter(held, version).filter(~Exists(replaced)).order_by("pk")
    for item, origin, text, author in rows.values_list(
        "item_id", "origin", Cast("value", TextField()), "author_id"
    ).iterator(chunk_size=CHUNK):
        if item not in names:
            continue
        if origin == GoldOrigin.ADJUDICATED and not disputed and not audit[item]:
            outside.setdefault(origin, set()).add(item)
            continue
        found.setdefault(origin, {})[names[item]] = (labels.name_of_text(text), author)
    return {
        origin: Reference(
            origin,
            {name: label for name, (label, _) in given.items()},
            {name: author for name, (_, author) in given.items() if author is not None},
            len(outside.get(origin, ())),
        )
        for origin in (*found, *(o for o in outside if o not in found))
        for given in [found.get(origin, {})]
    }


@dataclass(frozen=True)
class Model:
    """A model that has predictions."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


def models_of(batch: Batch) -> list[Model]:
    """Models with predictions under the batch's version, newest first."""
    rows = (
        Prediction.objects.filter(item__project=batch.project_id, guideline_version=batch.guideline_version_id)
        .order_by()
        .values_list("model_name", "model_version")
        .distinct()
    )
    return [Model(*row) for row in sorted(rows, reverse=True)]


def predictions_for(reading: Reading, model: Model) -> dict[str, str]:
    """{item name: the model's label} for the reading's items; one query."""
    rows = Prediction.objects.filter(
        item__project=reading.batches[0].project_id, guideline_version=reading.version,
        model_name=model.name, model_version=model.version,
    ).order_by()  # fmt: skip
    labels, known = _labels(reading), set(reading.table.items)
    found: dict[str, str] = {}
    for item, text in rows.values_list("item_id", Cast("value", TextField())).iterator(chunk_size=CHUNK):
        if (name := str(item)) in known:
            found[name] = labels.name_of_text(text)
    return found


def _labels(reading: Reading) -> Labels:
    return Labels(reading.version, task_types.get(reading.batches[0].project.task_type))
