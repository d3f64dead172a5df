"""Ratio: the difference of two numbers relative to their sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SLUG = "ratio"


def distance(a: Any, b: Any, **_: Any) -> float:
    """|a - b| / (|a| + |b|), 0 for equal values.

    >>> distance(1, 3)
    0.5
    """
    x, y = float(a), float(b)
    return 0.0 if x == y else abs(x - y) / (abs(x) + abs(y))


def metric(numeric: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """δ² = ((c - k) / (c + k))² (Krippendorff 2011); numbers must not be negative."""
    if len(numeric) and numeric.min() < 0:
        raise ValueError(f"ratio level needs numbers that are not negative; {numeric.min():g} is")
    total = numeric[:, None] + numeric[None, :]
    gap = numeric[:, None] - numeric[None, :]
    share = np.divide(gap, total, out=np.zeros_like(gap), where=total > 0)
    squares: npt.NDArray[np.float64] = share**2
    return squares
