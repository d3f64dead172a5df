"""The EM loop both fitted models share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .votes import Floats

FLOOR = 1e-10
"""Smallest expected count or class share. It keeps log(0) out of an unsmoothed fit without moving its maximum."""


class Model(Protocol):
    """One latent-class model of labels."""

    def maximise(self, posterior: Floats) -> None:
        """Fit the parameters to the posterior (M step)."""

    def expect(self) -> tuple[Floats, float, float]:
        """(posterior, log-likelihood, objective) under the parameters (E step)."""


@dataclass(frozen=True)
class Run:
    """Where one EM run ended."""

    posterior: Floats
    log_likelihood: float
    iterations: int
    converged: bool
    history: tuple[float, ...]


def check_options(*, smoothing: float, tol: float, max_iter: int) -> None:
    """Raise ValueError unless the options of a fit make sense."""
    if not smoothing >= 0 or not np.isfinite(smoothing):
        raise ValueError(f"smoothing is {smoothing}; it must be a number of pseudo-labels of 0 or more")
    if not tol >= 0:
        raise ValueError(f"tol is {tol}; it must be 0 or more")
    if max_iter < 1:
        raise ValueError(f"max_iter is {max_iter}; at least one iteration is needed")


def run(model: Model, start: Floats, *, tol: float, max_iter: int) -> Run:
    """Alternate M and E steps until the objective changes by less than `tol` of itself, or `max_iter` is reached.

    One iteration is one M step and one E step, so after n iterations n posteriors were computed.
    """
    posterior, history = start, []
    log_likelihood, converged = float("-inf"), False
    for _ in range(max_iter):
        model.maximise(posterior)
        posterior, log_likelihood, objective = model.expect()
        history.append(objective)
        if len(history) > 1 and abs(objective - history[-2]) <= tol * abs(objective):
            converged = True
            break
    return Run(posterior, log_likelihood, len(history), converged, tuple(history))


def normalise(scores: Floats) -> tuple[Floats, float]:
    """(softmax of each row, sum of the rows' log-sum-exp). `scores` is overwritten."""
    top = scores[:, 0].copy()
    for column in range(1, scores.shape[1]):  # faster than max(axis=1) over a handful of columns
        np.maximum(top, scores[:, column], out=top)
    scores -= top[:, None]
    np.exp(scores, out=scores)
    total = scores.sum(axis=1)
    scores /= total[:, None]
    return scores, float(np.log(total).sum() + top.sum())
