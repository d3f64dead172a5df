"""Differential tests against scikit-learn, statsmodels and krippendorff (the latter a test-time oracle only)."""

from __future__ import annotations

import numpy as np
import pytest

from consistency.statistics.agreement import agree
from consistency.statistics.benchmark import benchmark
from consistency.statistics.pairs import pairs

from .engine_tables import matrix_of, psychiatric, simulated

SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval", "ratio"])
@pytest.mark.parametrize("k", [2, 5, 20])
def test_alpha_equals_the_krippendorff_package(level, k, seed):
    krippendorff = pytest.importorskip("krippendorff", reason="the oracle package is not installed")
    table = simulated(60, 5, k, seed=seed, missing=0.3)
    numbers = table.numeric
    data = np.full((table.n_raters, table.n_items), np.nan)
    data[table.rater, table.item] = numbers[table.value]
    expected = krippendorff.alpha(
        reliability_data=data, level_of_measurement=level, value_domain=sorted(set(numbers[table.value].tolist()))
    )
    assert agree(table, level=level)["krippendorff_alpha"].value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("weights", "theirs"), [("identity", None), ("linear", "linear"), ("quadratic", "quadratic")])
def test_cohen_equals_scikit_learn(seed, weights, theirs):
    from sklearn.metrics import cohen_kappa_score

    table = simulated(80, 2, 4, seed=seed)
    a, b = (table.value[table.rater == g] for g in (0, 1))
    expected = cohen_kappa_score(a, b, labels=range(4), weights=theirs)
    assert agree(table, weights=weights)["cohen_kappa"].value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_equal_statsmodels_with_their_errors(seed):
    """Fleiss, Cohen and Everitt's error; ours has the factor sqrt(n / (n-1))."""
    from statsmodels.stats.inter_rater import cohens_kappa

    table = simulated(90, 5, 3, seed=seed, missing=0.3)
    found = pairs(table)
    assert len(found) == 10
    matrix = matrix_of(table)
    for row, a, b in zip(found.rows(), found.rater_a, found.rater_b, strict=True):
        both = [(r[a], r[b]) for r in matrix if r[a] is not None and r[b] is not None]
        counts = np.zeros((3, 3))
        for x, y in both:
            counts[x, y] += 1
        theirs = cohens_kappa(counts)
        n = len(both)
        assert row["items"] == n
        assert row["cohen_kappa"].value == pytest.approx(theirs.kappa, abs=1e-12)
        assert row["cohen_kappa"].se == pytest.approx(theirs.std_kappa * np.sqrt(n / (n - 1)), rel=1e-9)
        assert row["percent_agreement"].value == pytest.approx(np.trace(counts) / n, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_weighted_pairs_equal_statsmodels_with_their_errors(seed):
    from statsmodels.stats.inter_rater import cohens_kappa

    table = simulated(120, 2, 5, seed=seed)
    counts = np.zeros((5, 5))
    a, b = (table.value[table.rater == g] for g in (0, 1))
    np.add.at(counts, (a, b), 1)
    for weights, power in (("linear", 1), ("quadratic", 2)):
        i = np.arange(5)
        theirs = cohens_kappa(counts, weights=np.abs(i[:, None] - i[None, :]) ** power)
        mine = agree(table, weights=weights)["cohen_kappa"]
        assert mine.value == pytest.approx(theirs.kappa, abs=1e-12)
        assert mine.se == pytest.approx(theirs.std_kappa * np.sqrt(120 / 119), rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_fleiss_equals_statsmodels(seed):
    from statsmodels.stats.inter_rater import fleiss_kappa

    table = simulated(70, 4, 4, seed=seed)
    assert agree(table)["fleiss_kappa"].value == pytest.approx(fleiss_kappa(table.counts()), abs=1e-12)
    assert agree(table)["brennan_prediger"].value == pytest.approx(
        fleiss_kappa(table.counts(), method="randolph"), abs=1e-12
    )


def test_icc_equals_variance_components_of_an_anova():
    """Two-way ANOVA by statsmodels on a complete table: the mean squares, hence all six forms."""
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    from consistency.statistics.icc import MeanSquares

    table = simulated(25, 4, 7, seed=3)
    x = table.numeric[table.value]
    frame = pd.DataFrame({"x": x, "item": table.item, "rater": table.rater})
    anova = anova_lm(ols("x ~ C(item) + C(rater)", frame).fit())
    ms = MeanSquares.of_grouped(table.patterns(), table.transitions())
    assert ms.between == pytest.approx(anova.loc["C(item)", "mean_sq"], rel=1e-9)
    assert ms.raters == pytest.approx(anova.loc["C(rater)", "mean_sq"], rel=1e-9)
    assert ms.residual == pytest.approx(anova.loc["Residual", "mean_sq"], rel=1e-9)
    matrix = x.reshape(25, 4)
    assert MeanSquares.of(matrix).within == pytest.approx(ms.within, rel=1e-9)


def test_quadratic_kappa_is_near_the_absolute_agreement_icc():
    """Fleiss and Cohen 1973: equal up to 1/n."""
    table = simulated(3000, 2, 5, seed=4)
    found = agree(table, level="interval", weights="quadratic")
    assert found["cohen_kappa"].value == pytest.approx(found["icc_2_1"].value, abs=2e-3)


def test_benchmark_probabilities_as_irrcac_prints_them():
    """irrCAC 0.4.4, Benchmark(coeff=0.77544, se=0.14295).landis_koch()."""
    from consistency.statistics.estimate import Estimate

    found = benchmark(Estimate(0.77544, se=0.14295))
    assert [word for word, _, _ in found.cumulative[:3]] == ["almost perfect", "substantial", "moderate"]
    assert [p for _, _, p in found.cumulative[:4]] == pytest.approx([0.39674, 0.88336, 0.99542, 0.99997], abs=1e-5)
    assert found.cumulative[-1][2] == pytest.approx(1.0)
    assert found.word == "moderate"


def test_a_word_is_never_surer_than_the_interval_beside_it():
    """Six raters: 0.43 deserves "fair" for these raters, and for raters in general (0.08 to 0.69) only "slight"."""
    for kind, word in (("items", "fair"), ("two_way", "slight")):
        estimate = agree(psychiatric(), interval=kind)["fleiss_kappa"]
        found = benchmark(estimate)
        assert found.word == word
        assert all(p <= 0.975 for _, bound, p in found.cumulative if bound > estimate.low)
