"""The alternative-annotator test and the gate automation has to pass."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm, ttest_1samp

from consistency.statistics.replacement import (
    alternative_annotator_test,
    choose_cut_off,
    gate_groups,
    items_needed,
    non_inferiority_gate,
    tango_interval,
    tango_z,
)

from .test_model_comparison import crowd, model_of


def by_definition(table, model, epsilon):
    """Per person: share of wins and p, by loops (Calderon et al. 2025 with accuracy)."""
    from . import hlp_definitions as by

    wins: dict[str, list[tuple[int, int]]] = {}
    for name, (_, row) in zip(table.items, by.items_of(table), strict=True):
        if len(row) < 2 or name not in model:
            continue
        for g, label in row.items():
            others = [v for h, v in row.items() if h != g]
            s_model, s_person = np.mean([v == model[name] for v in others]), np.mean([v == label for v in others])
            wins.setdefault(g, []).append((int(s_model >= s_person), int(s_person >= s_model)))
    out = {}
    for g, pairs in wins.items():
        w = np.array(pairs)
        d = w[:, 1] - w[:, 0]
        out[g] = (w[:, 0].mean(), ttest_1samp(d, epsilon, alternative="less").pvalue)
    return out


def test_per_person_figures_are_the_definition():
    table, truth = crowd(3, n=120)
    model = model_of(truth, 0.85, 1)
    found = alternative_annotator_test(table, model, epsilon=0.1)
    expected = by_definition(table, model, 0.1)
    assert {p.rater for p in found.people} == set(expected)
    for person in found.people:
        assert person.model_wins == pytest.approx(expected[person.rater][0])
        assert person.p == pytest.approx(expected[person.rater][1], rel=1e-9)
    assert found.advantage_probability.value == pytest.approx(np.mean([w for w, _ in expected.values()]))


def test_a_good_model_passes_and_a_coin_does_not():
    table, truth = crowd(4)
    good = alternative_annotator_test(table, model_of(truth, 0.9, 1), epsilon=0.15)
    assert good.passes
    assert good.winning_rate.value == 1.0
    coin = alternative_annotator_test(table, model_of(truth, 0.5, 1), epsilon=0.15)
    assert coin.passes is False
    assert coin.winning_rate.value == 0.0
    assert "does not pass" in coin.sentence


def test_people_with_few_items_are_left_out_by_name():
    table, truth = crowd(5, n=40)
    few = table.subset(rows=~((table.rater == 0) & (table.item >= 20)))
    found = alternative_annotator_test(few, model_of(truth, 0.9, 1))
    assert found.left_out == ("r0",)
    tiny = alternative_annotator_test(table.subset(items=np.arange(10)), model_of(truth, 0.9, 1))
    assert tiny.passes is None
    assert "the test needs 3" in tiny.winning_rate.undefined
    with pytest.raises(ValueError, match="epsilon"):
        alternative_annotator_test(table, {}, epsilon=1.2)


@pytest.mark.parametrize(
    ("gained", "lost", "n"), [(12, 2, 50), (0, 3, 30), (5, 5, 20), (1, 0, 44), (0, 0, 44), (30, 0, 30)]
)
def test_tango_is_the_score_test_inverted(gained, lost, n):
    """The statistic from its definition: the difference over its variance at the constrained maximum likelihood."""
    for delta in (-0.2, -0.05, 0.03, 0.15):

        def log_likelihood(q21, delta=delta):
            q12 = q21 + delta
            rest = 1 - q12 - q21
            if min(q12, q21, rest) <= 0:
                return np.inf
            return -(gained * np.log(q12) + lost * np.log(q21) + (n - gained - lost) * np.log(rest))

        low, high = max(1e-12, -delta + 1e-12), (1 - delta) / 2 - 1e-12
        q21 = minimize_scalar(log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
        expected = (gained - lost - n * delta) / np.sqrt(n * (2 * q21 + delta - delta**2))
        assert tango_z(gained, lost, n, delta) == pytest.approx(expected, rel=1e-3, abs=1e-3)
    low, high = tango_interval(gained, lost, n)
    assert -1 <= low <= (gained - lost) / n <= high <= 1
    for bound, z in ((low, norm.ppf(0.975)), (high, -norm.ppf(0.975))):
        if abs(bound) < 1 - 1e-6:
            assert tango_z(gained, lost, n, bound) == pytest.approx(z, abs=1e-6)


def test_tango_interval_covers():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        gained, lost, _ = rng.multinomial(80, [0.12, 0.05, 0.83])
        low, high = tango_interval(int(gained), int(lost), 80)
        covered += low <= 0.07 <= high
    assert 0.93 <= covered / 400 <= 0.985


def test_items_needed_are_the_published_two():
    assert items_needed(0.15, 0.03) == 1309
    assert items_needed(0.15, 0.05) == 471
    with pytest.raises(ValueError, match="above -margin"):
        items_needed(0.15, 0.03, difference=-0.03)


def test_the_gate_passes_an_equal_model_only_with_enough_items():
    rng = np.random.default_rng(1)
    reference = rng.random(4000) < 0.9
    model = np.where(rng.random(4000) < 0.05, ~reference, reference)
    model[:200] = reference[:200]
    wide = non_inferiority_gate(model, reference, margin=0.05)
    small = non_inferiority_gate(model[200:260], reference[200:260], margin=0.02)
    assert wide.passes == (wide.difference.low > -0.05)
    assert not small.passes
    assert small.needed > 60
    assert f"{small.needed:,} items" in small.sentence
    assert non_inferiority_gate([], []).difference.undefined
    with pytest.raises(ValueError, match="same items"):
        non_inferiority_gate([True], [True, False])


def test_an_inferior_model_passes_about_as_often_as_it_may():
    """At exactly the margin the one-sided error is 2.5 %; without a margin (superiority) an equal model never gains."""
    rng = np.random.default_rng(2)
    passed = 0
    for _ in range(400):
        gained, lost, same = rng.multinomial(500, [0.05, 0.10, 0.85])
        model = np.repeat([True, False, True], [gained, lost, same])
        reference = np.repeat([False, True, True], [gained, lost, same])
        passed += bool(non_inferiority_gate(model, reference, margin=0.05).passes)
    assert passed <= 22


def test_holm_over_groups_is_stricter_than_each_alone():
    right = np.ones(400, bool)
    slightly = right.copy()
    slightly[:7] = False
    groups = {"a": (slightly, right), "b": (slightly, right), "c": (slightly, right), "empty": ([], [])}
    gates = gate_groups(groups, margin=0.04)
    alone = non_inferiority_gate(slightly, right, margin=0.04)
    assert alone.passes
    assert all(gates[name].p_holm >= alone.p for name in "abc")
    assert gates["empty"].passes is None
    assert all(gates[name].passes == (gates[name].p_holm <= 0.025) for name in "abc")


def test_a_cut_off_is_chosen_on_one_part_and_proven_on_another():
    rng = np.random.default_rng(3)
    score = rng.random(4000)
    right = rng.random(4000) < 0.5 + score / 2
    found = choose_cut_off(score[:2000], right[:2000], score[2000:], right[2000:], limit=0.1)
    taken = score[2000:] >= found.cut_off
    assert found.coverage == pytest.approx(taken.mean())
    assert found.risk.value == pytest.approx((~right[2000:][taken]).mean())
    assert found.risk.high > found.risk.value
    assert found.holds == (found.risk.high <= 0.1)
    hopeless = choose_cut_off([0.9, 0.8], [False, False], [0.9], [True], limit=0.1)
    assert hopeless.cut_off is None
    assert not hopeless.holds
    ties = choose_cut_off([0.9, 0.9, 0.1], [True, False, True], [0.95], [True], limit=0.4)
    assert ties.cut_off == 0.1, "cases with one score go together"
