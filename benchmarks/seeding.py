"""A project with a long open batch, laid down by a few statements of bulk SQL: a million items in some minutes."""

from __future__ import annotations

import hashlib
from typing import Any

# Items of one statement; each is a transaction of its own, as when a batch is opened.
CHUNK = 100_000


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _numbers(vendor: str) -> str:
    """Rows n = first … last, of two parameters."""
    if vendor == "postgresql":
        return "(SELECT generate_series(%s::bigint, %s::bigint) AS n) AS numbers"
    return "(WITH RECURSIVE s(n) AS (SELECT %s UNION ALL SELECT n + 1 FROM s WHERE n < %s) SELECT n FROM s) AS numbers"


def long_batch(items: int, raters: int, *, overlap: int = 3, name: str = "Long") -> tuple[Any, Any]:
    """(world, batch): `items` short notes × `overlap` places, and `raters` generalists who have read the definition.

    The raters are `world.people["rater0"]` and so on. The database must be empty.
    """
    from django.db import connection
    from django.utils import timezone

    from labeling.claiming import acknowledge_version
    from labeling.db.bulk import POSTGRESQL_UUID, SQLITE_UUID, insert_places
    from labeling.models import Batch, Membership, Quota
    from tests.worlds import World, make_user

    world = World.build(items=0)
    batch = Batch.objects.create(
        project=world.project, guideline_version=world.version, name=name, status="open", opened_at=timezone.now()
    )
    Quota.objects.create(batch=batch, cohort="generalist", raters=overlap)
    postgresql = connection.vendor == "postgresql"
    uuid = POSTGRESQL_UUID if postgresql else SQLITE_UUID
    payload = """'{"text":"Note number ' || n || ': a mark near the camera."}'"""
    digest = f"encode(sha256(({payload})::bytea), 'hex')" if postgresql else f"sha256_of({payload})"
    no = "FALSE" if postgresql else "0"
    json = "::jsonb" if postgresql else ""
    connection.ensure_connection()
    if not postgresql:
        connection.connection.create_function("sha256_of", 1, _sha256, deterministic=True)
    if postgresql:
        with connection.cursor() as cursor:  # no foreign key is checked for each of millions of rows (superusers only)
            cursor.execute("SET session_replication_role = replica")
    for first in range(0, items, CHUNK):
        last = min(first + CHUNK, items) - 1
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO labeling_item (uuid, project_id, external_id, payload, metadata, payload_sha256) "
                f"SELECT {uuid}, %s, 'n' || n, ({payload}){json}, '{{}}'{json}, {digest} FROM {_numbers(connection.vendor)} ORDER BY n",
                [world.project.pk, first, last],
            )
            cursor.execute("SELECT MAX(id) FROM labeling_item")
            newest = cursor.fetchone()[0]
            cursor.execute(
                "INSERT INTO labeling_batchitem (uuid, batch_id, item_id, rank, role, audit) "
                f"SELECT {uuid}, %s, id, %s + id, 'normal', {no} FROM labeling_item WHERE id > %s ORDER BY id",
                [batch.pk, last - newest, newest - (last - first + 1)],
            )
        insert_places(
            batch_id=batch.pk, cohort="generalist", first_rank=first, last_rank=last, count=overlap, origin="planned"
        )
    if postgresql:
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = origin")
    for number in range(raters):
        person = world.people[f"rater{number}"] = make_user(f"rater{number}")
        Membership.objects.create(project=world.project, user=person, role="rater", cohort="generalist")
        acknowledge_version(by=person, batch=batch)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if postgresql else "ANALYZE")
    return world, Batch.objects.select_related("project", "guideline_version").get(pk=batch.pk)
