"""Labels per second over HTTP, against a bare Django view in the same run.

    python -m benchmarks.labels [--databases sqlite,postgresql] [--items 10000,1000000] [--seconds 4] [--rounds 3]

One label is one POST to the desk's `submit`: the answer is recorded, the next place is claimed, and the reply carries the
rater's whole hand. The yardstick is `benchmarks.server_urls.bare`: the same middleware, session, log-in and CSRF check, one
SELECT and one INSERT. Both are served by gunicorn as `manage.py serve` starts it (2 processes of 8 threads), and asked by a
client of our own in a process of its own, each of its threads over one kept connection. Bare requests and labels take
turns of a few seconds, so that whatever else the machine does weighs on both; the ratio is the figure. Beside the rates
stands the CPU time of the server's processes (PostgreSQL's included) per request, which other work disturbs least.

The last cell has 20 raters who think for a second (0.5 to 1.5) between labels: what they wait for is their p99.

SQLite is a file in a temporary folder; for PostgreSQL set CONCORD_TEST_POSTGRES to a server where a database may be created.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from benchmarks.databases import own_database

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = (5, 20)
THINKERS = 20
CSRF = "c" * 32


# --- the client: one thread per rater, one connection each ----------------------------------------
class Connection:
    """A kept HTTP connection that sends small JSON POSTs of one logged-in person."""

    def __init__(self, port: int, session: str) -> None:
        self.address = ("127.0.0.1", port)
        self.head = (
            f"Host: 127.0.0.1:{port}\r\nCookie: sessionid={session}; csrftoken={CSRF}\r\nX-CSRFToken: {CSRF}\r\n"
            "Content-Type: application/json\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n"
        )
        self.socket: socket.socket | None = None
        self.bytes = 0  # of the last answer, head and body as sent

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        raw = json.dumps(body).encode()
        message = f"POST {path} HTTP/1.1\r\n{self.head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw
        for attempt in (1, 2):  # the server closes connections that rest for two seconds
            try:
                if self.socket is None:
                    self.socket = socket.create_connection(self.address, timeout=60)
                    self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.sendall(message)
                return self._read()
            except (ConnectionError, OSError):
                self.socket = None
                if attempt == 2:
                    raise
        raise AssertionError

    def _read(self) -> tuple[int, bytes]:
        assert self.socket is not None
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed")
            data += more
        head = data[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 : head.find(b"\r", at) if head.find(b"\r", at) > 0 else None])
        while len(data) < end + 4 + length:
            data += self.socket.recv(65536)
        if b"connection: close" in head:
            self.socket.close()
            self.socket = None
        self.bytes = len(data)
        body = data[end + 4 :]
        return int(data[9:12]), gzip.decompress(body) if b"content-encoding: gzip" in head else body


class Rater:
    """One rater's work, as the desk's script would send it."""

    def __init__(self, plan: dict[str, Any], number: int) -> None:
        self.connection = Connection(plan["port"], plan["sessions"][number])
        self.desk = f"/batches/{plan['batch']}/desk/"
        self.bare_path = f"/bare/{plan['item']}"
        self.user = plan["users"][number]
        self.hand: list[dict[str, Any]] = []
        self.random = random.Random(number)
        self.bytes = 0

    def claim(self) -> None:
        status, reply = self.connection.post(f"{self.desk}claim", {})
        assert status == 200, reply
        self.hand = json.loads(reply)["hand"]

    def bare(self) -> None:
        status, reply = self.connection.post(self.bare_path, {"value": "defect", "key": uuid.uuid4().hex})
        assert status == 201, reply

    def label(self) -> None:
        if not self.hand:
            self.claim()
        place, *ahead = self.hand
        status, reply = self.connection.post(
            f"{self.desk}submit",
            {
                "assignment": place["assignment"], "token": place["token"], "idempotency_key": uuid.uuid4().hex,
                "value": self.random.choice(("defect", "no_defect")), "second_value": None, "outcome": "labeled", "reason": "",
                "borderline": False, "comment": "", "seconds": 1.5, "shown_next": ahead[0]["assignment"] if ahead else None,
                "known": [entry["assignment"] for entry in ahead],
            },
        )  # fmt: skip
        self.bytes = self.connection.bytes
        assert status == 201, reply
        self.hand = json.loads(reply)["hand"]


def _work(act: Any, until: float, think: float, spent: list[float], errors: list[str]) -> None:
    if think:
        time.sleep(random.uniform(0, think))
    while time.perf_counter() < until:
        began = time.perf_counter()
        try:
            act()
        except Exception as error:
            errors.append(repr(error)[:300])
        spent.append(time.perf_counter() - began)
        if think:
            time.sleep(think * random.uniform(0.5, 1.5))


def client_process(rater: Any = Rater) -> None:
    """Read one plan, then one task a line; answer each with what it measured. `rater` is made of the plan and a number."""
    plan = json.loads(sys.stdin.readline())
    raters = [rater(plan, number) for number in range(len(plan["sessions"]))]
    for line in sys.stdin:
        task = json.loads(line)
        chosen = raters[: task["clients"]]
        spent: list[float] = []
        errors: list[str] = []
        began = time.perf_counter()
        until = began + task["seconds"]
        threads = [
            threading.Thread(target=_work, args=(getattr(one, task["act"]), until, task.get("think", 0), spent, errors))
            for one in chosen
        ]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        print(json.dumps({"took": took, "spent": spent, "errors": errors[:3], "failed": len(errors), "bytes": chosen[0].bytes}), flush=True)  # fmt: skip


# --- the server -----------------------------------------------------------------------------------
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """gunicorn as `manage.py serve` starts it, with the bare view beside the project's own addresses."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "gunicorn", "-c", "python:config.gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{self.port}",
            ],
            cwd=ROOT, env={**environment, "DJANGO_SETTINGS_MODULE": "benchmarks.server_settings"},
        )  # fmt: skip
        for _ in range(600):
            if self.process.poll() is not None:
                raise SystemExit("The server stopped at once.")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("The server did not answer within a minute.")

    def pids(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def cpu_seconds(pids: list[int]) -> float:
    """CPU time of the processes so far (Linux)."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# --- one cell -------------------------------------------------------------------------------------
def percentiles(spent: list[float]) -> dict[str, float]:
    ordered = sorted(spent) or [0.0]
    return {
        name: round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }


class Bench:
    def __init__(self, server: Server, client: subprocess.Popen[str]) -> None:
        self.server, self.client = server, client

    def _database_pids(self) -> list[int]:
        from django.db import connection

        if connection.vendor != "postgresql":
            return []
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return [row[0] for row in cursor.fetchall()]  # fmt: skip

    def _analyse(self) -> None:
        """What autovacuum does every minute where it is on: a benchmark is shorter than that."""
        from django.db import connection

        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("VACUUM ANALYZE")

    def run(self, **task: Any) -> dict[str, Any]:
        assert self.client.stdin is not None
        assert self.client.stdout is not None
        pids = [*self.server.pids(), *self._database_pids()]
        before = cpu_seconds(pids)
        self.client.stdin.write(json.dumps(task) + "\n")
        self.client.stdin.flush()
        result: dict[str, Any] = json.loads(self.client.stdout.readline())
        # A connection opened meanwhile counts from its beginning.
        result["cpu"] = cpu_seconds(sorted({*pids, *self._database_pids()})) - before
        return result

    def compare(self, clients: int, seconds: float, rounds: int) -> dict[str, Any]:
        """Bare requests and labels in turns."""
        sums: dict[str, dict[str, Any]] = {}
        self.run(act="bare", clients=clients, seconds=1)
        self.run(act="label", clients=clients, seconds=1)
        for _ in range(rounds):
            self._analyse()
            for act in ("bare", "label"):
                got = self.run(act=act, clients=clients, seconds=seconds)
                mine = sums.setdefault(
                    act, {"spent": [], "took": 0.0, "cpu": 0.0, "failed": 0, "errors": [], "bytes": 0}
                )
                mine["spent"] += got["spent"]
                mine["errors"] += got["errors"]
                mine["bytes"] = got["bytes"]
                for name in ("took", "cpu", "failed"):
                    mine[name] += got[name]
        figures: dict[str, Any] = {"clients": clients}
        for act, mine in sums.items():
            count = len(mine["spent"])
            figures[act] = {
                "count": count, "rate": count / mine["took"], "cpu_ms": 1000 * mine["cpu"] / max(1, count), "failed": mine["failed"],
                "errors": mine["errors"][:3], "bytes": mine["bytes"], **percentiles(mine["spent"]),
            }  # fmt: skip
        return figures


def session_of(user: Any) -> str:
    """The key of a session in which the person is logged in."""
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def measure(items: int, seconds: float, rounds: int, think_seconds: float) -> dict[str, Any]:
    """One database and size; runs in a process of its own, whose environment names the database."""
    import django
    from django.core.management import call_command

    django.setup()
    from benchmarks.seeding import long_batch
    from labeling.models import Item

    call_command("migrate", verbosity=0)
    call_command("collectstatic", "--noinput", verbosity=0)
    began = time.perf_counter()
    world, batch = long_batch(items, max(*CLIENTS, THINKERS))
    seeded = time.perf_counter() - began
    people = [world.people[f"rater{number}"] for number in range(max(*CLIENTS, THINKERS))]
    sessions, users = [session_of(person) for person in people], [person.pk for person in people]
    figures: dict[str, Any] = {"items": items, "seeded": seeded, "cells": []}
    server = Server(dict(os.environ))
    client = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.labels", "--client"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        assert client.stdin is not None
        plan = {
            "port": server.port, "sessions": sessions, "users": users, "batch": str(batch.uuid),
            "item": str(Item.objects.order_by("pk").values_list("uuid", flat=True)[0]),
        }  # fmt: skip
        client.stdin.write(json.dumps(plan) + "\n")
        client.stdin.flush()
        bench = Bench(server, client)
        for clients in CLIENTS:
            figures["cells"].append(bench.compare(clients, seconds, rounds))
        if think_seconds:
            got = bench.run(act="label", clients=THINKERS, seconds=think_seconds, think=1.0)
            figures["thinking"] = {"count": len(got["spent"]), "failed": got["failed"], "errors": got["errors"], **percentiles(got["spent"])}  # fmt: skip
    finally:
        client.kill()
        client.wait()
        server.stop()
    return figures


def run_on(database: str, items: int, options: argparse.Namespace) -> dict[str, Any]:
    with own_database(database) as environment:
        done = subprocess.run(
            [
                sys.executable, "-m", "benchmarks.labels", "--inside", "--items", str(items), "--seconds", str(options.seconds),
                "--rounds", str(options.rounds), "--think-seconds", str(options.think_seconds),
            ],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    return {"database": database, **json.loads(done.stdout.strip().splitlines()[-1])}


def show(results: list[dict[str, Any]]) -> str:
    """The figures as tables."""
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the end.",
        "",
        "| database | items | clients | bare/s | labels/s | one label in bare requests | by CPU | CPU ms bare | label | p50 ms | p95 | p99 | bytes | failed |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for cell in result["cells"]:
            bare, label = cell["bare"], cell["label"]
            lines.append(
                f"| {result['database']} | {result['items']:,} | {cell['clients']} | {bare['rate']:,.0f} | {label['rate']:,.0f} "
                f"| {bare['rate'] / label['rate']:.2f} | {label['cpu_ms'] / bare['cpu_ms']:.2f} | {bare['cpu_ms']:.2f} | {label['cpu_ms']:.2f} "
                f"| {label['p50']} | {label['p95']} | {label['p99']} | {label['bytes']} | {label['failed'] + bare['failed']} |"
            )
            if label["errors"] or bare["errors"]:
                lines.append(f"{label['errors']} {bare['errors']}")
    lines += ["", f"{THINKERS} raters with a second of thought between labels:", "", "| database | items | labels | failed | p50 ms | p95 | p99 |", "|---|---|---|---|---|---|---|"]  # fmt: skip
    for result in results:
        if got := result.get("thinking"):
            lines.append(f"| {result['database']} | {result['items']:,} | {got['count']} | {got['failed']} | {got['p50']} | {got['p95']} | {got['p99']} |")  # fmt: skip
    lines += [
        "",
        "Seeded in " + ", ".join(f"{r['seeded']:.0f} s ({r['database']}, {r['items']:,})" for r in results) + ".",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--items", default="10000,1000000")
    parser.add_argument("--seconds", type=float, default=4, help="of each turn of bare requests or labels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--think-seconds", type=float, default=20, help="how long the thinking raters work; 0 leaves them out"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        client_process()
    elif options.inside:
        print(json.dumps(measure(int(options.items), options.seconds, options.rounds, options.think_seconds)))
    else:
        sizes = [int(size) for size in options.items.split(",")]
        print(show([run_on(database, size, options) for database in options.databases.split(",") for size in sizes]))


if __name__ == "__main__":
    main()
