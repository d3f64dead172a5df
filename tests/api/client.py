"""A program with a token: what tests send and what must come back for it, checked against the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import jsonschema
from django.test import Client
from django.utils import timezone

from api.tokens import create_token, scopes_of
from api.views.rest.schema import document
from tests.worlds import World


def key_for(world: World, who: str, scopes: Iterable[str] | None = None) -> str:
    """The key of a new token; with every scope its member can give unless told otherwise."""
    seat = world.seat(who)
    wanted = scopes_of(seat.membership) if scopes is None else list(scopes)
    return create_token(by=seat, name=f"{who}'s", scopes=wanted, expires_at=None, at=timezone.now())[1]


def _closed(schema: Any) -> Any:
    """The schema with nullable as JSON Schema says it, and no field beyond those named."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _closed(part) for name, part in schema.items() if name not in ("nullable", "readOnly")}
    if made.get("properties") and "additionalProperties" not in made:
        made["additionalProperties"] = False
    if "$ref" in made:
        made["$ref"] = made["$ref"].replace("#/components/schemas/", "#/$defs/")
    if schema.get("nullable"):
        made = {"anyOf": [made, {"type": "null"}]}
    return made


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    found = []
    for path in document()["paths"]:
        pattern = "".join(
            "[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]+\})", path)
        )
        found.append((re.compile(f"{pattern}/?"), path))
    return found


@cache
def _definitions() -> dict[str, Any]:
    return {name: _closed(body) for name, body in document()["components"]["schemas"].items()}


@cache
def _validator(path: str, method: str, status: str) -> Any:
    content = document()["paths"][path][method]["responses"][status]["content"]
    schema = {**_closed(content["application/json"]["schema"]), "$defs": _definitions()}
    return jsonschema.Draft202012Validator(schema)


def documented_path(path: str) -> str:
    """The path of the document that an address belongs to."""
    return next(name for pattern, name in _paths() if pattern.fullmatch(path.partition("?")[0]))


def check_documented(method: str, path: str, response: Any) -> None:
    """Fail when the document does not know this answer, or says something else about its body."""
    operation = document()["paths"][documented_path(path)][method.lower()]
    answers = operation["responses"]
    status = str(response.status_code)
    assert status in answers, f"{method} {path}: {status} is not documented: {response.content[:300]!r}"
    content = answers[status].get("content")
    if content is None:
        assert response.content == b"", f"{method} {path}: {status} has a body that is not documented"
        return
    if "application/json" not in content:
        return
    assert response["Content-Type"] == "application/json"
    problem = next(_validator(documented_path(path), method.lower(), status).iter_errors(response.json()), None)
    if problem is not None:
        raise problem


class Program:
    """A client with a token. Every answer is checked against the document."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.client = Client(raise_request_exception=True)

    def send(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json", check: bool = True, **headers: str
    ) -> Any:  # fmt: skip
        address = path if path.startswith("/") else f"/api/v1/{path}"
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        response = self.client.generic(
            method, address, raw, content_type=kind, headers={"Authorization": f"Bearer {self.key}", **headers}
        )
        if check:
            check_documented(method, address, response)
        return response

    def get(self, path: str, **headers: str) -> Any:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.send("POST", path, {} if body is None else body, **more)

    def everything(self, path: str) -> list[dict[str, Any]]:
        """All rows of a list, page by page."""
        rows: list[dict[str, Any]] = []
        address: str | None = path if path.startswith("/") else f"/api/v1/{path}"
        while address:
            page = self.get(address)
            assert page.status_code == 200, page.content
            rows += page.json()["results"]
            address = page.json()["next"]
            if address:
                address = address.replace("http://testserver", "")
        return rows
