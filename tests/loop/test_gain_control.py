"""The negative control in numbers: hundreds of useless revisions, and how often the rule would claim a gain."""

from __future__ import annotations

import numpy as np
import pytest

from consistency.gain_figures import Row as GainRow
from consistency.gain_figures import hint_for
from consistency.statistics.agreement import coefficient
from consistency.statistics.differences import Difference, difference
from consistency.statistics.ratings import RatingsTable

WORLDS, ITEMS, RATERS = 300, 80, 4


def label(rng: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    right = rng.random((len(truth), RATERS)) < 0.8
    return np.where(right, truth[:, None], 1 - truth[:, None])


def table(labels: np.ndarray, keep: np.ndarray) -> RatingsTable:
    item, rater = np.meshgrid(np.arange(len(labels)), np.arange(RATERS), indexing="ij")
    names = [str(i) for i in range(len(labels))]
    chosen = np.repeat(keep, RATERS)
    return RatingsTable.from_codes(
        item.ravel()[chosen], rater.ravel()[chosen], labels.ravel()[chosen], categories=["a", "b"], items=names,
        raters=[f"r{g}" for g in range(RATERS)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[float, float]]:
    """{sample: (share of worlds where the interval claims a gain, share where the hint says go on)}."""
    rng = np.random.default_rng(11)
    told: dict[str, list[tuple[bool, bool]]] = {"whole": [], "affected": []}
    for _ in range(WORLDS):
        truth = (rng.random(ITEMS) < 0.35).astype(int)
        one, two = label(rng, truth), label(rng, truth)
        disputed = one.min(axis=1) != one.max(axis=1)
        for name, keep in (("whole", np.ones(ITEMS, bool)), ("affected", disputed)):
            before, after = table(one, keep), table(two, keep)
            change: Difference = difference(before, after)
            row = GainRow(
                name, "krippendorff_alpha", coefficient(before, "krippendorff_alpha"),
                coefficient(after, "krippendorff_alpha"), change,
            )  # fmt: skip
            hint, _ = hint_for([row], name, delta_min=0.05, target=None, looks=1, rounds=1, most_rounds=5)
            assert hint is not None
            told[name].append(((change.headline.low or 0) > 0, hint.verdict == "go_on"))
    return {name: tuple(np.mean(rows, axis=0)) for name, rows in told.items()}  # type: ignore[misc]


def test_a_useless_revision_is_rarely_called_a_gain(outcomes: dict[str, tuple[float, float]]) -> None:
    claims, go_on = outcomes["whole"]
    assert claims <= 0.05, "2.5 of 100 expected"
    assert go_on <= 0.085, "5 of 100 expected"


def test_the_disputed_items_alone_would_claim_one_nearly_always(outcomes: dict[str, tuple[float, float]]) -> None:
    """Negative control of the rule that affected items never lead: feed them to it and it is fooled."""
    claims, go_on = outcomes["affected"]
    assert claims > 0.9
    assert go_on > 0.9
