"""Consensus: published and planted answers found again, ties kept, and choices made by evidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consistency.statistics.consensus import (
    Votes,
    accuracy_against,
    choose,
    dawid_skene,
    find_consensus,
    majority,
    one_coin,
)
from consistency.statistics.consensus.choose import Setting, choose_of, held_out_likelihood
from consistency.statistics.consensus.dawid_skene import ConfusionModel, dawid_skene_of
from consistency.statistics.consensus.em import run
from consistency.statistics.consensus.majority import majority_of
from consistency.statistics.consensus.one_coin import one_coin_of
from consistency.statistics.ratings import RatingsTable

# Dawid and Skene (1979), Table 1: rows are patients; observer 1 rated three times, observers 2 to 5 once.
DS1979 = """
111 1 1 1 1|333 4 3 3 4|112 2 1 2 2|222 3 1 2 1|222 3 2 2 2|222 3 3 2 2|112 2 1 1 1|333 3 4 3 3|222 2 2 2 3
232 2 2 2 3|444 4 4 4 4|222 3 3 4 3|111 1 1 1 1|222 3 2 1 2|121 1 1 1 1|111 2 1 1 1|111 1 1 1 1|111 1 1 1 1
222 2 2 2 1|222 1 3 2 2|222 2 2 2 2|222 2 2 2 1|222 3 2 2 2|221 2 2 2 2|111 1 1 1 1|111 1 1 1 1|232 2 2 2 2
111 1 1 1 1|111 1 1 1 1|112 1 1 2 1|111 1 1 1 1|333 3 2 3 3|111 1 1 1 1|222 2 2 2 2|222 3 2 3 2|433 4 3 4 3
221 2 2 3 2|232 3 2 3 3|333 3 4 3 2|111 1 1 1 1|111 1 1 1 1|121 2 1 1 1|232 2 2 2 2|121 1 1 1 1|222 2 2 2 2
"""


def anaesthetists():
    """The 1979 table as ratings, 315 labels of 45 patients."""
    records = []
    for patient, row in enumerate("|".join(DS1979.split("\n")).strip("|").split("|"), start=1):
        first, *others = row.split()
        records += [(patient, 1, label, session) for session, label in enumerate(first, start=1)]
        records += [(patient, observer, label, 1) for observer, label in enumerate(others, start=2)]
    return RatingsTable.from_records(records)


def planted(seed=0, n_items=1500, n_raters=12, per_item=5, k=3, accuracy=(0.55, 0.95)):
    """Labels drawn from known confusion matrices: (votes, truth, confusion)."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(k, n_items, p=np.array([0.5, 0.3, 0.2][:k]) / sum([0.5, 0.3, 0.2][:k]))
    confusion = np.empty((n_raters, k, k))
    for g in range(n_raters):
        right = rng.uniform(*accuracy)
        rest = rng.dirichlet(np.ones(k - 1), size=k) * (1 - right)
        for j in range(k):
            confusion[g, j] = np.insert(rest[j], j, right)
    item = np.repeat(np.arange(n_items), per_item)
    rater = np.concatenate([rng.choice(n_raters, per_item, replace=False) for _ in range(n_items)])
    draw = rng.random(len(item))
    value = (draw[:, None] > confusion[rater, truth[item]].cumsum(axis=1)).sum(axis=1)
    return Votes.of_codes(item, rater, value, n_items=n_items, n_raters=n_raters), truth, confusion


# --- the published table --------------------------------------------------------------------------


def test_dawid_skene_1979_is_found_again():
    """Example dawid_skene1979_anaesthetists."""
    table = anaesthetists()
    assert (table.n_ratings, len(table.repeats)) == (225, 90)
    found = dawid_skene(table, smoothing=0, tol=1e-12, max_iter=2000)
    assert found.log_likelihood == pytest.approx(-190.731, abs=5e-4)
    assert found.converged
    assert found.prior == pytest.approx([0.40, 0.42, 0.11, 0.07], abs=0.005)  # their Table 3, two places


def test_repeats_are_needed_for_the_published_solution():
    """Negative control: without observer 1's second and third ratings it is another likelihood."""
    table = anaesthetists()
    first = Votes.of_codes(
        table.item, table.rater.astype(np.int64), table.value.astype(np.int64), n_items=45, n_raters=5
    )
    found = dawid_skene_of(first, n_categories=4, smoothing=0, tol=1e-12, max_iter=2000)
    assert found.log_likelihood != pytest.approx(-190.731, abs=1)


def test_restarts_are_reported_and_change_nothing():
    table = anaesthetists()
    alone = dawid_skene(table, smoothing=0, tol=1e-10, max_iter=1000)
    found = dawid_skene(table, smoothing=0, tol=1e-10, max_iter=1000, restarts=60, seed=1)
    assert np.array_equal(found.posterior, alone.posterior)
    assert found.restarts is not None
    assert found.restarts.tried == 60
    assert found.restarts.better > 0
    assert found.restarts.best == pytest.approx(-189.405, abs=0.01)
    assert any("random starts fit the labels better" in note for note in found.notes)
    assert alone.restarts is None


# --- planted answers ------------------------------------------------------------------------------


def test_planted_confusion_is_recovered_and_beats_counting_votes():
    votes, truth, confusion = planted(n_items=5000)
    found = dawid_skene_of(votes, n_categories=3, smoothing=0.1)
    assert np.abs(found.raters.confusion - confusion).max() < 0.1
    assert np.abs(found.raters.confusion - confusion).mean() < 0.025
    by_model = accuracy_against(found, truth)
    assert by_model > accuracy_against(majority_of(votes, n_categories=3), truth) + 0.01
    assert found.prior == pytest.approx([0.5, 0.3, 0.2], abs=0.04)
    expected = np.einsum("j,gjj->g", [0.5, 0.3, 0.2], confusion)
    assert found.raters.accuracy == pytest.approx(expected, abs=0.06)


def test_a_rater_who_tells_nothing_has_no_quality_and_one_who_swaps_names_does():
    votes, _, _ = planted(accuracy=(0.85, 0.95), k=2)
    value = votes.value.copy()
    value[votes.rater == 0] = 0  # always the same label
    value[votes.rater == 1] = 1 - value[votes.rater == 1]  # swaps the two names
    found = dawid_skene_of(
        Votes.of_codes(votes.item, votes.rater, value, n_items=votes.n_items, n_raters=votes.n_raters), n_categories=2
    )
    quality = found.raters.quality
    assert quality[0] < 0.01
    assert quality[1] > 0.3
    assert found.raters.accuracy[1] < 0.2
    assert quality[2:].min() > 0.3


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.05, 0.1, 1.0]),
    st.sampled_from(["uniform", "raters"]),
)
def test_the_objective_never_falls(seed, smoothing, toward):
    rng = np.random.default_rng(seed)
    n, raters, k = int(rng.integers(1, 30)), int(rng.integers(1, 6)), int(rng.integers(1, 5))
    labels = int(rng.integers(1, 120))
    votes = Votes.of_codes(
        rng.integers(0, n, labels),
        rng.integers(0, raters, labels),
        rng.integers(0, k, labels),
        n_items=n,
        n_raters=raters,
    )
    for found in (
        dawid_skene_of(votes, n_categories=k, smoothing=smoothing, toward=toward, tol=0, max_iter=40),
        one_coin_of(votes, n_categories=k, smoothing=smoothing, tol=0, max_iter=40),
    ):
        history = np.array(found.history)
        assert np.all(np.diff(history) >= -1e-7 * np.maximum(1, np.abs(history[1:])))
        labeled = np.bincount(votes.item, minlength=n) > 0
        assert found.posterior[labeled].sum(axis=1) == pytest.approx(1)
        assert np.all(found.posterior[~labeled] == 0)
        assert np.all(found.value[~labeled] == -1)


def test_the_objective_is_the_likelihood_by_definition():
    """Against the definition written out: log sum_j theta_j prod pi, label by label."""
    votes, _, _ = planted(n_items=40, n_raters=5, per_item=3)
    found = dawid_skene_of(votes, n_categories=3, smoothing=0.1, max_iter=7, tol=0)
    # the parameters behind the seventh posterior are those of the seventh M step, made from the sixth posterior
    before = dawid_skene_of(votes, n_categories=3, smoothing=0.1, max_iter=6, tol=0).posterior
    theta = before.mean(axis=0)
    counts = np.full((5, 3, 3), 0.1)
    for item, rater, value in zip(votes.item, votes.rater, votes.value, strict=True):
        counts[rater, :, value] += before[item]
    pi = counts / counts.sum(axis=2, keepdims=True)
    total = 0.0
    for item in range(40):
        likelihood = theta.copy()
        for rater, value in zip(votes.rater[votes.item == item], votes.value[votes.item == item], strict=True):
            likelihood = likelihood * pi[rater, :, value]
        total += np.log(likelihood.sum())
        assert found.posterior[item] == pytest.approx(likelihood / likelihood.sum(), abs=1e-9)
    assert found.log_likelihood == pytest.approx(total, abs=1e-8)
    assert found.history[-1] == pytest.approx(total + 0.1 * np.log(pi).sum(), abs=1e-8)


def test_order_of_rows_raters_and_names_changes_nothing():
    votes, _, _ = planted(n_items=200)
    rng = np.random.default_rng(5)
    shuffle, rename = rng.permutation(len(votes.item)), rng.permutation(votes.n_raters)
    other = Votes.of_codes(
        votes.item[shuffle], rename[votes.rater[shuffle]], votes.value[shuffle], n_items=200, n_raters=votes.n_raters
    )
    a, b = (dawid_skene_of(v, n_categories=3) for v in (votes, other))
    assert a.posterior == pytest.approx(b.posterior, abs=1e-9)
    assert a.raters.confusion == pytest.approx(b.raters.confusion[rename], abs=1e-9)


# --- against another implementation ---------------------------------------------------------------


def test_equal_to_crowd_kit_at_equal_iterations():
    crowdkit = pytest.importorskip("crowdkit.aggregation")
    pandas = pytest.importorskip("pandas")
    votes, _, _ = planted(n_items=400, n_raters=25, per_item=4)
    frame = pandas.DataFrame({"task": votes.item, "worker": votes.rater, "label": votes.value})
    for iterations in (1, 10):
        theirs = crowdkit.DawidSkene(n_iter=iterations, tol=-1e9).fit_predict_proba(frame)
        theirs = theirs.reindex(range(400))[[0, 1, 2]].to_numpy()
        ours = dawid_skene_of(votes, n_categories=3, smoothing=0, tol=0, max_iter=iterations)
        assert ours.iterations == iterations
        assert np.abs(ours.posterior - theirs).max() < 1e-8


# --- ties and edges -------------------------------------------------------------------------------


def small(records, **more):
    return RatingsTable.from_records(records, **more)


def test_ties_stay_ties_and_count_their_share():
    table = small(
        [("a", 1, "x"), ("a", 2, "y"), ("b", 1, "x"), ("b", 2, "x"), ("c", 1, "y")], categories=["x", "y", "z"]
    )
    found = majority(table)
    assert found.tie.tolist() == [True, False, False]
    assert found.value.tolist() == [-1, 0, 1]
    assert found.posterior.tolist() == [[0.5, 0.5, 0], [1, 0, 0], [0, 1, 0]]
    assert accuracy_against(found, np.array([0, 0, 0])) == pytest.approx((0.5 + 1 + 0) / 3)
    assert accuracy_against(found, np.array([2, -1, -1])) == 0, "a tie without the gold label is simply wrong"
    assert np.isnan(accuracy_against(found, np.array([-1, -1, -1])))
    assert accuracy_against(found, np.array([-2, 0, -1])) == 0.5, "gold outside the categories counts as wrong"
    by_model = dawid_skene(table)
    assert by_model.tie.any() or by_model.value.min() >= 0


def test_a_perfect_standoff_is_a_tie_for_every_method():
    table = small([("a", 1, "x"), ("a", 2, "y"), ("b", 1, "y"), ("b", 2, "x")])
    for found in (majority(table), dawid_skene(table), one_coin(table)):
        assert found.tie.tolist() == [True, True], found.method
        assert found.value.tolist() == [-1, -1]


def test_majority_never_compares_a_rater_with_a_majority_that_holds_them():
    """With own votes in, three raters who all differ would each be "right" a third of the time."""
    table = small([("a", 1, "x"), ("a", 2, "y"), ("a", 3, "z"), ("b", 1, "x"), ("b", 2, "x"), ("b", 3, "y")])
    accuracy = majority(table).raters.accuracy
    # rater 3 on b: the others say x, x; on a each faces two different labels
    assert accuracy.tolist() == pytest.approx([(0 + 0.5) / 2, (0 + 0.5) / 2, 0])


def test_effective_votes():
    table = small([("a", g, "x") for g in range(4)] + [("b", 0, "x")])
    assert majority(table).effective_votes.tolist() == [4.0, 1.0]
    truth = np.arange(800) % 2
    rng = np.random.default_rng(0)
    item, rater = np.repeat(np.arange(800), 6), np.tile(np.arange(6), 800)
    # two people know, four guess: an answer rests on about two votes, whatever the number of raters
    value = np.where((rater < 2) & (rng.random(4800) < 0.97), truth[item], rng.integers(0, 2, 4800))
    found = dawid_skene_of(Votes.of_codes(item, rater, value, n_items=800, n_raters=6), n_categories=2)
    assert 1.5 < float(np.median(found.effective_votes)) < 2.8
    found = dawid_skene_of(planted(accuracy=(0.9, 0.9), n_raters=6, per_item=6, k=2)[0], n_categories=2)
    assert found.effective_votes.mean() > 5
    assert np.all(found.effective_votes <= 6 + 1e-9)


def test_one_rater_one_category_and_empty_tables():
    one = small([("a", 1, "x"), ("b", 1, "y")])
    found = dawid_skene(one)
    assert found.value.tolist() == [0, 1]
    same = small([("a", 1, "x"), ("a", 2, "x")])
    for method in (majority, dawid_skene, one_coin):
        found = method(same)
        assert found.value.tolist() == [0]
        assert not np.isnan(found.posterior).any()
        assert np.isnan(found.raters.quality).all(), "one class: there is nothing a label could tell"
    with pytest.raises(ValueError, match="no labels"):
        dawid_skene(RatingsTable.from_records([]))


@pytest.mark.parametrize(
    ("options", "says"),
    [({"smoothing": -1}, "smoothing is -1"), ({"tol": -1}, "tol is -1"), ({"max_iter": 0}, "max_iter is 0")],
)
def test_options_outside_their_range(options, says):
    with pytest.raises(ValueError, match=says):
        dawid_skene(anaesthetists(), **options)


def test_a_fit_that_did_not_settle_says_so():
    found = dawid_skene(anaesthetists(), smoothing=0, max_iter=2)
    assert not found.converged
    assert "not settled after 2 iterations" in found.notes[0]


# --- the choice -----------------------------------------------------------------------------------


def test_held_out_likelihood_prefers_the_model_that_made_the_labels():
    votes, _, _ = planted(n_raters=12, accuracy=(0.5, 0.95))
    settings_ = [Setting("majority", 0.0), Setting("one_coin", 0.1), Setting("dawid_skene", 0.1)]
    by_name = {one.setting.method: one.per_label for one in held_out_likelihood(votes, settings_)}
    assert by_name["dawid_skene"] > by_name["one_coin"] > by_name["majority"]

    rng = np.random.default_rng(3)  # raters who are all alike, ten labels each: nothing more to learn than votes
    truth = rng.integers(0, 3, 200)
    item = np.repeat(np.arange(200), 3)
    value = np.where(rng.random(600) < 0.8, truth[item], rng.integers(0, 3, 600))
    alike = Votes.of_codes(item, rng.permutation(600) % 60, value, n_items=200, n_raters=60)
    by_name = {one.setting.method: one.per_label for one in held_out_likelihood(alike, settings_)}
    assert by_name["majority"] > by_name["dawid_skene"]


def test_the_choice_is_explained_and_what_is_given_is_kept():
    table = anaesthetists()
    choice = choose(table)
    assert choice.setting.method == "dawid_skene"
    assert len(choice.candidates) == 8
    assert "left out of the fit" in choice.reason
    assert choose(table, method="dawid_skene", smoothing=0).setting == Setting("dawid_skene", 0)
    assert choose(table, method="majority").candidates == ()
    with pytest.raises(ValueError, match="unknown consensus method 'vote'"):
        choose(table, method="vote")
    found, chosen = find_consensus(table)
    assert (found.method, found.smoothing, found.toward) == (
        chosen.setting.method,
        chosen.setting.smoothing,
        chosen.setting.toward,
    )
    again, _ = find_consensus(table)
    assert np.array_equal(found.posterior, again.posterior)


def test_few_labels_per_rater_get_no_confusion_matrix_of_their_own():
    rng = np.random.default_rng(0)
    item = np.repeat(np.arange(100), 3)
    votes = Votes.of_codes(item, np.arange(300) % 100, rng.integers(0, 2, 300), n_items=100, n_raters=100)
    choice = choose_of(votes)
    tried = {(one.setting.method, one.setting.toward) for one in choice.candidates}
    assert ("dawid_skene", "uniform") not in tried
    assert ("dawid_skene", "raters") in tried
    assert "fewer than 20 labels" in choice.reason


def test_smoothing_toward_the_raters_keeps_a_newcomer_ordinary():
    """A rater of one label is taken for an average rater, not for a guesser."""
    votes, _, _ = planted(n_items=600, n_raters=8, accuracy=(0.85, 0.9))
    item, rater, value = (np.append(a, b) for a, b in ((votes.item, 0), (votes.rater, 8), (votes.value, 0)))
    more = Votes.of_codes(item, rater, value, n_items=600, n_raters=9)
    even = dawid_skene_of(more, n_categories=3, smoothing=1.0)
    together = dawid_skene_of(more, n_categories=3, smoothing=1.0, toward="raters")
    assert even.raters.accuracy[8] < 0.6
    assert together.raters.accuracy[8] > 0.75
    assert together.raters.accuracy[:8] == pytest.approx(even.raters.accuracy[:8], abs=0.02)


def test_no_row_of_a_fit_is_undefined_where_a_class_was_never_met():
    model = ConfusionModel(
        Votes.of_codes(np.array([0, 1]), np.array([0, 1]), np.array([0, 1]), n_items=2, n_raters=2), 0
    )
    fit = run(model, model.votes.shares(), tol=0, max_iter=5)
    assert np.isfinite(fit.log_likelihood)
    assert not np.isnan(fit.posterior).any()


def test_too_many_labels_for_a_confusion_matrix_each(monkeypatch):
    """Hundreds of labels: Dawid-Skene is refused in words, the other two give what they can without matrices."""
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 400, 300)
    value = np.where(rng.random((300, 4)) < 0.7, truth[:, None], rng.integers(0, 400, (300, 4)))
    table = RatingsTable.from_matrix(value.tolist(), categories=range(400))
    with pytest.raises(ValueError, match="too many for a confusion matrix each; use one_coin or majority"):
        find_consensus(table, method="dawid_skene", smoothing=0.1)
    found, choice = find_consensus(table)
    assert "Dawid-Skene was not tried" in choice.reason
    assert {one.setting.method for one in choice.candidates} == {"majority", "one_coin"}
    for method in ("majority", "one_coin"):
        found, _ = find_consensus(table, method=method)
        assert found.raters.confusion.shape == (4, 0, 0)
        assert np.isnan(found.raters.quality).all()
        assert any("none are given" in note for note in found.notes)
        assert np.all((found.raters.accuracy > 0.5) & (found.raters.accuracy < 0.85))
        decided = found.value >= 0
        assert (found.value[decided] == truth[decided]).mean() > 0.85
    # the same figures as with matrices
    narrow, _ = find_consensus(table, method="majority")
    monkeypatch.setattr("consistency.statistics.consensus.votes.MOST_LABELS", 500)
    wide, _ = find_consensus(table, method="majority")
    assert wide.raters.confusion.shape[1] == 400
    assert wide.raters.accuracy == pytest.approx(narrow.raters.accuracy)
    assert wide.prior == pytest.approx(narrow.prior)
