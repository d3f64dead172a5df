"""Task types, found by scanning this package: a new module adds one, and no file here changes."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from .base import TaskType

__all__ = ["TaskType", "get", "registry"]


@cache
def registry() -> dict[str, TaskType]:
    """{slug: task type}, in order of slug."""
    found: dict[str, TaskType] = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for member in vars(module).values():
            if isinstance(member, type) and issubclass(member, TaskType) and "slug" in vars(member):
                found[member.slug] = member()
    return dict(sorted(found.items()))


def get(slug: str) -> TaskType:
    """The task type of that slug; KeyError names the known ones."""
    try:
        return registry()[slug]
    except KeyError:
        raise KeyError(f"Unknown task type {slug!r}. Known are: {', '.join(registry())}.") from None
