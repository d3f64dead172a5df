"""Nominal: two labels are the same or they are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SLUG = "nominal"


def distance(a: Any, b: Any, **_: Any) -> float:
    """0 for equal values, else 1.

    >>> distance("yes", "no")
    1.0
    """
    return 0.0 if a == b else 1.0


def metric(numeric: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """δ² = 1 for different categories (Krippendorff 2011)."""
    k = len(counts)
    return np.ones((k, k)) - np.eye(k)
