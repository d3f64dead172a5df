"""Try a transaction again when the database ended it to break a deadlock."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection

P = ParamSpec("P")
T = TypeVar("T")
ATTEMPTS = 5
DEADLOCK, SERIALIZATION = "40P01", "40001"


def _was_deadlock(error: OperationalError) -> bool:
    return getattr(error.__cause__, "sqlstate", None) in (DEADLOCK, SERIALIZATION)


def retry_deadlocks(act: Callable[P, T]) -> Callable[P, T]:
    """Run the act again, a few times, after a deadlock. Two raters' hands may take the same places in another order.

    Inside a caller's transaction nothing can be tried again: the error goes up.
    """

    @functools.wraps(act)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempt in range(ATTEMPTS):
            nested = connection.in_atomic_block
            try:
                return act(*args, **kwargs)
            except OperationalError as error:
                if nested or not _was_deadlock(error) or attempt == ATTEMPTS - 1:
                    raise
                time.sleep(random.uniform(0.005, 0.05) * (attempt + 1))
        raise AssertionError("unreachable")

    return wrapped
