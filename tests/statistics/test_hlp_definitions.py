"""HLP figures and their variances against loops over single ratings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consistency.statistics.credits import label_credit, matched_credit
from consistency.statistics.hlp import matched_leave_one_out, measure_hlp
from consistency.statistics.item_sums import ItemGroups, ratio, sums_of

from . import hlp_definitions as by

FIGURES = {
    "pairwise": by.pairwise,
    "pairwise_with_replacement": by.with_replacement,
    "leave_one_out": by.leave_one_out,
    "leave_one_out_macro": by.leave_one_out_macro,
    "constant_model": by.constant_model,
    "constant_model_item_weight": by.constant_model_item_weight,
}


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("r", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_tiny_table(n, r, k):
    """All tables of up to three items, raters and labels (the largest ones sampled)."""
    tables = list(by.every_table(n, r, k))
    for matrix in tables[:: max(1, len(tables) // 80)]:
        if all(v is None for row in matrix for v in row):
            continue
        table = by.table_of(matrix, categories="abc"[:k])
        items = by.items_of(table)
        hlp = measure_hlp(table, permutations=9)
        for name, figure in FIGURES.items():
            estimate = getattr(hlp, name)
            assert by.close(estimate.value, figure(items)), (name, matrix)
            assert (estimate.undefined is None) == (estimate.value is not None)
        ceiling = hlp.convention_ceiling.value
        if ceiling is not None:
            low, high = hlp.ceiling_bounds
            assert low - 1e-12 <= ceiling <= high + 1e-12
            assert hlp.artefact.points >= 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(3, 9),
    r=st.integers(3, 5),
    k=st.integers(2, 4),
    missing=st.sampled_from([0.0, 0.3, 0.6]),
)
def test_variances_mean_what_they_say(seed, n, r, k, missing):
    """Vi, Vr and Vir of every figure, against derivatives and refits."""
    table = by.random_table(np.random.default_rng(seed), n, r, k, missing)
    items = by.items_of(table)
    if by.pairwise(items) is None:
        return
    hlp = measure_hlp(table, permutations=3)
    for name, figure in FIGURES.items():
        fewest = 1 if name == "constant_model" else 2
        estimate = getattr(hlp, name)
        if name.startswith("constant") and _tied_top(items, name):
            continue  # the largest of two equal shares has no derivative
        vi = by.item_variance(figure, items, fewest)
        vr = by.rater_variance(figure, items, fewest)
        if estimate.se_items is not None and vi is not None:
            assert estimate.se_items**2 == pytest.approx(vi, abs=1e-7), name
        if vr is None:
            assert estimate.se_raters is None, name
        else:
            assert estimate.se_raters == pytest.approx(vr**0.5, abs=1e-9), name


def _tied_top(items, name) -> bool:
    figure = FIGURES[name]
    top = figure(items)
    labels = {v for _, row in items for v in row.values()}
    reached = 0
    for label in labels:
        without = [(w, {g: (v if v == label else f"{v}{g}") for g, v in row.items()}) for w, row in items]
        reached += abs(figure(without) - top) < 1e-9
    return reached > 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(3, 8), r=st.integers(3, 5), missing=st.sampled_from([0.0, 0.4]))
def test_the_two_way_variance_is_the_maximum_of_three(seed, n, r, missing):
    table = by.random_table(np.random.default_rng(seed), n, r, 3, missing)
    items = by.items_of(table)
    if by.pairwise(items) is None:
        return
    hlp = measure_hlp(table, interval="two_way", permutations=3)
    for name in ("pairwise", "leave_one_out", "leave_one_out_macro"):
        estimate = getattr(hlp, name)
        if estimate.method != "two_way":
            continue
        vi, vr = by.item_variance(FIGURES[name], items), by.rater_variance(FIGURES[name], items)
        vir = by.label_variance(FIGURES[name], items)
        assert estimate.se**2 == pytest.approx(max(vi, vr, vi + vr - vir), abs=1e-7), name


def test_only_the_single_most_frequent_label_earns_credit():
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 5, (300, 4))
    counts = counts[counts.sum(axis=1) >= 2]
    found = label_credit(counts)
    for row, credits in zip(counts.tolist(), found.tolist(), strict=True):
        labels = [k for k, c in enumerate(row) for _ in range(c)]
        for j, label in enumerate(labels):
            assert credits[label] == pytest.approx(by.credit(label, labels[:j] + labels[j + 1 :]))


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_matched_reference_is_the_mean_over_all_subsets(m):
    rng = np.random.default_rng(m)
    for _ in range(25):
        table = by.random_table(rng, 4, 6, 3, 0.0)
        estimate = matched_leave_one_out(table, m)
        assert estimate.value == pytest.approx(by.matched(m)(by.items_of(table)), abs=1e-10)


def test_one_other_rating_is_pairwise_and_even_references_add_nothing_with_two_labels():
    rng = np.random.default_rng(3)
    for _ in range(10):
        table = by.random_table(rng, 12, 7, 2, 0.0)
        assert matched_leave_one_out(table, 1).value == pytest.approx(measure_hlp(table, permutations=3).pairwise.value)
        for even in (2, 4, 6):
            assert matched_leave_one_out(table, even).value == pytest.approx(
                matched_leave_one_out(table, even - 1).value, abs=1e-12
            )
    three = by.random_table(rng, 12, 7, 3, 0.0)
    assert matched_leave_one_out(three, 4).value != pytest.approx(matched_leave_one_out(three, 3).value, abs=1e-4)


def test_a_reference_larger_than_the_others_is_undefined_and_says_how_large_it_may_be():
    estimate = matched_leave_one_out(by.table_of([["a", "b", "a"], ["a", "a", None]]), 2)
    assert estimate.value is None
    assert "1 to 1" in estimate.undefined


def test_large_counts_do_not_underflow():
    assert matched_credit(np.array([700, 300]), 999)[0] == pytest.approx(1.0, abs=1e-9)
    assert matched_credit(np.array([700, 300]), 1) == pytest.approx([699 / 999, 299 / 999], abs=1e-9)


def test_against_gold_counts_single_ratings_and_says_what_was_left_out():
    table = by.table_of([["a", "b", None], ["a", None, None], ["b", "b", "b"], ["a", "a", None]])
    hlp = measure_hlp(table, gold={"i0": "a", "i1": "a", "i2": "c"}, gold_origin="adjudicated")
    # i0: one of two right; i1: right; i2: gold is no category, so none of three; i3: no gold
    assert hlp.against_gold.value == pytest.approx(2 / 6)
    assert hlp.against_gold_macro.value == pytest.approx((2 / 3 + 0 / 2 + 0 / 1) / 3)
    assert hlp.against_gold.excluded["items_without_gold"] == 1
    assert any("1 gold labels are none of the categories" in note for note in hlp.against_gold.notes)
    assert hlp.gold_origin == "adjudicated"
    assert measure_hlp(table).against_gold.undefined == "no gold was given"
    assert measure_hlp(table, gold={}).against_gold.undefined == "no rated item has gold"


def test_variances_of_the_gold_figures():
    rng = np.random.default_rng(9)
    table = by.random_table(rng, 12, 5, 3, 0.3)
    gold = {f"i{i}": "abc"[i % 3] for i in range(0, 12, 2)}
    hlp = measure_hlp(table, gold=gold, gold_origin="external")
    named = [(1.0, (item, row)) for item, (_, row) in zip(table.items, by.items_of(table), strict=True)]

    def micro(items):
        return by._share((w * (v == gold[i]), w) for w, (i, row) in items if i in gold for v in row.values())

    def macro(items):
        raters = {g for _, (_, row) in items for g in row}
        means = [
            by._share((w * (row[g] == gold[i]), w) for w, (i, row) in items if i in gold and g in row) for g in raters
        ]
        means = [m for m in means if m is not None]
        return sum(means) / len(means)

    for estimate, figure in ((hlp.against_gold, micro), (hlp.against_gold_macro, macro)):
        assert estimate.value == pytest.approx(figure(named))
        step = 1e-5
        used = [j for j, (_, (i, _)) in enumerate(named) if i in gold]
        slopes = []
        for j in used:
            moved = [figure([(w + s * (a == j), item) for a, (w, item) in enumerate(named)]) for s in (step, -step)]
            slopes.append((moved[0] - moved[1]) / (2 * step))
        n = len(used)
        assert estimate.se_items**2 == pytest.approx(n / (n - 1) * np.var(slopes) * n, abs=1e-8)
        raters = sorted({g for _, (i, row) in named if i in gold for g in row})
        values = [figure([(w, (i, {h: v for h, v in row.items() if h != g})) for w, (i, row) in named]) for g in raters]
        jackknife = (len(values) - 1) * np.var(values)
        assert estimate.se_raters**2 == pytest.approx(jackknife, abs=1e-12)


def test_one_table_of_changes_serves_items_raters_and_labels():
    """The engine's T without a rater equals the sums of the table without that rater."""
    rng = np.random.default_rng(5)
    table = by.random_table(rng, 15, 4, 3, 0.3)
    groups = ItemGroups.of(table)
    used = groups.per_item >= 2

    def vectors(c, _):
        r = c.sum(axis=1)
        return np.column_stack([r >= 2, c[:, 0] * (r >= 2)]).astype(float)

    sums = sums_of(groups, vectors, used)
    for position, rater in enumerate(table.raters):
        less = [list(row.values()) for _, row in by.without_rater(by.items_of(table), rater) if len(row) >= 2]
        expected = [len(less), sum(row.count("a") for row in less)]
        assert sums.without[position] == pytest.approx(expected)
    assert ratio(np.array([[0.0, 1.0], [2.0, 1.0]]))[1] == 0.5
    assert np.isnan(ratio(np.array([0.0, 1.0])))
