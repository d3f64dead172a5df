"""What every consensus method returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .em import Run
from .votes import Floats, Ints, Votes

TIE = 1e-9
"""Two posteriors nearer than this are a tie: sums of logarithms are exact to about 1e-12."""


@dataclass(frozen=True)
class Restarts:
    """What random starts found beside the deterministic one. The deterministic fit is the one reported."""

    tried: int
    better: int
    """How many ended at a log-likelihood above the deterministic start's by more than 1e-6 of it."""
    best: float
    """The highest log-likelihood seen, the deterministic start included."""
    answers_changed: int
    """Items whose consensus differs between the deterministic fit and the best fit."""


@dataclass(frozen=True)
class RaterQuality:
    """What a fit says about each rater. All arrays have one row per rater of the table.

    Attributes
    ----------
    labels : int64[R]
    coverage : float64[R]
        Share of the items the rater labeled. An accuracy without it can be made of a few easy items.
    accuracy : float64[R]
        Estimated probability that the rater's label is the item's class; NaN where it cannot be said.
    quality : float64[R]
        Mutual information of class and label divided by the entropy of the classes: 0, the label tells nothing;
        1, it tells everything. Unlike accuracy it does not punish a rater who swaps two names consistently,
        and does not reward one who always gives the most frequent label. NaN where it cannot be said.
    confusion : float64[R, K, K]
        Row: class, column: label given; each row sums to 1, or is NaN where nothing is known. R x 0 x 0 where there
        are too many raters and labels for a matrix each (`quality` is then unknown too).
    """

    labels: Ints
    coverage: Floats
    accuracy: Floats
    quality: Floats
    confusion: Floats


@dataclass(frozen=True)
class Consensus:
    """A consensus over the declared categories.

    Attributes
    ----------
    method : str
    posterior : float64[n_items, K]
        Probability of each category (vote shares for the majority).
    value : int64[n_items]
        Code of the winner; -1 where categories tie or the item has no label. Ties go to a person, never to argmax.
    tie : bool[n_items]
    effective_votes : float64[n_items]
        (sum w)^2 / sum w^2 with w the weight of evidence a label gives for the winner against the runner-up
        (Kish's effective sample size): how many people the answer really rests on.
    raters : RaterQuality
    prior : float64[K]
        Estimated share of each class.
    log_likelihood : float or None
        Marginal log-likelihood of all labels, without the smoothing term; None for the majority.
    history : tuple of float
        The maximised objective per iteration: log-likelihood + smoothing * sum(log confusion). It never falls.
    """

    method: str
    posterior: Floats
    value: Ints
    tie: NDArray[np.bool_]
    effective_votes: Floats
    raters: RaterQuality
    prior: Floats
    log_likelihood: float | None
    iterations: int
    converged: bool
    smoothing: float | None = None
    toward: str | None = None
    history: tuple[float, ...] = ()
    restarts: Restarts | None = None
    notes: tuple[str, ...] = field(default=())


def accuracy_against(consensus: Consensus, gold: Ints, *, tolerance: float = TIE) -> float:
    """Share of items whose consensus equals gold; a t-way tie that holds the gold label counts 1/t.

    Parameters
    ----------
    gold : int64[n_items]
        Codes in the declared categories; -1 where there is no gold, -2 for a gold label outside them (always wrong).

    Returns
    -------
    float
        NaN when no item has both gold and a label.

    Examples
    --------
    >>> import numpy as np
    >>> from consistency.statistics.consensus.majority import majority_of
    >>> from consistency.statistics.consensus.votes import Votes
    >>> votes = Votes.of_codes(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0, 1, 1]), n_items=2, n_raters=2)
    >>> accuracy_against(majority_of(votes, n_categories=2), np.array([0, 1]))
    0.75
    """
    labeled = (consensus.value >= 0) | consensus.tie
    known = (gold != -1) & labeled
    if not known.any():
        return float("nan")
    posterior, gold = consensus.posterior[known], gold[known]
    best = posterior.max(axis=1, keepdims=True)
    winners = posterior >= best - tolerance
    hit = np.zeros(len(gold))
    inside = gold >= 0
    hit[inside] = winners[inside, gold[inside]] / winners[inside].sum(axis=1)
    return float(hit.mean())


def decide(posterior: Floats, has_label: NDArray[np.bool_]) -> tuple[Ints, NDArray[np.bool_], Ints, Ints]:
    """(value, tie, best, runner-up) of each row; value is -1 on a tie or without a label.

    `best` and `runner-up` are always codes (equal when there is one category), for weights of evidence.
    """
    n, k = posterior.shape
    rows = np.arange(n)
    best = posterior.argmax(axis=1)
    if k < 2:
        return np.where(has_label, best, -1), np.zeros(n, dtype=bool), best, best
    others = posterior.copy()
    others[rows, best] = -1.0
    runner = others.argmax(axis=1)
    tie = (posterior[rows, best] - posterior[rows, runner] <= TIE) & has_label
    return np.where(tie | ~has_label, -1, best), tie, best, runner


def effective_votes(votes: Votes, weight: Floats) -> Floats:
    """Kish's effective number of votes per item from the weight of evidence of each label."""
    total = np.bincount(votes.item, weights=weight, minlength=votes.n_items)
    squares = np.bincount(votes.item, weights=weight**2, minlength=votes.n_items)
    return np.divide(total**2, squares, out=np.zeros(votes.n_items), where=squares > 0)


def widen(columns: Floats, observed: Ints, n_categories: int) -> Floats:
    """Spread columns over the declared categories; those that never occurred get 0."""
    full = np.zeros((*columns.shape[:-1], n_categories))
    full[..., observed] = columns
    return full


def rate_raters(votes: Votes, confusion: Floats, prior: Floats, n_categories: int, accuracy: Floats) -> RaterQuality:
    """`RaterQuality` from a fit over the observed categories.

    Parameters
    ----------
    confusion : float64[R, k, k], or R x 0 x 0
    prior : float64[k]
    accuracy : float64[R]
    """
    labels = votes.labels_per_rater()
    coverage = _items_per_rater(votes) / max(votes.n_items, 1)
    if not confusion.shape[1]:
        unknown_quality = np.full(len(labels), np.nan)
        return RaterQuality(labels, coverage, np.where(labels == 0, np.nan, accuracy), unknown_quality, confusion)
    joint = prior[None, :, None] * confusion
    marginal = joint.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.where(joint > 0, joint * np.log(joint / (prior[None, :, None] * marginal)), 0.0).sum(
            axis=(1, 2)
        )
        entropy = -np.sum(np.where(prior > 0, prior * np.log(prior), 0.0))
    unknown = (labels == 0) | np.isnan(confusion).any(axis=(1, 2))
    quality = np.full(len(labels), np.nan)
    if entropy > 0:
        quality = np.where(unknown, np.nan, np.clip(information / entropy, 0.0, 1.0))
    full = np.full((len(labels), n_categories, n_categories), 0.0)
    full[np.ix_(np.arange(len(labels)), votes.observed, votes.observed)] = confusion
    never_a_class = np.setdiff1d(np.arange(n_categories), votes.observed)
    full[:, never_a_class, :] = np.nan
    full[labels == 0] = np.nan
    return RaterQuality(labels, coverage, np.where(labels == 0, np.nan, accuracy), quality, full)


def without_matrices(votes: Votes) -> tuple[str, ...]:
    """What to say where no confusion matrices are written down."""
    return (f"{votes.too_wide[0].upper()}{votes.too_wide[1:]}: none are given.",) if votes.too_wide else ()


def _items_per_rater(votes: Votes) -> Ints:
    pairs = np.unique(votes.rater * votes.n_items + votes.item)
    return np.bincount(pairs // max(votes.n_items, 1), minlength=votes.n_raters)


def notes_of_fit(fit: Run, max_iter: int, tried: Restarts | None) -> tuple[str, ...]:
    """What a reader must know about a fit: that it has not settled, that other starts fit better."""
    notes = []
    if not fit.converged:
        notes.append(f"The fit had not settled after {max_iter} iterations; the posteriors may still move.")
    if tried and tried.better:
        notes.append(
            f"{tried.better} of {tried.tried} random starts fit the labels better (log-likelihood {tried.best:.3f} "
            f"against {fit.log_likelihood:.3f}): with so little data the fit is not unique."
        )
    return tuple(notes)
