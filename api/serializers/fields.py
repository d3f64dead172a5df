"""Fields that take what they are said to take: no text for a number, no 1 for true."""

from __future__ import annotations

import math
from typing import Any

from rest_framework import serializers


class Text(serializers.CharField):
    """A JSON string."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Use text.")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    """true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("Use true or false.")
        return data


class Whole(serializers.IntegerField):
    """A whole JSON number."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | float) or data != math.floor(data):
            raise serializers.ValidationError("Use a whole number.")
        return int(data)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, float) and not math.isfinite(data):
            raise serializers.ValidationError("Use a whole number.")
        return super().run_validation(data)


class Number(serializers.FloatField):
    """A JSON number."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            raise serializers.ValidationError("Use a number.")
        try:
            value = float(data)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise serializers.ValidationError("Use a number that is not so large.")
        return value


class Id(serializers.UUIDField):
    """The uuid of a row."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            raise serializers.ValidationError("Use an id.")
        return super().to_internal_value(data)


class Anything(serializers.JSONField):
    """Any JSON value; what it must be is the task type's to say."""


class Object(serializers.DictField):
    """A JSON object whose fields are not laid down."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Use an object.")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class Output(serializers.Serializer):
    """An answer's body: read only."""


class Input(serializers.Serializer):
    """A request's body, or an object within it. A field that is not known is refused: misspelt, it would say nothing."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := [name for name in data if name not in self.fields]):
            words = f"Unknown field {str(unknown[0])[:80]!r}. Known are: {', '.join(self.fields)}."
            raise serializers.ValidationError({"non_field_errors": [words]}, code="unknown_field")
        return super().to_internal_value(data)
