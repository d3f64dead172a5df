"""kill -9 of web processes before, inside and behind a rater's requests: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.races, pytest.mark.slow, pytest.mark.timeout(600)]
Run = Callable[..., subprocess.CompletedProcess[str]]
ITEMS = 16


def tell(run_program: Run, **plan: Any) -> dict[str, Any]:
    done = run_program("tests.faults.killed_web", json.dumps(plan), timeout=540)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def test_killed_between_claim_and_submit_and_between_commit_and_reply(run_program: Run) -> None:
    told = tell(run_program, items=ITEMS)
    assert told["problems"] == []
    skipped = told["endings"].get("skip 200", 0)
    assert told["acknowledged"] == ITEMS - skipped
    for point in ("before", "inside", "after"):
        assert told["endings"][f"submit died {point}"] >= 2, told
    assert told["endings"]["claim died after"] >= 1
    assert told["endings"]["claim died inside"] == 1
    assert told["endings"]["submit 200"] == told["endings"]["submit died after"], "each replay brought the one answer"


@pytest.mark.parametrize(
    ("sabotage", "seen"),
    [("no_transaction", "ledger: "), ("no_replay", "was answered 409")],
)
def test_control_without_transaction_or_replay_the_same_story_breaks(
    run_program: Run, sabotage: str, seen: str
) -> None:
    told = tell(run_program, items=6, sabotage=sabotage)
    assert any(seen in problem for problem in told["problems"]), told
