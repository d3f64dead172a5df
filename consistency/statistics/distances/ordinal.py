"""Ordinal: how far apart two categories are in rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

SLUG = "ordinal"


def distance(a: Any, b: Any, *, scale: Sequence[Any] | None = None, **_: Any) -> float:
    """|rank a - rank b| / (K - 1) on the ordered `scale`; without a scale, or off it, 0 or 1.

    >>> distance("low", "high", scale=["low", "middle", "high"])
    1.0
    """
    if a == b:
        return 0.0
    order = list(scale) if scale is not None else []
    if a not in order or b not in order or len(order) < 2:
        return 1.0
    return abs(order.index(a) - order.index(b)) / (len(order) - 1)


def metric(numeric: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """δ² = (sum of n_g from c to k - (n_c + n_k)/2)² (Krippendorff 2011): squared difference of the mid-ranks."""
    mid = np.cumsum(counts) - counts / 2.0
    squares: npt.NDArray[np.float64] = (mid[:, None] - mid[None, :]) ** 2
    return squares
