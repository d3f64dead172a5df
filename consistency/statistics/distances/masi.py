"""MASI: Jaccard times monotonicity, milder where one set of labels contains the other (Passonneau 2006)."""

from __future__ import annotations

from typing import Any

SLUG = "masi"


def distance(a: Any, b: Any, **_: Any) -> float:
    """1 - J·M: M is 1 for equal sets, 2/3 where one contains the other, 1/3 where they overlap, 0 where they do not.

    >>> round(distance([1, 2], [1, 2, 3, 4]), 4)
    0.6667
    """
    x, y = set(a), set(b)
    if x == y:
        return 0.0
    both = len(x & y)
    if not both:
        return 1.0
    monotonicity = 2 / 3 if x <= y or y <= x else 1 / 3
    return 1.0 - both / len(x | y) * monotonicity
