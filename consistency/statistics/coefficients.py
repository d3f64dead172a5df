"""The pooled coefficients: smooth functions of the additive sums, with their gradients.

Conventions (docs/statistics.md A.11b): percent agreement over items with two or more ratings, each item alike; category shares
of the Gwet family and of Fleiss over items with any rating, each item alike; Krippendorff's alpha over pairable ratings,
each rating alike; Brennan-Prediger and AC1/AC2 with the *declared* number of categories.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .intervals import Scale
from .sums import Sums, mid_ranks, squared_gaps

FloatArray = npt.NDArray[np.float64]

ONE = 1e-12  # 1 - p_e below this is an undefined coefficient

ONE_CATEGORY = "every rating is the same category: agreement by chance is certain, nothing is left to measure"
ONE_DECLARED = "only one category is declared: agreement beyond chance needs at least two"


class Coefficient:
    """One pooled coefficient.

    `value` works on sums (..., S) and gives nan where undefined; `reason` says why, in words, for one vector of sums;
    `gradient` is its derivative at one vector of sums; `chance` is the p_e that turns an agreement into the coefficient.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    scale: ClassVar[Scale] = "kappa"
    singles: ClassVar[bool] = True  # do items with one rating enter?

    def value(self, sums: Sums, t: FloatArray) -> FloatArray:
        raise NotImplementedError

    def gradient(self, sums: Sums, t: FloatArray) -> FloatArray:
        raise NotImplementedError

    def chance(self, sums: Sums, t: FloatArray) -> FloatArray:
        raise NotImplementedError

    def reason(self, sums: Sums, t: FloatArray) -> str | None:
        raise NotImplementedError


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """top / bottom, nan where the bottom is (nearly) nothing."""
    top, bottom = np.asarray(top, np.float64), np.asarray(bottom, np.float64)
    shape = np.broadcast_shapes(top.shape, bottom.shape)
    share: FloatArray = np.divide(top, bottom, out=np.full(shape, np.nan), where=np.abs(bottom) > ONE)
    return share


class PercentAgreement(Coefficient):
    """Mean pairwise (weighted) agreement over items with two or more ratings (Fleiss 1971)."""

    name, title, scale, singles = "percent_agreement", "Percent agreement", "unit", False

    def value(self, sums: Sums, t: FloatArray) -> FloatArray:
        return _ratio(t[..., 2], t[..., 1])

    def gradient(self, sums: Sums, t: FloatArray) -> FloatArray:
        g = np.zeros(sums.width)
        g[1], g[2] = -t[2] / t[1] ** 2, 1 / t[1]
        return g

    def chance(self, sums: Sums, t: FloatArray) -> FloatArray:
        return np.zeros(t.shape[:-1])

    def reason(self, sums: Sums, t: FloatArray) -> str | None:
        return None


class _ChanceCorrected(Coefficient):
    """(p_a - p_e) / (1 - p_e) with p_e a function of the category shares π."""

    def expected(self, sums: Sums, pi: FloatArray) -> FloatArray:
        raise NotImplementedError

    def slope(self, sums: Sums, pi: FloatArray) -> FloatArray:
        """∂p_e/∂π (K,)."""
        raise NotImplementedError

    def chance(self, sums: Sums, t: FloatArray) -> FloatArray:
        return self.expected(sums, _ratio(t[..., sums.shares], t[..., :1]))

    def value(self, sums: Sums, t: FloatArray) -> FloatArray:
        pe = self.chance(sums, t)
        return _ratio(_ratio(t[..., 2], t[..., 1]) - pe, 1 - pe)

    def gradient(self, sums: Sums, t: FloatArray) -> FloatArray:
        pi = t[sums.shares] / t[0]
        pa, pe = t[2] / t[1], float(self.expected(sums, pi))
        kappa = (pa - pe) / (1 - pe)
        by_pe = -(1 - kappa) / (1 - pe)
        slope = self.slope(sums, pi)
        g = np.zeros(sums.width)
        g[0] = by_pe * float(slope @ -pi) / t[0]
        g[1], g[2] = -pa / t[1] / (1 - pe), 1 / t[1] / (1 - pe)
        g[sums.shares] = by_pe * slope / t[0]
        return g

    def reason(self, sums: Sums, t: FloatArray) -> str | None:
        if 1 - float(self.chance(sums, t)) > ONE:
            return None
        return (
            ONE_CATEGORY
            if np.count_nonzero(t[sums.shares]) <= 1
            else "agreement by chance is certain under these weights"
        )


class FleissKappa(_ChanceCorrected):
    """p_e = Σ w_kl π_k π_l, raters exchangeable, any number of ratings per item (Fleiss 1971; Gwet 2014)."""

    name, title = "fleiss_kappa", "Fleiss' kappa"

    def expected(self, sums: Sums, pi: FloatArray) -> FloatArray:
        weighted = pi if sums.weights is None else pi @ sums.weights
        total: FloatArray = np.einsum("...k,...k->...", weighted, pi)
        return total

    def slope(self, sums: Sums, pi: FloatArray) -> FloatArray:
        return 2 * (pi if sums.weights is None else sums.weights @ pi)


class ScottPi(FleissKappa):
    """Fleiss' kappa for exactly two raters (Scott 1955)."""

    name, title = "scott_pi", "Scott's pi"


class GwetAC(_ChanceCorrected):
    """p_e = T / (K(K-1)) Σ π_k(1-π_k), T = Σ w_kl, K declared categories: AC1, with weights AC2 (Gwet 2008, 2014)."""

    name, title = "gwet_ac", "Gwet's AC"

    def _factor(self, sums: Sums) -> float:
        total = float(sums.k) if sums.weights is None else float(sums.weights.sum())
        return total / (sums.k * (sums.k - 1)) if sums.k > 1 else np.nan

    def expected(self, sums: Sums, pi: FloatArray) -> FloatArray:
        spread: FloatArray = (pi * (1 - pi)).sum(axis=-1)
        return self._factor(sums) * spread

    def slope(self, sums: Sums, pi: FloatArray) -> FloatArray:
        return self._factor(sums) * (1 - 2 * pi)

    def reason(self, sums: Sums, t: FloatArray) -> str | None:
        return ONE_DECLARED if sums.k < 2 else super().reason(sums, t)


class BrennanPrediger(_ChanceCorrected):
    """p_e = T / K², every declared category equally likely (Brennan and Prediger 1981; Bennett's S, PABAK)."""

    name, title = "brennan_prediger", "Brennan-Prediger"

    def expected(self, sums: Sums, pi: FloatArray) -> FloatArray:
        total = float(sums.k) if sums.weights is None else float(sums.weights.sum())
        return np.full(pi.shape[:-1], total / sums.k**2)

    def slope(self, sums: Sums, pi: FloatArray) -> FloatArray:
        return np.zeros(sums.k)

    def reason(self, sums: Sums, t: FloatArray) -> str | None:
        return ONE_DECLARED if sums.k < 2 else super().reason(sums, t)


class KrippendorffAlpha(Coefficient):
    """1 - D_o / D_e on coincidences: 1 - (n-1) Σ o_ck δ²_ck / Σ n_c n_k δ²_ck (Krippendorff 2011)."""

    name, title, singles = "krippendorff_alpha", "Krippendorff's alpha", False

    def _delta(self, sums: Sums, n: FloatArray) -> FloatArray:
        if isinstance(sums.metric, str):
            return squared_gaps(mid_ranks(n))
        assert sums.metric is not None
        return sums.metric

    def _parts(self, sums: Sums, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """n (...), Σ o δ² and Σ n n δ²."""
        n = t[..., sums.pairable]
        if isinstance(sums.metric, str):
            gaps = squared_gaps(mid_ranks(n))
            observed = 2 * np.einsum("...u,...u->...", sums.fold(gaps), t[..., sums.disagreement])
            expected = np.einsum("...kl,...k,...l->...", gaps, n, n, optimize=True)
        else:
            assert sums.metric is not None
            observed = t[..., -1]
            expected = np.einsum("...k,...k->...", n @ sums.metric, n)
        return n.sum(axis=-1), observed, expected

    def value(self, sums: Sums, t: FloatArray) -> FloatArray:
        n, observed, expected = self._parts(sums, t)
        return 1 - (n - 1) * _ratio(observed, expected)

    def gradient(self, sums: Sums, t: FloatArray) -> FloatArray:
        n = t[sums.pairable]
        total, observed, expected = (float(x) for x in self._parts(sums, t))
        delta = self._delta(sums, n)
        by_expected = (total - 1) * observed / expected**2
        g = np.zeros(sums.width)
        g[sums.pairable] = -observed / expected + by_expected * 2 * (delta @ n)
        if isinstance(sums.metric, str):
            # δ² itself depends on n through the mid-ranks M: ∂M_c/∂n_g is 1 below c, 1/2 at c
            step = np.tril(np.ones((sums.k, sums.k)), -1) + np.eye(sums.k) / 2
            m = mid_ranks(n)
            gaps = m[:, None] - m[None, :]
            moved_o = 4 * (step.T @ (sums.expand(t[sums.disagreement]) * gaps).sum(axis=1))
            moved_e = 4 * (step.T @ (np.outer(n, n) * gaps).sum(axis=1))
            g[sums.pairable] += -(total - 1) / expected * moved_o + by_expected * moved_e
            g[sums.disagreement] = -(total - 1) / expected * 2 * sums.fold(delta)
        else:
            g[-1] = -(total - 1) / expected
        return g

    def chance(self, sums: Sums, t: FloatArray) -> FloatArray:
        """1 - D_e, the distances taken as shares of the largest one between categories that occur."""
        n = t[..., sums.pairable]
        total, _, expected = self._parts(sums, t)
        seen = n > 0
        delta = self._delta(sums, n) * seen[..., :, None] * seen[..., None, :]
        largest = delta.max(axis=(-2, -1))
        return 1 - _ratio(expected, total * (total - 1) * largest)

    def reason(self, sums: Sums, t: FloatArray) -> str | None:
        if float(self._parts(sums, t)[2]) > 0:
            return None
        if np.count_nonzero(t[sums.pairable]) <= 1:
            return ONE_CATEGORY
        return "every rating lies at the same point of the scale: nothing is left to measure"


POOLED: dict[str, Coefficient] = {
    c.name: c for c in (PercentAgreement(), ScottPi(), FleissKappa(), KrippendorffAlpha(), GwetAC(), BrennanPrediger())
}
