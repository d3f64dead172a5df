"""What holds for every coefficient in the registry, whoever adds the next one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consistency.statistics.agreement import ICC_NAMES, NAMES, agree
from consistency.statistics.ratings import RatingsTable

from .engine_tables import RAW_4_RATERS, psychiatric, simulated

TWO = ("cohen_kappa", "scott_pi")
LEVELS = ("nominal", "ordinal", "interval", "ratio")


def relabelled(table: RatingsTable, rng: np.random.Generator, what: str) -> RatingsTable:
    """The same ratings under other item order, rater names or category names."""
    item, rater, value = table.item.copy(), table.rater.copy(), table.value.copy()
    if what == "items":
        item = rng.permutation(table.n_items)[item]
    if what == "raters":
        rater = rng.permutation(table.n_raters).astype(np.int32)[rater]
    if what == "categories":
        value = rng.permutation(table.n_categories).astype(np.int32)[value]
    rows = rng.permutation(table.n_ratings) if what == "rows" else slice(None)
    return RatingsTable.from_codes(item[rows], rater[rows], value[rows], categories=table.categories)


def assert_same(one, two, names=NAMES):
    for name in names:
        a, b = one[name], two[name]
        assert (a.value is None) == (b.value is None)
        for x, y in ((a.value, b.value), (a.se_items, b.se_items), (a.se_raters, b.se_raters), (a.low, b.low)):
            assert (x is None) == (y is None), name
            if x is not None:
                assert x == pytest.approx(y, abs=1e-9, rel=1e-7), name


@st.composite
def ratings(draw):
    n, r, k = draw(st.integers(2, 12)), draw(st.integers(2, 6)), draw(st.integers(2, 4))
    cells = draw(st.lists(st.integers(-1, k - 1), min_size=n * r, max_size=n * r))
    item, rater = np.divmod(np.arange(n * r), r)
    return RatingsTable.from_codes(item, rater, cells, categories=range(1, k + 1))


@pytest.mark.parametrize("what", ["rows", "items", "raters"])
@settings(max_examples=40, deadline=None)
@given(table=ratings(), level=st.sampled_from(LEVELS), seed=st.integers(0, 1000))
def test_order_and_names_of_items_and_raters_do_not_matter(what, table, level, seed):
    weights = {"nominal": "identity", "ordinal": "ordinal", "interval": "quadratic", "ratio": "linear"}[level]
    other = relabelled(table, np.random.default_rng(seed), what)
    options = {"level": level, "weights": weights, "interval": "two_way"}
    assert_same(agree(table, **options), agree(other, **options))


@settings(max_examples=40, deadline=None)
@given(table=ratings(), seed=st.integers(0, 1000))
def test_names_of_categories_do_not_matter_at_nominal_level(table, seed):
    assert_same(agree(table), agree(relabelled(table, np.random.default_rng(seed), "categories")))


def test_names_of_categories_matter_at_interval_level():
    """Negative control of the test above: the permutation does reach the numbers."""
    table = simulated(40, 4, 4, seed=3)
    other = relabelled(table, np.random.default_rng(0), "categories")
    one, two = (agree(t, level="interval")["krippendorff_alpha"].value for t in (table, other))
    assert abs(one - two) > 1e-3


@settings(max_examples=60, deadline=None)
@given(table=ratings(), level=st.sampled_from(LEVELS))
def test_every_estimate_is_whole(table, level):
    """All names; a value or a reason; finite; the interval holds the value; its error lies between its margins."""
    found = agree(table, level=level, interval="two_way")
    assert tuple(found) == (NAMES if level in ("nominal", "ordinal") else NAMES + ICC_NAMES)
    for name, e in found.items():
        assert (e.value is None) == bool(e.undefined)
        if e.value is None:
            assert e.low is None
            continue
        assert math.isfinite(e.value)
        assert e.value <= 1 + 1e-12
        if e.low is not None:
            assert e.low - 1e-9 <= e.value <= e.high + 1e-9, name
        if e.method == "two_way" and e.se is not None:
            assert max(e.se_items, e.se_raters) - 1e-12 <= e.se
            assert e.se <= math.hypot(e.se_items, e.se_raters) + 1e-12


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("raters", [2, 5])
def test_perfect_agreement_is_one(level, raters):
    truth = np.random.default_rng(1).integers(1, 5, 60)
    table = RatingsTable.from_matrix([[int(t)] * raters for t in truth])
    for name, e in agree(table, level=level).items():
        if name in TWO and raters != 2:
            assert "two raters" in e.undefined
        elif name in ICC_NAMES:
            assert e.value == pytest.approx(1.0)
        else:
            assert e.value == 1.0
            assert e.high == 1.0
            assert e.low < 1.0
            assert "nobody ever disagreed" in " ".join(e.notes)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("raters", [2, 6])
def test_independent_raters_agree_by_chance(level, raters):
    rng = np.random.default_rng(7)
    share = [0.4, 0.3, 0.2, 0.1]
    matrix = rng.choice(4, size=(6000, raters), p=share) + 1
    for name, e in agree(RatingsTable.from_matrix(matrix.tolist()), level=level).items():
        if name == "percent_agreement" or e.value is None:
            continue
        if name in ("gwet_ac", "brennan_prediger"):
            # their chance is not that of independent raters with these habits
            pa = sum(p * p for p in share)
            pe = sum(p * (1 - p) for p in share) / 3 if name == "gwet_ac" else 0.25
            assert e.value == pytest.approx((pa - pe) / (1 - pe), abs=0.02)
        else:
            assert abs(e.value) < (0.05 if name.endswith("_k") else 0.03), name


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("weights", ["identity", "linear"])
def test_the_data_twice_halves_the_variance_and_keeps_the_value(level, weights):
    table = simulated(40, 6, 4, seed=5, missing=0.2)
    twice = RatingsTable.from_codes(
        np.concatenate([table.item, table.item + table.n_items]),
        np.tile(table.rater, 2),
        np.tile(table.value, 2),
        categories=table.categories,
    )
    one, two = (agree(t, level=level, weights=weights) for t in (table, twice))
    n = table.n_items
    for name in NAMES:
        if one[name].value is None:
            continue
        if name == "krippendorff_alpha":  # has a small-sample term
            assert two[name].value == pytest.approx(one[name].value, abs=0.01)
        else:
            assert two[name].value == pytest.approx(one[name].value, abs=1e-12)
            assert two[name].se_items == pytest.approx(
                one[name].se_items * math.sqrt(0.5 * (2 * n / (2 * n - 1)) / (n / (n - 1))), rel=1e-6
            )
            assert two[name].se_raters == pytest.approx(one[name].se_raters, rel=1e-9)


def test_two_raters_cohen_light_and_conger_are_one():
    table = simulated(50, 2, 3, seed=2)
    found = agree(table)
    assert found["cohen_kappa"].value == pytest.approx(found["light_kappa"].value, abs=1e-12)
    assert found["cohen_kappa"].value == pytest.approx(found["conger_kappa"].value, abs=1e-12)
    assert found["cohen_kappa"].se == pytest.approx(found["conger_kappa"].se, rel=1e-9)
    assert found["scott_pi"].value == pytest.approx(found["fleiss_kappa"].value, abs=1e-12)


def test_constant_r_ties_fleiss_to_alpha():
    """docs/statistics.md A.11b: alpha = Fleiss + (1 - Fleiss) / (N r)."""
    found = agree(psychiatric())
    fleiss = found["fleiss_kappa"].value
    assert found["krippendorff_alpha"].value == pytest.approx(fleiss + (1 - fleiss) / 180, abs=1e-12)


def test_declared_categories_change_gwets_ac_and_nothing_else():
    observed, declared = (
        agree(RatingsTable.from_matrix(RAW_4_RATERS, categories=c)) for c in (None, [1, 2, 3, 4, 5, 6])
    )
    for name in NAMES:
        if name in ("gwet_ac", "brennan_prediger"):
            assert observed[name].value != pytest.approx(declared[name].value, abs=1e-4)
        elif observed[name].value is not None:
            assert observed[name].value == pytest.approx(declared[name].value, abs=1e-12)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no ratings"),
        ([("i", "gene", "x"), ("j", "gene", "y")], "only one rater"),
        ([("i", "gene", "x"), ("j", "gina", "y")], "no item has ratings by two raters"),
    ],
)
def test_nothing_to_compare_is_said_in_words(rows, words):
    for e in agree(RatingsTable.from_records(rows, categories=["x", "y"])).values():
        assert words in e.undefined


def test_one_category_only():
    """Alpha and the kappas are undefined, AC1 and Brennan-Prediger are 1, as long as two categories are declared."""
    rows = [(i, g, "x") for i in range(30) for g in ("gene", "gina", "ella")]
    found = agree(RatingsTable.from_records(rows, categories=["x", "y"]))
    for name in ("light_kappa", "conger_kappa", "fleiss_kappa", "krippendorff_alpha"):
        assert "same category" in found[name].undefined
    for name in ("percent_agreement", "gwet_ac", "brennan_prediger"):
        assert found[name].value == 1.0
    undeclared = agree(RatingsTable.from_records(rows))
    assert "only one category is declared" in undeclared["gwet_ac"].undefined
    assert undeclared["percent_agreement"].value == 1.0


def test_weights_under_which_nothing_is_a_disagreement_are_named_as_the_reason():
    """Two labels in use: it is the weights that make agreement certain, not a single category."""
    table = simulated(40, 3, 2, seed=1)
    found = agree(table, weights=np.ones((2, 2)))
    for name in ("fleiss_kappa", "brennan_prediger"):
        assert found[name].undefined == "agreement by chance is certain under these weights", name
