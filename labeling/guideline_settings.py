"""A version's settings as its task type reads them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from uuid import UUID

from .models import GuidelineVersion, LabelDefinition


@lru_cache(maxsize=256)
def _sealed_labels(version: UUID) -> tuple[str, ...]:
    return tuple(LabelDefinition.objects.filter(version__uuid=version).values_list("key", flat=True))


def label_keys(version: GuidelineVersion) -> tuple[str, ...]:
    """The declared labels, in order. Cached for sealed versions: they never change, and each submission asks."""
    if version.published_at is not None:
        return _sealed_labels(version.uuid)
    return tuple(LabelDefinition.objects.filter(version=version).values_list("key", flat=True))


def version_settings(version: GuidelineVersion) -> dict[str, Any]:
    """The version's task settings with its label keys under `labels`."""
    return {**version.task_settings, "labels": list(label_keys(version))}
