"""Label-distribution drift: the alarms of the course, what chance alone gives, and items that stay together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency

from consistency.statistics.drift import compare_distributions, compare_tables, js_divergence, l_infinity, psi
from consistency.statistics.ratings import RatingsTable


def test_convention_shares_raise_the_alarm():
    """AC-16: (.70, .30) to (.58, .42) is L-infinity .12 against .03."""
    assert l_infinity([0.70, 0.30], [0.58, 0.42]) == pytest.approx(0.12)
    drift = compare_distributions({"Um…": 700, "Um,": 300}, {"Um…": 580, "Um,": 420})
    assert drift.l_infinity.value == pytest.approx(0.12)
    assert drift.threshold == 0.03
    assert drift.alarm
    assert "went from 70.0 % to 58.0 %: above the limit of 3 points" in drift.sentence


@pytest.mark.parametrize("value", [0.0325464, 0.0342144])
def test_one_threshold_alarms_and_the_next_passes(value):
    n = 10_000_000
    before, after = {"a": n // 2, "b": n // 2}, {"a": round(n * (0.5 + value)), "b": n - round(n * (0.5 + value))}
    assert compare_distributions(before, after, threshold=0.03, permutations=9).alarm
    passed = compare_distributions(before, after, threshold=0.035, permutations=9)
    assert passed.l_infinity.value == pytest.approx(value, abs=1e-7)
    assert not passed.alarm


def test_figures_against_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.multinomial(400, [0.5, 0.3, 0.2]), rng.multinomial(300, [0.4, 0.3, 0.3])
    drift = compare_distributions(dict(zip("abc", x.tolist(), strict=True)), dict(zip("abc", y.tolist(), strict=True)))
    p, q = x / x.sum(), y / y.sum()
    assert drift.js.value == pytest.approx(jensenshannon(p, q, base=2) ** 2)
    assert drift.js_distance == pytest.approx(jensenshannon(p, q, base=2))
    test = chi2_contingency(np.array([x, y]), correction=False)
    assert drift.chi_square.statistic == pytest.approx(test.statistic)
    assert drift.chi_square.p == pytest.approx(test.pvalue)
    assert drift.chi_square.df == 2
    assert drift.cramers_v.value == pytest.approx(np.sqrt(test.statistic / 700))
    smooth_p, smooth_q = (x + 0.5) / (x + 0.5).sum(), (y + 0.5) / (y + 0.5).sum()
    assert drift.psi.value == pytest.approx(((smooth_p - smooth_q) * np.log(smooth_p / smooth_q)).sum())
    assert psi(x.tolist(), y.tolist()) == pytest.approx(drift.psi.value)
    assert drift.psi_by_chance == pytest.approx(2 * (1 / 400 + 1 / 300))
    for estimate in (drift.l_infinity, drift.js, drift.psi, drift.cramers_v):
        assert estimate.low <= estimate.value <= estimate.high


def test_chance_alone_is_told_from_drift():
    """Equal distributions: PSI is near its expectation and the tests reject about as often as they may."""
    rng = np.random.default_rng(1)
    rejected, values = 0, []
    for _ in range(60):
        x, y = rng.multinomial(500, [0.6, 0.3, 0.1]), rng.multinomial(500, [0.6, 0.3, 0.1])
        drift = compare_distributions(
            dict(zip("abc", x.tolist(), strict=True)), dict(zip("abc", y.tolist(), strict=True)), permutations=99
        )
        rejected += drift.chi_square.p <= 0.05
        values.append(drift.psi.value)
    assert rejected <= 8
    assert np.mean(values) == pytest.approx(drift.psi_by_chance, rel=0.35)


def test_small_counts_use_permutations():
    drift = compare_distributions({"a": 5, "b": 1}, {"a": 2, "b": 4})
    assert drift.chi_square.method == "permutation of labels"
    # exact: P(statistic at least as large) over the hypergeometric splits of 7 a and 5 b
    from scipy.stats import hypergeom

    observed = abs(5 - 6 * 7 / 12)
    exact = sum(hypergeom.pmf(k, 12, 7, 6) for k in range(7) if abs(k - 3.5) >= observed - 1e-9)
    assert drift.chi_square.p == pytest.approx(exact, abs=0.05)


def test_items_stay_together():
    """Ten copies of each label: taken as independent they alarm, as items they do not."""
    rng = np.random.default_rng(4)
    fooled = kept = 0
    for _ in range(15):
        tables, counts = [], []
        for _ in range(2):
            label = (rng.random(25) < 0.5).astype(int)
            tables.append(
                RatingsTable.from_codes(
                    np.repeat(np.arange(25), 10),
                    np.tile(np.arange(10), 25),
                    np.repeat(label, 10),
                    categories=["a", "b"],
                )
            )
            counts.append({"a": int(10 * (label == 0).sum()), "b": int(10 * label.sum())})
        fooled += compare_distributions(*counts, permutations=99).chi_square.p <= 0.05
        kept += compare_tables(*tables, permutations=199).chi_square.p <= 0.05
    assert fooled >= 5
    assert kept <= 3


def test_tables_with_different_labels():
    before = RatingsTable.from_records([(f"i{i}", g, "yes") for i in range(30) for g in "xy"])
    after = RatingsTable.from_records([(f"j{i}", g, "maybe" if i < 10 else "yes") for i in range(30) for g in "xy"])
    drift = compare_tables(before, after)
    assert drift.new_labels == ("maybe",)
    assert drift.lost_labels == ()
    assert drift.l_infinity.value == pytest.approx(1 / 3)
    assert drift.chi_square.method == "permutation of items"
    assert "Not seen before: maybe." in drift.sentence
    assert drift.js.n_items == 60


def test_empty_sides_and_one_label_are_sentences():
    empty = compare_distributions({}, {"a": 3})
    assert empty.l_infinity.undefined == "the first sample has no labels"
    assert not empty.alarm
    single = compare_distributions({"a": 5}, {"a": 9})
    assert single.l_infinity.value == 0.0
    assert single.chi_square.undefined.startswith("only one label was ever used")
    assert single.cramers_v.value is None
    with pytest.raises(ValueError, match="before: the count of label 'a' must be a whole number"):
        compare_distributions({"a": -1}, {"a": 2})


def test_each_figure_says_what_it_assumes():
    drift = compare_distributions({"a": 50, "b": 50}, {"a": 60, "b": 40})
    assert set(drift.assumes) == {"l_infinity", "js", "psi", "chi_square", "permutation"}
    assert "independent" in drift.assumes["chi_square"]
    assert js_divergence([0.5, 0.5], [0.5, 0.5]) == 0.0
