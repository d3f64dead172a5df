"""What a model says about items, read from a file or a request. It stays in the shadow: raters never see it.

The whole file is checked before anything is written. Predictions are only ever added: the same ones again change
nothing, another value from the same model version is refused, since its figures would speak of two models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from .. import task_types
from ..access import Seat, require
from ..events import event, record
from ..formats.rows import BadRow, Row, shorten, value_at
from ..guideline_settings import label_keys, version_settings
from ..hashing import canonical_json
from ..models import GuidelineVersion, Item, Prediction
from ..refusals import BadValue, NotSeen, Refusal
from ..task_types import TaskType
from ..vocabulary import VersionStatus

CHUNK = 500
PROBLEMS_SHOWN = 20
PREFIX = "p_"
# Probabilities written with four digits sum to 1 only so nearly.
SUM_TOLERANCE = 0.01
ITEM_NAMES, VALUE_NAMES = ("item_id", "external_id", "item", "id"), ("value", "prediction", "predicted", "label")
PROBABILITIES = "probabilities"


@dataclass(frozen=True)
class PredictionColumns:
    """Which columns hold the item, the predicted value and the probabilities; empty where the file has none.

    `by_label`: {label: column}, from columns named p_LABEL.
    """

    item: str
    value: str = ""
    probabilities: str = ""
    by_label: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def find(
        cls, columns: Iterable[str], *, item: str = "", value: str = "", labels: Iterable[str] = ()
    ) -> PredictionColumns:
        """By the names given, else by the usual ones. Raises BadValue naming what is missing."""
        columns = list(columns)
        listed = ", ".join(columns[:20]) + (", …" if len(columns) > 20 else "")
        for name in (item, value):
            if name and name not in columns:
                raise BadValue("no_column", f"The file has no column “{name}”. Its columns are: {listed}.", field=name)
        lower = {column.lower(): column for column in columns}
        item = item or next((lower[name] for name in ITEM_NAMES if name in lower), "")
        if not item:
            raise BadValue(
                "no_column", f"Say which column holds the item. The file's columns are: {listed}.", field="item"
            )
        value = value or next((lower[name] for name in VALUE_NAMES if name in lower), "")
        probabilities = lower.get(PROBABILITIES, "")
        by_label = {label: PREFIX + label for label in labels if PREFIX + label in columns}
        if not (value or probabilities or by_label):
            raise BadValue(
                "no_column",
                f"A prediction needs a value or probabilities. The file's columns are: {listed}.",
                field="value",
            )
        return cls(item, value, probabilities, by_label)


@dataclass(frozen=True)
class Predicted:
    """One checked prediction, and where it stands."""

    number: int
    name: str
    item: int
    value: Any
    probabilities: dict[str, float] | None


class Refused(NamedTuple):
    """A row that is left out, and why in words; `code` says it to a program."""

    number: int
    code: str
    why: str

    def __str__(self) -> str:
        return f"Row {self.number}: {self.why}"


@dataclass
class PredictionReport:
    """What a file held: `kept` new ones, `same` that are stored already, and what was refused, with the first reasons."""

    kept: int = 0
    same: int = 0
    refused: int = 0
    ties: int = 0
    problems: list[Refused] = field(default_factory=list)
    most: int = PROBLEMS_SHOWN

    def refuse(self, number: int, code: str, why: str) -> None:
        self.refused += 1
        if len(self.problems) < self.most:
            self.problems.append(Refused(number, code, why))


def version_for(project: Any, number: int | None) -> GuidelineVersion:
    """The version of that number, or the newest published one, or else the newest imported one."""
    versions = GuidelineVersion.objects.filter(project=project).exclude(status=VersionStatus.DRAFT).order_by("-number")
    if number is not None:
        found = versions.filter(number=number).first()
        if found is None:
            known = ", ".join(f"{n}" for n in versions.values_list("number", flat=True)[:20]) or "none yet"
            raise BadValue(
                "no_version", f"There is no definition {number} that stands. There are: {known}.", field="guideline"
            )
        return found
    found = versions.filter(status=VersionStatus.PUBLISHED).first() or versions.first()
    if found is None:
        raise Refusal("not_published", "Predictions stand under a definition, and this project has none yet.")
    return found


class Checker:
    """Checks rows against the project's items, the version's labels and what the model said before."""

    def __init__(self, version: GuidelineVersion, name: str, model_version: str, columns: PredictionColumns) -> None:
        self._version, self._columns = version, columns
        self._name, self._model_version = name, model_version
        self._task: TaskType = task_types.get(version.project.task_type)
        self._settings = version_settings(version)
        self._labels = label_keys(version) if self._task.has_labels else ()
        self._seen: set[int] = set()

    def check(self, rows: Iterable[tuple[int, Row]], report: PredictionReport) -> Iterator[list[Predicted]]:
        """The new predictions of the rows, a chunk at a time; everything else is told to the report."""
        part: list[tuple[int, UUID | str, Mapping[str, Any]]] = []
        for number, row in rows:
            if isinstance(row, BadRow):
                report.refuse(number, "bad_row", row.reason)
                continue
            given = value_at(row, self._columns.item)
            name = given if isinstance(given, UUID) else "" if given is None else str(given).strip()
            if name:
                part.append((number, name, row))
            else:
                report.refuse(number, "unknown_item", "no item is named.")
            if len(part) == CHUNK:
                yield self._chunk(part, report)
                part = []
        if part:
            yield self._chunk(part, report)

    def _items(self, names: list[UUID | str]) -> dict[UUID | str, Item]:
        """{what the rows call it: the item}: an external id, or a uuid where the row gives one."""
        items = (
            Item.objects.visible().filter(project=self._version.project_id).only("pk", "uuid", "external_id", "payload")
        )
        texts = [name for name in names if isinstance(name, str)]
        uuids = [name for name in names if isinstance(name, UUID)]
        found: dict[UUID | str, Item] = {}
        if texts:
            found |= {item.external_id: item for item in items.filter(external_id__in=texts)}
        if uuids:
            found |= {item.uuid: item for item in items.filter(uuid__in=uuids)}
        return found

    def said(self, items: Iterable[int]) -> dict[int, str]:
        """{item: the canonical value this model version has for it}."""
        rows = Prediction.objects.filter(
            item__in=list(items), guideline_version=self._version, model_name=self._name,
            model_version=self._model_version,
        )  # fmt: skip
        return {item: canonical_json(value) for item, value in rows.values_list("item_id", "value")}

    def _chunk(
        self, part: list[tuple[int, UUID | str, Mapping[str, Any]]], report: PredictionReport
    ) -> list[Predicted]:
        items = self._items([name for _, name, _ in part])
        said = self.said(item.pk for item in items.values())
        found: list[Predicted] = []
        for number, name, row in part:
            item = items.get(name)
            if item is None:
                report.refuse(number, "unknown_item", f"the project has no item “{shorten(str(name))}”.")
                continue
            if item.pk in self._seen:
                report.refuse(number, "twice", f"“{shorten(str(name))}” stands twice.")
                continue
            self._seen.add(item.pk)
            try:
                value, probabilities, tied = self._read(row, item.payload)
            except ValidationError as error:
                report.refuse(number, "bad_value", " ".join(error.messages))
                continue
            before = said.get(item.pk)
            if before is None:
                report.kept += 1
                report.ties += tied
                found.append(Predicted(number, str(name), item.pk, value, probabilities))
            elif before == canonical_json(value):
                report.same += 1
            else:
                report.refuse(number, *self.contradicts(before, str(name)))
        return found

    @staticmethod
    def contradicts(before: str, name: str) -> tuple[str, str]:
        """Code and words for a value other than the one that stands."""
        return (
            "predicted",
            f"this model version said {shorten(before)} of “{shorten(name)}” before; name another version.",
        )

    def _read(self, row: Mapping[str, Any], payload: Any) -> tuple[Any, dict[str, float] | None, bool]:
        """(value, probabilities, whether the value is the first of several equally likely)."""
        probabilities = self._probabilities(row)
        raw = value_at(row, self._columns.value) if self._columns.value else None
        if raw is None or raw == "":
            if not probabilities:
                raise ValidationError("neither a value nor probabilities are given.")
            top = max(probabilities.values())
            likely = [label for label in self._order(probabilities) if probabilities[label] == top]
            return self._clean(likely[0], payload), probabilities, len(likely) > 1
        return self._clean(raw, payload), probabilities, False

    def _order(self, probabilities: Mapping[str, float]) -> list[str]:
        return [label for label in self._labels if label in probabilities] or list(probabilities)

    def _clean(self, raw: Any, payload: Any) -> Any:
        try:
            return self._task.clean(raw, payload, self._settings)
        except ValidationError:
            # a CSV cell is text: "3" may be the number 3, and {"start": …} an object
            try:
                parsed = json.loads(raw) if isinstance(raw, str) else raw
            except ValueError:
                parsed = raw
            text = f"{parsed:g}" if isinstance(parsed, int | float) and not isinstance(parsed, bool) else None
            for other in (parsed, text):
                if other is not None and other != raw:
                    try:
                        return self._task.clean(other, payload, self._settings)
                    except ValidationError:
                        continue
            raise

    def _probabilities(self, row: Mapping[str, Any]) -> dict[str, float] | None:
        given: Any = {}
        if self._columns.probabilities:
            given = value_at(row, self._columns.probabilities)
            if isinstance(given, str) and given.strip():
                try:
                    given = json.loads(given)
                except ValueError:
                    raise ValidationError("the probabilities are no JSON object.") from None
            if isinstance(given, list):  # a Parquet map
                given = dict(given)
            if given in (None, ""):
                given = {}
            if not isinstance(given, Mapping):
                raise ValidationError("the probabilities are no object of label and number.")
        numbers = {str(label): value for label, value in given.items() if value is not None}
        for label, column in self._columns.by_label.items():
            if (value := row.get(column)) not in (None, ""):
                numbers[label] = value
        if not numbers:
            return None
        return self._checked(numbers)

    def _checked(self, numbers: Mapping[str, Any]) -> dict[str, float]:
        found: dict[str, float] = {}
        for label, value in numbers.items():
            if self._labels and label not in self._labels:
                raise ValidationError(f"“{shorten(label)}” is no label of this definition.")
            try:
                number = float(value)
            except (TypeError, ValueError):
                raise ValidationError(f"the probability of “{shorten(label)}” is no number.") from None
            if not math.isfinite(number) or not 0 <= number <= 1:
                raise ValidationError(f"the probability of “{shorten(label)}” is {number:g}, not between 0 and 1.")
            found[label] = number
        if abs(sum(found.values()) - 1) > SUM_TOLERANCE:
            raise ValidationError(f"the probabilities sum to {sum(found.values()):.3f}, not to 1.")
        return found


def import_predictions(
    *,
    by: Seat,
    rows: Callable[[], Iterable[tuple[int, Row]]],
    model_name: str,
    model_version: str,
    guideline_version: GuidelineVersion,
    columns: PredictionColumns,
    skip_refused: bool = False,
    problems_shown: int = PROBLEMS_SHOWN,
    at: datetime | None = None,
) -> PredictionReport:
    """Check every row, then store the new predictions, at most 500 a transaction.

    `rows` gives the rows anew at each call: they are read twice. Nothing is written when a row is refused, unless
    `skip_refused`; the report says what happened. Run again after an interruption it goes on behind what is stored.
    """
    at = at or timezone.now()
    require(by.membership, "import")
    if guideline_version.project_id != by.project.pk:
        raise NotSeen("not_found", "There is no such definition in this project.")
    if guideline_version.status == VersionStatus.DRAFT:
        raise Refusal("not_published", "Predictions stand under a published definition, not under a draft.")
    for what, text, most in (("model", model_name, 120), ("version", model_version, 60)):
        if not text.strip() or len(text) > most or "@" in text:
            raise BadValue("bad_value", f"Name the {what} in 1 to {most} characters, without “@”.", field=what)
    report = PredictionReport(most=problems_shown)
    for _ in Checker(guideline_version, model_name, model_version, columns).check(rows(), report):
        pass
    if report.refused and not skip_refused:
        return report
    written = PredictionReport(most=problems_shown)
    checker = Checker(guideline_version, model_name, model_version, columns)
    for part in checker.check(rows(), written):
        drafts = [
            Prediction(
                item_id=one.item, model_name=model_name, model_version=model_version,
                guideline_version=guideline_version, value=one.value, probabilities=one.probabilities, at=at,
            )
            for one in part
        ]  # fmt: skip
        with transaction.atomic():
            # Where two imports meet, the constraint keeps the first; the other finds below what stands.
            Prediction.objects.bulk_create(drafts, ignore_conflicts=True)
        standing = checker.said(one.item for one in part)
        for one in part:
            if standing[one.item] != canonical_json(one.value):
                written.kept -= 1
                written.refuse(one.number, *checker.contradicts(standing[one.item], one.name))
    if written.kept:
        with transaction.atomic():
            record(
                event(
                    "imported_predictions", guideline_version, by=by.user, at=at, project=by.project,
                    model=f"{model_name}@{model_version}", predictions=written.kept,
                )
            )  # fmt: skip
    written.problems.sort()
    return written
