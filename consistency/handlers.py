"""Importing this module registers the app's job handlers, sweeps and receivers."""

from __future__ import annotations

from labeling.signals import item_settled

from . import gains, holding, input_reporting, ledger, measuring, voting  # noqa: F401
from .comparing import on_item_settled

item_settled.connect(on_item_settled, dispatch_uid="compare_settled_item")
ledger.register()
