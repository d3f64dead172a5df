"""Negative controls of the runs with schemathesis: bugs planted where only a fitting request reaches them are found."""

from __future__ import annotations

from typing import Any

import pytest

from api.queries import work as reads
from api.serializers.work import ItemOut
from api.views.rest import shown, work
from api.views.rest.endpoint import Reply, op
from api.views.rest.paging import MOST
from api.vocabulary import Scope
from labeling import dispatch
from tests.api.fuzzing import ask_everything
from tests.worlds import World

BATCHES, ITEMS, ITEM, PROJECT = (f"/api/v1/{path}" for path in ("batches", "items", "items/{uuid}", "projects/{slug}"))
WANTED = {
    (f"POST {BATCHES}", "not_a_server_error"),
    (f"POST {BATCHES}", "status_code_conformance"),
    (f"GET {ITEMS}", "not_a_server_error"),
    (f"GET {ITEMS}", "status_code_conformance"),
    (f"GET {ITEM}", "status_code_conformance"),
    (f"GET {PROJECT}", "response_schema_conformance"),
}


@pytest.mark.django_db(transaction=True)
def test_planted_bugs_are_found(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.API_RATE = 10**9
    create, seat_row, page = dispatch.create_batch, shown.seat_row, work.Items.page

    def breaks_with_a_lease(**given: Any) -> Any:
        """Only a body that fits in every field comes so far."""
        return create(**given) if "lease_minutes" not in given else 1 / 0

    def breaks_on_the_longest_page(self: Any, call: Any, *args: Any) -> Any:
        return page(self, call, *args) if call.query["limit"] < MOST else 1 / 0

    @op(Scope.READ, "An item", right="see_items", reply=ItemOut)
    def teapot(self: Any, call: Any) -> Any:
        """Only the address of an item that is there comes so far."""
        return Reply(work.item_row(call, reads.with_tags([call.row])[0]), status=299)

    monkeypatch.setattr(dispatch, "create_batch", breaks_with_a_lease)
    monkeypatch.setattr(work.Items, "page", breaks_on_the_longest_page)
    monkeypatch.setattr(work.ItemOne, "get", teapot)
    monkeypatch.setattr(shown, "seat_row", lambda seat: {**seat_row(seat), "phase": 7})
    paths = (BATCHES, ITEMS, ITEM, PROJECT)
    run = ask_everything(World.build(), "olga", most=400, only=paths, enough=lambda run: set(run.problems) >= WANTED)
    assert set(run.problems) == WANTED, run.problems
