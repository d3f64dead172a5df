"""Dawid and Skene's model: every rater has a confusion matrix."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from .em import FLOOR, Run, check_options, normalise, run
from .result import Consensus, Restarts, decide, effective_votes, notes_of_fit, rate_raters, widen
from .votes import Floats, Votes

if TYPE_CHECKING:
    from ..ratings import RatingsTable

DEFAULT_TOL = 1e-7
DEFAULT_MAX_ITER = 100
Toward = Literal["uniform", "raters"]


class ConfusionModel:
    """Confusion matrices over the observed categories, fitted by one sparse product per step.

    With A the one-hot matrix of labels (items x rater*k), the E step is `A @ log(confusion)` and the M step
    `A.T @ posterior`: both touch each label once per class and never build a label x rater table.
    """

    def __init__(self, votes: Votes, smoothing: float, toward: Toward = "uniform") -> None:
        self.votes, self.smoothing = votes, smoothing
        self.pseudo = smoothing * self._shape(toward) if smoothing > 0 else None
        self.one_hot = votes.one_hot()
        # A view, not a copy: its product reads the posteriors item after item and adds into a table that fits the
        # cache, ten times as fast as with the transpose stored by row.
        self.transposed = self.one_hot.T
        used = np.bincount(votes.rater * votes.k + votes.value, minlength=votes.n_raters * votes.k) > 0
        self.used = used[:, None]
        self.prior = np.full(votes.k, 1 / max(votes.k, 1))
        self.confusion_by_label: Floats = np.zeros((votes.n_raters, votes.k, votes.k))
        self.log_confusion = np.zeros((votes.n_raters * votes.k, votes.k))  # row (rater, label), column class

    def _shape(self, toward: Toward) -> Floats:
        """float64[k, k] (label, class), mean 1: how the pseudo-labels of one rater are spread over the cells."""
        votes, k = self.votes, self.votes.k
        if toward == "uniform" or votes.n_raters < 2:
            return np.ones((k, k))
        # One matrix for everybody, fitted first and then held still, so that the objective stays one function
        # of the parameters and cannot fall.
        together = ConfusionModel(replace(votes, rater=np.zeros_like(votes.rater), n_raters=1), 0.1 / k)
        run(together, votes.shares(), tol=1e-6, max_iter=DEFAULT_MAX_ITER)
        shape: Floats = k * together.confusion_by_label[0]
        return shape

    def maximise(self, posterior: Floats) -> None:
        votes = self.votes
        counts = np.asarray(self.transposed @ posterior)
        if self.pseudo is not None:
            counts.reshape(votes.n_raters, votes.k, votes.k)[...] += self.pseudo
        else:
            # A class a rater's items never had leaves 0/0 in that row of the matrix. Any row fits such data
            # equally well; equal shares over the labels the rater ever used is the one other packages take too.
            counts = np.where(self.used, np.maximum(counts, FLOOR), 0.0)
        cells = counts.reshape(votes.n_raters, votes.k, votes.k)
        total = cells.sum(axis=1, keepdims=True)
        cells = np.divide(cells, total, out=np.full_like(cells, 1 / max(votes.k, 1)), where=total > 0)
        self.confusion_by_label = cells  # [rater, label, class]
        with np.errstate(divide="ignore"):
            self.log_confusion = np.log(cells).reshape(votes.n_raters * votes.k, votes.k)
        self.prior = posterior.mean(axis=0)

    def expect(self) -> tuple[Floats, float, float]:
        scores = np.asarray(self.one_hot @ self.log_confusion)
        scores += np.log(np.maximum(self.prior, FLOOR))
        posterior, log_likelihood = normalise(scores)
        penalty = 0.0
        if self.pseudo is not None:
            cells = self.log_confusion.reshape(self.votes.n_raters, self.votes.k, self.votes.k)
            penalty = float((cells.sum(axis=0) * self.pseudo).sum())
        return posterior, log_likelihood, log_likelihood + penalty

    @property
    def confusion(self) -> Floats:
        """float64[n_raters, k, k]: row class, column label."""
        matrix: Floats = self.confusion_by_label.transpose(0, 2, 1)
        return matrix

    def predictive(self, posterior: Floats, held_out: Votes) -> Floats:
        """Probability of each held-out label given the fit: sum_j posterior_ij confusion^g_jl."""
        rows = self.confusion_by_label[held_out.rater, held_out.value]
        probability: Floats = np.einsum("lj,lj->l", posterior[held_out.item], rows)
        return probability


def dawid_skene(
    table: RatingsTable,
    *,
    smoothing: float = 0.1,
    toward: Toward = "uniform",
    tol: float = DEFAULT_TOL,
    max_iter: int = DEFAULT_MAX_ITER,
    restarts: int = 0,
    seed: int = 0,
) -> Consensus:
    """Consensus by Dawid and Skene's latent-class model, fitted by EM.

    theta_j is the share of class j, pi^g_jl the probability that rater g gives label l to an item of class j,
    and labels are independent given the class. All labels count, repeats included.

    Parameters
    ----------
    smoothing : float
        Pseudo-labels added to every cell of every confusion matrix (a Dirichlet prior; the fit is then the
        posterior mode). 0 is maximum likelihood and reproduces published tables.
    toward : {"uniform", "raters"}
        How the pseudo-labels are spread: evenly over a matrix, or like the one matrix that fits all raters
        together (then `smoothing` is their mean per cell). The second pulls a rater of few labels toward what
        raters here do, not toward guessing.
    tol : float
        Stop when the objective changes by less than this share of itself.
    restarts : int
        Random starts to try beside the deterministic one (vote shares). They are reported, never used silently:
        the likelihood of small data has several maxima.

    Returns
    -------
    Consensus

    Raises
    ------
    ValueError
        For options outside their range or a table without labels.

    References
    ----------
    A. P. Dawid and A. M. Skene (1979), Maximum likelihood estimation of observer error-rates using the EM
    algorithm, Applied Statistics 28(1), 20-28.
    """
    return dawid_skene_of(
        Votes.of(table),
        n_categories=len(table.categories),
        smoothing=smoothing,
        toward=toward,
        tol=tol,
        max_iter=max_iter,
        restarts=restarts,
        seed=seed,
    )


def dawid_skene_of(
    votes: Votes,
    *,
    n_categories: int,
    smoothing: float = 0.1,
    toward: Toward = "uniform",
    tol: float = DEFAULT_TOL,
    max_iter: int = DEFAULT_MAX_ITER,
    restarts: int = 0,
    seed: int = 0,
) -> Consensus:
    """`dawid_skene` for plain votes; see there."""
    check_options(smoothing=smoothing, tol=tol, max_iter=max_iter)
    if not len(votes.item):
        raise ValueError("there are no labels to find a consensus of")
    if votes.too_wide:
        raise ValueError(f"{votes.too_wide}; use one_coin or majority")
    model = ConfusionModel(votes, smoothing, toward)
    fit = run(model, votes.shares(), tol=tol, max_iter=max_iter)
    others = ConfusionModel(votes, smoothing, toward) if restarts else None
    tried = _try_restarts(others, fit, tol, max_iter, restarts, seed) if others else None

    has_label = np.bincount(votes.item, minlength=votes.n_items) > 0
    posterior = np.where(has_label[:, None], fit.posterior, 0.0)
    value, tie, best, runner = decide(posterior, has_label)
    evidence = model.confusion_by_label[votes.rater, votes.value]
    rows = np.arange(len(votes.item))
    weight = np.abs(_log(evidence[rows, best[votes.item]]) - _log(evidence[rows, runner[votes.item]]))
    accuracy = np.einsum("j,gjj->g", model.prior, model.confusion)
    return Consensus(
        method="dawid_skene",
        posterior=widen(posterior, votes.observed, n_categories),
        value=np.where(value >= 0, votes.observed[np.maximum(value, 0)], -1),
        tie=tie,
        effective_votes=effective_votes(votes, weight),
        raters=rate_raters(votes, model.confusion, model.prior, n_categories, accuracy),
        prior=widen(model.prior, votes.observed, n_categories),
        log_likelihood=fit.log_likelihood,
        iterations=fit.iterations,
        converged=fit.converged,
        smoothing=smoothing,
        toward=toward,
        history=fit.history,
        restarts=tried,
        notes=notes_of_fit(fit, max_iter, tried),
    )


def _log(probability: Floats) -> Floats:
    return np.log(np.maximum(probability, FLOOR))


def _try_restarts(model: ConfusionModel, fit: Run, tol: float, max_iter: int, restarts: int, seed: int) -> Restarts:
    votes = model.votes
    generator = np.random.default_rng(seed)
    better, best = 0, fit
    for _ in range(restarts):
        start = generator.dirichlet(np.ones(votes.k), size=votes.n_items)
        other = run(model, start, tol=tol, max_iter=max_iter)
        better += other.log_likelihood > fit.log_likelihood + 1e-6 * abs(fit.log_likelihood)
        if other.log_likelihood > best.log_likelihood:
            best = other
    changed = int(np.sum(best.posterior.argmax(axis=1) != fit.posterior.argmax(axis=1)))
    return Restarts(tried=restarts, better=better, best=best.log_likelihood, answers_changed=changed)
