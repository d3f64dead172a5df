"""Precision, recall and F1: the course's skewed tables, 0/0 undefined, and the intervals of pooled scores."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support
from statsmodels.stats.proportion import proportion_confint

from consistency.statistics.label_scores import f1_of, score_confusion, score_labels, score_raters, score_table
from consistency.statistics.ratings import RatingsTable

from . import hlp_definitions as by


def test_skewed_confusion_matrix():
    """AC-11: rows here are the reference, so the course's table is turned."""
    scores = score_confusion([[905, 9], [18, 68]], ["0", "1"])
    one = scores.labels["1"]
    assert one.precision.value == pytest.approx(68 / 77)
    assert one.recall.value == pytest.approx(68 / 86)
    assert round(100 * one.precision.value, 1) == 88.3
    assert round(100 * one.recall.value, 1) == 79.1
    assert round(100 * one.f1.value, 1) == 83.4
    assert round(100 * scores.accuracy.value, 1) == 97.3
    assert (one.in_reference, one.given) == (86, 77)


def test_always_zero_has_no_precision():
    """print("0"): recall 0 %, precision 0/0 = undefined, not 0, accuracy 91.4 %."""
    scores = score_labels([0] * 914 + [1] * 86, [0] * 1000)
    one = scores.labels["1"]
    assert one.recall.value == 0.0
    assert one.precision.value is None
    assert one.precision.undefined == "'1' was never given: precision is 0/0"
    assert one.f1.value == 0.0, "F1 = 2TP / (2TP + FP + FN) is 0/86, not 0/0"
    assert scores.accuracy.value == pytest.approx(0.914)


def test_always_one_on_98_percent_negative():
    one = score_labels([0] * 98 + [1] * 2, [1] * 100).labels["1"]
    assert one.recall.value == 1.0
    assert one.precision.value == pytest.approx(0.02)


def test_a_label_that_occurs_nowhere_is_undefined_throughout():
    nowhere = score_labels(["a", "b"], ["a", "b"], categories=["a", "b", "c"]).labels["c"]
    assert nowhere.precision.value is nowhere.recall.value is nowhere.f1.value is None
    assert nowhere.f1.undefined == "'c' occurs nowhere: F1 is 0/0"
    assert score_labels([], []).accuracy.undefined == "no item has both a reference and an answer"


@pytest.mark.parametrize(
    ("precision", "recall", "f1"),
    [
        (88.3, 79.1, 83.4),
        (97.0, 7.3, 13.6),
        (82.1, 99.2, 89.8),
        (92.1, 99.5, 95.7),
        (85.3, 98.7, 91.5),
        (72.1, 97, 82.7),
    ],
)
def test_f1_tables(precision, recall, f1):
    """AC-12. Scratch is printed 89.8 in the course; 2 x 82.1 x 99.2 / 181.3 = 89.84."""
    assert f1_of(precision, recall) == pytest.approx(f1, abs=0.06)
    assert f1_of(0, 0) is None


def test_against_scikit_learn_and_statsmodels():
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 4, 500)
    answers = np.where(rng.random(500) < 0.7, reference, rng.integers(0, 4, 500))
    scores = score_labels(reference.tolist(), answers.tolist())
    p, r, f, n = precision_recall_fscore_support(reference, answers)
    for k in range(4):
        one = scores.labels[str(k)]
        assert (one.precision.value, one.recall.value, one.f1.value) == pytest.approx((p[k], r[k], f[k]))
        assert one.in_reference == n[k]
        hits = int(((reference == k) & (answers == k)).sum())
        assert (one.recall.low, one.recall.high) == pytest.approx(proportion_confint(hits, n[k], method="wilson"))
        assert one.f1.low < one.f1.value < one.f1.high


def test_abstaining_is_not_disagreeing():
    scores = score_labels(["a", "a", "b", None], ["a", None, "b", "b"])
    assert scores.accuracy.value == 1.0
    assert scores.accuracy.n_items == 2
    assert scores.missing == 2
    with pytest.raises(ValueError, match="row 2: label 'z' is not one of the declared categories"):
        score_labels(["a", "a"], ["a", "z"], categories=["a", "b"])
    with pytest.raises(ValueError, match="2 reference labels, 1 answers"):
        score_labels(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="whole numbers"):
        score_confusion([[1, -1], [0, 2]], ["a", "b"])


def test_each_rater_against_gold():
    rows = [("i0", "gene", "a"), ("i1", "gene", "b"), ("i0", "gina", "b"), ("i2", "gina", "a")]
    gold = {"i0": "a", "i1": "a"}
    scores = score_raters(RatingsTable.from_records(rows), gold)
    assert scores["gene"].accuracy.value == 0.5
    assert scores["gene"].labels["a"].precision.value == 1.0
    assert scores["gina"].accuracy.value == 0.0
    assert scores["gina"].missing == 1
    outside = score_raters(RatingsTable.from_records(rows), {"i0": "z"})
    assert outside["gene"].accuracy.value == 0.0
    assert outside["gene"].labels["(other)"].in_reference == 1


def test_pooled_scores_and_their_item_variance():
    rng = np.random.default_rng(5)
    table = by.random_table(rng, 30, 6, 3, 0.2)
    gold = {name: "abc"[rng.integers(3)] for name in table.items[:25]}
    scores = score_table(table, gold)
    pairs = [
        (gold[table.items[i]], table.categories[v])
        for i, v in zip(table.item.tolist(), table.value.tolist(), strict=True)
        if table.items[i] in gold
    ]
    plain = score_labels([g for g, _ in pairs], [v for _, v in pairs])
    assert scores.accuracy.value == pytest.approx(plain.accuracy.value)
    named = list(zip(table.items, by.items_of(table), strict=True))
    for label, one in scores.labels.items():
        assert one.precision.value == pytest.approx(plain.labels[label].precision.value)
        assert one.recall.value == pytest.approx(plain.labels[label].recall.value)
        assert one.f1.value == pytest.approx(plain.labels[label].f1.value)
        given = [sum(v == label for v in row.values()) for name, (_, row) in named if name in gold]
        right = [sum(v == label == gold[name] for v in row.values()) for name, (_, row) in named if name in gold]
        influence = (np.array(right) - one.precision.value * np.array(given)) / sum(given)
        n = len(given)
        assert one.precision.se_items**2 == pytest.approx(n / (n - 1) * (influence**2).sum())
    assert score_table(table, {}).accuracy.undefined == "no rated item has gold"
