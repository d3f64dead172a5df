"""What is looked after once a minute, whoever does the background work: lapsed claims, lost signals, what may be removed.

A sweep repeats safely and is quick when there is nothing to do. Several workers may sweep at the same time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

logger = logging.getLogger("concord.sweeps")

EVERY_SECONDS = 60.0
SWEEPS: dict[str, Callable[[], Any]] = {}
S = TypeVar("S", bound=Callable[..., Any])


def each_minute(name: str) -> Callable[[S], S]:
    """Register an act, callable without arguments, to be done about once a minute. Its module must be imported when
    the app loads (`handlers.py`)."""

    def register(act: S) -> S:
        SWEEPS[name] = act
        return act

    return register


def sweep() -> dict[str, Any]:
    """Do all of them; returns what each said. One that fails is logged and does not keep the others from their turn."""
    said: dict[str, Any] = {}
    for name, act in SWEEPS.items():
        try:
            said[name] = act()
        except Exception:
            logger.exception("sweep failed: %s", name)
    return said
