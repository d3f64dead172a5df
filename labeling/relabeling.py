"""A batch that labels items of an earlier one again, by the same raters, blind to their old answers.

Items have a role: `affected` (chosen because people differed on them), `control` (chosen because they did not),
`normal` (drawn at random from the earlier batch) and `fresh` (never labeled). Every place is kept for one rater of the
earlier batch: other people could not tell the definition from themselves.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from . import jobs, transitions
from .access import Seat, require
from .db.bulk import insert_places
from .dispatch import clean_quotas, lock_project
from .events import event, record
from .models import Assignment, Batch, BatchItem, GuidelineVersion, Item, Membership, Quota
from .project_settings import audit_share
from .queries.relabeling import quotas_of, raters_of
from .refusals import BadValue, NotSeen, Refusal
from .selection import drawn_for_audit, shown_as_examples
from .vocabulary import BatchKind, BatchStatus, ItemRole, PlaceOrigin, PlaceStatus

ROLES = (ItemRole.AFFECTED, ItemRole.CONTROL, ItemRole.NORMAL, ItemRole.FRESH)
ROWS_PER_CHUNK = 500
MOST_ITEMS = 200_000


@dataclass(frozen=True)
class RelabelItems:
    """Ids of the items of a relabel batch, by role."""

    affected: Sequence[int] = ()
    control: Sequence[int] = ()
    normal: Sequence[int] = ()
    fresh: Sequence[int] = ()
    # Items of the earlier batch that are left out because the new definition shows them as examples.
    examples: int = field(default=0)

    def by_role(self) -> dict[str, list[int]]:
        """{role: ids}, each item once: an earlier role wins."""
        seen: set[int] = set()
        found: dict[str, list[int]] = {}
        for role in ROLES:
            found[role] = [pk for pk in dict.fromkeys(getattr(self, role)) if pk not in seen]
            seen.update(found[role])
        return found


def open_relabel_batch(
    *,
    by: Seat,
    parent: Batch,
    guideline_version: GuidelineVersion,
    name: str,
    items: RelabelItems,
    same_raters: bool = True,
    seed: int | None = None,
    priority: int = 0,
    lease_minutes: int | None = None,
    at: datetime | None = None,
) -> Batch:
    """A batch of kind `relabel` over these items; a job lays out its places in a seeded order and opens it.

    With `same_raters` each item of the earlier batch goes to those who labeled it there, and fresh ones to them in
    turn; without, to anyone of their cohorts (a comparison then cannot separate the definition from the people).
    Raises BadValue for items that do not belong here, Refusal `nobody` when none of the raters is a member any more.
    """
    at = at or timezone.now()
    require(by.membership, "dispatch")
    if parent.project_id != by.project.pk:
        raise NotSeen("not_found", "There is no such batch for you.")
    if parent.status not in (BatchStatus.OPEN, BatchStatus.CLOSED):
        raise Refusal("not_labeled", "The earlier batch has not been labeled yet.")
    name = name.strip()[:120]
    if not name:
        raise BadValue("empty", "Give the batch a name.", field="name")
    if guideline_version.project_id != by.project.pk or guideline_version.published_at is None:
        raise Refusal("not_published", "Publish the definition first; a batch needs a published version.")
    roles = items.by_role()
    if not any(roles.values()):
        raise BadValue("empty", "Choose at least one item to label again.", field="items")
    _check_items(by, parent, guideline_version, roles)
    raters = raters_of(parent)
    if same_raters and not raters:
        raise Refusal(
            "nobody",
            "None of those who labeled the earlier batch can label here now, so nobody can label it again blind. "
            "Others may relabel; the comparison then cannot separate the definition from the people.",
        )
    quotas = clean_quotas(quotas_of(parent))
    if same_raters:
        quotas = {cohort: plan for cohort, plan in quotas.items() if cohort in {rater.cohort for rater in raters}}
    try:
        with transaction.atomic():
            lock_project(by)
            batch = Batch.objects.create(
                project=by.project,
                guideline_version=guideline_version,
                kind=BatchKind.RELABEL,
                name=name,
                parent=parent,
                priority=priority,
                seed=secrets.randbelow(2**31) if seed is None else seed,
                lease_minutes=lease_minutes or parent.lease_minutes,
                selection={
                    "mode": "relabel",
                    "same_raters": same_raters,
                    "examples": items.examples,
                    **{role: len(ids) for role, ids in roles.items()},
                },
            )
            # No replacements: a place that its rater skips can be taken by nobody else.
            Quota.objects.bulk_create(
                Quota(batch=batch, cohort=cohort, raters=raters_, max_raters=raters_ if same_raters else most)
                for cohort, (raters_, most) in quotas.items()
            )
            transitions.move(batch, BatchStatus.OPENING)
            record(
                event(
                    "created", batch, by=by.user, at=at, project=by.project, kind=BatchKind.RELABEL, parent=parent.pk,
                    roles={role: len(ids) for role, ids in roles.items()},
                ),
                event("opening", batch, by=by.user, at=at, project=by.project),
            )  # fmt: skip
            jobs.enqueue(
                kind="open_relabel_batch",
                by=by.user,
                project=by.project,
                dedup_key=f"open_relabel_batch:{batch.pk}",
                parameters={"batch": batch.pk, "roles": roles},
            )
    except IntegrityError:
        raise BadValue(
            "taken", f"There is a batch named “{name}” already. Choose another name.", field="name"
        ) from None
    return batch


def _check_items(by: Seat, parent: Batch, version: GuidelineVersion, roles: Mapping[str, list[int]]) -> None:
    """Every item is the project's and there; all but fresh ones are in the earlier batch; none is shown as an example."""
    every = [pk for ids in roles.values() for pk in ids]
    if len(every) > MOST_ITEMS:
        raise BadValue("too_many", f"At most {MOST_ITEMS:,} items can be labeled again at once.", field="items")
    examples = set(shown_as_examples(version.pk).values_list("item_id", flat=True))
    fresh = set(roles[ItemRole.FRESH])
    for chunk in _chunks(every, ROWS_PER_CHUNK):
        there = set(Item.objects.available().filter(project=by.project, pk__in=chunk).values_list("pk", flat=True))
        held = set(BatchItem.objects.filter(batch=parent, item__in=chunk).values_list("item_id", flat=True))
        for pk in chunk:
            if pk not in there:
                raise BadValue(
                    "bad_value", "One of the items is not there any more. Look at the offer again.", field="items"
                )
            if (pk in held) == (pk in fresh):
                words = "was labeled already" if pk in fresh else "is not in the earlier batch"
                raise BadValue("bad_value", f"One of the items {words}. Look at the offer again.", field="items")
            if pk in examples:
                raise BadValue(
                    "bad_value",
                    "One of the items is shown as an example: its raters have read the answer.",
                    field="items",
                )


def _chunks(ids: list[int], size: int) -> Iterable[list[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


@jobs.handles("open_relabel_batch")
def open_relabel_batch_job(run: jobs.JobRun) -> dict[str, Any]:
    """Lay out items and places, each chunk in one transaction, then open the batch. Killed half-way it goes on there."""
    batch = Batch.objects.select_related("project", "parent").get(pk=run.parameters["batch"])
    if batch.status != BatchStatus.OPENING:
        return {"status": batch.status}
    role_of = {pk: role for role, ids in run.parameters["roles"].items() for pk in ids}
    order = sorted(role_of)
    random.Random(batch.seed).shuffle(order)
    _lay_out(run, batch, order, role_of)
    now = timezone.now()
    with transaction.atomic():
        if transitions.move(batch, BatchStatus.OPEN, opened_at=now):
            record(event("opened", batch, by=run.job.by, at=now, project=batch.project, items=len(order)))
    return {"items": len(order)}


def _lay_out(run: jobs.JobRun, batch: Batch, order: list[int], role_of: Mapping[int, str]) -> None:
    assert batch.parent is not None  # open_relabel_batch gave it one
    present = set(BatchItem.objects.filter(batch=batch).values_list("item_id", flat=True))
    todo = [(rank, pk) for rank, pk in enumerate(order) if pk not in present]
    quotas = {quota.cohort: quota.raters for quota in batch.quotas.all()}
    same_raters = bool(batch.selection.get("same_raters", True))
    turn = _Turn(raters_of(batch.parent), quotas, batch.seed)
    fresh_at = {pk: at for at, pk in enumerate(pk for pk in order if role_of[pk] == ItemRole.FRESH)}
    share = audit_share(batch.project)
    size = max(1, ROWS_PER_CHUNK // max(1, sum(quotas.values())))
    done = len(order) - len(todo)
    for start in range(0, len(todo), size):
        chunk = todo[start : start + size]
        ids = [pk for _, pk in chunk]
        uuids = dict(Item.objects.filter(pk__in=ids).values_list("pk", "uuid"))
        before = _who_labeled(batch.parent, ids) if same_raters else {}
        with transaction.atomic():
            BatchItem.objects.bulk_create(
                BatchItem(
                    batch=batch, item_id=pk, rank=rank, role=role_of[pk],
                    audit=drawn_for_audit(batch.seed, uuids[pk], share),
                )
                for rank, pk in chunk
            )  # fmt: skip
            if same_raters:
                rows = BatchItem.objects.filter(batch=batch, rank__gte=chunk[0][0], rank__lte=chunk[-1][0])
                places: list[Assignment] = []
                for pk, item_id, rank in rows.values_list("pk", "item_id", "rank"):
                    fresh = fresh_at.get(item_id)
                    members = before.get(item_id, []) if fresh is None else turn.of(fresh)
                    places += _places(batch, pk, rank, members)
                Assignment.objects.bulk_create(places)
            else:
                for cohort, count in quotas.items():
                    insert_places(
                        batch_id=batch.pk, cohort=cohort, first_rank=chunk[0][0], last_rank=chunk[-1][0], count=count,
                        origin=PlaceOrigin.PLANNED,
                    )  # fmt: skip
        done += len(chunk)
        run.report(done, len(order), "laying out places")


def _places(batch: Batch, batch_item_id: int, rank: int, members: Iterable[tuple[int, str]]) -> list[Assignment]:
    ordinals: dict[str, int] = {}
    places = []
    for member_id, cohort in members:
        ordinals[cohort] = ordinals.get(cohort, 0) + 1
        places.append(
            Assignment(
                batch_item_id=batch_item_id, batch_id=batch.pk, cohort=cohort, ordinal=ordinals[cohort], rank=rank,
                origin=PlaceOrigin.PLANNED, reserved_for_id=member_id,
            )
        )  # fmt: skip
    return places


def _who_labeled(parent: Batch, ids: Sequence[int]) -> dict[int, list[tuple[int, str]]]:
    """{item: its (member, cohort now) in the earlier batch} of those who can still label; planned places only."""
    rows = (
        Assignment.objects.filter(batch=parent, batch_item__item__in=ids, status=PlaceStatus.SUBMITTED)
        .filter(member__active=True, member__cohort__isnull=False, member__user__is_active=True)
        .exclude(origin=PlaceOrigin.EXTRA)
        .order_by("cohort", "ordinal")
    )
    found: dict[int, list[tuple[int, str]]] = {}
    for item_id, member_id, cohort in rows.values_list("batch_item__item_id", "member_id", "member__cohort"):
        found.setdefault(item_id, []).append((member_id, str(cohort)))
    return found


class _Turn:
    """Who labels a fresh item: of each cohort as many as its overlap, in turn, so that all get equally many."""

    def __init__(self, raters: Sequence[Membership], quotas: Mapping[str, int], seed: int) -> None:
        self._quotas = quotas
        self._members: dict[str, list[int]] = {}
        for rater in raters:
            self._members.setdefault(str(rater.cohort), []).append(rater.pk)
        rng = random.Random(seed)
        for members in self._members.values():
            rng.shuffle(members)

    def of(self, number: int) -> list[tuple[int, str]]:
        """(member, cohort) of the fresh item with that number."""
        found = []
        for cohort, count in self._quotas.items():
            members = self._members.get(cohort, [])
            for step in range(min(count, len(members))):
                found.append((members[(number * count + step) % len(members)], cohort))
        return found
