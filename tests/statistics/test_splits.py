"""Splits: exactly balanced for every seed, duplicates together, nothing in two splits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consistency.statistics.splits import largest_remainder, split_items

PARTS = ("train", "dev", "test")
THIRTY = [1] * 30 + [0] * 70


def test_balanced_split_is_18_6_6_for_every_seed():
    """AC-8."""
    members = set()
    for seed in range(200):
        found = split_items(THIRTY, seed=seed)
        assert [found.sizes[p] for p in PARTS] == [60, 20, 20]
        assert [found.counts[p]["1"] for p in PARTS] == [18, 6, 6]
        members.add(found.assignment)
    assert len(members) == 200, "different seeds give different members"
    assert split_items(THIRTY, seed=3) == split_items(THIRTY, seed=3)


def test_a_plain_random_split_seldom_is():
    """It gives exactly 18/6/6 4.7 % of the time: the negative control of the balanced one."""
    hits = 0
    for seed in range(1500):
        found = split_items(THIRTY, method="random", seed=seed)
        assert [found.sizes[p] for p in PARTS] == [60, 20, 20]
        hits += [found.counts[p]["1"] for p in PARTS] == [18, 6, 6]
    assert 0.03 < hits / 1500 < 0.066


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.sampled_from("abc"), min_size=0, max_size=80),
    shares=st.tuples(*[st.floats(0.05, 1)] * 3),
    seed=st.integers(0, 99),
)
def test_every_cell_and_every_split_is_within_one_of_its_share(labels, shares, seed):
    total = sum(shares)
    found = split_items(labels, fractions=dict(zip(PARTS, shares, strict=True)), seed=seed)
    assert sum(found.sizes.values()) == len(labels) == len(found.assignment)
    for part, share in zip(PARTS, shares, strict=True):
        assert found.sizes[part] == found.assignment.count(part)
        assert abs(found.sizes[part] - len(labels) * share / total) < 1 + 1e-6
        for label in set(labels):
            exact = labels.count(label) * share / total
            assert abs(found.counts[part][label] - exact) < 1 + 1e-6
            here = sum(a == part and b == label for a, b in zip(found.assignment, labels, strict=True))
            assert here == found.counts[part][label]


def test_totals_are_exact_where_rounding_each_label_alone_would_not_be():
    """Ten labels of three items each: alone each would put its two left-over items into the same splits."""
    labels = [k for k in range(10) for _ in range(3)]
    found = split_items(labels, fractions={"train": 0.6, "dev": 0.2, "test": 0.2})
    assert [found.sizes[p] for p in PARTS] == [18, 6, 6]
    alone = np.sum([largest_remainder(3, [0.6, 0.2, 0.2]) for _ in range(10)], axis=0)
    assert alone.tolist() != [18, 6, 6]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 120), kinds=st.integers(1, 60))
def test_duplicates_stay_together(seed, n, kinds):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, kinds, n).tolist()
    labels = rng.integers(0, 3, n).tolist()
    found = split_items(labels, groups=groups, seed=seed)
    for key in set(groups):
        assert len({part for part, g in zip(found.assignment, groups, strict=True) if g == key}) == 1
    assert sum(found.sizes.values()) == n


def test_groups_still_come_out_balanced_where_singles_can_make_up():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300).tolist()
    groups = [f"pair{i // 2}" if i < 60 else f"one{i}" for i in range(300)]
    found = split_items(labels, groups=groups, seed=5)
    plain = split_items(labels, seed=5)
    assert found.sizes == plain.sizes
    assert found.notes == ()
    assert all(abs(found.counts[p][k] - plain.counts[p][k]) <= 1 for p in PARTS for k in "01")


def test_one_huge_group_is_said():
    found = split_items([1] * 50, groups=["same"] * 40 + list(range(10)), seed=0)
    assert any("Duplicates stay together" in note for note in found.notes)


def test_borderline_items_and_items_without_label_have_their_own_stratum():
    labels = [1] * 40 + [0] * 40 + [None] * 10
    borderline = [j % 4 == 0 for j in range(80)] + [False] * 10
    found = split_items(labels, borderline=borderline, seed=2)
    assert set(found.counts["train"]) == {"1", "0", "(borderline)", "(no label)"}
    assert [found.counts[p]["(borderline)"] for p in PARTS] == [12, 4, 4]
    assert [found.counts[p]["(no label)"] for p in PARTS] == [6, 2, 2]


def test_rare_labels_are_named():
    found = split_items(["a"] * 20 + ["b"], seed=0)
    assert found.notes == ("Too few items to appear in every split: b.",)
    assert split_items([]).sizes == {"train": 0, "dev": 0, "test": 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "stratified"}, "unknown split method 'stratified'"),
        ({"fractions": {"train": -0.1, "test": 1.1}}, "share of split 'train' must be 0 or more"),
        ({"fractions": {"train": 0.0}}, "needs a share above 0"),
        ({"fractions": {}}, "at least one split"),
        ({"groups": [1]}, "groups has 1 entries for 100 items"),
        ({"borderline": [True]}, "borderline has 1 entries for 100 items"),
    ],
)
def test_bad_input_names_what_is_wrong(arguments, words):
    with pytest.raises(ValueError, match=words):
        split_items(THIRTY, **arguments)


def test_largest_remainder_is_not_fooled_by_floating_point():
    assert largest_remainder(30, [0.6, 0.2, 0.2]).tolist() == [18, 6, 6]
    assert largest_remainder(0, [1, 2]).tolist() == [0, 0]
    with pytest.raises(ValueError):
        largest_remainder(-1, [1])
    with pytest.raises(ValueError):
        largest_remainder(3, [0, 0])
