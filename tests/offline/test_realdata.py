"""The commands on real multi-rater labels: the known values come out of the JSON."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command

pytestmark = pytest.mark.realdata


def json_of(command, *args):
    out = io.StringIO()
    call_command(command, *map(str, args), "--json", stdout=out, stderr=io.StringIO())
    return json.loads(out.getvalue())


@pytest.mark.parametrize(
    ("name", "pairwise", "leave_one_out", "against_gold", "constant"),
    [
        ("bluebirds", 0.588, 0.685, 0.636, 0.621),
        ("snow_rte", 0.629, 0.709, 0.729, 0.573),
        ("hs_brexit", 0.853, 0.866, None, 0.871),
        ("adultcontent2", 0.746, 0.781, 0.682, 0.755),
    ],
)
def test_hlp_and_its_baseline(real_data, name, pairwise, leave_one_out, against_gold, constant):
    hlp = json_of("agreement", real_data / f"{name}.csv")["hlp"]
    assert hlp["pairwise"]["value"] == pytest.approx(pairwise, abs=6e-4)
    assert hlp["leave_one_out"]["value"] == pytest.approx(leave_one_out, abs=6e-4)
    assert hlp["constant_model"]["value"] == pytest.approx(constant, abs=6e-4)
    if against_gold is None:
        assert hlp["against_gold"]["value"] is None
        assert hlp["gold_origin"] is None
    else:
        assert hlp["against_gold"]["value"] == pytest.approx(against_gold, abs=6e-4)


def test_two_cohorts_that_read_hate_speech_differently(real_data):
    found = json_of("agreement", real_data / "hs_brexit.csv", "--interval", "items")
    cohorts = found["cohorts"]
    alpha = found["coefficients"]["krippendorff_alpha"]
    assert (alpha["value"], alpha["low"], alpha["high"]) == pytest.approx((0.347, 0.305, 0.386), abs=0.01)
    assert alpha["value"] == pytest.approx(0.347462, abs=1e-5)
    assert cohorts["within"]["target_group"]["krippendorff_alpha"]["value"] == pytest.approx(0.433744, abs=1e-5)
    assert cohorts["within"]["control_group"]["krippendorff_alpha"]["value"] == pytest.approx(0.581572, abs=1e-5)
    (pair,) = cohorts["between"]
    assert pair["xrr"]["value"] == pytest.approx(0.238036, abs=1e-5)
    assert pair["normalised_xrr"]["value"] == pytest.approx(0.473942, abs=1e-5)
    gai = {pair["a"]: pair["gai_a"]["value"], pair["b"]: pair["gai_b"]["value"]}
    assert gai == {
        "target_group": pytest.approx(1.822176, abs=1e-5),
        "control_group": pytest.approx(2.443206, abs=1e-5),
    }
    assert pair["floor"] == pytest.approx(0.1)


def test_repeats_are_self_agreement_and_declared_categories_count(real_data):
    path = real_data / "adultcontent2.csv"
    found = json_of("agreement", path)
    assert found["coefficients"]["krippendorff_alpha"]["value"] == pytest.approx(0.316, abs=6e-4)
    assert found["coefficients"]["fleiss_kappa"]["value"] == pytest.approx(0.292, abs=6e-4)
    assert sum(one["repeats"] for one in found["intra_rater"].values()) == 2918
    five = json_of("agreement", path, "--categories", "G,P,R,X,B")
    assert five["categories"] == ["G", "P", "R", "X", "B"]
    assert five["coefficients"]["gwet_ac"]["value"] != pytest.approx(
        found["coefficients"]["gwet_ac"]["value"], abs=1e-4
    )


def test_the_anaesthetists_from_their_file(real_data):
    path = real_data / "anaesthesia_ds79.csv"
    found = json_of(
        "consensus", path, "--method", "dawid_skene", "--smoothing", "0", "--tol", "1e-10", "--max-iter", "1000"
    )
    assert found["log_likelihood"] == pytest.approx(-190.731, abs=1e-3)
    agreement = json_of("agreement", path, "--level", "ordinal")
    assert agreement["coefficients"]["krippendorff_alpha"]["value"] == pytest.approx(0.812, abs=6e-4)
    assert agreement["intra_rater"]["1"]["alpha"]["value"] == pytest.approx(0.819, abs=6e-4)
