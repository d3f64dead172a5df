"""One label out of those the definition names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from .base import Payload, Settings, TaskType


class SingleChoice(TaskType):
    slug = "single_choice"
    title = "Single choice"
    description = "Raters pick one label for each item."
    measurement = "nominal"
    distance = "nominal"

    def check_payload(self, payload: Payload) -> None:
        if not payload:
            raise ValidationError("The payload is empty: map at least one column to what raters see.", code="empty")

    def clean(self, data: Any, payload: Payload, settings: Settings) -> str:
        labels = list(settings.get("labels", ()))
        if not isinstance(data, str) or data not in labels:
            raise ValidationError(
                f"{data!r} is not a label of this definition. Choose one of: {', '.join(labels)}.", code="unknown_label"
            )
        return data

    def describe(self, value: Any, names: Mapping[str, str] | None = None) -> str:
        return (names or {}).get(value, str(value))

    def samples(self) -> list[tuple[Any, Payload, Settings, Any]]:
        settings = {"labels": ["defect", "no_defect"]}
        return [("defect", {"text": "a"}, settings, "defect"), ("no_defect", {"text": "b"}, settings, "no_defect")]

    def bad_samples(self) -> list[tuple[Any, Payload, Settings]]:
        settings = {"labels": ["defect", "no_defect"]}
        return [(bad, {"text": "a"}, settings) for bad in ("Defect", "", None, 1, ["defect"], {"value": "defect"})]
