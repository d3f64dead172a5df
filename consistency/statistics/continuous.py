"""Agreement on numbers with thousands of different values, where categories mean nothing.

Krippendorff's alpha comes from the labels themselves (`bylabel`); no table of categories is built.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .bylabel import alpha_by_label, chance_of_alpha, pairable_labels, too_much_for_ratio
from .estimate import Estimate
from .icc import MeanSquares, estimate_icc
from .intervals import (
    Basis,
    Kind,
    Variances,
    effective_raters,
    items_variance,
    make_estimate,
    missing,
    nothing_to_compare,
    raters_variance,
)
from .ratings import RatingsTable

MOST_CATEGORIES = 2000


def too_many(n: int) -> str:
    """Why nothing is said about each label."""
    return (
        f"{n:,} different labels are too many to be categories (at most {MOST_CATEGORIES:,}): "
        "if they are numbers, read Krippendorff's alpha at level interval"
    )


def basis_of_labels(table: RatingsTable) -> Basis:
    """What figures over this table rest on, without its patterns."""
    r = table.ratings_per_item()
    pairable = r >= 2
    starts = np.concatenate([[0], np.cumsum(r)[:-1]]).astype(np.int64) if len(r) else np.zeros(0, np.int64)
    differ = np.zeros(len(r), np.bool_)
    if len(r):
        differ = np.maximum.reduceat(table.value, starts) != np.minimum.reduceat(table.value, starts)
    labels = np.bincount(table.rater[pairable[table.item]], minlength=table.n_raters)
    return Basis(
        n_items=table.n_items,
        n_raters=table.n_raters,
        n_ratings=table.n_ratings,
        pairable=int(pairable.sum()),
        disagreeing=int(differ.sum()),
        raters=int((labels > 0).sum()),
        effective_raters=effective_raters(labels),
        excluded=dict(table.excluded),
    )


def agree_continuous(
    table: RatingsTable, names: Sequence[str], *, level: str, interval: Kind, confidence: float
) -> dict[str, Estimate]:
    """The estimates `names` of a table with too many different labels for categories.

    Alpha at every level but nominal and the intraclass correlations have values; everything else says why it has none.
    """
    basis = basis_of_labels(table)
    reason = nothing_to_compare(basis)
    if reason is not None:
        return {name: missing(reason, basis, confidence) for name in names}
    out = {name: missing(too_many(table.n_categories), basis, confidence) for name in names}
    if level in ("interval", "ordinal", "ratio") and (level == "ordinal" or table.numeric is not None):
        out["krippendorff_alpha"] = alpha_of_labels(table, level, basis, interval, confidence)
    if level in ("interval", "ratio"):
        assert table.numeric is not None
        complete = table.n_ratings == table.n_items * table.n_raters and table.n_items > 1
        shape = (table.n_items, table.n_raters)
        ms = MeanSquares.of(table.numeric[table.value].reshape(shape)) if complete else None
        out |= estimate_icc(ms, basis, confidence)
    return {name: out[name] for name in names}


def alpha_of_labels(table: RatingsTable, level: str, basis: Basis, interval: Kind, confidence: float) -> Estimate:
    """Krippendorff's alpha at level interval, ordinal or ratio, from the labels themselves."""
    if level == "ratio":
        assert table.numeric is not None
        if float(table.numeric.min(initial=0.0)) < 0:
            raise ValueError(f"ratio level needs numbers that are not negative; {table.numeric.min():g} is")
        if too_much_for_ratio(table):
            return missing(
                f"{table.n_categories:,} different numbers are too many for the distances of level ratio: "
                "read level interval",
                basis,
                confidence,
            )
    found = alpha_by_label(table, level)
    if found is None:
        return missing("every rating is the same number: nothing varies", basis, confidence)
    keep = pairable_labels(table)
    used = np.bincount(table.item[keep], minlength=table.n_items) > 0
    raters = np.flatnonzero(np.bincount(table.rater[keep], minlength=table.n_raters))
    n = int(used.sum())
    variances = Variances(
        items_variance(found.influence[used], np.ones(n), n),
        raters_variance(found.without[raters]),
        float((found.loss**2).sum()),
    )
    # nobody disagreed: the bound needs D_e as a share of the largest distance, which only the line knows quickly
    chance = chance_of_alpha(table) if level == "interval" and found.value >= 1 - 1e-12 else None
    return make_estimate(found.value, variances, basis, kind=interval, confidence=confidence, chance=chance)
