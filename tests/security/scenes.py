"""Scenes of the address table, one after the other in one world."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from tests.url_table import Row, url_of
from tests.worlds import World


@contextmanager
def scene(world: World, row: Row) -> Iterator[tuple[str, dict[str, Any]]]:
    """The row's address and data; what it set and what was done to it is undone, so the next finds the same world."""
    with transaction.atomic():
        yield url_of(row, world), row.data(world)
        transaction.set_rollback(True)
