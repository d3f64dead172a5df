"""The course's worked numbers: the inspector (AC-1), the 70/30 artefact (AC-2), and what is said when figures are missing."""

from __future__ import annotations

import numpy as np
import pytest

from consistency.statistics.artefact import banner
from consistency.statistics.hlp import measure_hlp
from consistency.statistics.ratings import RatingsTable

KEYS = {
    "pairwise", "pairwise_with_replacement", "leave_one_out", "leave_one_out_macro", "against_gold",
    "against_gold_macro", "gold_origin", "constant_model", "constant_model_item_weight", "convention_ceiling", "artefact",
}  # fmt: skip
ESTIMATE_KEYS = {"value", "low", "high", "se", "se_items", "se_raters", "method", "undefined"}


def seventy_thirty(raters: int, items: int = 1) -> RatingsTable:
    """70 % of the raters write "Um…" and 30 % "Um," on every item."""
    return RatingsTable.from_records(
        (f"clip{i}", f"r{g:03}", "Um…" if g < 0.7 * raters else "Um,") for i in range(items) for g in range(raters)
    )


def pairs_of_a_crowd(n: int = 5000, seed: int = 1) -> RatingsTable:
    rng = np.random.default_rng(seed)
    value = (rng.random((n, 2)) < 0.3).astype(int)
    return RatingsTable.from_codes(
        np.repeat(np.arange(n), 2), np.tile([0, 1], n), value.ravel(), categories=["Um…", "Um,"]
    )


def test_the_inspector_reaches_66_7_percent_and_then_100():
    """AC-1: gold is one person's ground truth, the inspector the only rater."""
    truth = {"1": 1, "2": 1, "3": 1, "4": 0, "5": 0, "6": 0}
    inspector = [1, 0, 1, 0, 0, 1]
    before = RatingsTable.from_records((i, "inspector", v) for i, v in zip(truth, inspector, strict=True))
    hlp = measure_hlp(before, gold=truth, gold_origin="single_rater")
    assert hlp.against_gold.value == pytest.approx(4 / 6)
    assert hlp.against_gold.n_items == 6
    assert 0.1 < hlp.against_gold.low < 4 / 6 < hlp.against_gold.high < 1
    assert hlp.against_gold.population == "for this rater, on items like these"
    assert hlp.gold_origin == "single_rater"
    assert hlp.pairwise.undefined == "only one rater: agreement needs at least two"
    # after "defect iff longer than 0.3 mm"
    truth2 = {"1": 1, "2": 0, "3": 1, "4": 0, "5": 0, "6": 0}
    after = RatingsTable.from_records((i, "inspector", v) for i, v in truth2.items())
    raised = measure_hlp(after, gold=truth2, gold_origin="single_rater").against_gold
    assert raised.value == 1.0
    assert raised.low == pytest.approx(0.025 ** (1 / 6))
    assert raised.high == 1.0


def test_ten_raters_seven_to_three():
    """AC-2 from one item: 24/45 without replacement, .58 with, ceiling .70; and the artefact cannot be judged."""
    hlp = measure_hlp(seventy_thirty(10))
    assert hlp.pairwise.value == pytest.approx(24 / 45)
    assert hlp.pairwise_with_replacement.value == pytest.approx(0.58)
    assert hlp.convention_ceiling.value == pytest.approx(0.70, abs=1e-9)
    assert hlp.constant_model.value == pytest.approx(0.70)
    assert hlp.artefact.points_with_replacement == pytest.approx(0.12, abs=1e-9)
    assert hlp.artefact.points == pytest.approx(0.7 - 24 / 45, abs=1e-9)
    assert hlp.artefact.verdict == "cannot_say"
    assert "would gain up to 12 points" in hlp.artefact.sentence
    assert "convention" not in hlp.artefact.sentence
    assert hlp.artefact.test.floor == 1.0


def test_a_hundred_raters_seventy_to_thirty():
    hlp = measure_hlp(seventy_thirty(100))
    assert hlp.pairwise.value == pytest.approx(0.576, abs=5e-4)
    assert hlp.pairwise_with_replacement.value == pytest.approx(0.58)
    assert hlp.convention_ceiling.value == pytest.approx(0.70, abs=1e-9)
    assert hlp.artefact.points == pytest.approx(0.124, abs=5e-4)


def test_pairs_of_labels_show_the_same_ceiling():
    """From two labels per item the plug-in says .79; shrinkage and the bound bring it to .70."""
    hlp = measure_hlp(pairs_of_a_crowd())
    assert hlp.convention_ceiling.value == pytest.approx(0.70, abs=0.012)
    assert hlp.convention_ceiling.low < 0.70 < hlp.convention_ceiling.high + 0.02
    assert hlp.artefact.verdict == "cannot_say"


def test_thirty_clips_are_enough_to_call_it_a_convention():
    hlp = measure_hlp(seventy_thirty(10, items=30))
    assert hlp.artefact.verdict == "convention"
    assert "12 points" in hlp.artefact.sentence
    assert "convention" in hlp.artefact.sentence
    assert {len(g) for g in hlp.artefact.test.groups} == {7, 3}


def test_one_agreed_form_leaves_nothing_to_gain():
    """After the ellipsis is written as a comma: HLP 1, model 1, advantage 0."""
    table = seventy_thirty(10, items=5).merge_categories({"Um…": "Um,"})
    hlp = measure_hlp(table)
    assert hlp.pairwise.value == hlp.convention_ceiling.value == hlp.constant_model.value == 1.0
    assert hlp.artefact.points == hlp.artefact.points_with_replacement == 0.0
    assert hlp.artefact.verdict == "cannot_say"
    assert hlp.artefact.sentence == "Nobody disagreed, so there is nothing to explain."
    assert hlp.convention_ceiling.low == pytest.approx(0.025 ** (1 / 5))


def test_seventy_to_thirty_by_its_formula():
    """Example ng_hlp_70_30."""
    p = 0.7
    hlp = measure_hlp(seventy_thirty(10))
    assert hlp.pairwise_with_replacement.value == pytest.approx(p * p + (1 - p) ** 2, abs=1e-9)
    assert hlp.constant_model.value == pytest.approx(p, abs=1e-9)


def test_the_banner_speaks_only_above_the_raters():
    said = banner(0.70, 0.58, 0.70)
    assert said == (
        "Agreeing with a random rater more often than raters do (0.70 > 0.58) is not being better than people: "
        "a model that always gives the majority's form would reach 0.70."
    )
    assert banner(0.58, 0.58, 0.70) is None


def test_json_has_exactly_the_keys_of_the_contract():
    found = measure_hlp(seventy_thirty(10), gold={"clip0": "Um…"}, gold_origin="external").as_json()
    assert set(found) == KEYS
    assert set(found["artefact"]) == {"points", "points_with_replacement", "verdict", "sentence"}
    for key in KEYS - {"gold_origin", "artefact"}:
        assert set(found[key]) >= ESTIMATE_KEYS
        assert (found[key]["value"] is None) == bool(found[key]["undefined"])


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([], "there are no ratings"),
        ([("a", "gene", "x"), ("b", "gene", "y")], "only one rater: agreement needs at least two"),
        ([("a", "gene", "x"), ("b", "gina", "y")], "no item has ratings by two raters"),
    ],
)
def test_nothing_to_compare_is_a_sentence(records, reason):
    hlp = measure_hlp(RatingsTable.from_records(records))
    for name in ("pairwise", "pairwise_with_replacement", "leave_one_out", "leave_one_out_macro", "convention_ceiling"):
        estimate = getattr(hlp, name)
        assert estimate.value is None
        assert estimate.undefined == reason
    assert hlp.artefact.verdict == "cannot_say"
    assert hlp.artefact.points is None
    assert (hlp.constant_model.value is None) == (not records)


def test_constant_and_pairwise_keep_their_own_weights():
    """Subtract only figures of one weight: here the two constants differ because items have unequal overlap."""
    rows = [("a", f"r{g}", "x") for g in range(8)] + [
        ("b", "r0", "y"),
        ("b", "r1", "y"),
        ("c", "r0", "y"),
        ("c", "r1", "x"),
    ]
    hlp = measure_hlp(RatingsTable.from_records(rows))
    assert hlp.constant_model.value == pytest.approx(9 / 12)
    assert hlp.constant_model_item_weight.value == pytest.approx((1 + 0 + 0.5) / 3)


def test_a_rater_never_stands_in_his_own_reference():
    """Two of three say a: the odd one earns nothing, each other earns half a point against a tie."""
    table = RatingsTable.from_records([("i", "r0", "a"), ("i", "r1", "a"), ("i", "r2", "b")])
    assert measure_hlp(table).leave_one_out.value == pytest.approx((0.5 + 0.5 + 0) / 3)
