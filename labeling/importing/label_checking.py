"""The first pass over a labels file: every row and every clash between rows is judged, nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.utils import timezone

from .. import task_types
from ..db.intake import CHUNK, known_items
from ..formats.rows import BadRow, RowReader, RowsError, open_rows, shorten, value_at
from ..models import ImportRun, Membership
from ..refusals import BadValue
from ..vocabulary import Cohort, RunStatus
from .label_columns import LabelMapping
from .label_store import LabelStore, Said
from .mapping import ID_LENGTH, as_text
from .report import Finding, Report, finding
from .runs import Progress

LABEL_LENGTH = 60
LABELS_LIMIT = 100
_ROLES = ("item", "rater", "label")


def open_label_rows(run_path: Any, name: str, mapping: LabelMapping) -> RowReader:
    """The file as the mapping says to read it. Raises BadValue when it cannot be read."""
    try:
        return open_rows(run_path, format=mapping.format, encoding=mapping.encoding, name=name)
    except RowsError as error:
        raise BadValue("bad_file", str(error), field="file") from None


def read_labels(
    run: ImportRun, reader: RowReader, mapping: LabelMapping, store: LabelStore, progress: Progress
) -> Report:
    """Read the whole file into the store and say everything that is wrong with it."""
    report = Report()
    rows = _Rows(run, mapping)
    try:
        for number, row in progress.through(reader):
            report.read += 1
            if isinstance(row, BadRow):
                report.refuse(Finding.of(number, row))
                continue
            said = rows.said(number, row)
            if isinstance(said, Said):
                store.add(said)
            elif said:
                report.refuse(*said)
            progress.total = max(report.read, round(report.read / max(reader.fraction(), 1e-9)))
    except RowsError as error:
        report.refuse_file(str(error))
    if rows.unmapped:
        listed = ", ".join(f"“{name or '(empty)'}” ({count:,} rows)" for name, count in rows.unmapped.most_common(20))
        report.refuse_file(
            f"The file names cohorts that are not known here: {listed}. Say what each is, as "
            f"{next(iter(rows.unmapped)) or ''}=generalist; the cohorts are {', '.join(Cohort.values)}.",
            "unmapped_cohort",
        )
        report.facts["unmapped_cohorts"] = dict(rows.unmapped.most_common(50))
    _judge_clashes(report, store)
    _judge_raters(run, report, store)
    _judge_labels(run, mapping, report, store)
    return report


class _Rows:
    """One row after the other, on its own."""

    def __init__(self, run: ImportRun, mapping: LabelMapping) -> None:
        self._mapping = mapping
        self._cohorts = {**{name: name for name in Cohort.values}, **mapping.cohorts}
        self._declared = frozenset(mapping.labels)
        self._zone = ZoneInfo(run.project.time_zone)
        self._latest = timezone.now() + timedelta(days=1)
        self._longest = {"item": ID_LENGTH, "rater": ID_LENGTH, "label": LABEL_LENGTH}
        if not task_types.get(run.project.task_type).has_labels:
            self._longest["label"] = 10_000
        self.unmapped: Counter[str] = Counter()

    def said(self, number: int, row: Mapping[str, Any]) -> Said | list[Finding]:
        """The row, or what is wrong with it; an empty list where only its cohort is not known."""
        problems: list[Finding] = []
        values = {role: self._needed(number, row, role, problems) for role in _ROLES}
        gold, session = self._text(number, row, "gold", problems), self._text(number, row, "session", problems)
        for role, value in (("label", values["label"]), ("gold", gold)):
            if value and self._declared and value not in self._declared:
                declared = ", ".join(self._mapping.labels)
                problems.append(
                    finding(number, "unknown_label", f"This is none of the declared labels: {declared}.", getattr(self._mapping, role), value)
                )  # fmt: skip
        at = self._time(number, row, problems)
        cohort = self._cohort(row)
        if problems:
            return problems
        if cohort is None:
            return []
        return Said(number, values["item"], values["rater"], cohort, values["label"], gold, session, at)

    def _text(self, number: int, row: Mapping[str, Any], role: str, problems: list[Finding]) -> str:
        column = getattr(self._mapping, role)
        if not column:
            return ""
        value = as_text(value_at(row, column))
        if value is None:
            problems.append(
                finding(number, "bad_value", "Text or a number is needed here.", column, value_at(row, column))
            )
            return ""
        if len(value) > (longest := self._longest.get(role, LABEL_LENGTH if role == "gold" else ID_LENGTH)):
            problems.append(finding(number, "too_long", f"Longer than {longest} characters.", column, value))
            return ""
        return value

    def _needed(self, number: int, row: Mapping[str, Any], role: str, problems: list[Finding]) -> str:
        before = len(problems)
        value = self._text(number, row, role, problems)
        if not value and len(problems) == before:
            problems.append(Finding(number, "empty", f"The {role} is empty.", getattr(self._mapping, role)))
        return value

    def _cohort(self, row: Mapping[str, Any]) -> str | None:
        if self._mapping.all_cohort:
            return self._mapping.all_cohort
        name = as_text(value_at(row, self._mapping.cohort)) or ""
        cohort = self._cohorts.get(name)
        if cohort is None:
            self.unmapped[shorten(name)] += 1
        return cohort

    def _time(self, number: int, row: Mapping[str, Any], problems: list[Finding]) -> str | None:
        column = self._mapping.timestamp
        raw = value_at(row, column) if column else None
        text = as_text(raw)
        if raw is None or text == "":
            return None
        at = parse_time(text or "", self._zone)
        if at is None:
            problems.append(
                finding(number, "bad_time", "A time is needed here, such as 2024-05-31T14:00:00Z or seconds since 1970.", column, raw)
            )  # fmt: skip
            return None
        if at > self._latest:
            problems.append(finding(number, "bad_time", "This time lies in the future.", column, raw))
            return None
        return at.isoformat(timespec="microseconds")


def parse_time(text: str, zone: ZoneInfo) -> datetime | None:
    """A time in UTC from ISO 8601, or seconds or milliseconds since 1970; without an offset it is meant in `zone`.

    >>> parse_time("2014-07-12T00:10:09", ZoneInfo("UTC")).isoformat(), parse_time("1405123809", ZoneInfo("UTC")).year
    ('2014-07-12T00:10:09+00:00', 2014)
    """
    try:
        number = float(text)
        if number >= 1e8:  # below stand years and dates such as 20140712
            # Milliseconds have three digits more until the year 5138.
            return datetime.fromtimestamp(number / 1000 if number >= 1e11 else number, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _judge_clashes(report: Report, store: LabelStore) -> None:
    refused: list[int] = []
    for clash in store.cohort_clashes():
        refused.append(clash.row)
        report.refuse(
            finding(clash.row, "two_cohorts", f"The rater “{shorten(clash.subject, 40)}” stands as {clash.other} in row {clash.earlier}. A rater has one cohort.", "cohort", clash.value)
        )  # fmt: skip
    store.forget_rows(refused)
    refused = []
    for clash in store.gold_clashes():
        refused.append(clash.row)
        report.refuse(
            finding(clash.row, "two_golds", f"The item “{shorten(clash.subject, 40)}” has the gold label “{shorten(clash.other, 40)}” in row {clash.earlier}.", "gold", clash.value)
        )  # fmt: skip
    store.forget_rows(refused)


def _judge_raters(run: ImportRun, report: Report, store: LabelStore) -> None:
    """A rater id that an earlier import brought in is the same rater: the cohort must be the same too."""
    raters = store.raters()
    names = list(raters)
    for start in range(0, len(names), CHUNK):
        known = Membership.objects.filter(project=run.project, imported_id__in=names[start : start + CHUNK])
        for rater, cohort in known.values_list("imported_id", "cohort"):
            if cohort != raters[rater]:
                report.refuse_file(
                    f"The rater “{shorten(rater, 40)}” was imported into this project as {cohort}; this file says {raters[rater]}.",
                    "two_cohorts",
                )


def _judge_labels(run: ImportRun, mapping: LabelMapping, report: Report, store: LabelStore) -> None:
    task = task_types.get(run.project.task_type)
    counts, golds = store.label_counts(), store.golds()
    keys = label_keys(mapping, [*counts, *golds])
    if task.has_labels and len(keys) > LABELS_LIMIT:
        report.refuse_file(
            f"The file holds {len(keys):,} different labels; at most {LABELS_LIMIT} can be. Is this the column of the labels?",
            "many_labels",
        )
        return
    for value in dict.fromkeys([*counts, *golds]):
        try:
            task.clean(value, {}, {"labels": keys})
        except ValidationError as error:
            report.refuse_file(f"“{shorten(value)}” is no value of this task: {error.messages[0]}", "bad_label")
    report.facts |= {
        "labels": {key: counts.get(key, 0) for key in keys[:LABELS_LIMIT]},
        "gold": golds if len(golds) <= LABELS_LIMIT else {},
        "raters": dict(Counter(store.raters().values())),
    }


def label_keys(mapping: LabelMapping, found: list[str]) -> list[str]:
    """The labels in their order: as declared, or by number where all are numbers, or by alphabet."""
    if mapping.labels:
        return list(mapping.labels)
    distinct = set(found)
    try:
        return sorted(distinct, key=lambda key: (float(key), key))
    except ValueError:
        return sorted(distinct, key=lambda key: (key.casefold(), key))


def find_items(run: ImportRun, mapping: LabelMapping, store: LabelStore, report: Report) -> list[str]:
    """Tell the store the ids of the file's items; returns those the project does not have (to be created when the
    mapping says so; otherwise their rows are refused here and dropped)."""
    pending = set(
        ImportRun.objects.filter(project_id=run.project_id)
        .exclude(pk=run.pk)
        .exclude(status=RunStatus.DONE)
        .values_list("pk", flat=True)
    )
    unknown: list[str] = []
    total = 0
    for chunk in store.items(CHUNK):
        total += len(chunk)
        known = known_items(run.project_id, [item for item, _, _ in chunk])
        here = [
            (item, known[item][0], first) for item, first, _ in chunk if item in known and known[item][2] not in pending
        ]
        store.know_items(here)
        present = {item for item, _, _ in here}
        for item, first, count in chunk:
            if item in present:
                continue
            unknown.append(item)
            if not mapping.create_items:
                report.refused += count
                more = f" ({count} rows)" if count > 1 else ""
                report.errors.add(
                    finding(first, "unknown_item", f"The project has no item of this id{more}. Import the items first, or let items without content be made.", mapping.item, item)
                )  # fmt: skip
    if not mapping.create_items:
        store.forget_items(unknown)
        total -= len(unknown)
    elif unknown:
        report.note(
            f"{len(unknown):,} items are not in the project; they are made without content and tagged “placeholder”."
        )
    report.facts["items"] = total
    return unknown
