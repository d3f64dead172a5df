"""Room 3, the owner's side: a batch is created, opened by a job, extended, closed and opened again."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from . import jobs, transitions
from .access import Seat, refuse_archived, require
from .db.bulk import insert_places
from .events import event, record
from .hashing import sha256_json
from .models import Assignment, Batch, BatchItem, GuidelineVersion, Item, Job, Project, Quota
from .project_settings import audit_share
from .refusals import BadValue, NotSeen, Refusal
from .selection import Selection, draw, drawn_for_audit, freeze, matching
from .settling import tell_batch_settled, tell_if_settled
from .vocabulary import BatchKind, BatchStatus, Cohort, PlaceOrigin, PlaceStatus

# Rows of one transaction while raters label: a writer on SQLite makes everyone wait.
ITEMS_PER_CHUNK = 100
PLACES_PER_CHUNK = 500
LARGEST_OVERLAP = 50


def clean_quotas(quotas: Mapping[str, Any]) -> dict[str, tuple[int, int | None]]:
    """{cohort: (raters, max_raters)} from {cohort: raters or (raters, max_raters)}; raises BadValue naming the cohort."""
    clean: dict[str, tuple[int, int | None]] = {}
    for cohort, raw in quotas.items():
        raters, most = raw if isinstance(raw, tuple | list) else (raw, None)
        if cohort not in Cohort.values:
            raise BadValue("bad_value", f"Unknown cohort {cohort!r}. Use {', '.join(Cohort.values)}.", field="quotas")
        if not isinstance(raters, int) or not 0 <= raters <= LARGEST_OVERLAP:
            raise BadValue("bad_value", f"Overlap for {cohort} must be 1 to {LARGEST_OVERLAP} raters.", field=cohort)
        if most is not None and most < raters:
            raise BadValue("bad_value", f"The most raters for {cohort} cannot be below its overlap.", field=cohort)
        if raters:
            clean[cohort] = (raters, most)
    if not clean:
        raise BadValue("bad_value", "Give at least one cohort an overlap of 1 or more.", field="quotas")
    return clean


def create_batch(
    *,
    by: Seat,
    name: str,
    guideline_version: GuidelineVersion,
    quotas: Mapping[str, Any],
    selection: Selection | None = None,
    kind: str = BatchKind.LABEL,
    seed: int | None = None,
    priority: int = 0,
    lease_minutes: int = 15,
    at: datetime | None = None,
) -> Batch:
    """A batch in draft: nothing is served until `open_batch`. Raises BadValue or Refusal naming what is wrong."""
    at = at or timezone.now()
    require(by.membership, "dispatch")
    selection = selection or Selection()
    name, clean = _check_plan(by, name, guideline_version, quotas, selection)
    try:
        with transaction.atomic():
            batch = Batch.objects.create(
                project=by.project,
                guideline_version=guideline_version,
                kind=kind,
                name=name,
                priority=priority,
                seed=secrets.randbelow(2**31) if seed is None else seed,
                lease_minutes=lease_minutes,
                selection=selection.as_json(),
            )
            _set_quotas(batch, clean)
            record(
                event(
                    "created",
                    batch,
                    by=by.user,
                    at=at,
                    project=by.project,
                    quotas={c: r for c, (r, _) in clean.items()},
                )
            )
    except IntegrityError:
        raise _name_taken(name) from None
    return batch


def _check_plan(
    by: Seat, name: str, version: GuidelineVersion, quotas: Mapping[str, Any], selection: Selection
) -> tuple[str, dict[str, tuple[int, int | None]]]:
    """Name and quotas in clean form, when a batch can be made of all this."""
    name = name.strip()
    if not name:
        raise BadValue("empty", "Give the batch a name.", field="name")
    if version.project_id != by.project.pk or version.published_at is None:
        raise Refusal("not_published", "Publish the definition first; a batch needs a published version.")
    selection.check()
    return name, clean_quotas(quotas)


def _set_quotas(batch: Batch, clean: Mapping[str, tuple[int, int | None]]) -> None:
    Quota.objects.bulk_create(
        Quota(batch=batch, cohort=cohort, raters=raters, max_raters=most) for cohort, (raters, most) in clean.items()
    )


def _name_taken(name: str) -> BadValue:
    return BadValue("taken", f"There is a batch named “{name}” already. Choose another name.", field="name")


def draft_as_seen(batch: Batch) -> str:
    """A short mark of a draft as a page showed it; see `edit_batch`."""
    quotas = sorted(batch.quotas.values_list("cohort", "raters", "max_raters"))
    columns = [batch.name, batch.guideline_version_id, batch.priority, batch.seed, batch.lease_minutes, batch.selection]
    return sha256_json([*columns, [list(quota) for quota in quotas]])[:16]


def _lock_draft(by: Seat, batch: Batch) -> Batch:
    """The draft, locked: whoever opens it this moment waits, or was faster. Raises NotSeen or `not_draft`."""
    draft = Batch.objects.select_for_update(no_key=True).filter(pk=batch.pk, project=by.project).first()
    if draft is None:
        raise NotSeen("not_found", "There is no such batch for you; a draft may have been discarded meanwhile.")
    if draft.status != BatchStatus.DRAFT:
        raise Refusal("not_draft", "This batch has been opened: it can be extended or closed, no longer rewritten.")
    return draft


def edit_batch(
    *,
    by: Seat,
    batch: Batch,
    name: str,
    guideline_version: GuidelineVersion,
    quotas: Mapping[str, Any],
    selection: Selection,
    seed: int | None = None,
    priority: int = 0,
    lease_minutes: int = 15,
    seen: str = "",
    at: datetime | None = None,
) -> Batch:
    """Rewrite a draft: nobody has been served from it yet. Without `seed` a new one is drawn.

    Raises what `create_batch` raises, `not_draft` once it is opened, and `changed_meanwhile` when `seen` (from
    `draft_as_seen`) is no longer how it stands.
    """
    at = at or timezone.now()
    require(by.membership, "dispatch")
    name, clean = _check_plan(by, name, guideline_version, quotas, selection)
    try:
        with transaction.atomic():
            draft = _lock_draft(by, batch)
            if seen and seen != draft_as_seen(draft):
                raise Refusal("changed_meanwhile", "Someone else changed this draft meanwhile. Look again, then save.")
            draft.name, draft.guideline_version, draft.priority = name, guideline_version, priority
            draft.lease_minutes, draft.selection = lease_minutes, selection.as_json()
            draft.seed = secrets.randbelow(2**31) if seed is None else seed
            draft.save(update_fields=["name", "guideline_version", "priority", "lease_minutes", "selection", "seed"])
            draft.quotas.all().delete()
            _set_quotas(draft, clean)
            told = {cohort: raters for cohort, (raters, _) in clean.items()}
            record(event("edited", draft, by=by.user, at=at, project=by.project, quotas=told))
    except IntegrityError:
        raise _name_taken(name) from None
    return draft


def discard_batch(*, by: Seat, batch: Batch, at: datetime | None = None) -> None:
    """Give a draft up. Nothing was served from it, so nothing else goes with it. Raises `not_draft` once it is opened."""
    at = at or timezone.now()
    require(by.membership, "dispatch")
    with transaction.atomic():
        draft = _lock_draft(by, batch)
        subject = ("batch", draft.pk)
        draft.delete()
        record(event("discarded", subject, by=by.user, at=at, project=by.project, name=batch.name))


def open_batch(*, by: Seat, batch: Batch, at: datetime | None = None) -> Job:
    """Freeze the selection and let a job lay out the places; the batch serves them once it is open.

    A closed batch is opened again by `reopen_batch`.
    """
    at = at or timezone.now()
    require(by.membership, "dispatch")
    with transaction.atomic():
        lock_project(by)
        # Read again under its lock: a draft that was rewritten this moment opens as it stands now.
        plan = Batch.objects.select_for_update(no_key=True).filter(pk=batch.pk)
        raw, version_id = plan.values_list("selection", "guideline_version_id").first() or ({}, None)
        selection = Selection.from_json(raw)
        if not matching(batch.project, selection, version_id=version_id).exists():
            raise Refusal("no_items", "No item passes this selection. Import items, or change the filter.")
        if not transitions.move(
            batch, BatchStatus.OPENING, old=BatchStatus.DRAFT, selection=freeze(batch.project, selection)
        ):
            raise Refusal("not_draft", "This batch has been opened already.")
        record(event("opening", batch, by=by.user, at=at, project=by.project))
        return jobs.enqueue(
            kind="open_batch",
            by=by.user,
            project=batch.project,
            dedup_key=f"open_batch:{batch.pk}",
            parameters={"batch": batch.pk},
        )


def lock_project(by: Seat) -> None:
    """Wait for whoever sets the project aside this moment: a batch must not open behind their back."""
    refuse_archived(Project.objects.select_for_update(no_key=True).get(pk=by.project.pk))


def _chunks(ids: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def lay_out(run: jobs.JobRun, batch: Batch, ids: list[int], what: str) -> int:
    """Insert batch items and their planned places for the item ids, after those already there; returns how many.

    Each chunk is one transaction that holds items and places together, so a job killed here resumes behind the last
    whole chunk.
    """
    present = set(BatchItem.objects.filter(batch=batch).values_list("item_id", flat=True))
    todo = [pk for pk in ids if pk not in present]
    rank = (BatchItem.objects.filter(batch=batch).aggregate(highest=Max("rank"))["highest"] or 0) + 1 if present else 0
    share = audit_share(batch.project)
    quotas = list(Quota.objects.filter(batch=batch))
    done = len(ids) - len(todo)
    for chunk in _chunks(todo, ITEMS_PER_CHUNK):
        uuids = dict(Item.objects.filter(pk__in=chunk).values_list("pk", "uuid"))
        with transaction.atomic():
            BatchItem.objects.bulk_create(
                BatchItem(
                    batch=batch, item_id=pk, rank=rank + offset, audit=drawn_for_audit(batch.seed, uuids[pk], share)
                )
                for offset, pk in enumerate(chunk)
            )
            for quota in quotas:
                insert_places(
                    batch_id=batch.pk, cohort=quota.cohort, first_rank=rank, last_rank=rank + len(chunk) - 1,
                    count=quota.raters, origin=PlaceOrigin.PLANNED,
                )  # fmt: skip
        rank += len(chunk)
        done += len(chunk)
        run.report(done, len(ids), what)
    return len(todo)


@jobs.handles("open_batch")
def open_batch_job(run: jobs.JobRun) -> dict[str, Any]:
    """Lay out the places of a batch, then open it."""
    batch = Batch.objects.select_related("project").get(pk=run.parameters["batch"])
    if batch.status != BatchStatus.OPENING:
        return {"status": batch.status}
    ids = draw(batch.project, batch.selection, batch.seed, batch_id=batch.pk)
    lay_out(run, batch, ids, "laying out places")
    now = timezone.now()
    with transaction.atomic():
        if transitions.move(batch, BatchStatus.OPEN, opened_at=now):
            record(event("opened", batch, by=run.job.by, at=now, project=batch.project, items=len(ids)))
    return {"items": len(ids)}


def add_items(*, by: Seat, batch: Batch, selection: Selection, at: datetime | None = None) -> Job:
    """Add the selected items that are not in the open batch yet, behind those that are."""
    at = at or timezone.now()
    require(by.membership, "dispatch")
    if batch.status != BatchStatus.OPEN:
        raise Refusal("not_open", "Items can be added to an open batch only.")
    _refuse_relabel(batch)
    selection.check()
    frozen = freeze(batch.project, selection, batch_id=batch.pk)
    with transaction.atomic():
        record(event("adding_items", batch, by=by.user, at=at, project=by.project, selection=selection.as_json()))
        return jobs.enqueue(
            kind="add_items",
            by=by.user,
            project=batch.project,
            dedup_key=f"add_items:{batch.pk}:{secrets.token_hex(6)}",
            parameters={"batch": batch.pk, "selection": frozen, "seed": secrets.randbelow(2**31)},
        )


@jobs.handles("add_items")
def add_items_job(run: jobs.JobRun) -> dict[str, Any]:
    batch = Batch.objects.select_related("project").get(pk=run.parameters["batch"])
    if batch.status != BatchStatus.OPEN:
        raise Refusal("not_open", "The batch was closed before the items were added.")
    ids = draw(batch.project, run.parameters["selection"], run.parameters["seed"], batch_id=batch.pk)
    return {"items": lay_out(run, batch, ids, "adding items")}


def _refuse_relabel(batch: Batch) -> None:
    if batch.kind == BatchKind.RELABEL:
        raise Refusal(
            "relabel", "A relabel batch keeps the items and raters it was opened with: its comparison rests on them."
        )


def raise_overlap(*, by: Seat, batch: Batch, quotas: Mapping[str, Any], at: datetime | None = None) -> Job:
    """More raters per item for the whole batch. Planned places: they count for agreement like the first ones."""
    at = at or timezone.now()
    require(by.membership, "dispatch")
    if batch.status != BatchStatus.OPEN:
        raise Refusal("not_open", "Overlap can be raised while the batch is open.")
    _refuse_relabel(batch)
    clean = clean_quotas(quotas)
    current = {quota.cohort: quota for quota in batch.quotas.all()}
    for cohort, (raters, _most) in clean.items():
        if cohort in current and raters < current[cohort].raters:
            raise BadValue(
                "bad_value", f"Overlap for {cohort} is {current[cohort].raters} and can only rise; places are never taken away.",
                field=cohort,
            )  # fmt: skip
    with transaction.atomic():
        for cohort, (raters, most) in clean.items():
            if cohort in current and most is None and current[cohort].max_raters is not None:
                most = max(raters, current[cohort].max_raters or 0)
            Quota.objects.update_or_create(batch=batch, cohort=cohort, defaults={"raters": raters, "max_raters": most})
        record(
            event(
                "raised_overlap",
                batch,
                by=by.user,
                at=at,
                project=by.project,
                quotas={c: r for c, (r, _) in clean.items()},
            )
        )
        return _enqueue_top_up(by, batch)


def _enqueue_top_up(by: Seat, batch: Batch) -> Job:
    return jobs.enqueue(
        kind="top_up_places",
        by=by.user,
        project=batch.project,
        dedup_key=f"top_up_places:{batch.pk}",
        parameters={"batch": batch.pk},
    )


@jobs.handles("top_up_places")
def top_up_places_job(run: jobs.JobRun) -> dict[str, Any]:
    """Give each item of an open batch as many places, neither skipped nor void, as its quota says."""
    batch = Batch.objects.get(pk=run.parameters["batch"])
    total = (BatchItem.objects.filter(batch=batch).aggregate(highest=Max("rank"))["highest"] or 0) + 1
    added = 0
    for first in range(0, total, ITEMS_PER_CHUNK):
        with transaction.atomic():
            # Locked: a close that comes in between would leave the new places open for ever.
            status = Batch.objects.select_for_update(no_key=True).values_list("status", flat=True).get(pk=batch.pk)
            if status != BatchStatus.OPEN:
                break
            last = first + ITEMS_PER_CHUNK - 1
            if batch.kind == BatchKind.RELABEL and batch.selection.get("same_raters", True):
                added += _bring_back(batch, first, last)
            else:
                added += sum(_top_up(batch, quota, first, last) for quota in Quota.objects.filter(batch=batch))
        run.report(min(first + ITEMS_PER_CHUNK, total), total, "adding places")
    return {"places": added}


def _top_up(batch: Batch, quota: Quota, first: int, last: int) -> int:
    places: dict[int, list[tuple[int, str]]] = {}
    rows = Assignment.objects.filter(batch=batch, cohort=quota.cohort, rank__gte=first, rank__lte=last)
    for batch_item_id, ordinal, status in rows.values_list("batch_item_id", "ordinal", "status"):
        places.setdefault(batch_item_id, []).append((ordinal, status))
    new = []
    # Nobody labels a withdrawn item any more.
    items = BatchItem.objects.filter(batch=batch, rank__gte=first, rank__lte=last, item__withdrawn_at__isnull=True)
    for pk, rank in items.values_list("pk", "rank"):
        held = places.get(pk, [])
        alive = sum(status not in (PlaceStatus.SKIPPED, PlaceStatus.VOID) for _, status in held)
        kept = sum(status != PlaceStatus.VOID for _, status in held)
        want = quota.raters - alive
        if quota.max_raters is not None:
            want = min(want, quota.max_raters - kept)
        highest = max((ordinal for ordinal, _ in held), default=0)
        new += [
            Assignment(
                batch_item_id=pk, batch_id=batch.pk, cohort=quota.cohort, ordinal=highest + step, rank=rank,
                origin=PlaceOrigin.PLANNED,
            )
            for step in range(1, want + 1)
        ]  # fmt: skip
    Assignment.objects.bulk_create(new)
    return len(new)


def _bring_back(batch: Batch, first: int, last: int) -> int:
    """New places for those that were void when the batch closed, each for the rater it was kept for."""
    kept: dict[tuple[int, str], tuple[int, int, set[int], set[int]]] = {}
    rows = Assignment.objects.filter(batch=batch, rank__gte=first, rank__lte=last)
    for item, rank, cohort, ordinal, status, reserved, member in rows.values_list(
        "batch_item_id", "rank", "cohort", "ordinal", "status", "reserved_for_id", "member_id"
    ):
        _, highest, gone, there = kept.setdefault((item, cohort), (rank, 0, set(), set()))
        kept[item, cohort] = (rank, max(highest, ordinal), gone, there)
        if status == PlaceStatus.VOID:
            gone.add(reserved)
        else:
            there.update({reserved, member})
    new = [
        Assignment(
            batch_item_id=item, batch_id=batch.pk, cohort=cohort, ordinal=highest + step, rank=rank,
            origin=PlaceOrigin.PLANNED, reserved_for_id=member,
        )
        for (item, cohort), (rank, highest, gone, there) in kept.items()
        for step, member in enumerate(sorted(gone - there - {None}), start=1)
    ]  # fmt: skip
    Assignment.objects.bulk_create(new)
    return len(new)


def close_batch(*, by: Seat, batch: Batch, at: datetime | None = None) -> Job:
    """Serve no more places. Claimed ones are honoured until their lease ends; answers stay for ever."""
    at = at or timezone.now()
    require(by.membership, "dispatch")
    with transaction.atomic():
        Batch.objects.select_for_update(no_key=True).get(pk=batch.pk)
        if not transitions.move(batch, BatchStatus.CLOSED, old=BatchStatus.OPEN, closed_at=at):
            raise Refusal("not_open", "Only an open batch can be closed.")
        record(event("closed", batch, by=by.user, at=at, project=by.project))
        return jobs.enqueue(
            kind="void_open_places",
            by=by.user,
            project=batch.project,
            dedup_key=f"void_open_places:{batch.pk}",
            parameters={"batch": batch.pk},
        )


@jobs.handles("void_open_places")
def void_open_places_job(run: jobs.JobRun) -> dict[str, Any]:
    """Void what is still open in a closed batch, then tell which items settled by that."""
    batch = Batch.objects.select_related("project").get(pk=run.parameters["batch"])
    voided = 0
    while True:
        with transaction.atomic():
            status = Batch.objects.select_for_update(no_key=True).values_list("status", flat=True).get(pk=batch.pk)
            if status != BatchStatus.CLOSED:
                break  # opened again meanwhile
            # skip_locked: a place that is being claimed this moment is honoured until its lease ends.
            open_places = Assignment.objects.select_for_update(skip_locked=True, no_key=True).filter(
                batch=batch, status=PlaceStatus.OPEN
            )
            rows = list(open_places.order_by("pk").values_list("pk", "batch_item_id", "cohort")[:PLACES_PER_CHUNK])
            voided += transitions.move_all(
                Assignment.objects.filter(pk__in=[pk for pk, _, _ in rows]), PlaceStatus.OPEN, PlaceStatus.VOID
            )
        if not rows:
            break
        if voided <= PLACES_PER_CHUNK:
            for batch_item_id, cohort in dict.fromkeys((item, cohort) for _, item, cohort in rows):
                tell_if_settled(batch_item_id, cohort)
        run.report(voided, None, "closing places")
    if voided > PLACES_PER_CHUNK:
        tell_batch_settled(batch, run.job.by)
    return {"places": voided}


def reopen_batch(*, by: Seat, batch: Batch, at: datetime | None = None) -> Job:
    """Open a closed batch again: items short of their overlap get new places; nothing that was answered changes."""
    at = at or timezone.now()
    require(by.membership, "dispatch")
    if batch.kind == BatchKind.IMPORT:
        raise Refusal("imported", "Imported labels are a closed record; open a new batch over these items instead.")
    with transaction.atomic():
        lock_project(by)
        Batch.objects.select_for_update(no_key=True).get(pk=batch.pk)
        if not transitions.move(batch, BatchStatus.OPEN, old=BatchStatus.CLOSED, closed_at=None):
            raise Refusal("not_closed", "Only a closed batch can be opened again.")
        record(event("reopened", batch, by=by.user, at=at, project=by.project))
        return _enqueue_top_up(by, batch)
