"""`manage.py agreement`: the contract of its JSON, its report, its errors, with nothing but a file."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from consistency.statistics.agreement import NAMES
from consistency.statistics.icc import ICC_NAMES

from . import phones

ROOT = Path(__file__).resolve().parents[2]
ESTIMATE = {"value", "low", "high", "se", "se_items", "se_raters", "method", "undefined"}
HLP = {
    "pairwise",
    "pairwise_with_replacement",
    "leave_one_out",
    "leave_one_out_macro",
    "against_gold",
    "against_gold_macro",
    "constant_model",
    "constant_model_item_weight",
    "convention_ceiling",
}


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "phones.csv"
    path.write_text(phones.as_csv())
    return str(path)


def text_of(*args, **options):
    out, err = io.StringIO(), io.StringIO()
    call_command("agreement", *args, stdout=out, stderr=err, **options)
    return out.getvalue()


def json_of(*args):
    return json.loads(text_of(*args, "--json"))


def estimates_in(found, path=""):
    """(path, estimate) of every estimate in a JSON tree."""
    if isinstance(found, dict):
        if found.keys() >= ESTIMATE:
            yield path, found
            return
        for key, value in found.items():
            yield from estimates_in(value, f"{path}/{key}")
    elif isinstance(found, list):
        for at, value in enumerate(found):
            yield from estimates_in(value, f"{path}/{at}")


def check_estimates(found):
    seen = 0
    for path, one in estimates_in(found):
        seen += 1
        assert (one["value"] is None) == isinstance(one["undefined"], str), path
        assert one["value"] is None or math.isfinite(one["value"]), path
        assert (one["low"] is None) == (one["high"] is None), path
        if one["low"] is not None and one["method"] != "anova":
            assert one["low"] <= one["value"] + 1e-9, path
            assert one["value"] <= one["high"] + 1e-9, path
        if one["method"] == "two_way" and one["se_raters"] is not None:
            low = max(one["se_items"], one["se_raters"])
            high = math.hypot(one["se_items"], one["se_raters"])
            assert low - 1e-12 <= one["se"] <= high + 1e-12, path
    return seen


def test_the_keys_of_the_json(study):
    found = json_of(study, "--pairs")
    assert {"items", "raters", "ratings", "categories", "level", "excluded", "coefficients"} <= found.keys()
    assert {"per_category", "hlp", "cohorts", "intra_rater", "pairs"} <= found.keys()
    assert (found["items"], found["raters"], found["categories"], found["level"]) == (
        60,
        6,
        ["defect", "fine"],
        "nominal",
    )
    given = [row["label"] for row in phones.rows()]
    repeats = sum(row["session"] == "2" for row in phones.rows())
    assert found["excluded"]["missing_labels"] == given.count("")
    assert found["ratings"] + found["excluded"]["repeats"] + given.count("") == len(given)
    assert 0 < found["excluded"]["repeats"] <= repeats
    assert set(found["coefficients"]) == set(NAMES)
    for label in found["categories"]:
        assert set(found["per_category"][label]) == {"specific_agreement", "kappa", "count"}
    assert sum(one["count"] for one in found["per_category"].values()) == found["ratings"]
    assert set(found["hlp"]) >= HLP | {"artefact", "gold_origin"}
    assert set(found["hlp"]["artefact"]) == {"points", "points_with_replacement", "verdict", "sentence"}
    assert set(found["cohorts"]["within"]) == {"generalist", "expert", "target_user"}
    assert len(found["cohorts"]["between"]) == 3
    for pair in found["cohorts"]["between"]:
        assert {"a", "b", "xrr", "normalised_xrr", "gai_a", "gai_b", "d", "p", "floor", "sentence"} <= pair.keys()
    assert len(found["pairs"]) == 15
    assert {"a", "b", "items", "cohen_kappa", "percent_agreement"} <= found["pairs"][0].keys()
    for one in found["intra_rater"].values():
        assert set(one) == {"repeats", "consistent", "alpha"}
    assert check_estimates(found) > 80


def test_without_pairs_there_is_no_such_key(study):
    assert "pairs" not in json_of(study)


def test_interval_level_adds_the_six_icc_and_ordinal_changes_alpha(tmp_path):
    path = tmp_path / "stars.csv"
    path.write_text(
        "item_id,rater_id,label\n"
        + "".join(f"i{i},r{g},{min(5, 1 + i % 5 + (g == 2))}\n" for i in range(30) for g in range(3))
    )
    nominal, interval = json_of(str(path)), json_of(str(path), "--level", "interval")
    assert set(interval["coefficients"]) == {*NAMES, *ICC_NAMES}
    assert not set(ICC_NAMES) & set(nominal["coefficients"])
    alpha = [found["coefficients"]["krippendorff_alpha"]["value"] for found in (nominal, interval)]
    assert abs(alpha[0] - alpha[1]) > 0.01
    weighted = json_of(str(path), "--weights", "quadratic")["coefficients"]
    assert weighted["percent_agreement"]["value"] > nominal["coefficients"]["percent_agreement"]["value"]
    assert weighted["krippendorff_alpha"] == nominal["coefficients"]["krippendorff_alpha"], "weights leave alpha alone"


@pytest.mark.parametrize(
    ("text", "undefined"),
    [
        ("item_id,rater_id,label\na,r,x\nb,r,y\n", set(NAMES)),
        ("item_id,rater_id,label\na,r,x\nb,s,y\n", set(NAMES)),
        (
            "item_id,rater_id,label\na,r,x\na,s,x\nb,r,x\nb,s,x\n",
            {"krippendorff_alpha", "fleiss_kappa", "cohen_kappa", "scott_pi"},
        ),
    ],
    ids=["one rater", "nothing in common", "one category"],
)
def test_undefined_is_a_sentence_and_no_error(tmp_path, text, undefined):
    path = tmp_path / "x.csv"
    path.write_text(text)
    found = json_of(str(path), "--pairs")
    check_estimates(found)
    assert len(found["pairs"]) == (found["categories"] == ["x"]), "only those who met"
    for name in undefined:
        one = found["coefficients"][name]
        assert one["value"] is None, name
        assert len(one["undefined"].split()) >= 3, name
    report = text_of(str(path))
    assert "LOOK AT FIRST" in report
    assert not {"nan", "none"} & set(report.lower().split())
    assert ("Every rating is “x”" in report) == (len(found["categories"]) == 1)


def test_declared_categories_change_the_figures_that_count_them(study):
    plain, declared = json_of(study), json_of(study, "--categories", "defect,fine,borderline")
    assert declared["categories"] == ["defect", "fine", "borderline"]
    bp = [found["coefficients"]["brennan_prediger"]["value"] for found in (plain, declared)]
    assert bp[1] > bp[0]
    assert declared["per_category"]["borderline"]["specific_agreement"]["value"] is None
    alpha = [found["coefficients"]["krippendorff_alpha"]["value"] for found in (plain, declared)]
    assert alpha[0] == pytest.approx(alpha[1])


@pytest.mark.parametrize("engine", ["sql", "duckdb"])
def test_other_engines_give_the_same_figures(study, engine):
    if engine == "duckdb":
        pytest.importorskip("duckdb")
    expected = json_of(study, "--pairs")
    found = json_of(study, "--pairs", "--engine", engine)
    pairs = dict(estimates_in(expected))
    other = dict(estimates_in(found))
    assert pairs.keys() == other.keys()
    for path, one in pairs.items():
        for key in ("value", "low", "high", "se"):
            assert other[path][key] == (None if one[key] is None else pytest.approx(one[key], abs=1e-9)), (path, key)
        assert other[path]["method"] == one["method"], path


def test_bootstrap_confidence_interval_kind_and_seed(study):
    plain = json_of(study)["coefficients"]["fleiss_kappa"]
    drawn = json_of(study, "--bootstrap", "2000", "--seed", "3")["coefficients"]["fleiss_kappa"]
    again = json_of(study, "--bootstrap", "2000", "--seed", "3")["coefficients"]["fleiss_kappa"]
    other = json_of(study, "--bootstrap", "2000", "--seed", "4")["coefficients"]["fleiss_kappa"]
    assert drawn == again
    assert drawn["se_items"] != other["se_items"]
    assert drawn["se_items"] != plain["se_items"]
    assert drawn["se_items"] == pytest.approx(plain["se_items"], rel=0.15)
    narrow = json_of(study, "--confidence", "0.8")["coefficients"]["fleiss_kappa"]
    assert plain["low"] < narrow["low"] < narrow["high"] < plain["high"]
    assert (plain["method"], plain["se_raters"] is not None) == ("two_way", True)
    items = json_of(study, "--interval", "items")["coefficients"]["fleiss_kappa"]
    assert items["method"] == "items"
    assert items["se"] == items["se_items"]


def test_standard_input_and_other_columns(study, monkeypatch):
    renamed = phones.as_csv().replace("item_id,rater_id,cohort,label", "url,worker,group,answer", 1)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(renamed.encode())))
    found = json_of("-", "--item", "url", "--rater", "worker", "--label", "answer", "--cohort", "group")
    expected = json_of(study)
    assert found["coefficients"] == expected["coefficients"]
    assert found["cohorts"] == expected["cohorts"]
    assert found["file"]["name"] == "standard input"


def test_the_report_says_what_was_measured_what_to_look_at_and_what_not_to_trust(study):
    report = text_of(study, "--pairs").replace("\u00a0", " ")
    assert report.startswith("Agreement · phones.csv\n60 items · 6 raters · ")
    for part in ("Two raters agree on", "LOOK AT FIRST", "WHAT NOT TO TRUST", "COEFFICIENTS", "LABELS", "COHORTS"):
        assert part in report
    for part in ("HUMAN-LEVEL PERFORMANCE", "SELF-AGREEMENT", "WORST ITEMS", "RATER PAIRS", "LEFT OUT", "Against gold"):
        assert part in report
    found = json_of(study)
    alpha = found["coefficients"]["krippendorff_alpha"]
    assert f"α = {alpha['value']:.2f} [{alpha['low']:.2f}, {alpha['high']:.2f}]" in report
    assert max(map(len, report.splitlines())) <= 110
    for word in ("inaccurate", "bad rater", "careless"):
        assert word not in report


def test_small_data_gets_no_adjective(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(
        "item_id,rater_id,label\n"
        + "".join(f"i{i},r{g},{(i + g * (i == 3)) % 2}\n" for i in range(8) for g in range(3))
    )
    report = " ".join(text_of(str(path)).split())
    assert "too few" in report
    for word in ("moderate", "substantial", "almost perfect"):
        assert word not in report


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--label", "verdict"], "there is no column 'verdict' for the label"),
        (["--level", "cardinal"], "unknown level 'cardinal'; use one of nominal"),
        (["--level", "interval"], "label 'defect' is not a number; level interval needs numbers"),
        (["--weights", "cubic"], "unknown weights 'cubic'"),
        (["--interval", "bca"], "unknown interval 'bca'"),
        (["--engine", "spark"], "unknown engine 'spark'"),
        (["--format", "xlsx"], "unknown format 'xlsx'"),
        (["--bootstrap", "100"], "100 bootstrap replicates are too few"),
        (["--confidence", "95"], "confidence of 95 is not between 0 and 1"),
        (["--seed", "-1"], "the seed is -1"),
        (["--categories", "defect"], "label 'fine' is not one of the declared categories"),
        (["--categories", "defect,,fine"], "holds an empty label"),
        (["--html", "/nowhere/at/all.html"], "cannot be written"),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(study, args, says):
    with pytest.raises(CommandError) as error:
        text_of(study, *args)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.returncode == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"rater_id": "gene", "cohort": "expert"},
            r"rater 'gene' has the cohort 'generalist' in row 1 and 'expert' in row \d+",
        ),
        ({"gold": "maybe"}, r"item 'screen-00' has the gold '\w+' in row 1 and 'maybe' in row \d+"),
    ],
)
def test_a_rater_in_two_cohorts_and_an_item_with_two_golds_are_refused(tmp_path, change, says):
    given = phones.rows()
    path = tmp_path / "x.csv"
    path.write_text(phones.as_csv([*given, {**given[0], **change}]))
    with pytest.raises(CommandError, match=says):
        text_of(str(path))


def offline(*args, stdin=None, **env):
    """Run manage.py as somebody who has nothing set up: no key, no writable data folder, a database that cannot open."""
    clean = {k: v for k, v in os.environ.items() if k not in ("SECRET_KEY", "DATA_DIR", "DATABASE_URL", "REDIS_URL")}
    clean |= {"DATA_DIR": "/nonexistent/concord", "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", **env}
    return subprocess.run(
        [sys.executable, "manage.py", *args],
        cwd=ROOT,
        env=clean,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=250,
    )


def test_it_runs_with_no_database_and_no_key(study):
    done = offline("agreement", study, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["items"] == 60
    piped = offline("consensus", "-", "--json", stdin=Path(study).read_text())
    assert (piped.returncode, piped.stderr) == (0, "")
    assert len(json.loads(piped.stdout)["items"]) == 60


def test_exit_codes_of_the_process(study, tmp_path):
    """One refusal of ours and one of the option parser; the others go the same way (above, without a process each)."""
    for args in ([str(tmp_path / "none.csv")], [study, "--colour", "red"]):
        done = offline("agreement", *args)
        assert done.returncode == 2, args
        assert done.stdout == ""
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "Traceback" not in done.stderr


# --- labels as files spell them -------------------------------------------------------------------


def test_spellings_of_one_number_are_one_label_and_gold_with_gaps_is_understood(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("item_id,rater_id,label,gold\na,r,1,1.0\na,s,2,1.0\nb,r,2,\nb,s,2,\nc,r,1,2.0\nc,s,1.0,2.0\n")
    found = json_of(str(path))
    assert found["categories"] == ["1", "2"]
    assert found["hlp"]["against_gold"]["value"] == pytest.approx(1 / 4)
    assert any("such as 1 and 1.0" in note for note in found["notes"])
    declared = json_of(str(path), "--categories", "1,1.0,2")
    assert declared["categories"] == ["1", "1.0", "2"], "what was declared stays as it was declared"


def test_labels_that_differ_in_spaces_only_are_pointed_out(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("item_id,rater_id,label\na,r,x\na,s,x \nb,r,y\nb,s,y\n")
    found = json_of(str(path))
    assert found["categories"] == ["x", "x ", "y"]
    assert any("differ only in spaces" in note for note in found["notes"])
    assert "differ only in spaces" in " ".join(text_of(str(path)).split())


def test_free_text_is_pointed_out(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(
        "item_id,rater_id,label\n" + "".join(f"i{i},r{g},text {i} {g}\n" for i in range(40) for g in (0, 1))
    )
    assert "Most of the 80 labels occur once." in text_of(str(path))
    path.write_text("item_id,rater_id,label\n" + "".join(f"i{i},r{g},{i}.{g}\n" for i in range(40) for g in (0, 1)))
    assert "occur once" not in text_of(str(path)), "numbers are no texts"


def test_a_very_long_label_does_not_fill_the_message(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(f"item_id,rater_id,label\na,r,{'x' * 20000}\na,s,y\n")
    with pytest.raises(CommandError) as error:
        text_of(str(path), "--level", "interval")
    assert len(str(error.value)) < 250
    assert max(map(len, text_of(str(path)).splitlines())) < 200
