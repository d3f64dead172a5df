"""Sitting at the desk in tests: a logged-in client that speaks the page's JSON."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client
from django.urls import reverse

from labeling.models import Batch
from tests.worlds import World


class Sitter:
    """A person at the desk of one batch."""

    def __init__(self, world: World, name: str, batch: Batch, *, csrf: bool = False) -> None:
        self.world, self.name, self.batch = world, name, batch
        self.client = Client(enforce_csrf_checks=csrf)
        self.client.force_login(world.people[name])

    def url(self, name: str = "") -> str:
        return reverse(f"labeling:desk{'_' + name if name else ''}", args=[self.batch.uuid])

    def page(self, **query: str) -> Any:
        return self.client.get(self.url(), query)

    def call(self, name: str, body: Any = None, **extra: Any) -> Any:
        raw = body if isinstance(body, bytes | str) else json.dumps(body or {})
        return self.client.post(self.url(name), raw, content_type="application/json", **extra)

    def claim(self) -> dict[str, Any]:
        reply = self.call("claim")
        assert reply.status_code == 200, reply.content
        return reply.json()

    def submit(self, place: dict[str, Any], value: Any = "defect", **more: Any) -> Any:
        return self.call(
            "submit",
            {
                "assignment": place["assignment"],
                "token": place["token"],
                "idempotency_key": "",
                "value": value,
                "second_value": None,
                "outcome": "labeled",
                "reason": "",
                "borderline": False,
                "comment": "",
                "seconds": 1.5,
                "shown_next": None,
                **more,
            },
        )
