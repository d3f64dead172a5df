"""Every coefficient against its definition, on all tiny tables: three items, three raters, three categories or fewer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from consistency.statistics.agreement import NAMES, agree, metric_of
from consistency.statistics.coefficients import POOLED
from consistency.statistics.ratings import RatingsTable
from consistency.statistics.sums import Sums
from consistency.statistics.weights import WEIGHTS, weight_matrix

from . import engine_tables as tables

DEFINITIONS = {"nominal": tables.nominal, "ordinal": tables.ordinal, "interval": tables.interval, "ratio": tables.ratio}


def every_table(n: int, r: int, k: int):
    """All tables of n items, r raters, k categories with gaps, up to the order of the items."""
    rows = itertools.product([None, *range(k)], repeat=r)
    return itertools.combinations_with_replacement(rows, n)


def same(engine: float, definition: float | None) -> bool:
    if definition is None:
        return bool(np.isnan(engine))
    return bool(abs(engine - definition) < 1e-9)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("r", [2, 3])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_pooled_coefficients_on_every_tiny_table(n, r, k):
    """The engine's sums and coefficients, all tables in one call, against loops over single ratings."""
    rows = {row: i for i, row in enumerate(itertools.combinations_with_replacement([None, *range(k)], r))}
    everything = list(itertools.combinations_with_replacement(rows, n))  # who rated does not matter here
    counts = np.array([[row.count(c) for c in range(k)] for row in rows], np.int32)
    index = np.array([[rows[row] for row in table] for table in everything])
    categories = tuple(str(c + 1) for c in range(k))
    numeric = np.arange(1, k + 1, dtype=float)
    for level, delta in DEFINITIONS.items():
        weights = weight_matrix("quadratic" if level == "interval" else "identity", categories, numeric)
        sums = Sums(k, weights, metric_of(level, categories, numeric))
        total = sums.features(counts)[index].sum(axis=1)
        values = {name: POOLED[name].value(sums, total) for name in POOLED if name != "scott_pi"}
        reasons = {name: POOLED[name].reason for name in values}
        for i, table in enumerate(everything):
            expected = tables.by_definition(table, k, weights.tolist(), delta)
            if not expected:
                continue
            for name, value in values.items():
                if name != "krippendorff_alpha" and level in ("ordinal", "ratio"):
                    continue
                assert same(value[i], expected[name]), (level, name, table, value[i], expected[name])
                assert (reasons[name](sums, total[i]) is None) == (expected[name] is not None), (name, table)


@pytest.mark.parametrize(("n", "r", "k"), [(1, 2, 2), (2, 2, 2), (3, 2, 2), (2, 3, 2), (2, 2, 3)])
def test_agree_on_every_tiny_table(n, r, k):
    """The whole way from records to estimates; tables with nothing to compare say so."""
    everything = list(every_table(n, r, k))
    for table in everything[:: max(1, len(everything) // 400)]:
        ratings = RatingsTable.from_matrix(table, categories=range(k))
        found = agree(ratings)
        assert tuple(found) == NAMES
        expected = tables.by_definition(table, k, np.eye(k).tolist(), tables.nominal)
        for name, estimate in found.items():
            if not expected:
                assert estimate.undefined
            elif name == "cohen_kappa":
                assert (estimate.value is None) == (ratings.n_raters != 2 or expected["light_kappa"] is None)
            elif name == "scott_pi":
                assert (estimate.value is None) == (ratings.n_raters != 2 or expected["fleiss_kappa"] is None)
            elif expected[name] is None:
                assert estimate.undefined
            else:
                assert estimate.value == pytest.approx(expected[name], abs=1e-9), (name, table)


@pytest.mark.parametrize("weights", [*WEIGHTS])
@pytest.mark.parametrize("seed", range(8))
def test_rater_coefficients_with_every_kind_of_weights(weights, seed):
    table = tables.simulated(12, 4, 4, seed=seed, missing=0.25)
    w = weight_matrix(weights, table.categories, table.numeric)
    expected = tables.by_definition(tables.matrix_of(table), 4, w.tolist(), tables.nominal)
    found = agree(table, weights=weights)
    for name in ("percent_agreement", "light_kappa", "conger_kappa", "fleiss_kappa", "gwet_ac", "brennan_prediger"):
        assert found[name].value == pytest.approx(expected[name], abs=1e-9)


def test_the_comparison_can_fail():
    """Negative control: one label changed, and the definition no longer matches."""
    table = [list(row) for row in tables.matrix_of(tables.simulated(12, 3, 3, seed=1))]
    found = agree(RatingsTable.from_matrix(table, categories=range(3)))
    table[0][0] = (table[0][0] + 1) % 3
    other = tables.by_definition(table, 3, np.eye(3).tolist(), tables.nominal)
    for name in ("percent_agreement", "conger_kappa", "light_kappa", "fleiss_kappa", "krippendorff_alpha"):
        assert abs(found[name].value - other[name]) > 1e-6
