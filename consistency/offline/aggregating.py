"""The consensus of a loaded ratings file: everything the `consensus` command prints, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from consistency.statistics.consensus import METHODS, Choice, Consensus, accuracy_against, find_consensus
from consistency.statistics.continuous import MOST_CATEGORIES
from consistency.statistics.gold_figures import gold_codes

from .reading import InputError, Loaded


@dataclass(frozen=True)
class ConsensusOptions:
    """The options of the command; smoothing None is chosen by held-out likelihood."""

    method: str = "auto"
    smoothing: float | None = None
    tol: float = 1e-7
    max_iter: int = 100
    restarts: int = 0
    seed: int = 0

    def check(self) -> None:
        """Raise InputError for an option outside its range."""
        if self.method not in ("auto", *METHODS):
            raise InputError(f"unknown method {self.method!r}; use auto, {', '.join(METHODS)}")
        if self.smoothing is not None and not 0 <= self.smoothing < math.inf:
            raise InputError(f"the smoothing is {self.smoothing:g}; it must be 0 or more pseudo-labels")
        if not 0 <= self.tol < 1:
            raise InputError(f"the tolerance is {self.tol:g}; it must be at least 0 and below 1")
        if self.max_iter < 1:
            raise InputError(f"--max-iter is {self.max_iter}; at least one iteration is needed")
        if self.restarts < 0 or self.seed < 0:
            raise InputError("--restarts and --seed must be 0 or more")


@dataclass(frozen=True)
class Aggregated:
    """A consensus with the file it came from."""

    loaded: Loaded
    consensus: Consensus
    choice: Choice
    accuracy: float | None
    """Against the file's gold, 1/t on a t-way tie; None without gold."""
    gold_items: int

    def accuracy_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's interval of `accuracy`, over items."""
        from statsmodels.stats.proportion import proportion_confint

        hits = (self.accuracy or 0.0) * self.gold_items
        low, high = proportion_confint(hits, self.gold_items, alpha=1 - confidence, method="wilson")
        return float(low), float(high)

    def item_rows(self) -> list[dict[str, Any]]:
        """{item, value, tie, posterior, effective_votes} per item; value is null on a tie."""
        table, found = self.loaded.table, self.consensus
        names = table.categories
        rows = []
        # Plain Python lists: indexing numpy scalars one by one would be the slowest part of a million items.
        values, ties = found.value.tolist(), found.tie.tolist()
        posteriors, votes = found.posterior.tolist(), found.effective_votes.tolist()
        for item, value, tie, posterior, effective in zip(table.items, values, ties, posteriors, votes, strict=True):
            rows.append(
                {
                    "item": item,
                    "value": names[value] if value >= 0 else None,
                    "tie": tie,
                    "posterior": dict(zip(names, posterior, strict=True)),
                    "effective_votes": effective,
                }
            )
        return rows

    def rater_rows(self) -> list[dict[str, Any]]:
        """{rater, labels, coverage, accuracy_estimate, quality, confusion} per rater; null where it cannot be said."""
        table, raters = self.loaded.table, self.consensus.raters
        rows = []
        for g, name in enumerate(table.raters):
            confusion = {}
            for k, label in enumerate(table.categories if raters.confusion.shape[1] else ()):
                row = raters.confusion[g, k]
                if not np.isnan(row).any():
                    confusion[label] = dict(zip(table.categories, row.tolist(), strict=True))
            rows.append(
                {
                    "rater": name,
                    "labels": int(raters.labels[g]),
                    "coverage": float(raters.coverage[g]),
                    "accuracy_estimate": _known(raters.accuracy[g]),
                    "quality": _known(raters.quality[g]),
                    "confusion": confusion,
                }
            )
        return rows

    def as_json(self) -> dict[str, Any]:
        """The object `consensus --json` prints."""
        found, choice = self.consensus, self.choice
        out: dict[str, Any] = {
            "method": found.method,
            "smoothing": found.smoothing,
            "smoothing_toward": found.toward,
            "chosen": {
                "reason": choice.reason,
                "candidates": [
                    {
                        "method": one.setting.method,
                        "smoothing": one.setting.smoothing,
                        "toward": one.setting.toward,
                        "held_out_log_likelihood_per_label": one.per_label,
                        "se": one.se,
                    }
                    for one in choice.candidates
                ],
            },
            "categories": list(self.loaded.table.categories),
            "items": self.item_rows(),
            "raters": self.rater_rows(),
            "ties": int(found.tie.sum()),
            "prior": dict(zip(self.loaded.table.categories, found.prior.tolist(), strict=True)),
            "log_likelihood": found.log_likelihood,
            "iterations": found.iterations,
            "converged": found.converged,
            "notes": [*found.notes, *self.loaded.file.notes],
        }
        if self.accuracy is not None:
            out["accuracy"] = self.accuracy
            out["gold_items"] = self.gold_items
        if found.restarts is not None:
            out["restarts"] = {
                "tried": found.restarts.tried,
                "better": found.restarts.better,
                "best_log_likelihood": found.restarts.best,
                "answers_changed": found.restarts.answers_changed,
            }
        return out


def aggregate(loaded: Loaded, options: ConsensusOptions) -> Aggregated:
    """Find the consensus.

    Raises
    ------
    InputError
        For options outside their range.
    """
    options.check()
    k = loaded.table.n_categories
    if k > MOST_CATEGORIES:
        raise InputError(
            f"{loaded.file.source}: a consensus counts equal labels, and {k:,} different ones are too many for that "
            f"(at most {MOST_CATEGORIES:,}); take the median of numbers, or compare texts by their distance"
        )
    try:
        consensus, choice = find_consensus(
            loaded.table,
            method=options.method,
            smoothing=options.smoothing,
            tol=options.tol,
            max_iter=options.max_iter,
            restarts=options.restarts,
            seed=options.seed,
        )
    except ValueError as error:
        raise InputError(f"{loaded.file.source}: {error}") from error
    accuracy, n = None, 0
    if loaded.gold:
        codes, _ = gold_codes(loaded.table, loaded.gold)
        codes = np.where(codes == loaded.table.n_categories, -2, codes)
        n = int((codes != -1).sum())
        accuracy = _known(accuracy_against(consensus, codes)) if n else None
    return Aggregated(loaded, consensus, choice, accuracy, n)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
