"""Labels of batches as a ratings table: streamed as arrays, one pass, no object per row.

Missing is absent: "not enough information" is no category; it has a rate of its own. Categories are the labels the
version declares, a borderline label among them; a mere mark enters no coefficient of labels and is read beside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db.models import IntegerField, Q, QuerySet, TextField
from django.db.models.functions import Cast

from labeling import task_types
from labeling.guideline_settings import version_settings
from labeling.hashing import canonical_json
from labeling.models import Annotation, Batch, BatchItem, Exclusion, GuidelineVersion, Item, Membership
from labeling.queries.annotations import is_set_aside, that_measure
from labeling.refusals import Refusal
from labeling.task_types import TaskType
from labeling.vocabulary import BatchKind, Cohort

from ..statistics.agreement import LEVELS
from ..statistics.ratings import RatingsTable, as_label

CHUNK = 20_000
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
COHORTS = tuple(Cohort.values)
MARKS = ("plain", "borderline")


@dataclass(frozen=True)
class Rater:
    """Who stands behind a rater of the table. A member whose cohort was changed is one rater in each."""

    member: int
    uuid: UUID
    cohort: str


@dataclass(frozen=True)
class Answers:
    """How many answers a cohort gave, and how many of them were no label or a label with a borderline mark."""

    labeled: int = 0
    cannot_label: int = 0
    borderline: int = 0

    @property
    def all(self) -> int:
        return self.labeled + self.cannot_label


@dataclass(frozen=True, eq=False)
class Reading:
    """The labels of one or more batches under one version.

    Attributes
    ----------
    batches
        What was read, retest batches after their parent.
    version
        The guideline version all labels stand under (the first batch's, where several were asked for by name).
    table
        Ratings between raters; names of items and raters are primary keys as text. Later labels of one rater for one
        item, from retest batches, are its repeats.
    item_ids : int64 (N,)
        Primary keys along `table.items`.
    raters
        Along `table.raters`.
    role, audit
        Of each item, along `table.items`: its role in the first batch that holds it, and whether it was drawn for audit.
    answers
        By cohort, retest answers left out.
    marks
        The same ratings as plain or borderline marks; None where the version declares a borderline label (then it is a
        category) or nobody marked anything.
    cannot : int64 (M, 2)
        Rows (item primary key, index into COHORTS) of "not enough information" answers.
    seconds
        (rater index along `raters`, seconds) of the answers whose time on the item is known, "not enough information"
        among them.
    set_aside
        {"raters": …, "ratings": …} that were left out because their rater or place is set aside.
    withdrawn
        {"items": …, "ratings": …} that were left out because the item was withdrawn after it was answered.
    exact
        True where answers are compared as wholes because the task's values are no labels.
    """

    batches: tuple[Batch, ...]
    version: GuidelineVersion
    level: str
    table: RatingsTable
    item_ids: Ints
    raters: tuple[Rater, ...]
    role: npt.NDArray[np.str_]
    audit: Bools
    answers: Mapping[str, Answers]
    marks: RatingsTable | None
    cannot: Ints
    seconds: tuple[Ints, npt.NDArray[np.float64]]
    set_aside: Mapping[str, int]
    withdrawn: Mapping[str, int] = field(default_factory=lambda: {"items": 0, "ratings": 0})
    exact: bool = False
    _memo: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def cohort_of(self) -> dict[str, str]:
        """{rater name: cohort}."""
        return {name: rater.cohort for name, rater in zip(self.table.raters, self.raters, strict=True)}

    @property
    def cohorts(self) -> tuple[str, ...]:
        """Cohorts with answers, in the fixed order."""
        return tuple(cohort for cohort in COHORTS if cohort in self.answers)

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles that items of the table have."""
        return tuple(str(role) for role in np.unique(self.role))

    def subset(self, *, items: npt.ArrayLike | None = None, cohort: str = "") -> Reading:
        """The same reading for some items (mask along `table.items`) or one cohort. `answers` and `cannot` go along."""
        raters = None if not cohort else np.array([rater.cohort == cohort for rater in self.raters], np.bool_)
        kept = np.ones(len(self.item_ids), np.bool_) if items is None else np.asarray(items, np.bool_)
        table = self.table.subset(items=kept, raters=raters)
        ids = names_as_ids(table.items)
        place = np.searchsorted(self.item_ids, ids)
        by_name = dict(zip(self.table.raters, self.raters, strict=True))
        answers, cannot = self.answers, self.cannot
        if cohort:
            answers = {cohort: self.answers[cohort]} if cohort in self.answers else {}
            cannot = cannot[cannot[:, 1] == COHORTS.index(cohort)]
        if items is not None:
            cannot = cannot[~np.isin(cannot[:, 0], self.item_ids[~kept])]
            answers = _answers_of(table, {n: by_name[n].cohort for n in table.raters}, cannot)
        who, seconds = self.seconds
        kept_raters = {name: at for at, name in enumerate(table.raters)}
        moved = np.array([kept_raters.get(name, -1) for name in self.table.raters], np.int64)
        stays = moved[who] >= 0 if len(who) else np.zeros(0, np.bool_)
        return replace(
            self, seconds=(moved[who[stays]], seconds[stays]), table=table, item_ids=ids, raters=tuple(by_name[name] for name in table.raters),
            role=self.role[place], audit=self.audit[place], answers=answers, cannot=cannot,
            marks=None if self.marks is None else _same_rows(self.marks, table), _memo={},
        )  # fmt: skip

    def cohort(self, cohort: str) -> Reading:
        """One cohort's labels (computed once)."""
        if cohort not in self._memo:
            self._memo[cohort] = self.subset(cohort=cohort)
        found: Reading = self._memo[cohort]
        return found

    def with_items(self, ids: npt.ArrayLike) -> Reading:
        """The labels of items with these primary keys."""
        return self.subset(items=np.isin(self.item_ids, np.asarray(ids, np.int64)))


def names_as_ids(names: Sequence[str]) -> Ints:
    """Primary keys behind the item names of a table."""
    return np.fromiter(map(int, names), np.int64, len(names))


def _same_rows(marks: RatingsTable, table: RatingsTable) -> RatingsTable:
    items, raters = set(table.items), set(table.raters)
    return marks.subset(
        items=np.array([name in items for name in marks.items], np.bool_),
        raters=np.array([name in raters for name in marks.raters], np.bool_),
    )


def _answers_of(table: RatingsTable, cohort_of: Mapping[str, str], cannot: Ints) -> dict[str, Answers]:
    labels = np.bincount(table.rater, minlength=table.n_raters) if table.n_raters else np.zeros(0, np.int64)
    found: dict[str, Answers] = {}
    for at, cohort in enumerate(COHORTS):
        labeled = sum(int(n) for n, name in zip(labels, table.raters, strict=True) if cohort_of[name] == cohort)
        none = int((cannot[:, 1] == at).sum()) if len(cannot) else 0
        if labeled or none:
            found[cohort] = Answers(labeled, none)
    return found


# ------------------------------------------------------------------------------------------------ values as labels


class Labels:
    """Codes of JSON values: declared labels first, in order; what a task declares none for is numbered as it comes."""

    def __init__(self, version: GuidelineVersion, task: TaskType) -> None:
        self._task, self._settings = task, version_settings(version)
        declared = list(self._settings["labels"]) if task.has_labels else []
        self.names: list[str] = list(declared)
        self._open = not declared
        self._code: dict[str, int] = {name: k for k, name in enumerate(declared)}
        self._known: dict[str, int] = {}

    def code(self, text: str | None) -> int:
        """The code of a value's JSON text; -1 for none, or for a label the version does not declare."""
        if text is None:
            return -1
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = self.code_of_value(json.loads(text))
        return known

    def code_of_value(self, value: Any) -> int:
        name = self.name(value)
        if name in self._code:
            return self._code[name]
        if not self._open:
            return -1
        self._code[name] = len(self.names)
        self.names.append(name)
        return self._code[name]

    def name_of_text(self, text: str) -> str:
        """The name of a value given as JSON text."""
        return self.name(json.loads(text))

    def name(self, value: Any) -> str:
        """How the statistics call a value."""
        value = self._task.normalise(value, self._settings)
        if isinstance(value, str | bool | int | float):
            return as_label(value)
        return canonical_json(value)


def level_of(task: TaskType) -> tuple[str, bool]:
    """(level of measurement, whether answers are compared as wholes) of a task type."""
    return (task.measurement, False) if task.measurement in LEVELS else ("nominal", True)


# ------------------------------------------------------------------------------------------------ reading


def with_retests(batches: Iterable[Batch]) -> list[Batch]:
    """The batches, each followed by its finished retest batches under the same version: repeats of the same raters."""
    found: list[Batch] = []
    for batch in batches:
        found.append(batch)
        found += batch.children.filter(kind=BatchKind.RETEST, guideline_version=batch.guideline_version_id).order_by(
            "pk"
        )
    return list({batch.pk: batch for batch in found}.values())


def read_ratings(
    batches: Sequence[Batch], *, retests: bool = True, across_versions: bool = False, with_set_aside: bool = False
) -> Reading:
    """Read the labels that measure (`labeling.queries.annotations.that_measure`).

    Parameters
    ----------
    batches
        Of one project; of one version unless `across_versions` says otherwise by name. For an item that two of them
        hold, the first batch's label counts between raters, as everywhere.
    retests
        Also the retest batches of each: repeats, never labels between raters.
    with_set_aside
        Also the labels of who is set aside: for figures that are asked for by that name.

    Raises
    ------
    Refusal
        `no_batch`, or `versions_differ`.
    """
    batches = list(batches)
    if not batches:
        raise Refusal("no_batch", "Name at least one batch.")
    versions = {batch.guideline_version_id for batch in batches}
    if len(versions) > 1 and not across_versions:
        raise Refusal(
            "versions_differ",
            "These batches were labeled under different definitions. Agreement is measured within one definition.",
        )
    version = batches[0].guideline_version
    task = task_types.get(batches[0].project.task_type)
    level, exact = level_of(task)
    labels = Labels(version, task)
    asked = {batch.pk for batch in batches}
    every = with_retests(batches) if retests else batches
    columns = _Columns()
    # Asked once, not for every row: usually nobody is set aside.
    everyone = with_set_aside or not _anyone_aside(batches[0].project_id)
    for batch in every:
        columns.read(that_measure([batch], with_set_aside=everyone), labels, repeat=batch.pk not in asked)
    raw = columns.arrays()
    item_of, role_of, audit_of = _batch_items(batches + [batch for batch in every if batch.pk not in asked])
    item = item_of[raw.batch_item] if len(raw.batch_item) else np.zeros(0, np.int64)
    raw, item, withdrawn = _without_withdrawn(raw, item, batches[0].project_id)
    reading = _assemble(
        tuple(every), version, level, labels, raw, item, role_of, audit_of, exact,
        {"raters": 0, "ratings": 0} if everyone else count_set_aside(batches),
    )  # fmt: skip
    return replace(reading, withdrawn=withdrawn)


@dataclass(frozen=True, eq=False)
class _Raw:
    batch_item: Ints
    member: Ints
    cohort: npt.NDArray[np.int8]
    value: npt.NDArray[np.int32]
    mark: Bools
    none: Bools
    repeat: Bools
    seconds: npt.NDArray[np.float64]  # nan where the time is not known


class _Columns:
    """Rows of annotations as growing arrays."""

    def __init__(self) -> None:
        self._parts: list[tuple[npt.NDArray[Any], ...]] = []

    def read(self, rows: QuerySet[Annotation], labels: Labels, *, repeat: bool) -> None:
        values = rows.order_by().values_list(
            "assignment__batch_item_id", "assignment__member_id", "assignment__cohort",
            # as an integer: the database's own reader of booleans would cost as much as all the rest
            Cast("value", TextField()), Cast("borderline", IntegerField()), "outcome", "seconds",
        )  # fmt: skip
        cohorts = {cohort: at for at, cohort in enumerate(COHORTS)}
        code = labels.code
        part: list[tuple[Any, ...]] = []
        for row in values.iterator(chunk_size=CHUNK):
            part.append(row)
            if len(part) == CHUNK:
                self._add(part, cohorts, code, repeat)
                part = []
        if part:
            self._add(part, cohorts, code, repeat)

    def _add(self, part: list[tuple[Any, ...]], cohorts: Mapping[str, int], code: Any, repeat: bool) -> None:
        batch_item, member, cohort, value, mark, outcome, seconds = zip(*part, strict=True)
        n = len(part)
        self._parts.append(
            (
                np.array(batch_item, np.int64),
                np.array(member, np.int64),
                np.fromiter(map(cohorts.__getitem__, cohort), np.int8, n),
                np.fromiter(map(code, value), np.int32, n),
                np.array(mark, np.bool_),
                np.fromiter((one != "labeled" for one in outcome), np.bool_, n),
                np.full(n, repeat, np.bool_),
                np.array(seconds, np.float64),
            )
        )

    def arrays(self) -> _Raw:
        kinds = (np.int64, np.int64, np.int8, np.int32, np.bool_, np.bool_, np.bool_, np.float64)
        if not self._parts:
            empty: Any = (np.zeros(0, kind) for kind in kinds)
            return _Raw(*empty)
        columns: Any = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        return _Raw(*columns)


def _without_withdrawn(raw: _Raw, item: Ints, project_id: int) -> tuple[_Raw, Ints, dict[str, int]]:
    """The rows of items that are still in use, and how many items and answers are left out."""
    rows = Item.objects.filter(project=project_id, withdrawn_at__isnull=False).order_by().values_list("pk", flat=True)
    gone = np.isin(item, np.fromiter(rows.iterator(chunk_size=CHUNK), np.int64))
    if not gone.any():
        return raw, item, {"items": 0, "ratings": 0}
    left = _Raw(*(getattr(raw, column.name)[~gone] for column in fields(_Raw)))
    return left, item[~gone], {"items": len(np.unique(item[gone])), "ratings": int((gone & ~raw.repeat).sum())}


class _ByKey:
    """Values by primary key, looked up for whole arrays."""

    def __init__(self, keys: Ints, values: npt.NDArray[Any]) -> None:
        order = np.argsort(keys, kind="stable")
        self._keys, self._values = keys[order], values[order]

    def __getitem__(self, wanted: Ints) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = self._values[np.searchsorted(self._keys, wanted)]
        return found


def _batch_items(batches: Sequence[Batch]) -> tuple[_ByKey, dict[int, str], set[int]]:
    """(item by batch item, role by item where it is not normal, items drawn for audit); the first batch's word counts."""
    pks, items = [], []
    roles: dict[int, str] = {}
    audit: set[int] = set()
    for batch in batches:
        rows = (
            BatchItem.objects.filter(batch=batch)
            .order_by()
            .values_list("pk", "item_id", "role", Cast("audit", IntegerField()))
        )
        for pk, item, role, drawn in rows.iterator(chunk_size=CHUNK):
            pks.append(pk)
            items.append(item)
            if role != "normal" and item not in roles:
                roles[item] = role
            if drawn:
                audit.add(item)
    return _ByKey(np.array(pks, np.int64), np.array(items, np.int64)), roles, audit


def _assemble(
    batches: tuple[Batch, ...],
    version: GuidelineVersion,
    level: str,
    labels: Labels,
    raw: _Raw,
    item: Ints,
    role_of: Mapping[int, str],
    audit_of: set[int],
    exact: bool,
    set_aside: Mapping[str, int],
) -> Reading:
    # a rater is a member in a cohort: who changed cohorts is one rater in each
    keys, rater = np.unique(raw.member * len(COHORTS) + raw.cohort, return_inverse=True)
    rater = rater.reshape(-1)
    raters = _raters(keys)
    names = _rater_names(raters)
    ids, code = np.unique(item, return_inverse=True)
    code = code.reshape(-1)
    # a retest label without a first one is no label between raters either
    pair = code * max(1, len(keys)) + rater
    keep = ~raw.repeat | np.isin(pair, pair[~raw.repeat & ~raw.none])
    labeled = keep & ~raw.none & (raw.value >= 0)
    table = RatingsTable.from_codes(
        code[labeled], rater[labeled], raw.value[labeled], categories=labels.names, items=[str(pk) for pk in ids.tolist()],
        raters=names,
    )  # fmt: skip
    kept = names_as_ids(table.items)
    by_name = dict(zip(names, raters, strict=True))
    first = ~raw.repeat
    answers = {}
    for at, cohort in enumerate(COHORTS):
        mine = first & (raw.cohort == at)
        if mine.any():
            answers[cohort] = Answers(
                int((mine & ~raw.none).sum()), int((mine & raw.none).sum()), int((mine & raw.mark).sum())
            )
    timed = first & np.isfinite(raw.seconds)
    place = {name: at for at, name in enumerate(table.raters)}
    known = np.array([place.get(name, -1) for name in names], np.int64)
    timed[timed] = known[rater[timed]] >= 0
    marked = first & labeled
    marks = None
    if raw.mark[marked].any() and not version.labels.filter(is_borderline=True).exists():
        marks = RatingsTable.from_codes(
            code[marked], rater[marked], raw.mark[marked].astype(np.int32), categories=MARKS,
            items=[str(pk) for pk in ids.tolist()], raters=names,
        )  # fmt: skip
    return Reading(
        batches=batches,
        version=version,
        level=level,
        table=table,
        item_ids=kept,
        raters=tuple(by_name[name] for name in table.raters),
        role=np.array([role_of.get(pk, "normal") for pk in kept.tolist()], np.str_),
        audit=np.array([pk in audit_of for pk in kept.tolist()], np.bool_),
        answers=answers,
        marks=marks,
        cannot=np.column_stack([item[first & raw.none], raw.cohort[first & raw.none].astype(np.int64)]),
        seconds=(known[rater[timed]], raw.seconds[timed]),
        set_aside=set_aside,
        exact=exact,
    )


def _raters(keys: Ints) -> list[Rater]:
    members = sorted({int(key) // len(COHORTS) for key in keys})
    uuids: dict[int, UUID] = {}
    for start in range(0, len(members), 500):
        rows = Membership.objects.filter(pk__in=members[start : start + 500])
        uuids.update(rows.values_list("pk", "uuid"))
    return [
        Rater(int(key) // len(COHORTS), uuids[int(key) // len(COHORTS)], COHORTS[int(key) % len(COHORTS)])
        for key in keys
    ]


def _rater_names(raters: Sequence[Rater]) -> list[str]:
    seen: set[int] = set()
    names = []
    for rater in raters:
        names.append(f"{rater.member}@{rater.cohort}" if rater.member in seen else str(rater.member))
        seen.add(rater.member)
    return names


def _anyone_aside(project_id: int) -> bool:
    here = Q(member__project=project_id) | Q(assignment__batch__project=project_id)
    return Exclusion.objects.filter(here, lifted_at__isnull=True).exists()


def count_set_aside(batches: Sequence[Batch]) -> dict[str, int]:
    """Raters and ratings that figures leave out because they are set aside."""

    rows = that_measure(batches, with_set_aside=True).filter(is_set_aside()).order_by()
    members: dict[int, int] = {}
    for (member,) in rows.values_list("assignment__member_id").iterator(chunk_size=CHUNK):
        members[member] = members.get(member, 0) + 1
    return {"raters": len(members), "ratings": sum(members.values())}
