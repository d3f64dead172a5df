"""HLP, cohorts and repeats on real multi-rater labels, to the figures published with them."""

from __future__ import annotations

import pandas as pd
import pytest

from consistency.statistics.artefact import permute_within_items
from consistency.statistics.bayes_error import bayes_error, bayes_error_of_soft_labels
from consistency.statistics.cohorts import cohort_tables, cohorts_of_raters, compare_cohorts
from consistency.statistics.credits import own_credit_sum
from consistency.statistics.hlp import measure_hlp
from consistency.statistics.intra_rater import self_agreement
from consistency.statistics.model_comparison import compare_model_with_gold
from consistency.statistics.ratings import RatingsTable

pytestmark = pytest.mark.realdata

# pairwise, leave-one-out, macro, rater against gold, constant (ratings), constant (items)
FIGURES = {
    "bluebirds": (0.58819, 0.68495, 0.68495, 0.63557, 0.62085, 0.62085),
    "snow_rte": (0.62869, 0.70900, 0.80459, 0.72913, 0.57263, 0.57263),
    "hs_brexit": (0.85304, 0.86592, 0.86592, None, 0.87068, 0.87068),
    "adultcontent2": (0.74608, 0.78121, 0.72668, 0.68164, 0.75549, 0.785),
}


def read(folder, name) -> tuple[RatingsTable, dict[str, str] | None, pd.DataFrame]:
    frame = pd.read_csv(folder / f"{name}.csv", dtype=str)
    gold = dict(zip(frame.item_id, frame.gold, strict=True)) if "gold" in frame else None
    session = "session" if "session" in frame else None
    return RatingsTable.from_frame(frame, session=session), gold, frame


# the figures published as hlp_bluebirds, hlp_snow_rte, hlp_hs_brexit and hlp_adultcontent2
@pytest.mark.parametrize("name", FIGURES, ids="hlp_{}".format)
def test_hlp_table(real_data, name):
    table, gold, _ = read(real_data, name)
    hlp = measure_hlp(table, gold=gold, gold_origin="external" if gold else None, permutations=99)
    pairwise, leave_one_out, macro, against, constant, item_constant = FIGURES[name]
    assert hlp.pairwise.value == pytest.approx(pairwise, abs=2e-5)
    assert hlp.leave_one_out.value == pytest.approx(leave_one_out, abs=2e-5)
    assert hlp.leave_one_out_macro.value == pytest.approx(macro, abs=2e-5)
    assert hlp.constant_model.value == pytest.approx(constant, abs=2e-5)
    assert hlp.constant_model_item_weight.value == pytest.approx(item_constant, abs=5e-4)
    if against is None:
        assert hlp.against_gold.value is None
    else:
        assert hlp.against_gold.value == pytest.approx(against, abs=2e-5)
    for estimate in (hlp.pairwise, hlp.leave_one_out, hlp.constant_model, hlp.convention_ceiling):
        assert estimate.low < estimate.value < estimate.high or estimate is hlp.convention_ceiling
    low, high = hlp.ceiling_bounds
    assert low <= hlp.convention_ceiling.value <= high


@pytest.mark.parametrize(
    ("name", "including_self"),
    [("bluebirds", 0.69682), ("snow_rte", 0.74962), ("hs_brexit", 0.90342), ("adultcontent2", 0.81633)],
)
def test_a_majority_that_includes_the_rater_would_flatter(real_data, name, including_self):
    """The inflated figure, for contrast: never shown as HLP."""
    table, _, _ = read(real_data, name)
    patterns = table.patterns()
    counts, m, r = patterns.counts.astype("int64"), patterns.multiplicity, patterns.per_item
    # a rater equal to one of the t modes earns 1/t: t modes of `top` labels share `top` credits; alone he agrees with
    # himself
    inflated = float(m @ counts.max(axis=1)) / float(m @ r)
    assert inflated == pytest.approx(including_self, abs=2e-5)
    honest = float(m @ own_credit_sum(counts)) / float(m[r >= 2] @ r[r >= 2])
    assert honest < inflated


@pytest.mark.parametrize(
    ("name", "soft"),
    [("bluebirds", 0.30318), ("snow_rte", 0.25037), ("hs_brexit", 0.09658), ("adultcontent2", 0.15797)],
)
def test_bayes_error_of_the_plain_shares(real_data, name, soft):
    """The published figure takes shares of a few raters as exact; the corrected one is higher."""
    table, _, _ = read(real_data, name)
    counts = table.counts()
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert bayes_error_of_soft_labels(shares).value == pytest.approx(soft, abs=2e-5)
    assert bayes_error(table).estimate.value > soft


@pytest.mark.parametrize(
    ("cohort", "pairwise", "constant", "including_self", "soft"),
    [("target_group", 0.94226, 0.94613, 0.97113, 0.02887), ("control_group", 0.86369, 0.79524, 0.93185, 0.06815)],
    ids=["hlp_hs_brexit:target_group", "hlp_hs_brexit:control_group"],
)
def test_hs_brexit_by_cohort(real_data, cohort, pairwise, constant, including_self, soft):
    """Three raters each and two labels: leave-one-out, its mean over raters and pairwise are one number."""
    table, _, frame = read(real_data, "hs_brexit")
    by_rater = cohorts_of_raters(list(frame.rater_id), list(frame.cohort))
    part = cohort_tables(table, by_rater)[cohort]
    found = measure_hlp(part, permutations=9)
    for estimate in (found.pairwise, found.leave_one_out, found.leave_one_out_macro):
        assert estimate.value == pytest.approx(pairwise, abs=2e-5)
    assert found.constant_model.value == pytest.approx(constant, abs=2e-5)
    below = found.pairwise.value < found.constant_model.value
    assert below == (cohort == "target_group"), "below the constant model: real, and to be shown"
    counts = part.counts()
    assert counts.max(axis=1).sum() / counts.sum() == pytest.approx(including_self, abs=2e-5)
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert bayes_error_of_soft_labels(shares).value == pytest.approx(soft, abs=2e-5)


def test_hs_brexit_cohorts(real_data):
    table, _, frame = read(real_data, "hs_brexit")
    cohort = cohorts_of_raters(list(frame.rater_id), list(frame.cohort))
    comparison = compare_cohorts(table, cohort, interval="items")
    pair = comparison.between[0]
    assert (pair.a, pair.b) == ("control_group", "target_group")

    def check(estimate, value, low, high, slack=0.006):
        assert estimate.value == pytest.approx(value, abs=1e-5)
        assert estimate.low == pytest.approx(low, abs=slack)
        assert estimate.high == pytest.approx(high, abs=slack)

    check(comparison.within["target_group"]["krippendorff_alpha"], 0.433744, 0.3382, 0.5143)
    check(comparison.within["control_group"]["krippendorff_alpha"], 0.581572, 0.5298, 0.6170, 0.008)
    check(pair.xrr, 0.238036, 0.1909, 0.2836)
    check(pair.alpha_difference, 0.581572 - 0.433744, 0.0654, 0.2483, 0.012)
    assert pair.normalised_xrr.value == pytest.approx(0.473942, abs=1e-5)
    # the log-scale interval is symmetric there; percentiles of a skewed ratio reach a little further up
    check(pair.gai_b, 1.822176, 1.4851, 2.2838, 0.08)
    check(pair.gai_a, 2.443206, 2.0914, 2.9652, 0.07)
    assert pair.p == pytest.approx(0.1)
    assert pair.floor == pytest.approx(0.1)
    assert "cannot reach significance" in pair.sentence
    # a threshold difference: 4-6 % positive against 17-24 %
    assert 0.04 < pair.label_use.shares_b["1"] < 0.06
    assert 0.17 < pair.label_use.shares_a["1"] < 0.24
    bootstrapped = compare_cohorts(table, cohort, interval="items", bootstrap=2000).between[0]
    check(bootstrapped.xrr, 0.238036, 0.1909, 0.2836)
    two_way = compare_cohorts(table, cohort).between[0]
    assert two_way.xrr.method == "two_way"
    assert two_way.xrr.low < pair.xrr.low


def test_repeats(real_data):
    table, _, _ = read(real_data, "adultcontent2")
    found = self_agreement(table)
    assert sum(r.repeats for r in found.raters.values()) == 2918
    assert found.pooled.value == pytest.approx(0.949, abs=5e-4)
    ds, _, _ = read(real_data, "anaesthesia_ds79")
    one = self_agreement(ds, level="ordinal").raters["1"]
    assert one.repeats == 45
    assert one.alpha.value == pytest.approx(0.819, abs=5e-4)
    assert 0.73 <= one.consistent.value <= 0.87


def test_artefact_verdicts(real_data):
    """Few good raters among many (bluebirds) is not a convention; gold on snow_rte sides with the majority."""
    for name in ("bluebirds", "snow_rte"):
        table, gold, _ = read(real_data, name)
        hlp = measure_hlp(table, gold=gold, gold_origin="external", permutations=199)
        assert hlp.artefact.verdict == "raters_differ"
        assert hlp.majority_gain.low > 0
    table, _, _ = read(real_data, "hs_brexit")
    test = permute_within_items(table, permutations=199)
    assert {frozenset(g) for g in test.groups} == {
        frozenset({"Ann1", "Ann2", "Ann3"}),
        frozenset({"Ann4", "Ann5", "Ann6"}),
    }


def test_majority_as_a_model_against_gold(real_data):
    table, gold, frame = read(real_data, "snow_rte")
    majority = frame.groupby("item_id").label.agg(lambda s: s.mode()[0]).to_dict()
    found = compare_model_with_gold(table, majority, gold)
    assert found.rater_score == pytest.approx(0.729125)
    assert found.model_score == pytest.approx(0.919, abs=0.025)
    assert found.verdict == "better"
