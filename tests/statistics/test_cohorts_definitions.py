"""Cohort figures and their variances against loops over single ratings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from consistency.statistics.cohort_sums import PairSums
from consistency.statistics.cohort_test import _general_d, _nominal_d, _one_hot
from consistency.statistics.cohorts import compare_cohorts

from . import hlp_definitions as by


def cohort_of(table) -> dict[str, str]:
    """Every second rater is in y."""
    return {name: "xy"[int(name[1:]) % 2] for name in table.raters}


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_xrr_and_d_on_tiny_tables(n, k):
    tables = list(by.every_table(n, 4, k))
    for matrix in tables[:: max(1, len(tables) // 25)]:
        if all(v is None for row in matrix for v in row):
            continue
        table = by.table_of(matrix, categories="abc"[:k])
        cohort = cohort_of(table)
        if set(cohort.values()) != {"x", "y"}:
            continue
        pair = compare_cohorts(table, cohort).between[0]
        items = by.items_of(table)
        assert by.close(pair.xrr.value, by.xrr(cohort)(items)), matrix
        assert by.close(pair.d.value, by.finding(cohort)(items)), matrix
        assert (pair.p is None) == (pair.d.value is None)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(4, 9), r=st.integers(6, 7), missing=st.sampled_from([0.0, 0.3]))
def test_variances_mean_what_they_say(seed, n, r, missing):
    table = by.random_table(np.random.default_rng(seed), n, r, 3, missing)
    cohort = cohort_of(table)
    items = by.items_of(table)
    pair = compare_cohorts(table, cohort, sampled=9, most_exact=5).between[0]
    common = [(w, row) for w, row in items if {cohort[g] for g in row} == {"x", "y"}]
    for estimate, figure, used in ((pair.xrr, by.xrr(cohort), common), (pair.d, by.finding(cohort), items)):
        if estimate.value is None or estimate.se_items is None:
            continue
        assert estimate.value == pytest.approx(figure(used), abs=1e-9)
        vi = by.item_variance(figure, used, 1)
        assert estimate.se_items**2 == pytest.approx(vi, abs=1e-6)
        bodies = [sorted({g for _, row in used for g in row if cohort[g] == side}) for side in "xy"]
        values = [[figure(by.without_rater(used, g)) for g in body] for body in bodies]
        if any(v is None for body in values for v in body) or min(map(len, values)) < 2:
            assert estimate.method == "items"
            continue
        vr = sum((len(v) - 1) * np.var(v) for v in values)
        assert estimate.se_raters**2 == pytest.approx(vr, abs=1e-9)
        vir = by.label_variance(figure, used)
        if estimate is pair.xrr and estimate.se == 0 and estimate.value == 1:
            assert estimate.method == "items", "nobody disagreed: the bound comes from the number of items"
            continue
        assert estimate.method == "two_way"
        assert estimate.se**2 == pytest.approx(max(vi, vr, vi + vr - vir), abs=1e-6)
        if estimate is pair.d and estimate.low is not None:
            half = t.ppf(0.975, sum(map(len, bodies)) - 2) * estimate.se
            assert estimate.high - estimate.value == pytest.approx(half, abs=1e-9)


def test_both_paths_of_the_permutation_statistic_are_the_definition():
    rng = np.random.default_rng(2)
    for _ in range(8):
        table = by.random_table(rng, 9, 6, 3, 0.25)
        items = by.items_of(table)
        layout = PairSums(3, 1 - np.eye(3))
        tensor = _one_hot(table, np.arange(table.n_items))
        member = (rng.random((table.n_raters, 7)) < 0.5).astype(float)
        weight = np.ones(table.n_items)
        nominal, general = (f(layout, tensor, weight, member) for f in (_nominal_d, _general_d))
        assert nominal == pytest.approx(general, nan_ok=True, abs=1e-9)
        for split in range(7):
            cohort = {name: "xy"[int(member[g, split])] for g, name in enumerate(table.raters)}
            expected = by.finding(cohort)(items)
            assert by.close(None if np.isnan(nominal[split]) else float(nominal[split]), expected)


def test_flips_and_mcnemar_from_the_majorities():
    rng = np.random.default_rng(7)
    table = by.random_table(rng, 60, 6, 3, 0.1)
    cohort = cohort_of(table)
    flips = compare_cohorts(table, cohort).between[0].flips
    majorities, ties = [], 0
    for _, row in by.items_of(table):
        found = []
        for side in "xy":
            labels = [v for g, v in row.items() if cohort[g] == side]
            top = [c for c in set(labels) if labels.count(c) == max(map(labels.count, labels))]
            found.append(None if not labels else top[0] if len(top) == 1 else "tie")
        if None in found:
            continue
        if "tie" in found:
            ties += 1
        else:
            majorities.append(found)
    assert flips.ties == ties
    assert flips.rate.n_items == len(majorities)
    assert flips.rate.value == pytest.approx(np.mean([a != b for a, b in majorities]))
    for label in flips.labels:
        only_a = sum(a == label.label != b for a, b in majorities)
        only_b = sum(b == label.label != a for a, b in majorities)
        assert (label.only_a, label.only_b) == (only_a, only_b)
        assert label.p == pytest.approx(binomtest(only_a, only_a + only_b).pvalue)
        assert label.p_adjusted >= label.p


def test_the_names_of_cohorts_and_the_order_of_raters_do_not_matter():
    rng = np.random.default_rng(11)
    table = by.random_table(rng, 40, 6, 3, 0.2)
    cohort = cohort_of(table)
    pair = compare_cohorts(table, cohort).between[0]
    swapped = compare_cohorts(table, {g: {"x": "y", "y": "x"}[c] for g, c in cohort.items()}).between[0]
    assert swapped.xrr.value == pytest.approx(pair.xrr.value)
    assert swapped.d.value == pytest.approx(pair.d.value)
    assert swapped.p == pytest.approx(pair.p)
    assert swapped.alpha_a.value == pytest.approx(pair.alpha_b.value)
    assert swapped.label_use.js.value == pytest.approx(pair.label_use.js.value)
