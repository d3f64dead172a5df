"""Importing this module registers every job handler and sweep of the app."""

from . import feed, idempotency  # noqa: F401
from .datasets import building, clearing, comparing, withdrawing  # noqa: F401
