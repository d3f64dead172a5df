"""The README's examples for programs, run as they are printed: curl in a shell, pandas in Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labeling.claiming import acknowledge_version
from labeling.models import Batch, BatchItem, Item
from tests.api.client import key_for
from tests.worlds import World

README = Path(__file__).resolve().parents[2] / "README.md"
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def example(language: str) -> str:
    """The one block in this language under the heading for programs."""
    section = README.read_text().split("\n## For programs\n")[1].split("\n## ")[0]
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE)
    return str(block)


@pytest.fixture
def olgas(live_server: Any) -> World:
    """A project without items; the environment of a program that holds olga's token."""
    missing = [program for program in ("bash", "curl", "jq") if shutil.which(program) is None]
    assert not missing, f"the examples need {missing}"
    return World.build(items=0)


def shell(script: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_examples_run_as_printed(
    olgas: World, live_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = example("sh")
    assert printed.startswith("export SERVER=http://127.0.0.1:8000 TOKEN=concord_…\n")
    here = f"export SERVER={live_server.url} TOKEN={key_for(olgas, 'olga')}\n"
    functions, labeled = printed.split("# Agreement with its intervals", 1)
    functions = here + functions.split("\n", 1)[1]
    (tmp_path / "items.csv").write_text("id,text\na-1,A crack.\na-2,A mark.\na-3,Nothing.\n")

    shell(functions + "\nprintf %s $BATCH > batch", tmp_path)
    batch = Batch.objects.select_related("project", "guideline_version").get(uuid=(tmp_path / "batch").read_text())
    assert (batch.status, BatchItem.objects.filter(batch=batch).count()) == ("open", 3)
    answers = {"a-1": "defect", "a-2": "defect", "a-3": "no_defect"}
    for who in ("gene", "gina"):
        acknowledge_version(by=olgas.people[who], batch=batch)
        assert olgas.say(batch, who, answers) == 3

    # The same functions for the second half, which knows the batch by its variable.
    api = next(line for line in printed.splitlines() if line.startswith("api() "))
    told = shell(f"{here}export BATCH={batch.uuid}\n{api}\n# {labeled}", tmp_path)
    assert '"run"' in told
    rows = pd.read_parquet(tmp_path / "clean.parquet").set_index("item")
    assert rows["value"].to_dict() == answers

    monkeypatch.setenv("SERVER", live_server.url)
    monkeypatch.setenv("TOKEN", key_for(olgas, "olga"))
    monkeypatch.setenv("BATCH", str(batch.uuid))
    found: dict[str, Any] = {}
    exec(compile(example("python"), str(README), "exec"), found)
    assert len(found["labels"]) == 3
    assert set(found["labels"]["value"]) == {"defect", "no_defect"}
    assert {"value", "low", "high", "items"} <= set(found["figures"].columns)
    assert len(found["figures"]) > 0
    assert Item.objects.filter(project=olgas.project).count() == 3, "a-1 was there, with the same text"


def test_a_refused_request_ends_the_example(olgas: World, live_server: Any, tmp_path: Path) -> None:
    """The control: curl without --fail-with-body would go on, and the test above could not fail."""
    printed = example("sh")
    api = next(line for line in printed.splitlines() if line.startswith("api() "))
    first = f'export SERVER={live_server.url} TOKEN=concord_wrong\n{api}\napi "$SERVER/api/v1/items"'
    with pytest.raises(AssertionError, match="unknown_token|not_authenticated|401"):
        shell(first, tmp_path)
