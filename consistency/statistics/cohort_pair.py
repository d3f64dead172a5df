"""The chance-corrected figures between two cohorts, each with its interval (docs/statistics.md A.5, rule for cohorts)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .bylabel import Linear, alpha_by_label, chance_on_a_line, xrr_by_label
from .cohort_sums import DERIVED, PairSums, chain
from .estimate import Estimate
from .intervals import Kind, Scale, Variances, items_variance
from .item_sums import Function, ItemGroups, Sums, summed_jackknife, sums_of
from .ratings import RatingsTable
from .two_body import rater_positions, two_body_estimate

__all__ = ["GAI_NEEDS", "UNSTABLE", "Asked", "PairFigures", "no_pair_figures", "pair_figures", "pair_figures_by_label"]

Floats = npt.NDArray[np.float64]

GAI_NEEDS = 0.10
UNSTABLE = "too unstable: read the two parts"


@dataclass(frozen=True)
class Asked:
    """How intervals and tests are wanted."""

    kind: Kind
    confidence: float
    bootstrap: int
    seed: int
    most_exact: int
    sampled: int


@dataclass(frozen=True)
class PairFigures:
    """xRR, xRR normalised, the two group association indices, D and the difference of the alphas."""

    xrr: Estimate
    normalised: Estimate
    gai: tuple[Estimate, Estimate]
    d: Estimate
    alpha_difference: Estimate


def pair_figures(
    groups: ItemGroups,
    second: npt.NDArray[np.bool_],
    layout: PairSums,
    alpha: tuple[Estimate, Estimate],
    names: tuple[str, str],
    asked: Asked,
) -> PairFigures:
    """Estimate every figure of a pair from its grouped items.

    Parameters
    ----------
    groups
        Items by both cohorts' counts (`joint_groups`).
    second : bool (R,)
        Raters of the second cohort.
    layout
        Categories and metric.
    alpha
        Krippendorff's alpha within each cohort, for the words where a figure needs it and it is undefined.
    names
        Of the cohorts.
    """
    return _GroupedPair(second, alpha, names, asked, groups, layout).figures()


def pair_figures_by_label(
    table: RatingsTable,
    second: npt.NDArray[np.bool_],
    level: str,
    alpha: tuple[Estimate, Estimate],
    names: tuple[str, str],
    asked: Asked,
) -> PairFigures:
    """The same at level interval or ordinal, from the labels themselves: for scales of many points."""
    return _LabelPair(second, alpha, names, asked, table, level).figures()


def no_pair_figures(
    table: RatingsTable,
    second: npt.NDArray[np.bool_],
    reason: str,
    alpha: tuple[Estimate, Estimate],
    asked: Asked,
) -> PairFigures:
    """All of them undefined, for one reason."""
    none = _LabelPair(second, alpha, ("", ""), asked, table, "").missing(reason)
    return PairFigures(none, none, (none, none), none, none)


# raters a cohort must have before the jackknife speaks about raters in general
FEWEST = {"d": 2, "normalised": 3, "difference": 3, "gai_0": 3, "gai_1": 3}


@dataclass(frozen=True)
class _Counts:
    """What figures of a pair rest on: items of both cohorts, of one only, ratings, items on which any two differ."""

    items: int
    ratings: int
    disagreeing: int
    of_one_cohort: int


@dataclass(frozen=True)
class _Pair(ABC):
    second: npt.NDArray[np.bool_]
    alpha: tuple[Estimate, Estimate]
    names: tuple[str, str]
    asked: Asked

    @abstractmethod
    def counts(self, *, common: bool) -> _Counts:
        """Over the items both cohorts rated, or over all."""

    @abstractmethod
    def xrr_alone(self) -> tuple[float, Variances, tuple[int, int], float | None] | None:
        """xRR over the common items, its variances, the raters of each cohort there, and p_e where nobody disagreed."""

    @abstractmethod
    def over_all(self, names: tuple[str, ...]) -> tuple[dict[str, tuple[float, Variances]], tuple[int, int]]:
        """Those of the derived figures that are defined, with their variances over all items; raters of each cohort."""

    def figures(self) -> PairFigures:
        xrr = self.xrr()
        if xrr.value is None:
            none = self.missing(xrr.undefined or "")
            alone = self.derived(("difference",)).get("difference") or self.missing(self.without_alpha())
            return PairFigures(xrr, none, (none, none), none, alone)
        found = self.derived(tuple(DERIVED))
        return PairFigures(
            xrr=xrr,
            normalised=found.get("normalised") or self.missing(self.without_alpha(positive=True)),
            gai=(self.gai(0, xrr, found.get("gai_0")), self.gai(1, xrr, found.get("gai_1"))),
            d=found.get("d") or self.missing(self.without_alpha()),
            alpha_difference=found.get("difference") or self.missing(self.without_alpha()),
        )

    def missing(self, reason: str) -> Estimate:
        counts = self.counts(common=True)
        return Estimate.missing(
            reason,
            level=self.asked.confidence,
            n_items=counts.items,
            n_raters=len(self.second),
            n_ratings=counts.ratings,
            excluded={"items_of_one_cohort": counts.of_one_cohort},
        )

    def estimate(
        self,
        value: float,
        variances: Variances,
        raters: tuple[int, int],
        counts: _Counts,
        *,
        scale: Scale,
        fewest: int,
        chance: float | None = None,
    ) -> Estimate:
        return two_body_estimate(
            value,
            variances,
            raters,
            counts.items,
            scale=scale,
            kind=self.asked.kind,
            confidence=self.asked.confidence,
            fewest=fewest,
            n_ratings=counts.ratings,
            disagreeing=counts.disagreeing,
            chance=chance,
            excluded={"items_of_one_cohort": counts.of_one_cohort},
        )

    def derived(self, names: tuple[str, ...]) -> dict[str, Estimate]:
        """Figures that need the alphas: over all items of both cohorts."""
        found, raters = self.over_all(names)
        counts = self.counts(common=False)
        return {
            name: self.estimate(value, variances, raters, counts, scale="raw", fewest=FEWEST[name])
            for name, (value, variances) in found.items()
        }

    def xrr(self) -> Estimate:
        counts = self.counts(common=True)
        if not counts.items:
            return self.missing("no item was rated by both cohorts")
        found = self.xrr_alone()
        if found is None:
            return self.missing("both cohorts gave one and the same label throughout: nothing is left to measure")
        value, variances, raters, chance = found
        return self.estimate(value, variances, raters, counts, scale="kappa", fewest=2, chance=chance)

    def gai(self, cohort: int, xrr: Estimate, log: Estimate | None) -> Estimate:
        """alpha / xRR with its interval on the log scale, or why it must not be read."""
        mine, name = self.alpha[cohort], self.names[cohort]
        if mine.value is None:
            return self.missing(f"within {name}: {mine.undefined}")
        if xrr.value is None or xrr.low is None or xrr.low <= GAI_NEEDS:
            bound = "has no lower bound" if xrr.low is None else f"may be as low as {xrr.low:.2f}"
            return self.missing(
                f"{UNSTABLE} (alpha {mine.value:.2f}, xRR {xrr.value or 0:.2f}; xRR {bound}, it must be above .10)"
            )
        if log is None or log.value is None:
            return self.missing(f"within {name} agreement is not above chance: read the two parts")
        gai = math.exp(log.value)

        def grown(part: float | None) -> float | None:
            return None if part is None else part * gai

        return replace(
            log,
            value=gai,
            low=None if log.low is None else math.exp(log.low),
            high=None if log.high is None else math.exp(log.high),
            se=grown(log.se),
            se_items=grown(log.se_items),
            se_raters=grown(log.se_raters),
        )

    def without_alpha(self, *, positive: bool = False) -> str:
        """Why a figure that needs both alphas is undefined."""
        for one, name in zip(self.alpha, self.names, strict=True):
            if one.value is None:
                return f"within {name}: {one.undefined}"
        for one, name in zip(self.alpha, self.names, strict=True):
            if positive and one.value is not None and one.value <= 0:
                return f"within {name} agreement is not above chance (alpha {one.value:.2f})"
        return "the parts do not allow it"


@dataclass(frozen=True)
class _GroupedPair(_Pair):
    groups: ItemGroups
    layout: PairSums

    @property
    def common(self) -> npt.NDArray[np.bool_]:
        k = self.layout.k
        c = self.groups.counts
        both: npt.NDArray[np.bool_] = (c[:, :k].sum(axis=1) > 0) & (c[:, k:].sum(axis=1) > 0)
        return both

    def counts(self, *, common: bool) -> _Counts:
        m, k, both = self.groups.multiplicity, self.layout.k, self.common
        used = both if common else np.ones_like(both)
        alike = (self.groups.counts[:, :k] + self.groups.counts[:, k:]).max(axis=1) == self.groups.per_item
        return _Counts(
            items=int(m[used].sum()),
            ratings=int(m[used] @ self.groups.per_item[used]),
            disagreeing=int(m[used & ~alike].sum()),
            of_one_cohort=int(m[~both].sum()),
        )

    def variances(
        self, sums: Sums, values: dict[str, Function]
    ) -> tuple[dict[str, tuple[float, Variances]], tuple[int, int]]:
        """Those of the figures that are defined, all their variances in one pass; raters of each cohort."""
        sets = rater_positions(self.groups, self.second, sums.used)
        defined = {name: f for name, f in values.items() if np.isfinite(f(sums.total))}
        slopes = self.layout.slopes(sums.total) if defined else {}
        found = (
            sums.variances(
                [(f, slopes[name]) for name, f in defined.items()],
                bootstrap=self.asked.bootstrap,
                seed=self.asked.seed,
                rater_sets=sets,
            )
            if defined
            else []
        )
        out = {name: (float(f(sums.total)), v) for (name, f), v in zip(defined.items(), found, strict=True)}
        return out, (len(sets[0]), len(sets[1]))

    def xrr_alone(self) -> tuple[float, Variances, tuple[int, int], float | None] | None:
        sums = sums_of(self.groups, self.layout.vectors, self.common)
        observed, expected = (float(part) for part in self.layout.disagreements(sums.total))
        chance = None
        if not isinstance(self.layout.metric, str) and observed < 1e-12:
            largest = float(np.max(self.layout.metric))
            chance = 1 - expected / largest if largest > 0 else None
        found, raters = self.variances(sums, {"xrr": self.layout.xrr})
        return (*found["xrr"], raters, chance) if found else None

    def over_all(self, names: tuple[str, ...]) -> tuple[dict[str, tuple[float, Variances]], tuple[int, int]]:
        every = np.ones(len(self.groups.counts), np.bool_)
        sums = sums_of(self.groups, self.layout.vectors, every)
        return self.variances(sums, {name: self.of_sums(name) for name in names})

    def of_sums(self, name: str) -> Function:
        def value_of(t: Floats) -> Floats:
            return DERIVED[name](self.layout.parts(t))

        return value_of


@dataclass(frozen=True)
class _LabelPair(_Pair):
    table: RatingsTable
    level: str

    @property
    def common(self) -> npt.NDArray[np.bool_]:
        on_second = self.second[self.table.rater]
        of_each = [np.bincount(self.table.item[side], minlength=self.table.n_items) for side in (~on_second, on_second)]
        both: npt.NDArray[np.bool_] = (of_each[0] > 0) & (of_each[1] > 0)
        return both

    def counts(self, *, common: bool) -> _Counts:
        t, both = self.table, self.common
        used = both if common else np.ones_like(both)
        r = t.ratings_per_item()
        starts = np.concatenate([[0], np.cumsum(r)[:-1]]).astype(np.int64)
        differ = np.maximum.reduceat(t.value, starts) != np.minimum.reduceat(t.value, starts)
        return _Counts(int(used.sum()), int(r[used].sum()), int((used & differ).sum()), int((~both).sum()))

    def of(
        self, linear: dict[str, tuple[float, Floats, Floats, Floats]], used: npt.NDArray[np.bool_]
    ) -> tuple[dict[str, tuple[float, Variances]], tuple[int, int]]:
        """Variances over the items `used` from (value, influence (N,), loss (n,), without (R,)) of each figure."""
        labels = np.bincount(self.table.rater[used[self.table.item]], minlength=self.table.n_raters) > 0
        sets = (np.flatnonzero(labels & ~self.second), np.flatnonzero(labels & self.second))
        n = int(used.sum())
        out = {
            name: (
                value,
                Variances(
                    items_variance(influence[used], np.ones(n), n),
                    summed_jackknife(without, sets),
                    float((loss**2).sum()),
                ),
            )
            for name, (value, influence, loss, without) in linear.items()
        }
        return out, (len(sets[0]), len(sets[1]))

    def xrr_alone(self) -> tuple[float, Variances, tuple[int, int], float | None] | None:
        found = xrr_by_label(self.table, self.second, self.level)
        if found is None:
            return None
        variances, raters = self.of({"xrr": (found.value, found.influence, found.loss, found.without)}, self.common)
        chance = None
        if self.level == "interval" and found.value >= 1 - 1e-12:
            chance = chance_on_a_line(self.table, self.second)
        return (*variances["xrr"], raters, chance)

    def over_all(self, names: tuple[str, ...]) -> tuple[dict[str, tuple[float, Variances]], tuple[int, int]]:
        parts = [
            xrr_by_label(self.table, self.second, self.level),
            alpha_by_label(self.table, self.level, ~self.second),
            alpha_by_label(self.table, self.level, self.second),
        ]
        none = Linear(
            np.nan,
            np.zeros(self.table.n_items),
            np.zeros(self.table.n_ratings),
            np.full(self.table.n_raters, np.nan),
        )
        known = [none if part is None else part for part in parts]
        values = np.array([part.value for part in known])
        without = np.stack([part.without for part in known], axis=-1)
        influence = chain(values, np.stack([part.influence for part in known]))
        loss = chain(values, np.stack([part.loss for part in known]))
        linear = {}
        for name in names:
            value = float(DERIVED[name](values))
            if np.isfinite(value):
                linear[name] = (value, influence[name], loss[name], DERIVED[name](without))
        return self.of(linear, np.ones(self.table.n_items, np.bool_))
