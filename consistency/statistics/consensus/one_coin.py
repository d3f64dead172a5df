"""One number per rater: the probability of giving the right label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .dawid_skene import DEFAULT_MAX_ITER, DEFAULT_TOL
from .em import FLOOR, check_options, normalise, run
from .result import Consensus, decide, effective_votes, notes_of_fit, rate_raters, widen, without_matrices
from .votes import Floats, Votes

if TYPE_CHECKING:
    from ..ratings import RatingsTable


class CoinModel:
    """Accuracy a_g per rater; the k - 1 wrong labels are equally likely. `tied` gives all raters one accuracy."""

    def __init__(self, votes: Votes, smoothing: float, *, tied: bool = False) -> None:
        self.votes, self.smoothing, self.tied = votes, smoothing, tied
        self.labels = votes.labels_per_rater().astype(np.float64)
        self.cell = votes.item * votes.k + votes.value
        self.prior = np.full(votes.k, 1 / max(votes.k, 1))
        self.accuracy = np.full(votes.n_raters, np.nan)

    def maximise(self, posterior: Floats) -> None:
        votes, k = self.votes, self.votes.k
        right = np.bincount(votes.rater, weights=posterior.ravel()[self.cell], minlength=votes.n_raters)
        labels = self.labels
        if self.tied:
            right, labels = np.full_like(right, right.sum()), np.full_like(labels, labels.sum())
        # k pseudo-labels of `smoothing` each, one of them right: a rater seen once is drawn toward guessing.
        total = labels + k * self.smoothing
        accuracy = np.divide(right + self.smoothing, total, out=np.full(len(total), 1 / k), where=total > 0)
        self.accuracy = np.clip(accuracy, FLOOR, 1 - FLOOR)
        self.prior = posterior.mean(axis=0)

    def expect(self) -> tuple[Floats, float, float]:
        votes, k = self.votes, self.votes.k
        wrong = np.log((1 - self.accuracy) / max(k - 1, 1))
        gain = np.log(self.accuracy) - wrong
        flat: Floats = np.asarray(np.bincount(self.cell, weights=gain[votes.rater], minlength=votes.n_items * k), float)
        scores = flat.reshape(votes.n_items, k)
        scores += np.log(np.maximum(self.prior, FLOOR))
        posterior, log_likelihood = normalise(scores)
        log_likelihood += float(wrong[votes.rater].sum())
        penalty = 0.0
        if self.smoothing > 0:
            raters = slice(0, 1) if self.tied else slice(None)
            penalty = self.smoothing * float(
                (np.log(self.accuracy[raters]) + (k - 1) * np.log1p(-self.accuracy[raters])).sum()
            )
        return posterior, log_likelihood, log_likelihood + penalty

    @property
    def confusion(self) -> Floats:
        """float64[n_raters, k, k], or n_raters x 0 x 0 where that is too much to write down."""
        k = self.votes.k
        if self.votes.too_wide:
            return np.zeros((self.votes.n_raters, 0, 0))
        wrong = (1 - self.accuracy) / max(k - 1, 1)
        matrix = np.repeat(wrong[:, None, None], k, axis=1).repeat(k, axis=2)
        matrix[:, np.arange(k), np.arange(k)] = self.accuracy[:, None]
        return matrix

    def predictive(self, posterior: Floats, held_out: Votes) -> Floats:
        """Probability of each held-out label given the fit."""
        right = posterior[held_out.item, held_out.value]
        accuracy = self.accuracy[held_out.rater]
        probability: Floats = right * accuracy + (1 - right) * (1 - accuracy) / max(self.votes.k - 1, 1)
        return probability


def one_coin(
    table: RatingsTable, *, smoothing: float = 0.1, tol: float = DEFAULT_TOL, max_iter: int = DEFAULT_MAX_ITER
) -> Consensus:
    """Consensus by the one-coin model: each rater is right with probability a_g, whatever the class.

    For few labels per rater, where a whole confusion matrix cannot be learned. It fails where raters share a bias
    toward one label, and then says so only through the held-out likelihood (`choose`).

    Parameters
    ----------
    smoothing : float
        Pseudo-labels per category for each rater, one of them right.

    Returns
    -------
    Consensus

    Raises
    ------
    ValueError
        For options outside their range or a table without labels.
    """
    return one_coin_of(
        Votes.of(table), n_categories=len(table.categories), smoothing=smoothing, tol=tol, max_iter=max_iter
    )


def one_coin_of(
    votes: Votes,
    *,
    n_categories: int,
    smoothing: float = 0.1,
    tol: float = DEFAULT_TOL,
    max_iter: int = DEFAULT_MAX_ITER,
) -> Consensus:
    """`one_coin` for plain votes; see there."""
    check_options(smoothing=smoothing, tol=tol, max_iter=max_iter)
    if not len(votes.item):
        raise ValueError("there are no labels to find a consensus of")
    model = CoinModel(votes, smoothing)
    fit = run(model, votes.shares(), tol=tol, max_iter=max_iter)
    has_label = np.bincount(votes.item, minlength=votes.n_items) > 0
    posterior = np.where(has_label[:, None], fit.posterior, 0.0)
    value, tie, best, runner = decide(posterior, has_label)
    gain = np.abs(np.log(model.accuracy * max(votes.k - 1, 1) / (1 - model.accuracy)))[votes.rater]
    # A label for a third category moves winner and runner-up alike: it is no evidence between the two.
    decisive = (votes.value == best[votes.item]) | (votes.value == runner[votes.item])
    return Consensus(
        method="one_coin",
        posterior=widen(posterior, votes.observed, n_categories),
        value=np.where(value >= 0, votes.observed[np.maximum(value, 0)], -1),
        tie=tie,
        effective_votes=effective_votes(votes, np.where(decisive, gain, 0.0)),
        raters=rate_raters(votes, model.confusion, model.prior, n_categories, model.accuracy),
        prior=widen(model.prior, votes.observed, n_categories),
        log_likelihood=fit.log_likelihood,
        iterations=fit.iterations,
        converged=fit.converged,
        smoothing=smoothing,
        history=fit.history,
        notes=(*notes_of_fit(fit, max_iter, None), *without_matrices(votes)),
    )
