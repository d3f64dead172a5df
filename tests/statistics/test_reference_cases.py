"""Published worked examples, reproduced to the printed precision. The ids of the tests name example and statistic."""

from __future__ import annotations

import numpy as np
import pytest

from consistency.statistics.agreement import agree
from consistency.statistics.categories import per_category
from consistency.statistics.distances import distance
from consistency.statistics.icc import MeanSquares, icc
from consistency.statistics.nulltest import fleiss_null_test
from consistency.statistics.pairs import pairs
from consistency.statistics.patterns import PatternTable
from consistency.statistics.ratings import RatingsTable
from consistency.statistics.tworaters import bangdiwala_b, contingency, two_by_two

from .engine_tables import RAW_4_RATERS, N, from_contingency, psychiatric

KRIPPENDORFF_4x12 = [
    [1, 1, N, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4],
    [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [N, 5, 5, 5], [N, N, 1, 1], [N, 3, N, N],
]  # fmt: skip
WIKIPEDIA_3x15 = [
    [N, 1, N], [N, N, N], [N, 2, 2], [N, 1, 1], [N, 3, 3], [3, 3, 4], [4, 4, 4], [1, 3, N],
    [2, N, 2], [1, N, 1], [1, N, 1], [3, N, 3], [3, N, 3], [N, N, N], [3, N, 4],
]  # fmt: skip
BINARY_2x10 = [[0, 1], [1, 1], [0, 1], [0, 0], [0, 0], [0, 1], [0, 0], [0, 0], [1, 0], [0, 0]]
NOMINAL_2x12 = ["ab", "aa", "bb", "bb", "db", "cc", "cc", "cc", "ee", "dd", "dd", "ad"]
ALPHA_EXAMPLES = {
    "krippendorff2011_4x12": KRIPPENDORFF_4x12,
    "krippendorff2011_binary_2x10": BINARY_2x10,
    "krippendorff2011_nominal_2x12": [list(row) for row in NOMINAL_2x12],
    "wikipedia_alpha_3x15": WIKIPEDIA_3x15,
}
ABSTRACTORS = [[13, 0, 0], [0, 20, 7], [0, 4, 56]]
SIX_RATERS = [
    [0, 0, 0, 6, 0], [0, 3, 0, 0, 3], [0, 1, 4, 0, 1], [0, 0, 0, 0, 6], [0, 3, 0, 3, 0],
    [2, 0, 4, 0, 0], [0, 0, 4, 0, 2], [2, 0, 3, 1, 0], [2, 0, 0, 4, 0], [0, 0, 0, 0, 6],
    [1, 0, 0, 5, 0], [1, 1, 0, 4, 0], [0, 3, 3, 0, 0], [1, 0, 0, 5, 0], [0, 2, 0, 3, 1],
]  # fmt: skip
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


@pytest.mark.parametrize(
    ("example", "level", "published"),
    [
        ("krippendorff2011_4x12", "nominal", 0.743),
        ("krippendorff2011_4x12", "ordinal", 0.815),
        ("krippendorff2011_4x12", "interval", 0.849),
        ("krippendorff2011_4x12", "ratio", 0.797),
        ("krippendorff2011_binary_2x10", "nominal", 0.095),
        ("krippendorff2011_nominal_2x12", "nominal", 0.692),
        ("wikipedia_alpha_3x15", "nominal", 0.691),
        ("wikipedia_alpha_3x15", "interval", 0.811),
    ],
)
def test_krippendorffs_alpha(example, level, published):
    alpha = agree(RatingsTable.from_matrix(ALPHA_EXAMPLES[example]), level=level)["krippendorff_alpha"]
    assert alpha.value == pytest.approx(published, abs=0.0006)


def test_krippendorffs_binary_table_agrees_on_six_of_ten():
    assert agree(RatingsTable.from_matrix(BINARY_2x10))["percent_agreement"].value == pytest.approx(0.6, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("percent_agreement", 0.8181818),
        ("gwet_ac", 0.77544),
        ("fleiss_kappa", 0.76117),
        ("krippendorff_alpha", 0.74342),
        ("conger_kappa", 0.76282),
        ("brennan_prediger", 0.77273),
    ],
)
def test_gwet_2014_four_raters_with_a_single_rating(name, published):
    """Example gwet2014_table2.10_raw4raters."""
    table = RatingsTable.from_matrix(RAW_4_RATERS)
    assert table.excluded["single_rating_items"] == 1
    assert agree(table)[name].value == pytest.approx(published, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "jackknife"),
    [
        ("percent_agreement", 0.1021),
        ("gwet_ac", 0.1252),
        ("fleiss_kappa", 0.1391),
        ("krippendorff_alpha", 0.1469),
        ("conger_kappa", 0.1373),
        ("brennan_prediger", 0.1276),
    ],
)
def test_with_single_rating_items_the_item_error_is_near_the_jackknife(name, jackknife):
    """The published form counts a single rating as agreement 0; the jackknife over items is the reference."""
    assert agree(RatingsTable.from_matrix(RAW_4_RATERS))[name].se_items == pytest.approx(jackknife, rel=0.04)


@pytest.mark.parametrize(
    ("name", "published", "se"),
    [
        ("percent_agreement", 0.89, 0.03128898),
        ("cohen_kappa", 0.7964094, 0.05891072),
        ("scott_pi", 0.7962397, 0.05905473),
        ("gwet_ac", 0.8493305, 0.04321747),
        ("brennan_prediger", 0.835, 0.04693346),
        ("krippendorff_alpha", 0.7972585, 0.05905473),
    ],
)
def test_gwet_2014_abstractors(name, published, se):
    """n = 100; published errors are without the factor n/(n-1) or scaled otherwise: within 1 %. (Example gwet_cont3x3abstractors.)"""
    e = agree(from_contingency(ABSTRACTORS))[name]
    assert e.value == pytest.approx(published, abs=1e-6)
    assert e.se_items == pytest.approx(se, rel=0.01)


def test_bangdiwala_of_the_abstractors():
    """Example gwet_cont3x3abstractors."""
    e = bangdiwala_b(from_contingency(ABSTRACTORS))
    assert e.value == pytest.approx(0.8059604, abs=1e-6)
    assert e.se == pytest.approx(0.05449465, rel=0.06)
    assert contingency(from_contingency(ABSTRACTORS)).tolist() == ABSTRACTORS


@pytest.mark.parametrize(
    ("name", "published", "se"),
    [
        ("percent_agreement", 0.5511111, None),
        ("gwet_ac", 0.4448007, 0.08418757),
        ("fleiss_kappa", 0.4139265, 0.08119291),
        ("krippendorff_alpha", 0.4204384, 0.08029),  # published .08243 scales D_o by 1/(1 - 1/(N r)) as well
        ("brennan_prediger", 0.4388889, 0.08312142),
    ],
)
def test_gwet_six_raters_from_counts(name, published, se):
    """Example gwet_distrib6raters."""
    e = agree(PatternTable.from_counts(SIX_RATERS))[name]
    assert e.value == pytest.approx(published, abs=1e-6)
    if se is not None:
        assert e.se_items == pytest.approx(se, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "value", "tolerance"),
    [
        ("fleiss_kappa", 0.430, 0.0006),
        ("percent_agreement", 0.5556, 0.0006),
        ("conger_kappa", 0.442, 0.0006),
        ("light_kappa", 0.4594, 0.0001),
        ("gwet_ac", 0.44788, 1e-5),
        ("krippendorff_alpha", 0.43341, 1e-5),
    ],
)
def test_fleiss_1971_psychiatric_diagnoses(name, value, tolerance):
    """Example fleiss1971_psychiatric_30x6."""
    assert agree(psychiatric())[name].value == pytest.approx(value, abs=tolerance)


def test_fleiss_1971_per_category_kappas_and_z():
    """Example fleiss1971_psychiatric_30x6."""
    found = per_category(psychiatric())
    for label, kappa in {"1": 0.245, "2": 0.245, "3": 0.520, "4": 0.471, "5": 0.566}.items():
        assert found[label].kappa.value == pytest.approx(kappa, abs=0.0006)
    test = fleiss_null_test(psychiatric())
    assert test.z == pytest.approx(17.652, abs=0.001)


@pytest.mark.parametrize(
    ("counts", "kappa", "positive", "negative"),
    [([[40, 9], [6, 45]], 0.70, 0.842105, 0.857143), ([[80, 10], [5, 5]], 0.32, 0.914286, 0.4)],
    ids=["feinstein_cicchetti1990_balanced", "feinstein_cicchetti1990_unbalanced"],
)
def test_feinstein_and_cicchetti_1990_same_agreement_other_kappa(counts, kappa, positive, negative):
    table = from_contingency(counts, ["yes", "no"])
    found = agree(table)
    assert found["percent_agreement"].value == pytest.approx(0.85, abs=1e-12)
    assert found["cohen_kappa"].value == pytest.approx(kappa, abs=0.0051)
    indices = two_by_two(counts)
    assert indices.pabak == pytest.approx(0.7, abs=1e-12)
    assert (indices.positive_agreement, indices.negative_agreement) == pytest.approx((positive, negative), abs=1e-6)
    by_label = per_category(table)
    assert by_label["yes"].specific_agreement.value == pytest.approx(positive, abs=1e-6)
    assert by_label["no"].specific_agreement.value == pytest.approx(negative, abs=1e-6)


def test_ac1_does_not_collapse_with_prevalence():
    assert agree(from_contingency([[80, 10], [5, 5]]))["gwet_ac"].value == pytest.approx(0.808, abs=1e-6)


def test_cohen_1968_weighted_kappa():
    """Example cohen1968_weighted."""
    counts = np.rint(200 * np.array([[0.44, 0.07, 0.09], [0.05, 0.20, 0.05], [0.01, 0.03, 0.06]])).astype(int)
    table = from_contingency(counts)
    assert agree(table)["cohen_kappa"].value == pytest.approx(0.492, abs=0.0006)
    disagreement = np.array([[0, 1, 3], [1, 0, 6], [3, 6, 0]])
    weighted = agree(table, weights=1 - disagreement / 6)["cohen_kappa"]
    assert weighted.value == pytest.approx(0.348, abs=0.0006)


@pytest.mark.parametrize(
    ("name", "published"),
    [("icc_1_1", 0.17), ("icc_2_1", 0.29), ("icc_3_1", 0.71), ("icc_1_k", 0.44), ("icc_2_k", 0.62), ("icc_3_k", 0.91)],
)
def test_shrout_and_fleiss_1979(name, published):
    """Example shrout_fleiss1979."""
    table = RatingsTable.from_matrix(SHROUT_FLEISS)
    assert icc(table)[name].value == pytest.approx(published, abs=0.0051)
    assert agree(table, level="interval")[name].value == icc(table)[name].value


def test_shrout_and_fleiss_1979_mean_squares_and_intervals():
    """Mean squares as printed; bounds as R's psych::ICC prints them for this table."""
    ms = MeanSquares.of(SHROUT_FLEISS)
    assert (ms.between, ms.within, ms.raters, ms.residual) == pytest.approx(
        (11.2417, 6.2639, 32.4861, 1.0194), abs=5e-5
    )
    found = icc(RatingsTable.from_matrix(SHROUT_FLEISS))
    printed = {
        "icc_1_1": (-0.133, 0.723),
        "icc_2_1": (0.019, 0.761),
        "icc_3_1": (0.342, 0.946),
        "icc_1_k": (-0.884, 0.912),
        "icc_2_k": (0.071, 0.927),
        "icc_3_k": (0.676, 0.986),
    }
    for name, bounds in printed.items():
        assert (found[name].low, found[name].high) == pytest.approx(bounds, abs=0.0006)


@pytest.mark.parametrize(
    ("a", "b", "masi", "jaccard"),
    [
        ([1, 2], [1, 2, 3, 4], 0.665, 0.5),
        ([1, 2, 3], [2, 3, 4], 0.835, 0.5),
        ([1], [2], 1.0, 1.0),
        ([1, 2], [2, 1, 1], 0.0, 0.0),
        ([], [], 0.0, 0.0),
        ([], [1], 1.0, 1.0),
    ],
    ids=["nltk_masi_subset", "nltk_masi_overlap", "nltk_masi_disjoint", "equal", "both empty", "one empty"],
)
def test_passonneau_2006_sets_of_labels(a, b, masi, jaccard):
    """Printed with 2/3 and 1/3 rounded to .67 and .33."""
    for one, other in ((a, b), (b, a)):
        assert distance("masi").between(one, other) == pytest.approx(masi, abs=0.0036)
        assert distance("jaccard").between(one, other) == pytest.approx(jaccard, abs=1e-12)


@pytest.mark.realdata
def test_hate_speech_pairs_and_alpha(real_data):
    """Example hs_brexit_cohorts."""
    import pandas as pd

    frame = pd.read_csv(real_data / "hs_brexit.csv")
    table = RatingsTable.from_frame(frame)
    assert agree(table)["krippendorff_alpha"].value == pytest.approx(0.347462, abs=1e-5)
    published = {
        "Ann1-Ann2": 0.408, "Ann1-Ann3": 0.451, "Ann1-Ann4": 0.223, "Ann1-Ann5": 0.205, "Ann1-Ann6": 0.281,
        "Ann2-Ann3": 0.441, "Ann2-Ann4": 0.217, "Ann2-Ann5": 0.199, "Ann2-Ann6": 0.232, "Ann3-Ann4": 0.284,
        "Ann3-Ann5": 0.249, "Ann3-Ann6": 0.269, "Ann4-Ann5": 0.665, "Ann4-Ann6": 0.557, "Ann5-Ann6": 0.52,
    }  # fmt: skip
    found = {f"{row['a']}-{row['b']}": row["cohen_kappa"].value for row in pairs(table).rows()}
    assert found == pytest.approx(published, abs=0.0006)


@pytest.mark.realdata
def test_singletons_make_alpha_and_the_gwet_family_differ(real_data):
    """docs/statistics.md, decision 6: adultcontent2 .316 (alpha) against .292 (Fleiss)."""
    import pandas as pd

    frame = pd.read_csv(real_data / "adultcontent2.csv")
    table = RatingsTable.from_frame(frame, categories=["G", "P", "R", "X", "B"])
    found = agree(table)
    assert found["krippendorff_alpha"].value == pytest.approx(0.316, abs=0.0006)
    assert found["fleiss_kappa"].value == pytest.approx(0.292, abs=0.0006)
    assert len(set(zip(table.repeats.item, table.repeats.rater, strict=True))) == 2918
    assert table.excluded["repeats"] == 2922  # four were rated three times
    observed_only = agree(RatingsTable.from_frame(frame))
    assert found["gwet_ac"].value != pytest.approx(observed_only["gwet_ac"].value, abs=1e-3)
