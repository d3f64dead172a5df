"""Alpha for answers of any kind: texts, sets, anything with a distance."""

from __future__ import annotations

import numpy as np
import pytest

from consistency.statistics.agreement import agree
from consistency.statistics.anydistance import alpha_any
from consistency.statistics.ratings import RatingsTable

from .engine_tables import simulated


def columns(table: RatingsTable):
    item = [table.items[i] for i in table.item.tolist()]
    rater = [table.raters[g] for g in table.rater.tolist()]
    return item, rater, [table.categories[v] for v in table.value.tolist()]


def nominal(a, b) -> float:
    return float(a != b)


def squared(a, b) -> float:
    return (float(a) - float(b)) ** 2


def word_error(x: tuple[str, ...], y: tuple[str, ...]) -> float:
    """Word edit distance over the longer of the two."""
    before = list(range(len(y) + 1))
    for i, p in enumerate(x, 1):
        now = [i]
        for j, q in enumerate(y, 1):
            now.append(min(before[j] + 1, now[-1] + 1, before[j - 1] + (p != q)))
        before = now
    return before[-1] / max(len(x), len(y), 1)


@pytest.mark.parametrize(("level", "distance"), [("nominal", nominal), ("interval", squared)])
@pytest.mark.parametrize("raters", [3, 7])
def test_labels_as_answers_give_the_same_alpha_and_errors(level, distance, raters):
    table = simulated(70, raters, 4, seed=3, missing=0.3)
    any_kind = alpha_any(*columns(table), distance).alpha
    alpha = agree(table, level=level)["krippendorff_alpha"]
    assert any_kind.value == pytest.approx(alpha.value, abs=1e-12)
    assert any_kind.se_items == pytest.approx(alpha.se_items, rel=0.02)
    assert any_kind.se_raters == pytest.approx(alpha.se_raters, rel=1e-9)
    assert any_kind.se == pytest.approx(alpha.se, rel=0.05)
    assert any_kind.method == alpha.method
    assert any_kind.population == alpha.population


def test_above_two_thousand_answers_pairs_are_drawn():
    table = simulated(900, 3, 3, seed=5)
    drawn = alpha_any(*columns(table), nominal, seed=1)
    assert not drawn.exact
    assert drawn.pairs == 200_000
    assert drawn.alpha.value == pytest.approx(agree(table)["krippendorff_alpha"].value, abs=0.01)
    assert drawn == alpha_any(*columns(table), nominal, seed=1)
    assert drawn.alpha.value != alpha_any(*columns(table), nominal, seed=2).alpha.value


def test_separation_and_sigma_tell_apart_what_alpha_depends_on():
    """Agreeing raters against shuffled ones: both descriptions fall to chance."""
    table = simulated(60, 4, 6, seed=2, skill=(0.9, 0.95))
    item, rater, value = columns(table)
    good = alpha_any(item, rater, value, squared)
    value = np.random.default_rng(0).permutation(value).tolist()
    bad = alpha_any(item, rater, value, squared)
    assert good.alpha.value > 0.8 > 0.1 > bad.alpha.value
    assert good.separation > 0.5 > 0.15 > bad.separation
    assert good.sigma > bad.sigma


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no ratings"),
        ([(1, "g", "x"), (2, "g", "y")], "only one rater"),
        ([(1, "g", "x"), (2, "h", "y"), (2, "g", None)], "no item has ratings by two raters"),
        ([(1, "g", "x"), (1, "h", "x")], "all answers are the same"),
    ],
)
def test_undefined_in_words(rows, words):
    found = alpha_any([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], nominal)
    assert words in found.alpha.undefined


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"the distance of 'a' and 'b' is -1\.0"):
        alpha_any([1, 1], ["g", "h"], ["a", "b"], lambda x, y: -1)
    with pytest.raises(ValueError, match="equally long"):
        alpha_any([1, 1], ["g"], ["a", "b"], nominal)


def test_the_first_answer_of_a_rater_counts():
    once = alpha_any([1, 1, 2, 2], ["g", "h", "g", "h"], list("abcc"), nominal)
    twice = alpha_any([1, 1, 2, 2, 1], ["g", "h", "g", "h", "g"], list("abccb"), nominal)
    assert twice.alpha.value == once.alpha.value
    assert twice.alpha.excluded["repeats"] == 1


@pytest.mark.realdata
def test_translations_by_word_error(real_data):
    """Example generic_translation_alpha_normWER."""
    import pandas as pd

    frame = pd.read_csv(real_data / "jp_en_translation.csv")
    answers = [tuple(text.lower().split()) for text in frame["label"]]
    # the published figures count every row, a rater's second answer to an item too
    row = frame.groupby(["item_id", "rater_id"]).cumcount()
    found = alpha_any(
        frame["item_id"], frame["rater_id"] + "#" + row.astype(str), answers, word_error, exact=0, pairs=20_000
    )
    assert not found.exact
    assert found.alpha.value == pytest.approx(0.362878, abs=0.01)
    assert found.observed == pytest.approx(0.6187, abs=1e-5)
    assert found.expected == pytest.approx(0.971085, abs=0.003)
    assert found.separation == pytest.approx(0.751451, abs=0.01)
    assert found.sigma == pytest.approx(0.795111, abs=0.02)
    first = alpha_any(frame["item_id"], frame["rater_id"], answers, word_error, exact=0, pairs=2_000)
    assert first.alpha.n_raters == 42
    assert first.alpha.excluded["repeats"] == int((row > 0).sum())
