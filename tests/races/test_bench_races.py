"""Several people at the bench, and raters beside them. Each guard has a control: switched off, the race shows it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.races, pytest.mark.timeout(600)]
Run = Callable[..., subprocess.CompletedProcess[str]]
ITEMS = 24

# IMMEDIATE transactions serialise SQLite's writers, so these controls can only fail on PostgreSQL.
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def story(run_program: Run, *arguments: str) -> dict[str, Any]:
    result = run_program("tests.races.benching", *arguments)
    assert result.returncode == 0, result.stderr[-3000:]
    report: dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
    return report


def test_several_smes_on_the_same_cases(run_program: Run) -> None:
    report = story(run_program, "two_rulers")
    assert report["errors"] == []
    assert (report["held_twice"], report["lost"]) == (0, 0)
    assert (report["ruled"], report["resolutions"], report["doubled"]) == (ITEMS, ITEMS, 0)
    assert report["ledger"] == []


@on_postgresql
def test_control_a_hold_without_compare_is_held_twice(run_program: Run, database_url: str) -> None:
    report = story(run_program, "two_rulers", "hold_without_compare")
    assert report["held_twice"] or report["lost"] or report["errors"], report


def test_a_rater_revises_while_an_sme_rules(run_program: Run) -> None:
    report = story(run_program, "revising")
    assert report["errors"] == []
    # Either the ruling came first and the revision was refused, or the other way round: never both.
    assert (report["over_unseen_answers"], report["both"], report["lost"]) == (0, 0, 0)
    assert report["settled"] == ITEMS
    assert report["ledger"] == []


def test_control_a_ruling_without_looking_again_is_over_unseen_answers(run_program: Run) -> None:
    report = story(run_program, "revising", "ruling_without_compare")
    assert report["over_unseen_answers"] > 0, report


def test_many_comparisons_at_once_write_one_result(run_program: Run) -> None:
    report = story(run_program, "settling")
    assert report["errors"] == []
    assert (report["cases"], report["resolved"], report["resolutions"]) == (ITEMS // 2, ITEMS // 2, ITEMS // 2)
    assert (report["doubled"], report["ledger"]) == (0, [])


@on_postgresql
def test_control_comparing_without_the_lock_collides(run_program: Run, database_url: str) -> None:
    report = story(run_program, "settling", "comparing_without_lock")
    assert report["errors"] or report["doubled"], report


def test_a_batch_closed_while_raters_hold_places(run_program: Run) -> None:
    report = story(run_program, "closing")
    assert report["errors"] == []
    assert report["missed"] == {}, "comparing again found what the close had left out"
    assert report["cases"] + report["resolved"] == report["answered"]
    assert (report["doubled"], report["ledger"]) == (0, [])
