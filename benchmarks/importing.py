"""Import of many text rows: rows per second, CPU seconds, peak memory; and what raters feel meanwhile.

    python -m benchmarks.importing [--rows 100000] [--databases sqlite,postgresql] [--raters 4]

SQLite is a file of its own in a temporary folder; for PostgreSQL set CONCORD_TEST_POSTGRES to a server where a database
may be created. The import runs as `manage.py import_items` in a process of its own, and its CPU time and peak memory are
those of that process (on PostgreSQL the server's own work is not in them), with nobody else at work. Then raters label
through the real acts, each at a rhythm of one answer in 0.3 s: once with nobody importing and once during another import of
the same size. The ratio is the figure.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORDS = [
    "scratch",
    "near",
    "the",
    "camera",
    "lens",
    "upper",
    "left",
    "corner",
    "of",
    "glass",
    "thin",
    "long",
    "mark",
    "light",
    "dust",
    "edge",
    "display",
]
CALM_SECONDS = 10.0
THINK_SECONDS = 0.3
LOOP = 5_000_000


def loop_seconds() -> float:
    """CPU seconds of a fixed loop: how fast the machine is just now."""
    began = time.process_time()
    total = 0
    for number in range(LOOP):
        total += number
    return time.process_time() - began


def write_table(path: Path, rows: int) -> None:
    rng = random.Random(7)
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["id", "text", "camera", "line"])
        for number in range(rows):
            table.writerow(
                [f"row-{number}", f"{' '.join(rng.choices(WORDS, k=18))} {number}", rng.randint(1, 9), f"L{number % 7}"]
            )


class Raters:
    """Threads that label in an open batch of their own and note how long each submit with its next claim took."""

    def __init__(self, world: Any, batch: Any, count: int) -> None:
        self.world, self.batch = world, batch
        self.names = [f"rater{number}" for number in range(count)]
        self.latencies: list[float] = []
        self.errors: list[str] = []

    def label(self, name: str, stop: threading.Event) -> None:
        from django.db import connection

        from labeling.claiming import claim_next
        from labeling.submission import Answer, submit_annotation

        person = self.world.people[name]
        hand = claim_next(by=person, batch=self.batch)
        while not stop.is_set() and hand.places:
            place = hand.places[0]
            began = time.perf_counter()
            try:
                done = submit_annotation(
                    by=person, batch=self.batch, assignment=place.uuid, token=place.claim_token, answer=Answer(value="defect"), claim=True
                )  # fmt: skip
                hand = done.hand
            except Exception as error:  # what a rater would see as a failed answer
                self.errors.append(repr(error))
            self.latencies.append(time.perf_counter() - began)
            time.sleep(THINK_SECONDS * random.uniform(0.5, 1.5))
        connection.close()

    def measure(self, until: Any) -> dict[str, Any]:
        self.latencies, self.errors = [], []
        stop = threading.Event()
        threads = [threading.Thread(target=self.label, args=(name, stop)) for name in self.names]
        for thread in threads:
            thread.start()
        until()
        stop.set()
        for thread in threads:
            thread.join()
        ordered = sorted(self.latencies)

        def at(share: float) -> float:
            return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

        return {
            "answers": len(ordered),
            "errors": len(self.errors),
            "p50": at(0.5),
            "p95": at(0.95),
            "p99": at(0.99),
            "most": at(1.0),
        }


def build_world(raters: int) -> tuple[Any, Any]:
    """A project with raters and an open batch that lasts, and an empty project to import into."""
    from labeling.claiming import acknowledge_version
    from labeling.models import Membership
    from tests.worlds import World, make_user

    world = World.build(items=3000)
    batch = world.open_batch(quotas={"generalist": max(1, raters)})
    for number in range(raters):
        name = f"rater{number}"
        world.people[name] = make_user(name)
        Membership.objects.create(project=world.project, user=world.people[name], role="rater", cohort="generalist")
        acknowledge_version(by=world.people[name], batch=batch)
    for slug in ("alone", "beside"):
        World.build(slug=slug, items=0, with_otto=False)
    return world, batch


def import_once(slug: str, table: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run the command; returns wall and CPU seconds and peak memory of its process."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "import_items", slug, str(table)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    out = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the import failed: {out}")
    return {
        "wall": time.perf_counter() - began, "cpu": usage.ru_utime + usage.ru_stime, "user": usage.ru_utime, "system": usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }  # fmt: skip


def start_seconds(environment: dict[str, str]) -> float:
    """CPU seconds that a command which does nothing takes: Python and Django starting."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "manage.py", "import_items", "--help"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(database: str, rows: int, raters: int, folder: Path) -> dict[str, Any]:
    """One database's figures; runs in a process of its own, whose environment names the database."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    world, batch = build_world(raters)
    table = folder / "rows.csv"
    write_table(table, rows)
    environment = dict(os.environ)
    figures: dict[str, Any] = {"database": database, "rows": rows, "loop": loop_seconds()}
    figures["start"] = start_seconds(environment)
    figures |= import_once("alone", table, environment)
    figures["loop_after"] = loop_seconds()
    people = Raters(world, batch, raters)
    figures["calm"] = people.measure(lambda: time.sleep(CALM_SECONDS))
    figures["during"] = people.measure(lambda: import_once("beside", table, environment))
    return figures


def run_on(database: str, rows: int, raters: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        environment = {
            **os.environ, "DATA_DIR": name, "SECRET_KEY": "benchmark", "TASKS": "worker", "CONCORD_LOG_JSON": "0",
            "DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": f"sqlite:///{name}/concord.sqlite3",
        }  # fmt: skip
        server = os.environ.get("CONCORD_TEST_POSTGRES", "")
        own = f"concord_benchmark_{os.getpid()}"
        if database == "postgresql":
            if not server:
                raise SystemExit("Set CONCORD_TEST_POSTGRES to measure PostgreSQL.")
            _psql(server, f"CREATE DATABASE {own}")
            environment["DATABASE_URL"] = f"{server.rsplit('/', 1)[0]}/{own}"
        try:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.importing", "--inside", database, "--rows", str(rows), "--raters", str(raters)],
                cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
        finally:
            if database == "postgresql":
                _psql(server, f"DROP DATABASE IF EXISTS {own} WITH (FORCE)")
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def _psql(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def show(figures: list[dict[str, Any]]) -> str:
    """The figures as tables."""
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the end.",
        "",
        "| database | rows | wall s | rows/s | CPU s | of it starting Python | user | system | peak MB | loop of 5 M, s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for f in figures:
        lines.append(
            f"| {f['database']} | {f['rows']:,} | {f['wall']:.1f} | {f['rows'] / f['wall']:,.0f} | {f['cpu']:.1f} | {f['start']:.1f} "
            f"| {f['user']:.1f} | {f['system']:.1f} | {f['peak_mb']:.0f} | {f['loop']:.2f}–{f['loop_after']:.2f} |"
        )
    lines += [
        "",
        "| database | when | answers | failed | p50 ms | p95 | p99 | longest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for f in figures:
        for when, name in (("calm", "nobody imports"), ("during", "during the import")):
            r = f[when]
            lines.append(
                f"| {f['database']} | {name} | {r['answers']} | {r['errors']} | {r['p50']} | {r['p95']} | {r['p99']} | {r['most']} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--raters", type=int, default=4)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(measure(options.inside, options.rows, options.raters, Path(os.environ["DATA_DIR"]))))
        return
    print(show([run_on(database, options.rows, options.raters) for database in options.databases.split(",")]))


if __name__ == "__main__":
    main()
