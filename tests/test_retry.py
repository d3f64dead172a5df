"""A transaction that the database ended runs again; inside a caller's transaction its error goes up."""

from __future__ import annotations

import contextlib
import threading

import pytest
from django.db import OperationalError, connection, transaction

from api.idempotency import Answered, answer_once
from labeling.db.retry import retry_deadlocks
from labeling.models import Batch, Item
from tests.worlds import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="on SQLite one transaction writes at a time")
@pytest.mark.parametrize("guarded", [True, False])
def test_two_acts_that_lock_the_same_rows_in_opposite_order_both_succeed(guarded: bool) -> None:
    world = World.build(items=2)
    first, second = Item.objects.filter(project=world.project).order_by("pk").values_list("pk", flat=True)
    both_hold_one = threading.Barrier(2)
    errors: list[BaseException] = []

    def meet() -> None:
        with contextlib.suppress(threading.BrokenBarrierError):  # the second try: the other one is through
            both_hold_one.wait(5)

    def act(order: tuple[int, int]) -> None:
        with transaction.atomic():
            for pk in order:
                Item.objects.select_for_update().get(pk=pk)
                meet()

    def run(order: tuple[int, int]) -> None:
        try:
            (retry_deadlocks(act) if guarded else act)(order)
        except OperationalError as error:
            errors.append(error)
        finally:
            both_hold_one.abort()
            connection.close()

    threads = [threading.Thread(target=run, args=(order,)) for order in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert bool(errors) != guarded


class Deadlock(Exception):
    sqlstate = "40P01"


def ended_as_a_deadlock() -> OperationalError:
    error = OperationalError("deadlock detected")
    error.__cause__ = Deadlock()
    return error


def test_inside_a_callers_transaction_the_error_goes_up() -> None:
    tried = []

    @retry_deadlocks
    def act() -> None:
        tried.append(1)
        raise ended_as_a_deadlock()

    with pytest.raises(OperationalError), transaction.atomic():
        act()
    assert len(tried) == 1, "the caller's transaction is lost; only the caller can begin again"


def test_an_act_under_an_idempotency_key_runs_again_too(world: World) -> None:
    tried = []

    def act() -> Answered:
        tried.append(Batch.objects.filter(project=world.project).update(name=f"try {len(tried)}"))
        if len(tried) == 1:
            raise ended_as_a_deadlock()
        return Answered(201, {"tries": len(tried)}, {})

    world.open_batch()
    asked = {"member": world.member("olga"), "key": "k", "request_sha256": "a" * 64}
    assert answer_once(**asked, act=act).body == {"tries": 2}
    assert answer_once(**asked, act=act).replayed
    assert Batch.objects.get(project=world.project).name == "try 1"


def test_other_errors_of_the_database_are_not_tried_again() -> None:
    tried = []

    @retry_deadlocks
    def act() -> None:
        tried.append(1)
        raise OperationalError("disk I/O error")

    with pytest.raises(OperationalError):
        act()
    assert len(tried) == 1
