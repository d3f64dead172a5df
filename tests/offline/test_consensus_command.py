"""`manage.py consensus`: the contract of its JSON, its report, its files, its errors."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from . import phones


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "phones.csv"
    path.write_text(phones.as_csv())
    return str(path)


def text_of(*args):
    out = io.StringIO()
    call_command("consensus", *args, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.mark.parametrize("method", ["auto", "majority", "one_coin", "dawid_skene"])
def test_the_keys_of_the_json(study, method):
    found = json.loads(text_of(study, "--method", method, "--json"))
    assert {"items", "accuracy", "raters", "log_likelihood", "iterations"} <= found.keys()
    assert len(found["items"]) == 60
    for item in found["items"]:
        assert {"item", "value", "tie", "posterior"} <= item.keys()
        assert sum(item["posterior"].values()) == pytest.approx(1)
        assert (item["value"] is None) == item["tie"]
        if not item["tie"]:
            assert item["posterior"][item["value"]] == max(item["posterior"].values())
    assert {rater["rater"] for rater in found["raters"]} == set(phones.COHORTS)
    for rater in found["raters"]:
        assert {"rater", "labels", "accuracy_estimate", "confusion"} <= rater.keys()
        for row in rater["confusion"].values():
            assert sum(row.values()) == pytest.approx(1)
    assert sum(rater["labels"] for rater in found["raters"]) == sum(bool(row["label"]) for row in phones.rows())
    if method == "majority":
        assert found["log_likelihood"] is None
        assert found["iterations"] == 0
    else:
        assert found["log_likelihood"] < 0
        assert found["iterations"] > 0
    assert 0.6 < found["accuracy"] <= 1
    assert (found["method"] == method) or method == "auto"


def test_ties_count_their_share_of_the_accuracy(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("item_id,rater_id,label,gold\na,r,x,x\na,s,y,x\nb,r,x,x\nb,s,x,x\nc,r,y,x\n")
    found = json.loads(text_of(str(path), "--method", "majority", "--json"))
    assert found["accuracy"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert [(item["value"], item["tie"]) for item in found["items"]] == [(None, True), ("x", False), ("y", False)]
    assert found["ties"] == 1


def test_no_gold_no_accuracy(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("item_id,rater_id,label\na,r,x\na,s,y\n")
    assert "accuracy" not in json.loads(text_of(str(path), "--json"))
    report = text_of(str(path))
    assert "1 tie stays a tie for a person to decide" in report
    assert "Against the gold" not in report


def test_the_report_and_the_answers_as_files(study, tmp_path):
    report = text_of(study)
    for part in ("Consensus · phones.csv", "LOOK AT FIRST", "WHAT NOT TO TRUST", "LABELS", "RATERS", "SETTINGS TRIED"):
        assert part in report
    assert "3 cohorts are pooled here" in " ".join(report.split())
    out = tmp_path / "answers.csv"
    text_of(study, "--out", str(out))
    rows = list(csv.DictReader(out.open()))
    found = json.loads(text_of(study, "--json"))
    assert [row["item"] for row in rows] == [item["item"] for item in found["items"]]
    assert [row["value"] or None for row in rows] == [item["value"] for item in found["items"]]
    as_json = tmp_path / "answers.json"
    text_of(study, "--out", str(as_json))
    assert json.loads(as_json.read_text()) == found


@pytest.mark.parametrize("method", ["auto", "majority", "one_coin", "dawid_skene"])
def test_a_single_label_is_its_own_answer(tmp_path, method):
    path = tmp_path / "x.csv"
    path.write_text("item_id,rater_id,label,gold\na,r,x,x\n")
    found = json.loads(text_of(str(path), "--method", method, "--json"))
    assert [(item["value"], item["tie"]) for item in found["items"]] == [("x", False)]
    assert found["accuracy"] == 1
    assert found["method"] == ("majority" if method == "auto" else method)
    assert "one label only: that is an opinion" in " ".join(text_of(str(path), "--method", method).split())


def test_of_methods_that_fit_alike_the_simplest_is_taken(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("item_id,rater_id,label\n" + "".join(f"i{i},r{g},x\n" for i in range(30) for g in range(3)))
    assert json.loads(text_of(str(path), "--json"))["method"] == "majority"


def test_restarts_are_reported(study):
    found = json.loads(text_of(study, "--method", "dawid_skene", "--smoothing", "0", "--restarts", "5", "--json"))
    assert found["restarts"]["tried"] == 5
    assert found["restarts"]["best_log_likelihood"] >= found["log_likelihood"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--method", "vote"], "unknown method 'vote'; use auto, majority"),
        (["--smoothing", "-1"], "the smoothing is -1"),
        (["--smoothing", "nan"], "the smoothing is nan"),
        (["--tol", "2"], "the tolerance is 2"),
        (["--max-iter", "0"], "--max-iter is 0"),
        (["--restarts", "-1"], "must be 0 or more"),
        (["--label", "nope"], "there is no column 'nope'"),
        (["--out", "/nowhere/x.csv"], "cannot be written"),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(study, args, says):
    with pytest.raises(CommandError) as error:
        text_of(study, *args)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.returncode == 2


def test_thousands_of_labels_have_no_consensus(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text(
        "item_id,rater_id,label\n" + "".join(f"i{i},r{g},text {i} {g}\n" for i in range(700) for g in "abc")
    )
    with pytest.raises(CommandError, match="2,100 different ones are too many"):
        text_of(str(path))


def test_hundreds_of_labels_without_matrices(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text(
        "item_id,rater_id,label\n" + "".join(f"i{i},r{g},{i + (g == 2)}\n" for i in range(400) for g in (0, 1, 2))
    )
    found = json.loads(text_of(str(path), "--json"))
    assert [item["value"] for item in found["items"][:3]] == ["0", "1", "2"]
    assert found["raters"][0]["confusion"] == {}
    assert found["raters"][0]["accuracy_estimate"] > 0.9
    assert "too many for a confusion matrix" in " ".join(found["notes"])
    with pytest.raises(CommandError, match="use one_coin or majority"):
        text_of(str(path), "--method", "dawid_skene")
