"""SQLite: writers stand in a queue before the write lock, and leave it however their transaction ends."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from labeling.db.sqlite3 import base
from labeling.models import User

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL locks rows, and queues for them by itself"),
]


def queue_file() -> Path:
    return Path(f"{connection.settings_dict['NAME']}-queue")


def somebody_has_the_turn() -> bool:
    with queue_file().open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def our_turn() -> Iterator[None]:
    with queue_file().open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def person(name: str) -> User:
    return User.objects.create(username=name)


def test_a_transaction_has_the_turn_from_begin_to_commit() -> None:
    with transaction.atomic():
        assert somebody_has_the_turn()
        person("ann")
        with transaction.atomic():
            person("ben")
        assert somebody_has_the_turn(), "the inner block ends no transaction"
    assert not somebody_has_the_turn()
    assert User.objects.count() == 2


def test_it_ends_with_a_rollback_too() -> None:
    def twice() -> None:
        with transaction.atomic():
            person("ann")
            person("ann")

    with pytest.raises(IntegrityError):
        twice()
    assert not somebody_has_the_turn()
    assert not User.objects.exists()


def test_and_with_a_connection_closed_in_the_middle() -> None:
    def broken() -> None:
        with transaction.atomic():
            person("ann")
            connection.close()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert not somebody_has_the_turn()
    person("ben")
    assert list(User.objects.values_list("username", flat=True)) == ["ben"]


def test_and_with_a_thread_that_leaves_its_transaction_open() -> None:
    def leave() -> None:
        atomic = transaction.atomic()
        atomic.__enter__()
        person("ann")

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join(30)
    gc.collect()  # Django's connection objects are cycles: Python finds them when it looks
    assert not somebody_has_the_turn()
    person("ben")


def test_and_with_a_process_that_is_killed() -> None:
    code = (
        "import django, sys, time; django.setup()\n"
        "from django.db import transaction\nfrom labeling.models import User\n"
        "with transaction.atomic():\n"
        "    User.objects.create(username='ann'); print('in', flush=True); time.sleep(60)\n"
    )
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": f"sqlite:///{connection.settings_dict['NAME']}",
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "in\n"
        assert somebody_has_the_turn()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert not somebody_has_the_turn()
    person("ben")
    assert list(User.objects.values_list("username", flat=True)) == ["ben"]


def in_a_transaction() -> None:
    with transaction.atomic():
        person("ann")


def in_a_single_statement() -> None:
    User.objects.filter(username="nobody").update(first_name="x")


def reading() -> None:
    assert User.objects.count() == 0


@pytest.mark.parametrize(
    ("act", "queued", "waits"),
    [
        (in_a_transaction, True, True),
        (in_a_single_statement, True, True),
        (reading, True, False),
        (in_a_transaction, False, False),
        (in_a_single_statement, False, False),
    ],
    ids=["transaction", "statement", "reader", "control: transaction", "control: statement"],
)
def test_a_writer_waits_for_its_turn(
    act: Callable[[], None], queued: bool, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    person("first").delete()  # the queue's file is there
    if not queued:
        monkeypatch.setattr(base, "fcntl", None)
    done = threading.Event()

    def work() -> None:
        act()
        done.set()
        connection.close()

    with our_turn():
        thread = threading.Thread(target=work)
        thread.start()
        assert done.wait(0.5 if waits else 30) is not waits
    assert done.wait(30)
    thread.join(30)


def test_who_waits_for_one_that_waits_for_it_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.3)
    said: list[str] = []

    def beat() -> None:
        try:
            in_a_single_statement()
        except OperationalError as error:
            said.append(str(error))
        finally:
            connection.close()

    with transaction.atomic():
        person("ann")
        thread = threading.Thread(target=beat)
        thread.start()
        thread.join(30)
        assert said == ["database is locked"]
    wait_until_nobody_waits()  # whoever gave up is out of the queue
    person("ben")
    assert User.objects.count() == 2


def test_a_wait_that_is_broken_off_keeps_nobody_waiting() -> None:
    """Ctrl-C, or a job's time limit, while the main thread waits for its turn."""
    person("first").delete()

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with our_turn():
        timer = threading.Timer(0.3, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            in_a_transaction()
        timer.join()
    wait_until_nobody_waits()
    in_a_transaction()


def wait_until_nobody_waits() -> None:
    deadline = time.monotonic() + 30
    while somebody_has_the_turn() or any(one.name == "write-queue" for one in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_a_file_for_the_queue_writing_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    connection.close()
    with monkeypatch.context() as broken:
        broken.setattr(base.os, "open", full)
        person("ann")
    assert User.objects.count() == 1


def test_many_threads_lose_nothing() -> None:
    person("counter")
    User.objects.update(first_name="0")
    errors: list[Exception] = []

    def add() -> None:
        try:
            for _ in range(20):
                with transaction.atomic():
                    user = User.objects.get(username="counter")
                    user.first_name = str(int(user.first_name) + 1)
                    user.save(update_fields=["first_name"])
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert User.objects.get().first_name == "160"
