"""Every call of the document, asked by schemathesis with a rater's token."""

from __future__ import annotations

from typing import Any

import pytest

from api.views.rest.schema import document
from tests.api.fuzzing import SECONDS, ask_everything, whole_document
from tests.worlds import World


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_a_rater_breaks_nothing_and_gets_only_what_is_documented(settings: Any) -> None:
    settings.API_RATE = 10**9
    run = ask_everything(World.build(), "gene", enough=whole_document(SECONDS))
    assert run.problems == {}
    operations = {f"{method.upper()} {path}" for path, methods in document()["paths"].items() for method in methods}
    assert operations - set(run.asked) == set()
    assert {200, 403, 404, 422} <= set(run.statuses), run.statuses
    assert sum(times > 0 for times in run.succeeded.values()) > 8, run.succeeded
