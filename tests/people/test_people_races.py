"""Two at once: the last use of an invite, the last two owners. On SQLite and, where it is the database, PostgreSQL.

Each guard has its control. The controls need two transactions that are open at the same time, which SQLite's
IMMEDIATE mode does not allow: there the mode itself is the guard.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import close_old_connections, connection

from labeling import access, people
from labeling.models import Invite, Membership, User
from labeling.people import NewAccount, accept_invite, change_member, invite_link_part, invite_member
from labeling.refusals import Refusal
from tests.worlds import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]
PATIENCE = 2.0


@pytest.fixture
def world(transactional_db: None) -> World:
    return World.build()


def needs_postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's IMMEDIATE transactions take turns by themselves: nothing to switch off")


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Run the acts in threads; returns each result or exception, in order."""
    results: list[Any] = [None] * len(acts)

    def run(number: int, act: Callable[[], Any]) -> None:
        try:
            results[number] = act()
        except Exception as error:
            results[number] = error
        finally:
            close_old_connections()
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


class Meeting:
    """Holds callers until all have come, or for a while when a guard keeps the others out."""

    def __init__(self, parties: int = 2) -> None:
        self.barrier = threading.Barrier(parties)

    def __call__(self) -> None:
        try:
            self.barrier.wait(PATIENCE)
        except threading.BrokenBarrierError:
            return


def join_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[Invite, list[Any]]:
    """Two people open the last use of a link and both have seen that it is open before either takes it."""
    invite = invite_member(by=world.seat("olga"), role="rater", cohort="expert", uses=1)
    take, meet = people._take_use, Meeting()

    def take_when_both_are_here(*args: Any) -> bool:
        if connection.vendor == "postgresql":  # on SQLite the second transaction cannot begin yet
            meet()
        return take(*args)

    monkeypatch.setattr(people, "_take_use", take_when_both_are_here)
    signed = invite_link_part(invite)
    results = at_once(
        *(lambda name=name: accept_invite(signed=signed, account=NewAccount(name, "x")) for name in ("nora", "nils"))
    )
    invite.refresh_from_db()
    return invite, results


def test_of_two_on_the_last_use_one_comes_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    invite, results = join_twice(world, monkeypatch)
    assert sorted(type(result).__name__ for result in results) == ["Membership", "Refusal"]
    assert invite.uses_left == 0
    assert User.objects.filter(username__in=["nora", "nils"]).count() == 1, "the refused account was not left behind"


def test_control_read_then_write_lets_both_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_postgresql()
    meet = Meeting()

    def read_then_write(invite: Invite, at: Any) -> bool:
        uses = Invite.objects.get(pk=invite.pk).uses_left
        meet()
        Invite.objects.filter(pk=invite.pk).update(uses_left=max(uses - 1, 0))
        return uses > 0

    monkeypatch.setattr(people, "_take_use", read_then_write)
    _, results = join_twice(world, monkeypatch)
    assert [type(result).__name__ for result in results] == ["Membership", "Membership"]


def leave(world: World, name: str) -> Callable[[], Membership]:
    seat: access.Seat = world.seat(name)
    return lambda: change_member(
        by=seat, member=seat.membership, role="sme", cohort=None, daily_cap=None, cost_per_label=None, active=True
    )


def both_owners_leave(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    Membership.objects.filter(project=world.project, user=world.people["sam"]).update(role="owner")
    leaves, meet = people._leaves_no_owner, Meeting()

    def count_then_wait(*args: Any) -> bool:
        last = leaves(*args)
        meet()
        return last

    monkeypatch.setattr(people, "_leaves_no_owner", count_then_wait)
    return at_once(leave(world, "olga"), leave(world, "sam"))


def owners(world: World) -> int:
    return Membership.objects.filter(project=world.project, role="owner", active=True).count()


def test_of_the_last_two_owners_leaving_at_once_one_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    results = both_owners_leave(world, monkeypatch)
    assert owners(world) == 1
    (refused,) = [result for result in results if isinstance(result, Exception)]
    assert isinstance(refused, Refusal)
    assert refused.code == "last_owner"


def test_control_without_taking_turns_nobody_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_postgresql()
    monkeypatch.setattr(people, "_take_turn", lambda project: None)
    both_owners_leave(world, monkeypatch)
    assert owners(world) == 0
