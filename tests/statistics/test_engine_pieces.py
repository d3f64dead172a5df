"""Per label, per item, two raters, weights, distances, benchmarks: the smaller parts of the engine."""

from __future__ import annotations

import numpy as np
import pytest

from consistency.statistics.agreement import agree, coefficient, krippendorff_alpha
from consistency.statistics.benchmark import benchmark
from consistency.statistics.categories import per_category
from consistency.statistics.distances import distance, distances
from consistency.statistics.estimate import Estimate
from consistency.statistics.icc import icc
from consistency.statistics.intervals import TOO_FEW
from consistency.statistics.items import item_intervals, item_statistics
from consistency.statistics.nulltest import fleiss_null_test
from consistency.statistics.pairs import pairs
from consistency.statistics.patterns import PatternTable
from consistency.statistics.ratings import RatingsError, RatingsTable
from consistency.statistics.tworaters import bangdiwala_b, contingency, two_by_two
from consistency.statistics.weights import WEIGHTS, weight_matrix

from .engine_tables import from_contingency, matrix_of, psychiatric, simulated

# ---------------------------------------------------------------- per label


@pytest.mark.parametrize("seed", range(5))
def test_per_category_by_definition(seed):
    table = simulated(40, 5, 4, seed=seed, missing=0.4)
    rows = [[v for v in row if v is not None] for row in matrix_of(table)]
    found = per_category(table)
    for k, label in enumerate(table.categories):
        m = [(row.count(k), len(row)) for row in rows]
        specific = sum(a * (a - 1) for a, _ in m) / sum(a * (r - 1) for a, r in m)
        assert found[label].specific_agreement.value == pytest.approx(specific, abs=1e-12)
        collapsed = RatingsTable.from_codes(
            table.item, table.rater, (table.value == k).astype(int), categories=["rest", label]
        )
        fleiss = agree(collapsed)["fleiss_kappa"]
        for field in ("value", "se", "se_items", "se_raters", "low", "high"):
            assert getattr(found[label].kappa, field) == pytest.approx(getattr(fleiss, field), abs=1e-10), field
        assert found[label].count == sum(a for a, _ in m)


def test_specific_agreement_has_the_jackknifes_error():
    table = simulated(200, 5, 3, seed=7, missing=0.2)
    mine = per_category(table)["1"].specific_agreement
    keep, without = np.ones(table.n_items, bool), []
    for i in range(table.n_items):
        keep[i] = False
        without.append(per_category(table.subset(items=keep))["1"].specific_agreement.value)
        keep[i] = True
    n, without = len(without), np.array(without)
    assert mine.se_items == pytest.approx(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()), rel=0.02)
    raters = np.array([per_category(table.without_raters([g]))["1"].specific_agreement.value for g in table.raters])
    assert mine.se_raters == pytest.approx(np.sqrt(4 / 5 * ((raters - raters.mean()) ** 2).sum()), rel=1e-9)


def test_labels_nobody_gave_or_gave_alone():
    table = RatingsTable.from_records(
        [("i", "gene", "x"), ("i", "gina", "x"), ("j", "gene", "x"), ("j", "gina", "y"), ("k", "gene", "z")],
        categories=["x", "y", "z", "w"],
    )
    found = per_category(table)
    assert found["w"].count == 0
    assert "nobody gave this label" in found["w"].kappa.undefined
    assert "no item with two ratings has this label" in found["z"].specific_agreement.undefined
    assert found["y"].specific_agreement.value == 0.0
    assert TOO_FEW in found["x"].specific_agreement.notes
    alone = per_category(RatingsTable.from_records([("i", "gene", "x"), ("i", "gina", "x")], categories=["x", "y"]))
    assert alone["x"].specific_agreement.value == 1.0
    assert "same category" in alone["x"].kappa.undefined
    nothing = per_category(RatingsTable.from_records([("i", "gene", "x")]))
    assert "only one rater" in nothing["x"].kappa.undefined


def test_one_item_and_single_ratings_by_definition():
    """One item with two ratings, one with a single rating: shares count both, agreement only the first."""
    table = RatingsTable.from_records([("i", "g", "x"), ("i", "h", "y"), ("j", "g", "x")])
    found = per_category(table)["x"]
    assert found.specific_agreement.value == 0.0
    share = (0.5 + 1.0) / 2
    assert found.kappa.value == pytest.approx(1 - 1 / (2 * share * (1 - share)))


def test_a_rare_label_is_bounded_by_its_own_items():
    """Three unanimous items with the label, a thousand without: the bound comes from three, not from a thousand."""
    rows = [["rare", "rare"]] * 3 + [["common", "common"]] * 1000
    e = per_category(RatingsTable.from_matrix(rows))["rare"].specific_agreement
    assert e.value == 1.0
    assert e.low == pytest.approx(0.025 ** (1 / 3))


# ---------------------------------------------------------------- per item


def test_item_statistics_by_definition():
    s = item_statistics([[2, 1, 0], [4, 0, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0]])
    assert s.ratings.tolist() == [3, 4, 3, 1, 0]
    assert s.agreement[:3] == pytest.approx([1 / 3, 1.0, 0.0])
    assert np.isnan(s.agreement[3:]).all()
    h = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))
    assert s.entropy[:4] == pytest.approx([h, 0.0, np.log2(3), 0.0])
    assert s.entropy_share[2] == pytest.approx(1.0)
    assert s.entropy_corrected[0] == pytest.approx(h + 1 / (6 * np.log(2)))
    assert s.margin[:3] == pytest.approx([1 / 3, 1.0, 0.0])
    assert s.minority[:3] == pytest.approx([1 / 3, 0.0, 2 / 3])
    assert np.isnan(s.entropy[4])
    assert np.isnan(s.margin[4])


def test_item_intervals_respect_few_ratings_and_are_exact_for_two_labels():
    from scipy import stats

    b = item_intervals([[3, 0], [30, 0], [3, 0]], draws=20_000)
    assert b.agreement[0].tolist() == b.agreement[2].tolist()
    assert b.agreement[0, 0] < 0.6 < b.agreement[1, 0]
    # p ~ Beta(3.5, .5); p² + q² rises with |p - 1/2|
    p = stats.beta(3.5, 0.5).ppf(0.025)
    expected = p * p + (1 - p) ** 2 if p > 0.5 else None
    if expected is not None:
        assert b.agreement[0, 0] == pytest.approx(expected, abs=0.02)
    assert (b.entropy[:, 0] <= b.entropy[:, 1]).all()
    alone = item_intervals([[30, 0]], draws=20_000)
    assert alone.agreement[0].tolist() == b.agreement[1].tolist()


def test_item_intervals_cover():
    """Prior predictive: items drawn from the prior are covered at the nominal rate."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.5, 0.5, 0.5], 400)
    counts = np.array([rng.multinomial(5, row) for row in p])
    b = item_intervals(counts).agreement
    truth = (p * p).sum(axis=1)
    assert abs(((b[:, 0] <= truth) & (truth <= b[:, 1])).mean() - 0.95) < 0.035


# ---------------------------------------------------------------- two raters


def test_contingency_leaves_out_items_of_one_rater():
    table = RatingsTable.from_records(
        [("i", "a", "x"), ("i", "b", "y"), ("j", "a", "x"), ("k", "b", "y"), ("k", "a", "y")]
    )
    assert contingency(table).tolist() == [[0, 1], [0, 1]]
    with pytest.raises(ValueError, match="here are 6"):
        contingency(psychiatric())


def test_prevalence_and_bias():
    t = two_by_two([[80, 10], [5, 5]])
    assert (t.prevalence_index, t.bias_index) == pytest.approx((0.75, 0.05))
    assert two_by_two([[5, 0], [0, 0]]).negative_agreement is None
    for wrong in ([[1, 2, 3]], [[0, 0], [0, 0]]):
        with pytest.raises(ValueError, match=r"2 x 2|empty"):
            two_by_two(wrong)


def test_bangdiwala_edges():
    assert bangdiwala_b(from_contingency([[10, 0], [0, 10]])).value == 1.0
    assert "share no label" in bangdiwala_b(from_contingency([[0, 5], [0, 0]])).undefined
    assert "two raters" in bangdiwala_b(psychiatric()).undefined


def test_bangdiwalas_error_is_the_jackknifes():
    table = from_contingency([[30, 6], [4, 20]])
    keep, without = np.ones(60, bool), []
    for i in range(60):
        keep[i] = False
        without.append(bangdiwala_b(table.subset(items=keep)).value)
        keep[i] = True
    without = np.array(without)
    expected = np.sqrt(59 / 60 * ((without - without.mean()) ** 2).sum())
    assert bangdiwala_b(table).se == pytest.approx(expected, rel=0.03)


# ---------------------------------------------------------------- weights and distances


def test_weights_as_published():
    """irrCAC's matrices for categories 1..4 (Gwet 2014, chapter 3)."""
    x = np.arange(1.0, 5.0)
    assert WEIGHTS["linear"](x)[0] == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert WEIGHTS["quadratic"](x)[0] == pytest.approx([1, 8 / 9, 5 / 9, 0])
    assert WEIGHTS["ordinal"](x)[0] == pytest.approx([1, 5 / 6, 1 / 2, 0])
    assert WEIGHTS["radical"](x)[0] == pytest.approx([1, 1 - np.sqrt(1 / 3), 1 - np.sqrt(2 / 3), 0])
    assert WEIGHTS["ratio"](x)[0] == pytest.approx([1, 1 - (1 / 3) ** 2 / 0.36, 1 - 0.25 / 0.36, 0])
    assert WEIGHTS["circular"](x)[0] == pytest.approx([1, 0.5, 0, 0.5])
    assert WEIGHTS["circular"](x[:3])[0] == pytest.approx([1, 0, 0])
    for name in WEIGHTS:
        w = weight_matrix(name, ("1", "2", "3", "4"), x)
        assert np.allclose(w, w.T)
        assert np.allclose(np.diag(w), 1)


def test_weights_use_numbers_else_the_declared_order():
    uneven = weight_matrix("linear", ("1", "2", "10"), np.array([1.0, 2.0, 10.0]))
    assert uneven[0, 1] == pytest.approx(8 / 9)
    words = weight_matrix("linear", ("low", "middle", "high"), None)
    assert words[0, 1] == pytest.approx(0.5)
    assert weight_matrix("ordinal", ("1", "2", "10"), np.array([1.0, 2.0, 10.0]))[0, 1] == pytest.approx(2 / 3)
    assert weight_matrix("quadratic", ("5",), np.array([5.0])).tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("cubic", "unknown weights 'cubic': use one of identity, linear"),
        (np.eye(3), "but there are 2 categories"),
        ([[1, 0.2], [0.3, 1]], "symmetric"),
        ([[0.9, 0], [0, 1]], "symmetric, 1 on the diagonal"),
    ],
)
def test_wrong_weights_are_refused(weights, words):
    with pytest.raises(ValueError, match=words):
        weight_matrix(weights, ("a", "b"), None)
    with pytest.raises(ValueError, match="not negative"):
        weight_matrix("ratio", ("-1", "2"), np.array([-1.0, 2.0]))


def test_ratio_scales_may_start_at_nothing():
    """0 and 0 are equal, 0 and anything else as far apart as can be."""
    w = weight_matrix("ratio", ("0", "1", "3"), np.array([0.0, 1.0, 3.0]))
    assert w[0].tolist() == [1.0, 0.0, 0.0]
    table = RatingsTable.from_matrix([[0, 0, 1], [3, 3, 3], [1, 1, 3], [0, 0, 0]])
    assert agree(table, level="ratio")["krippendorff_alpha"].value == pytest.approx(
        krippendorff_alpha(table, metric=[[0, 1, 1], [1, 0, 0.25], [1, 0.25, 0]]).value
    )


def test_distances_are_found_by_slug():
    assert {"nominal", "ordinal", "interval", "ratio"} <= set(distances())
    with pytest.raises(ValueError, match="unknown distance 'cosine'"):
        distance("cosine")
    assert distance("ordinal").between("low", "middle", scale=["low", "middle", "high"]) == 0.5
    assert distance("ordinal").between("low", "odd", scale=["low", "middle", "high"]) == 1.0
    assert distance("interval").between("2", 5, scale=[1, 7]) == 0.5
    assert distance("interval").between(2, 2) == 0.0
    assert distance("ratio").between(0, 0) == 0.0
    for slug in ("nominal", "ordinal", "interval", "ratio"):
        d = distance(slug)
        for a, b in ((1, 1), (1, 4), (4, 1)):
            assert 0 <= d.between(a, b, scale=[1, 2, 3, 4]) <= 1
        assert d.between(1, 4, scale=[1, 2, 3, 4]) == d.between(4, 1, scale=[1, 2, 3, 4])


def test_alpha_with_a_metric_of_ones_own():
    table = simulated(30, 4, 3, seed=1)
    assert krippendorff_alpha(table, metric=1 - np.eye(3)).value == pytest.approx(
        agree(table)["krippendorff_alpha"].value
    )
    x = table.numeric
    squares = (x[:, None] - x[None, :]) ** 2
    assert krippendorff_alpha(table, metric=7 * squares) == krippendorff_alpha(table, metric=7 * squares)
    assert krippendorff_alpha(table, metric=7 * squares).value == pytest.approx(
        krippendorff_alpha(table, level="interval").value
    )
    for wrong in (np.ones((3, 3)), np.eye(2), -(1 - np.eye(3)), np.triu(np.ones((3, 3)), 1)):
        with pytest.raises(ValueError, match="metric"):
            krippendorff_alpha(table, metric=wrong)


def test_levels_that_need_numbers_name_the_label():
    table = RatingsTable.from_matrix([["1", "bad"], ["1", "1"]])
    for level in ("interval", "ratio"):
        with pytest.raises(RatingsError, match=f"label 'bad' is not a number; level {level} needs numbers"):
            agree(table, level=level)
    with pytest.raises(ValueError, match="not negative; -1 is"):
        agree(RatingsTable.from_matrix([[-1, 2], [2, 2]]), level="ratio")
    for options in ({"level": "nominl"}, {"interval": "both"}, {"confidence": 1.0}, {"weights": "cubic"}):
        with pytest.raises(ValueError, match=r"unknown|between 0 and 1"):
            agree(table, **options)
    with pytest.raises(ValueError, match="unknown coefficient"):
        coefficient(table, "kappa")
    with pytest.raises(ValueError, match="needs level interval"):
        coefficient(table, "icc_2_1")


def test_one_coefficient_alone_is_the_same():
    table = simulated(50, 6, 3, seed=3, missing=0.2)
    for name, e in agree(table, level="ordinal").items():
        alone = coefficient(table, name, level="ordinal")
        assert alone.undefined == e.undefined
        for field in ("value", "low", "high", "se_items", "se_raters"):
            assert getattr(alone, field) == pytest.approx(getattr(e, field), abs=1e-12), (name, field)


def test_many_categories():
    """A slider with 0..1000: no dense table of pairs of categories is built for the ordinal metric."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 1001, 300)
    value = np.clip(truth[:, None] + rng.integers(-40, 41, (300, 3)), 0, 1000)
    table = RatingsTable.from_matrix(value.tolist(), categories=range(1001))
    interval = agree(table, level="interval")
    assert interval["krippendorff_alpha"].value > 0.98
    assert interval["icc_2_1"].value == pytest.approx(interval["krippendorff_alpha"].value, abs=0.01)
    ordinal = agree(table, level="ordinal")
    assert ordinal["krippendorff_alpha"].value == pytest.approx(interval["krippendorff_alpha"].value, abs=0.01)
    without_labels = agree(table.patterns(), level="ordinal")
    assert "too many for the ordinal metric" in without_labels["krippendorff_alpha"].undefined
    assert ordinal["fleiss_kappa"].value is not None


# ---------------------------------------------------------------- icc, pairs, benchmark, null test, estimate


def test_icc_says_for_whom_and_on_what_assumption():
    rng = np.random.default_rng(3)
    for raters, words in ((4, True), (12, False)):
        x = rng.normal(0, 2, (30, 1)) + rng.normal(0, 1, (30, raters))
        found = icc(RatingsTable.from_matrix(np.rint(x).tolist()))
        for name, e in found.items():
            assumption = f"no kind of rater is missing from the {raters}" in " ".join(e.notes)
            assert assumption == (words and name[4] == "2"), name
            assert e.method == "anova"
        assert found["icc_3_1"].population == "for these raters, on items like these"
        assert "every item rated by other raters" in found["icc_1_1"].population


def test_icc_refuses_gaps_in_words():
    table = RatingsTable.from_matrix([[1, 2, None], [2, 2, 3], [4, 4, 4]])
    for e in icc(table).values():
        assert "1 of 9 ratings are missing" in e.undefined
        assert "Krippendorff's alpha" in e.undefined
    assert "not all numbers" in icc(RatingsTable.from_matrix([["a", "b"], ["b", "b"]]))["icc_1_1"].undefined
    assert "one item" in icc(RatingsTable.from_matrix([[1, 2]]))["icc_1_1"].undefined
    assert "nothing varies" in icc(RatingsTable.from_matrix([[2, 2], [2, 2]], categories=[1, 2]))["icc_1_1"].undefined
    assert "not known" in icc(PatternTable.from_counts([[2, 0], [1, 1]]))["icc_1_1"].undefined


@pytest.mark.slow
def test_icc_intervals_cover():
    """Items, raters and errors normal, rounded finely: the F-based bounds of the two-way forms hold their level."""
    rng = np.random.default_rng(5)
    truth = 1 / (1 + 0.25 + 0.5)
    hits = 0
    for _ in range(200):
        x = rng.normal(0, 1, (30, 1)) + rng.normal(0, 0.5, (1, 8)) + rng.normal(0, np.sqrt(0.5), (30, 8))
        rounded = np.rint(100 * x)
        e = icc(RatingsTable.from_matrix(rounded.tolist()))["icc_2_1"]
        hits += e.low <= truth <= e.high
    assert abs(hits / 200 - 0.95) <= 0.03 + 1e-9


@pytest.mark.parametrize("n_raters", [5, 40])
def test_pairs_joined_and_multiplied_are_the_same(n_raters, monkeypatch):
    from consistency.statistics import byrater
    from consistency.statistics import pairs as module

    table = simulated(80, n_raters, 3, seed=4, missing=0.5)
    one, two = (
        module.pair_statistics(module.pair_table(table, by_product=b), np.eye(3), table.raters) for b in (False, True)
    )
    for name in ("rater_a", "rater_b", "items", "differing"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    for name in ("kappa", "kappa_se", "agreement", "agreement_se", "chance"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), abs=1e-12, nan_ok=True)
    joined = agree(table)["light_kappa"]
    monkeypatch.setattr(module, "JOINED", 0)
    monkeypatch.setattr(module, "DIRECT", 1)
    multiplied = byrater.analyse_light(pairs(table), np.eye(3), table, n_raters, module.pair_table(table).rows)
    assert multiplied.value == pytest.approx(joined.value, abs=1e-12)
    assert np.sqrt(multiplied.variances.items) == pytest.approx(joined.se_items, rel=1e-9)
    assert np.sqrt(multiplied.variances.raters) == pytest.approx(joined.se_raters, rel=1e-9)


def test_lights_interval_stops_where_it_would_take_too_long(monkeypatch):
    from consistency.statistics import byrater
    from consistency.statistics import pairs as module

    table = simulated(80, 6, 3, seed=4)
    monkeypatch.setattr(module, "JOINED", 0)
    monkeypatch.setattr(byrater, "MOST_PAIRS", 1000)
    e = agree(table)["light_kappa"]
    assert e.value is not None
    assert e.low is None
    assert byrater.TOO_MANY in e.notes
    assert byrater.STREAMED not in e.notes


def test_pairs_without_common_items_are_absent_and_constant_ones_undefined():
    table = RatingsTable.from_records(
        [
            ("i", "a", "x"),
            ("i", "b", "x"),
            ("j", "a", "x"),
            ("j", "b", "x"),
            ("k", "c", "y"),
            ("i", "d", "y"),
            ("i", "c", "x"),
        ]
    )
    found = {(row["a"], row["b"]): row for row in pairs(table).rows()}
    assert ("b", "c") in found
    assert "same category" in found["a", "b"]["cohen_kappa"].undefined
    assert found["a", "b"]["percent_agreement"].value == 1.0
    assert found["a", "d"]["cohen_kappa"].value == 0.0
    assert found["a", "d"]["cohen_kappa"].se is None
    light = agree(table)["light_kappa"]
    assert "of 6" in " ".join(light.notes)


def test_benchmark_words_only_where_there_is_ground():
    assert benchmark(Estimate.missing("no ratings")).word is None
    assert benchmark(Estimate(0.9, se=0.01, notes=(TOO_FEW,))).word is None
    assert benchmark(Estimate(0.9, se=0.0)).reason
    assert benchmark(Estimate(0.9, se=0.01)).word == "almost perfect"
    assert benchmark(Estimate(0.9, se=0.01), scale="fleiss").word == "excellent"
    assert benchmark(Estimate(0.82, se=0.05)).word == "substantial"
    with pytest.raises(ValueError, match="unknown benchmark scale"):
        benchmark(Estimate(0.9, se=0.01), scale="cicchetti")


def test_null_test_needs_equal_numbers_of_ratings():
    assert "same number of ratings" in fleiss_null_test(PatternTable.from_counts([[2, 0], [2, 1]]))
    assert "same category" in fleiss_null_test(PatternTable.from_counts([[2, 0], [2, 0]]))
    rng = np.random.default_rng(2)
    z = [fleiss_null_test(PatternTable.from_counts(rng.multinomial(5, [0.5, 0.3, 0.2], 60))).z for _ in range(200)]
    assert np.std(z) == pytest.approx(1.0, abs=0.15)


def test_an_estimate_has_a_value_or_a_reason():
    for wrong in (
        {"value": None},
        {"value": 1.0, "undefined": "x"},
        {"value": float("nan")},
        {"value": 0.5, "low": 0.1},
    ):
        with pytest.raises(ValueError, match=r"value|reason|bounds"):
            Estimate(**wrong)
    e = Estimate(np.float64(0.5), excluded={"repeats": 1}).with_notes("a", "b").with_notes("a")
    assert e.notes == ("a", "b")
    assert type(e.value) is float
    assert set(e.as_json()) >= {"value", "low", "high", "se", "se_items", "se_raters", "method", "undefined"}


# ---------------------------------------------------------------- numbers with thousands of different values


def continuous(n, r, seed, decimals=9):
    rng = np.random.default_rng(seed)
    x = rng.normal(50, 10, (n, 1)) + rng.normal(0, 2, (1, r)) + rng.normal(0, 5, (n, r))
    return np.round(x, decimals)


@pytest.mark.parametrize("raters", [3, 8])
def test_thousands_of_different_numbers_are_no_categories(raters, monkeypatch):
    from consistency.statistics import agreement

    x = continuous(1100, raters, seed=1)
    mask = np.random.default_rng(2).random(x.shape) < 0.3
    gaps = RatingsTable.from_matrix(
        [[None if m else v for v, m in zip(*row, strict=True)] for row in zip(x, mask, strict=True)]
    )
    found = agree(gaps, level="interval")
    assert "different labels are too many to be categories" in found["fleiss_kappa"].undefined
    assert "are missing" in found["icc_2_1"].undefined
    whole = agree(RatingsTable.from_matrix(x.tolist()), level="interval")
    variance = 100 / (100 + 4 + 25)
    assert whole["icc_2_1"].value == pytest.approx(variance, abs=0.06)
    assert "too many to be categories" in agree(gaps)["krippendorff_alpha"].undefined
    # the same numbers, rounded so that they are few, through both ways
    few = RatingsTable.from_matrix(
        [[None if m else v for v, m in zip(*row, strict=True)] for row in zip(np.round(x, -1), mask, strict=True)]
    )
    by_category = agree(few, level="interval", interval="two_way")
    monkeypatch.setattr(agreement, "MOST_CATEGORIES", 3)
    by_sums = agree(few, level="interval", interval="two_way")
    for field in ("value", "se_items", "se_raters", "se", "low", "high"):
        assert getattr(by_sums["krippendorff_alpha"], field) == pytest.approx(
            getattr(by_category["krippendorff_alpha"], field), rel=1e-8
        )
    assert by_sums["krippendorff_alpha"].notes == by_category["krippendorff_alpha"].notes


def test_thousands_of_labels_that_are_no_numbers():
    rows = [[f"text {i} by {g}" for g in range(3)] for i in range(900)]
    table = RatingsTable.from_matrix(rows)
    assert "2,700 different labels" in agree(table)["percent_agreement"].undefined
    one = per_category(table)["text 0 by 0"]
    assert one.count == 1
    assert "2,700 different labels" in one.kappa.undefined
    with pytest.raises(RatingsError, match="is not a number"):
        agree(table, level="interval")
