"""Scales with more points than a table of categories bears: the same figures from the labels themselves."""

from __future__ import annotations

import io
import json
import time

import numpy as np
import pytest
from django.core.management import call_command

from consistency.statistics import agreement, bylabel, cohorts
from consistency.statistics.agreement import NAMES, agree, coefficient
from consistency.statistics.cohorts import compare_cohorts
from consistency.statistics.differences import difference
from consistency.statistics.hlp import measure_hlp
from consistency.statistics.icc import ICC_NAMES
from consistency.statistics.intra_rater import self_agreement
from consistency.statistics.pairs import pairs
from consistency.statistics.ratings import RatingsError, RatingsTable

FIELDS = ("value", "low", "high", "se", "se_items", "se_raters")
COHORTS = ["x", "y", "x", "y", "x", "y", "x"]


def gappy(seed=0, n=120, r=7, points=9):
    """Labels 0, 1, 4, 9, … of seven raters, two fifths of them missing; the odd raters give higher ones."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, points, n)
    rows = []
    for i in range(n):
        for g in range(r):
            if rng.random() > 0.4:
                level = int(np.clip(truth[i] + rng.normal(0, 1.5) + (g % 2) * 0.7, 1, points - 1))
                rows.append((f"i{i}", f"r{g}", level**2))
    return RatingsTable.from_records(rows)


def continuous(n=900, r=6, seed=3):
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(50, 10, (n, 1)) + rng.normal(0, 3, (n, r)), 4)


def same(one, other, fields=FIELDS):
    for field in fields:
        a, b = getattr(one, field), getattr(other, field)
        assert (a is None) == (b is None), field
        assert a is None or a == pytest.approx(b, rel=1e-6, abs=1e-9), field
    assert (one.method, one.population, one.n_items, one.n_ratings) == (
        other.method,
        other.population,
        other.n_items,
        other.n_ratings,
    )
    assert one.notes == other.notes


@pytest.mark.parametrize("kind", ["auto", "two_way", "items"])
@pytest.mark.parametrize("level", ["interval", "ordinal", "ratio"])
def test_alpha_from_labels_is_alpha_from_patterns(monkeypatch, level, kind):
    table = gappy()
    by_pattern = agree(table, level=level, interval=kind)["krippendorff_alpha"]
    monkeypatch.setattr(agreement, "MOST_CATEGORIES", 2)
    same(agree(table, level=level, interval=kind)["krippendorff_alpha"], by_pattern)


@pytest.mark.parametrize("level", ["interval", "ordinal"])
def test_two_cohorts_from_labels_are_two_cohorts_from_patterns(monkeypatch, level):
    table = gappy()
    grouped = compare_cohorts(table, COHORTS, level=level).between[0]
    monkeypatch.setattr(cohorts, "MOST_POINTS", 2)
    by_label = compare_cohorts(table, COHORTS, level=level).between[0]
    for name in ("xrr", "normalised_xrr", "gai_a", "gai_b", "d", "alpha_difference"):
        same(getattr(by_label, name), getattr(grouped, name))
    assert (by_label.p, by_label.floor, by_label.sentence) == (grouped.p, grouped.floor, grouped.sentence)
    assert by_label.flips.rate.value == grouped.flips.rate.value


def test_the_comparison_sees_a_wrong_formula(monkeypatch):
    """Negative control: ranks that stand still give another standard error at level ordinal."""
    table = gappy()
    right = agree(table, level="ordinal")["krippendorff_alpha"]
    monkeypatch.setattr(agreement, "MOST_CATEGORIES", 2)
    monkeypatch.setattr(bylabel, "_rank_effect", lambda by_position, n: np.zeros_like(by_position))
    wrong = agree(table, level="ordinal")["krippendorff_alpha"]
    assert wrong.value == pytest.approx(right.value)
    assert wrong.se_items != pytest.approx(right.se_items, rel=1e-3)


@pytest.mark.parametrize("level", ["interval", "ordinal", "ratio"])
def test_numbers_that_hardly_repeat_against_the_krippendorff_package(monkeypatch, level):
    krippendorff = pytest.importorskip("krippendorff")
    monkeypatch.setattr(agreement, "MOST_CATEGORIES", 200)  # thousands would cost the package tens of gigabytes
    x = continuous(n=50)
    x[np.random.default_rng(5).random(x.shape) < 0.2] = np.nan
    table = RatingsTable.from_matrix([[None if np.isnan(v) else v for v in row] for row in x.tolist()])
    assert table.n_categories > 200
    alpha = agree(table, level=level)["krippendorff_alpha"]
    assert alpha.value == pytest.approx(krippendorff.alpha(x.T, level_of_measurement=level), abs=1e-10)
    assert alpha.low < alpha.value < alpha.high
    assert coefficient(table, "krippendorff_alpha", level=level) == alpha


def test_xrr_of_thousands_of_numbers_by_its_definition():
    x = continuous(n=400)
    second = np.array([False, True] * 3)
    table = RatingsTable.from_matrix(x.tolist())
    pair = compare_cohorts(table, ["b" if s else "a" for s in second], level="interval").between[0]
    a, b = x[:, ~second], x[:, second]
    observed = np.mean([(u[:, None] - v[None, :]) ** 2 for u, v in zip(a, b, strict=True)])
    expected = np.mean((a.ravel()[:, None] - b.ravel()[None, :]) ** 2)
    assert pair.xrr.value == pytest.approx(1 - observed / expected, abs=1e-10)
    assert pair.alpha_a.value == pytest.approx(
        agree(RatingsTable.from_matrix(a.tolist()), level="interval")["krippendorff_alpha"].value
    )
    assert pair.floor == pytest.approx(0.1)
    assert "too many to be categories" in pair.flips.rate.undefined
    assert "too many to be categories" in pair.label_use.js.undefined
    ratio = compare_cohorts(table, ["b" if s else "a" for s in second], level="ratio").between[0]
    assert "too many to be categories" in ratio.xrr.undefined
    assert ratio.alpha_a.value is not None


def test_a_shift_of_one_cohort_is_found():
    x = continuous(n=300, r=8, seed=8)
    x[:, 4:] += 6
    table = RatingsTable.from_matrix(x.tolist())
    pair = compare_cohorts(table, list("aaaabbbb"), level="interval").between[0]
    assert pair.d.high < 0
    assert pair.p == pair.floor == pytest.approx(2 / 70)
    ordinal = compare_cohorts(table, list("aaaabbbb"), level="ordinal").between[0]
    assert ordinal.p == pair.p
    mixed = compare_cohorts(table, list("abababab"), level="interval").between[0]
    assert mixed.p > 0.05, "the shift does not follow these cohorts"


def test_everything_about_single_labels_says_why_not():
    table = RatingsTable.from_matrix(continuous().tolist())
    found = agree(table, level="interval")
    for name in NAMES:
        if name != "krippendorff_alpha":
            assert "too many to be categories" in found[name].undefined, name
    hlp = measure_hlp(table, gold=dict.fromkeys(table.items, "1"), gold_origin="external")
    for name, one in hlp.as_json().items():
        if name not in ("artefact", "gold_origin"):
            assert "too many to be categories" in one["undefined"], name
    assert hlp.artefact.verdict == "cannot_say"
    assert hlp.gold_origin == "external"
    assert hlp.artefact.as_json()["points"] is None
    rows = list(pairs(table).rows())
    assert len(rows) == 15
    assert rows[0]["items"] == 900
    assert "too many to be categories" in rows[0]["cohen_kappa"].undefined
    assert "too many to be categories" in rows[0]["percent_agreement"].undefined
    with pytest.raises(ValueError, match="not negative"):
        agree(RatingsTable.from_matrix((continuous() - 60).tolist()), level="ratio")
    with pytest.raises(RatingsError, match="is not a number"):
        compare_cohorts(
            RatingsTable.from_matrix([[f"t{i}{g}" for g in range(3)] for i in range(900)]),
            list("aab"),
            level="interval",
        )


def test_self_agreement_and_differences_of_thousands_of_numbers():
    x = continuous()
    first = [(f"i{i}", f"r{g}", v) for i, row in enumerate(x.tolist()) for g, v in enumerate(row)]
    again = [(item, rater, round(label + 0.001, 4)) for item, rater, label in first if rater == "r0"]
    found = self_agreement(RatingsTable.from_records(first + again), level="interval")
    assert found.raters["r0"].alpha.value > 0.999
    assert found.raters["r0"].repeats == 900
    after = RatingsTable.from_records([(i, g, round(50 + (v - 50) * 1.0, 4)) for i, g, v in first])
    gain = difference(RatingsTable.from_records(first), after, level="interval")
    assert gain.these_raters.value == pytest.approx(0, abs=1e-12)
    assert gain.before == pytest.approx(agree(after, level="interval")["krippendorff_alpha"].value)
    assert "too many to be categories" in difference(after, after, "fleiss_kappa").these_raters.undefined


@pytest.mark.parametrize("engine", ["memory", "sql"])
def test_the_whole_command_in_seconds(tmp_path, engine):
    path, page = tmp_path / "sizes.csv", tmp_path / "sizes.html"
    lines = ["item_id,rater_id,label,cohort,gold"]
    lines += [
        f"{i},r{g},{v},{('expert', 'generalist')[g % 2]},{round(row[0], 1)}"
        for i, row in enumerate(continuous(n=1500).tolist())
        for g, v in enumerate(row)
    ]
    path.write_text("\n".join(lines) + "\n")
    out = io.StringIO()
    start = time.process_time()
    call_command(
        "agreement", str(path), "--level", "interval", "--pairs", "--json", "--html", str(page), "--engine", engine,
        stdout=out, stderr=io.StringIO(),
    )  # fmt: skip
    assert time.process_time() - start < 20  # about 2 s alone
    found = json.loads(out.getvalue())
    for name in ("krippendorff_alpha", *ICC_NAMES):
        one = found["coefficients"][name]
        assert one["low"] < one["value"] < one["high"], name
    assert found["coefficients"]["gwet_ac"]["undefined"]
    assert found["cohorts"]["between"][0]["xrr"]["value"] == pytest.approx(0.91, abs=0.02)
    assert found["worst_items"][0]["ratings"] == 6
    assert len(found["pairs"]) == 15
    assert bool(found["notes"]) == (engine == "sql")
    report = io.StringIO()
    call_command("agreement", str(path), "--level", "interval", stdout=report, stderr=io.StringIO())
    assert "The labels are numbers with" in report.getvalue()
    assert "Agreement cannot be measured" not in report.getvalue()
    assert len(report.getvalue().splitlines()) < 90
    assert "too many to be categories" in page.read_text()


def test_quadratic_forms_over_the_categories_an_item_has():
    from consistency.statistics.sums import quadratic_forms

    rng = np.random.default_rng(0)
    counts = np.zeros((300, 200))
    for row in counts:
        np.add.at(row, rng.integers(0, 200, rng.integers(0, 9)), 1)
    counts[7] = 1  # an item with every category
    matrix = rng.random((200, 200))
    matrix += matrix.T
    assert quadratic_forms(counts, matrix) == pytest.approx(np.einsum("ij,jk,ik->i", counts, matrix, counts))


def test_intervals_of_an_item_with_few_of_many_categories():
    """Drawing the absent categories once for all items gives the same posterior."""
    from consistency.statistics.items import _drawn, _drawn_few, item_intervals

    row = np.zeros(100, np.int64)
    row[[3, 7, 9]] = 3, 2, 1
    for one, other in zip(_drawn(row, 20_000, 0), _drawn_few(row, 20_000, 1), strict=True):
        assert np.quantile(one, [0.025, 0.5, 0.975]) == pytest.approx(np.quantile(other, [0.025, 0.5, 0.975]), rel=0.02)
    both = item_intervals(np.stack([row, row[::-1]]))
    assert both.agreement[0].tolist() == both.agreement[1].tolist()


def test_thin_gradients_give_the_same_figures(monkeypatch):
    from consistency.statistics import engine
    from consistency.statistics.categories import per_category

    rng = np.random.default_rng(2)
    truth = rng.integers(0, 260, 200)
    table = RatingsTable.from_matrix(
        np.where(rng.random((200, 5)) < 0.7, truth[:, None], rng.integers(0, 260, (200, 5))).tolist(),
        categories=range(260),
    )
    thin = per_category(table)
    monkeypatch.setattr(engine, "_thin", lambda gradient: gradient)
    for label, one in per_category(table).items():
        assert one.kappa.undefined == thin[label].kappa.undefined
        if one.kappa.value is not None:
            same(thin[label].kappa, one.kappa)
        if one.specific_agreement.value is not None:
            same(thin[label].specific_agreement, one.specific_agreement)
