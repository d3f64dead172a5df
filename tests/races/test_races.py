"""Many people at once. Each guard has a negative control: switched off, the same race must show the failure."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.races, pytest.mark.timeout(600)]
Run = Callable[..., subprocess.CompletedProcess[str]]


def race(run_program: Run, **plan: Any) -> dict[str, Any]:
    result = run_program("tests.races.driver", json.dumps(plan))
    assert result.returncode == 0, result.stderr[-3000:]
    report: dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
    if report["broken"]:
        print(result.stderr[-3000:])
    return report


def test_sixteen_processes_sixty_items_overlap_three(run_program: Run) -> None:
    """Eight raters in two tabs each, skips, undos, lapsing leases, two processes killed: nothing is lost or doubled."""
    report = race(run_program, raters=8, tabs=2, items=60, kill=2)
    assert report["broken"] == []
    assert report["acknowledged"] == 60 * 3


# Controls must fail on the database where the race can happen: IMMEDIATE transactions serialise SQLite's writers.
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@on_postgresql
def test_control_a_claim_without_compare_is_seen(run_program: Run, database_url: str) -> None:
    assert race(run_program, sabotage="claim_without_compare", kill=0, items=30, finish_seconds=10)["broken"]


@on_postgresql
def test_control_tabs_without_lock_and_unique_double_an_item(run_program: Run, database_url: str) -> None:
    report = race(
        run_program, sabotage="no_member_lock_no_unique", kill=0, items=40, raters=3, tabs=5, finish_seconds=10
    )
    assert any("twice by one rater" in sentence for sentence in report["broken"]), report


@on_sqlite
def test_control_autocommit_and_no_unique_double_an_item(run_program: Run, database_url: str) -> None:
    report = race(run_program, sabotage="autocommit_no_unique", kill=0, items=40, raters=3, tabs=5, finish_seconds=10)
    assert any("twice by one rater" in sentence for sentence in report["broken"]), report


@on_postgresql
@pytest.mark.parametrize("inside", [False, True], ids=["after commit", "control: inside the transaction"])
def test_two_last_submitters_settle_the_item(run_program: Run, database_url: str, inside: bool) -> None:
    """Both submit the item's last two places and meet at a barrier before commit.

    Asked after commit, at least one of them sees the item settled. Asked inside the transaction, neither does.
    (On SQLite one writer at a time: the second submitter always sees the first.)
    """
    result = run_program("tests.races.settling", "inside" if inside else "after")
    assert result.returncode == 0, result.stderr[-3000:]
    settled = int(result.stdout.strip().splitlines()[-1])
    assert settled == 0 if inside else settled >= 1


@on_postgresql
@pytest.mark.parametrize("look", ["free", "waiting"], ids=["free places first", "control: the next place, free or not"])
def test_raters_do_not_wait_for_each_other_while_places_are_free(
    run_program: Run, database_url: str, look: str
) -> None:
    """A place that someone is claiming this moment is passed over; when it is the last one, it is waited for."""
    result = run_program("tests.races.waiting", look)
    assert result.returncode == 0, result.stderr[-3000:]
    report = json.loads(result.stdout.strip().splitlines()[-1])
    if look == "waiting":
        assert report["second"] == "waits"
        return
    assert report == {"second": [1], "third": "waits", "after": [0]}
