"""Credit of a label against the other labels of its item: the arithmetic under leave-one-out HLP.

credit(l; o) = 1/t when l is among the t most frequent labels of o, else 0. Everything here works on arrays of
count vectors (rows: distinct items, columns: categories), so its cost does not grow with the number of items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["given_credit", "label_credit", "matched_credit", "mean_model_credit", "own_credit_sum"]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def given_credit(others: Counts, label: NDArray[np.int64]) -> Floats:
    """Credit of one label per row against the counts `others` (rows x K); 0 where `others` is empty.

    >>> given_credit(np.array([[2, 2, 0], [2, 1, 0]]), np.array([0, 1])).tolist()
    [0.5, 0.0]
    """
    top = others.max(axis=1)
    tied = (others == top[:, None]).sum(axis=1)
    own = others[np.arange(len(others)), label]
    return np.where((own == top) & (top > 0), 1.0 / tied, 0.0)


def label_credit(counts: Counts) -> Floats:
    """Credit of a label of each category against the *other* labels of its item, shape rows x K.

    Only the single most frequent category can earn any: taking one label away leaves every other label no better
    than second. It earns 1 while it stays ahead, 1/t where it falls level with t - 1 others.

    >>> label_credit(np.array([[7, 3], [2, 1], [1, 1]])).tolist()
    [[1.0, 0.0], [0.5, 0.0], [0.0, 0.0]]
    """
    if counts.shape[1] == 1:
        return (counts >= 2).astype(float)
    ordered = np.sort(counts, axis=1)
    top, second = ordered[:, -1], ordered[:, -2]
    level = (counts == second[:, None]).sum(axis=1)
    credit = np.where(top - 1 > second, 1.0, np.where(top - 1 == second, 1.0 / (1 + level), 0.0))
    # a lone label has no others to be measured against
    credit = np.where(counts.sum(axis=1) >= 2, credit, 0.0)
    return np.where((counts == top[:, None]) & (top > second)[:, None], credit[:, None], 0.0)


def own_credit_sum(counts: Counts) -> Floats:
    """Sum of the credits of an item's labels, each against the others, one number per row."""
    return np.asarray((counts * label_credit(counts)).sum(axis=1))


def mean_model_credit(counts: Counts, label: NDArray[np.int64]) -> Floats:
    """Mean over an item's labels l of the credit of `label` against the item's labels without l, one per row.

    The reference is the same for the model and for the label it is compared with (docs/statistics.md A.8b). Rows with fewer
    than two labels give 0.
    """
    total = np.zeros(len(counts))
    for k in range(counts.shape[1]):
        rows = np.flatnonzero(counts[:, k])
        if len(rows):
            others = counts[rows].copy()
            others[:, k] -= 1
            total[rows] += counts[rows, k] * given_credit(others, label[rows])
    return np.asarray(total / np.maximum(counts.sum(axis=1), 1))


def _binomial(n: int, rate: float, largest: int) -> Floats:
    """Probability of 0..largest successes in n trials, float array (largest + 1,)."""
    from scipy.special import gammaln, xlog1py, xlogy

    s = np.arange(largest + 1)
    within = np.minimum(s, n)
    logs = gammaln(n + 1) - gammaln(within + 1) - gammaln(n - within + 1)
    pmf: Floats = np.where(s <= n, np.exp(logs + xlogy(within, rate) + xlog1py(n - within, -rate)), 0.0)
    return pmf


def matched_credit(counts: NDArray[np.int64], m: int) -> Floats:
    """Credit of a label of each category against a random m-subset of the others, exactly; one count vector, shape K.

    The m others are drawn without replacement (multivariate hypergeometric): independent binomials with success
    rate m/n, conditioned on their sum, multiplied up one category at a time with the number of categories level
    with the label carried along.

    >>> matched_credit(np.array([7, 3]), 1).round(6).tolist()
    [0.666667, 0.222222]
    """
    k = len(counts)
    n = int(counts.sum()) - 1
    if not 1 <= m <= n:
        raise ValueError(f"a reference of {m} labels needs at least {m + 1} labels on the item, not {n + 1}")
    credit = np.zeros(k)
    rate = m / n
    total = float(_binomial(n, rate, m)[m])
    for own in range(k):
        if not counts[own]:
            continue
        same = int(counts[own]) - 1
        rest = [int(c) for j, c in enumerate(counts) if j != own and c]
        pmf = [_binomial(c, rate, m) for c in rest]
        own_pmf = _binomial(same, rate, m)
        for j in range(1, min(same, m) + 1):
            # ways[t, s]: probability that the categories seen so far hold s labels, t of them exactly j and none more
            ways = np.zeros((len(rest) + 1, m - j + 1))
            ways[0, 0] = 1.0
            for p in pmf:
                fewer = np.zeros_like(ways)
                for s in range(min(j, m - j + 1)):
                    fewer[:, s:] += p[s] * ways[:, : ways.shape[1] - s]
                if j <= m - j:
                    fewer[1:, j:] += p[j] * ways[:-1, : ways.shape[1] - j]
                ways = fewer
            share = (ways[:, m - j] / np.arange(1, len(rest) + 2)).sum()
            credit[own] += float(own_pmf[j]) * share
    return credit / total
