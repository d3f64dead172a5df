"""What a task type is: the form of a value, nothing about people, requests or statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

Measurement = Literal["nominal", "ordinal", "interval", "ratio", "set", "text", "region"]
Payload = Mapping[str, Any]
Settings = Mapping[str, Any]


class TaskType:
    """A task type. Subclasses live one per module of this package and are found by scanning it.

    `settings` in each method are those of the guideline version: {"labels": [keys in order], …}.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    measurement: ClassVar[Measurement]
    # Slug of the distance in consistency.statistics.distances; named here, computed there.
    distance: ClassVar[str]
    # Whether the task has labels with definitions and hotkeys.
    has_labels: ClassVar[bool] = True

    def check_payload(self, payload: Payload) -> None:
        """Raise ValidationError when the task cannot be put over this payload."""
        raise NotImplementedError

    def clean(self, data: Any, payload: Payload, settings: Settings) -> Any:
        """The canonical JSON value of a raw answer; raises ValidationError naming the value and what would be right."""
        raise NotImplementedError

    def normalise(self, value: Any, settings: Settings) -> Any:
        """The value as agreement compares it (spellings unified); the value itself unless the task has a normaliser."""
        return value

    def describe(self, value: Any, names: Mapping[str, str] | None = None) -> str:
        """The value in words; `names` maps label keys to their names."""
        raise NotImplementedError

    def samples(self) -> list[tuple[Any, Payload, Settings, Any]]:
        """(raw answer, payload, settings, canonical value) for the contract test."""
        raise NotImplementedError

    def bad_samples(self) -> list[tuple[Any, Payload, Settings]]:
        """Raw answers that `clean` must refuse."""
        raise NotImplementedError
