"""The feed: annotations numbered in the order in which programs are told of them.

A number is given after the annotation's transaction has committed, by one writer at a time: whoever remembers the last
number they saw misses nothing, however late a transaction commits. Rows of an import are numbered once it is done.

The writer holds the one row of `FeedCursor` for each chunk. Below `settled_through` nothing is left to number: every
transaction that could still bring a lower id has ended, which the database is asked (`labeling.db.horizon`).
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q
from django.utils import timezone

from labeling.db import horizon
from labeling.models import Annotation, ImportRun
from labeling.sweeps import each_minute
from labeling.vocabulary import ImportKind, RunStatus

from .models import AnnotationFeed, FeedCursor

CHUNK = 500
# What one request for the feed numbers at most before it answers; the sweep does the rest.
AT_ONCE = 4


@each_minute("annotation_feed")
def number_annotations(at: datetime | None = None, *, chunks: int = 100_000, start: int = 0) -> int:
    """Number what has been committed and has no number yet; returns how many. Repeats safely, also at the same time.

    With `start`, what lies behind that id comes first.
    """
    count = 0
    for _ in range(chunks):
        numbered, last = _number_chunk(at or timezone.now(), start)
        count += numbered
        if numbered < CHUNK and not start:
            break
        # Going on behind the last id spares looking through all that was just numbered; what came late below it is
        # found when the pass begins again from where everything is settled.
        start = last if numbered == CHUNK else 0
    return count


def number_new(at: datetime | None = None) -> int:
    """As `number_annotations`, for a reader who asks now: some chunks, and no write when nothing waits."""
    cursor = FeedCursor.objects.filter(pk=1).first()
    if cursor is None:
        return number_annotations(at, chunks=AT_ONCE)
    # Behind the highest id that has a number nothing has one, so nothing numbered is looked through there.
    highest = AnnotationFeed.objects.order_by("-annotation_id").values_list("annotation_id", flat=True).first() or 0
    if highest > cursor.settled_through and _waiting(highest, 1):
        return number_annotations(at, chunks=AT_ONCE, start=highest)
    if not _waiting(cursor.settled_through, 1):
        return 0
    return number_annotations(at, chunks=AT_ONCE)


def _waiting(behind: int, most: int = CHUNK) -> list[tuple[int, int]]:
    """(annotation, project) of the next annotations without a number, by id."""
    done = Q(assignment__batch__import_run__isnull=True) | Q(assignment__batch__import_run__status=RunStatus.DONE)
    rows = Annotation.objects.filter(done, pk__gt=behind).filter(
        ~Exists(AnnotationFeed.objects.filter(annotation=OuterRef("pk")))
    )
    return list(rows.order_by("pk").values_list("pk", "assignment__batch__project_id")[:most])


def _number_chunk(at: datetime, start: int = 0, *, unguarded: bool = False) -> tuple[int, int]:
    """Number the next chunk in one transaction; how many, and the last id of it.

    `unguarded` exists for the tests' negative control only: the cursor is not held.
    """
    with transaction.atomic():
        FeedCursor.objects.get_or_create(pk=1, defaults={"at": at})
        cursors = FeedCursor.objects.filter(pk=1)
        cursor = (cursors if unguarded else cursors.select_for_update()).get()
        # Asked before looking: what commits between the two is then still looked for the next time.
        passed = horizon.has_passed(cursor.mark)
        rows = _waiting(max(start, cursor.settled_through))
        AnnotationFeed.objects.bulk_create(
            AnnotationFeed(number=cursor.last_number + offset, annotation_id=pk, project_id=project)
            for offset, (pk, project) in enumerate(rows, start=1)
        )
        values = _settled(cursor) if passed and not start and len(rows) < CHUNK else {}
        if rows or values:
            cursors.update(last_number=cursor.last_number + len(rows), at=at, **values)
    return len(rows), rows[-1][0] if rows else start


def _settled(cursor: FeedCursor) -> dict[str, int]:
    """How far the next pass need not look: to what had been seen when the transactions that have now ended were at work."""
    newest = Annotation.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    if newest == cursor.settled_through:
        return {}
    values = {"seen_through": newest, "mark": horizon.mark()}
    if cursor.seen_through > cursor.settled_through:
        reach = cursor.seen_through
        if ImportRun.objects.filter(kind=ImportKind.LABELS, status=RunStatus.WRITING).exists():
            writing = Annotation.objects.filter(
                assignment__batch__import_run__status=RunStatus.WRITING, pk__gt=cursor.settled_through
            ).aggregate(first=Min("pk"))["first"]
            reach = reach if writing is None else min(reach, writing - 1)
        values["settled_through"] = max(reach, cursor.settled_through)
    return values
