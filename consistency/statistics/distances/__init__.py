"""Distances between two values, by slug: one module each, found by scanning the package.

A module defines `SLUG`, `distance(a, b, **settings) -> float` in [0, 1] (0 for equal values, symmetric) and, where the
distance can serve Krippendorff's alpha on declared categories, `metric(numeric, counts) -> K x K` (the squared
difference function δ² of Krippendorff, on any scale; `counts` are the pairable ratings per category).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Distance:
    """One distance: `between(a, b, **settings)` in [0, 1]; `metric(numeric, counts)` or None."""

    slug: str
    between: Callable[..., float]
    metric: Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], npt.NDArray[np.float64]] | None
    text: str


@cache
def distances() -> dict[str, Distance]:
    """Every distance by slug."""
    found: dict[str, Distance] = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name.startswith("_"):
            continue
        module: Any = importlib.import_module(f"{__name__}.{info.name}")
        if not hasattr(module, "SLUG"):
            continue
        if module.SLUG in found:
            raise RuntimeError(f"two distances are called {module.SLUG!r}")
        found[module.SLUG] = Distance(
            module.SLUG,
            module.distance,
            getattr(module, "metric", None),
            (module.__doc__ or "").strip().split("\n")[0],
        )
    return found


def distance(slug: str) -> Distance:
    """The distance with this slug; an unknown slug is a ValueError that lists the known ones."""
    known = distances()
    if slug not in known:
        raise ValueError(f"unknown distance {slug!r}: use one of {', '.join(sorted(known))}")
    return known[slug]
