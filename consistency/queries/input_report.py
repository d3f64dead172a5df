"""Improve the input: where items do not show enough to be labeled, by metadata, pairs of metadata, and slices.

The unit is the item, not the answer: two raters who both find an item too dark are one dark item. No rater is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any, Self

import numpy as np
from django.db.models import Count, Q, QuerySet

from labeling.models import Annotation, Batch
from labeling.queries.annotations import that_resolve
from labeling.vocabulary import Outcome

from .slices import items_by_slice, slices_of

MOST_VALUES = 30
MOST_FIELDS = 12
MOST_ROWS = 60
MOST_REASONS = 12
FEWEST_ITEMS = 3
LEVEL = 0.95


@dataclass(frozen=True)
class Group:
    """Items that share something, and how many of them somebody could not label.

    where: (field, value) once or twice, or ("slice", its name). low, high: Wilson's interval of the share. elsewhere:
    the share among all other items, None where there are none.
    """

    where: tuple[tuple[str, str], ...]
    items: int
    affected: int
    share: float
    low: float
    high: float
    elsewhere: float | None

    @property
    def words(self) -> str:
        return " of ".join(f"{name} {value}" for name, value in reversed(self.where))

    @property
    def stands_out(self) -> bool:
        """Its interval lies above the share elsewhere."""
        return self.elsewhere is not None and self.affected >= 2 and self.low > self.elsewhere


@dataclass(frozen=True)
class InputReport:
    """items: with an answer. affected: with at least one "not enough information". unread: fields left out, and why."""

    items: int
    affected: int
    answers: int
    cannot: int
    overall: Group | None = None
    groups: list[Group] = field(default_factory=list)
    pairs: list[Group] = field(default_factory=list)
    reasons: list[tuple[str, int]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def headline(self) -> Group | None:
        """The group that stands out most; a pair only where it says more than each half."""
        found = [group for group in (*self.pairs, *self.groups) if group.stands_out]
        return max(found, key=lambda group: group.low - (group.elsewhere or 0.0), default=None)

    def as_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> Self:
        """From what was stored."""

        def group(one: dict[str, Any]) -> Group:
            return Group(**{**one, "where": tuple((name, value) for name, value in one["where"])})

        return cls(
            **{
                **stored,
                "overall": group(stored["overall"]) if stored["overall"] else None,
                "groups": [group(one) for one in stored["groups"]],
                "pairs": [group(one) for one in stored["pairs"]],
                "reasons": [(reason, count) for reason, count in stored["reasons"]],
            }
        )


def input_report(batch: Batch) -> InputReport:
    """Where the batch's items did not show enough. Reads the answers grouped by item, twice, as a stream."""
    names, unread = _fields(batch)
    singles: dict[tuple[tuple[str, str], ...], list[int]] = {}
    pairs: dict[tuple[tuple[str, str], ...], list[int]] = {}
    ids: list[int] = []
    hit: list[bool] = []
    items = affected = answers = cannot = 0
    for pk, metadata, said, missing in _items(batch):
        items += 1
        affected += missing > 0
        answers += said
        cannot += missing
        ids.append(pk)
        hit.append(missing > 0)
        traits = [(name, str(metadata[name])) for name in names if _is_plain(metadata.get(name))]
        for trait in traits:
            _count(singles, (trait,), missing)
        for one, other in combinations(traits, 2):
            _count(pairs, (one, other), missing)
    if not items:
        return InputReport(0, 0, 0, 0, unread=unread)
    found = _groups(singles, items, affected)
    by_where = {group.where: group for group in found}
    known = np.array(ids)
    touched = known[np.array(hit)]
    by_slice = items_by_slice(batch.project)
    for named in slices_of(batch.project):
        members = by_slice[named.key]
        inside, bad = int(np.isin(known, members).sum()), int(np.isin(touched, members).sum())
        if inside:
            found.append(_group((("slice", named.name),), inside, bad, items, affected))
    crossed = [
        group
        for group in _groups(pairs, items, affected)
        # A pair is news only where it is worse than each of its halves alone.
        if group.affected >= 2 and all(group.share > by_where[(half,)].share for half in group.where)
    ]
    return InputReport(
        items,
        affected,
        answers,
        cannot,
        overall=_group((), items, affected, items, affected),
        groups=_worst(found),
        pairs=_worst(crossed),
        reasons=_reasons(batch),
        unread=unread,
    )


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool) and value != ""


def _said_of(batch: Batch) -> QuerySet[Annotation]:
    """Answers that count, of items that are still in use."""
    return that_resolve([batch]).filter(assignment__batch_item__item__withdrawn_at__isnull=True)


def _items(batch: Batch) -> Iterator[tuple[int, dict[str, Any], int, int]]:
    """(item, metadata, answers, answers that say not enough information) of every answered item."""
    rows = (
        _said_of(batch)
        .order_by()
        .values_list("assignment__batch_item__item_id", "assignment__batch_item__item__metadata")
        .annotate(said=Count("pk"), missing=Count("pk", filter=Q(outcome=Outcome.CANNOT_LABEL)))
        .order_by("assignment__batch_item__item_id")
    )
    for pk, metadata, said, missing in rows.iterator(chunk_size=2000):
        yield pk, metadata or {}, said, missing


def _fields(batch: Batch) -> tuple[list[str], list[str]]:
    """Metadata fields with few values, and those that were left out."""
    values: dict[str, set[str]] = {}
    many: set[str] = set()
    for _, metadata, _, _ in _items(batch):
        for name, value in metadata.items():
            if name not in many and _is_plain(value):
                seen = values.setdefault(name, set())
                seen.add(str(value))
                if len(seen) > MOST_VALUES:
                    many.add(name)
                    del values[name]
    names = sorted(name for name, seen in values.items() if len(seen) > 1)
    left = [f"{name} has more than {MOST_VALUES} values" for name in sorted(many)]
    left += [f"{name} is one of more than {MOST_FIELDS} fields" for name in names[MOST_FIELDS:]]
    return names[:MOST_FIELDS], left


def _count(table: dict[tuple[tuple[str, str], ...], list[int]], key: tuple[tuple[str, str], ...], missing: int) -> None:
    cell = table.setdefault(key, [0, 0])
    cell[0] += 1
    cell[1] += missing > 0


def _groups(table: dict[tuple[tuple[str, str], ...], list[int]], items: int, affected: int) -> list[Group]:
    return [_group(where, n, bad, items, affected) for where, (n, bad) in table.items() if n >= FEWEST_ITEMS]


def _group(where: tuple[tuple[str, str], ...], n: int, bad: int, items: int, affected: int) -> Group:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(bad, n, alpha=1 - LEVEL, method="wilson")
    rest = items - n
    return Group(where, n, bad, bad / n, float(low), float(high), (affected - bad) / rest if rest else None)


def _worst(groups: list[Group]) -> list[Group]:
    return sorted((group for group in groups if group.affected), key=lambda group: (-group.low, group.words))[
        :MOST_ROWS
    ]


def _reasons(batch: Batch) -> list[tuple[str, int]]:
    counted: Counter[str] = Counter()
    words: dict[str, str] = {}
    rows = _said_of(batch).filter(outcome=Outcome.CANNOT_LABEL).order_by("pk").values_list("reason", flat=True)
    for reason in rows.iterator(chunk_size=2000):
        key = " ".join(reason.split()).casefold().rstrip(".")
        words.setdefault(key, " ".join(reason.split()))
        counted[key] += 1
    return [(words[key], count) for key, count in counted.most_common(MOST_REASONS)]
