"""Did the new definition help: differences, flips and the stop hint."""

from __future__ import annotations

import math

import numpy as np
import pytest

from consistency.statistics.agreement import agree, coefficient
from consistency.statistics.differences import SEPARATE, Difference, difference, flips, items_needed, stop_hint
from consistency.statistics.estimate import Estimate
from consistency.statistics.influence import influences
from consistency.statistics.ratings import RatingsTable
from consistency.statistics.simulation import RaterPopulation

NAMES = ("percent_agreement", "fleiss_kappa", "krippendorff_alpha", "gwet_ac", "conger_kappa", "light_kappa")


def world(n=120, r=6, seed=0, shift=0.0, start=0):
    """The same r raters before and after; each answer of `after` keeps the old one or is drawn anew."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    accuracy = rng.uniform(0.6, 0.9, r)

    def labelled(extra):
        right = rng.random((n, r)) < np.minimum(accuracy + extra, 1)
        return np.where(right, truth[:, None], rng.integers(0, 3, (n, r)))

    def table(values, first=0):
        rows = [(f"item{first + i}", f"rater{g}", f"c{values[i, g]}") for i in range(n) for g in range(r)]
        return RatingsTable.from_records(rows, categories=["c0", "c1", "c2"])

    return table(labelled(0.0)), table(labelled(shift), start)


@pytest.mark.parametrize("name", NAMES)
def test_the_paired_difference_is_the_difference_with_the_item_jackknifes_error(name):
    before, after = world(n=60)
    d = difference(before, after, name)
    assert (d.raters, d.items) == ("same raters", "paired")
    e = d.these_raters
    assert e.value == pytest.approx(agree(after)[name].value - agree(before)[name].value, abs=1e-12)
    keep, without = np.ones(before.n_items, bool), []
    for i in range(before.n_items):
        keep[i] = False
        without.append(
            coefficient(after.subset(items=keep), name).value - coefficient(before.subset(items=keep), name).value
        )
        keep[i] = True
    n, without = len(without), np.array(without)
    assert e.se == pytest.approx(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()), rel=0.05)
    assert d.df == n - 1


@pytest.mark.parametrize("name", NAMES)
def test_in_general_takes_the_same_rater_out_of_both(name):
    before, after = world(n=60)
    d = difference(before, after, name)
    without = np.array(
        [
            agree(after.without_raters([g]))[name].value - agree(before.without_raters([g]))[name].value
            for g in before.raters
        ]
    )
    vr = 5 / 6 * ((without - without.mean()) ** 2).sum()
    assert d.in_general.se_raters == pytest.approx(math.sqrt(vr), rel=1e-8)
    one, two = influences(before, name), influences(after, name)
    vir = float(((two.by_label - one.by_label) ** 2).sum())
    assert d.in_general.se == pytest.approx(math.sqrt(d.these_raters.se**2 + max(0.0, vr - vir)), rel=1e-9)
    assert d.in_general.population == "for raters and items like these"


def test_nothing_changed_is_a_difference_of_nothing():
    before, _ = world()
    d = difference(before, before, "fleiss_kappa")
    assert d.these_raters.value == 0.0
    assert d.these_raters.low is None
    assert "nothing varies" in " ".join(d.these_raters.notes)


def test_fresh_items_add_their_variances():
    before, after = world(start=1000)
    d = difference(before, after, "percent_agreement")
    assert (d.raters, d.items) == ("same raters", "fresh")
    v = agree(before)["percent_agreement"].se_items ** 2 + agree(after)["percent_agreement"].se_items ** 2
    assert d.these_raters.se == pytest.approx(math.sqrt(v), rel=1e-9)
    assert d.df == 120 + 120 - 2
    assert d.n_items == 120


def test_a_relabelled_sample_is_compared_on_its_own_items():
    before, after = world()
    sample = after.subset(items=np.arange(120) < 50)
    d = difference(before, sample, "fleiss_kappa")
    assert d.items == "paired"
    assert (d.n_before, d.n_after, d.n_items) == (50, 50, 50)
    assert d.before == pytest.approx(agree(before.subset(items=np.arange(120) < 50))["fleiss_kappa"].value)


def test_overlapping_items_add_influences_item_by_item():
    before, after = world()
    one = before.subset(items=np.arange(120) < 80)
    two = after.subset(items=np.arange(120) >= 40)
    d = difference(one, two, "percent_agreement")
    assert d.items == "overlapping"
    assert d.n_items == 120
    paired = difference(before, after, "percent_agreement").these_raters.se
    assert d.these_raters.se > paired


def test_order_of_rows_and_names_of_items_do_not_matter():
    before, after = world()
    rng = np.random.default_rng(1)
    rows = [
        (after.items[i], after.raters[g], after.categories[v])
        for i, g, v in zip(after.item.tolist(), after.rater.tolist(), after.value.tolist(), strict=True)
    ]
    rng.shuffle(rows)
    shuffled = RatingsTable.from_records(rows, categories=after.categories)
    one, two = difference(before, after), difference(before, shuffled)
    assert one.these_raters.se == pytest.approx(two.these_raters.se, rel=1e-9)
    assert one.in_general.se == pytest.approx(two.in_general.se, rel=1e-9)


def test_different_raters_cannot_separate_the_definition_from_the_people():
    before, after = world(r=4, start=500)
    renamed = RatingsTable.from_codes(
        after.item, after.rater, after.value, categories=after.categories, raters=list("wxyz"), items=after.items
    )
    d = difference(before, renamed)
    assert d.raters == "different raters"
    assert d.headline.undefined == SEPARATE
    assert stop_hint(d).verdict == "not_decided"
    before, after = world(r=7)
    renamed = RatingsTable.from_codes(
        after.item, after.rater, after.value, categories=after.categories, raters=list("tuvwxyz"), items=after.items
    )
    d = difference(before, renamed, "fleiss_kappa")
    assert d.headline.value is not None
    assert d.headline.se > difference(before, after, "fleiss_kappa").these_raters.se
    parts = [influences(t, "fleiss_kappa").variances for t in (before, renamed)]
    expected = sum(v.items + max(0.0, v.raters - v.labels) for v in parts)
    assert d.headline.se == pytest.approx(math.sqrt(expected), rel=1e-9)


def test_partly_the_same_raters_compares_the_common_ones():
    before, after = world(r=6)
    d = difference(before.without_raters(["rater0"]), after.without_raters(["rater5"]), "fleiss_kappa")
    common = ["rater1", "rater2", "rater3", "rater4"]
    keep = np.isin(before.raters, common)
    assert d.raters == "common raters"
    assert d.before == pytest.approx(agree(before.subset(raters=keep))["fleiss_kappa"].value)
    assert "4 raters of both tables" in " ".join(d.these_raters.notes)
    assert "4 raters are too few" in d.in_general.undefined


def test_an_undefined_arm_says_which():
    _, after = world()
    rows = [(f"item{i}", f"rater{g}", "c0") for i in range(10) for g in range(6)]
    d = difference(RatingsTable.from_records(rows, categories=["c0", "c1", "c2"]), after)
    assert d.these_raters.undefined.startswith("before: every rating is the same category")
    with pytest.raises(ValueError, match="unknown coefficient"):
        difference(after, after, "icc_2_1")


def test_flips_show_the_direction():
    before = RatingsTable.from_records([("i", "a", "x"), ("i", "b", "x"), ("j", "a", "y"), ("k", "a", "x")])
    after = RatingsTable.from_records(
        [("i", "a", "y"), ("i", "b", "y"), ("j", "a", "x"), ("l", "a", "x"), ("k", "a", "z")]
    )
    f = flips(before, after)
    assert (f.n, f.changed) == (4, 4)
    assert f.directions() == [("x", "y", 2), ("x", "z", 1), ("y", "x", 1)]


# ---------------------------------------------------------------- the stop hint


def gained(value, se, df=300.0, n=300) -> Difference:
    e = Estimate(value, value - 2 * se, value + 2 * se, se=se, method="items")
    return Difference("krippendorff_alpha", e, e, 0.4, 0.4 + value, "same raters", "fresh", n, n, n, df)


@pytest.mark.parametrize(
    ("value", "se", "verdict", "words"),
    [
        (0.00, 0.02, "stop", "this revision brought less than 0.05"),
        (0.10, 0.02, "go_on", "worth going on"),
        (0.10, 0.08, "not_decided", "not decided; about"),
        (0.04, 0.02, "not_decided", "not decided; about"),
        (0.02, 0.01, "stop", "less than 0.05"),
    ],
)
def test_stop_hint_in_words(value, se, verdict, words):
    hint = stop_hint(gained(value, se))
    assert hint.verdict == verdict
    assert words in hint.sentence


def test_no_spread_between_items_is_no_certainty():
    """Five items answered as before by everyone: se is 0, and that decides nothing."""
    hint = stop_hint(gained(0.0, 0.0))
    assert (hint.verdict, hint.lower, hint.upper) == ("not_decided", None, None)
    assert "has no interval" in hint.sentence


def test_stop_hint_says_how_many_items_would_decide():
    hint = stop_hint(gained(0.10, 0.08, n=300))
    assert hint.items_needed == math.ceil(300 * (1.645 * 0.08 / 0.05) ** 2)
    near = stop_hint(gained(0.06, 0.08, n=300))
    assert near.items_needed == math.ceil(300 * (1.645 * 0.08 / 0.025) ** 2)


def test_looks_inside_one_batch_share_the_level():
    assert stop_hint(gained(0.0, 0.027)).verdict == "stop"
    assert stop_hint(gained(0.0, 0.027), looks=4).verdict == "not_decided"


def test_target_and_cap():
    high = Estimate(0.85, 0.81, 0.88, se=0.02, method="items")
    assert stop_hint(gained(0.1, 0.02), after=high, target=0.8).verdict == "target_reached"
    assert stop_hint(gained(0.1, 0.02), after=high, target=0.82).verdict == "go_on"
    assert stop_hint(gained(0.1, 0.02), rounds=5).verdict == "rounds_used"
    for wrong in ({"delta_min": 0}, {"looks": 0}):
        with pytest.raises(ValueError, match=r"gain|look"):
            stop_hint(gained(0.1, 0.02), **wrong)


@pytest.mark.slow
def test_a_useless_revision_is_seldom_called_worth_going_on():
    """The same raters relabel fresh items under an unchanged definition: 'go on' at the level of the test, 5 %."""
    population = RaterPopulation.of(3)
    go_on = stop = 0
    covered = 0
    for seed in range(1000, 1150):
        rng = np.random.default_rng(seed)
        confusion = population.draw_raters(5, rng)
        before = population.draw(300, 5, rng, confusion=confusion)
        after = population.draw(300, 5, rng, confusion=confusion)
        fresh = RatingsTable.from_codes(
            after.item, after.rater, after.value, categories=after.categories, items=[f"new{i}" for i in range(300)]
        )
        d = difference(before, fresh)
        assert d.items == "fresh"
        covered += d.these_raters.low <= 0 <= d.these_raters.high
        verdict = stop_hint(d).verdict
        go_on += verdict == "go_on"
        stop += verdict == "stop"
    assert go_on / 150 <= 0.08
    assert stop > go_on
    assert abs(covered / 150 - 0.95) <= 0.04


@pytest.mark.slow
def test_a_real_gain_is_found():
    """Negative control of the test above: raters do get better, and the hint says so."""
    before, after = world(n=300, r=6, shift=0.15)
    assert stop_hint(difference(before, after, "fleiss_kappa")).verdict == "go_on"


def test_independent_errors_would_be_far_too_wide():
    """Why the raters' errors of the two arms are never added: the same raters cancel."""
    before, after = world(n=300)
    arms = [agree(t)["fleiss_kappa"] for t in (before, after)]
    added = math.sqrt(sum(e.se**2 for e in arms))
    assert difference(before, after, "fleiss_kappa").these_raters.se < added / 1.5


def test_items_needed_is_the_power_of_a_paired_test():
    from scipy import stats

    n = items_needed(0.5, 0.1)
    noncentral = math.sqrt(n) * 0.1 / 0.5
    assert 1 - stats.norm.cdf(1.96 - noncentral) == pytest.approx(0.8, abs=0.01)
    with pytest.raises(ValueError, match="cannot be detected"):
        items_needed(0.5, 0)
