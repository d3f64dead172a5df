"""The two rankings over the same slices, and the worst slice beside the mean."""

from __future__ import annotations

import pytest

from consistency.statistics.estimate import Estimate
from consistency.statistics.priorities import SliceFigures, rank_slices, worst_beside_mean


def speech() -> list[SliceFigures]:
    return [
        SliceFigures("clean", 0.60, 0.95, 0.94),
        SliceFigures("car", 0.04, 0.93, 0.89),
        SliceFigures("people", 0.30, 0.89, 0.87),
        SliceFigures("low bandwidth", 0.06, 0.70, 0.70),
    ]


def test_prioritisation_table():
    """AC-4: {clean, people} tied, then car, then low bandwidth; 90.26, 91.62, 1.36."""
    found = rank_slices(speech())
    assert {r.figures.name for r in found.model_work[:2]} == {"clean", "people"}
    assert [r.model_rank for r in found.model_work] == [1, 1, 3, 4]
    assert [r.figures.name for r in found.model_work[2:]] == ["car", "low bandwidth"]
    gains = {r.figures.name: 100 * r.possible_gain for r in found.model_work}
    assert gains == {
        "clean": pytest.approx(0.60),
        "car": pytest.approx(0.16),
        "people": pytest.approx(0.60),
        "low bandwidth": pytest.approx(0.0),
    }
    assert found.share_total == pytest.approx(1.0)
    assert 100 * found.accuracy == pytest.approx(90.26)
    assert 100 * found.hlp == pytest.approx(91.62)
    assert 100 * found.difference == pytest.approx(1.36)
    assert found.difference == pytest.approx(sum(r.possible_gain for r in found.model_work))
    assert "clean and people: up to 0.60 points overall each" in found.sentences[0]


def test_the_same_table_answers_two_questions():
    """AC-5: scratch for the model team, discoloration for label consistency."""
    found = rank_slices([SliceFigures("Scratch", 0.5, 0.98, 0.95), SliceFigures("Discoloration", 0.5, 0.90, 0.90)])
    assert found.model_work[0].figures.name == "Scratch"
    assert 100 * found.model_work[0].possible_gain == pytest.approx(1.5)
    assert found.label_consistency[0].figures.name == "Discoloration"
    assert found.label_consistency[0].consistency_rank == 1
    assert "Check label consistency on Discoloration first" in found.sentences[1]


def test_overlapping_slices_have_no_overall():
    found = rank_slices([SliceFigures("a", 0.7, 0.9, 0.8), SliceFigures("b", 0.5, 0.9, 0.85)])
    assert found.accuracy is None
    assert found.difference is None
    assert any("120.0 %" in s and "must not be summed" in s for s in found.sentences)


def test_missing_figures_go_last_with_their_reason():
    found = rank_slices(
        [
            SliceFigures("no model", 0.2, Estimate(value=0.8, low=0.7, high=0.9)),
            SliceFigures("no HLP", 0.2, Estimate.missing("no item has two ratings"), 0.7),
            SliceFigures("both", 0.6, 0.9, Estimate(value=0.95)),
        ]
    )
    assert [r.figures.name for r in found.model_work] == ["both", "no HLP", "no model"]
    by_name = {r.figures.name: r for r in found.model_work}
    assert by_name["no HLP"].undefined == "no item has two ratings"
    assert by_name["no model"].undefined == "no model accuracy is known for this slice"
    assert by_name["both"].gap == pytest.approx(-0.05)
    assert found.label_consistency[0].figures.name == "no model"
    assert any("read the ceiling" in s for s in found.sentences)
    assert found.difference is None


def test_without_any_hlp_agreement_ranks_consistency():
    found = rank_slices(
        [SliceFigures("a", 0.5, None, 0.8, agreement=0.7), SliceFigures("b", 0.5, None, 0.8, agreement=0.4)]
    )
    assert found.label_consistency[0].figures.name == "b"
    assert "lowest agreement" in found.sentences[1]


@pytest.mark.parametrize(
    ("slices", "words"),
    [
        ([], "no slices"),
        ([SliceFigures("a", 60, 0.9)], "slice 'a': share must lie between 0 and 1, not 60"),
        ([SliceFigures("a", 0.6, 95.0)], "slice 'a': hlp must lie between 0 and 1"),
        ([SliceFigures("a", 0.6, 0.9), SliceFigures("a", 0.4, 0.9)], "slice 'a' is given twice"),
    ],
)
def test_bad_input_names_the_slice(slices, words):
    with pytest.raises(ValueError, match=words):
        rank_slices(slices)


def test_a_convention_must_not_mask_a_collapse():
    """AC-2: +12 points on half of the items is +6 overall and hides a fall of 60 points on a tenth."""
    found = worst_beside_mean([("gas station", 0.5, 0.12), ("accents", 0.1, -0.60), ("rest", 0.4, 0.0)])
    assert found.mean == pytest.approx(0.06 - 0.06)
    assert (found.worst_name, found.worst, found.worst_share) == ("accents", -0.60, 0.1)
    assert "The mean hides it." in found.sentence
    assert worst_beside_mean([("gas station", 0.5, 0.12)]).mean == pytest.approx(0.06)
    with pytest.raises(ValueError, match="overlap"):
        worst_beside_mean([("a", 0.7, 0.1), ("b", 0.7, 0.1)])
