"""Every call of the document, asked by schemathesis with an owner's token."""

from __future__ import annotations

from typing import Any

import pytest

from api.views.rest.schema import document
from tests.api.fuzzing import SECONDS, ask_everything, whole_document
from tests.worlds import World


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_an_owner_breaks_nothing_and_gets_only_what_is_documented(settings: Any) -> None:
    settings.API_RATE = 10**9
    run = ask_everything(World.build(), "olga", enough=whole_document(SECONDS))
    assert run.problems == {}
    operations = {f"{method.upper()} {path}" for path, methods in document()["paths"].items() for method in methods}
    assert operations - set(run.asked) == set()
    assert {200, 404, 422} <= set(run.statuses), run.statuses
    assert sum(times > 0 for times in run.succeeded.values()) > 20, run.succeeded
