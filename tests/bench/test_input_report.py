"""Improve the input: camera 3 of line 17 is found, chance is not, raters are not named; and the ledger's checks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from consistency import input_reporting
from consistency.input_reporting import report_now
from consistency.models import Slice
from consistency.queries.input_report import InputReport, input_report
from consistency.views.input_report import sentence
from labeling import ledger
from labeling.db import seals
from labeling.models import Batch, ImportRun, Item
from labeling.withdrawing import withdraw_item
from tests.bench.helpers import A, B, disputed, no_audit, rule
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


def factory(world: World, *, dark: bool) -> Batch:
    """60 items from 3 lines with 2 cameras each; with `dark`, camera 3 of line 17 shows too little."""
    no_audit(world)
    world.add_items(55)
    for number, item in enumerate(Item.objects.filter(project=world.project).order_by("pk")):
        line, camera = ("16", "17", "18")[number % 3], ("3", "4")[number // 3 % 2]
        Item.objects.filter(pk=item.pk).update(metadata={"line": line, "camera": camera, "serial": f"s{number}"})
    batch = world.open_batch(quotas={"generalist": 2})
    answers: dict[str, Any] = {}
    for item in Item.objects.filter(project=world.project):
        blind = dark and item.metadata["line"] == "17" and item.metadata["camera"] == "3"
        answers[item.external_id] = None if blind else A
    world.say(batch, "gene", answers)
    world.say(batch, "gina", dict.fromkeys(answers, A))
    return batch


def test_camera_3_of_line_17(world: World) -> None:
    batch = factory(world, dark=True)
    Slice.objects.create(
        project=world.project, key="line-17", name="Line 17", filter={"metadata": {"line": "17"}}
    )  # fmt: skip
    report = input_report(batch)
    assert (report.items, report.affected, report.answers, report.cannot) == (60, 10, 120, 10)
    worst = report.headline
    assert worst is not None
    assert worst.words == "line 17 of camera 3"
    assert (worst.items, worst.affected, worst.share, worst.elsewhere) == (10, 10, 1.0, 0.0)
    assert worst.low == pytest.approx(0.7225, abs=1e-4)  # Wilson at 10 of 10
    assert worst.high == pytest.approx(1.0)
    halves = {group.words: (group.affected, group.items) for group in report.groups}
    assert halves == {"line 17": (10, 20), "camera 3": (10, 30), "slice Line 17": (10, 20)}
    assert report.reasons == [("Too dark.", 10)]
    assert report.unread == ["serial has more than 30 values"]
    assert "Most stand under line 17 of camera 3: 10 of 10 items (100 %); elsewhere 0 of 50." in sentence(
        report
    ).replace("\u00a0", " ")
    client = Client()
    client.force_login(world.people["mel"])
    assert "Measuring for the first time" in client.get("/projects/phones/input/").content.decode()
    assert client.get("/projects/phones/input/csv/").status_code == 409
    run_jobs()
    text = client.get("/projects/phones/input/").content.decode()
    assert re.search(r"figures \d+ s old", text)
    assert "line 17 of camera 3" in text
    assert "[72.2, 100.0]" in text
    assert "Ralston" not in text
    table = client.get("/projects/phones/input/csv/").content.decode().splitlines()
    assert table[0] == "kind,where,items,affected,share,low,high,elsewhere"
    assert table[1].startswith("all,,60,10,0.1667")
    assert "two,camera=3; line=17,10,10,1.0000,0.7225,1.0000,0.0000" in table


def test_it_is_counted_again_only_where_something_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page reads what is stored; the background worker counts, and a corrected camera is a change too."""
    batch = factory(world, dark=True)
    first = report_now(batch)
    assert InputReport.of_json(first.findings) == input_report(batch)
    counted = []
    monkeypatch.setattr(input_reporting, "input_report", lambda batch: counted.append(batch) or input_report(batch))
    assert report_now(batch).pk == first.pk
    ImportRun.objects.create(project=world.project, kind="items", source="corrected.csv", status="done")
    Item.objects.filter(project=world.project, metadata__line="17").update(metadata={"line": "18", "camera": "3"})
    again = report_now(batch)
    assert again.pk != first.pk
    assert "line 17" not in {group["where"][0][1] for group in again.findings["groups"]}
    withdraw_item(by=world.seat("olga"), item=world.items[1], reason="Blurred.")
    assert report_now(batch).findings["items"] == 59
    assert len(counted) == 2


def test_nothing_is_made_up(world: World) -> None:
    client = Client()
    client.force_login(world.people["mel"])
    assert "No answers yet" in client.get("/projects/phones/input/").content.decode()
    assert client.get("/projects/phones/input/csv/").status_code == 404
    batch = factory(world, dark=False)
    report = input_report(batch)
    assert (report.affected, report.headline, report.groups, report.pairs) == (0, None, [], [])
    assert sentence(report) == "Everyone found enough to decide in each of the 60 items answered."


def test_one_dark_item_does_not_stand_out(world: World) -> None:
    no_audit(world)
    batch = world.open_batch(quotas={"generalist": 2})
    world.say(batch, "gene", {"n1": None, "n2": A, "n3": A, "n4": A, "n5": B})
    report = input_report(batch)
    assert (report.affected, report.headline) == (1, None)
    assert "No part of them stands out" in sentence(report)


def test_an_empty_batch_and_overall_interval(world: World) -> None:
    no_audit(world)
    report = input_report(world.open_batch())
    assert (report.items, report.overall) == (0, None)
    assert sentence(report) == "Nobody has answered an item of this batch yet."


def problems() -> list[str]:
    return sorted({f"{found.check}: {found.what}" for found in ledger.verify() if found.check in CHECKED})


CHECKED = ("statuses", "resolutions", "rulings")


def test_the_ledger_of_the_bench_verifies(world: World) -> None:
    batch = disputed(world)
    rule(world, batch, "n1")
    rule(world, batch, "n2", None, outcome="improve_input", cause="insufficient_input")
    assert problems() == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE consistency_disagreement SET status='open' WHERE status='ruled'", "statuses: open, and"),
        ("UPDATE consistency_disagreement SET status='ruled' WHERE status='open'", "rulings: ruled, and its ruling"),
        ("UPDATE consistency_resolution SET revision=2", "resolutions: 1 resolutions numbered 2 to 2"),
        ("UPDATE consistency_resolution SET value='\"no_defect\"'", "resolutions: is not what its ruling says"),
        ("UPDATE consistency_adjudication SET revision=3", "rulings: 1 rulings numbered 3 to 3"),
        ("DELETE FROM consistency_resolution", "rulings: no resolution came of it"),
        ("DELETE FROM labeling_gold", "rulings: its gold is missing"),
    ],
)
def test_what_was_changed_behind_the_seals_is_found(world: World, statement: str, found: str) -> None:
    batch = disputed(world)
    rule(world, batch, "n1")
    seals.lift("default")
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        seals.install("default")
    assert any(line.startswith(found) for line in problems()), problems()
