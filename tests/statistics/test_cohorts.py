"""Cohorts: the toy of the xRR paper's definition, the floors, and what is said when numbers are too small."""

from __future__ import annotations

import numpy as np
import pytest

from consistency.statistics.agreement import krippendorff_alpha
from consistency.statistics.cohort_sums import PairSums
from consistency.statistics.cohort_test import permute_raters, smallest_p
from consistency.statistics.cohorts import cohort_tables, cohorts_of_raters, compare_cohorts
from consistency.statistics.ratings import RatingsError, RatingsTable

X = [[1, 1], [0, 0], [1, 0], [1, 1]]
Y = [[1, 1], [0, 1], [0, 0], [1, 1]]
KEYS = {"a", "b", "xrr", "normalised_xrr", "gai_a", "gai_b", "d", "p", "floor", "sentence"}


def toy() -> RatingsTable:
    return RatingsTable.from_matrix([a + b for a, b in zip(X, Y, strict=True)])


def two_groups(
    seed: int, *, first: int = 4, second: int = 4, n: int = 200, shift: float = 0.3, noise: float = 0.1
) -> tuple[RatingsTable, dict[str, str]]:
    """Two cohorts that put the threshold of one score `shift` apart; `noise` is each rater's own."""
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    threshold = np.where(np.arange(first + second) < first, 0.5 - shift / 2, 0.5 + shift / 2)
    value = (score[:, None] + rng.normal(0, noise, (n, first + second)) > threshold).astype(int)
    names = [f"g{j}" for j in range(first)] + [f"t{j}" for j in range(second)]
    table = RatingsTable.from_records((f"i{i}", names[g], value[i, g]) for i in range(n) for g in range(first + second))
    return table, {name: "generalist" if name.startswith("g") else "target_user" for name in names}


def test_the_toy_of_four_items():
    """X and Y of two raters each: d_o .25, d_e .46875, kappa_x .4667, normalised .875. (Example xrr_toy_4x2x2.)"""
    comparison = compare_cohorts(toy(), ["x", "x", "y", "y"])
    pair = comparison.between[0]
    assert pair.xrr.value == pytest.approx(0.466667, abs=1e-6)
    assert pair.normalised_xrr.value == pytest.approx(0.875, abs=1e-6)
    assert pair.alpha_a.value == pytest.approx(0.533333, abs=1e-6)
    assert pair.alpha_b.value == pytest.approx(0.533333, abs=1e-6)
    assert pair.d.value == pytest.approx(0.466667 - 0.533333, abs=1e-6)
    layout = PairSums(2, 1 - np.eye(2))
    observed, expected = layout.disagreements(
        layout.vectors(np.array([[0, 2, 0, 2], [2, 0, 1, 1], [1, 1, 2, 0], [0, 2, 0, 2]]), np.zeros(0, int)).sum(axis=0)
    )
    assert (float(observed), float(expected)) == (pytest.approx(0.25), pytest.approx(0.46875))


def test_gai_is_not_printed_when_xrr_may_be_near_nothing():
    pair = compare_cohorts(toy(), ["x", "x", "y", "y"]).between[0]
    for gai in (pair.gai_a, pair.gai_b):
        assert gai.value is None
        assert gai.undefined.startswith("too unstable: read the two parts")
    assert pair.floor == pytest.approx(1 / 3)
    assert "cannot reach significance" in pair.sentence


@pytest.mark.parametrize(
    ("first", "second", "floor"),
    [(2, 2, 0.33), (2, 3, 0.10), (2, 4, 0.067), (3, 3, 0.10), (2, 5, 0.048), (3, 4, 0.029), (4, 4, 0.029)],
)
def test_floors(first, second, floor):
    assert smallest_p(first, second) == pytest.approx(floor, abs=0.0051)
    assert smallest_p(second, first) == smallest_p(first, second)
    assert (smallest_p(first, second) <= 0.05) == (floor <= 0.05)


def test_the_floor_of_sampled_splits_is_what_the_draws_allow():
    assert smallest_p(20, 20) == pytest.approx(1 / 10_000)


def test_a_threshold_difference_is_found_and_worded():
    table, cohort = two_groups(1)
    pair = compare_cohorts(table, cohort).between[0]
    assert pair.d.value < 0
    assert pair.p == pytest.approx(2 / 70)
    assert pair.floor == pytest.approx(2 / 70)
    assert "matters" in pair.sentence
    assert pair.gai_a.value > 1
    assert pair.gai_a.low < pair.gai_a.value < pair.gai_a.high
    assert pair.alpha_difference.value == pytest.approx(pair.alpha_a.value - pair.alpha_b.value)
    assert pair.label_use.differences["1"].value < 0
    assert pair.label_use.differences["1"].value == pytest.approx(-pair.label_use.differences["0"].value)
    one_way = next(f for f in pair.flips.labels if f.label == "1")
    assert one_way.only_a > 0
    assert one_way.only_b == 0
    assert one_way.p < 0.001


def test_no_difference_is_not_found():
    """Twelve data sets without a difference: p is not small more often than it may be."""
    found = [compare_cohorts(*two_groups(seed, shift=0.0, n=80)).between[0] for seed in range(12)]
    assert sum(pair.p <= 0.05 for pair in found) <= 3
    assert all("No sign beyond chance" in pair.sentence for pair in found if pair.p > 0.05)


def test_three_against_three_prints_the_floor_whatever_the_difference():
    pair = compare_cohorts(*two_groups(1, first=3, second=3, shift=0.5)).between[0]
    assert pair.p == pair.floor == pytest.approx(0.1)
    assert "cannot reach significance" in pair.sentence
    assert "matters:" not in pair.sentence


def test_a_cohort_of_one_has_xrr_but_no_finding():
    table, cohort = two_groups(2, first=1, second=4)
    pair = compare_cohorts(table, cohort).between[0]
    assert pair.xrr.value is not None
    assert pair.xrr.method == "items"
    assert "one rater in a cohort is too few" in pair.xrr.population
    assert pair.d.value is None
    assert pair.d.undefined.startswith("within generalist: only one rater")
    assert pair.p is None
    assert pair.floor == pytest.approx(1 / 5)
    assert compare_cohorts(table, cohort).within["generalist"]["fleiss_kappa"].value is None


def test_two_raters_a_cohort_give_xrr_two_ways_but_ratios_for_these_raters():
    pair = compare_cohorts(*two_groups(3, first=2, second=2)).between[0]
    assert pair.xrr.method == "two_way"
    assert pair.normalised_xrr.method == "items"
    assert "2 raters in a cohort are too few" in pair.normalised_xrr.population
    assert pair.d.method == "items", "dropping one of two raters leaves no alpha"


def test_no_common_items_and_one_label():
    apart = RatingsTable.from_records([("a", "g0", 1), ("a", "g1", 0), ("b", "t0", 1), ("b", "t1", 0)])
    pair = compare_cohorts(apart, {"g0": "g", "g1": "g", "t0": "t", "t1": "t"}).between[0]
    assert pair.xrr.undefined == "no item was rated by both cohorts"
    assert pair.flips.rate.undefined == "no item was rated by both cohorts"
    assert pair.sentence == "g and t cannot be compared: no item was rated by both cohorts."
    same = RatingsTable.from_records([(i, g, "x") for i in "ab" for g in ("g0", "g1", "t0", "t1")])
    pair = compare_cohorts(same, {"g0": "g", "g1": "g", "t0": "t", "t1": "t"}).between[0]
    assert pair.xrr.undefined.startswith("both cohorts gave one and the same label")
    assert pair.flips.rate.value == 0.0


def test_perfect_agreement_across_has_a_bound_from_the_number_of_items():
    rows = [(f"i{i}", g, i % 2) for i in range(30) for g in ("g0", "g1", "t0", "t1")]
    pair = compare_cohorts(RatingsTable.from_records(rows), {"g0": "g", "g1": "g", "t0": "t", "t1": "t"}).between[0]
    assert pair.xrr.value == 1.0
    assert pair.xrr.high == 1.0
    assert pair.xrr.low == pytest.approx((0.025 ** (1 / 30) - 0.5) / 0.5)
    assert pair.gai_a.value == pytest.approx(1.0)


def test_raters_without_a_cohort_are_left_out_and_counted():
    table, cohort = two_groups(4)
    del cohort["t3"]
    comparison = compare_cohorts(table, cohort)
    assert comparison.excluded == {"raters_without_cohort": 1}
    assert comparison.raters == {"generalist": 4, "target_user": 3}
    nobody = compare_cohorts(table, {})
    assert nobody.within == {}
    assert nobody.between == ()
    assert nobody.as_json() == {"within": {}, "between": []}


def test_a_rater_in_two_cohorts_is_refused_by_name():
    with pytest.raises(
        RatingsError, match=r"row 3: rater 'gene' is in cohort 'expert' here and in 'generalist' before"
    ):
        cohorts_of_raters(["gene", "ella", "gene"], ["generalist", "expert", "expert"])
    assert cohorts_of_raters(["gene", "tom"], ["generalist", None]) == {"gene": "generalist"}
    with pytest.raises(ValueError, match="3 cohorts are given for 4 raters"):
        compare_cohorts(toy(), ["x", "x", "y"])


def test_within_is_what_the_cohort_alone_would_get():
    table, cohort = two_groups(5)
    comparison = compare_cohorts(table, cohort)
    alone = cohort_tables(table, cohort)["generalist"]
    assert comparison.within["generalist"]["krippendorff_alpha"] == krippendorff_alpha(alone)


def test_three_cohorts_give_three_pairs_with_corrected_p():
    table, cohort = two_groups(6, first=4, second=8)
    cohort |= {f"t{j}": "expert" for j in range(4)}
    comparison = compare_cohorts(table, cohort)
    assert [(p.a, p.b) for p in comparison.between] == [
        ("expert", "generalist"),
        ("expert", "target_user"),
        ("generalist", "target_user"),
    ]
    raw = [p.p for p in comparison.between]
    assert all(p.p_adjusted >= p.p for p in comparison.between)
    assert max(p.p_adjusted for p in comparison.between) == pytest.approx(max(raw))
    tight = [p for p in comparison.between if p.p <= 0.05]
    assert tight
    assert all("Over 3 pairs these raters are too few for a correction" in p.sentence for p in tight)


def test_json_has_exactly_the_keys_of_the_contract():
    found = compare_cohorts(*two_groups(7)).as_json()
    assert set(found) == {"within", "between"}
    assert set(found["within"]) == {"generalist", "target_user"}
    assert set(found["between"][0]) == KEYS
    for key in ("xrr", "normalised_xrr", "gai_a", "gai_b", "d"):
        assert (found["between"][0][key]["value"] is None) == bool(found["between"][0][key]["undefined"])


def test_exchanging_raters_is_what_protects():
    """Negative control: raters differ one by one, cohorts are drawn by lot. An interval over items only would call
    a cohort effect far too often; the permutation of raters does not."""
    fooled, rejected = 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        threshold = rng.normal(0.5, 0.2, 8)
        value = (rng.random((150, 1)) + rng.normal(0, 0.05, (150, 8)) > threshold).astype(int)
        table = RatingsTable.from_matrix(value.tolist())
        pair = compare_cohorts(table, ["a", "b"] * 4, interval="items").between[0]
        fooled += pair.d.high < 0 or pair.d.low > 0
        rejected += pair.p <= 0.05
    assert fooled >= 12
    assert rejected <= 4


def test_sampled_items_and_sampled_splits_agree_with_all_of_them():
    table, cohort = two_groups(8, first=5, second=5, n=400)
    in_second = np.array([cohort[name] == "target_user" for name in table.raters])
    layout = PairSums(2, 1 - np.eye(2))
    whole = permute_raters(table, in_second, layout)
    assert whole.exact
    assert whole.splits == 252
    assert whole.p == pytest.approx(2 / 252)
    drawn = permute_raters(table, in_second, layout, most_exact=10, sampled=999)
    assert not drawn.exact
    assert drawn.p < 0.03
    part = permute_raters(table, in_second, layout, work=2 * 253 * 60)
    assert part.sampled
    assert part.p <= 0.05


@pytest.mark.parametrize("level", ["ordinal", "interval"])
def test_other_levels_run_through_the_general_path(level):
    rng = np.random.default_rng(3)
    score = rng.normal(3, 1, 60)
    value = np.clip(np.rint(score[:, None] + rng.normal(0, 0.5, (60, 6)) + 0.8 * (np.arange(6) < 3)), 1, 5).astype(int)
    table = RatingsTable.from_matrix(value.tolist(), categories=[1, 2, 3, 4, 5])
    pair = compare_cohorts(table, ["a"] * 3 + ["b"] * 3, level=level).between[0]
    assert -1 < pair.xrr.value < min(pair.alpha_a.value, pair.alpha_b.value)
    assert pair.d.value < 0
    assert pair.p == pytest.approx(0.1)


def test_interval_xrr_from_its_definition():
    x, y = np.array([[1, 2], [3, 5], [4, 4]]), np.array([[2, 2], [4, 5], [1, 3]])
    table = RatingsTable.from_matrix(np.hstack([x, y]).tolist(), categories=[1, 2, 3, 4, 5])
    observed = np.mean([np.mean([(a - b) ** 2 for a in r for b in s]) for r, s in zip(x, y, strict=True)])
    expected = np.mean([(a - b) ** 2 for a in x.ravel() for b in y.ravel()])
    pair = compare_cohorts(table, ["x", "x", "y", "y"], level="interval").between[0]
    assert pair.xrr.value == pytest.approx(1 - observed / expected)
