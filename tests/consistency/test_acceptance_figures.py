"""The course's worked numbers, through the application: imported or labeled, measured, and read from the pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from consistency.measuring import measure_now
from consistency.queries.figures import figures_of
from consistency.queries.slices import SliceFilter
from consistency.slicing import save_slice
from consistency.views.hlp_kinds import Kind
from consistency.views.hlp_pieces import ranking
from labeling.models import Batch
from labeling.references import adopt_reference
from tests.consistency.stories import Story, Told, predict, tell
from tests.worlds import World, publish_plainly, run_jobs

pytestmark = pytest.mark.django_db

GOLD = Kind("gold-external", "Against external gold", "against_gold", "constant_against_gold", "external")


def answers(values: str) -> dict[str, str]:
    return {f"n{i}": "defect" if v == "1" else "no_defect" for i, v in enumerate(values, start=1)}


def page(story: Story, query: str = "") -> str:
    story.figures()
    client = Client()
    client.force_login(story.seat().user)
    answer = client.get(f"/projects/{story.project.slug}/hlp/?batch={story.batch.uuid}{query}")
    assert answer.status_code == 200
    return answer.content.decode().replace("\u00a0", " ")


# ------------------------------------------------------------------------------------------------ AC-1


def measured(batch: Batch):
    agreement, hlp = measure_now(batch)
    return figures_of(agreement), figures_of(hlp)


def test_ac1_two_thirds_then_all_after_the_definition_says_how_long(world: World) -> None:
    world.add_items(1)
    before = world.open_batch("Before", quotas={"generalist": 2})
    world.say(before, "gene", answers("111000"))
    world.say(before, "gina", answers("101001"))
    adopt_reference(by=world.seat("sam"), batch=before, member=world.member("gene"))
    agreement, hlp = measured(before)
    found = hlp.get("against_gold", cohort="generalist", origin="single_rater")
    assert found.value == pytest.approx(4 / 6)
    assert (found.n_raters, found.n_ratings) == (1, 6)  # the inspector's labels only
    for name, value in (
        ("cohen_kappa", 1 / 3),
        ("fleiss_kappa", 1 / 3),
        ("scott_pi", 1 / 3),
        ("krippendorff_alpha", 7 / 18),
    ):
        assert agreement.get(name, cohort="generalist").value == pytest.approx(value), name
    assert agreement.get("percent_agreement", cohort="generalist").value == pytest.approx(4 / 6)

    version = publish_plainly(world.project, number=2)
    after = world.open_batch("After", quotas={"generalist": 2}, version=version, kind="relabel")
    for who in ("gene", "gina"):
        world.say(after, who, answers("101000"))
    _, hlp = measured(after)
    # a reference belongs to its definition: adopted for v1 it is none for v2
    assert list(hlp.origins()) == []
    adopt_reference(by=world.seat("sam"), batch=after, member=world.member("gene"))
    agreement, hlp = measured(after)
    key = {"cohort": "generalist", "role": "normal"}
    assert hlp.get("against_gold", "role", origin="single_rater", **key).value == 1.0
    for name in ("cohen_kappa", "fleiss_kappa", "scott_pi", "krippendorff_alpha", "percent_agreement"):
        assert agreement.get(name, "role", **key).value == pytest.approx(1.0), name
    assert agreement.said("label_counts", **key) == {"defect": 4, "no_defect": 8}  # 2 of 6 positive, two raters
    # the first batch's figures are what they were
    assert measured(before)[1].get("against_gold", cohort="generalist", origin="single_rater").value == pytest.approx(
        4 / 6
    )


def test_the_authors_own_labels_would_flatter_the_figure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: with the author's labels kept in, the figure against their own gold is higher."""
    from consistency.queries.references import Reference

    world.add_items(1)
    batch = world.open_batch(quotas={"generalist": 2})
    world.say(batch, "gene", answers("111000"))
    world.say(batch, "gina", answers("101001"))
    adopt_reference(by=world.seat("olga"), batch=batch, member=world.member("gene"))
    monkeypatch.setattr(Reference, "reading", lambda self, reading: reading)
    assert measured(batch)[1].get("against_gold", cohort="generalist", origin="single_rater").value == pytest.approx(
        10 / 12
    )


def test_adopting_twice_changes_nothing_and_a_later_answer_is_adopted_again(world: World) -> None:
    from labeling.models import Gold

    batch = world.open_batch(quotas={"generalist": 2})
    world.say(batch, "gene", answers("11100"))
    first = adopt_reference(by=world.seat("sam"), batch=batch, member=world.member("gene"))
    again = adopt_reference(by=world.seat("sam"), batch=batch, member=world.member("gene"))
    assert (first.new, again.new, again.same) == (5, 0, 5)
    world.say(batch, "gina", answers("11111"))
    other = adopt_reference(by=world.seat("sam"), batch=batch, member=world.member("gina"))
    assert other.new == 5
    assert Gold.objects.count() == 10
    hlp = measured(batch)[1]
    assert hlp.get("against_gold", cohort="generalist", origin="single_rater").value == pytest.approx(3 / 5)  # gene's


# ------------------------------------------------------------------------------------------------ AC-2


@pytest.mark.parametrize(("labelers", "pairwise"), [(10, 24 / 45), (100, 0.57576)])
def test_ac2_the_majoritys_form(tmp_path: Path, labelers: int, pairwise: float) -> None:
    said = {f"r{g}": "Um…" if g < 0.7 * labelers else "Um," for g in range(labelers)}
    story = tell(tmp_path, [Told(said=said)])
    _, hlp = story.figures()
    assert hlp.get("pairwise", cohort="generalist").value == pytest.approx(pairwise, abs=1e-5)
    assert hlp.get("pairwise_with_replacement", cohort="generalist").value == pytest.approx(0.58)
    assert hlp.get("convention_ceiling", cohort="generalist").value == pytest.approx(0.70)
    artefact = hlp.said("artefact", cohort="generalist")
    assert artefact["points_with_replacement"] == pytest.approx(0.12)
    assert artefact["verdict"] == "cannot_say"  # pure slips would give the same twelve points
    text = page(story, "&kind=raters")
    assert "would gain up to 12 points" in text
    assert "Raters follow two conventions" not in text
    assert "58.0 %" in text
    assert "70.0 %" in text


def test_ac2_after_one_convention_is_enforced(tmp_path: Path) -> None:
    story = tell(tmp_path, [Told(said={f"r{g}": "Um," for g in range(10)}) for _ in range(3)])
    predict(tmp_path, story, ["Um,"] * 3)
    _, hlp = story.figures()
    assert hlp.get("pairwise", cohort="generalist").value == 1.0
    assert hlp.get("model_score", "model", cohort="generalist", model="net@1").value == 1.0
    assert hlp.get("model_minus_raters", "model", cohort="generalist", model="net@1").value == 0.0


def test_ac2_the_worst_slice_stands_beside_the_mean(tmp_path: Path) -> None:
    """Twelve points of convention on half of the items hide a collapse of sixty on a tenth."""
    told, model = [], []
    for number in range(200):
        part = "dictation" if number < 100 else "noisy" if number < 120 else "rest"
        right = {"dictation": number % 100 < 70, "noisy": number % 10 < 9, "rest": True}[part]
        told.append(Told(gold="a", said={"r": "a" if right else "b"}, metadata={"part": part}))
        good = {"dictation": number % 100 < 82, "noisy": number % 10 < 3, "rest": True}[part]
        model.append("a" if good else "b")
    story = tell(tmp_path, told)
    for name in ("dictation", "noisy", "rest"):
        save_slice(by=story.seat(), name=name, given=SliceFilter(metadata={"part": name}))
    predict(tmp_path, story, model)
    text = page(story)
    assert "worst slice noisy: −60.0 points on 10 % of the items" in text
    assert "Overall 0.0 points" in text or "Overall +0.0 points" in text


# ------------------------------------------------------------------------------------------------ AC-4 and AC-5


def sliced(tmp_path: Path, table: dict[str, tuple[int, int, int]]) -> Story:
    """{slice: (items, HLP in percent, model accuracy in percent)}: one rater and one model against gold."""
    told, model = [], []
    for name, (items, hlp, accuracy) in table.items():
        for number in range(items):
            said = "a" if number < items * hlp / 100 else "b"
            told.append(Told(gold="a", said={"r": said}, metadata={"noise": name}))
            model.append("a" if number >= items * (100 - accuracy) / 100 else "b")
    story = tell(tmp_path, told)
    for name in table:
        save_slice(by=story.seat(), name=name, given=SliceFilter(metadata={"noise": name}))
    predict(tmp_path, story, model)
    return story


def rank(story: Story) -> dict:
    found = story.figures()[1]
    names = {one.key: one.name for one in story.project.slices.all()}
    ranked = ranking(found, {"cohort": "generalist"}, GOLD, "net@1", names)
    assert ranked is not None
    return ranked


def test_ac4_where_model_work_pays(tmp_path: Path) -> None:
    story = sliced(
        tmp_path,
        {
            "Clean speech": (600, 95, 94), "Car noise": (100, 93, 89), "People noise": (300, 89, 87),
            "Low bandwidth": (100, 70, 70),
        },
    )  # fmt: skip
    ranked = rank(story)
    # the slices as measured, at the course's shares
    from consistency.statistics.priorities import SliceFigures, rank_slices

    measured_rows = {row["name"]: row for row in ranked["models"]}
    course = rank_slices(
        SliceFigures(name, share, float(measured_rows[name]["hlp"]) / 100, float(measured_rows[name]["accuracy"]) / 100)
        for name, share in (
            ("Clean speech", 0.60),
            ("Car noise", 0.04),
            ("People noise", 0.30),
            ("Low bandwidth", 0.06),
        )
    )
    gains = {row.figures.name: round(100 * row.possible_gain, 2) for row in course.model_work}
    assert gains == {"Clean speech": 0.6, "People noise": 0.6, "Car noise": 0.16, "Low bandwidth": 0.0}
    assert [row.model_rank for row in course.model_work] == [1, 1, 3, 4]
    assert (round(100 * course.accuracy, 2), round(100 * course.hlp, 2)) == (90.26, 91.62)
    assert round(100 * course.difference, 2) == 1.36


@pytest.mark.slow
def test_ac4_with_its_shares_from_the_page(tmp_path: Path) -> None:
    story = sliced(
        tmp_path,
        {
            "Clean speech": (3000, 95, 94), "Car noise": (200, 93, 89), "People noise": (1500, 89, 87),
            "Low bandwidth": (300, 70, 70),
        },
    )  # fmt: skip
    ranked = rank(story)
    assert [(row["name"], row["rank"], row["gain"], row["share"]) for row in ranked["models"]] == [
        ("Clean speech", "1", "0.60", "60.0"), ("People noise", "1", "0.60", "30.0"), ("Car noise", "3", "0.16", "4.0"),
        ("Low bandwidth", "4", "0.00", "6.0"),
    ]  # fmt: skip
    totals = ranked["totals"]
    assert (totals["accuracy"], totals["hlp"], totals["difference"], totals["share"]) == (
        "90.26\u00a0%", "91.62\u00a0%", "1.36", "100.0",
    )  # fmt: skip
    assert ranked["labels"][0]["name"] == "Low bandwidth"
    text = page(story)
    assert "Model work pays most on Clean speech and People noise: up to 0.60 points overall each." in text
    assert "Overall model 90.26 %, HLP 91.62 %, difference 1.36 points" in text


def test_ac5_two_questions_two_answers(tmp_path: Path) -> None:
    story = sliced(tmp_path, {"Scratch": (100, 98, 95), "Discoloration": (100, 90, 90)})
    ranked = rank(story)
    assert ranked["models"][0]["name"] == "Scratch"
    assert [row["gain"] for row in ranked["models"]] == ["1.50", "0.00"]
    assert ranked["labels"][0]["name"] == "Discoloration"
    text = page(story)
    assert text.index("Check the labels here first") < text.index("Improve the model here")


# ------------------------------------------------------------------------------------------------ AC-11 and AC-12


def confused(tmp_path: Path, cells: dict[tuple[str, str], int], labels: str = "0,1") -> Story:
    """{(gold, label): items} by one rater."""
    told = [Told(gold=gold, said={"r": label}) for (gold, label), n in cells.items() for _ in range(n)]
    return tell(tmp_path, told, labels=labels)


def test_ac11_a_skewed_confusion_matrix(tmp_path: Path) -> None:
    story = confused(tmp_path, {("0", "0"): 905, ("1", "0"): 18, ("0", "1"): 9, ("1", "1"): 68})
    predict(tmp_path, story, ["0"] * 1000, model="print0")
    _, hlp = story.figures()
    key = {"cohort": "generalist", "label": "1"}
    assert hlp.get("precision", "label", origin="external", **key).value == pytest.approx(68 / 77)
    assert hlp.get("recall", "label", origin="external", **key).value == pytest.approx(68 / 86)
    assert hlp.get("f1", "label", origin="external", **key).value == pytest.approx(0.834, abs=5e-4)
    assert hlp.get("against_gold", cohort="generalist", origin="external").value == pytest.approx(0.973)
    model = {"model": "print0@1", "label": "1"}
    assert hlp.get("recall", "model", origin="external", **model).value == 0.0
    precision = hlp.get("precision", "model", origin="external", **model)
    assert precision.value is None
    assert "0/0" in (precision.undefined or "")
    assert hlp.get("against_gold", "model", origin="external", model="print0@1").value == pytest.approx(0.914)
    text = page(story)
    for shown in ("88.3 %", "79.1 %", "83.4 %", "&#x27;1&#x27; was never given: precision is 0/0"):
        assert shown in text, shown


def test_ac11_quiz_the_rare_label_for_everything(tmp_path: Path) -> None:
    story = confused(tmp_path, {("0", "0"): 98, ("1", "1"): 2})
    predict(tmp_path, story, ["1"] * 100)
    _, hlp = story.figures()
    model = {"model": "net@1", "label": "1"}
    assert hlp.get("recall", "model", origin="external", **model).value == 1.0
    assert hlp.get("precision", "model", origin="external", **model).value == pytest.approx(0.02)


def test_ac12_f1_of_four_defects(tmp_path: Path) -> None:
    """1,000 items with the defect, 400 without; each model finds one defect as the table says."""
    story = confused(tmp_path, {("1", "1"): 1000, ("0", "0"): 400})
    table = {
        "scratch": (992, 217, 82.1, 99.2, 89.8), "dent": (995, 85, 92.1, 99.5, 95.7), "pit": (987, 170, 85.3, 98.7, 91.5),
        "discoloration": (970, 375, 72.1, 97.0, 82.7),
    }  # fmt: skip
    for name, (right, wrong, *_) in table.items():
        said = ["1"] * right + ["0"] * (1000 - right) + ["1"] * wrong + ["0"] * (400 - wrong)
        predict(tmp_path, story, said, model=name)
    _, hlp = story.figures()
    for name, (_, _, precision, recall, f1) in table.items():
        key = {"model": f"{name}@1", "label": "1"}
        for part, value in (("precision", precision), ("recall", recall), ("f1", f1)):
            found = hlp.get(part, "model", origin="external", **key).value
            assert round(100 * found, 1) == value, (name, part)


def test_ac12_high_precision_low_recall(tmp_path: Path) -> None:
    story = confused(tmp_path, {("1", "1"): 890, ("0", "0"): 10})
    predict(tmp_path, story, ["1"] * 65 + ["0"] * 825 + ["1"] * 2 + ["0"] * 8)
    _, hlp = story.figures()
    key = {"model": "net@1", "label": "1"}
    found = [
        round(100 * hlp.get(part, "model", origin="external", **key).value, 1) for part in ("precision", "recall", "f1")
    ]
    assert found == [97.0, 7.3, 13.6]
    run_jobs()
