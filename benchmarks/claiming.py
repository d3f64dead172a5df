"""Claiming from a long queue: 300,000 open places, the rater half done. Prints milliseconds per claim and per label,
of what a reply says of progress, and of the rater's home page while nothing is cached.

    DATABASE_URL=… DATA_DIR=… python -m benchmarks.claiming [--items 100000] [--claims 200]

The database must be empty; on SQLite it lies in DATA_DIR. Each claim is one `claim_next` that fills one slot; each label is
one `submit_annotation(claim=True)`, that is submission and next claim in one transaction.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from datetime import timedelta
from typing import Any

import django


def build(items: int) -> tuple[Any, Any]:
    """A project with one open batch of `items` × 3 places; rater0 has answered the first half."""
    from django.db import connection
    from django.utils import timezone

    from benchmarks.seeding import long_batch

    world, batch = long_batch(items, 1)
    member = world.member("rater0")
    with connection.cursor() as cursor:
        # Claimed one after the other: a queue whose claims all bear one time would be sorted at each look.
        claimed = (
            "%s::timestamptz + rank * interval '1 millisecond'"
            if connection.vendor == "postgresql"
            else "strftime('%%Y-%%m-%%d %%H:%%M:%%f', %s, '+' || (rank / 1000.0) || ' seconds')"
        )
        then = (timezone.now() - timedelta(days=2)).strftime("%Y-%m-%d %H:%M:%S")
        cursor.execute(
            f"UPDATE labeling_assignment SET status='submitted', member_id=%s, claimed_at={claimed}, finished_at=%s"
            " WHERE batch_id=%s AND ordinal=1 AND rank < %s",
            [member.pk, then, then, batch.pk, items // 2],
        )
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    return world, batch


def explain(batch: Any, member: Any) -> str:
    """The database's plan for the candidates' query, with its parameters as in production."""
    from django.db import connection
    from django.utils import timezone

    from labeling.claiming import LOOK_AHEAD, OPEN

    sql, given, *_ = OPEN[False][LOOK_AHEAD]._parts(connection)
    values = {"batch": batch.pk, "member": member.pk, "cohort": member.cohort, "at": timezone.now()}
    with connection.cursor() as cursor:
        cursor.execute(
            f"{'EXPLAIN' if connection.vendor == 'postgresql' else 'EXPLAIN QUERY PLAN'} {sql}",
            [one.bound(values[one.name], connection) for one in given],
        )
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--claims", type=int, default=200)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.core.cache import cache
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client
    from django.utils import timezone

    from labeling.claiming import claim_next, release_place
    from labeling.events import event, record
    from labeling.submission import Answer, submit_annotation
    from labeling.views.desk import desk_state

    call_command("migrate", verbosity=0)
    started = time.perf_counter()
    world, batch = build(options.items)
    print(f"{connection.vendor}: {options.items} items × 3 places laid out in {time.perf_counter() - started:.1f} s")
    gene = world.people["rater0"]
    print(explain(batch, world.member("rater0")))
    claims = []
    for _ in range(options.claims):
        started = time.perf_counter()
        hand = claim_next(by=gene, batch=batch, slots=1)
        claims.append((time.perf_counter() - started) * 1000)
        assert hand.places[0].rank >= options.items // 2
        release_place(by=gene, batch=batch, assignment=hand.places[0].uuid, token=hand.places[0].claim_token)
    labels = []
    hand = claim_next(by=gene, batch=batch)
    for _ in range(options.claims):
        place = hand.places[0]
        started = time.perf_counter()
        hand = submit_annotation(
            by=gene,
            batch=batch,
            assignment=place.uuid,
            token=place.claim_token,
            answer=Answer(value="defect"),
            claim=True,
        ).hand
        labels.append((time.perf_counter() - started) * 1000)
    states = []
    for _ in range(options.claims):
        started = time.perf_counter()
        desk_state(hand, timezone.now(), {place.uuid for place in hand.places})
        states.append((time.perf_counter() - started) * 1000)
    homes = []
    client = Client(headers={"host": "localhost"})
    client.force_login(gene)
    for _ in range(5):
        cache.clear()
        started = time.perf_counter()
        assert client.get("/").status_code == 200
        homes.append((time.perf_counter() - started) * 1000)
    print(f"home with nothing cached: {homes[0]:.0f} ms at first, then {statistics.median(homes[1:]):.0f} ms")
    commits = []
    for _ in range(options.claims):
        started = time.perf_counter()
        record(event("benchmark", batch, by=gene, at=timezone.now()))
        commits.append((time.perf_counter() - started) * 1000)
    for name, values in (
        ("one row inserted and committed", commits),
        ("claim", claims), ("submit and next claim", labels), ("what the reply says of progress", states)
    ):  # fmt: skip
        values.sort()
        print(f"{name}: median {statistics.median(values):.2f} ms, p95 {values[int(len(values) * 0.95)]:.2f} ms")


if __name__ == "__main__":
    main()
