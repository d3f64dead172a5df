"""How many items a relabel batch needs so that the stop hint can decide (docs/statistics.md A.9), before anyone relabels.

The stop hint decides when 1.645 standard errors of the gain fit between the gain and the smallest useful one. A gain of
nothing, or of twice the smallest useful one, lies that one gain away: its interval must be that narrow.
"""

from __future__ import annotations

import math

Z = 1.645


def paired_items_needed(se: float, n: int, delta_min: float) -> int:
    """Items of the earlier batch to label again by the same raters.

    `se` is the earlier batch's standard error over its `n` items. Old and new answers of one item are taken to
    correlate by a half, so the difference varies as much as one of them.

    >>> paired_items_needed(0.05, 100, 0.05)
    271
    """
    _check(n, delta_min)
    return max(2, math.ceil(n * (Z * se / delta_min) ** 2))


def fresh_items_needed(se: float, n: int, delta_min: float) -> int | None:
    """Fresh items against the earlier batch; None where no number is enough, since that batch varies too much itself.

    >>> fresh_items_needed(0.02, 100, 0.05), fresh_items_needed(0.05, 100, 0.05)
    (77, None)
    """
    _check(n, delta_min)
    room = (delta_min / (Z * se)) ** 2 if se > 0 else math.inf
    if room <= 1:
        return None
    return 2 if math.isinf(room) else max(2, math.ceil(n / (room - 1)))


def _check(n: int, delta_min: float) -> None:
    if n < 1 or not delta_min > 0:
        raise ValueError("there is at least one item, and the smallest useful gain is above 0")
