"""Intervals: which variance, which scale, whom they speak about, and that they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from consistency.statistics.agreement import agree, coefficient
from consistency.statistics.bootstrap import bootstrap_items
from consistency.statistics.coefficients import POOLED
from consistency.statistics.engine import basis_of, estimate_pooled, grouped_of
from consistency.statistics.influence import influences
from consistency.statistics.intervals import (
    ALIKE,
    NO_DISAGREEMENT,
    TOO_FEW,
    Basis,
    Variances,
    bounds,
    make_estimate,
)
from consistency.statistics.patterns import PatternTable
from consistency.statistics.ratings import RatingsTable
from consistency.statistics.simulation import RaterPopulation
from consistency.statistics.sums import Sums

from .engine_tables import from_contingency, psychiatric, simulated

FIRST = ("percent_agreement", "fleiss_kappa", "krippendorff_alpha", "gwet_ac")
LEVELS = ("nominal", "ordinal", "interval", "ratio")


# ---------------------------------------------------------------- the three variances against brute force


@pytest.mark.parametrize("level", LEVELS)
def test_gradients_are_the_derivatives(level):
    from consistency.statistics.agreement import metric_of
    from consistency.statistics.engine import sums_of
    from consistency.statistics.weights import weight_matrix

    table = simulated(60, 5, 5, seed=2, missing=0.3)
    for weights in ("identity", "quadratic"):
        w = weight_matrix(weights, table.categories, table.numeric)
        sums = Sums(5, w, metric_of(level, table.categories, table.numeric))
        t = sums_of(table.patterns(), sums)
        for c in POOLED.values():
            step = 1e-5
            numeric = [(c.value(sums, t + step * e) - c.value(sums, t - step * e)) / (2 * step) for e in np.eye(len(t))]
            assert c.gradient(sums, t) == pytest.approx(np.array(numeric), abs=1e-8), c.name


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("weights", ["identity", "linear"])
def test_the_rater_jackknife_is_the_refit_without_each_rater(level, weights):
    table = simulated(50, 6, 4, seed=4, missing=0.3)
    found = agree(table, level=level, weights=weights, interval="two_way")
    for name in (*FIRST, "brennan_prediger", "conger_kappa", "light_kappa"):
        without = np.array(
            [agree(table.without_raters([g]), level=level, weights=weights)[name].value for g in table.raters]
        )
        vr = (len(without) - 1) / len(without) * ((without - without.mean()) ** 2).sum()
        assert found[name].se_raters == pytest.approx(math.sqrt(vr), rel=1e-8), name


@pytest.mark.parametrize("name", [*FIRST, "brennan_prediger", "conger_kappa", "light_kappa"])
def test_item_variance_is_near_the_item_jackknife(name):
    table = simulated(150, 6, 3, seed=8, missing=0.2)
    mine = agree(table)[name].se_items
    keep = np.ones(table.n_items, bool)
    without = []
    for i in range(table.n_items):
        keep[i] = False
        without.append(coefficient(table.subset(items=keep), name).value)
        keep[i] = True
    without = np.array(without)
    n = len(without)
    jackknife = math.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    assert mine == pytest.approx(jackknife, rel=0.02)


@pytest.mark.parametrize("name", [*FIRST, "brennan_prediger", "conger_kappa", "light_kappa"])
def test_label_changes_are_near_the_refit_without_the_label(name):
    """Vir is made of g·(V_{p-e} - V_p); for most labels of a large table that is the change of the coefficient."""
    table = simulated(400, 6, 3, seed=9)
    one = influences(table, name)
    assert not isinstance(one, str)
    rows = np.random.default_rng(0).choice(table.n_ratings, 40, replace=False)
    keep = np.ones(table.n_ratings, bool)
    exact = []
    for row in rows:
        keep[row] = False
        exact.append(influences(table.subset(rows=keep), name).value - one.value)
        keep[row] = True
    assert one.by_label[rows] == pytest.approx(np.array(exact), abs=3e-6, rel=0.02)
    assert one.variances.labels == pytest.approx(float((one.by_label**2).sum()), rel=1e-9)


def test_two_way_error_is_the_maximum_rule():
    v = Variances(4.0, 9.0, 12.0)
    assert v.two_way == 9.0
    assert Variances(4.0, 9.0, 2.0).two_way == 11.0
    assert Variances(4.0, 1.0, 5.0).two_way == 4.0
    found = agree(simulated(200, 8, 3, seed=3))["fleiss_kappa"]
    assert found.method == "two_way"
    assert found.se >= max(found.se_items, found.se_raters)


# ---------------------------------------------------------------- which interval, for whom


def basis(raters=8, effective=8.0, pairable=100, disagreeing=50) -> Basis:
    return Basis(pairable, raters or 0, pairable * 3, pairable, disagreeing, raters, effective)


@pytest.mark.parametrize(
    ("raters", "effective", "kind", "method", "words"),
    [
        (2, 2.0, "auto", "items", "for these raters; 2 raters are too few to speak about raters in general"),
        (4, 4.0, "auto", "items", "for these raters; 4 raters are too few"),
        (4, 4.0, "two_way", "two_way", "for these raters; 4 raters are too few"),
        (5, 5.0, "auto", "two_way", "for raters and items like these"),
        (5, 4.0, "auto", "two_way", "for raters and items like these"),
        (5, 3.9, "auto", "items", "for these raters; so few of the 5 gave most labels"),
        (30, 3.0, "auto", "items", "for these raters"),
        (8, 8.0, "items", "items", "for these raters, on items like these"),
        (None, 0.0, "auto", "items", "for the raters of these labels"),
    ],
)
def test_population_follows_from_the_raters(raters, effective, kind, method, words):
    v = Variances(0.01, None if raters in (None, 2) else 0.02, 0.005)
    e = make_estimate(0.5, v, basis(raters, effective), kind=kind)
    assert e.method == method
    assert e.population.startswith(words)


def test_fewer_than_ten_raters_come_with_an_assumption():
    v = Variances(0.01, 0.02, 0.005)
    assert "no kind of rater is missing from the 9" in " ".join(make_estimate(0.5, v, basis(9, 9.0)).notes)
    assert "no kind of rater" not in " ".join(make_estimate(0.5, v, basis(10, 10.0)).notes)


def test_two_raters_have_no_rater_error():
    e = agree(simulated(60, 2, 3, seed=1), interval="two_way")["cohen_kappa"]
    assert e.se_raters is None
    assert e.method == "items"


def test_two_way_on_request_with_three_raters_keeps_the_words():
    e = agree(simulated(60, 3, 3, seed=1), interval="two_way")["fleiss_kappa"]
    assert e.method == "two_way"
    assert "3 raters are too few" in e.population


def test_degrees_of_freedom_are_the_effective_raters():
    from scipy import stats

    e = make_estimate(0.5, Variances(0.0001, 0.01, 0.0), basis(12, 6.5), scale="raw")
    assert e.high - 0.5 == pytest.approx(stats.t.ppf(0.975, 5.5) * e.se)
    e = make_estimate(0.5, Variances(0.0001), basis(3, 3.0, pairable=40), scale="raw", confidence=0.9)
    assert e.high - 0.5 == pytest.approx(stats.t.ppf(0.95, 39) * 0.01)


def test_scales_are_logit_and_atanh():
    low, high, raw = bounds(0.9, 0.05, 2.0, "unit")
    logit = math.log(9)
    assert not raw
    assert math.log(low / (1 - low)) == pytest.approx(logit - 2 * 0.05 / 0.09)
    assert math.log(high / (1 - high)) == pytest.approx(logit + 2 * 0.05 / 0.09)
    low, high, raw = bounds(-0.3, 0.05, 2.0, "kappa")
    assert math.atanh(low) == pytest.approx(math.atanh(-0.3) - 2 * 0.05 / 0.91)
    assert bounds(-1.7, 0.05, 2.0, "kappa") == pytest.approx((-1.8, -1.6, True))


def test_nobody_disagreed():
    """Lower bound ((1-c)/2)^(1/N) for agreement, and that through p_e for a coefficient."""
    table = RatingsTable.from_matrix([["x", "x"]] * 30 + [["y", "y"]] * 10)
    found = agree(table)
    least = 0.025 ** (1 / 40)
    assert found["percent_agreement"].low == pytest.approx(least)
    pe = {"fleiss_kappa": 0.75**2 + 0.25**2, "brennan_prediger": 0.5, "gwet_ac": 2 * 0.75 * 0.25, "cohen_kappa": 0.625}
    pe["krippendorff_alpha"] = (60 * 59 + 20 * 19) / (80 * 79)
    for name, chance in pe.items():
        assert found[name].low == pytest.approx((least - chance) / (1 - chance)), name
        assert found[name].high == 1.0
        assert NO_DISAGREEMENT in found[name].notes
        assert TOO_FEW in found[name].notes


def test_every_item_disagrees_alike():
    found = agree(from_contingency([[0, 15], [15, 0]]))
    for name in ("percent_agreement", "fleiss_kappa", "cohen_kappa", "gwet_ac"):
        assert found[name].value is not None
        assert found[name].low is None
        assert ALIKE in found[name].notes


def test_one_item_has_no_interval():
    e = agree(RatingsTable.from_matrix([["x", "x", "y"]]))["percent_agreement"]
    assert e.value == pytest.approx(1 / 3)
    assert (e.se, e.low, e.method) == (None, None, "none")
    assert "one item only" in " ".join(e.notes)


@pytest.mark.parametrize(("pairable", "disagreeing", "few"), [(20, 5, False), (19, 5, True), (20, 4, True)])
def test_the_limits_of_too_few_themselves(pairable, disagreeing, few):
    e = make_estimate(0.5, Variances(0.01), basis(pairable=pairable, disagreeing=disagreeing))
    assert (TOO_FEW in e.notes) == few


def test_degrees_of_freedom_that_leave_no_interval():
    """One item, or one effective rater: the error may be known, an interval is not."""
    one = make_estimate(0.5, Variances(0.01), basis(pairable=1))
    assert (one.low, one.se) == (None, 0.1)
    assert "one item only: no interval" in one.notes
    two = make_estimate(0.5, Variances(0.01), basis(pairable=2))
    assert two.low is not None
    alone = make_estimate(0.5, Variances(0.01, 0.01), basis(3, 1.0), kind="two_way")
    assert alone.low is None
    assert "one effective rater: no interval" in alone.notes
    barely = make_estimate(0.5, Variances(0.01, 0.01), basis(3, 1.5), kind="two_way")
    assert barely.low is not None


def test_too_few_to_say():
    assert TOO_FEW in agree(from_contingency([[8, 4], [3, 4]]))["fleiss_kappa"].notes
    assert TOO_FEW in agree(from_contingency([[50, 2], [2, 50]]))["fleiss_kappa"].notes
    assert TOO_FEW not in agree(from_contingency([[50, 3], [3, 50]]))["fleiss_kappa"].notes


def test_without_raters_known_only_items_speak():
    e = agree(PatternTable.from_counts(np.repeat([[3, 0], [2, 1], [0, 3]], 20, axis=0)))
    assert e["fleiss_kappa"].method == "items"
    assert "who rated what is not known" in " ".join(e["fleiss_kappa"].notes)
    assert e["conger_kappa"].undefined
    assert e["scott_pi"].undefined


# ---------------------------------------------------------------- the bootstrap


def test_the_pattern_bootstrap_is_the_item_bootstrap():
    """A replicate of the multiplicities gives the coefficient of the resampled items, exactly."""
    from consistency.statistics.agreement import metric_of
    from consistency.statistics.engine import sums_of

    table = simulated(80, 4, 3, seed=6, missing=0.2)
    p = table.patterns()
    sums = Sums(3, None, metric_of("ordinal", table.categories, table.numeric))
    rng = np.random.default_rng(3)
    for _ in range(20):
        drawn = rng.integers(0, table.n_items, table.n_items)
        counts = table.counts()[drawn]
        weights = np.bincount(p.index[drawn], minlength=p.n_patterns)
        direct = sums_of(PatternTable.from_counts(counts), sums)
        assert weights @ sums.features(p.counts) == pytest.approx(direct, abs=1e-9)


@pytest.mark.parametrize("name", [*FIRST, "conger_kappa", "light_kappa"])
def test_bootstrap_replaces_vi_and_is_near_it(name):
    table = simulated(200, 5, 3, seed=6, missing=0.1)
    plain = agree(table, interval="items")[name]
    drawn = agree(table, interval="items", bootstrap=2000, seed=4)[name]
    again = agree(table, interval="items", bootstrap=2000, seed=4)[name]
    assert drawn == again
    assert drawn.se_items != plain.se_items
    assert drawn.se_items == pytest.approx(plain.se_items, rel=0.08)
    assert "2,000 bootstrap replicates, seed 4" in " ".join(drawn.notes)
    assert agree(table, interval="items", bootstrap=2000, seed=5)[name].se_items != drawn.se_items


def test_too_many_patterns_keep_the_linearised_variance(monkeypatch):
    from consistency.statistics import byrater, engine

    table = simulated(200, 5, 3, seed=6)
    plain = agree(table)
    monkeypatch.setattr(engine, "MOST_PATTERNS", 3)
    monkeypatch.setattr(byrater, "WORK", 10)
    drawn = agree(table, bootstrap=2000)
    for name in ("fleiss_kappa", "krippendorff_alpha"):
        assert drawn[name].se_items == plain[name].se_items
        assert "the linearised variance stands" in " ".join(drawn[name].notes)
        assert "different count vectors" in " ".join(drawn[name].notes)
    for name in ("light_kappa", "conger_kappa"):
        assert drawn[name].se_items == plain[name].se_items
        assert "too many labels for a bootstrap by item" in " ".join(drawn[name].notes)


def test_too_few_replicates_are_refused():
    with pytest.raises(ValueError, match="at least 2000"):
        agree(psychiatric(), bootstrap=500)


def test_degenerate_replicates_are_counted():
    table = from_contingency([[40, 1], [0, 0]], ["x", "y"])
    e = agree(table, bootstrap=2000)["fleiss_kappa"]
    words = " ".join(e.notes)
    assert "replicates were degenerate" in words
    r = bootstrap_items(np.array([[1.0, 0.0], [1.0, 1.0]]), [40, 1], lambda t: np.where(t[:, 1:] > 0, t[:, 1:], np.nan))
    assert r.degenerate[0] == pytest.approx(2000 * (40 / 41) ** 41, abs=60)


# ---------------------------------------------------------------- coverage


def coverage(population, n, r, runs, seed, kind):
    """Share of runs whose interval holds the value for raters and items in general."""
    rng = np.random.default_rng(seed)
    k = len(population.prevalence)
    sums = Sums(k, None, 1 - np.eye(k))
    hits = dict.fromkeys(FIRST, 0)
    for _ in range(runs):
        grouped = grouped_of(population.draw(n, r, rng))
        found = estimate_pooled(grouped, [POOLED[c] for c in FIRST], sums, kind=kind)
        for name in FIRST:
            hits[name] += found[name].low <= population.values[name] <= found[name].high
    return {name: h / runs for name, h in hits.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("r", "n"), [(10, 300), (30, 1000)])
def test_the_interval_covers_new_raters_and_items(r, n):
    covered = coverage(RaterPopulation.of(3), n, r, 200, seed=1, kind="auto")
    for name, share in covered.items():
        assert abs(share - 0.95) <= 0.03 + 1e-9, (name, share)


@pytest.mark.slow
def test_resampling_items_alone_does_not_cover_new_raters():
    """Negative control, and the reason for all this: what the usual packages print."""
    covered = coverage(RaterPopulation.of(3), 300, 10, 200, seed=20, kind="items")
    assert max(covered.values()) < 0.75


@pytest.mark.slow
def test_items_only_covers_where_raters_do_not_differ():
    """For the same raters, items-only is right: with identical raters there is nothing else."""
    covered = coverage(RaterPopulation.of(3, concentration=math.inf), 300, 10, 200, seed=21, kind="items")
    assert min(covered.values()) >= 0.92


def test_the_simulated_population_has_the_values_it_claims():
    population = RaterPopulation.of(3, skew=1.5)
    table = population.draw(40_000, 400, np.random.default_rng(1))
    found = agree(table, interval="items")
    for name in FIRST:
        assert found[name].value == pytest.approx(population.values[name], abs=0.01)


def test_basis_counts_only_labels_that_can_agree():
    table = RatingsTable.from_records(
        [
            ("i", "gene", "x"),
            ("i", "gina", "y"),
            ("j", "gene", "x"),
            ("k", "ella", "x"),
            ("l", "gene", "x"),
            ("l", "gina", "x"),
        ]
    )
    b = basis_of(grouped_of(table))
    assert (b.n_items, b.n_raters, b.n_ratings) == (4, 3, 6)
    assert (b.pairable, b.disagreeing, b.raters, b.effective_raters) == (2, 1, 2, 2.0)
