"""Redis goes away: people log in, pages open, and wrong passwords are still counted."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.test import Client
from django.urls import reverse

from config.cache import PAUSE_SECONDS, SteadyRedisCache
from tests.conftest import missing
from tests.url_table import Row, ask, table, url_of
from tests.worlds import PASSWORD, World

pytestmark = pytest.mark.django_db


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def use(settings: Any, port: int, backend: str = "config.cache.SteadyRedisCache") -> None:
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": f"redis://127.0.0.1:{port}/0"}}


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    SteadyRedisCache._ask_again = 0.0
    yield
    SteadyRedisCache._ask_again = 0.0


@pytest.fixture
def gone(settings: Any) -> None:
    """REDIS_URL names a server that nobody answers at."""
    use(settings, free_port())
    cache.clear()


def log_in(client: Client, password: str = PASSWORD) -> Any:
    return client.post(reverse("labeling:log_in"), {"username": "gene", "password": password})


def test_gene_logs_in_and_sees_his_pages(gone: None, world: World) -> None:
    batch = world.open_batch()
    client = Client()
    assert log_in(client).status_code == 302
    assert client.get(reverse("labeling:home")).status_code == 200
    assert client.get(reverse("labeling:desk", args=[batch.uuid])).status_code == 200


PAGES = [row for row in table() if row.method == "get" and row.expect.get("olga") == 200 and not row.query]


@pytest.mark.parametrize("row", PAGES, ids=str)
def test_every_page_opens(gone: None, world: World, row: Row) -> None:
    url, data = url_of(row, world), row.data(world)
    assert ask(world, row, "olga", url, data).status_code == 200


def test_wrong_passwords_are_counted_all_the_same(gone: None, world: World) -> None:
    client = Client()
    assert {log_in(client, "wrong").status_code for _ in range(10)} == {422}
    assert log_in(client).status_code == 429


def test_a_server_that_never_answers_costs_one_short_wait_and_then_none(settings: Any, world: World) -> None:
    with socket.socket() as silent:  # accepts and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        use(settings, silent.getsockname()[1])
        started = time.monotonic()
        cache.set("a", 1)
        first = time.monotonic() - started
        started = time.monotonic()
        for _ in range(50):
            assert cache.get("a") == 1
        after = time.monotonic() - started
    assert first < 5
    assert after < first


def test_the_server_stays_ready_and_says_what_is_missing(gone: None, world: World, client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert "redis is away" in answer.json()["checks"]["cache"]


def test_control_with_the_plain_cache_nobody_logs_in(settings: Any, world: World) -> None:
    use(settings, free_port(), "django.core.cache.backends.redis.RedisCache")
    assert log_in(Client(raise_request_exception=False)).status_code == 500


def test_it_goes_away_and_comes_back(
    settings: Any, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which("redis-server")
    if program is None:
        missing("redis", "redis-server is not installed")
    port = free_port()
    use(settings, port)

    def start() -> subprocess.Popen[bytes]:
        command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return server
            time.sleep(0.05)
        raise RuntimeError("redis-server did not start")

    server = start()
    try:
        cache.set("kept", "there", 60)
        assert (cache.get("kept"), caches["default"].away) == ("there", False)
        server.kill()
        server.wait()
        assert log_in(Client()).status_code == 302
        assert caches["default"].away
        assert cache.get("kept") is None
        server = start()
        clock = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: clock() + PAUSE_SECONDS)
        cache.set("kept", "again", 60)
        assert (cache.get("kept"), caches["default"].away) == ("again", False)
    finally:
        server.kill()
        server.wait()
