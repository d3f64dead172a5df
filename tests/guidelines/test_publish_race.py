"""A label is being added while someone publishes: what is sealed is what was hashed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from labeling import guidelines, ledger
from labeling.guidelines import editing, publishing
from labeling.guidelines.fields import LabelFields
from labeling.models import GuidelineVersion
from labeling.refusals import Refusal
from tests.guidelines.test_editing import draft_in
from tests.guidelines.test_publishing import complete
from tests.worlds import World

pytestmark = pytest.mark.django_db(transaction=True)


def _unlocked(by: Any, version: GuidelineVersion) -> GuidelineVersion:
    return GuidelineVersion.objects.select_related("saved_by", "project", "parent").get(pk=version.pk)


def add_while_publishing(monkeypatch: pytest.MonkeyPatch, *, guarded: bool) -> tuple[GuidelineVersion, dict[str, Any]]:
    """One person has added a label and not committed yet when another publishes; what became of both."""
    world = World.build()
    draft = complete(world, draft_in(world))
    sam, olga = world.seat("sam"), world.seat("olga")
    added, published = threading.Event(), threading.Event()
    touch = editing._touch

    def slow_touch(*args: Any) -> None:
        if guarded:
            touch(*args)
        added.set()
        published.wait(timeout=1.5)

    monkeypatch.setattr(editing, "_touch", slow_touch)
    if not guarded:
        monkeypatch.setattr(editing, "lock_draft", _unlocked)
        monkeypatch.setattr(publishing, "lock_draft", _unlocked)
    outcomes: dict[str, Any] = {}

    def run(name: str, act: Callable[[], Any]) -> None:
        try:
            outcomes[name] = act()
        except Refusal as refusal:
            outcomes[name] = refusal.code
        finally:
            connection.close()

    def publish() -> Any:
        assert added.wait(timeout=10)
        version = guidelines.publish_version(by=olga, version=draft)
        published.set()
        return version

    fields = LabelFields(name="Pit", definition="A pit.")
    threads = [
        threading.Thread(target=run, args=("add", lambda: guidelines.add_label(by=sam, version=draft, fields=fields))),
        threading.Thread(target=run, args=("publish", publish)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return GuidelineVersion.objects.get(pk=draft.pk), outcomes


def test_the_publisher_waits_and_then_sees_the_new_label(monkeypatch: pytest.MonkeyPatch) -> None:
    version, outcomes = add_while_publishing(monkeypatch, guarded=True)
    assert outcomes["publish"] == "not_ready", "the new label has no example yet, and the publisher is told"
    assert (version.status, version.labels.count()) == ("draft", 3)
    assert list(ledger.check_guidelines()) == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one writer in at a time")
def test_without_the_lock_a_label_slips_into_what_was_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: nobody waits, and the sealed version holds a label its hash does not cover."""
    version, outcomes = add_while_publishing(monkeypatch, guarded=False)
    assert version.status == "published", outcomes
    assert version.labels.count() == 3
    assert [problem.check for problem in ledger.check_guidelines()] == ["guidelines"]
