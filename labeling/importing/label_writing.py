"""The second pass for labels: the version, batches and raters they stand under, then places and annotations in order."""

from __future__ import annotations

import json
import time
import uuid
from datetime import datetime
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from .. import task_types, transitions
from ..db.intake import CHUNK, ids_by_uuid, insert_rows, known_items, let_others_write, new_uuids, stamp
from ..events import event, record
from ..hashing import answer_sha256, canonical_json, sha256_json
from ..models import (
    Annotation,
    Assignment,
    Batch,
    BatchItem,
    Gold,
    GuidelineVersion,
    ImportRun,
    Item,
    ItemTag,
    LabelDefinition,
    Membership,
    User,
)
from ..queries.guideline_content import content_sha256
from ..refusals import Refusal
from ..settling import tell_batch_settled
from ..vocabulary import (
    COLOUR_TOKENS,
    AnnotationOrigin,
    BatchKind,
    BatchStatus,
    GoldOrigin,
    ItemRole,
    Outcome,
    PlaceOrigin,
    PlaceStatus,
    Role,
    VersionStatus,
)
from . import runs
from .label_columns import LabelMapping
from .label_store import LabelStore, Place

# A label is a place and an annotation, and may open a batch item with its gold: four rows at most.
LABELS_PER_CHUNK = CHUNK // 4
PLACEHOLDER = "placeholder"
BATCH_ITEM_COLUMNS = ("uuid", "batch_id", "item_id", "rank", "role", "audit")
PLACE_COLUMNS = (
    "uuid", "batch_item_id", "batch_id", "cohort", "ordinal", "rank", "status", "origin", "member_id", "claimed_at", "finished_at",
)  # fmt: skip
ANNOTATION_COLUMNS = (
    "uuid", "assignment_id", "revision", "guideline_version_id", "value", "value_sha256", "outcome", "borderline", "reason",
    "comment", "origin", "assisted_by", "blind", "idempotency_key", "at",
)  # fmt: skip
GOLD_COLUMNS = ("uuid", "item_id", "value", "origin", "import_run_id", "rationale", "by_id", "at")


class LabelWriter:
    """Writes one run's labels. Every transaction moves the run's cursor, so nothing is written twice."""

    def __init__(self, run: ImportRun, store: LabelStore, mapping: LabelMapping, keys: list[str]) -> None:
        self._run, self._store, self._mapping, self._keys = run, store, mapping, keys
        self._task = task_types.get(run.project.task_type)
        self._now = timezone.now()
        self._members: dict[str, int] = {}
        self._batches: list[Batch] = []
        self._values: dict[str, tuple[str, str]] = {}

    def found(self) -> None:
        """Make the version with its labels, and the batches, in the transaction that takes the run's turn.

        Until the run is done the batches stay in opening, where the ledger's seal lets a discarded import be removed, and
        of kind import, the retest ones too.
        """
        name = runs.name_of(self._run)
        version = self._make_version(name)
        LabelDefinition.objects.bulk_create(
            LabelDefinition(
                version=version,
                key=key,
                name=key,
                ordinal=ordinal,
                colour_token=COLOUR_TOKENS[ordinal % len(COLOUR_TOKENS)],
            )
            for ordinal, key in enumerate(self._keys if self._task.has_labels else [])
        )
        parent = None
        for repeat in range(1, max(1, self._repeats()) + 1):
            title = f"Imported: {name}" if repeat == 1 else f"Imported: {name}, repeat {repeat}"
            batch = self._make_batch(title, version, parent)
            parent = parent or batch

    def _repeats(self) -> int:
        return max(self._store.repeats(), default=0)

    def _make_version(self, name: str) -> GuidelineVersion:
        run = self._run
        for _ in range(20):
            newest = GuidelineVersion.objects.filter(project=run.project).aggregate(newest=Max("number"))["newest"] or 0
            try:
                with transaction.atomic():
                    return GuidelineVersion.objects.create(
                        project=run.project, number=newest + 1, status=VersionStatus.AS_IMPORTED, saved_by=run.by,
                        body="These labels were given elsewhere; what the raters were told is not recorded here.",
                        change_note=f"As imported from {name}",
                    )  # fmt: skip
            except IntegrityError:
                continue  # a draft took the number this moment
        raise Refusal("busy", "Definitions of this project are changing this moment. Resume the import.")

    def _make_batch(self, title: str, version: GuidelineVersion, parent: Batch | None) -> Batch:
        for attempt in range(1, 200):
            suffix = "" if attempt == 1 else f" ({attempt})"
            try:
                with transaction.atomic():
                    return Batch.objects.create(
                        project=self._run.project, guideline_version=version, kind=BatchKind.IMPORT, status=BatchStatus.OPENING,
                        name=title[: 120 - len(suffix)] + suffix, parent=parent, import_run=self._run,
                    )  # fmt: skip
            except IntegrityError:
                continue
        raise Refusal("busy", "Many batches have this name. Rename the file and import it again.")

    def make_items(self, missing: list[str]) -> None:
        """Items without content for ids the project does not have."""
        for start in range(0, len(missing), CHUNK // 2):
            chunk = missing[start : start + CHUNK // 2]
            began = time.perf_counter()
            keys = new_uuids(len(chunk))
            rows = []
            for key, external_id in zip(keys, chunk, strict=True):
                payload = {"external_id": external_id}
                rows.append((key, self._run.project_id, external_id, canonical_json(payload), "{}", sha256_json(payload), None, self._run.pk))  # fmt: skip
            with transaction.atomic():
                runs.advance(self._run, 0)
                insert_rows(
                    Item, ("uuid", "project_id", "external_id", "payload", "metadata", "payload_sha256", "media", "import_run_id"), rows
                )  # fmt: skip
                ids = ids_by_uuid(Item, keys)
                now = stamp(self._now)
                insert_rows(ItemTag, ("item_id", "tag", "by_id", "at"), [(ids[key], PLACEHOLDER, self._run.by_id, now) for key in keys])  # fmt: skip
            let_others_write(time.perf_counter() - began)
        if not missing:
            return
        for found in self._store.items(CHUNK):
            known = known_items(self._run.project_id, [item for item, _, _ in found])
            self._store.know_items([(item, known[item][0], first) for item, first, _ in found])

    def make_raters(self) -> None:
        """An inactive member without a password for each rater id that is new in the project."""
        raters = self._store.raters()
        names = list(raters)
        for start in range(0, len(names), CHUNK // 2):
            chunk = names[start : start + CHUNK // 2]
            known = self._known_raters(chunk)
            new = [name for name in chunk if name not in known]
            if new:
                with transaction.atomic():
                    runs.advance(self._run, 0)
                    self._make_raters(new, raters)
                known |= self._known_raters(new)
            self._members |= known

    def _known_raters(self, names: list[str]) -> dict[str, int]:
        rows = Membership.objects.filter(project=self._run.project, imported_id__in=names)
        return dict(rows.values_list("imported_id", "pk"))

    def _make_raters(self, names: list[str], cohorts: dict[str, str]) -> None:
        # The account's name is drawn, not made of the rater id: two projects may know the same id, and it may be an address.
        users = User.objects.bulk_create(
            User(
                username=f"imported-{uuid.uuid4().hex[:16]}", display_name=name[:120], is_active=False, password=make_password(None)
            )
            for name in names
        )  # fmt: skip
        Membership.objects.bulk_create(
            Membership(
                project=self._run.project,
                user=user,
                role=Role.RATER,
                cohort=cohorts[name],
                active=False,
                imported_id=name,
            )
            for name, user in zip(names, users, strict=True)
        )

    def lay_out(self) -> int:
        """Number the places, once every item has its id; returns how many there are."""
        self._store.lay_out()
        self._batches = list(Batch.objects.filter(import_run=self._run).order_by("pk"))
        return self._store.rows()

    def write_next(self) -> int:
        """Write the next places in one transaction; returns how many, 0 at the end."""
        places = self._store.places(self._run.rows_kept, LABELS_PER_CHUNK)
        if not places:
            return 0
        began = time.perf_counter()
        with transaction.atomic():
            runs.advance(self._run, len(places))
            self._write(places)
        self._run.rows_kept += len(places)
        let_others_write(time.perf_counter() - began)
        return len(places)

    def _write(self, places: list[Place]) -> None:
        opening = [place for place in places if place.opens]
        insert_rows(
            BatchItem, BATCH_ITEM_COLUMNS,
            [
                (key, self._batch(place).pk, place.item_id, place.rank, ItemRole.NORMAL.value, False)
                for key, place in zip(new_uuids(len(opening)), opening, strict=True)
            ],
        )  # fmt: skip
        batch_items = self._batch_items(places)
        keys = new_uuids(len(places))
        times = [stamp(datetime.fromisoformat(place.at) if place.at else self._now) for place in places]
        insert_rows(
            Assignment, PLACE_COLUMNS,
            [
                (
                    key, batch_items[(place.repeat, place.rank)], self._batch(place).pk, place.cohort, place.ordinal, place.rank,
                    PlaceStatus.SUBMITTED.value, PlaceOrigin.PLANNED.value, self._members[place.rater], at, at,
                )
                for key, place, at in zip(keys, places, times, strict=True)
            ],
        )  # fmt: skip
        ids = ids_by_uuid(Assignment, keys)
        version = self._batches[0].guideline_version_id
        rows = []
        for own, key, place, at in zip(new_uuids(len(places)), keys, places, times, strict=True):
            value, digest = self._value(place.label)
            rows.append(
                (own, ids[key], 1, version, value, digest, Outcome.LABELED.value, False, "", "", AnnotationOrigin.IMPORT.value, "", True, "", at)
            )  # fmt: skip
        insert_rows(Annotation, ANNOTATION_COLUMNS, rows)
        self._write_golds([place for place in opening if place.gold])

    def _batch(self, place: Place) -> Batch:
        return self._batches[place.repeat - 1]

    def _batch_items(self, places: list[Place]) -> dict[tuple[int, int], int]:
        """{(repeat, rank): batch item id} of the places, which follow each other."""
        found: dict[tuple[int, int], int] = {}
        for repeat in dict.fromkeys(place.repeat for place in places):
            ranks = [place.rank for place in places if place.repeat == repeat]
            rows = BatchItem.objects.filter(batch=self._batches[repeat - 1], rank__range=(min(ranks), max(ranks)))
            found |= {(repeat, rank): pk for rank, pk in rows.values_list("rank", "pk")}
        return found

    def _value(self, label: str) -> tuple[str, str]:
        """(canonical value as JSON text, hash of the answer) of a label as the file writes it."""
        if label not in self._values:
            value = self._task.clean(label, {}, {"labels": self._keys})
            if len(self._values) > 10_000:
                self._values.clear()
            self._values[label] = (canonical_json(value), answer_sha256(value, Outcome.LABELED, False, None))
        return self._values[label]

    def _write_golds(self, places: list[Place]) -> None:
        """External gold of the items that open here, where it is not what is in force already."""
        if not places:
            return
        in_force: dict[int, Any] = dict(
            Gold.objects.filter(item__in=[place.item_id for place in places], origin=GoldOrigin.EXTERNAL)
            .order_by("pk")
            .values_list("item_id", "value")
        )
        new = [
            (place, self._value(place.gold)[0])
            for place in places
            if in_force.get(place.item_id) != json.loads(self._value(place.gold)[0])
        ]
        insert_rows(
            Gold, GOLD_COLUMNS,
            [
                (key, place.item_id, value, GoldOrigin.EXTERNAL.value, self._run.pk, "", self._run.by_id, stamp(self._now))
                for key, (place, value) in zip(new_uuids(len(new)), new, strict=True)
            ],
        )  # fmt: skip

    def finish(self) -> None:
        """Close the batches, seal the version and end the run, in one transaction: from its commit on all is visible."""
        run, now = self._run, timezone.now()
        with transaction.atomic():
            version = self._batches[0].guideline_version
            GuidelineVersion.objects.filter(pk=version.pk).update(
                published_at=now, published_by=run.by, body_sha256=content_sha256(version)
            )
            events = []
            for batch in self._batches:
                kind = BatchKind.RETEST if batch.parent_id else BatchKind.IMPORT
                if not transitions.move(batch, BatchStatus.CLOSED, kind=kind, opened_at=now, closed_at=now):
                    raise Refusal("changed", f"The batch “{batch.name}” was changed while its labels were imported.")
                events.append(event("imported", batch, by=run.by, at=now, project=run.project, run=run.pk))
            record(*events)
            report = {
                **run.report,
                "facts": {**run.report.get("facts", {}), "batches": [str(b.uuid) for b in self._batches]},
            }
            runs.finish_run(run, now, report=report)


def tell_settled(run: ImportRun) -> None:
    """Say that the run's batches are settled. What is lost here is found by the sweep, which reads the events."""
    for batch in Batch.objects.select_related("project").filter(import_run=run).order_by("pk"):
        tell_batch_settled(batch, run.by)
