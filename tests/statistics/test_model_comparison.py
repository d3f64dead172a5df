"""A model against people: the same reference for both, and words that say no more than the interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consistency.statistics.estimate import Estimate
from consistency.statistics.model_comparison import compare_model, compare_model_with_gold, judge
from consistency.statistics.ratings import RatingsTable

from . import hlp_definitions as by


def crowd(seed: int, *, n: int = 300, r: int = 6, accuracy: float = 0.8) -> tuple[RatingsTable, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    value = np.where(rng.random((n, r)) < accuracy, truth[:, None], 1 - truth[:, None])
    return by.table_of([["ab"[v] for v in row] for row in value], "ab"), truth


def model_of(truth: np.ndarray, accuracy: float, seed: int) -> dict[str, str]:
    rng = np.random.default_rng(seed)
    answer = np.where(rng.random(len(truth)) < accuracy, truth, 1 - truth)
    return {f"i{i}": "ab"[v] for i, v in enumerate(answer)}


def delta(model):
    """mean_i mean_l (credit of the model - credit of l), both against the others; items are (weight, (name, row))."""

    def value(items):
        top, bottom = 0.0, 0.0
        for w, (name, row) in items:
            if len(row) < 2 or name not in model:
                continue
            scores = []
            for rater, label in row.items():
                others = [v for g, v in row.items() if g != rater]
                scores.append(by.credit(model[name], others) - by.credit(label, others))
            top, bottom = top + w * np.mean(scores), bottom + w
        return top / bottom if bottom > 1e-9 else None

    return value


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(4, 10), r=st.integers(5, 6), missing=st.sampled_from([0.0, 0.3]))
def test_difference_and_variances_are_the_definition(seed, n, r, missing):
    rng = np.random.default_rng(seed)
    table = by.random_table(rng, n, r, 3, missing)
    model = {name: "abcz"[rng.integers(4)] for name in table.items if rng.random() < 0.8}
    items = [(1.0, (name, row)) for name, (_, row) in zip(table.items, by.items_of(table), strict=True)]
    figure = delta(model)
    found = compare_model(table, model, interval="two_way")
    if figure(items) is None:
        assert found.difference.value is None
        return
    difference = found.difference
    assert difference.value == pytest.approx(figure(items), abs=1e-9)
    assert found.model_score - found.rater_score == pytest.approx(difference.value)
    used = [(w, item) for w, item in items if item[0] in model and len(item[1]) >= 2]
    if len(used) < 2:
        return
    means = [figure([item]) for item in used]
    vi = np.var(means, ddof=1) / len(used)
    assert difference.se_items**2 == pytest.approx(vi, abs=1e-9)
    raters = sorted({g for _, (_, row) in used for g in row})
    values = [figure([(w, (i, {h: v for h, v in row.items() if h != g})) for w, (i, row) in used]) for g in raters]
    if any(v is None for v in values) or difference.method != "two_way":
        return
    vr = (len(values) - 1) * np.var(values)
    step, vir = 1e-5, 0.0
    for j, (_, (name, row)) in enumerate(used):
        for g in row:
            less = (name, {h: v for h, v in row.items() if h != g})
            up = [(w - step * (a == j), item) for a, (w, item) in enumerate(used)] + [(step, less)]
            down = [(w + step * (a == j), item) for a, (w, item) in enumerate(used)] + [(-step, less)]
            vir += ((figure(up) - figure(down)) / (2 * step)) ** 2
    assert difference.se**2 == pytest.approx(vi + max(0.0, vr - vir), abs=1e-7)


def test_a_model_as_good_as_a_rater_is_not_called_better_or_worse():
    verdicts = []
    for seed in range(12):
        table, truth = crowd(seed)
        verdicts.append(compare_model(table, model_of(truth, 0.8, 100 + seed)).verdict)
    assert set(verdicts) <= {"matches", "cannot_say"}


def test_a_perfect_model_is_better_and_a_coin_falls_short():
    table, truth = crowd(1)
    perfect = compare_model(table, model_of(truth, 1.0, 0))
    assert perfect.verdict == "better"
    assert perfect.sentence.startswith("The model agrees with the other raters more often than a rater does")
    assert "better than people" not in perfect.sentence.lower()
    coin = compare_model(table, model_of(truth, 0.5, 0))
    assert coin.verdict == "falls_short"
    gold = {f"i{i}": "ab"[v] for i, v in enumerate(truth)}
    against = compare_model_with_gold(table, model_of(truth, 1.0, 0), gold, gold_origin="adjudicated")
    assert against.verdict == "better"
    assert against.sentence.startswith("Better than people: the model equals the adjudicated gold more often")
    assert against.model_score == 1.0
    assert against.rater_score == pytest.approx(0.8, abs=0.03)


def test_pairwise_hlp_would_have_called_an_average_rater_superhuman():
    """Negative control: a model at a rater's accuracy, scored against majorities, beats pairwise HLP every time."""
    from consistency.statistics.hlp import measure_hlp

    for seed in range(5):
        table, truth = crowd(seed)
        found = compare_model(table, model_of(truth, 0.8, 50 + seed))
        assert found.model_score > measure_hlp(table, permutations=9).pairwise.value + 0.03
        assert found.verdict != "better"


def test_four_raters_speak_only_for_themselves():
    table, truth = crowd(2, r=4)
    found = compare_model(table, model_of(truth, 1.0, 0))
    assert found.difference.method == "items"
    assert found.difference.population.startswith("than these raters")
    assert "than these raters do" in found.sentence


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.05, "better"),
        (0.0, 0.05, "matches"),
        (-0.04, 0.02, "matches"),
        (-0.04, -0.01, "matches"),
        (-0.05, 0.02, "cannot_say"),
        (-0.08, -0.01, "falls_short"),
        (-0.08, 0.01, "cannot_say"),
        (None, None, "cannot_say"),
    ],
)
def test_the_four_words(low, high, verdict):
    assert judge(Estimate(value=0.0, low=low, high=high), 0.05) == verdict


def test_within_the_margin_but_surely_below_is_said():
    rng = np.random.default_rng(0)
    n = 4000
    table = by.table_of([["a"] * 5] * n, "ab")
    model = {f"i{i}": "b" if rng.random() < 0.02 else "a" for i in range(n)}
    found = compare_model(table, model)
    assert found.verdict == "matches"
    assert "within the margin of 5 points, slightly below" in found.sentence


def test_unanimous_raters_and_a_model_that_does_the_same():
    table = by.table_of([["a"] * 5] * 200, "ab")
    found = compare_model(table, {f"i{i}": "a" for i in range(200)})
    assert found.difference.value == 0.0
    assert found.verdict == "matches"
    assert found.difference.low == pytest.approx(-(1 - 0.025 ** (1 / 200)))
    few = compare_model(by.table_of([["a"] * 5] * 10, "ab"), {f"i{i}": "a" for i in range(10)})
    assert few.verdict == "cannot_say"


def test_nothing_in_common_is_a_sentence_and_left_out_items_are_counted():
    table, _ = crowd(0, n=5)
    none = compare_model(table, {"elsewhere": "a"})
    assert none.verdict == "cannot_say"
    assert none.difference.undefined == "no item has a label by the model and two or more ratings"
    some = compare_model(table, {"i0": "a", "i1": "b"})
    assert some.difference.n_items == 2
    assert some.difference.excluded["items_without_model_label"] == 3
    assert compare_model_with_gold(table, {"i0": "a"}, {"i1": "a"}).difference.value is None
    with pytest.raises(ValueError, match="margin must be 0 or more"):
        compare_model(table, {}, margin=-0.1)


def test_labels_nobody_declared_still_equal_gold_when_they_are_equal():
    table = by.table_of([["a", "b"], ["a", "a"], ["b", "b"]], "ab")
    found = compare_model_with_gold(table, {"i0": "z", "i1": "z", "i2": "b"}, {"i0": "z", "i1": "q", "i2": "b"})
    assert found.model_score == pytest.approx(2 / 3)
    assert found.rater_score == pytest.approx(1 / 3)
