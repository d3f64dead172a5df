"""Export of many annotations: rows per second, the first byte, CPU seconds and peak memory.

    python -m benchmarks.exporting [--items 100000] [--databases sqlite,postgresql]

Each item has three answers. `manage.py export_labels` runs in a process of its own and writes to a pipe that is read as it
fills; the first byte is counted from the start of Python, whose own start stands beside it. CPU and memory are those of that
process (on PostgreSQL the server's own work is not in them).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from typing import Any

from benchmarks.databases import own_database
from benchmarks.labels import ROOT

FORMS = ("csv", "jsonl")


def seed(items: int) -> str:
    """A closed batch whose every place is answered; its uuid."""
    from django.db import connection
    from django.utils import timezone

    from benchmarks.seeding import long_batch
    from labeling.db.bulk import POSTGRESQL_UUID, SQLITE_UUID
    from labeling.hashing import answer_sha256

    world, batch = long_batch(items, 3)
    postgresql = connection.vendor == "postgresql"
    uuid = POSTGRESQL_UUID if postgresql else SQLITE_UUID
    json_type = "::jsonb" if postgresql else ""
    members = [world.member(f"rater{number}").pk for number in range(3)]
    now = timezone.now() if postgresql else timezone.now().strftime("%Y-%m-%d %H:%M:%S")
    value = "CASE (a.rank + a.ordinal) %% 5 WHEN 0 THEN %s ELSE %s END"
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE labeling_assignment SET status = 'submitted', claimed_at = %s, finished_at = %s, "
            f"member_id = CASE ordinal {' '.join(f'WHEN {n} THEN {pk}' for n, pk in enumerate(members, 1))} END WHERE batch_id = %s",
            [now, now, batch.pk],
        )
        cursor.execute(
            "INSERT INTO labeling_annotation (uuid, assignment_id, revision, guideline_version_id, value, value_sha256, outcome, "
            "borderline, second_value, reason, confidence, comment, seconds, origin, assisted_by, blind, idempotency_key, at) "
            f"SELECT {uuid}, a.id, 1, %s, ({value}){json_type}, {value}, 'labeled', FALSE, NULL, '', NULL, '', 1.5, 'browser', '', TRUE, '', %s "
            "FROM labeling_assignment a WHERE a.batch_id = %s ORDER BY a.id",
            [
                world.version.pk, '"defect"', '"no_defect"', answer_sha256("defect", "labeled", False, None),
                answer_sha256("no_defect", "labeled", False, None), now, batch.pk,
            ],
        )  # fmt: skip
        cursor.execute("VACUUM ANALYZE" if postgresql else "ANALYZE")
    return str(batch.uuid)


def export_once(arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "export_labels", *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, bufsize=0,
    )  # fmt: skip
    assert process.stdout is not None
    first, size, rows = 0.0, 0, 0
    while piece := process.stdout.read(1 << 16):
        first = first or time.perf_counter() - began
        size += len(piece)
        rows += piece.count(b"\n")
    wall = time.perf_counter() - began
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("the export failed")
    return {"wall": wall, "first": first, "bytes": size, "rows": rows, "cpu": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}  # fmt: skip


def start_seconds(environment: dict[str, str]) -> float:
    """Seconds that a command which does nothing takes: Python and Django starting."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "manage.py", "export_labels", "--help"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True
    )  # fmt: skip
    return time.perf_counter() - began


def measure(items: int) -> list[dict[str, Any]]:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    batch = seed(items)
    environment = dict(os.environ)
    start = start_seconds(environment)
    return [{"form": form, "start": start, **export_once([batch, "--format", form], environment)} for form in FORMS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(measure(options.items)))
        return
    lines = [
        "| database | format | rows | wall s | rows/s | first byte s | of it starting Python | CPU s | peak MB | MB written |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for database in options.databases.split(","):
        with own_database(database) as environment:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.exporting", "--inside", "--items", str(options.items)],
                cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
        for f in json.loads(done.stdout.strip().splitlines()[-1]):
            lines.append(
                f"| {database} | {f['form']} | {f['rows'] - 1:,} | {f['wall']:.1f} | {(f['rows'] - 1) / f['wall']:,.0f} | {f['first']:.1f} "
                f"| {f['start']:.1f} | {f['cpu']:.1f} | {f['peak_mb']:.0f} | {f['bytes'] / 1e6:.0f} |"
            )
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f} at the end.\n"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
