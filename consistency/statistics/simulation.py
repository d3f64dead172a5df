"""Labels with a known truth: raters drawn from a population, items from a population, and what agreement then *is*."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .ratings import RatingsTable

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RaterPopulation:
    """Raters whose confusion matrices scatter about a mean: rows ~ Dirichlet(concentration · mean row).

    Attributes
    ----------
    prevalence : float64 (K,)
        Shares of the true classes.
    mean : float64 (K, K)
        Mean confusion matrix: row = truth, column = label.
    concentration : float
        Small: raters differ a lot; infinite: all alike.
    """

    prevalence: FloatArray
    mean: FloatArray
    concentration: float

    @classmethod
    def of(cls, k: int, *, accuracy: float = 0.75, concentration: float = 8.0, skew: float = 1.0) -> RaterPopulation:
        """K classes, errors spread evenly; `skew` > 1 makes later classes rarer."""
        prevalence = skew ** -np.arange(k, dtype=np.float64)
        mean = np.full((k, k), (1 - accuracy) / (k - 1))
        np.fill_diagonal(mean, accuracy)
        return cls(prevalence / prevalence.sum(), mean, concentration)

    @property
    def values(self) -> dict[str, float]:
        """Percent agreement, Fleiss' kappa (= alpha) and AC1 of two raters drawn from the population, in the limit.

        Two raters are independent given the truth, so they agree on class j with probability Σ_l mean_jl².
        """
        pa = float(self.prevalence @ (self.mean**2).sum(axis=1))
        pi = self.prevalence @ self.mean
        k = len(pi)
        fleiss, ac = float(pi @ pi), float((pi * (1 - pi)).sum()) / (k - 1)
        return {
            "percent_agreement": pa,
            "fleiss_kappa": (pa - fleiss) / (1 - fleiss),
            "krippendorff_alpha": (pa - fleiss) / (1 - fleiss),
            "gwet_ac": (pa - ac) / (1 - ac),
        }

    def draw_raters(self, n_raters: int, rng: np.random.Generator) -> FloatArray:
        """Confusion matrices (R, K, K)."""
        if not np.isfinite(self.concentration):
            return np.repeat(self.mean[None], n_raters, axis=0)
        gamma = rng.standard_gamma(np.broadcast_to(self.concentration * self.mean, (n_raters, *self.mean.shape)))
        confusion: FloatArray = gamma / gamma.sum(axis=2, keepdims=True)
        return confusion

    def draw(
        self,
        n_items: int,
        n_raters: int,
        rng: np.random.Generator,
        *,
        per_item: tuple[int, int] = (3, 5),
        zipf: float = 0.0,
        confusion: FloatArray | None = None,
    ) -> RatingsTable:
        """A table of new raters (or of the given ones) on new items.

        Parameters
        ----------
        per_item : (int, int)
            Ratings per item, drawn evenly between the two.
        zipf : float
            0: raters equally busy; 1: the g-th one 1/g as busy as the first.
        """
        k = len(self.prevalence)
        confusion = self.draw_raters(n_raters, rng) if confusion is None else confusion
        truth = rng.choice(k, n_items, p=self.prevalence)
        number = rng.integers(per_item[0], min(per_item[1], n_raters) + 1, n_items)
        # Gumbel keys: the r smallest are a draw of r raters without replacement with these weights
        weight = np.arange(1, n_raters + 1, dtype=np.float64) ** -zipf
        key = rng.exponential(size=(n_items, n_raters)) / weight
        most = int(number.max())
        chosen = np.argpartition(key, most - 1, axis=1)[:, :most]
        order = np.argsort(np.take_along_axis(key, chosen, axis=1), axis=1)
        chosen = np.take_along_axis(chosen, order, axis=1)
        item, place = np.nonzero(np.arange(most)[None, :] < number[:, None])
        rater = chosen[item, place]
        share = confusion[rater, truth[item]].cumsum(axis=1)
        value = (rng.random(len(item))[:, None] > share[:, :-1]).sum(axis=1)
        return RatingsTable.from_codes(item, rater, value, categories=range(1, k + 1))
