"""The ledger as a file: every annotation of a batch, streamed in flat memory as CSV or JSON lines.

A cut file can be told from a whole one. JSON lines end with `{"end": true, "rows": …, "sha256": …}` over the bytes
before it. CSV has no such line, so that spreadsheets and `pandas.read_csv` take it as it is: the number of rows stands
in the file's name and in the header X-Concord-Rows, each row carries its number, and a stream that breaks is broken
off without its closing chunk, which browsers and clients report as a failed download.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Max
from django.utils.text import slugify

from .formats.cells import cell, plain
from .hashing import canonical_json
from .models import Annotation, Batch, BatchItem, Exclusion, Project
from .pseudonyms import pseudonym
from .vocabulary import PlaceOrigin

FORMATS = ("csv", "jsonl")
# Batch items of one read: with an overlap of three some 600 annotations and their payloads.
ITEMS_PER_PAGE = 200

FIELDS = {
    "assignment__batch_item__rank": "rank",
    "assignment__batch_item__item__external_id": "item",
    "assignment__batch_item__item__payload": "payload",
    "assignment_id": "place_id",
    "assignment__uuid": "place",
    "assignment__cohort": "cohort",
    "assignment__ordinal": "ordinal",
    "assignment__origin": "place_origin",
    "assignment__member_id": "member_id",
    "assignment__member__uuid": "member",
    "assignment__member__imported_id": "imported_id",
    "assignment__member__user__display_name": "display_name",
    "assignment__member__user__username": "username",
    "uuid": "annotation",
    "revision": "revision",
    "guideline_version__number": "guideline_version",
    "guideline_version__body_sha256": "guideline_sha256",
    "outcome": "outcome",
    "value": "value",
    "borderline": "borderline",
    "second_value": "second_value",
    "reason": "reason",
    "comment": "comment",
    "confidence": "confidence",
    "seconds": "seconds",
    "origin": "origin",
    "assisted_by": "assisted_by",
    "blind": "blind",
    "at": "at",
}
AFTER_PAYLOAD = (
    "place", "cohort", "ordinal", "rater", "annotation", "revision", "counts", "counts_for_agreement", "set_aside",
    "guideline_version", "guideline_sha256", "outcome", "value", "borderline", "second_value", "reason", "comment",
    "confidence", "seconds", "origin", "assisted_by", "blind", "at",
)  # fmt: skip


class LedgerMovedError(Exception):
    """Annotations from before the export's start became visible while it ran. Export again."""


class Ledger:
    """All annotations of some batches of one project that are there when this is made, in order of batch and rank.

    `counts`: the highest revision of a place that is not set aside, which is what resolutions read.
    `counts_for_agreement`: the highest blind revision without a model's help, of a planned or replacement place that
    is not set aside. With `names` each row also has `rater_name`; ask for the right before.
    """

    def __init__(self, *, project: Project, batches: Sequence[Batch], names: bool = False) -> None:
        self.project = project
        self.batches = list(batches)
        self.names = names
        self.up_to = Annotation.objects.aggregate(newest=Max("pk"))["newest"] or 0
        self.sha256 = ""
        self.written = 0
        aside = Exclusion.objects.filter(lifted_at__isnull=True)
        self._members_aside = set(aside.filter(member__project=project).values_list("member_id", flat=True))
        self._places_aside = set(
            aside.filter(assignment__batch__in=[batch.pk for batch in self.batches]).values_list(
                "assignment_id", flat=True
            )
        )

    def count(self) -> int:
        """How many rows the export has."""
        batches = [batch.pk for batch in self.batches]
        return Annotation.objects.filter(assignment__batch__in=batches, pk__lte=self.up_to).count()

    def payload_fields(self) -> list[str]:
        """The declared payload fields, each a CSV column; empty when the project declares none."""
        return [field["name"] for field in (self.project.payload_schema or {}).get("fields", [])]

    def columns(self) -> list[str]:
        """The CSV's columns."""
        declared = self.payload_fields()
        payload = [f"payload.{name}" for name in declared] if declared else ["payload"]
        after = [name for column in AFTER_PAYLOAD for name in _with_name(column, self.names)]
        return ["row", "batch", "item", *payload, *after]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each annotation as a row with its payload whole; a place's revisions follow each other."""
        number = 0
        for batch in self.batches:
            highest = BatchItem.objects.filter(batch=batch).aggregate(highest=Max("rank"))["highest"]
            for first in range(0, (-1 if highest is None else highest) + 1, ITEMS_PER_PAGE):
                for row in self._page(batch, first):
                    number += 1
                    yield {"row": number, "batch": batch.name, **row}

    def _page(self, batch: Batch, first: int) -> Iterator[dict[str, Any]]:
        found = Annotation.objects.filter(
            assignment__batch_item__batch=batch,
            assignment__batch_item__rank__gte=first,
            assignment__batch_item__rank__lt=first + ITEMS_PER_PAGE,
            pk__lte=self.up_to,
        ).order_by(
            "assignment__batch_item__rank", "assignment__cohort", "assignment__ordinal", "assignment_id", "revision"
        )
        rows = [dict(zip(FIELDS.values(), values, strict=True)) for values in found.values_list(*FIELDS)]
        latest: dict[int, int] = {}
        blind: dict[int, int] = {}
        for row in rows:  # in order of revision, so the last one stands
            latest[row["place_id"]] = row["revision"]
            if row["blind"] and not row["assisted_by"]:
                blind[row["place_id"]] = row["revision"]
        for row in rows:
            place = row.pop("place_id")
            aside = row.pop("member_id") in self._members_aside or place in self._places_aside
            extra = row.pop("place_origin") == PlaceOrigin.EXTRA
            row["set_aside"] = aside
            row["counts"] = not aside and latest[place] == row["revision"]
            row["counts_for_agreement"] = not aside and not extra and blind.get(place) == row["revision"]
            yield self._named(row)

    def _named(self, row: dict[str, Any]) -> dict[str, Any]:
        del row["rank"]
        imported, display, username = row.pop("imported_id"), row.pop("display_name"), row.pop("username")
        row["rater"] = pseudonym(row.pop("member"))
        if self.names:
            row["rater_name"] = imported or display or username
        return row

    def stream(self, form: str) -> Iterator[bytes]:
        """The file in pieces. Sets `written` and `sha256` when it is through; raises LedgerMovedError when rows moved."""
        promised = self.count()
        digest = hashlib.sha256()
        self.written = 0
        for piece in self._csv() if form == "csv" else self._jsonl():
            digest.update(piece)
            yield piece
        self.sha256 = digest.hexdigest()
        if self.written != promised:
            raise LedgerMovedError(f"{promised} rows were announced and {self.written} found")
        if form == "jsonl":
            yield (canonical_json({"end": True, "rows": self.written, "sha256": self.sha256}) + "\n").encode()

    def _csv(self) -> Iterator[bytes]:
        columns, declared = self.columns(), self.payload_fields()
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\r\n")
        writer.writerow(columns)
        for row in self.rows():
            payload = row.pop("payload") or {}
            if declared:
                row |= {f"payload.{name}": payload.get(name) for name in declared}
            else:
                row["payload"] = canonical_json(payload)
            writer.writerow([cell(row[column]) for column in columns])
            self.written += 1
            if buffer.tell() > 32_768:
                yield _taken(buffer)
        yield _taken(buffer)

    def _jsonl(self) -> Iterator[bytes]:
        lines: list[str] = []
        for row in self.rows():
            lines.append(canonical_json({name: plain(value) for name, value in row.items()}))
            self.written += 1
            if len(lines) >= 200:
                yield ("\n".join(lines) + "\n").encode()
                lines.clear()
        if lines:
            yield ("\n".join(lines) + "\n").encode()


def _with_name(column: str, names: bool) -> list[str]:
    return ["rater", "rater_name"] if column == "rater" and names else [column]


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def file_name(batch: Batch, rows: int, form: str) -> str:
    """“phones-first-look-1204-annotations.csv”."""
    name = slugify(batch.name) or str(batch.uuid)[:8]
    return f"{batch.project.slug}-{name}-{rows}-annotations.{form}"
