"""Jaccard: the share of chosen labels on which two sets of labels differ."""

from __future__ import annotations

from typing import Any

SLUG = "jaccard"


def distance(a: Any, b: Any, **_: Any) -> float:
    """1 - |A ∩ B| / |A ∪ B|; two empty sets are equal. Values are any collections of labels, their order and repeats
    without meaning.

    >>> distance(["cat", "dog"], ["dog"])
    0.5
    """
    x, y = set(a), set(b)
    return 0.0 if x == y else 1.0 - len(x & y) / len(x | y)
