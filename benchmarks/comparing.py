"""Comparing a whole batch: the first time, again with nothing to do, after a few revisions; then two votes over it.

    python -m benchmarks.comparing [--items 100000] [--databases sqlite,postgresql]

Each item has three answers; three of five items are disputed. The times are those of the acts in a process of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.databases import own_database
from benchmarks.labels import ROOT

REVISED = 200


def measure(items: int) -> list[dict[str, Any]]:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from benchmarks.exporting import seed
    from consistency.comparing import compare_batch
    from consistency.voting import resolve_by_vote
    from labeling.access import project_for
    from labeling.models import Batch, User

    batch = Batch.objects.select_related("project", "guideline_version").get(uuid=seed(items))
    olga = project_for(User.objects.get(username="olga"), batch.project.slug)
    figures: list[dict[str, Any]] = []

    def timed(name: str, act: Callable[[], object]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        wrote = act()
        figures.append(
            {
                "act": name, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "wrote": str(wrote),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )  # fmt: skip

    def vote(method: str) -> str:
        report = resolve_by_vote(by=olga, batch=batch, method=method, release=True)
        return f"{report.resolved:,} resolved, {report.ties:,} ties"

    timed("compare, first", lambda: _words(compare_batch(batch=batch)))
    timed("compare again", lambda: _words(compare_batch(batch=batch)))
    _revise(batch)
    timed(f"compare, {REVISED} revised", lambda: _words(compare_batch(batch=batch)))
    timed("vote by majority", lambda: vote("majority"))
    timed("the same vote again", lambda: vote("majority"))
    timed("vote by Dawid–Skene", lambda: vote("dawid_skene"))
    return figures


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "nothing"


def _revise(batch: Any) -> None:
    """Some raters change their answers behind the back of comparing, as when its signal was lost."""
    from labeling.hashing import answer_sha256
    from labeling.models import Annotation

    rows = list(Annotation.objects.filter(assignment__batch=batch, assignment__ordinal=1).order_by("pk")[:REVISED])
    for row in rows:
        row.pk, row.revision = None, 2
        row.uuid = type(row)._meta.get_field("uuid").get_default()
        row.value = "no_defect" if row.value == "defect" else "defect"
        row.value_sha256 = answer_sha256(row.value, "labeled", False, None)
    Annotation.objects.bulk_create(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(measure(options.items)))
        return
    lines = ["| database | act | wrote | wall s | CPU s | peak MB |", "|---|---|---|---|---|---|"]
    for database in options.databases.split(","):
        with own_database(database) as environment:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.comparing", "--inside", "--items", str(options.items)],
                cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
        lines += [
            f"| {database} | {f['act']} | {f['wrote']} | {f['wall']:.1f} | {f['cpu']:.1f} | {f['peak_mb']:.0f} |"
            for f in json.loads(done.stdout.strip().splitlines()[-1])
        ]
    print(
        f"{options.items:,} items; {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f} at the end.\n"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
