"""`flush` empties a test's database and no other: ledgers are not emptied."""

from __future__ import annotations

import pytest
from django.core import mail
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from labeling.claiming import claim_next
from labeling.db import seals
from labeling.db.testing import is_test_database
from labeling.models import Annotation
from labeling.submission import Answer, submit_annotation
from tests.worlds import World


@pytest.mark.django_db(transaction=True)
def test_flush_lifts_the_seals_for_a_moment(transactional_db: None) -> None:
    world = World.build()
    batch = world.open_batch()
    place = claim_next(by=world.people["gene"], batch=batch).places[0]
    submit_annotation(
        by=world.people["gene"], batch=batch, assignment=place.uuid, token=place.claim_token, answer=Answer(value="defect")
    )  # fmt: skip
    call_command("flush", interactive=False, verbosity=0)
    assert not Annotation.objects.exists()
    assert seals.missing() == []


@pytest.mark.django_db
def test_flush_refuses_a_database_that_tests_did_not_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "NAME", "concord")
    with pytest.raises(CommandError, match="refused outside tests"):
        call_command("flush", interactive=False, verbosity=0)


def test_a_tests_name_is_not_enough_outside_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {"NAME": "test_concord", "TEST": {"NAME": None}}
    assert is_test_database(theirs)
    assert not is_test_database({**theirs, "NAME": "concord"})
    assert not is_test_database({"NAME": "/data/concord.sqlite3", "TEST": {"NAME": "/data/test.sqlite3"}})
    monkeypatch.delattr(mail, "outbox")
    assert not is_test_database(theirs)
