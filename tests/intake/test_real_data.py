"""Real files of labels, as they are."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from django.db.models import Count

from labeling.models import Annotation, Batch, Gold, Item, Membership, Project
from labeling.models import Membership as Member
from tests.intake.test_commands import command
from tests.worlds import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.realdata]


def project(slug: str, *fields: str) -> Project:
    made = Project.objects.create(
        slug=slug, name=slug, task_type="single_choice", question="Which?",
        payload_schema={"fields": [{"name": name, "kind": "text"} for name in fields]},
    )  # fmt: skip
    Member.objects.create(project=made, user=make_user(f"owner-{slug}"), role="owner")
    return made


def pairs(path: Path) -> Counter[tuple[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return Counter((row["item_id"], row["rater_id"]) for row in csv.DictReader(stream))


def test_medical_sentences_with_their_labels(real_data: Path) -> None:
    made = project("medical", "text", "term_1", "term_2")
    assert command("import_items", "medical", real_data / "medical_treat_items.jsonl")[0] == 0
    assert Item.objects.visible().filter(project=made).count() == 621
    item = Item.objects.get(project=made, external_id="820001")
    assert set(item.payload) == {"text", "term_1", "term_2"}
    assert item.metadata == {"seed_relation": "may treat"}
    status, says = command("import_labels", "medical", real_data / "medical_treat_labels.csv")
    assert status == 0, says
    batch = Batch.objects.get(project=made, parent=None)
    assert Annotation.objects.filter(assignment__batch__project=made).count() == 10_231
    cohorts = dict(
        Membership.objects.filter(project=made).exclude(imported_id="").values_list("cohort").annotate(Count("pk"))
    )
    assert cohorts == {"generalist": 286, "expert": 1}
    with (real_data / "medical_treat_labels.csv").open(encoding="utf-8") as stream:
        golds = {row["item_id"]: row["gold"] for row in csv.DictReader(stream) if row["gold"]}
    assert dict(Gold.objects.filter(item__project=made).values_list("item__external_id", "value")) == golds
    assert sorted(batch.guideline_version.labels.values_list("key", flat=True)) == ["does_not_treat", "treats"]


def test_hate_speech_with_foreign_cohort_names_and_no_texts(real_data: Path) -> None:
    made = project("brexit", "text")
    file = real_data / "hs_brexit.csv"
    status, says = command("import_labels", "brexit", file)
    assert status == 1
    assert "“target_group” (3,360 rows)" in says
    cohorts = {"cohorts": "target_group=target_user,control_group=generalist"}
    status, says = command("import_labels", "brexit", file, **cohorts)
    assert status == 1
    assert "6,720 of 6,720 rows have problems" in says
    assert "“train_1”: The project has no item of this id (6 rows)." in says
    assert command("import_labels", "brexit", file, create_items=True, **cohorts)[0] == 0
    rows = (
        Annotation.objects.filter(assignment__batch__project=made)
        .values_list("assignment__cohort")
        .annotate(Count("pk"))
    )
    assert dict(rows) == {"target_user": 3360, "generalist": 3360}
    assert Batch.objects.get(project=made).batch_items.count() == 1120


@pytest.mark.slow
def test_adult_content_with_its_repeats(real_data: Path) -> None:
    made = project("adult", "url")
    file = real_data / "adultcontent2.csv"
    status, says = command(
        "import_labels", "adult", file, cohorts="crowd=generalist", create_items=True, labels="G,P,R,X,B"
    )
    assert status == 0, says
    counts = pairs(file)
    expected = Counter(k for times in counts.values() for k in range(1, times + 1))
    batches = Batch.objects.filter(project=made).order_by("pk").annotate(labels=Count("assignments"))
    assert [batch.labels for batch in batches] == [expected[k] for k in sorted(expected)]
    assert [batch.kind for batch in batches] == ["import", *["retest"] * (len(expected) - 1)]
    assert sum(expected.values()) == 92_721
    assert Gold.objects.filter(item__project=made).count() == 333
    assert list(batches[0].guideline_version.labels.values_list("key", flat=True)) == ["G", "P", "R", "X", "B"]
