"""Which value an item has, as a dataset reads it: by pages of items, in flat memory, as of one moment.

The resolution in force in the newest batch (kinds label, relabel, import) under the newest version up to the one asked
for. Versions "as imported" stand outside the chain: they are read when named, or when there is no other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Max, QuerySet

from consistency.models import Disagreement, Resolution, Slice
from consistency.vocabulary import DisagreementStatus, ResolutionMethod
from labeling.hashing import canonical_json
from labeling.models import (
    Annotation,
    Batch,
    BatchItem,
    Exclusion,
    GuidelineVersion,
    Item,
    ItemTag,
    Membership,
    Project,
)
from labeling.pseudonyms import pseudonym
from labeling.queries.version_chain import VersionChain
from labeling.selection import Selection, matching
from labeling.vocabulary import BatchKind, BatchStatus, Outcome, VersionStatus

from .definition import Definition

ITEMS_PER_PAGE = 500
KINDS = (BatchKind.LABEL, BatchKind.RELABEL, BatchKind.IMPORT)
# What every dataset reads of an answer, and what only one of every annotation writes.
ANSWER = (
    "assignment_id", "assignment__batch_item_id", "assignment__cohort", "assignment__member_id", "uuid", "value", "outcome",
    "borderline",
)  # fmt: skip
WHOLE_ANSWER = (
    *ANSWER, "second_value", "reason", "comment", "confidence", "seconds", "origin", "assisted_by", "blind", "revision", "at",
)  # fmt: skip


@dataclass
class Labeled:
    """An item with what a dataset says of it. Without a value `why` says what is missing."""

    item: dict[str, Any]
    tags: list[str] = field(default_factory=list)
    value: Any = None
    method: str = ""
    confidence: float | None = None
    counts: Counter[str] = field(default_factory=Counter)
    cannot_label: int = 0
    borderline: int = 0
    cohorts: Counter[str] = field(default_factory=Counter)
    mapped: bool = False
    version: GuidelineVersion | None = None
    batch: str = ""
    resolution: str | None = None
    ruling: dict[str, Any] | None = None
    answers: list[dict[str, Any]] = field(default_factory=list)
    import_run: str | None = None
    why: str = ""


class Reader:
    """Reads the items of a definition as of the moment it is made; `excluded` counts what is left out, by reason."""

    def __init__(self, project: Project, definition: Definition, *, as_of: dict[str, int] | None = None) -> None:
        self.project = project
        self.definition = definition
        self.version = GuidelineVersion.objects.get(project=project, number=definition.guideline_version or 0)
        self.chain = VersionChain(self.version)
        self.excluded: Counter[str] = Counter()
        self._pseudonyms: dict[int, str] = {}
        # Everything is read up to these rows, so that pages read minutes apart tell of one moment.
        self.as_of = as_of or {
            "item": Item.objects.filter(project=project).aggregate(n=Max("pk"))["n"] or 0,
            "annotation": Annotation.objects.aggregate(n=Max("pk"))["n"] or 0,
            "resolution": Resolution.objects.aggregate(n=Max("pk"))["n"] or 0,
        }
        self.batches = self._batches()
        aside = Exclusion.objects.filter(lifted_at__isnull=True)
        self._members_aside = set(aside.filter(member__project=project).values_list("member_id", flat=True))
        self._places_aside = set(
            aside.filter(assignment__batch__project=project).values_list("assignment_id", flat=True)
        )

    def _batches(self) -> dict[int, Batch]:
        rows = Batch.objects.filter(
            project=self.project, kind__in=KINDS, status__in=(BatchStatus.OPEN, BatchStatus.CLOSED)
        ).select_related("guideline_version")
        if self.definition.batch:
            rows = rows.filter(uuid=self.definition.batch)
        found = {}
        for batch in rows:
            version = batch.guideline_version
            exact = version.pk == self.version.pk
            if self.version.status == VersionStatus.AS_IMPORTED or self.definition.versions == "exact":
                fits = exact
            else:
                fits = self.chain.holds(version.pk)
            if fits:
                found[batch.pk] = batch
        return found

    def items(self) -> QuerySet[Item]:
        """The items of the definition, withdrawn ones left out."""
        if self.definition.slice:
            part = Slice.objects.get(project=self.project, key=self.definition.slice)
            rows = matching(self.project, Selection.from_json(part.filter))
        else:
            rows = Item.objects.available().filter(project=self.project)
        return rows.filter(pk__lte=self.as_of["item"])

    def pages(self) -> Iterator[list[Labeled]]:
        """All items in order of their row, by pages; those without a value carry why."""
        last = 0
        fields = ("pk", "uuid", "external_id", "payload", "metadata", "payload_sha256", "import_run__uuid")
        while page := list(
            self.items().filter(pk__gt=last).order_by("pk").values(*fields)[:ITEMS_PER_PAGE]
        ):  # fmt: skip
            last = page[-1]["pk"]
            yield self._read(page)

    def _read(self, page: list[dict[str, Any]]) -> list[Labeled]:
        first, last = page[0]["pk"], page[-1]["pk"]
        tags: dict[int, list[str]] = defaultdict(list)
        for item, tag in ItemTag.objects.filter(
            item_id__gte=first, item_id__lte=last, item__project=self.project, removed_at__isnull=True
        ).values_list("item_id", "tag"):
            tags[item].append(tag)
        chosen = self._chosen(first, last)
        in_force = self._resolutions(first, last, chosen)
        answers = self._answers(first, last, chosen)
        waiting = self._waiting(first, last)
        out = []
        for row in page:
            labeled = Labeled(item=row, tags=sorted(tags[row["pk"]]), import_run=_text(row["import_run__uuid"]))
            place = chosen.get(row["pk"])
            if place is None:
                labeled.why = "in_no_batch"
            else:
                batch_item, batch = place
                labeled.batch, labeled.version = str(batch.uuid), batch.guideline_version
                self._fill(labeled, in_force.get(batch_item), answers[batch_item], batch_item in waiting)
            out.append(labeled)
        return out

    def _chosen(self, first: int, last: int) -> dict[int, tuple[int, Batch]]:
        """{item: (batch item, batch)}: under the newest version, in the newest batch."""
        best: dict[int, tuple[tuple[int, int], int, Batch]] = {}
        rows = BatchItem.objects.filter(item_id__gte=first, item_id__lte=last, batch__project=self.project).values_list(
            "pk", "item_id", "batch_id"
        )
        for pk, item, batch_id in rows:
            batch = self.batches.get(batch_id)
            if batch is None:
                continue
            rank = (batch.guideline_version.number, batch.pk)
            if item not in best or rank > best[item][0]:
                best[item] = (rank, pk, batch)
        return {item: (pk, batch) for item, (_, pk, batch) in best.items()}

    def _resolutions(self, first: int, last: int, chosen: dict[int, tuple[int, Batch]]) -> dict[int, dict[str, Any]]:
        wanted = {pk for pk, _ in chosen.values()}
        rows = (
            Resolution.objects.filter(
                batch_item__item_id__gte=first,
                batch_item__item_id__lte=last,
                batch_item__batch__project=self.project,
                pk__lte=self.as_of["resolution"],
            )
            .order_by("revision")
            .values(
                "batch_item_id", "uuid", "value", "method", "confidence", "adjudication__uuid", "adjudication__cause",
                "adjudication__outcome", "adjudication__distribution",
            )
        )  # fmt: skip
        return {row["batch_item_id"]: dict(row) for row in rows if row["batch_item_id"] in wanted}

    def _answers(self, first: int, last: int, chosen: dict[int, tuple[int, Batch]]) -> dict[int, list[dict[str, Any]]]:
        wanted = {pk for pk, _ in chosen.values()}
        rows = (
            Annotation.objects.filter(
                assignment__batch_item__item_id__gte=first,
                assignment__batch_item__item_id__lte=last,
                assignment__batch__project=self.project,
                pk__lte=self.as_of["annotation"],
            )
            .order_by("assignment__cohort", "assignment__ordinal", "assignment_id", "revision")
            .values(*(WHOLE_ANSWER if self.definition.labels == "annotations" else ANSWER))
        )
        places: dict[int, dict[str, Any]] = {}
        for row in rows:  # in order of revision, so the last one stands
            aside = row["assignment__member_id"] in self._members_aside or row["assignment_id"] in self._places_aside
            if not aside and row["assignment__batch_item_id"] in wanted:
                places[row["assignment_id"]] = dict(row)
        self._learn_pseudonyms({answer["assignment__member_id"] for answer in places.values()})
        found: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for answer in places.values():
            if not self.definition.cohort or answer["assignment__cohort"] == self.definition.cohort:
                answer["rater"] = self._pseudonyms[answer["assignment__member_id"]]
                found[answer["assignment__batch_item_id"]].append(answer)
        return found

    def _learn_pseudonyms(self, members: set[int]) -> None:
        unknown = sorted(members - self._pseudonyms.keys())
        for start in range(0, len(unknown), 500):
            rows = Membership.objects.filter(pk__in=unknown[start : start + 500]).values_list("pk", "uuid")
            self._pseudonyms |= {pk: pseudonym(uuid) for pk, uuid in rows}

    def _waiting(self, first: int, last: int) -> set[int]:
        rows = Disagreement.objects.filter(
            batch_item__item_id__gte=first, batch_item__item_id__lte=last, batch__project=self.project
        ).exclude(status__in=(DisagreementStatus.RULED, DisagreementStatus.DISMISSED))
        return set(rows.values_list("batch_item_id", flat=True))

    # --- one item -----------------------------------------------------------------------------------

    def _fill(self, labeled: Labeled, row: dict[str, Any] | None, answers: list[dict[str, Any]], waiting: bool) -> None:
        assert labeled.version is not None
        labeled.answers = answers
        strange = False
        for answer in answers:
            labeled.cohorts[answer["assignment__cohort"]] += 1
            labeled.borderline += bool(answer["borderline"])
            if answer["outcome"] == Outcome.CANNOT_LABEL:
                labeled.cannot_label += 1
                continue
            key, mapped, compatible = self._as_asked(labeled.version, answer["value"])
            labeled.counts[_key(key)] += 1
            labeled.mapped |= mapped
            strange |= not compatible
            answer["read_as"] = key
        if self.definition.cohort and (row is None or row["method"] != ResolutionMethod.ADJUDICATED):
            self._by_cohort(labeled)
        elif row is None:
            labeled.why = "waits_for_a_ruling" if waiting else "not_settled"
        else:
            self._by_resolution(labeled, row)
        if strange and not labeled.why:
            labeled.why, labeled.value = "definition_changed", None

    def _as_asked(self, version: GuidelineVersion, value: Any) -> tuple[Any, bool, bool]:
        """A value as the asked version reads it: (value, mapped, compatible). Only labels by key can be mapped."""
        if not isinstance(value, str) or version.pk == self.version.pk or not self.chain.holds(version.pk):
            return value, False, True
        reading = self.chain.reads(version.pk, value)
        return reading.key, reading.mapped, reading.compatible

    def _by_resolution(self, labeled: Labeled, row: dict[str, Any]) -> None:
        assert labeled.version is not None
        labeled.resolution = str(row["uuid"])
        labeled.confidence = row["confidence"]
        labeled.method = row["method"]
        if row["adjudication__uuid"]:
            labeled.ruling = {
                "uuid": str(row["adjudication__uuid"]),
                "cause": row["adjudication__cause"],
                "outcome": row["adjudication__outcome"],
            }
        if row["adjudication__distribution"]:
            labeled.why = "distribution_kept"
        elif row["value"] is None:
            labeled.why = "not_enough_information"
        elif row["method"] not in self.definition.methods:
            labeled.why = "method_not_accepted"
        else:
            value, mapped, compatible = self._as_asked(labeled.version, row["value"])
            labeled.mapped |= mapped
            if not compatible:
                labeled.why = "definition_changed"
            else:
                labeled.value = value
                if mapped:
                    labeled.method = ResolutionMethod.MAPPED

    def _by_cohort(self, labeled: Labeled) -> None:
        """The cohort's own answers: unanimous, or by majority where that was accepted; a tie stays a tie."""
        total = sum(labeled.counts.values())
        if not total:
            labeled.why = "not_enough_information" if labeled.cannot_label else "no_answer_of_the_cohort"
            return
        ranked = labeled.counts.most_common(2)
        labeled.confidence = ranked[0][1] / (total + labeled.cannot_label)
        if len(ranked) == 1 and not labeled.cannot_label:
            labeled.method = ResolutionMethod.SINGLE if total == 1 else ResolutionMethod.UNANIMOUS
        else:
            labeled.method = ResolutionMethod.MAJORITY
            if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
                labeled.why = "tie"
                return
        if labeled.method not in self.definition.methods:
            labeled.why = "method_not_accepted"
            return
        first = next(a["read_as"] for a in labeled.answers if "read_as" in a and _key(a["read_as"]) == ranked[0][0])
        labeled.value = first


def _key(value: Any) -> str:
    """A value as a key of a distribution."""
    return value if isinstance(value, str) else canonical_json(value)


def _text(value: Any) -> str | None:
    return str(value) if value else None
