"""The verdict on the artefact: what it says of conventions, slips, one rater apart and conventions that gold refutes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from consistency.statistics import artefact as module
from consistency.statistics.artefact import permute_within_items
from consistency.statistics.hlp import measure_hlp
from consistency.statistics.ratings import RatingsTable

from . import hlp_definitions as by


def labels(value: np.ndarray, categories=("a", "b", "c")) -> RatingsTable:
    n, r = value.shape
    return RatingsTable.from_codes(
        np.repeat(np.arange(n), r), np.tile(np.arange(r), n), value.ravel(), categories=list(categories)
    )


def slips(seed: int, n: int = 200, r: int = 6, accuracy: float = 0.8) -> RatingsTable:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)[:, None]
    return labels(np.where(rng.random((n, r)) < accuracy, truth, 1 - truth), "ab")


def convention(seed: int, *, second: int = 3, n: int = 150, r: int = 8, slip: float = 0.03) -> RatingsTable:
    """`second` raters write form b where the others write a; both slip now and then."""
    rng = np.random.default_rng(seed)
    value = np.zeros((n, r), int)
    value[:, :second] = 1
    return labels(np.where(rng.random((n, r)) < slip, 1 - value, value), "ab")


def careless(seed: int, *, bad: int, n: int = 200, r: int = 6) -> RatingsTable:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)[:, None]
    accuracy = np.full(r, 0.93)
    accuracy[:bad] = 0.34
    return labels(np.where(rng.random((n, r)) < accuracy, truth, rng.integers(0, 3, (n, r))))


def test_slips_of_accuracy_80_are_not_called_a_convention():
    """Pure slips give the same twelve points; over 20 data sets the test rejects about as often as it may."""
    verdicts = [measure_hlp(slips(seed), permutations=199).artefact for seed in range(20)]
    assert sum(v.verdict == "noise_or_hard_items" for v in verdicts) >= 17
    quiet = next(v for v in verdicts if v.verdict == "noise_or_hard_items")
    assert quiet.points > 0.05
    assert "convention" not in quiet.sentence


def test_two_camps_are_a_convention():
    for seed in range(5):
        found = measure_hlp(convention(seed), permutations=199).artefact
        assert found.verdict == "convention"
        assert {frozenset(g) for g in found.test.groups} == {frozenset("012"), frozenset("34567")}
        assert found.test.smaller_group_z > 1


@pytest.mark.parametrize("bad", [1, 2])
def test_careless_raters_differ_but_are_no_convention(bad):
    for seed in range(5):
        found = measure_hlp(careless(seed, bad=bad), permutations=199).artefact
        assert found.verdict == "raters_differ", found.sentence
        assert "careless" not in found.sentence
        assert "convention" not in found.sentence


def test_one_rater_with_a_form_of_his_own_is_not_a_camp():
    found = measure_hlp(convention(1, second=1), permutations=199).artefact
    assert found.verdict == "raters_differ"
    assert found.test.smaller_group_z is None


def test_gold_that_sides_with_the_majority_refutes_the_convention():
    table = convention(2)
    sided = measure_hlp(table, gold=dict.fromkeys(table.items, "a"), permutations=199)
    assert sided.majority_gain.low > 0.2
    assert sided.artefact.verdict == "raters_differ"
    assert "but the gold does not bear out two equally good habits" in sided.artefact.sentence
    # gold that is indifferent between the forms does not
    other = measure_hlp(table, gold={i: "ab"[j % 2] for j, i in enumerate(table.items)}, permutations=199)
    assert other.majority_gain.low < 0
    assert other.artefact.verdict == "convention"


def test_a_retest_that_raters_pass_bears_the_convention_out():
    """Gold sides with the majority, but raters agree with themselves far more than with each other."""
    table = convention(2)
    again = [(table.items[i], table.raters[g], table.categories[v], 2) for i, g, v in zip(table.item, table.rater, table.value, strict=True)]  # fmt: skip
    once = [(*row[:3], 1) for row in again]
    gold = dict.fromkeys(table.items, "a")
    steady = RatingsTable.from_records(once + again[:400])
    assert measure_hlp(steady, gold=gold, permutations=199).artefact.verdict == "convention"
    # negative control: raters who flip a coin the second time
    rng = np.random.default_rng(0)
    shaken = RatingsTable.from_records(once + [(*row[:2], "ab"[rng.integers(2)], 2) for row in again[:400]])
    refuted = measure_hlp(shaken, gold=gold, permutations=199).artefact
    assert refuted.verdict == "raters_differ"
    assert "but neither the gold nor their own repeated labels bear out" in refuted.sentence
    without_gold = measure_hlp(shaken, permutations=199).artefact
    assert "but their own repeated labels do not bear out" in without_gold.sentence

    assert measure_hlp(shaken, permutations=199).artefact.verdict == "raters_differ"


def test_two_ratings_everywhere_cannot_say():
    table = convention(3, second=1, r=2)
    found = measure_hlp(table).artefact
    assert found.verdict == "cannot_say"
    assert "third rating" in found.sentence


def test_the_statistics_are_those_of_the_definition():
    rng = np.random.default_rng(8)
    for _ in range(10):
        table = by.random_table(rng, 8, 4, 3, 0.25)
        matrix = by.items_of(table)
        observed = statistics(matrix)
        everything = permutations_of(matrix)
        if everything is None or len(everything) == 1:
            continue
        s1 = np.array([statistics(m)[0] for m in everything])
        s2 = np.array([statistics(m)[1] for m in everything])
        exact1, exact2 = (s1 >= observed[0] - 1e-9).mean(), (s2 >= observed[1] - 1e-9).mean()
        found = permute_within_items(table, permutations=1999)
        assert found.p_label_use == pytest.approx(exact1, abs=0.05)
        assert found.p_pairs == pytest.approx(exact2, abs=0.05)
        ties = min((s1 >= s1.max() - 1e-9).mean(), (s2 >= s2.max() - 1e-9).mean())
        assert found.floor == pytest.approx(min(1, 2 * ties), abs=0.03)


def statistics(items) -> tuple[float, float]:
    """S1 and S2 of docs/statistics.md A.6 by loops."""
    raters = sorted({g for _, row in items for g in row})
    rows = [row for _, row in items if len(row) >= 2]
    use, n, pair, spread = {}, {}, {}, {}
    for row in rows:
        values = list(row.values())
        agree = sum(a == b for a, b in itertools.permutations(values, 2)) / (len(values) * (len(values) - 1))
        for g, v in row.items():
            n[g] = n.get(g, 0) + 1
            for k in set(values):
                use[g, k] = use.get((g, k), 0) + (v == k) - values.count(k) / len(values)
        for g, h in itertools.combinations(raters, 2):
            if g in row and h in row:
                pair[g, h] = pair.get((g, h), 0) + (row[g] == row[h]) - agree
                spread[g, h] = spread.get((g, h), 0) + agree * (1 - agree)
    s1 = sum(u * u / n[g] for (g, _), u in use.items())
    s2 = sum(e * e / spread[p] for p, e in pair.items() if spread[p] > 1e-12)
    return s1, s2


def permutations_of(items):
    """Every way to deal each item's labels among its raters; None when there are too many to list."""
    deals = []
    size = 1
    for _, row in items:
        ways = sorted(set(itertools.permutations(row.values())))
        # equally likely deals: every distinct arrangement of an item is
        deals.append([dict(zip(row, way, strict=True)) for way in ways])
        size *= len(ways)
    if size > 4000:
        return None
    return [[(1.0, row) for row in combination] for combination in itertools.product(*deals)]


def test_too_few_items_print_the_floor():
    table = by.table_of([["a", "a", "b"], ["a", "b", "a"]])
    found = measure_hlp(table).artefact
    assert found.verdict == "cannot_say"
    assert found.test.floor > 0.05
    assert "too few" in found.sentence


def test_a_sample_of_items_is_named_and_still_valid():
    table = slips(4, n=400)
    whole = permute_within_items(table, permutations=99)
    part = permute_within_items(table, permutations=99, pair_budget=1500)
    assert not whole.sampled
    assert part.sampled
    assert part.n_items == 100
    assert permute_within_items(convention(4, n=400), permutations=99, pair_budget=1500).p <= 0.05


def test_the_permutation_is_what_protects(monkeypatch):
    """Negative control: without the two-camps condition, careless raters would be called a convention."""
    table = careless(0, bad=2)
    assert measure_hlp(table, permutations=99).artefact.verdict == "raters_differ"
    monkeypatch.setattr(module.PermutationTest, "smaller_group_z", property(lambda self: 2.0))
    assert measure_hlp(table, permutations=99).artefact.verdict == "convention"
    # and without the test itself, slips would be one
    monkeypatch.setattr(module, "ALPHA", 1.1)
    assert measure_hlp(slips(0), permutations=99).artefact.verdict != "noise_or_hard_items"


def test_many_raters_are_split_by_the_sparse_path():
    rng = np.random.default_rng(6)
    n, r = 900, 600
    rater = np.array([rng.choice(r, 5, replace=False) for _ in range(n * 4)])
    value = (rater < 200).astype(int)
    value = np.where(rng.random(value.shape) < 0.05, 1 - value, value)
    table = RatingsTable.from_codes(
        np.repeat(np.arange(len(rater)), 5), rater.ravel(), value.ravel(), categories=["a", "b"]
    )
    test = permute_within_items(table, permutations=59, pair_budget=10**6)
    smaller = min(test.groups, key=len)
    assert np.mean([int(name) < 200 for name in smaller]) > 0.95
    assert test.smaller_group_z > 10


def test_no_points_to_gain_are_nothing_not_zero_points():
    """One of three differs on every fourth item: knowing the majority brings nothing over the raters themselves."""
    value = np.array([[i % 2, i % 2, (i + (i % 4 == 0)) % 2] for i in range(30)])
    found = measure_hlp(labels(value, "ab"), permutations=199).artefact
    assert found.points_with_replacement < 5e-4
    assert "up to 5 points over two different raters, nothing over two drawn with replacement" in found.sentence
