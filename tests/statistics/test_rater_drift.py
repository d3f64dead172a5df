"""Control charts against published tables and simulation, and the look back at raters who changed."""

from __future__ import annotations

import numpy as np
import pytest

from consistency.statistics.rater_drift import bernoulli_cusum, ewma, rater_drift, tabular_cusum
from consistency.statistics.ratings import RatingsError

# NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.3 (tabular CUSUM) and 6.3.2.4 (EWMA)
CUSUM_MEANS = [
    324.925, 324.675, 324.725, 324.350, 325.350, 325.225, 324.125, 324.525, 325.225, 324.600,
    324.625, 325.150, 328.325, 327.250, 327.825, 328.500, 326.675, 327.775, 326.875, 328.350,
]  # fmt: skip
S_HIGH = [0, 0, 0, 0, 0.0325, 0, 0, 0, 0, 0, 0, 0, 3.0075, 4.94, 7.4475, 10.63, 11.9875, 14.445, 16.0025, 19.035]
S_LOW = [0, 0.0075, 0, 0.3325, 0, 0, 0.5575, 0.715, 0.1725, 0.255, 0.3125, 0, 0, 0, 0, 0, 0, 0, 0, 0]
EWMA_DATA = [
    52.0, 47.0, 53.0, 49.3, 50.1, 47.0, 51.0, 50.1, 51.2, 50.5, 49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6,
    52.1,
]  # fmt: skip
EWMA_PRINTED = [
    50.60, 49.52, 50.56, 50.18, 50.16, 49.21, 49.75, 49.85, 50.26, 50.33, 50.11, 49.36, 49.52, 50.05, 49.38, 49.92,
    50.73, 51.23, 51.94, 51.99,
]  # fmt: skip


def test_nist_tabular_cusum():
    """Example nist_cusum_6.3.2.3."""
    chart = tabular_cusum(CUSUM_MEANS, target=325, k=0.3175, h=4.1959)
    assert chart.first_alarm == 14
    assert chart.high == pytest.approx(S_HIGH, abs=1e-9)
    assert chart.low == pytest.approx(S_LOW, abs=1e-9)
    assert (chart.high[12], chart.high[13]) == pytest.approx((3.01, 4.94), abs=0.006)


def test_nist_ewma():
    chart = ewma(EWMA_DATA, target=50, sd=2.0539, weight=0.3)
    assert chart.mean == pytest.approx(EWMA_PRINTED, abs=0.006)
    assert (chart.lower[-1], chart.upper[-1]) == pytest.approx((47.4115, 52.5884), abs=0.005)
    assert chart.first_alarm is None
    assert ewma([50, 60], target=50, sd=1).first_alarm == 2
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        ewma([1], target=0, sd=1, weight=0)


def test_tabular_cusum_false_alarms_come_as_rarely_as_printed():
    """k = sd/2, h = 5 sd: a false alarm about every 465 observations (Montgomery)."""
    rng = np.random.default_rng(2)
    lengths = []
    for _ in range(120):
        found = tabular_cusum(rng.normal(0, 1, 4000), target=0, k=0.5, h=5).first_alarm
        lengths.append(found if found is not None else 4000)
    assert np.mean(lengths) == pytest.approx(465, rel=0.25)


@pytest.mark.parametrize(("p0", "p1", "arl0"), [(0.1, 0.3, 500), (0.4, 0.5, 200), (0.02, 0.1, 1000), (0.6, 0.9, 100)])
def test_run_lengths_of_the_chart_of_misses_are_those_of_a_simulation(p0, p1, arl0):
    chart = bernoulli_cusum(p0, p1, arl0=arl0)
    assert chart.arl0 >= arl0
    assert chart.arl1 < chart.arl0 / 3
    rng = np.random.default_rng(5)
    for p, expected in ((p0, chart.arl0), (p1, chart.arl1)):
        lengths = []
        for _ in range(400):
            level = n = 0
            while level < chart.limit:
                n += 1
                level = max(0, level + (chart.up if rng.random() < p else -chart.down))
            lengths.append(n)
        assert np.mean(lengths) == pytest.approx(expected, rel=0.2)
        if p == p0:
            within = np.mean(np.array(lengths) <= arl0)
            assert chart.false_alarm_within(arl0) == pytest.approx(within, abs=0.08)


def test_a_looser_limit_alarms_more_often_than_it_may():
    """Negative control: one step of a miss less, and false alarms come too often."""
    from consistency.statistics.rater_drift import _run_length

    chart = bernoulli_cusum(0.1, 0.3, arl0=500)
    assert _run_length(0.1, chart.up, chart.down, chart.limit - 1) < 500


def test_steps_follow_the_likelihood_ratio():
    chart = bernoulli_cusum(0.1, 0.3)
    assert chart.up / chart.down == pytest.approx(np.log(3) / np.log(0.9 / 0.7), rel=0.02)
    run = chart.run([0] * 50 + [1] * 10)
    assert run.high[:50].max() == 0
    assert 50 < run.first_alarm <= 60


@pytest.mark.parametrize(("p0", "p1"), [(0.0, 0.2), (0.3, 0.2), (0.5, 1.0)])
def test_rates_that_make_no_chart_are_refused(p0, p1):
    with pytest.raises(ValueError, match="between 0 and 1"):
        bernoulli_cusum(p0, p1)


def study(seed, *, drifting, n=240, raters=5, hard_end=False):
    """Answers in time order; the first rater slips more in the last third where `drifting`; hard items at the end."""
    rng = np.random.default_rng(seed)
    records, gold = [], {}
    for i in range(n):
        truth = int(rng.integers(0, 3))
        gold[f"i{i}"] = truth
        hard = hard_end and i > 2 * n / 3
        for g in range(raters):
            right = 0.5 if hard else 0.9
            if drifting and g == 0 and i > 2 * n / 3:
                right = 0.45
            label = truth if rng.random() < right else int(rng.integers(0, 3))
            records.append((f"i{i}", f"r{g}", label, i))
    order = rng.permutation(len(records))
    return [records[j] for j in order], gold


@pytest.mark.parametrize("with_gold", [False, True])
def test_a_rater_who_changed_is_found_and_the_others_are_not(with_gold):
    others = 0
    for seed in range(4):
        records, gold = study(seed, drifting=True)
        found = rater_drift(records, gold=gold if with_gold else None)
        assert found["r0"].p_adjusted < 0.05
        assert found["r0"].after < found["r0"].before - 0.2
        assert 120 < found["r0"].change_at < 200
        assert "agree less with the others'" in found["r0"].sentence
        others += sum(one.p_adjusted <= 0.05 for name, one in found.items() if name != "r0")
    assert others <= 2  # of sixteen
    assert any("No change beyond chance" in one.sentence for one in found.values())
    for word in ("careless", "bad", "lazy"):
        assert word not in found["r0"].sentence


def test_a_stretch_of_hard_items_is_no_drift_of_anybody():
    """And without the adjustment it would be: the plain credits of the same data reject."""
    from consistency.statistics.rater_drift import _look_back

    fooled = wrong = 0
    for seed in range(8):
        records, gold = study(10 + seed, drifting=False, hard_end=True)
        found = rater_drift(records, permutations=199)
        wrong += any(one.p_adjusted <= 0.05 for one in found.values())
        plain = [
            float(gold[i] == label) for i, rater, label, at in sorted(records, key=lambda r: r[3]) if rater == "r1"
        ]
        fooled += _look_back("r1", np.array(plain), 199, np.random.default_rng(0)).p <= 0.05
    assert wrong <= 2
    assert fooled >= 6


def test_false_finds_of_steady_raters_are_as_rare_as_stated():
    finds = sum(
        any(
            one.p_adjusted <= 0.05
            for one in rater_drift(study(100 + s, drifting=False, n=90)[0], permutations=199).values()
        )
        for s in range(40)
    )
    assert finds <= 6


def test_too_few_answers_two_raters_and_bad_rows():
    found = rater_drift([(f"i{i}", g, "x", i) for i in range(10) for g in "abc"])
    assert found["a"].p is None
    assert "20 or more are needed" in found["a"].sentence
    two = rater_drift([(f"i{i}", g, "xy"[(i + (g == "a")) % 2], i) for i in range(40) for g in "ab"])
    assert two["a"].labels == 0
    assert rater_drift([]) == {}
    with pytest.raises(RatingsError, match=r"row 1: expected \(item, rater, label, when\)"):
        rater_drift([("i", "r", "x")])
    same = rater_drift([(f"i{i}", g, "x", i) for i in range(30) for g in "abc"])
    assert same["a"].p_adjusted == 1.0
