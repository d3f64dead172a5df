"""Stories of the loop draw no item for audit: which ones is chance, and a story counts its items."""

from __future__ import annotations

from typing import Any

import pytest

from labeling import dispatch


@pytest.fixture(autouse=True)
def no_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(project: Any) -> float:
        return 0.0

    monkeypatch.setattr(dispatch, "audit_share", none)
