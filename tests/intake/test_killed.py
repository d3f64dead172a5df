"""Killed with -9 at any point and run again, or run by two at the same moment, an import has happened once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.races, pytest.mark.slow, pytest.mark.timeout(420)]


def test_killed_anywhere_and_run_again_it_has_happened_once(
    run_program: Callable[..., subprocess.CompletedProcess[str]],
    database_url: str,
) -> None:
    result = run_program("tests.intake.killing", timeout=400)
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout.strip().splitlines()[-1])
    assert len(found) == 20
    unlocked = found.pop("control: two at once without the lock")
    # SQLite has one writer at a time, so there the two cannot look past each other.
    assert bool(unlocked) == database_url.startswith("postgres"), unlocked
    control = found.pop("items control, unfinished rows are shown")
    assert control.startswith("visible before the run was done"), control
    assert {name: wrong for name, wrong in found.items() if wrong} == {}, result.stderr[-3000:]
