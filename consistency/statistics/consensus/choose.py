"""Which consensus method and how much smoothing: chosen by how well each predicts labels it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .dawid_skene import DEFAULT_MAX_ITER, DEFAULT_TOL, ConfusionModel, Toward, dawid_skene_of
from .em import FLOOR, run
from .majority import majority_of
from .one_coin import CoinModel, one_coin_of
from .result import Consensus
from .votes import Floats, Votes

if TYPE_CHECKING:
    from ..ratings import RatingsTable

FOLDS = 5
ONE_FOLD_ABOVE = 50_000
"""From this many labels on, one held-out fifth says enough and the other four would only cost time."""
SCORING_ITERATIONS = 30
"""Of the fits that are only scored: by then the order of the settings stands, though not the last digits."""
FEW_LABELS_PER_RATER = 20
"""Below this median a confusion matrix per rater is not learned but invented (Dawid-Skene is then no candidate)."""


@dataclass(frozen=True)
class Setting:
    """A method with its smoothing, see `dawid_skene`."""

    method: str
    smoothing: float
    toward: Toward = "uniform"


@dataclass(frozen=True)
class Candidate:
    """How one setting predicts held-out labels."""

    setting: Setting
    per_label: float
    """Mean log-probability of a held-out label; nearer 0 is better."""
    se: float
    """Standard error of `per_label` over the held-out labels."""


@dataclass(frozen=True)
class Choice:
    """The chosen setting, every candidate, and the reason in words."""

    setting: Setting
    candidates: tuple[Candidate, ...]
    reason: str


def settings_for(method: str, k: int) -> tuple[Setting, ...]:
    """What to try for a method and `k` observed categories.

    Evenly spread smoothing stays small (a tenth of a label per row or per cell): more of it makes a rater of few
    labels a guesser. Smoothing toward the raters' common matrix may be strong.
    """
    if method == "majority":
        return (Setting("majority", 0.0),)
    even = (0.1 / max(k, 1), 0.1)
    if method == "one_coin":
        return tuple(Setting("one_coin", value) for value in even)
    if method == "dawid_skene":
        together = tuple(Setting("dawid_skene", value, "raters") for value in (0.3, 1.0, 3.0))
        return (*(Setting("dawid_skene", value) for value in even), *together)
    raise ValueError(f"unknown consensus method {method!r}; known: {', '.join(METHODS)}")


def held_out_likelihood(votes: Votes, settings: Sequence[Setting], *, seed: int = 0) -> tuple[Candidate, ...]:
    """Score settings by the log-probability of labels left out of the fit.

    Labels, not items, are left out (seeded fifths): the fit sees the other labels of the item and the other
    items of the rater. `majority` is scored as the model behind counting votes: every rater equally accurate.
    Fits stop early here (a tolerance of 1e-6, at most `SCORING_ITERATIONS`); the ranking does not need more.

    Raises
    ------
    ValueError
        For an unknown method.
    """
    fold = np.random.default_rng(seed).permutation(len(votes.item)) % FOLDS
    folds = range(1 if len(votes.item) > ONE_FOLD_ABOVE else FOLDS)
    scored = []
    for setting in settings:
        logs = []
        for left_out in folds:
            kept, held = votes.only(fold != left_out), votes.only(fold == left_out)
            if not len(kept.item) or not len(held.item):
                continue
            model = _model(setting, kept)
            fit = run(model, kept.shares(), tol=1e-6, max_iter=SCORING_ITERATIONS)
            logs.append(np.log(np.maximum(model.predictive(fit.posterior, held), FLOOR)))
        scores: Floats = np.concatenate(logs) if logs else np.zeros(0)
        n = len(scores)
        mean = float(scores.mean()) if n else float("-inf")
        scored.append(Candidate(setting, mean, float(scores.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0))
    return tuple(scored)


def _model(setting: Setting, votes: Votes) -> ConfusionModel | CoinModel:
    if setting.method == "dawid_skene":
        return ConfusionModel(votes, setting.smoothing, setting.toward)
    if setting.method in ("one_coin", "majority"):
        return CoinModel(votes, setting.smoothing, tied=setting.method == "majority")
    raise ValueError(f"unknown consensus method {setting.method!r}; known: {', '.join(METHODS)}")


def choose(table: RatingsTable, *, method: str = "auto", smoothing: float | None = None, seed: int = 0) -> Choice:
    """Choose method and smoothing for `table` by held-out likelihood; what is given is kept.

    Parameters
    ----------
    method : {"auto", "majority", "one_coin", "dawid_skene"}
    smoothing : float, optional
        Pseudo-labels per cell, spread evenly; None: chosen from `settings_for`.

    Returns
    -------
    Choice

    Raises
    ------
    ValueError
        For an unknown method or a table without labels.
    """
    return choose_of(Votes.of(table), method=method, smoothing=smoothing, seed=seed)


def choose_of(votes: Votes, *, method: str = "auto", smoothing: float | None = None, seed: int = 0) -> Choice:
    """`choose` for plain votes; see there."""
    if method not in METHODS and method != "auto":
        raise ValueError(f"unknown consensus method {method!r}; known: auto, {', '.join(METHODS)}")
    if not len(votes.item):
        raise ValueError("there are no labels to find a consensus of")
    if method == "majority":
        return Choice(Setting("majority", 0.0), (), "Majority vote was asked for.")
    if method != "auto" and smoothing is not None and not (method == "dawid_skene" and votes.too_wide):
        return Choice(Setting(method, smoothing), (), "Method and smoothing were given.")
    per_rater = votes.labels_per_rater()
    too_few = method == "auto" and float(np.median(per_rater[per_rater > 0])) < FEW_LABELS_PER_RATER
    wide = votes.too_wide
    if wide and method == "dawid_skene":
        raise ValueError(f"{wide}; use one_coin or majority")
    settings: list[Setting] = []
    for name in METHODS if method == "auto" else (method,):
        tried = settings_for(name, votes.k)
        if smoothing is not None and name != "majority":
            tried = (Setting(name, smoothing),)
        if wide and name == "dawid_skene":
            continue
        if too_few and name == "dawid_skene":
            # Too few labels for a matrix each; one drawn strongly toward the common matrix needs fewer.
            tried = tuple(setting for setting in tried if setting.toward == "raters")
        settings += tried
    if len(votes.item) == 1:
        return Choice(
            settings[0], (), "There is one label only: nothing can be left out of a fit to compare methods by."
        )
    candidates = held_out_likelihood(votes, settings, seed=seed)
    top = max(candidate.per_label for candidate in candidates)
    # of equals the first, which is the simplest
    best = next(candidate for candidate in candidates if candidate.per_label >= top - 1e-9)
    reason = (
        f"Of {len(candidates)} settings tried it gives labels left out of the fit the highest probability "
        f"({np.exp(best.per_label):.3f} per label, geometric mean)."
    )
    if wide:
        reason += f" {wide[0].upper()}{wide[1:]}, so Dawid-Skene was not tried."
    elif too_few:
        reason += (
            f" Half the raters gave fewer than {FEW_LABELS_PER_RATER} labels, too few for a confusion matrix each, "
            "so matrices were only tried when drawn toward the one all raters share."
        )
    return Choice(best.setting, candidates, reason)


METHODS = ("majority", "one_coin", "dawid_skene")


def find_consensus(
    table: RatingsTable,
    *,
    method: str = "auto",
    smoothing: float | None = None,
    tol: float = DEFAULT_TOL,
    max_iter: int = DEFAULT_MAX_ITER,
    restarts: int = 0,
    seed: int = 0,
) -> tuple[Consensus, Choice]:
    """The consensus by the given or the chosen method, with the choice and its reasons.

    Raises
    ------
    ValueError
        As `choose`, `dawid_skene` and `one_coin`.
    """
    votes, n = Votes.of(table), len(table.categories)
    choice = choose_of(votes, method=method, smoothing=smoothing, seed=seed)
    setting = choice.setting
    if setting.method == "majority":
        return majority_of(votes, n_categories=n), choice
    if setting.method == "one_coin":
        return one_coin_of(votes, n_categories=n, smoothing=setting.smoothing, tol=tol, max_iter=max_iter), choice
    fit = dawid_skene_of(
        votes,
        n_categories=n,
        smoothing=setting.smoothing,
        toward=setting.toward,
        tol=tol,
        max_iter=max_iter,
        restarts=restarts,
        seed=seed,
    )
    return fit, choice
