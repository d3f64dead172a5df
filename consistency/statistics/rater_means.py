"""Means over raters of their own means: leave-one-out and against gold, every rater counting once.

These are not functions of sums over items (each rater's total stands in its own denominator), so their variances are
made from single labels. Leaving rater g out removes g's own mean and, for leave-one-out, also takes g's labels out of
the others' references.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .credits import label_credit
from .estimate import Estimate
from .intervals import Basis, Kind, Variances, items_variance, make_estimate, raters_variance
from .item_sums import ItemGroups
from .patterns import row_blocks
from .ratings import RatingsTable

__all__ = ["credit_macro", "hit_macro"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def _mean_influence(score: Floats, rater: Ints, n_raters: int) -> tuple[Floats, Ints, Floats]:
    """(means, labels, influence of each label on the mean of means); raters without labels have a mean of nan."""
    labels = np.bincount(rater, minlength=n_raters)
    with np.errstate(invalid="ignore"):
        means = np.bincount(rater, weights=score, minlength=n_raters) / labels
    active = int((labels > 0).sum())
    return means, labels, (score - means[rater]) / (active * labels[rater])


def hit_macro(
    table: RatingsTable, codes: Ints, basis: Basis, *, kind: Kind = "auto", confidence: float = 0.95
) -> Estimate:
    """Mean over raters of the share of their ratings equal to gold (`codes` per item, -1 for none)."""
    rows = codes[table.item] >= 0
    item, rater = table.item[rows], table.rater[rows].astype(np.int64)
    hit = (table.value[rows] == codes[item]).astype(float)
    means, labels, influence = _mean_influence(hit, rater, table.n_raters)
    present = means[labels > 0]
    n = len(present)
    per_item: Floats = np.bincount(item, weights=influence, minlength=table.n_items)[codes >= 0].astype(float)
    # an item with gold has a rating: every item of a table does
    vi = items_variance(per_item, np.ones(len(per_item)), len(per_item))
    without = (present.sum() - present) / (n - 1) if n > 1 else present
    variances = Variances(vi, raters_variance(without), float((influence**2).sum()))
    return make_estimate(float(present.mean()), variances, basis, scale="unit", kind=kind, confidence=confidence)


def credit_macro(table: RatingsTable, groups: ItemGroups, *, kind: Kind = "auto", confidence: float = 0.95) -> Estimate:
    """Mean over raters of their mean leave-one-out credit; the table has an item with two or more ratings.

    Parameters
    ----------
    table, groups
        The ratings, and their items by count vector.
    kind, confidence
        As in `measure_hlp`.

    Returns
    -------
    Estimate
        On the logit scale, by the rules of docs/statistics.md A.11.
    """
    several = groups.per_item >= 2
    basis = groups.basis(several, table.excluded)
    rows = several[groups.index[table.item]]
    item, rater = table.item[rows], table.rater[rows].astype(np.int64)
    value, group = table.value[rows].astype(np.int64), groups.index[table.item[rows]]
    credit = label_credit(groups.counts)[group, value]
    means, labels, influence = _mean_influence(credit, rater, table.n_raters)
    active = int((labels > 0).sum())
    per_item: Floats = np.bincount(item, weights=influence, minlength=table.n_items).astype(float)
    per_item = per_item[several[groups.index]]
    vi = items_variance(per_item, np.ones(len(per_item)), len(per_item))

    change, cell = _credit_changes(groups, group, value)
    vir = _label_variance(table, item, rater, value, credit, means, labels, active, influence, change, cell, groups)
    without = _without_each(table, item, rater, value, credit, means, labels, change, cell, groups.per_item[group])
    value_here = float(means[labels > 0].mean())
    variances = Variances(vi, raters_variance(without), vir)
    return make_estimate(value_here, variances, basis, scale="unit", kind=kind, confidence=confidence)


def _credit_changes(groups: ItemGroups, group: Ints, value: Ints) -> tuple[Floats, Ints]:
    """(change (C, K), cell of each label): what losing one label of a cell does to the credit of each label left.

    Labels that lose their last companion go from their credit to none; they leave their rater's mean altogether, which
    the callers account for.
    """
    fewer = groups.counts[groups.cell_group]
    fewer[np.arange(len(fewer)), groups.cell_category] -= 1
    change = label_credit(fewer) - label_credit(groups.counts)[groups.cell_group]
    change[fewer == 0] = 0.0
    k = groups.counts.shape[1]
    cell = np.searchsorted(groups.cell_group * k + groups.cell_category, group * k + value)
    return change, cell.astype(np.int64)


def _label_variance(
    table: RatingsTable,
    item: Ints,
    rater: Ints,
    value: Ints,
    credit: Floats,
    means: Floats,
    labels: Ints,
    active: int,
    influence: Floats,
    change: Floats,
    cell: Ints,
    groups: ItemGroups,
) -> float:
    """Vir: sum over labels of the squared first-order effect of taking that label away."""
    k = groups.counts.shape[1]
    weight = 1.0 / (active * labels[rater])
    # the companions' weights by label, item by item
    mass = np.bincount(item * k + value, weights=weight, minlength=table.n_items * k).reshape(-1, k)
    effect = -influence
    for block in row_blocks(len(item), k):
        moved = change[cell[block]]
        effect[block] += np.einsum("ij,ij->i", moved, mass[item[block]])
        own = np.arange(block.start, min(block.stop, len(item)))
        effect[block] -= moved[np.arange(len(own)), value[own]] * weight[own]
    # on items with two ratings the companion leaves its rater's denominator as well
    pair = groups.per_item[groups.index[item]] == 2
    if pair.any():
        first = np.flatnonzero(pair)[::2]
        for here, other in ((first, first + 1), (first + 1, first)):
            effect[here] += means[rater[other]] * weight[other]
    return float((effect**2).sum())


def _without_each(
    table: RatingsTable,
    item: Ints,
    rater: Ints,
    value: Ints,
    credit: Floats,
    means: Floats,
    labels: Ints,
    change: Floats,
    cell: Ints,
    size: Ints,
) -> Floats:
    """Mean of means without each rater who has labels here, exactly; nan where nobody is left."""
    n_raters = table.n_raters
    present = labels > 0
    moving = (change != 0).any(axis=1)[cell] | (size == 2)
    lost_credit: list[Floats] = []
    lost_labels: list[Floats] = []
    keys: list[Ints] = []
    # an item's labels stand side by side; step through all pairs of positions in it
    longest = int(size[moving].max(initial=0))
    touched = np.zeros(table.n_items, np.bool_)
    touched[item[moving]] = True
    position = np.flatnonzero(touched[item])
    for step in range(1, longest):
        first = position[position + step < len(item)]
        first = first[item[first] == item[first + step]]
        if not len(first):
            break
        for gone, stays in ((first, first + step), (first + step, first)):
            delta = change[cell[gone], value[stays]]
            pair = size[gone] == 2
            matters = (delta != 0) | pair
            gone, stays, delta, pair = gone[matters], stays[matters], delta[matters], pair[matters]
            keys.append(rater[gone] * n_raters + rater[stays])
            lost_credit.append(delta)
            lost_labels.append(pair.astype(float))
    total, count = float(means[present].sum()), int(present.sum())
    others = total - np.where(present, means, 0.0)
    left = np.full(n_raters, count - 1, dtype=float)
    if keys:
        key, inverse = np.unique(np.concatenate(keys), return_inverse=True)
        inverse = inverse.reshape(-1)
        g, h = np.divmod(key, n_raters)
        moved = np.bincount(inverse, weights=np.concatenate(lost_credit))
        fewer = np.bincount(inverse, weights=np.concatenate(lost_labels))
        n = labels[h] - fewer
        stays = n > 0
        new = (means[h] * labels[h] + moved)[stays] / n[stays]
        others += np.bincount(g[stays], weights=new, minlength=n_raters)
        others -= np.bincount(g, weights=means[h], minlength=n_raters)
        left -= np.bincount(g[~stays], minlength=n_raters)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(left > 0, others / left, np.nan)[present]
