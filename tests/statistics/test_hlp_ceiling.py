"""The convention ceiling: the exact expectation, its bracket, and whether its interval covers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import beta

from consistency.statistics.bayes_error import bayes_error, bayes_error_of_soft_labels
from consistency.statistics.ceiling import bracket, bracket_vectors, convention_ceiling, expected_largest_share
from consistency.statistics.hlp import measure_hlp
from consistency.statistics.patterns import PatternTable
from consistency.statistics.ratings import RatingsTable


@pytest.mark.parametrize(
    ("prior", "count"),
    [
        ([0.5, 0.3, 0.2], [2, 1, 0]),
        ([1e-3, 2e-3, 0.5], [1, 0, 0]),
        ([300.0, 500, 200], [3, 2, 0]),
        ([0.01] * 20, [1] * 3 + [0] * 17),
        ([600, 300, 99.0, 0.1], [30, 40, 2, 0]),
    ],
)
def test_the_integral_is_what_draws_only_approach(prior, count):
    prior, count = np.array(prior), np.array(count)
    drawn = np.random.default_rng(0).dirichlet(prior + count, 100_000).max(axis=1)
    exact = expected_largest_share(count[None], prior)[0]
    assert exact == pytest.approx(drawn.mean(), abs=5 * drawn.std() / 300)


def test_two_labels_by_incomplete_betas():
    for a, b in ((0.3, 2.7), (7.7, 3.3), (1.0, 1.0), (700.0, 300.0)):
        numeric = integrate.quad(lambda p, a=a, b=b: max(p, 1 - p) * beta.pdf(p, a, b), 0, 1, points=[0.5], limit=400)[
            0
        ]
        assert expected_largest_share(np.array([[0, 0]]), np.array([a, b]))[0] == pytest.approx(numeric, abs=1e-6)


def test_two_labels_and_a_third_of_no_weight_agree():
    """The beta path and the integral are two roads to one number."""
    counts = np.array([[3, 1], [0, 2]])
    two = expected_largest_share(counts, np.array([1.2, 0.8]))
    three = expected_largest_share(np.column_stack([counts, [0, 0]]), np.array([1.2, 0.8, 1e-9]))
    assert three == pytest.approx(two, abs=1e-6)


def test_bounds_of_one_item():
    lower, upper = bracket(bracket_vectors(np.array([[7, 3]])).sum(axis=0), 2)
    assert lower == pytest.approx(0.7)
    assert upper == pytest.approx(0.7)
    # pairs .49 / .42 / .09: the largest ceiling that a pairwise agreement of .58 allows is .70
    pairs = bracket_vectors(np.array([[2, 0], [1, 1], [0, 2]]))
    lower, upper = bracket(np.array([49, 42, 9]) @ pairs, 2)
    assert (lower, upper) == (pytest.approx(0.58), pytest.approx(0.70))


def population(seed: int, n: int, r: int, k: int, strength: float) -> tuple[RatingsTable, float]:
    """Items whose label shares come from a Dirichlet, r ratings each; and the true E max over this population."""
    rng = np.random.default_rng(seed)
    base = np.array([0.6, 0.3, 0.1][:k])
    base = base / base.sum()
    truth = rng.dirichlet(base * strength, 200_000).max(axis=1).mean()
    shares = rng.dirichlet(base * strength, n)
    value = np.array([rng.choice(k, r, p=p) for p in shares])
    table = RatingsTable.from_codes(
        np.repeat(np.arange(n), r), np.tile(np.arange(r), n), value.ravel(), categories=list("abc"[:k])
    )
    return table, float(truth)


@pytest.mark.parametrize(("r", "k", "strength"), [(2, 2, 2.0), (3, 2, 0.5), (3, 3, 2.0), (5, 3, 6.0)])
def test_the_estimate_is_near_the_truth_where_the_plug_in_is_not(r, k, strength):
    covered, errors, plug_in = 0, [], []
    for seed in range(40):
        table, truth = population(seed, 200, r, k, strength)
        patterns = table.patterns()
        found = convention_ceiling(patterns.counts, patterns.multiplicity, seed=seed)
        estimate = found.estimate
        covered += estimate.low <= truth <= estimate.high
        errors.append(estimate.value - truth)
        share = patterns.counts.max(axis=1) / patterns.counts.sum(axis=1)
        plug_in.append(float(patterns.multiplicity @ share) / 200 - truth)
    assert covered >= 36
    assert abs(np.mean(errors)) < 0.03
    assert abs(np.mean(errors)) < abs(np.mean(plug_in))


def test_same_seed_same_interval_and_label_names_do_not_matter():
    table, _ = population(3, 100, 4, 3, 2.0)
    renamed = RatingsTable.from_codes(table.item, table.rater, (table.value + 1) % 3, categories=list("abc"))
    first, again = measure_hlp(table, permutations=9, seed=5), measure_hlp(table, permutations=9, seed=5)
    assert first.convention_ceiling == again.convention_ceiling
    other = measure_hlp(renamed, permutations=9, seed=5).convention_ceiling
    assert other.value == pytest.approx(first.convention_ceiling.value, abs=1e-9)


def test_alike_items_have_no_interval():
    ceiling = convention_ceiling(np.array([[7, 3]]), np.array([50])).estimate
    assert ceiling.low is None
    assert "alike" in ceiling.notes[0]


def test_single_ratings_are_left_out_and_counted():
    patterns = PatternTable.from_counts([[2, 1], [1, 2], [1, 0], [0, 1]])
    found = convention_ceiling(patterns.counts, patterns.multiplicity)
    assert found.estimate.n_items == 2
    assert found.estimate.excluded["single_rating_items"] == 2
    assert convention_ceiling(np.array([[1, 0]]), np.array([3])).estimate.value is None


def test_bayes_error_is_one_less_the_ceiling():
    table, truth = population(1, 300, 3, 2, 1.0)
    error = bayes_error(table)
    ceiling = measure_hlp(table, permutations=9)
    assert error.estimate.value == pytest.approx(1 - ceiling.convention_ceiling.value)
    assert error.lower <= error.estimate.value <= error.upper
    assert error.plug_in < error.estimate.value, "the plug-in is too low with three raters"
    assert error.estimate.value == pytest.approx(1 - truth, abs=0.03)
    assert error.upper == pytest.approx(1 - ceiling.leave_one_out.value)
    assert any("only if raters answer like draws" in note for note in error.estimate.notes)


def test_bayes_error_of_given_soft_labels():
    p = np.random.default_rng(0).dirichlet([1, 1, 1], 500)
    estimate = bayes_error_of_soft_labels(p)
    assert estimate.value == pytest.approx((1 - p.max(axis=1)).mean())
    assert estimate.low < estimate.value < estimate.high
    with pytest.raises(ValueError, match=r"row 2: .* is no distribution"):
        bayes_error_of_soft_labels([[0.5, 0.5], [0.9, 0.2]])
    assert bayes_error_of_soft_labels(np.zeros((0, 2))).undefined == "there are no items"


def test_undefined_bayes_error_has_a_reason():
    error = bayes_error(RatingsTable.from_records([("a", "gene", "x")]))
    assert error.estimate.value is None
    assert error.as_json()["plug_in"] is None
