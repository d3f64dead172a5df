"""The import rules hold, and the test that says so can fail."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture import APPS, MAY_IMPORT, imports_of, layer_of, violations

ROOT = Path(__file__).resolve().parent.parent


def test_nobody_imports_what_they_may_not() -> None:
    assert violations(ROOT) == []


def test_every_module_is_looked_at() -> None:
    seen = {app: sum(1 for _ in (ROOT / app).rglob("*.py")) for app in APPS}
    assert all(seen.values()), seen
    assert seen["labeling"] > 50
    targets = {found.target for found in imports_of(ROOT / "labeling/claiming.py", ROOT)}
    assert {"labeling.models.Batch", "labeling.db.retry.retry_deadlocks", "django.utils.timezone"} <= targets


def test_no_app_names_the_jobs_of_one_it_does_not_know() -> None:
    """A job's kind is a string, so no import betrays who queues it."""
    from labeling import jobs

    owners = {kind: handler.__module__.split(".")[0] for kind, handler in jobs.HANDLERS.items()}
    assert {"labeling", "consistency", "api"} <= set(owners.values())
    named = []
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                kind = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
                if kind in owners and owners[kind] not in MAY_IMPORT[app]:
                    named.append(f"{path.relative_to(ROOT)}:{node.lineno} names {kind}")
    assert named == []


PLANTED = [
    ("labeling/people.py", "from consistency import hlp", "labeling may not import consistency"),
    ("labeling/people.py", "import config.settings", "labeling may not import config"),
    ("labeling/views/desk.py", "def f():\n    from api import datasets", "labeling may not import api"),
    ("consistency/comparing.py", "from api.datasets import x", "consistency may not import api"),
    ("api/views.py", "from tests.worlds import World", "api may not import tests"),
    ("consistency/statistics/kappa.py", "from django.db import models", "must be usable alone"),
    ("consistency/statistics/kappa.py", "from labeling.hashing import sha256_json", "must be usable alone"),
    ("consistency/statistics/kappa.py", "from ..measuring import x", "must be usable alone"),
    ("labeling/task_types/span.py", "from django.http import HttpRequest", "must be usable alone"),
    ("labeling/task_types/span.py", "from ..models import Item", "must be usable alone"),
    ("labeling/queries/home.py", "from ..people import invite_member", "reads may not import acts"),
    ("labeling/queries/home.py", "from .. import people", "reads may not import acts"),
    ("labeling/models/item.py", "from ..queries.home import seats_of", "models may not import reads"),
    ("labeling/models/__init__.py", "from ..queries.home import seats_of", "models may not import reads"),
    ("labeling/vocabulary.py", "from .models import Item", "words may not import models"),
    ("labeling/people.py", "from .views.home import greeting", "acts may not import pages"),
    ("labeling/people.py", "from labeling import urls_people", "acts may not import pages"),
    ("consistency/queries.py", "from .adjudication import rule", "reads may not import acts"),
    ("labeling/people.py", "from django.db import connection\nconnection.vendor", "belongs to labeling/db"),
    ("labeling/people.py", "from psycopg import sql", "belongs to labeling/db"),
]


@pytest.mark.parametrize(("path", "source", "why"), PLANTED)
def test_a_planted_bad_import_is_found(tmp_path: Path, path: str, source: str, why: str) -> None:
    """Negative control: each rule reports the import that breaks it, and nothing else of the file."""
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(f"import json\nfrom dataclasses import dataclass\n{source}\n")
    found = violations(tmp_path)
    assert len(found) == 1
    assert why in found[0]
    assert found[0].startswith(f"{path}:")


GOOD = [
    ("labeling/views/desk.py", "from .. import people\nfrom ..queries.home import x\nfrom ..models import Item"),
    ("labeling/people.py", "from .queries.people import x\nfrom . import claiming\nfrom .vocabulary import Role"),
    ("consistency/statistics/kappa.py", "import numpy as np\nfrom scipy import stats\nfrom .estimate import Estimate"),
    ("labeling/task_types/span.py", "from django.core.exceptions import ValidationError\nfrom .base import TaskType"),
    ("consistency/comparing.py", "from labeling.models import Item\nfrom .statistics.kappa import x"),
    ("config/urls.py", "import labeling.urls\nimport api.urls"),
    ("labeling/db/bulk.py", "from django.db import connection\nconnection.vendor"),
]


@pytest.mark.parametrize(("path", "source"), GOOD)
def test_what_is_allowed_is_not_reported(tmp_path: Path, path: str, source: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(source)
    assert violations(tmp_path) == []


def test_layers() -> None:
    names = [
        "labeling.vocabulary",
        "labeling.models.item",
        "labeling.queries.home",
        "labeling.people",
        "labeling.urls_people",
    ]
    assert [layer_of(name) for name in names] == [0, 1, 2, 3, 4]
