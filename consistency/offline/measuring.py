"""Measure a loaded ratings file: everything the `agreement` command prints, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from consistency.statistics.agreement import LEVELS, agree
from consistency.statistics.categories import CategoryAgreement, per_category
from consistency.statistics.cohorts import CohortComparison, compare_cohorts
from consistency.statistics.continuous import MOST_CATEGORIES, basis_of_labels, too_many
from consistency.statistics.estimate import Estimate
from consistency.statistics.hlp import HLP, measure_hlp
from consistency.statistics.intra_rater import SelfAgreement, self_agreement
from consistency.statistics.items import item_intervals, item_statistics
from consistency.statistics.labels import RatingsError
from consistency.statistics.pairs import PairStatistics, pairs
from consistency.statistics.ratings import RatingsTable

from .engines import ENGINES, counted, in_memory_after_all
from .reading import GOLD_ORIGIN, InputError, Loaded

WEIGHTS = ("identity", "linear", "quadratic", "ordinal", "radical", "ratio")
INTERVALS = ("auto", "two_way", "items")
WORST = 10
_CANDIDATES = 200
"""Distinct count vectors looked at for the worst items; beyond the most divided 200 none can be among the ten."""


@dataclass(frozen=True)
class Options:
    """How to measure; the options of the command."""

    level: str = "nominal"
    weights: str = "identity"
    interval: str = "auto"
    bootstrap: int = 0
    confidence: float = 0.95
    seed: int = 0
    engine: str = "memory"

    def check(self) -> None:
        """Raise InputError for an option outside its range."""
        for name, value, known in (
            ("level", self.level, LEVELS),
            ("weights", self.weights, WEIGHTS),
            ("interval", self.interval, INTERVALS),
            ("engine", self.engine, ENGINES),
        ):
            if value not in known:
                raise InputError(f"unknown {name} {value!r}; use one of {', '.join(known)}")
        if not 0 < self.confidence < 1:
            raise InputError(f"a confidence of {self.confidence:g} is not between 0 and 1; 0.95 is usual")
        if self.bootstrap and self.bootstrap < 2000:
            raise InputError(
                f"{self.bootstrap} bootstrap replicates are too few for an interval; use 0 or at least 2000"
            )
        if self.seed < 0:
            raise InputError(f"the seed is {self.seed}; it must be 0 or more")


@dataclass(frozen=True)
class WorstItem:
    """An item raters divide on, with how they voted."""

    item: str
    ratings: int
    votes: tuple[tuple[str, int], ...]
    agreement: Estimate


@dataclass(frozen=True)
class Measured:
    """Every figure of one ratings file."""

    loaded: Loaded
    options: Options
    coefficients: Mapping[str, Estimate]
    categories: Mapping[str, CategoryAgreement]
    hlp: HLP
    cohorts: CohortComparison | None
    intra: SelfAgreement
    pairs: PairStatistics | None
    worst: tuple[WorstItem, ...]
    divided: int
    """Items with two or more ratings on which not all agree."""
    gold_constant: tuple[str, float] | None
    """The most frequent gold label, and how often ratings would equal gold if all gave it (rating weight)."""
    notes: tuple[str, ...] = ()
    """What else a reader must know about how it was measured."""

    @property
    def table(self) -> RatingsTable:
        """The ratings measured."""
        return self.loaded.table

    def as_json(self, *, with_pairs: bool) -> dict[str, Any]:
        """The object `agreement --json` prints; every figure an estimate with its reason when undefined."""
        table, file = self.table, self.loaded.file
        out: dict[str, Any] = {
            "items": table.n_items,
            "raters": table.n_raters,
            "ratings": table.n_ratings,
            "categories": list(table.categories),
            "level": self.options.level,
            "excluded": dict(table.excluded),
            "coefficients": {name: one.as_json() for name, one in self.coefficients.items()},
            "per_category": {
                label: {
                    "specific_agreement": one.specific_agreement.as_json(),
                    "kappa": one.kappa.as_json(),
                    "count": one.count,
                }
                for label, one in self.categories.items()
            },
            "hlp": self.hlp.as_json(),
            "cohorts": self.cohorts.as_json() if self.cohorts else {"within": {}, "between": []},
            "intra_rater": self.intra.as_json(),
            "worst_items": [
                {
                    "item": one.item,
                    "ratings": one.ratings,
                    "votes": dict(one.votes),
                    "agreement": one.agreement.as_json(),
                }
                for one in self.worst
            ],
            "file": {"name": file.source, "format": file.format, "rows": file.rows, "sha256": file.sha256},
            "notes": [*file.notes, *self.notes],
        }
        if with_pairs:
            out["pairs"] = [
                {
                    **row,
                    "cohen_kappa": row["cohen_kappa"].as_json(),
                    "percent_agreement": row["percent_agreement"].as_json(),
                }
                for row in (self.pairs.rows() if self.pairs is not None else ())
            ]
        return out


def measure(loaded: Loaded, options: Options, *, with_pairs: bool = False) -> Measured:
    """Measure everything.

    Parameters
    ----------
    with_pairs : bool
        Also the rater pairs.

    Raises
    ------
    InputError
        For options outside their range, or labels that are no numbers where the level needs numbers.
    """
    options.check()
    table = loaded.table
    common: dict[str, Any] = {
        "interval": options.interval,
        "bootstrap": options.bootstrap,
        "confidence": options.confidence,
        "seed": options.seed,
    }
    try:
        with counted(table, options.engine) as grouped:
            coefficients = agree(grouped, level=options.level, weights=options.weights, **common)
            labels = per_category(grouped, interval=options.interval, confidence=options.confidence)  # type: ignore[arg-type]
            found = (
                pairs(grouped, weights=options.weights, confidence=options.confidence)
                if with_pairs and table.n_raters > 1
                else None
            )
        cohorts = None
        if loaded.cohort_of:
            cohorts = compare_cohorts(table, loaded.cohort_of, level=options.level, weights=options.weights, **common)
        return Measured(
            loaded=loaded,
            options=options,
            coefficients=coefficients,
            categories=labels,
            hlp=measure_hlp(table, gold=loaded.gold, gold_origin=GOLD_ORIGIN if loaded.gold else None, **common),
            cohorts=cohorts,
            intra=self_agreement(table, level=options.level, **common),
            pairs=found,
            worst=worst_items(table, confidence=options.confidence, seed=options.seed),
            divided=_divided(table),
            gold_constant=_gold_constant(loaded),
            notes=in_memory_after_all(table, options.engine),
        )
    except RatingsError as error:
        raise InputError(f"{loaded.file.source}: {error}") from error
    except ValueError as error:
        raise InputError(str(error)) from error


def worst_items(
    table: RatingsTable, *, most: int = WORST, confidence: float = 0.95, seed: int = 0
) -> tuple[WorstItem, ...]:
    """The items whose disagreement is surest, worst first.

    Ranked by the upper bound of the chance that two further raters agree (Dirichlet posterior): five votes against
    five stand before one against one, which may be a slip. Items with the same count vector keep the file's order.
    """
    if table.n_categories > MOST_CATEGORIES:
        return _furthest_apart(table, most=most, confidence=confidence)
    patterns = table.patterns()
    statistics = item_statistics(patterns.counts)
    divided = np.flatnonzero((statistics.ratings >= 2) & (statistics.agreement < 1))
    if not len(divided) or patterns.index is None:
        return ()
    order = np.lexsort((-statistics.ratings[divided], statistics.agreement[divided]))
    candidates = divided[order][:_CANDIDATES]
    bounds = item_intervals(patterns.counts[candidates], confidence=confidence, seed=seed).agreement
    ranked = candidates[np.lexsort((statistics.agreement[candidates], bounds[:, 1]))]
    interval = dict(zip(candidates.tolist(), bounds.tolist(), strict=True))
    worst: list[WorstItem] = []
    for pattern in ranked.tolist():
        for item in np.flatnonzero(patterns.index == pattern)[: most - len(worst)].tolist():
            counts = patterns.counts[pattern]
            votes = [(table.categories[k], int(counts[k])) for k in np.argsort(-counts, kind="stable") if counts[k]]
            weight = counts + 0.5
            total = float(weight.sum())
            low, high = interval[pattern]
            agreement = Estimate(
                # The mean of the posterior the interval comes from; the observed share of agreeing pairs can lie
                # outside it, since two raters drawn with replacement agree at least 1/K of the time.
                float((weight * (weight + 1)).sum()) / (total * (total + 1)),
                low,
                high,
                level=confidence,
                method="posterior",
                population="two further raters of this item",
                n_items=1,
                n_raters=int(counts.sum()),
                n_ratings=int(counts.sum()),
            )
            worst.append(WorstItem(str(table.items[item]), int(counts.sum()), tuple(votes), agreement))
        if len(worst) >= most:
            break
    return tuple(worst)


def _furthest_apart(table: RatingsTable, *, most: int, confidence: float) -> tuple[WorstItem, ...]:
    """Of numbers with too many different values to be categories: the items whose ratings lie furthest apart."""
    r = table.ratings_per_item()
    if table.numeric is None or not len(r):
        return ()
    x = table.numeric[table.value]
    starts = np.concatenate([[0], np.cumsum(r)[:-1]])
    mean = np.add.reduceat(x, starts) / r
    spread = np.add.reduceat((x - mean[table.item]) ** 2, starts) / np.maximum(r - 1, 1)
    worst = []
    for item in np.argsort(-spread, kind="stable")[:most].tolist():
        if spread[item] <= 0:
            break
        codes, given = np.unique(table.value[starts[item] : starts[item] + r[item]], return_counts=True)
        n = int(r[item])
        worst.append(
            WorstItem(
                str(table.items[item]),
                n,
                tuple((table.categories[k], m) for k, m in zip(codes.tolist(), given.tolist(), strict=True)),
                Estimate.missing(too_many(table.n_categories), level=confidence, n_items=1, n_raters=n, n_ratings=n),
            )
        )
    return tuple(worst)


def _divided(table: RatingsTable) -> int:
    if table.n_categories > MOST_CATEGORIES:
        return basis_of_labels(table).disagreeing
    patterns = table.patterns()
    several = patterns.per_item >= 2
    return int(patterns.multiplicity[several & (patterns.counts.max(axis=1, initial=0) < patterns.per_item)].sum())


def _gold_constant(loaded: Loaded) -> tuple[str, float] | None:
    if not loaded.gold:
        return None
    weight: dict[str, int] = {}
    per_item = loaded.table.ratings_per_item().tolist()
    for item, ratings in zip(loaded.table.items, per_item, strict=True):
        label = loaded.gold.get(item)
        if label is not None:
            weight[label] = weight.get(label, 0) + ratings
    if not weight:
        return None
    label = max(weight, key=lambda one: (weight[one], one))
    return label, weight[label] / sum(weight.values())
