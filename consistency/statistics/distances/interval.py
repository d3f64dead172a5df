"""Interval: the difference of two numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

SLUG = "interval"


def distance(a: Any, b: Any, *, scale: Sequence[Any] | None = None, **_: Any) -> float:
    """|a - b| as a share of the scale's width; without a scale, 1 for any difference of 1 or more.

    >>> distance(2, 4, scale=[1, 5])
    0.5
    """
    gap = abs(float(a) - float(b))
    numbers = [float(s) for s in scale] if scale is not None else []
    width = max(numbers) - min(numbers) if numbers else 1.0
    return min(1.0, gap / width) if width > 0 else float(gap > 0)


def metric(numeric: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """δ² = (c - k)² (Krippendorff 2011)."""
    squares: npt.NDArray[np.float64] = (numeric[:, None] - numeric[None, :]) ** 2
    return squares
