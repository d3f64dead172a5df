"""Addresses of batches and background jobs."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from labeling import dispatch
from labeling.models import Batch, Job
from labeling.selection import Selection
from tests.url_table import Row, by_role, owner_only, setup_only, slug
from tests.worlds import World, run_jobs


def at(world: World, batch: Batch) -> dict[str, Any]:
    return {"slug": world.project.slug, "uuid": batch.uuid}


def named(world: World, name: str) -> Batch | None:
    """The batch of an earlier row of the same world."""
    return Batch.objects.filter(project=world.project, name=name).first()


def opened(world: World) -> dict[str, Any]:
    return at(world, named(world, "First look") or world.open_batch())


def draft(world: World) -> dict[str, Any]:
    return at(
        world,
        named(world, "Draft")
        or dispatch.create_batch(
            by=world.seat("olga"), name="Draft", guideline_version=world.version, quotas={"generalist": 2},
            selection=Selection(),
        ),
    )  # fmt: skip


def closed(world: World) -> dict[str, Any]:
    batch = named(world, "Closed")
    if batch is None:
        batch = world.open_batch("Closed")
        dispatch.close_batch(by=world.seat("olga"), batch=batch)
        run_jobs()
    return at(world, batch)


def a_job(world: World, **more: Any) -> dict[str, Any]:
    job = Job.objects.create(
        kind="open_batch", project=world.project, dedup_key=f"row:{Job.objects.count()}", by=world.people["mel"],
        created_at=timezone.now(), **more,
    )  # fmt: skip
    return {"uuid": job.uuid}


def a_failed_job(world: World) -> dict[str, Any]:
    return a_job(world, status="failed", error="The disk was full.", parameters={"batch": 0})


def new_batch(world: World) -> dict[str, Any]:
    return {
        "name": f"Batch {timezone.now().timestamp()}", "version": str(world.version.uuid), "mode": "all",
        "order": "shuffled", "raters_generalist": "2", "act": "draft",
    }  # fmt: skip


def rewritten(world: World) -> dict[str, Any]:
    return {**new_batch(world), "name": "Draft, rewritten", "raters_expert": "1"}


exporters = by_role(olga=200, mel=200, sam=403, gene=403)

ROWS = [
    Row("batches", setup_only(), kwargs=slug),
    Row("batch_create", owner_only(), kwargs=slug),
    Row("batch_create", owner_only(302), kwargs=slug, method="post", data=new_batch),
    Row("batch_create", owner_only(422), kwargs=slug, method="post"),
    Row("batch_estimate", owner_only(), kwargs=slug, query="?mode=all&order=shuffled&raters_expert=3", page=False),
    Row("batch", setup_only(), kwargs=opened),
    Row("batch", setup_only(), kwargs=draft, query="?state=draft"),
    Row("batch", setup_only(), kwargs=closed, query="?state=closed"),
    Row("batch_edit", owner_only(), kwargs=draft),
    Row("batch_edit", owner_only(302), kwargs=draft, method="post", data=rewritten),
    Row("batch_edit", owner_only(422), kwargs=draft, method="post", data=lambda world: {"name": ""}),
    Row("batch_discard", owner_only(), kwargs=draft),
    Row("batch_discard", owner_only(302), kwargs=draft, method="post"),
    Row("batch_open", owner_only(), kwargs=draft),
    Row("batch_open", owner_only(302), kwargs=draft, method="post"),
    Row("batch_close", owner_only(), kwargs=opened),
    Row("batch_close", owner_only(302), kwargs=opened, method="post"),
    Row("batch_reopen", owner_only(), kwargs=closed),
    Row("batch_reopen", owner_only(302), kwargs=closed, method="post"),
    Row("batch_add_items", owner_only(), kwargs=opened),
    Row(
        "batch_add_items", owner_only(302), kwargs=opened, method="post",
        data=lambda world: {"mode": "all", "order": "shuffled", "act": "add"},
    ),
    Row("batch_add_items", owner_only(422), kwargs=opened, method="post", data=lambda world: {"mode": "random"}),
    Row("batch_raise_overlap", owner_only(), kwargs=opened),
    Row(
        "batch_raise_overlap", owner_only(302), kwargs=opened, method="post",
        data=lambda world: {"raters_generalist": "3"},
    ),
    Row("batch_raise_overlap", owner_only(422), kwargs=opened, method="post", data=lambda world: {"raters_generalist": "1"}),
    Row("batch_export", exporters, kwargs=opened, page=False),
    Row("batch_export", exporters, kwargs=opened, query="?format=jsonl", page=False),
    Row("batch_export", by_role(olga=200, mel=403, sam=403, gene=403), kwargs=opened, query="?names=1", page=False),
    Row("jobs", setup_only(), kwargs=slug),
    Row("job", {**setup_only(), "anonymous": 401}, kwargs=a_job, json=True, page=False),
    Row("job_retry", by_role(olga=302, mel=302, sam=403, gene=403), kwargs=a_failed_job, method="post"),
]  # fmt: skip
