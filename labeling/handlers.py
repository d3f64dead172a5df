"""Importing this module registers every job handler and every sweep of the app."""

from . import claiming, dispatch, exclusions, relabeling  # noqa: F401
from .importing import clearing, items, labels  # noqa: F401
