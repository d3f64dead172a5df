"""Judging a file's rows against the file itself and the project: which become items, and what is wrong with the others."""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..db.intake import CHUNK, known_items, known_payloads, newest_item
from ..formats.rows import BadRow, Row
from ..models import ImportRun, Item
from ..vocabulary import RunStatus
from .mapping import Draft, ItemMapping, Mapper, Ready
from .report import Finding, Report, finding
from .seen import Seen, key_of


@dataclass
class Sorted:
    """A chunk after judging. keep: to be written. written: written already by this run. known: (draft, item id) of
    items that are there already with the same payload."""

    keep: list[Draft] = field(default_factory=list)
    written: int = 0
    known: list[tuple[Draft, int]] = field(default_factory=list)


def in_chunks(rows: Iterable[tuple[int, Row]], size: int = CHUNK) -> Iterator[list[tuple[int, Row]]]:
    """The rows in lists of at most `size`."""
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield chunk


class Plan:
    """What the first pass would write, kept in a temporary file so that the second need not read and judge again.

    It may be used while nothing has come into the project since; see `still_holds`.
    """

    def __init__(self, project_id: int) -> None:
        self._project_id = project_id
        self._newest = newest_item(project_id)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)

    def note(self, keep: list[Draft]) -> None:
        """Keep the next rows to be written."""
        # Tuples of texts, read back by this process only: marshal does that in a tenth of the time JSON takes.
        marshal.dump([tuple(draft.ready()) for draft in keep], self._file)

    def still_holds(self) -> bool:
        """Whether the project has the items it had before the first pass. Ask once the run may write."""
        return newest_item(self._project_id) == self._newest

    def chunks(self) -> Iterator[list[Ready]]:
        """What was kept, in order."""
        self._file.seek(0)
        while True:
            try:
                rows = marshal.load(self._file)
            except EOFError:
                return
            yield [Ready(*row) for row in rows]

    def close(self) -> None:
        self._file.close()


class Judge:
    """Judges the rows of one file in order; two passes with one of their own each come to the same verdicts.

    Use it once per pass: it remembers what the file has shown.
    """

    def __init__(self, run: ImportRun, mapping: ItemMapping, mapper: Mapper, report: Report) -> None:
        self._run = run
        self._project_id = run.project_id
        self._mapping = mapping
        self._mapper = mapper
        self.report = report
        self._seen = Seen()
        others = ImportRun.objects.filter(project_id=run.project_id).exclude(pk=run.pk)
        self._unfinished = set(others.exclude(status=RunStatus.DONE).values_list("pk", flat=True))
        # An empty project is the usual first import, and asking it about each row would cost as much as writing.
        self._ask = Item.objects.filter(project_id=run.project_id).exists()

    def close(self) -> None:
        self._seen.close()

    def sort_out(self, chunk: list[tuple[int, Row]]) -> Sorted:
        """Judge the next rows; problems and rows left out go to the report."""
        drafts: list[Draft] = []
        for number, row in chunk:
            self.report.read += 1
            if isinstance(row, BadRow):
                self.report.refuse(Finding.of(number, row))
                continue
            made = self._mapper.draft(number, row)
            if isinstance(made, Draft):
                drafts.append(made)
            else:
                self.report.refuse(*made)
        result = self._against_what_is_known(drafts) if drafts else Sorted()
        self.report.kept += len(result.keep) + result.written
        return result

    def _against_what_is_known(self, drafts: list[Draft]) -> Sorted:
        keys = [(key_of(draft.external_id), bytes.fromhex(draft.payload_sha256[:32])) for draft in drafts]
        ids = self._seen.ids([key for key, _ in keys])
        payloads = self._seen.payloads([digest for _, digest in keys])
        stored = known_items(self._project_id, [draft.external_id for draft in drafts]) if self._ask else {}
        twins = {}
        if self._ask and not self._mapping.keep_duplicates:
            twins = known_payloads(
                self._project_id, [draft.payload_sha256 for draft in drafts], {self._run.pk, *self._unfinished}
            )
        result = Sorted()
        new_ids: list[tuple[bytes, bytes, int]] = []
        new_payloads: list[tuple[bytes, int]] = []
        for draft, (key, digest) in zip(drafts, keys, strict=True):
            if key in ids:
                self._seen_before(draft, digest, *ids[key])
                continue
            if draft.external_id in stored:
                pk, stored_sha, run_id = stored[draft.external_id]
                if run_id != self._run.pk and not self._is_same(draft, stored_sha, run_id):
                    continue
                if run_id == self._run.pk:
                    result.written += 1
                else:
                    result.known.append((draft, pk))
                    self.report.left_out.add(finding(draft.row, "unchanged", "This item is in the project already, the same.", "", draft.external_id))  # fmt: skip
            elif not self._mapping.keep_duplicates and digest in payloads:
                self.report.left_out.add(finding(draft.row, "duplicate", f"The same payload stands in row {payloads[digest]} under another id.", "", draft.external_id))  # fmt: skip
            elif (twin := twins.get(draft.payload_sha256)) is not None:
                self.report.left_out.add(finding(draft.row, "duplicate", f"The project has this payload already, as the item “{twin}”.", "", draft.external_id))  # fmt: skip
            else:
                result.keep.append(draft)
            ids[key] = (digest, draft.row)
            new_ids.append((key, digest, draft.row))
            if digest not in payloads:
                payloads[digest] = draft.row
                new_payloads.append((digest, draft.row))
        self._seen.add(new_ids, new_payloads)
        return result

    def _seen_before(self, draft: Draft, digest: bytes, seen_payload: bytes, row: int) -> None:
        if seen_payload == digest:
            self.report.left_out.add(finding(draft.row, "repeated", f"The same item stands in row {row} already.", "", draft.external_id))  # fmt: skip
        else:
            self._refuse(draft, "id_twice", f"The id stands in row {row} already, with another payload.")

    def _is_same(self, draft: Draft, stored_sha: str, run_id: int | None) -> bool:
        if run_id in self._unfinished:
            self._refuse(draft, "unfinished", "The id belongs to an import that was not finished. Resume or discard that one first.")  # fmt: skip
            return False
        if stored_sha != draft.payload_sha256:
            self._refuse(draft, "other_payload", "The project has this id already, with another payload. Payloads never change; give the new item an id of its own.")  # fmt: skip
            return False
        return True

    def _refuse(self, draft: Draft, code: str, reason: str) -> None:
        self.report.refuse(finding(draft.row, code, reason, self._mapping.external_id, draft.external_id))


def differing_metadata(known: list[tuple[Draft, int]]) -> list[tuple[Draft, Item, dict[str, Any]]]:
    """(draft, stored item, metadata that differs) where the file says something else than the project about an item."""
    stored = Item.objects.in_bulk([pk for _, pk in known]) if known else {}
    found = []
    for draft, pk in known:
        item = stored[pk]
        changed = {name: value for name, value in draft.metadata.items() if item.metadata.get(name) != value}
        if changed:
            found.append((draft, item, changed))
    return found
