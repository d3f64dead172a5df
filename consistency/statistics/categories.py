"""Agreement label by label: specific agreement and per-category kappa."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .coefficients import ONE, ONE_CATEGORY
from .continuous import MOST_CATEGORIES, basis_of_labels, too_many
from .engine import analyse, basis_of, grouped_of, sums_of
from .estimate import Estimate
from .intervals import Kind, make_estimate, missing, nothing_to_compare
from .patterns import Grouped, PatternTable
from .ratings import RatingsTable

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CategoryAgreement:
    """One label: specific agreement, kappa of this label against the rest, and how many ratings gave it."""

    label: str
    specific_agreement: Estimate
    kappa: Estimate
    count: int


@dataclass(frozen=True, slots=True)
class _CategorySums:
    """Feature rows [r ≥ 1, r ≥ 2, m(m-1) (K), m(r-1) (K), agreement of k against the rest (K), m/r (K)]."""

    k: int

    @property
    def width(self) -> int:
        return 2 + 4 * self.k

    def block(self, number: int) -> slice:
        return slice(2 + number * self.k, 2 + (number + 1) * self.k)

    def features(self, counts: npt.NDArray[np.int32]) -> FloatArray:
        c = counts.astype(np.float64)
        r = c.sum(axis=1, keepdims=True)
        two = r >= 2
        out = np.zeros((len(c), self.width))
        out[:, 0:1], out[:, 1:2] = r >= 1, two
        out[:, self.block(0)] = c * (c - 1)
        out[:, self.block(1)] = c * (r - 1)
        rest = r - c
        np.divide(c * (c - 1) + rest * (rest - 1), r * (r - 1), out=out[:, self.block(2)], where=two)
        np.divide(c, r, out=out[:, self.block(3)], where=r > 0)
        return out

    def values(self, t: FloatArray) -> FloatArray:
        """(..., 2K): specific agreements, then kappas."""
        together, possible = t[..., self.block(0)], t[..., self.block(1)]
        specific = np.divide(together, possible, out=np.full(possible.shape, np.nan), where=possible > 0)
        n_all, n_two = t[..., 0:1], t[..., 1:2]
        some = np.broadcast_to(n_two > 0, possible.shape)
        pa = np.divide(t[..., self.block(2)], n_two, out=np.full(possible.shape, np.nan), where=some)
        pi = np.divide(t[..., self.block(3)], n_all, out=np.full(possible.shape, np.nan), where=some)
        room = 2 * pi * (1 - pi)
        kappa = np.divide(pa - 1 + room, room, out=np.full(room.shape, np.nan), where=room > ONE)
        return np.concatenate([specific, kappa], axis=-1)

    def gradients(self, t: FloatArray) -> FloatArray:
        """(S, 2K); columns of undefined statistics are 0."""
        g = np.zeros((self.width, 2 * self.k))
        values = self.values(t)
        for k in range(self.k):
            if np.isfinite(values[k]):
                possible = t[self.block(1)][k]
                g[2 + k, k] = 1 / possible
                g[2 + self.k + k, k] = -values[k] / possible
            if np.isfinite(values[self.k + k]):
                pa, pi = t[self.block(2)][k] / t[1], t[self.block(3)][k] / t[0]
                room, column = 2 * pi * (1 - pi), self.k + k
                by_pi = (1 - pa) / room**2 * (2 - 4 * pi)
                g[2 + 2 * self.k + k, column] = 1 / t[1] / room
                g[1, column] = -pa / t[1] / room
                g[2 + 3 * self.k + k, column] = by_pi / t[0]
                g[0, column] = -by_pi * pi / t[0]
        return g


def per_category(
    table: RatingsTable | PatternTable | Grouped,
    *,
    interval: Kind = "auto",
    confidence: float = 0.95,
) -> Mapping[str, CategoryAgreement]:
    """Specific agreement and kappa of every declared label.

    Specific agreement Σ m(m-1) / Σ m(r-1) is the chance that a second rater gives the label, given that one did
    (Cicchetti and Feinstein 1990; of two labels, positive and negative agreement). Kappa is Fleiss' kappa of the label
    against all others: 1 - Σ m(r-m) / (n r(r-1) p q) where every item has r ratings (Fleiss 1971).

    Returns
    -------
    dict from label to CategoryAgreement
        A label nobody used has a count of 0 and undefined statistics.

    Examples
    --------
    >>> t = RatingsTable.from_matrix([["a", "a"], ["a", "b"], ["b", "b"], ["a", "a"]])
    >>> round(per_category(t)["a"].specific_agreement.value, 3), per_category(t)["b"].count
    (0.8, 3)
    """
    if isinstance(table, RatingsTable) and table.n_categories > MOST_CATEGORIES:
        nothing = missing(too_many(table.n_categories), basis_of_labels(table), confidence)
        given = np.bincount(table.value, minlength=table.n_categories).tolist()
        return {c: CategoryAgreement(c, nothing, nothing, n) for c, n in zip(table.categories, given, strict=True)}
    grouped = grouped_of(table)
    p = grouped.patterns
    k = len(p.categories)
    basis = basis_of(grouped)
    used = p.multiplicity @ p.counts if p.n_patterns else np.zeros(k, np.int64)
    reason = nothing_to_compare(basis)
    if reason is not None:
        nothing = missing(reason, basis, confidence)
        return {c: CategoryAgreement(c, nothing, nothing, int(used[i])) for i, c in enumerate(p.categories)}
    sums = _CategorySums(k)
    result = analyse(p, grouped.transitions, sums, sums.values, sums.gradients, singles=[False] * k + [True] * k)
    two = p.per_item >= 2
    holding = (p.counts > 0) & two[:, None]
    split = holding & (p.counts < p.per_item[:, None])
    n_holding, n_split = p.multiplicity @ holding, p.multiplicity @ split
    t = sums_of(p, sums)
    out = {}
    for i, label in enumerate(p.categories):
        chance_free = replace(basis, pairable=int(n_holding[i]), disagreeing=int(n_split[i]))
        against_rest = replace(basis, disagreeing=int(n_split[i]))
        if not used[i]:
            specific = kappa = missing("nobody gave this label", basis, confidence)
        else:
            value = result.values[i]
            if np.isnan(value):
                specific = missing("no item with two ratings has this label", basis, confidence)
            else:
                specific = make_estimate(
                    float(value),
                    result.variances[i],
                    chance_free,
                    scale="unit",
                    kind=interval,
                    confidence=confidence,
                )
            value = result.values[k + i]
            if np.isnan(value):
                kappa = missing(ONE_CATEGORY, basis, confidence)
            else:
                pi = t[sums.block(3)][i] / t[0]
                kappa = make_estimate(
                    float(value),
                    result.variances[k + i],
                    against_rest,
                    kind=interval,
                    confidence=confidence,
                    chance=float(1 - 2 * pi * (1 - pi)),
                )
        out[label] = CategoryAgreement(label, specific, kappa, int(used[i]))
    return out
