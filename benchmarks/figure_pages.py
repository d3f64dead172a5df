"""Pages of figures over many labels: the first measuring, and each page once that was done.

    python -m benchmarks.figure_pages [--items 100000] [--labels FILE --options cohorts=crowd=generalist,...] [--databases sqlite,postgresql]

Without a file the batch is that of `exporting`: each item has three answers. With one, its labels are imported as
`manage.py import_labels` does. Pages are asked for through Django's test client, each three times; the middle time counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.databases import own_database
from benchmarks.labels import ROOT


def _imported(file: str, options: dict[str, str]) -> Any:
    from django.core.management import call_command

    from labeling.models import Batch, Membership, Project
    from tests.worlds import make_user

    project = Project.objects.create(slug="real", name="Real", task_type="single_choice", question="Which?",
                                     payload_schema={"fields": [{"name": "text", "kind": "text"}]})  # fmt: skip
    Membership.objects.create(project=project, user=make_user("olga"), role="owner")
    call_command("import_labels", "real", file, create_items=True, verbosity=0, **options)
    return Batch.objects.select_related("project", "guideline_version").get(project=project, parent=None)


def measure(items: int, file: str, options: dict[str, str]) -> list[dict[str, Any]]:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from benchmarks.exporting import seed
    from consistency.comparing import compare_batch
    from consistency.input_reporting import report_now
    from consistency.measuring import measure_now
    from labeling import jobs
    from labeling.models import Annotation, Batch, User

    if file:
        batch = _imported(file, options)
    else:
        batch = Batch.objects.select_related("project", "guideline_version").get(uuid=seed(items))
    labels = Annotation.objects.count()
    found: list[dict[str, Any]] = []

    def timed(name: str, act: Any) -> Any:
        began = time.perf_counter()
        made = act()
        found.append({"page": name, "labels": labels, "seconds": time.perf_counter() - began, "queries": ""})
        return made

    timed("comparing, first", lambda: compare_batch(batch=batch))
    timed("measuring, first", lambda: measure_now(batch))
    timed("measuring, nothing changed", lambda: measure_now(batch))
    timed("input report, first", lambda: report_now(batch))
    timed("input report, nothing changed", lambda: report_now(batch))
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(User.objects.get(username="olga"))
    at = f"/projects/{batch.project.slug}/"
    for name, path in {
        "overview": at,
        "batch": f"{at}batches/{batch.uuid}/",
        "figures": f"{at}batches/{batch.uuid}/figures/",
        "HLP": f"{at}hlp/?batch={batch.uuid}",
        "HLP, rater against rater": f"{at}hlp/?batch={batch.uuid}&kind=raters",
        "agreement CSV": f"{at}batches/{batch.uuid}/figures/agreement.csv",
        "improve the input": f"{at}input/?batch={batch.uuid}",
        "bench": f"{at}bench/?batch={batch.uuid}",
        "bench by cluster": f"{at}bench/?batch={batch.uuid}&order=cluster",
        "vote": f"{at}bench/votes/{batch.uuid}/",
        "home": "/",
    }.items():
        client.get(path)  # what the first page of a process loads
        while (job := jobs.take()) is not None:
            jobs.run(job, heartbeat=False)
        seconds = []
        for _ in range(3):
            with CaptureQueriesContext(connection) as queries:
                began = time.perf_counter()
                answer: Any = client.get(path)
                _ = b"".join(answer.streaming_content) if answer.streaming else answer.content
                seconds.append(time.perf_counter() - began)
            assert answer.status_code == 200, (path, answer.status_code)
        slowest = max(queries.captured_queries, key=lambda one: float(one["time"]), default={"time": "0", "sql": ""})
        found.append({"page": name, "labels": labels, "seconds": statistics.median(seconds), "queries": len(queries), "slowest": slowest})  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--labels", default="")
    parser.add_argument("--options", default="", help="options of import_labels, as name=value;name=value")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--slowest", action="store_true", help="also print each page's slowest query")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        given = dict(one.split("=", 1) for one in options.options.split(";") if one)
        print(json.dumps(measure(options.items, options.labels, given)))
        return
    lines = ["| database | labels | what | seconds | queries |", "|---|---|---|---|---|"]
    for database in options.databases.split(","):
        with own_database(database, CONCORD_STATIC_PLAIN="1") as environment:
            asked = ["--items", str(options.items), "--labels", options.labels, "--options", options.options]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.figure_pages", "--inside", *asked],
                cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
        for one in json.loads(done.stdout.strip().splitlines()[-1]):
            lines.append(
                f"| {database} | {one['labels']:,} | {one['page']} | {one['seconds']:.2f} | {one['queries']} |"
            )
            if options.slowest and one.get("slowest"):
                lines.append(f"<!-- {one['slowest']['time']} s: {one['slowest']['sql'][:700]} -->")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the end.\n")  # fmt: skip
    print("\n".join(lines))


if __name__ == "__main__":
    main()
