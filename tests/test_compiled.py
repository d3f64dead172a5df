"""Compiled queries answer as the ORM does, with constants in the SQL and parameters beside it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Value
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.db.compiled import Change, Rows, Values, insert, moment, text, uuid, whole
from labeling.events import event
from labeling.models import Assignment, BatchItem, Event, Item
from tests.worlds import World

pytestmark = pytest.mark.django_db


def test_rows_are_whole_instances_with_what_is_selected_beside_them(world: World) -> None:
    batch = world.open_batch()
    query = Rows(
        lambda: (
            BatchItem.objects.select_related("item__project", "item__import_run")
            .filter(batch=whole("batch"), rank__lt=3)
            .order_by("rank")
        )
    )
    found = query.run(batch=batch.pk)
    expected = list(BatchItem.objects.filter(batch=batch, rank__lt=3).order_by("rank"))
    assert found == expected
    with CaptureQueriesContext(connection) as queries:
        for one, other in zip(found, world.items, strict=False):
            assert (one.item, one.item.uuid, one.item.payload) == (other, other.uuid, other.payload)
            assert one.item.project.payload_schema == world.project.payload_schema
            assert one.item.import_run is None
            assert not one._state.adding
    assert len(queries) == 0
    assert query.run(batch=-1) == []
    assert query.first(batch=-1) is None


def test_deferred_columns_come_when_asked_for(world: World) -> None:
    item = Rows(lambda: Item.objects.defer("payload").filter(uuid=uuid("id"))).first(id=world.items[0].uuid)
    assert item is not None
    assert item.get_deferred_fields() == {"payload"}
    assert item.payload == world.items[0].payload


def test_values_of_every_kind_of_parameter(world: World) -> None:
    world.open_batch()
    now = timezone.now()
    query = Values(
        lambda: (
            Event.objects.filter(verb=text("verb"), at__lte=moment("at"), subject_id=whole("subject"))
            .values_list("verb", "at", "data", "implicit")
            .order_by("pk")
        )
    )
    stored = Event.objects.filter(verb="opened").get()
    (row,) = query.run(verb="opened", at=now + timedelta(minutes=1), subject=stored.subject_id)
    assert row == ("opened", stored.at, stored.data, False)
    assert query.run(verb="opened", at=now - timedelta(days=1), subject=stored.subject_id) == []
    assert query.run(verb="it's 100 % done", at=now, subject=stored.subject_id) == []


def test_constants_stand_in_the_sql_so_that_partial_indexes_fit(world: World) -> None:
    query = Values(lambda: Assignment.objects.filter(status="open", batch=whole("batch")).values_list("pk"))
    with CaptureQueriesContext(connection) as queries:
        query.run(batch=1)
    assert "\"status\" = 'open'" in queries[0]["sql"]
    sql, given, *_ = query._parts(connection)
    assert (sql.count("%s"), [one.name for one in given]) == (1, ["batch"])


@pytest.mark.parametrize("constant", ["it's", "A", "50%", 1.5])
def test_a_constant_that_is_not_plain_is_refused(world: World, constant: object) -> None:
    query = Values(lambda: Item.objects.filter(external_id=Value(constant)).values_list("pk"))
    with pytest.raises(TypeError, match="make it a Given"):
        query.run()


def test_a_change_counts_its_rows_and_sets_null(world: World) -> None:
    batch = world.open_batch()
    now = timezone.now()
    change = Change(
        lambda: Assignment.objects.filter(batch=whole("batch"), status="open", rank=whole("rank")),
        not_before=moment("at"), reserved_for=None,
    )  # fmt: skip
    assert change.run(batch=batch.pk, rank=0, at=now) == 2
    assert change.run(batch=batch.pk, rank=999, at=now) == 0
    assert Assignment.objects.filter(not_before=now).count() == 2
    assert change.run(batch=batch.pk, rank=0, at=None) == 2
    assert not Assignment.objects.filter(not_before__isnull=False).exists()


def test_inserted_rows_have_their_ids_in_order(world: World) -> None:
    now = timezone.now()
    rows = [event(f"verb{number}", world.items[0], by=None, at=now, text="ä", number=number) for number in range(3)]
    insert(*rows)
    insert()
    for number, row in enumerate(rows):
        stored = Event.objects.get(pk=row.pk)
        assert (stored.verb, stored.data, stored.at, stored.actor_id) == (
            f"verb{number}", {"text": "ä", "number": number}, now, None,
        )  # fmt: skip
        assert not row._state.adding


def test_constraints_hold_for_compiled_statements(world: World) -> None:
    batch = world.open_batch()
    first = BatchItem.objects.filter(batch=batch).order_by("rank")[0]
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(BatchItem(batch=batch, item_id=first.item_id, rank=99, uuid=uuid4()))
    take = Change(lambda: Assignment.objects.filter(batch=whole("batch")), status="claimed")
    with pytest.raises(IntegrityError), transaction.atomic():
        take.run(batch=batch.pk)
