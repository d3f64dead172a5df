"""Is this database one that a test runner made?"""

from __future__ import annotations

from typing import Any

from django.core import mail
from django.db.backends.base.creation import TEST_DATABASE_PREFIX


def is_test_database(settings: dict[str, Any]) -> bool:
    """Whether tests run, and the connection's database has the name they gave it (or PostgreSQL's prefix for theirs)."""
    named = settings["TEST"]["NAME"]
    made_by_tests = settings["NAME"] == named if named else str(settings["NAME"]).startswith(TEST_DATABASE_PREFIX)
    return made_by_tests and hasattr(mail, "outbox")  # the mark of `setup_test_environment`
