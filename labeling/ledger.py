"""Does the ledger still say what was written into it? Every check is one statement or one stream, in flat memory.

A statement sees one moment of the database, so checking is safe while people label.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Case, CharField, Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from .db import seals
from .hashing import answer_sha256, sha256_json
from .models import Annotation, Assignment, Batch, Event, Exclusion, GuidelineVersion, Item, Quota
from .queries.guideline_content import content_sha256
from .vocabulary import BatchStatus, PlaceOrigin, PlaceStatus, VersionStatus

CHUNK = 500

# What a row's status may be after the last Event that speaks of its status. "" stands for no such Event.
PLACE_AFTER: dict[str, tuple[str, ...]] = {
    # An open place is voided without an Event of its own when its batch closes: the batch's Event says it.
    "": (PlaceStatus.OPEN, PlaceStatus.VOID),
    "replaced": (PlaceStatus.OPEN, PlaceStatus.VOID),
    "claimed": (PlaceStatus.CLAIMED,),
    "took_back_skip": (PlaceStatus.CLAIMED,),
    "submitted": (PlaceStatus.SUBMITTED,),
    "revised": (PlaceStatus.SUBMITTED,),
    "skipped": (PlaceStatus.SKIPPED,),
    "lapsed": (PlaceStatus.OPEN, PlaceStatus.VOID),
    "released": (PlaceStatus.OPEN, PlaceStatus.VOID),
    "voided": (PlaceStatus.VOID,),
}
BATCH_AFTER: dict[str, tuple[str, ...]] = {
    "created": (BatchStatus.DRAFT,),
    "opening": (BatchStatus.OPENING,),
    "opened": (BatchStatus.OPEN,),
    "reopened": (BatchStatus.OPEN,),
    "closed": (BatchStatus.CLOSED,),
    "imported": (BatchStatus.CLOSED,),
}
VERSION_AFTER: dict[str, tuple[str, ...]] = {
    "": (VersionStatus.DRAFT,),
    "draft_started": (VersionStatus.DRAFT,),
    "published": (VersionStatus.PUBLISHED,),
}


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it was written. check: which check found it; where: the row; what: what is wrong."""

    check: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.check}: {self.where}: {self.what}"


def check_seals() -> Iterator[Problem]:
    """Every trigger that keeps the ledgers is in the database."""
    for name in seals.missing():
        yield Problem("seals", name, "not in the database; run `manage.py migrate`")


def check_guidelines() -> Iterator[Problem]:
    """The content of each sealed version still has the hash it was sealed with."""
    versions = GuidelineVersion.objects.filter(published_at__isnull=False).select_related("project").order_by("pk")
    for version in versions.iterator(chunk_size=CHUNK):
        if content_sha256(version) != version.body_sha256:
            yield Problem(
                "guidelines",
                f"{version.project.slug} {version}",
                "its content is not what was published under its hash",
            )


def check_items() -> Iterator[Problem]:
    """Each item's payload still has its hash."""
    rows = Item.objects.order_by("pk").values_list("project__slug", "external_id", "payload", "payload_sha256")
    for slug, external_id, payload, sha256 in rows.iterator(chunk_size=CHUNK):
        if sha256_json(payload) != sha256:
            yield Problem("items", f"{slug} item {external_id}", "its payload is not what was imported")


def check_files() -> Iterator[Problem]:
    """Each item's files are there and have their hash. Reads every byte: asked for by name only."""
    rows = Item.objects.filter(media__isnull=False).order_by("pk").values_list("project__slug", "external_id", "media")
    for slug, external_id, media in rows.iterator(chunk_size=CHUNK):
        for field, file in (media or {}).items():
            where = f"{slug} item {external_id}, {field}"
            path = Path(settings.MEDIA_ROOT) / str(file.get("file", ""))
            if not path.is_file():
                yield Problem("files", where, f"{file.get('file')} is missing")
                continue
            with path.open("rb") as opened:
                if hashlib.file_digest(opened, "sha256").hexdigest() != file.get("sha256"):
                    yield Problem("files", where, f"{file.get('file')} is not what was imported")


def check_annotations() -> Iterator[Problem]:
    """Each annotation's answer still has its hash."""
    rows = Annotation.objects.order_by("pk").values_list(
        "uuid", "value", "outcome", "borderline", "second_value", "value_sha256"
    )
    for uuid, value, outcome, borderline, second, sha256 in rows.iterator(chunk_size=CHUNK):
        if answer_sha256(value, outcome, borderline, second) != sha256:
            yield Problem("annotations", f"annotation {uuid}", "its answer is not what was recorded")


def check_revisions() -> Iterator[Problem]:
    """The revisions of each place are numbered 1, 2, 3 … without a gap."""
    rows = (
        Annotation.objects.order_by()
        .values("assignment__uuid")
        .annotate(count=Count("pk"), first=Min("revision"), last=Max("revision"))
        .filter(~Q(first=1) | ~Q(last=F("count")))
    )
    for row in rows.iterator(chunk_size=CHUNK):
        what = f"{row['count']} revisions numbered {row['first']} to {row['last']}: one is missing"
        yield Problem("revisions", f"place {row['assignment__uuid']}", what)


def check_answers() -> Iterator[Problem]:
    """A place is submitted exactly when it has an answer, revision 1 of which was its submission."""
    first = Annotation.objects.filter(assignment=OuterRef("pk"), revision=1)
    silent = Assignment.objects.filter(~Exists(first), status=PlaceStatus.SUBMITTED)
    for uuid in silent.values_list("uuid", flat=True).iterator(chunk_size=CHUNK):
        yield Problem("answers", f"place {uuid}", "submitted, and its answer is missing")
    stray = Annotation.objects.filter(revision=1).exclude(assignment__status=PlaceStatus.SUBMITTED)
    for uuid, status in stray.values_list("assignment__uuid", "assignment__status").iterator(chunk_size=CHUNK):
        yield Problem("answers", f"place {uuid}", f"has an answer, and is {status}")


def check_quotas() -> Iterator[Problem]:
    """No item has more places than its overlap; places added to single items (`extra`) and imports stand outside."""
    planned = Assignment.objects.exclude(origin=PlaceOrigin.EXTRA).order_by()
    for quota in Quota.objects.select_related("batch").order_by("pk").iterator(chunk_size=CHUNK):
        here = planned.filter(batch=quota.batch, cohort=quota.cohort)
        # Who is or was set aside may have been replaced: their answers stay beside the replacement's.
        aside = Exclusion.objects.filter(member=OuterRef("member"))
        alive = here.exclude(status__in=(PlaceStatus.SKIPPED, PlaceStatus.VOID)).exclude(Exists(aside))
        yield from _more_than(alive, quota, quota.raters, "places, and its overlap is")
        if quota.max_raters is not None:
            kept = here.exclude(status=PlaceStatus.VOID)
            yield from _more_than(kept, quota, quota.max_raters, "places, skipped ones included, and the most is")
    nobodys = (
        planned.filter(batch__import_run__isnull=True)
        .filter(~Exists(Quota.objects.filter(batch=OuterRef("batch"), cohort=OuterRef("cohort"))))
        .values("batch__name", "cohort")
        .annotate(count=Count("pk"))
    )
    for row in nobodys.iterator(chunk_size=CHUNK):
        what = f"{row['count']} places, and the batch asks nobody of that cohort"
        yield Problem("quotas", f"batch {row['batch__name']}, {row['cohort']}", what)


def _more_than(places: QuerySet[Assignment], quota: Quota, most: int, words: str) -> Iterator[Problem]:
    rows = (
        places.values("batch_item__uuid", "batch_item__item__external_id")
        .annotate(count=Count("pk"))
        .filter(count__gt=most)
    )
    for row in rows.iterator(chunk_size=CHUNK):
        where = f"batch {quota.batch.name}, item {row['batch_item__item__external_id']}, {quota.cohort}"
        yield Problem("quotas", where, f"{row['count']} {words} {most}")


def check_statuses() -> Iterator[Problem]:
    """Each place's, batch's and version's status is what the last Event about it says."""
    places = Assignment.objects.filter(batch__import_run__isnull=True)
    yield from against_events(places, "assignment", PLACE_AFTER, "place")
    yield from against_events(Batch.objects.filter(import_run__isnull=True), "batch", BATCH_AFTER, "batch")
    imported = Batch.objects.filter(import_run__isnull=False).exclude(status=BatchStatus.OPENING)
    yield from against_events(imported, "batch", BATCH_AFTER, "batch")
    versions = GuidelineVersion.objects.exclude(status=VersionStatus.AS_IMPORTED)
    yield from against_events(versions, "guidelineversion", VERSION_AFTER, "definition")


def against_events(
    rows: QuerySet[Any],
    subject: str,
    after: dict[str, tuple[str, ...]],
    noun: str,
) -> Iterator[Problem]:
    """Rows whose status is not what the last Event about them says; `after` maps that Event's verb to statuses."""
    last = (
        Event.objects.filter(subject_type=subject, subject_id=OuterRef("pk"), verb__in=[verb for verb in after if verb])
        .order_by("-pk")
        .values("verb")[:1]
    )
    fits = Case(
        *(When(last_verb=verb, status__in=statuses, then=Value("yes")) for verb, statuses in after.items()),
        default=Value("no"),
        output_field=CharField(),
    )
    wrong = (
        rows.order_by()
        .annotate(last_verb=Coalesce(Subquery(last), Value("")))
        .annotate(fits=fits)
        .filter(fits="no")
        .values_list("uuid", "status", "last_verb")
    )
    for uuid, status, verb in wrong.iterator(chunk_size=CHUNK):
        said = f"its last Event says “{verb}”" if verb else "no Event says how it came to that"
        yield Problem("statuses", f"{noun} {uuid}", f"{status}, and {said}")


CHECKS: dict[str, Callable[[], Iterator[Problem]]] = {
    "seals": check_seals,
    "guidelines": check_guidelines,
    "items": check_items,
    "annotations": check_annotations,
    "revisions": check_revisions,
    "answers": check_answers,
    "quotas": check_quotas,
    "statuses": check_statuses,
}


def register_check(name: str, check: Callable[[], Iterator[Problem]]) -> None:
    """Another app's check, run after ours; called when that app loads."""
    CHECKS[name] = check


def verify(*, files: bool = False) -> Iterator[Problem]:
    """Every problem of the ledger, as it is found; none when all is as written. `files` also reads items' files."""
    for check in CHECKS.values():
        yield from check()
    if files:
        yield from check_files()
