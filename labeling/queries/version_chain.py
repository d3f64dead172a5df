"""Reading a label "as of" a version: through the mappings on the version's chain of parents, where it still means the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..models import GuidelineVersion, LabelDefinition, LabelMapping

# What a label means. Its name, key, colour and place in the list may change without changing what it says.
MEANING = (
    "definition", "include", "exclude", "is_borderline", "threshold_attribute", "threshold_operator", "threshold_value",
    "threshold_unit",
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """How a label of an earlier version reads now: its key, whether a mapping changed it, whether it means the same.

    kind: of the last mapping it passed, `merge` or `normalise`; "" where it was not mapped.
    """

    key: str
    mapped: bool
    compatible: bool
    kind: str = ""


class VersionChain:
    """A version and its ancestors, newest first, with what their labels meant.

    `reads(number, key)` answers for any ancestor; loading takes three queries, however long the chain.
    """

    def __init__(self, version: GuidelineVersion) -> None:
        self.version = version
        rows = {row.pk: row for row in GuidelineVersion.objects.filter(project_id=version.project_id)}
        self.versions: list[GuidelineVersion] = []
        current: GuidelineVersion | None = version
        while current is not None and current not in self.versions:
            self.versions.append(current)
            current = rows.get(current.parent_id) if current.parent_id else None
        ids = [row.pk for row in self.versions]
        self._meaning: dict[tuple[int, str], tuple[Any, ...]] = {
            (label.version_id, label.key): tuple(getattr(label, name) for name in MEANING)
            for label in LabelDefinition.objects.filter(version_id__in=ids)
        }
        self._mapping: dict[tuple[int, str], tuple[str, str]] = {
            (mapping.guideline_version_id, mapping.from_key): (mapping.to_key, mapping.kind)
            for mapping in LabelMapping.objects.filter(guideline_version_id__in=ids)
        }
        self._place = {row.pk: place for place, row in enumerate(self.versions)}
        self._known: dict[tuple[int, str], Reading] = {}

    def holds(self, version_id: int) -> bool:
        """Whether the version stands on the chain."""
        return version_id in self._place

    def place(self, version_id: int) -> int:
        """0 for the version itself, 1 for its parent, and so on."""
        return self._place[version_id]

    def reads(self, version_id: int, key: str) -> Reading:
        """How the label `key`, given under an ancestor, reads under this version."""
        found = self._known.get((version_id, key))
        if found is None:
            found = self._known[(version_id, key)] = self._walk(version_id, key)
        return found

    def _walk(self, version_id: int, key: str) -> Reading:
        kind = ""
        compatible = True
        below = self.versions[self._place[version_id]]
        for child in reversed(self.versions[: self._place[version_id]]):
            if (child.pk, key) in self._mapping:
                key, kind = self._mapping[(child.pk, key)]
            elif self._meaning.get((child.pk, key)) is None or self._meaning[(child.pk, key)] != self._meaning.get(
                (below.pk, key)
            ):
                compatible = False
            below = child
        return Reading(key, bool(kind), compatible, kind)
