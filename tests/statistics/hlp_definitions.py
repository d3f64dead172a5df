"""Human-level performance and cohort figures written out from their definitions, by loops over single ratings.

A data set is a list of (weight, {rater: label}) items. Weights allow derivatives: the item variance, the label
variance and the rater jackknife are computed here from what they mean, not from the engine's algebra.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np

from consistency.statistics.ratings import RatingsTable

Item = tuple[float, dict[str, object]]


def items_of(table: RatingsTable) -> list[Item]:
    out: list[dict[str, object]] = [{} for _ in range(table.n_items)]
    for i, g, v in zip(table.item.tolist(), table.rater.tolist(), table.value.tolist(), strict=True):
        out[i][table.raters[g]] = table.categories[v]
    return [(1.0, row) for row in out]


def table_of(matrix, categories=None) -> RatingsTable:
    """Rows = items; None = missing."""
    records = [(f"i{i}", f"r{g}", v) for i, row in enumerate(matrix) for g, v in enumerate(row) if v is not None]
    return RatingsTable.from_records(records, categories=categories)


def every_table(n: int, r: int, k: int):
    rows = list(itertools.product([None, *"abc"[:k]], repeat=r))
    return itertools.combinations_with_replacement(rows, n)


def random_table(rng: np.random.Generator, n: int, r: int, k: int, missing: float) -> RatingsTable:
    value = rng.integers(0, k, (n, r))
    agree = rng.random((n, r)) < 0.5
    value = np.where(agree, value[:, :1], value)
    return table_of(
        [["abcd"[v] if rng.random() >= missing else None for v in row] for row in value], categories="abcd"[:k]
    )


# ---------------------------------------------------------------- figures


def credit(label, others) -> float:
    """1/t when label is one of the t modes of the others."""
    counts = Counter(others)
    top = max(counts.values())
    modes = [c for c in counts if counts[c] == top]
    return 1 / len(modes) if label in modes else 0.0


def _scored(items: list[Item]):
    """(weight, rater, label, credit against the others) of every rating on items with two or more."""
    for w, row in items:
        if len(row) >= 2:
            for rater, label in row.items():
                yield w, rater, label, credit(label, [v for g, v in row.items() if g != rater])


def _share(pairs) -> float | None:
    top, bottom = 0.0, 0.0
    for a, b in pairs:
        top, bottom = top + a, bottom + b
    return top / bottom if bottom > 1e-9 else None


def pairwise(items):
    def agreement(row):
        labels = list(row.values())
        return sum(a == b for a, b in itertools.permutations(labels, 2)) / (len(labels) * (len(labels) - 1))

    return _share((w * agreement(row), w) for w, row in items if len(row) >= 2)


def with_replacement(items):
    return _share(
        (w * sum((c / len(row)) ** 2 for c in Counter(row.values()).values()), w) for w, row in items if len(row) >= 2
    )


def leave_one_out(items):
    return _share((w * c, w) for w, _, _, c in _scored(items))


def leave_one_out_macro(items):
    total, weight = Counter(), Counter()
    for w, rater, _, c in _scored(items):
        total[rater] += w * c
        weight[rater] += w
    means = [total[g] / weight[g] for g in weight if weight[g] > 1e-9]
    return sum(means) / len(means) if means else None


def matched(m):
    def value(items):
        def one(row, rater, label):
            others = [v for g, v in row.items() if g != rater]
            sets = list(itertools.combinations(others, m))
            return sum(credit(label, s) for s in sets) / len(sets)

        return _share(
            (w * one(row, rater, label), w) for w, row in items if len(row) > m for rater, label in row.items()
        )

    return value


def constant_model(items):
    counts = Counter()
    for w, row in items:
        for label in row.values():
            counts[label] += w
    return max(counts.values()) / sum(counts.values()) if counts else None


def constant_model_item_weight(items):
    shares, n = Counter(), 0.0
    for w, row in items:
        if len(row) >= 2:
            n += w
            for label, c in Counter(row.values()).items():
                shares[label] += w * c / len(row)
    return max(shares.values()) / n if n > 1e-9 else None


def xrr(cohort):
    """Nominal cross-replication reliability; `cohort` maps rater to 'x' or 'y'."""

    def value(items):
        n, met = 0.0, 0.0
        px, py = Counter(), Counter()
        for w, row in items:
            x = [v for g, v in row.items() if cohort[g] == "x"]
            y = [v for g, v in row.items() if cohort[g] == "y"]
            if not x or not y:
                continue
            n += w
            met += w * sum(a != b for a in x for b in y) / (len(x) * len(y))
            for v in x:
                px[v] += w / len(x)
            for v in y:
                py[v] += w / len(y)
        if n <= 1e-9:
            return None
        expected = 1 - sum(px[v] * py[v] for v in px) / n**2
        return None if expected < 1e-12 else 1 - (met / n) / expected

    return value


def alpha(items):
    """Nominal Krippendorff alpha of weighted items."""
    n, apart = 0.0, 0.0
    counts = Counter()
    for w, row in items:
        labels = list(row.values())
        if len(labels) < 2:
            continue
        n += w * len(labels)
        apart += w * sum(a != b for a, b in itertools.permutations(labels, 2)) / (len(labels) - 1)
        for v in labels:
            counts[v] += w
    expected = n * n - sum(c * c for c in counts.values())
    return None if expected < 1e-12 else 1 - (n - 1) * apart / expected


def of_cohort(items, cohort, side):
    return [(w, {g: v for g, v in row.items() if cohort[g] == side}) for w, row in items]


def finding(cohort):
    """D = xRR - (alpha_x + alpha_y) / 2."""

    def value(items):
        parts = [xrr(cohort)(items), *(alpha(of_cohort(items, cohort, side)) for side in "xy")]
        return None if any(p is None for p in parts) else parts[0] - (parts[1] + parts[2]) / 2

    return value


# ---------------------------------------------------------------- variances, from what they mean


def without_rater(items, rater):
    rows = [(w, {g: v for g, v in row.items() if g != rater}) for w, row in items]
    return [(w, row) for w, row in rows if row]


def item_variance(figure, items, fewest=2, step=1e-5):
    """Infinitesimal jackknife over the items with `fewest` or more ratings."""
    used = [j for j, (_, row) in enumerate(items) if len(row) >= fewest]
    n = len(used)
    slopes = []
    for j in used:
        up = [(w + step * (i == j), row) for i, (w, row) in enumerate(items)]
        down = [(w - step * (i == j), row) for i, (w, row) in enumerate(items)]
        slopes.append((figure(up) - figure(down)) / (2 * step))
    mean = sum(slopes) / n
    return n / (n - 1) * sum((s - mean) ** 2 for s in slopes) if n > 1 else None


def label_variance(figure, items, step=1e-5):
    """Sum of squared first-order effects of taking single labels away."""
    total = 0.0
    for j, (_, row) in enumerate(items):
        for rater in row:
            less = {g: v for g, v in row.items() if g != rater}
            up = [(w - step * (i == j), r) for i, (w, r) in enumerate(items)] + [(step, less)]
            down = [(w + step * (i == j), r) for i, (w, r) in enumerate(items)] + [(-step, less)]
            total += ((figure(up) - figure(down)) / (2 * step)) ** 2
    return total


def rater_variance(figure, items, fewest=2):
    """Delete-one-rater jackknife over raters with labels on items with `fewest` or more ratings."""
    raters = sorted({g for _, row in items if len(row) >= fewest for g in row})
    values = [figure(without_rater(items, g)) for g in raters]
    if len(values) < 3 or any(v is None for v in values):
        return None
    mean = sum(values) / len(values)
    return (len(values) - 1) / len(values) * sum((v - mean) ** 2 for v in values)


def close(a, b, tol=1e-9) -> bool:
    if a is None or b is None:
        return a is None and b is None
    return math.isclose(a, b, rel_tol=tol, abs_tol=tol)
