"""Differences of shares: values against the figures of each table, intervals against simulation and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from consistency.statistics.categories import per_category
from consistency.statistics.differences import difference
from consistency.statistics.hlp import measure_hlp
from consistency.statistics.ratings import RatingsTable
from consistency.statistics.ratio_differences import gold_difference, label_difference, leave_one_out_difference
from consistency.statistics.relabel_size import fresh_items_needed, paired_items_needed


def noisy(
    rng: np.random.Generator, truth: np.ndarray, accuracy: float, raters: int = 5, prefix: str = "i"
) -> RatingsTable:
    right = rng.random((len(truth), raters)) < accuracy
    labels = np.where(right, truth[:, None], 1 - truth[:, None])
    keep = rng.random(labels.shape) < 0.9
    return RatingsTable.from_records(
        (f"{prefix}{i}", f"r{g}", "ab"[labels[i, g]])
        for i in range(len(truth))
        for g in range(raters)
        if keep[i, g]
    )  # fmt: skip


def test_the_points_are_those_of_each_table() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 80)
    before, after = noisy(rng, truth, 0.75), noisy(rng, truth, 0.9)
    gold = {f"i{i}": "ab"[t] for i, t in enumerate(truth)}
    one, two = (measure_hlp(t, gold=gold, gold_origin="external", permutations=0) for t in (before, after))
    d = leave_one_out_difference(before, after)
    assert (d.before, d.after) == pytest.approx((one.leave_one_out.value, two.leave_one_out.value))
    d = gold_difference(before, after, gold, gold)
    assert (d.before, d.after) == pytest.approx((one.against_gold.value, two.against_gold.value))
    assert d.these_raters.value == pytest.approx(two.against_gold.value - one.against_gold.value)
    d = label_difference(before, after, "a")
    assert (d.before, d.after) == pytest.approx(
        tuple(per_category(t)["a"].specific_agreement.value for t in (before, after))
    )
    assert d.items == "paired"
    assert d.in_general.value is not None, "five raters speak about raters in general"


def test_pairwise_as_a_share_equals_the_engine() -> None:
    """Percent agreement through both ways: the same value, the same two variances."""
    from consistency.statistics import ratio_differences

    rng = np.random.default_rng(2)
    truth = rng.integers(0, 2, 60)
    before, after = noisy(rng, truth, 0.7), noisy(rng, truth, 0.9)

    def share(counts, _):  # type: ignore[no-untyped-def]
        r = counts.sum(axis=1).astype(float)
        two = r >= 2
        return two.astype(float), np.where(two, (counts * (counts - 1)).sum(axis=1) / np.maximum(r * (r - 1), 1), 0.0)

    mine = ratio_differences._difference(before, after, "pairwise", share, "", confidence=0.95)
    theirs = difference(before, after, "percent_agreement")
    for name in ("these_raters", "in_general"):
        one, two = getattr(mine, name), getattr(theirs, name)
        assert (one.value, one.se, one.low) == pytest.approx((two.value, two.se, two.low)), name


@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_covers(paired: bool) -> None:
    """300 worlds of 120 items: the interval holds the change for these raters about 95 times in 100."""
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(300):
        truth = rng.integers(0, 2, 120)
        other = truth if paired else rng.integers(0, 2, 120)
        before = noisy(rng, truth, 0.75)
        after = noisy(rng, other, 0.85, prefix="i" if paired else "f")
        gold = {f"i{i}": "ab"[t] for i, t in enumerate(truth)}
        new = gold if paired else {f"f{i}": "ab"[t] for i, t in enumerate(other)}
        e = gold_difference(before, after, gold, new).these_raters
        inside += e.low <= 0.10 <= e.high
    assert 0.91 <= inside / 300 <= 0.985


def test_undefined_says_why() -> None:
    before = RatingsTable.from_records([("i1", "g", "a"), ("i1", "h", "b")])
    after = RatingsTable.from_records([("i2", "g", "a"), ("i2", "h", "a")])
    d = label_difference(before, after, "c")
    assert (d.these_raters.value, d.these_raters.undefined) == (
        None, "before: nobody gave 'c' to an item that two people labeled",
    )  # fmt: skip
    assert "reference" in (gold_difference(before, after, {}, {}).these_raters.undefined or "")
    one = RatingsTable.from_records([("i1", "g", "a")])
    assert leave_one_out_difference(one, one).these_raters.undefined
    assert leave_one_out_difference(RatingsTable.from_records([]), before).these_raters.undefined
    assert gold_difference(one, one, {"i1": "a"}, {"i1": "a"}).before == 1.0, "one rater can be held against gold"


def test_sizes_follow_the_rule() -> None:
    assert paired_items_needed(0.04, 60, 0.05) == 104
    assert fresh_items_needed(0.04, 60, 0.05) is None, "the earlier batch itself varies too much"
    assert fresh_items_needed(0.02, 300, 0.05) == 230
    assert fresh_items_needed(0.0, 60, 0.05) == 2
    with pytest.raises(ValueError, match="above 0"):
        paired_items_needed(0.04, 60, 0)
