"""Which items belong to a slice: derived each time from tags and metadata, never stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models.fields.json import KT

from labeling.models import Item, Project
from labeling.refusals import BadValue
from labeling.selection import Selection, matching

from ..models import Slice
from ..statistics.ratings import number_of

SIDES = ("above", "at_least", "below", "at_most")
SIGNS = {"above": ">", "at_least": "≥", "below": "<", "at_most": "≤"}


@dataclass(frozen=True)
class SliceFilter:
    """What makes an item belong: all tags, all metadata values, and all ranges of numeric metadata.

    `ranges` maps a metadata field to bounds by name: above, at_least, below, at_most.
    """

    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None
    ranges: Mapping[str, Mapping[str, float]] | None = None

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> SliceFilter:
        return cls(tuple(raw.get("tags") or ()), dict(raw.get("metadata") or {}), dict(raw.get("ranges") or {}))

    def as_json(self) -> dict[str, Any]:
        return {
            "tags": list(self.tags),
            "metadata": dict(self.metadata or {}),
            "ranges": {name: dict(bounds) for name, bounds in (self.ranges or {}).items()},
        }

    def check(self) -> None:
        """Raise BadValue naming what is wrong."""
        if not (self.tags or self.metadata or self.ranges):
            raise BadValue("empty", "Say what makes an item belong: a tag, a value, or a range.", field="filter")
        for name, bounds in (self.ranges or {}).items():
            if not bounds or any(side not in SIDES for side in bounds):
                raise BadValue("bad_value", f"Give {name} a lower or an upper bound.", field="ranges")
            low = max((bounds[side] for side in ("above", "at_least") if side in bounds), default=-np.inf)
            high = min((bounds[side] for side in ("below", "at_most") if side in bounds), default=np.inf)
            if low > high or (low == high and ("above" in bounds or "below" in bounds)):
                raise BadValue("bad_value", f"No value of {name} lies between these bounds.", field="ranges")
        Selection(metadata=dict(self.metadata or {}), tags=self.tags).check()
        Selection(metadata=dict.fromkeys(self.ranges or {}, 0)).check()

    def words(self) -> str:
        """“camera = 3, length > 0.2 and ≤ 0.4, tagged night”."""
        parts = [f"{name} = {value}" for name, value in (self.metadata or {}).items()]
        for name, bounds in (self.ranges or {}).items():
            sides = " and ".join(f"{SIGNS[side]} {bounds[side]:g}" for side in SIDES if side in bounds)
            parts.append(f"{name} {sides}")
        parts += [f"tagged {tag}" for tag in self.tags]
        return ", ".join(parts)


def items_in(project: Project, given: SliceFilter) -> npt.NDArray[np.int64]:
    """Primary keys of the project's items that belong, sorted."""
    selection = Selection(metadata=dict(given.metadata or {}), tags=given.tags)
    found = np.fromiter(matching(project, selection).values_list("pk", flat=True).iterator(), np.int64)
    for name, bounds in (given.ranges or {}).items():
        # in Python: a CSV says "0.2" where JSON lines say 0.2, and the two databases compare text differently
        rows = Item.objects.filter(project=project).order_by("pk").values_list("pk", KT(f"metadata__{name}"))
        inside = [pk for pk, value in rows.iterator() if _within(value, bounds)]
        found = np.intersect1d(found, np.array(inside, np.int64))
    return np.unique(found)


def _within(value: Any, bounds: Mapping[str, float]) -> bool:
    number = None if value is None else number_of(str(value))
    if number is None:
        return False
    return not (
        ("above" in bounds and number <= bounds["above"])
        or ("at_least" in bounds and number < bounds["at_least"])
        or ("below" in bounds and number >= bounds["below"])
        or ("at_most" in bounds and number > bounds["at_most"])
    )


def slices_of(project: Project) -> list[Slice]:
    """The project's slices by name."""
    return list(Slice.objects.filter(project=project).order_by("name", "pk"))


def items_by_slice(project: Project) -> dict[str, npt.NDArray[np.int64]]:
    """{slice key: its items}; one query per slice, and one more per range."""
    return {one.key: items_in(project, SliceFilter.from_json(one.filter)) for one in slices_of(project)}
