"""Which rulings and disagreements led to a version, as its page, its editor and its readers are told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db.models import Max

from labeling import task_types
from labeling.models import GuidelineVersion, Item, LabelDefinition, User

from ..models import Adjudication, GuidelineMotive
from ..vocabulary import Cause, RulingOutcome

MOST_SHOWN = 200
CAUSES_FOR_READERS = {
    Cause.AMBIGUOUS_DEFINITION: "the definition could be read in more than one way",
    Cause.MISSING_LABEL: "a label was missing",
    Cause.RATER_SLIP: "an answer slipped",
    Cause.INSUFFICIENT_INPUT: "the item did not show enough",
    Cause.TRULY_BORDERLINE: "the case was truly borderline",
    Cause.LEGITIMATELY_SUBJECTIVE: "people may rightly differ",
}


@dataclass(frozen=True)
class Motive:
    """One item that led to a version: what was in dispute and, once ruled, what was ruled and why."""

    item: Item
    disagreement_uuid: str
    confusion: str
    cohorts: tuple[str, ...]
    value: str
    cause: str
    outcome: str
    rationale: str
    cluster: str
    by: User | None
    overruled: bool
    """The ruling was replaced by a later one."""


@dataclass(frozen=True)
class Motives:
    """Everything that led to a version. `groups`: items that share one rationale, the largest first."""

    total: int
    rulings: int
    groups: tuple[tuple[str, tuple[Motive, ...]], ...]

    @property
    def shown(self) -> int:
        return sum(len(items) for _, items in self.groups)


def motives_of(version: GuidelineVersion) -> Motives:
    """The motives of a version with their items; four queries, however many there are."""
    rows = (
        GuidelineMotive.objects.filter(guideline_version=version)
        .select_related(
            "adjudication__disagreement__batch_item__item", "adjudication__by", "disagreement__batch_item__item"
        )
        .order_by("pk")
    )
    total = rows.count()
    found = list(rows[:MOST_SHOWN])
    ruled = [row.adjudication for row in found if row.adjudication is not None]
    newest = dict(
        Adjudication.objects.filter(disagreement__in={ruling.disagreement_id for ruling in ruled})
        .values_list("disagreement")
        .annotate(newest=Max("revision"))
    )
    names = _label_names(version)
    task = task_types.get(version.project.task_type)
    groups: dict[str, list[Motive]] = {}
    for row in found:
        ruling = row.adjudication
        disagreement = ruling.disagreement if ruling is not None else row.disagreement
        assert disagreement is not None  # a constraint says so
        says: dict[str, Any] = {"value": "", "cause": "", "outcome": "", "rationale": "", "cluster": "", "by": None}
        if ruling is not None:
            value = task.describe(ruling.value, names) if ruling.value is not None else ""
            says = {
                "value": value or ("a distribution" if ruling.distribution else ""),
                "cause": Cause(ruling.cause).label,
                "outcome": RulingOutcome(ruling.outcome).label,
                "rationale": ruling.rationale,
                "cluster": str(ruling.cluster or ""),
                "by": ruling.by,
            }
        motive = Motive(
            item=disagreement.batch_item.item,
            disagreement_uuid=str(disagreement.uuid),
            confusion=" or ".join(names.get(key, key) for key in disagreement.confusion.split(" | ") if key),
            cohorts=tuple(disagreement.cohorts_split),
            overruled=ruling is not None and newest.get(disagreement.pk) != ruling.revision,
            **says,
        )
        groups.setdefault(motive.rationale, []).append(motive)
    ordered = sorted(groups.items(), key=lambda group: (not group[0], -len(group[1])))
    return Motives(total, len(ruled), tuple((words, tuple(items)) for words, items in ordered))


def _label_names(version: GuidelineVersion) -> dict[str, str]:
    """Names of label keys, of the version and, for those that are gone, of the version before."""
    names: dict[str, str] = {}
    for source in filter(None, (version.parent_id, version.pk)):
        names.update(LabelDefinition.objects.filter(version=source).values_list("key", "name"))
    return names


@dataclass(frozen=True)
class WordsForReaders:
    """Why a version came to be, in words that name no rater and no item."""

    items: int
    causes: tuple[tuple[str, int], ...]
    rationales: tuple[str, ...]


def words_for_readers(version: GuidelineVersion, *, most: int = 3) -> WordsForReaders:
    """What a rater reads beside the changes. A rationale is quoted only where the ruling asked for another definition."""
    rows = GuidelineMotive.objects.filter(guideline_version=version)
    causes: Counter[str] = Counter()
    said: Counter[str] = Counter()
    asks = {RulingOutcome.REVISE, RulingOutcome.NORMALISE, RulingOutcome.MERGE, RulingOutcome.ADD_LABEL}
    ruled = rows.filter(adjudication__isnull=False)
    for cause, outcome, rationale in ruled.values_list(
        "adjudication__cause", "adjudication__outcome", "adjudication__rationale"
    ):
        causes[cause] += 1
        if outcome in asks:
            said[rationale.strip()] += 1
    return WordsForReaders(
        items=rows.count(),
        causes=tuple((CAUSES_FOR_READERS[Cause(cause)], n) for cause, n in causes.most_common()),
        rationales=tuple(words for words, _ in said.most_common(most) if words),
    )
