"""Labels per second over REST against the bare view; importing and exporting over REST: rows per second and memory.

    python -m benchmarks.rest [--databases sqlite,postgresql] [--items 10000] [--seconds 4] [--rounds 3] [--rows 100000]
        [--export 100000] [--kinds jsonl,csv,parquet,annotations]

--items 0 leaves the labels out, --rows 0 the import, --export 0 the export.

One label is one POST to `assignments/…/submit` with `next`: the answer is recorded, the next item claimed. It is measured as
`benchmarks.labels` measures the desk: the same server, the same bare view, turns of a few seconds.

An import is one POST of JSON lines to `items`, read piece by piece by the web process, then a worker's job. An export is one
POST to `datasets`, a worker's job, and the GET of its content; beside it the feed of annotations, page by page. While the
worker builds, five raters label another batch of the project, thinking for a second each time, as they did for a quarter of a
minute before. Memory is the highest resident size of each process (VmHWM, Linux).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.databases import own_database
from benchmarks.labels import CLIENTS, ROOT, Bench, Connection, Server, client_process, percentiles, session_of


class Program:
    """One rater's program: a token, one kept connection."""

    def __init__(self, plan: dict[str, Any], number: int) -> None:
        self.batch = plan["batch"]
        self.connection = Connection(plan["port"], "")
        self.connection.head = (
            f"Host: 127.0.0.1:{plan['port']}\r\nAuthorization: Bearer {plan['keys'][number]}\r\n"
            "Content-Type: application/json\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n"
        )
        self.in_browser = Connection(plan["port"], plan["sessions"][number])
        self.bare_path = f"/bare/{plan['item']}"
        self.place: dict[str, Any] | None = None
        self.random = random.Random(number)
        self.bytes = 0

    def bare(self) -> None:
        status, reply = self.in_browser.post(self.bare_path, {"value": "defect", "key": os.urandom(8).hex()})
        assert status == 201, reply

    def label(self) -> None:
        if self.place is None:
            status, reply = self.connection.post(f"/api/v1/batches/{self.batch}/claim", {})
            assert status == 200, reply
            self.place = json.loads(reply)
        status, reply = self.connection.post(
            f"/api/v1/assignments/{self.place['uuid']}/submit",
            {
                "token": self.place["token"],
                "value": self.random.choice(("defect", "no_defect")),
                "seconds": 1.5,
                "next": True,
            },
        )
        self.bytes = self.connection.bytes
        assert status == 201, reply
        self.place = json.loads(reply)["next"]


def peak_mb(pid: int) -> float:
    """The highest resident size of a process so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def import_rows(server: Server, key: str, rows: int) -> dict[str, Any]:
    """Send the rows, then run the job in a worker of its own."""
    with tempfile.TemporaryFile() as file:
        for number in range(rows):
            row = {"external_id": f"r{number}", "text": f"Row {number}: a mark near the camera.", "camera": number % 7}
            file.write(json.dumps(row).encode() + b"\n")
        size = file.tell()
        file.seek(0)
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
        headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/x-ndjson",
            "Content-Length": str(size),
        }
        connection.request("POST", "/api/v1/items", file, headers)
        reply = connection.getresponse()
        answer = json.loads(reply.read())
        assert reply.status == 202, answer
        sent = time.perf_counter() - began
    web = max(peak_mb(pid) for pid in server.pids())
    work = until_empty()
    done = json.loads(ask(server, key, f"imports/{answer['uuid']}")[0])
    assert (done["status"], done["rows_kept"]) == ("done", rows), done
    return {"rows": rows, "mb": size / 2**20, "sent": sent, "web_mb": web, **work}


def ask(server: Server, key: str, path: str, body: Any = None) -> tuple[bytes, float]:
    """The whole answer, and the seconds until its first byte."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    began = time.perf_counter()
    connection.request(
        "GET" if body is None else "POST", f"/api/v1/{path}", None if body is None else json.dumps(body), headers
    )
    reply = connection.getresponse()
    first = reply.read(1)
    waited = time.perf_counter() - began
    answer = first + reply.read()
    assert reply.status < 300, answer[:500]
    connection.close()
    return answer, waited


def until_empty() -> dict[str, float]:
    """A worker of its own does what is queued; how long it took, its CPU and its highest memory."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    worker = subprocess.Popen([sys.executable, "manage.py", "work", "--until-empty"], cwd=ROOT)
    highest = 0.0
    while worker.poll() is None:
        with contextlib.suppress(OSError):
            highest = max(highest, peak_mb(worker.pid))
        time.sleep(0.05)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"worked": time.perf_counter() - began, "worker_cpu": cpu, "worker_mb": highest}


EXPORTS: dict[str, tuple[str, dict[str, Any]]] = {
    "jsonl": ("JSON lines, hard labels", {"format": "jsonl"}),
    "csv": ("CSV, hard labels", {"format": "csv"}),
    "parquet": ("Parquet, hard labels", {"format": "parquet"}),
    "annotations": (
        "JSON lines, every annotation", {"format": "jsonl", "labels": "annotations", "include_unresolved": True},
    ),
}  # fmt: skip
FEED_PAGES = 100
LABELING, LABELED_ITEMS = 5, 20_000


class AtWork:
    """Raters who label, a second between two labels, for as long as the `with` block lasts."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.over = bench, threading.Event()
        self.spent: list[float] = []
        self.errors: list[str] = []

    def _label(self) -> None:
        while not self.over.is_set():
            got = self.bench.run(act="label", clients=LABELING, seconds=3, think=1.0)
            self.spent += got["spent"]
            self.errors += got["errors"]

    def __enter__(self) -> AtWork:
        self.thread = threading.Thread(target=self._label)
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        self.thread.join()

    def figures(self) -> dict[str, Any]:
        assert not self.errors, self.errors[:3]
        return {"labels": len(self.spent), **percentiles(self.spent)}


def export_rows(server: Server, bench: Bench, key: str, batch: str, kinds: list[str]) -> list[dict[str, Any]]:
    """Define each dataset, let a worker build it while raters label, download it; then the first pages of the feed."""
    bench.run(act="label", clients=LABELING, seconds=2)  # each thread's first request loads what it needs
    with AtWork(bench) as alone:
        time.sleep(15)
    found: list[dict[str, Any]] = [{"name": "raters alone", "rows": 0, "raters": alone.figures()}]
    for name, definition in (EXPORTS[kind] for kind in kinds):
        made = json.loads(ask(server, key, "datasets", {"name": name, "batch": batch, **definition})[0])
        with AtWork(bench) as raters:
            work = until_empty()
        ready = json.loads(ask(server, key, f"datasets/{made['uuid']}")[0])
        assert ready["status"] == "ready", ready
        taken = download(server, key, f"datasets/{made['uuid']}/content")
        assert taken.pop("sha256") == ready["sha256"]
        found.append({"name": name, "rows": ready["rows"], "raters": raters.figures(), **taken, **work})
        print(found[-1], file=sys.stderr, flush=True)
    began, rows, path, first = time.perf_counter(), 0, "annotations?limit=500", 0.0
    for _ in range(FEED_PAGES):
        raw, waited = ask(server, key, path)
        page = json.loads(raw)
        first = first or waited
        if not page["results"]:
            break
        rows += len(page["results"])
        path = f"annotations?limit=500&after={page['last']}"
    web = max(peak_mb(pid) for pid in server.pids())
    found.append({"name": f"the feed, {FEED_PAGES} pages", "rows": rows, "first": first, "took": time.perf_counter() - began, "web_mb": web})  # fmt: skip
    return found


def download(server: Server, key: str, path: str) -> dict[str, Any]:
    """Read the content piece by piece; its hash, its size, the time, and what the web process had at most."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    began, digest, size, first = time.perf_counter(), hashlib.sha256(), 0, 0.0
    connection.request("GET", f"/api/v1/{path}", headers={"Authorization": f"Bearer {key}"})
    reply = connection.getresponse()
    assert reply.status == 200, reply.read(500)
    while piece := reply.read(2**20 if size else 1):
        first = first or time.perf_counter() - began
        digest.update(piece)
        size += len(piece)
    connection.close()
    return {
        "sha256": digest.hexdigest(), "mb": size / 2**20, "first": first, "took": time.perf_counter() - began,
        "web_mb": max(peak_mb(pid) for pid in server.pids()),
    }  # fmt: skip


def prepare() -> None:
    """Django in this process, an empty database with its tables, collected static files."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("collectstatic", "--noinput", verbosity=0)


def key_of(world: Any, name: str, *scopes: str) -> str:
    from api.tokens import create_token

    return create_token(by=world.seat(name), name="Benchmark", scopes=scopes, expires_at=None)[1]


def raters_of(server: Server, world: Any, batch: Any, names: list[str]) -> Bench:
    """A client process with a program for each of the raters, on this batch."""
    from labeling.models import Item

    client = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.rest", "--client"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    plan = {
        "port": server.port, "batch": str(batch.uuid), "keys": [key_of(world, name, "read", "label") for name in names],
        "sessions": [session_of(world.people[name]) for name in names],
        "item": str(Item.objects.order_by("pk").values_list("uuid", flat=True)[0]),
    }  # fmt: skip
    assert client.stdin is not None
    client.stdin.write(json.dumps(plan) + "\n")
    client.stdin.flush()
    return Bench(server, client)


def measure(items: int, seconds: float, rounds: int, rows: int) -> dict[str, Any]:
    """Labels, and an import; runs in a process of its own, whose environment names the database."""
    prepare()
    from benchmarks.seeding import long_batch

    world, batch = long_batch(max(items, 1), max(CLIENTS))
    server = Server(dict(os.environ))
    figures: dict[str, Any] = {"items": items, "cells": []}
    bench = raters_of(server, world, batch, [f"rater{number}" for number in range(max(CLIENTS))])
    try:
        for clients in CLIENTS if items else ():
            figures["cells"].append(bench.compare(clients, seconds, rounds))
        if rows:
            figures["import"] = import_rows(server, key_of(world, "mel", "read", "import"), rows)
    finally:
        bench.client.kill()
        bench.client.wait()
        server.stop()
    return figures


def another_batch(world: Any, items: int) -> Any:
    """An open batch over the first items, for raters at work while others are exported."""
    from labeling import dispatch, jobs
    from labeling.claiming import acknowledge_version
    from labeling.models import Batch
    from labeling.selection import Selection

    chosen = Selection(external_ids=tuple(f"n{number}" for number in range(items)), order="as_listed")
    batch = dispatch.create_batch(
        by=world.seat("olga"),
        name="Another",
        guideline_version=world.version,
        quotas={"generalist": 3},
        selection=chosen,
    )
    dispatch.open_batch(by=world.seat("olga"), batch=batch)
    while job := jobs.take():
        jobs.run(job)
    batch = Batch.objects.select_related("project", "guideline_version").get(pk=batch.pk)
    assert batch.status == "open"
    for number in range(LABELING):
        acknowledge_version(by=world.people[f"rater{number}"], batch=batch)
    return batch


def measure_export(items: int, kinds: list[str]) -> dict[str, Any]:
    """As `measure`, for `items` with three answers each."""
    prepare()
    from benchmarks.datasets import fill
    from benchmarks.seeding import long_batch

    world, batch = long_batch(items, LABELING)
    fill(batch)
    other = another_batch(world, min(items, LABELED_ITEMS))
    server = Server(dict(os.environ))
    bench = raters_of(server, world, other, [f"rater{number}" for number in range(LABELING)])
    try:
        key = key_of(world, "mel", "read", "export")
        return {"items": items, "cells": [], "export": export_rows(server, bench, key, str(batch.uuid), kinds)}
    finally:
        bench.client.kill()
        bench.client.wait()
        server.stop()


def show(results: list[dict[str, Any]]) -> str:
    """The figures as tables."""
    lines = [
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end.", "",
        "| database | items | clients | bare/s | labels/s | one label in bare requests | by CPU | CPU ms bare | label | p50 ms | p95 | p99 | failed |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for result in results:
        for cell in result["cells"]:
            bare, label = cell["bare"], cell["label"]
            lines.append(
                f"| {result['database']} | {result['items']:,} | {cell['clients']} | {bare['rate']:,.0f} | {label['rate']:,.0f} "
                f"| {bare['rate'] / label['rate']:.2f} | {label['cpu_ms'] / bare['cpu_ms']:.2f} "
                f"| {bare['cpu_ms']:.2f} | {label['cpu_ms']:.2f} "
                f"| {label['p50']} | {label['p95']} | {label['p99']} | {label['failed'] + bare['failed']} |"
            )
            if label["errors"] or bare["errors"]:
                lines.append(f"{label['errors']} {bare['errors']}")
    lines += ["", "| database | rows | MB | sent in s | job in s | CPU s | rows/s, both | web MB | worker MB |", "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for result in results:
        if got := result.get("import"):
            lines.append(
                f"| {result['database']} | {got['rows']:,} | {got['mb']:.1f} | {got['sent']:.2f} | {got['worked']:.1f} | {got['worker_cpu']:.1f} "
                f"| {got['rows'] / (got['sent'] + got['worked']):,.0f} | {got['web_mb']:.0f} | {got['worker_mb']:.0f} |"
            )
    lines += ["", "| database | items × 3 | dataset | rows | MB | job in s | CPU s | worker MB | first byte ms | download rows/s | web MB | labels meanwhile: p50 ms | p95 | p99 |", "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for result in results:
        for got in result.get("export", ()):
            job, down, raters = " | | | ", " | | ", " | | "
            if "worked" in got:
                job = f"{got['mb']:.1f} | {got['worked']:.1f} | {got['worker_cpu']:.1f} | {got['worker_mb']:.0f}"
            if "took" in got:
                down = f"{1000 * got['first']:.0f} | {got['rows'] / got['took']:,.0f} | {got['web_mb']:.0f}"
            if spent := got.get("raters"):
                raters = f"{spent['p50']} | {spent['p95']} | {spent['p99']}"
            lines.append(
                f"| {result['database']} | {result['items']:,} | {got['name']} | {got['rows']:,} | {job} | {down} | {raters} |"
            )
    return "\n".join(lines)


def run_on(database: str, items: int, export: int, options: argparse.Namespace) -> dict[str, Any]:
    with own_database(database, CONCORD_API_RATE="100000000") as environment:
        done = subprocess.run(
            [
                sys.executable, "-m", "benchmarks.rest", "--inside", "--items", str(items), "--seconds", str(options.seconds),
                "--rounds", str(options.rounds), "--rows", str(options.rows), "--export", str(export), "--kinds", options.kinds,
            ],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    return {"database": database, **json.loads(done.stdout.strip().splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--items", default="10000")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=100_000, help="rows to import; 0 leaves it out")
    parser.add_argument("--export", type=int, default=100_000, help="items × 3 answers to export; 0 leaves it out")
    parser.add_argument("--kinds", default=",".join(EXPORTS), help="which datasets")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        client_process(Program)
    elif options.inside:
        print(
            json.dumps(
                measure_export(options.export, options.kinds.split(","))
                if options.export
                else measure(int(options.items), options.seconds, options.rounds, options.rows)
            )
        )
    else:
        sizes = [int(size) for size in options.items.split(",")]
        databases = options.databases.split(",")
        results = [
            run_on(database, size, 0, options) for database in databases for size in sizes if size or options.rows
        ]
        if options.export:
            results += [run_on(database, 0, options.export, options) for database in databases]
        print(show(results))


if __name__ == "__main__":
    main()
