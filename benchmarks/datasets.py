"""Building datasets: rows per second and the worker's peak memory, per format, beside a bare dump of the same rows.

    python -m benchmarks.datasets --items 100000 [--url postgres://…]

Seeds items × 3 answers with resolutions by bulk SQL (one item in five disputed, half of those ruled by vote), then builds
each kind of dataset in a process of its own and reads its peak resident memory. The baseline streams the annotations'
three columns through a server-side cursor into a file: what the database alone costs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

KINDS: dict[str, dict[str, Any]] = {
    "jsonl, hard": {"format": "jsonl"},
    "jsonl, hard, stratified splits": {"format": "jsonl", "splits": {"method": "stratified"}},
    "csv, soft": {"format": "csv", "labels": "soft", "include_unresolved": True},
    "parquet, hard": {"format": "parquet"},
    "jsonl, annotations": {"format": "jsonl", "labels": "annotations", "include_unresolved": True},
}


def fill(batch: Any) -> None:
    """Answers of three raters for each item, and a resolution for four items in five."""
    from django.db import connection

    from labeling.db.bulk import POSTGRESQL_UUID, SQLITE_UUID
    from labeling.models import Membership

    postgresql = connection.vendor == "postgresql"
    uuid = POSTGRESQL_UUID if postgresql else SQLITE_UUID
    now = "now()" if postgresql else "strftime('%Y-%m-%d %H:%M:%f', 'now')"
    yes, no, json_ = ("TRUE", "FALSE", "::jsonb") if postgresql else ("1", "0", "")
    members = list(
        Membership.objects.filter(project=batch.project, user__username__startswith="rater")
        .order_by("pk")
        .values_list("pk", flat=True)[:3]
    )
    value = "CASE WHEN a.rank %% 5 = 0 AND a.ordinal = 3 THEN '\"no_defect\"' ELSE '\"defect\"' END"
    with connection.cursor() as cursor:
        for ordinal, member in enumerate(members, 1):
            cursor.execute(
                f"UPDATE labeling_assignment SET status = 'submitted', member_id = %s, finished_at = {now} "
                "WHERE batch_id = %s AND ordinal = %s",
                [member, batch.pk, ordinal],
            )
        cursor.execute(
            "INSERT INTO labeling_annotation (uuid, assignment_id, revision, guideline_version_id, value, value_sha256, "
            "outcome, borderline, reason, comment, seconds, origin, assisted_by, blind, idempotency_key, at) "
            f"SELECT {uuid}, a.id, 1, %s, ({value}){json_}, '', 'labeled', {no}, '', '', 1.5, 'simulated', '', {yes}, '', {now} "
            "FROM labeling_assignment a WHERE a.batch_id = %s",
            [batch.guideline_version_id, batch.pk],
        )
        spread = (
            'CASE WHEN rank %% 5 = 0 THEN \'{"labels": {"defect": 2, "no_defect": 1}}\' '
            'ELSE \'{"labels": {"defect": 3}}\' END'
        )
        cursor.execute(
            "INSERT INTO consistency_resolution (uuid, batch_item_id, revision, value, method, confidence, distribution, "
            "raters, input_sha256, at) "
            f"SELECT {uuid}, id, 1, '\"defect\"'{json_}, CASE WHEN rank %% 5 = 0 THEN 'majority' ELSE 'unanimous' END, "
            f"CASE WHEN rank %% 5 = 0 THEN 0.667 ELSE 1.0 END, ({spread}){json_}, 3, '', {now} "
            "FROM labeling_batchitem WHERE batch_id = %s AND rank %% 10 <> 0",
            [batch.pk],
        )
        cursor.execute("ANALYZE")


def seed(items: int) -> None:
    import django

    django.setup()
    from django.core.management import call_command

    from benchmarks.seeding import long_batch

    call_command("migrate", verbosity=0)
    _, batch = long_batch(items, 3)
    fill(batch)


def build(definition: dict[str, Any]) -> None:
    """One dataset in this process; prints what it cost."""
    import django

    django.setup()
    from api.datasets.building import define_dataset
    from api.models import DatasetVersion
    from labeling import access, jobs
    from labeling.models import Project, User

    project = Project.objects.get(slug="phones")
    seat = access.project_for(User.objects.get(username="olga"), project.slug)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started, cpu = time.perf_counter(), time.process_time()
    dataset = define_dataset(by=seat, name="Benchmark", definition=definition)
    job = jobs.take()
    assert job is not None
    done = jobs.run(job)
    assert done.status == "done", done.error
    dataset = DatasetVersion.objects.get(pk=dataset.pk)
    print(
        json.dumps(
            {
                "rows": dataset.rows, "bytes": dataset.bytes, "seconds": time.perf_counter() - started,
                "cpu": time.process_time() - cpu, "before_mb": before,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )  # fmt: skip


def dump() -> None:
    """The baseline: item, rater and label of each annotation, streamed to a file and nothing else."""
    import django

    django.setup()
    from labeling.models import Annotation

    started, cpu, count = time.perf_counter(), time.process_time(), 0
    rows = Annotation.objects.order_by("assignment_id").values_list(
        "assignment__batch_item__item__external_id", "assignment__member_id", "value", named=False
    )
    with tempfile.TemporaryFile("w") as out:
        for row in rows.iterator(chunk_size=2000):
            out.write(json.dumps(row) + "\n")
            count += 1
    print(
        json.dumps(
            {"rows": count, "seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu,
             "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
        )
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--url", default="", help="DATABASE_URL of an empty database (default: a new SQLite file)")
    parser.add_argument("--kinds", default="", help="numbers of the kinds to build, by comma (default: all)")
    parser.add_argument("--step", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if asked.step == "seed":
        seed(asked.items)
    elif asked.step == "dump":
        dump()
    elif asked.step:
        build(json.loads(asked.step))
    else:
        compare(asked)


def compare(asked: argparse.Namespace) -> None:
    """Seed, dump and build, each in a process of its own; prints a line per kind."""
    with tempfile.TemporaryDirectory(prefix="concord-datasets-") as folder:
        env = {**os.environ, "DATA_DIR": folder, "SECRET_KEY": "benchmark", "TASKS": "worker"}
        if asked.url:
            env["DATABASE_URL"] = asked.url

        def step(what: str) -> dict[str, Any]:
            command = [sys.executable, "-m", "benchmarks.datasets", "--items", str(asked.items), "--step", what]
            out = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
            return json.loads(out.splitlines()[-1]) if out else {}

        started = time.perf_counter()
        step("seed")
        print(f"{asked.items:,} items × 3 answers, seeded in {time.perf_counter() - started:.0f} s")
        bare = step("dump")
        print(
            f"{'bare dump of annotations':32} {bare['rows']:>10,} rows {bare['seconds']:>7.1f} s {bare['cpu']:>7.1f} CPU-s {bare['peak_mb']:>6.0f} MB"
        )
        chosen = [int(n) for n in asked.kinds.split(",")] if asked.kinds else range(len(KINDS))
        for number in chosen:
            name = list(KINDS)[number]
            cost = step(json.dumps(KINDS[name]))
            print(
                f"{name:32} {cost['rows']:>10,} rows {cost['seconds']:>7.1f} s {cost['cpu']:>7.1f} CPU-s "
                f"{cost['peak_mb']:>6.0f} MB  ({cost['rows'] / cost['seconds']:,.0f} rows/s, {cost['cpu'] / bare['cpu']:.1f}x the dump)"
            )


if __name__ == "__main__":
    main()
