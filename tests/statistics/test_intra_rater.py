"""Self-agreement from repeated labels."""

from __future__ import annotations

import numpy as np
import pytest

from consistency.statistics.agreement import krippendorff_alpha
from consistency.statistics.intra_rater import NO_REPEATS, pooled_self_agreement, self_agreement
from consistency.statistics.ratings import RatingsTable


def test_one_rater_twice():
    rows = [("a", "gene", "x"), ("a", "gene", "x"), ("b", "gene", "y"), ("b", "gene", "x"), ("c", "gina", "y")]
    found = self_agreement(RatingsTable.from_records(rows))
    assert list(found.raters) == ["gene"]
    gene = found.raters["gene"]
    assert gene.repeats == 2
    assert gene.consistent.value == 0.5
    assert gene.alpha.value == krippendorff_alpha(RatingsTable.from_matrix([["x", "x"], ["y", "x"]])).value
    assert gene.alpha.population == "for this rater, on items like these"
    assert any("2 repeats" in note for note in gene.consistent.notes)
    assert set(found.as_json()["gene"]) == {"repeats", "consistent", "alpha"}


def test_three_sessions_are_three_raters():
    rng = np.random.default_rng(1)
    value = rng.integers(1, 5, (45, 3))
    value[:, 1:] = np.where(rng.random((45, 2)) < 0.7, value[:, :1], value[:, 1:])
    rows = [(f"i{i}", "ella", value[i, s], s) for s in (2, 0, 1) for i in range(45)]
    table = RatingsTable.from_records(rows)
    for level in ("nominal", "ordinal", "interval"):
        ella = self_agreement(table, level=level).raters["ella"]
        alone = krippendorff_alpha(RatingsTable.from_matrix(value.tolist()), level=level, interval="items")
        assert ella.alpha.value == pytest.approx(alone.value)
        assert ella.alpha.low == pytest.approx(alone.low)
    pairs = [(value[:, a] == value[:, b]).mean() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert ella.consistent.value == pytest.approx(np.mean(pairs))
    assert ella.repeats == 45


def test_always_the_same_answer_is_certain_only_as_far_as_the_items_go():
    rows = [(i, "gene", i % 2) for i in range(10)] * 2
    gene = self_agreement(RatingsTable.from_records(rows)).raters["gene"]
    assert gene.consistent.value == 1.0
    assert gene.consistent.low == pytest.approx(0.025 ** (1 / 10))
    constant = self_agreement(RatingsTable.from_records([(i, "gene", "x") for i in range(10)] * 2)).raters["gene"]
    assert constant.alpha.value is None
    assert constant.alpha.undefined


def test_nobody_labeled_twice():
    table = RatingsTable.from_records([("a", "gene", "x"), ("a", "gina", "x")])
    found = self_agreement(table)
    assert found.raters == {}
    assert found.pooled.undefined == NO_REPEATS
    assert found.as_json() == {}


def test_repeats_of_others_do_not_enter_and_pooling_counts_each_unit_once():
    rng = np.random.default_rng(2)
    rows, scores = [], []
    for g in range(6):
        for i in range(20):
            first, second = rng.integers(0, 2, 2)
            rows += [(f"i{i}", f"r{g}", first), (f"i{i}", f"r{g}", second)]
            scores.append(first == second)
    table = RatingsTable.from_records(rows)
    pooled = pooled_self_agreement(table)
    assert pooled.value == pytest.approx(np.mean(scores))
    assert pooled.n_raters == 6
    assert pooled.n_items == 20
    assert pooled.method == "two_way"
    grid = np.array(scores).reshape(6, 20)
    jackknife = [np.delete(grid, g, axis=0).mean() for g in range(6)]
    assert pooled.se_raters**2 == pytest.approx(5 * np.var(jackknife))
    assert pooled.se_items**2 == pytest.approx(np.var(grid.mean(axis=0), ddof=1) / 20)
    only = self_agreement(table).raters["r3"]
    assert only.consistent.value == pytest.approx(grid[3].mean())
    assert only.consistent.se_raters is None
