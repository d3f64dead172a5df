"""Ratings against gold: gold as codes, and HLP against it.

Each origin of gold is a figure of its own: `measure_hlp` gives those of one, `measure_against_gold` those of any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .asked import Asked
from .bootstrap import check_replicates
from .estimate import Estimate
from .intervals import Kind
from .item_sums import ItemGroups, ratio_estimate
from .rater_means import hit_macro
from .ratings import RatingsTable, as_label, is_missing

__all__ = ["figures_against_gold", "gold_codes", "measure_against_gold"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NO_GOLD = "no gold was given"


def gold_codes(table: RatingsTable, gold: Mapping[Any, Any]) -> tuple[Ints, int]:
    """Gold as codes per item of the table, and how many of its labels are none of the table's categories.

    Returns
    -------
    codes : int64 (N,)
        A category's code; K for a label outside the categories (no rating can equal it); -1 for no gold.
    outside : int
    """
    code = {label: k for k, label in enumerate(table.categories)}
    named = {
        item if type(item) is str else as_label(item): as_label(label)
        for item, label in gold.items()
        if not is_missing(label)
    }
    codes = np.full(table.n_items, -1, np.int64)
    if named:
        known = {item: code.get(label, table.n_categories) for item, label in named.items()}
        codes[:] = [known.get(item, -1) for item in table.items]
    return codes, int((codes == table.n_categories).sum())


def measure_against_gold(
    table: RatingsTable,
    gold: Mapping[Any, Any],
    *,
    interval: Kind = "auto",
    confidence: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
) -> tuple[Estimate, Estimate]:
    """The two figures against gold alone, as `measure_hlp` gives them: rating-weighted, and the mean over raters.

    Examples
    --------
    >>> t = RatingsTable.from_matrix([[1, 1], [1, 2]])
    >>> measure_against_gold(t, {"1": 1, "2": 1})[0].value
    0.75
    """
    check_replicates(bootstrap)
    micro, macro, _ = figures_against_gold(
        table, gold, Asked(interval, confidence, bootstrap, seed, dict(table.excluded))
    )
    return micro, macro


def figures_against_gold(
    table: RatingsTable, gold: Mapping[Any, Any] | None, asked: Asked
) -> tuple[Estimate, Estimate, Estimate | None]:
    """Rating-weighted and rater-weighted HLP against gold, and the majority's gain over the ratings (None without gold)."""
    if gold is None:
        none = Estimate.missing(NO_GOLD, level=asked.confidence, n_items=table.n_items, n_raters=table.n_raters)
        return none, none, None
    codes, outside = gold_codes(table, gold)
    groups = ItemGroups.of(table, codes)
    used = groups.reference >= 0
    excluded = {**asked.excluded, "items_without_gold": int((codes < 0).sum())}
    right = _gold_vectors(groups.counts, groups.reference)[:, 1]
    basis = groups.basis(used, excluded, disagreeing=right < groups.per_item)
    if not basis.n_ratings:
        none = Estimate.missing(
            "no rated item has gold", level=asked.confidence, n_items=0, excluded=excluded, n_raters=table.n_raters
        )
        return none, none, None
    micro = asked.estimate(groups, _gold_vectors, used, basis)
    macro = hit_macro(table, codes, basis, kind=asked.kind, confidence=asked.confidence)
    if outside:
        word = f"{outside} gold labels are none of the categories: no rating can equal them"
        micro, macro = micro.with_notes(word), macro.with_notes(word)
    if basis.raters == 1:
        micro, macro = (replace(one, population="for this rater, on items like these") for one in (micro, macro))
    gain = ratio_estimate(groups, _gain_vectors, used, basis, scale="raw", kind="items", confidence=asked.confidence)
    return micro, macro, gain


def _gold_vectors(c: Ints, gold: Ints) -> Floats:
    r = c.sum(axis=1).astype(float)
    known = gold >= 0
    inside = known & (gold < c.shape[1])
    hits = np.where(inside, c[np.arange(len(c)), np.where(inside, gold, 0)], 0)
    return np.column_stack([r * known, hits])


def _gain_vectors(c: Ints, gold: Ints) -> Floats:
    """[ratings, ratings x credit of the majority's label (1/t on a t-way tie) - ratings equal to gold]."""
    base = _gold_vectors(c, gold)
    inside = (gold >= 0) & (gold < c.shape[1])
    top = c.max(axis=1)
    credit = np.where((base[:, 1] == top) & inside & (top > 0), 1 / np.maximum((c == top[:, None]).sum(axis=1), 1), 0.0)
    return np.column_stack([base[:, 0], base[:, 0] * credit - base[:, 1]])
