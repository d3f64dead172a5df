"""The OpenAPI document: complete, valid, served; its page; the one error form."""

from __future__ import annotations

import io
import json
import uuid

import pytest
from django.core.management import call_command
from django.test import Client

from api.views.rest import work
from api.views.rest.schema import document
from tests.api.client import Program, key_for
from tests.worlds import World


def test_the_document_is_valid_and_without_a_warning() -> None:
    out = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    assert "openapi: 3.0" in out.getvalue()


@pytest.mark.django_db
def test_the_document_is_served_to_everyone_and_cached() -> None:
    client = Client()
    served = client.get("/api/v1/schema/")
    assert served["Content-Type"] == "application/json"
    assert served.json() == json.loads(json.dumps(document()))
    assert client.get("/api/v1/schema/", headers={"If-None-Match": served["ETag"]}).status_code == 304


def test_the_contract_s_paths_are_there() -> None:
    wanted = [
        "projects", "items", "guidelines", "batches", "annotations", "predictions", "agreement", "hlp", "disagreements",
        "resolutions", "datasets", "jobs", "batches/{uuid}/claim", "assignments/{uuid}/submit", "assignments/{uuid}/skip",
        "assignments/{uuid}/release", "assignments/{uuid}/heartbeat", "guidelines/{uuid}/acknowledge",
        "datasets/{uuid}/content",
    ]  # fmt: skip
    assert [path for path in wanted if f"/api/v1/{path}" not in document()["paths"]] == []


def test_every_operation_says_what_it_does_and_has_an_error_form() -> None:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            assert operation["security"] == [{"token": []}, {"session": []}], path
            for status, answer in operation["responses"].items():
                if status.startswith("4") and status != "416":
                    ref = answer["content"]["application/json"]["schema"]["$ref"]
                    assert ref == "#/components/schemas/Error", (path, method, status)


@pytest.mark.django_db
def test_the_page_shows_every_call(world: World) -> None:
    page = Client().get("/api/v1/docs/").content.decode()
    for path, methods in document()["paths"].items():
        assert f"<code>{path}</code>" in page
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page
    assert "://" not in page.replace("http://www.w3.org", "").split("<main")[0], "nothing is fetched from elsewhere"


@pytest.mark.django_db
def test_one_error_form_for_everything(world: World) -> None:
    olga = Program(key_for(world, "olga"))
    seen = [
        (olga.send("GET", "nowhere", check=False), 404, "not_found"),
        (olga.send("GET", "items/not-a-uuid", check=False), 404, "not_found"),
        (olga.send("GET", f"items/{uuid.uuid4()}"), 404, "not_found"),
        (olga.send("DELETE", "items", check=False), 405, "method"),
        (olga.send("OPTIONS", "items", check=False), 405, "method"),
        (olga.send("GET", "items", Accept="text/html"), 406, "not_acceptable"),
        (olga.send("POST", "batches", b"a=b", kind="text/plain"), 415, "not_json"),
        (olga.send("POST", "batches", b"{"), 400, "bad_json"),
        (
            olga.send("POST", "batches", {"name": "x", "quotas": [{"cohort": "generalist", "raters": 1, "most": 2}]}),
            422,
            "bad_value",
        ),
        (olga.send("GET", "items?a=b"), 422, "unknown_parameter"),
        (Client().get("/api/v1/items"), 401, "log_in"),
    ]
    for reply, status, code in seen:
        body = reply.json()
        assert (reply.status_code, body["code"]) == (status, code), body
        assert set(body) == {"code", "message", "data"}
    assert seen[3][0]["Allow"] == "GET, POST, HEAD" or "GET" in seen[3][0]["Allow"]
    assert "Unknown field 'most'" in str(seen[8][0].json()["data"])


@pytest.mark.django_db
def test_addresses_are_found_with_a_slash_too_and_answers_are_cached_by_tag(world: World) -> None:
    olga = Program(key_for(world, "olga"))
    first = olga.get("items")
    assert olga.get("items/").json() == first.json()
    assert first["Cache-Control"] == "private, no-cache"
    same = olga.get("items", **{"If-None-Match": first["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    world.add_items(1)
    assert olga.get("items", **{"If-None-Match": first["ETag"]}).status_code == 200
    head = olga.send("HEAD", "items", check=False)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.django_db
def test_an_answer_that_is_not_documented_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of what every test's program checks."""
    row = work.item_row
    monkeypatch.setattr(work, "item_row", lambda call, found: {**row(call, found), "payload": None})
    with pytest.raises(Exception, match="None is not"):
        Program(key_for(world, "olga")).get("items")
