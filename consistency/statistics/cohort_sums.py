"""Two cohorts on the same items as sums over items: xRR, the two alphas, and every function of them.

An item's vector holds both cohorts' counts side by side (2K columns), so the pattern and jackknife machinery of
`item_sums` serves two bodies of raters as it serves one.

xRR (Wong, Paritosh and Aroyo 2021): kappa_x = 1 - D_o / D_e with D_o the mean over items rated by both cohorts of
sum_kl (m^X_k / r^X)(m^Y_l / r^Y) d_kl, and D_e the same for the item-weighted marginals of those items.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .coefficients import KrippendorffAlpha
from .item_sums import ItemGroups, gradient
from .patterns import patterns_of
from .ratings import RatingsTable
from .sums import Sums, mid_ranks, squared_gaps

__all__ = ["DERIVED", "PairSums", "chain", "joint_groups"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_ALPHA = KrippendorffAlpha()
ABOVE_0 = 1e-9  # an alpha or xRR below this is 0 but for rounding


def joint_groups(table: RatingsTable, in_second: npt.NDArray[np.bool_]) -> ItemGroups:
    """Group the items of a table by both cohorts' counts; `in_second` (R,) says which raters are the second cohort."""
    k = table.n_categories
    value = table.value + k * in_second[table.rater].astype(np.int32)
    names = tuple(f"{side}{c}" for side in "ab" for c in table.categories)
    patterns = patterns_of(table.item, value.astype(np.int32), table.n_items, names)
    assert patterns.index is not None
    return ItemGroups.from_labels(
        patterns.counts.astype(np.int64),
        patterns.index.astype(np.int64),
        None,
        table.item,
        table.rater,
        value,
        table.n_raters,
    )


@dataclass(frozen=True)
class PairSums:
    """Layout of an item's vector for two cohorts, and the figures as functions of the sums.

    Attributes
    ----------
    k
        Categories.
    metric
        delta^2 (K x K) of alpha and of xRR's distance, or ``ordinal``: then each alpha takes the mid-ranks of its own
        cohort's ratings, and xRR those of both cohorts' ratings of the common items.
    """

    k: int
    metric: Floats | str

    @property
    def _within(self) -> Sums:
        return Sums(self.k, None, self.metric)

    @property
    def _cross_width(self) -> int:
        return 1 + 2 * self.k + (self.k * self.k + self.k if isinstance(self.metric, str) else 1)

    def vectors(self, counts: Ints, _: Ints) -> Floats:
        """[both, shares X (K), shares Y (K), cross part, alpha's sums of X, of Y] per row of 2K counts."""
        k = self.k
        x, y = counts[:, :k].astype(float), counts[:, k:].astype(float)
        rx, ry = x.sum(axis=1), y.sum(axis=1)
        both = (rx > 0) & (ry > 0)
        px = np.divide(x, rx[:, None], out=np.zeros_like(x), where=both[:, None])
        py = np.divide(y, ry[:, None], out=np.zeros_like(y), where=both[:, None])
        if isinstance(self.metric, str):
            cross = np.einsum("ik,il->ikl", px, py).reshape(len(x), k * k)
            crossing = np.column_stack([cross, (x + y) * both[:, None]])
        else:
            crossing = np.einsum("ik,ik->i", px @ self.metric, py)[:, None]
        within = self._within
        return np.column_stack(
            [
                both.astype(float),
                px,
                py,
                crossing,
                within.features(counts[:, :k].astype(np.int32)),
                within.features(counts[:, k:].astype(np.int32)),
            ]
        )

    def disagreements(self, t: Floats) -> tuple[Floats, Floats]:
        """Observed and expected disagreement across the cohorts (scale of the metric), nan without common items."""
        k = self.k
        with np.errstate(invalid="ignore", divide="ignore"):
            n = np.where(t[..., 0] > 1e-9, t[..., 0], np.nan)
            px, py = t[..., 1 : 1 + k] / n[..., None], t[..., 1 + k : 1 + 2 * k] / n[..., None]
            if isinstance(self.metric, str):
                at = 1 + 2 * k
                gaps = squared_gaps(mid_ranks(t[..., at + k * k : at + k * k + k]))
                cross = t[..., at : at + k * k].reshape(*t.shape[:-1], k, k)
                observed = (gaps * cross).sum(axis=(-2, -1)) / n
                expected = np.einsum("...kl,...k,...l->...", gaps, px, py)
            else:
                observed = t[..., 1 + 2 * k] / n
                expected = np.einsum("...k,...k->...", px @ self.metric, py)
        return observed, expected

    def xrr(self, t: Floats) -> Floats:
        """Cross-replication reliability, nan where undefined."""
        observed, expected = self.disagreements(t)
        with np.errstate(invalid="ignore", divide="ignore"):
            return 1 - np.where(expected > 1e-12, observed / expected, np.nan)

    def alpha(self, t: Floats, cohort: int) -> Floats:
        """Krippendorff's alpha within the first (0) or second (1) cohort, nan where undefined."""
        within = self._within
        start = self._cross_width + cohort * within.width
        return _ALPHA.value(within, t[..., start : start + within.width])

    def d(self, t: Floats) -> Floats:
        """D = xRR - (alpha_X + alpha_Y) / 2: below 0 where cohorts agree less with each other than with themselves."""
        return DERIVED["d"](self.parts(t))

    def parts(self, t: Floats) -> Floats:
        """xRR and the two alphas, (..., 3)."""
        return np.stack([self.xrr(t), self.alpha(t, 0), self.alpha(t, 1)], axis=-1)

    def slopes(self, t: Floats) -> dict[str, Floats]:
        """Gradients at T of every figure that is defined there, by the chain rule from those of xRR and the alphas."""
        return chain(self.parts(t), np.stack([self._xrr_slope(t), self._alpha_slope(t, 0), self._alpha_slope(t, 1)]))

    def _alpha_slope(self, t: Floats, cohort: int) -> Floats:
        within, slope = self._within, np.zeros(len(t))
        start = self._cross_width + cohort * within.width
        if np.isfinite(self.alpha(t, cohort)):
            slope[start : start + within.width] = _ALPHA.gradient(within, t[start : start + within.width])
        return slope

    def _xrr_slope(self, t: Floats) -> Floats:
        k = self.k
        slope = np.zeros(len(t))
        if isinstance(self.metric, str):
            slope[: self._cross_width] = gradient(self.xrr, t[: self._cross_width])
            return slope
        if not np.isfinite(self.xrr(t)):
            return slope
        n, x, y = float(t[0]), t[1 : 1 + k], t[1 + k : 1 + 2 * k]
        from_x, from_y = self.metric @ y, self.metric @ x
        observed, expected = float(t[1 + 2 * k]) / n, float(x @ from_x) / n**2
        by_o, by_e = -1 / expected, observed / expected**2
        slope[0] = -by_o * observed / n - 2 * by_e * expected / n
        slope[1 : 1 + k], slope[1 + k : 1 + 2 * k] = by_e * from_x / n**2, by_e * from_y / n**2
        slope[1 + 2 * k] = by_o / n
        return slope


def _d(p: Floats) -> Floats:
    return p[..., 0] - (p[..., 1] + p[..., 2]) / 2


def _difference(p: Floats) -> Floats:
    return p[..., 1] - p[..., 2]


def _normalised(p: Floats) -> Floats:
    """xRR / sqrt(alpha_X alpha_Y), nan unless both alphas are above 0; can exceed 1."""
    a, b = p[..., 1], p[..., 2]
    with np.errstate(invalid="ignore"):
        return p[..., 0] / np.sqrt(np.where((a > ABOVE_0) & (b > ABOVE_0), a * b, np.nan))


def _log_gai(p: Floats, cohort: int) -> Floats:
    """log of alpha / xRR, nan unless both are above 0."""
    a, x = p[..., 1 + cohort], p[..., 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        fine = (a > ABOVE_0) & (x > ABOVE_0)
        return np.where(fine, np.log(np.where(fine, a, 1) / np.where(fine, x, 1)), np.nan)


DERIVED: dict[str, Callable[[Floats], Floats]] = {
    "d": _d,
    "normalised": _normalised,
    "difference": _difference,
    "gai_0": lambda p: _log_gai(p, 0),
    "gai_1": lambda p: _log_gai(p, 1),
}
"""Figures as functions of xRR and the two alphas, (..., 3); the group association indices as logarithms."""


def chain(parts: Floats, slopes: Floats) -> dict[str, Floats]:
    """Gradients of xRR and of every derived figure that is defined, from those of the parts (3, S), by the chain rule.

    The ratios are steep where a part is near 0: differences of the ratios themselves would step across it.
    """
    (x, a, b), (dx, da, db) = parts.tolist(), slopes
    out = {"xrr": dx, "d": dx - (da + db) / 2, "difference": da - db}
    if a > ABOVE_0 and b > ABOVE_0:
        out["normalised"] = dx / np.sqrt(a * b) - x / np.sqrt(a * b) * (da / (2 * a) + db / (2 * b))
    for name, part, slope in (("gai_0", a, da), ("gai_1", b, db)):
        if part > ABOVE_0 and x > ABOVE_0:
            out[name] = slope / part - dx / x
    return out
