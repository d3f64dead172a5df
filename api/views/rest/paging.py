"""Lists by keyset: a page costs the same wherever it lies, and rows that come in meanwhile shift nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Q, QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from labeling.refusals import BadValue

LIMIT, MOST = 100, 500


class PageQuery(serializers.Serializer):
    """Parameters of every list."""

    limit = serializers.IntegerField(
        required=False, default=LIMIT, min_value=1, max_value=MOST, help_text=f"rows of a page, {MOST} at most"
    )
    after = serializers.CharField(
        required=False, max_length=400, help_text="where to go on: the cursor in the `next` of the page before"
    )


def cursor(values: Sequence[Any]) -> str:
    """An opaque text that names a row's place in the order."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _bad_cursor() -> BadValue:
    return BadValue("bad_cursor", "This cursor is not one of ours. Take it from the `next` of a page.", field="after")


def read_cursor(text: str, rows: QuerySet[Any], order: Sequence[str]) -> list[Any]:
    """The values in a cursor, each as its field holds them. Raises BadValue."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        values = json.loads(raw)
        if not isinstance(values, list) or len(values) != len(order):
            raise _bad_cursor()
        return [_value(rows, name.lstrip("-"), value) for name, value in zip(order, values, strict=True)]
    except (ValueError, TypeError, ValidationError, OverflowError, RecursionError):
        raise _bad_cursor() from None


def _value(rows: QuerySet[Any], name: str, value: Any) -> Any:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise _bad_cursor()
    try:
        field: Any = rows.model._meta.pk if name == "pk" else rows.model._meta.get_field(name)
    except FieldDoesNotExist:
        raise _bad_cursor() from None
    clean = field.to_python(value)
    if clean is None or (isinstance(clean, int) and not -(2**63) < clean < 2**63):
        raise _bad_cursor()
    if isinstance(clean, datetime) and clean.tzinfo is None:
        raise _bad_cursor()
    if isinstance(clean, float) and not abs(clean) < 1e300:
        raise _bad_cursor()
    return clean


def page_of(rows: QuerySet[Any], order: Sequence[str], after: str | None, limit: int) -> tuple[list[Any], str | None]:
    """At most `limit` rows behind the cursor, and the cursor to go on from; None when nothing follows."""
    if after:
        values = read_cursor(after, rows, order)
        behind = Q()
        for place, name in enumerate(order):
            same = {inner.lstrip("-"): values[at] for at, inner in enumerate(order[:place])}
            compare = "lt" if name.startswith("-") else "gt"
            behind |= Q(**same, **{f"{name.lstrip('-')}__{compare}": values[place]})
        rows = rows.filter(behind)
    found = list(rows.order_by(*order)[: limit + 1])
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], cursor([getattr(last, name.lstrip("-")) for name in order])


def next_url(request: Request, after: str | None) -> str | None:
    """The address of the page that follows."""
    return None if after is None else replace_query_param(request.build_absolute_uri(), "after", after)
