"""Over REST: labels given elsewhere, and one ruling for a cluster of cases."""

from __future__ import annotations

from typing import Any

import pytest

from consistency.comparing import compare_batch
from consistency.models import Adjudication, Disagreement
from labeling.models import Annotation, Batch, Gold, ImportRun, Membership
from tests.api.client import Program, key_for
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db

CSV = (
    b"item_id,rater_id,label,gold\nn1,r1,defect,defect\nn1,r2,no_defect,defect\nn2,r1,defect,\nn1,r1,no_defect,defect\n"
)


@pytest.fixture
def mel(world: World) -> Program:
    return Program(key_for(world, "mel"))


def test_labels_given_elsewhere_become_a_closed_batch(world: World, mel: Program) -> None:
    started = mel.post("labels?cohorts=expert&name=crowd", CSV, kind="text/csv")
    assert (started.status_code, started.json()["source"]) == (202, "crowd.csv")
    run_jobs()
    run = mel.get(f"imports/{started.json()['uuid']}").json()
    assert (run["status"], run["kind"], run["rows_kept"], run["errors"]["total"]) == ("done", "labels", 4, 0)
    batches = {batch["kind"]: batch for batch in mel.everything("batches")}
    assert {kind: batch["status"] for kind, batch in batches.items()} == {"import": "closed", "retest": "closed"}
    said = Annotation.objects.filter(assignment__batch__uuid=batches["import"]["uuid"])
    assert sorted(said.values_list("value", flat=True)) == ["defect", "defect", "no_defect"]
    assert set(said.values_list("assignment__cohort", flat=True)) == {"expert"}
    assert Gold.objects.get(item=world.items[0]).value == "defect"
    assert Membership.objects.filter(project=world.project, active=False).count() == 2
    again = mel.post("labels?cohorts=expert&name=crowd", CSV, kind="text/csv")
    assert (again.status_code, again.json()["job"]) == (200, None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "cohorts"), ("?cohorts=nobody", "cohorts"), ("?cohorts=expert&rater=who", "rater"),
        ("?cohorts=expert&cohort=gold", "cohorts"), ("?cohorts=expert&labels=a,a", "labels"),
    ],
)  # fmt: skip
def test_a_mapping_that_does_not_fit_is_named_and_nothing_is_kept(
    world: World, mel: Program, query: str, field: str
) -> None:
    answer = mel.post(f"labels{query}", CSV, kind="text/csv")
    assert (answer.status_code, answer.json()["data"]["field"]) == (422, field)
    assert not ImportRun.objects.exclude(status="discarded").exists()
    assert mel.post("labels?cohorts=expert", b"PK\x03\x04", kind="application/zip").status_code == 415


def test_a_row_that_does_not_fit_refuses_the_file_or_is_left_out(world: World, mel: Program) -> None:
    rows = [{"item": "n1", "rater": "r1", "label": "defect"}, {"item": "absent", "rater": "r1", "label": "defect"}]
    refused = mel.post("labels?cohorts=expert", rows).json()
    run_jobs()
    report = mel.get(f"imports/{refused['uuid']}").json()
    assert (report["status"], report["errors"]["total"]) == ("refused", 1)
    assert not Batch.objects.exists()
    kept = mel.post("labels?cohorts=expert&skip_refused=true", rows).json()
    run_jobs()
    assert mel.get(f"imports/{kept['uuid']}").json()["rows_kept"] == 1


def divided(world: World) -> tuple[Batch, list[Disagreement]]:
    batch = world.open_batch("Bench", quotas={"generalist": 2})
    world.say(batch, "gene", {f"n{number}": "defect" for number in range(1, 6)})
    world.say(batch, "gina", {f"n{number}": "no_defect" if number < 4 else "defect" for number in range(1, 6)})
    compare_batch(batch=batch)
    return batch, list(Disagreement.objects.filter(batch=batch, kind="labels").order_by("pk"))


def test_one_ruling_covers_a_cluster_and_leaves_out_what_stands_against_it(world: World) -> None:
    batch, cases = divided(world)
    assert len(cases) == 3
    sam, olga = Program(key_for(world, "sam")), Program(key_for(world, "olga"))
    assert olga.post(f"disagreements/{cases[2].uuid}/hold").status_code == 200
    body: dict[str, Any] = {
        "cases": [{"disagreement": str(case.uuid), "seen": case.input_sha256} for case in cases],
        "cause": "ambiguous_definition", "outcome": "adjudicate", "value": "defect", "rationale": "All of them are long.",
    }  # fmt: skip
    body["cases"][1]["seen"] = "0" * 64
    made = sam.post(f"batches/{batch.uuid}/rule", body)
    assert made.status_code == 201
    assert [row["disagreement"] for row in made.json()["rulings"]] == [str(cases[0].uuid)]
    left = {row["disagreement"]: row["code"] for row in made.json()["refused"]}
    assert left == {str(cases[1].uuid): "answers_changed", str(cases[2].uuid): "held_by_other"}
    assert made.json()["rulings"][0]["cluster"] == made.json()["cluster"]
    assert Adjudication.objects.count() == 1
    elsewhere = sam.post(f"batches/{world.open_batch('Next').uuid}/rule", body)
    assert elsewhere.status_code == 404, "a case of another batch is not there"
