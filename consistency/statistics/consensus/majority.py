"""Majority vote with ties kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .result import Consensus, decide, effective_votes, rate_raters, widen, without_matrices
from .votes import MOST_CELLS, Floats, Votes

if TYPE_CHECKING:
    from ..ratings import RatingsTable

_CHUNK = 1 << 18
"""Labels handled at once when each is compared with the other labels of its item: bounds memory at chunk x k."""


def majority(table: RatingsTable) -> Consensus:
    """The most frequent label of every item; equal counts are a tie and stay one.

    A rater is compared with the majority of the *others* (own label left out), never with a majority that
    includes them, which would flatter everyone. The posterior is the vote share.

    Returns
    -------
    Consensus
        `log_likelihood` is None and `iterations` 0: counting votes fits nothing.
    """
    return majority_of(Votes.of(table), n_categories=len(table.categories))


def majority_of(votes: Votes, *, n_categories: int) -> Consensus:
    """`majority` for plain votes; see there."""
    counts = votes.counts()
    total = counts.sum(axis=1)
    shares = np.divide(counts, total[:, None], out=np.zeros_like(counts), where=total[:, None] > 0)
    posterior = widen(shares, votes.observed, n_categories)
    value, tie, _, _ = decide(posterior, total > 0)
    confusion, prior, accuracy = _against_the_others(votes, counts)
    raters = rate_raters(votes, confusion, prior, n_categories, accuracy)
    return Consensus(
        method="majority",
        posterior=posterior,
        value=value,
        tie=tie,
        effective_votes=effective_votes(votes, np.ones(len(votes.item))),
        raters=raters,
        prior=widen(prior, votes.observed, n_categories),
        log_likelihood=None,
        iterations=0,
        converged=True,
        notes=without_matrices(votes),
    )


def _against_the_others(votes: Votes, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """(confusion, prior, accuracy) of each rater against the modes of the other labels; t modes share 1/t each."""
    from scipy import sparse

    k = votes.k
    wide = votes.too_wide is not None
    table = np.zeros((0 if wide else votes.n_raters * k, k))
    mass = np.zeros(k)
    right, compared = np.zeros(votes.n_raters), np.zeros(votes.n_raters)
    step = max(1, min(_CHUNK, MOST_CELLS // k))
    for start in range(0, len(votes.item), step):
        part = slice(start, start + step)
        item, rater, value = votes.item[part], votes.rater[part], votes.value[part]
        others = counts[item]
        others[np.arange(len(item)), value] -= 1
        top = others.max(axis=1, keepdims=True)
        modes = ((others == top) & (top > 0)).astype(np.float64)
        modes /= np.maximum(modes.sum(axis=1, keepdims=True), 1.0)

        mass += modes.sum(axis=0)
        right += np.bincount(rater, weights=modes[np.arange(len(item)), value], minlength=votes.n_raters)
        compared += np.bincount(rater, weights=modes.sum(axis=1), minlength=votes.n_raters)
        if wide:
            continue
        picks = sparse.csr_matrix(
            (np.ones(len(item)), (rater * k + value, np.arange(len(item)))), shape=(votes.n_raters * k, len(item))
        )
        table += picks @ modes
    accuracy = np.divide(right, compared, out=np.full(votes.n_raters, np.nan), where=compared > 0)
    prior = mass / mass.sum() if mass.sum() > 0 else np.full(k, 1 / max(k, 1))
    if wide:
        return np.zeros((votes.n_raters, 0, 0)), prior, accuracy
    joint = table.reshape(votes.n_raters, k, k).transpose(0, 2, 1)  # [rater, class, label]
    seen = joint.sum(axis=2, keepdims=True)
    confusion = np.divide(joint, seen, out=np.full_like(joint, np.nan), where=seen > 0)
    return confusion, prior, accuracy
