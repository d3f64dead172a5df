"""One case as the bench and its raters read it: answers, thread, history, cases like it. No rater's name is loaded here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import F, OuterRef, Q, Subquery

from labeling.models import Annotation, Assignment, Item, ItemTag, Membership, Project, Question
from labeling.queries.annotations import that_resolve
from labeling.vocabulary import Cohort, Outcome, PlaceStatus, Role

from ..models import Adjudication, Disagreement, DiscussionMessage, Resolution
from ..vocabulary import DisagreementStatus, value_key
from .bench import COHORT_ORDER, CaseLine, lines_of
from .people import rater_names

CANDIDATES = 200
TRAITS_SHOWN = 3


@dataclass(frozen=True)
class Vote:
    """One answer as the bench shows it: whose cohort, a name that tells nobody, and what was said."""

    rater: str
    cohort: str
    annotation: Annotation
    key: str | None


@dataclass(frozen=True)
class Similar:
    """A case of the same confusion: what it shares with this one, and the ruling in force, if any."""

    line: CaseLine
    shared: tuple[str, ...]
    ruling: Adjudication | None


@dataclass(frozen=True)
class CaseView:
    """Everything the bench shows of a case."""

    case: Disagreement
    votes: list[Vote]
    metadata: list[tuple[str, str]]
    tags: list[str]
    questions: list[tuple[Question, str]]
    messages: list[tuple[DiscussionMessage, str]]
    rulings: list[Adjudication]
    resolutions: list[Resolution]
    similar: list[Similar]
    alike: int
    unfinished: tuple[str, ...]

    @property
    def cohorts(self) -> list[tuple[str, list[Vote]]]:
        """Answers by cohort, in the cohorts' order."""
        return [
            (cohort, votes)
            for cohort in COHORT_ORDER
            if (votes := [vote for vote in self.votes if vote.cohort == cohort])
        ]


def case_of(project: Project, uuid: UUID) -> Disagreement | None:
    """A case of the project with what its page needs of it."""
    return (
        Disagreement.objects.select_related(
            "batch__project", "batch__guideline_version", "batch_item__item", "holder__user"
        )
        .filter(uuid=uuid, batch__project=project)
        .first()
    )


def case_view(case: Disagreement, *, similar: int = 8) -> CaseView:
    """A case with its answers, questions, thread, history and cases like it; a fixed number of queries."""
    names = rater_names(case.batch.project)
    item = case.batch_item.item
    votes = [
        Vote(
            names.get(annotation.assignment.member_id or 0, dict(Cohort.choices)[annotation.assignment.cohort]),
            annotation.assignment.cohort,
            annotation,
            None if annotation.outcome == Outcome.CANNOT_LABEL else value_key(annotation.value),
        )
        for annotation in that_resolve([case.batch])
        .filter(assignment__batch_item_id=case.batch_item_id)
        .select_related("assignment")
        .order_by("assignment__cohort", "assignment__ordinal")
    ]
    tags = list(
        ItemTag.objects.filter(item=item, removed_at__isnull=True).order_by("tag").values_list("tag", flat=True)
    )
    found, alike = similar_cases(case, most=similar)
    unfinished = (
        Assignment.objects.filter(batch_item_id=case.batch_item_id, status__in=(PlaceStatus.OPEN, PlaceStatus.CLAIMED))
        .order_by()
        .values_list("cohort", flat=True)
        .distinct()
    )
    return CaseView(
        case=case,
        votes=votes,
        metadata=[(str(name), str(value)) for name, value in sorted((item.metadata or {}).items())],
        tags=tags,
        questions=[
            (question, names.get(question.by_id, "Rater"))
            for question in Question.objects.filter(batch_item_id=case.batch_item_id).select_related("by")
        ],
        messages=thread_of(case, names),
        rulings=list(case.adjudications.select_related("by").order_by("-revision")),
        resolutions=list(Resolution.objects.filter(batch_item_id=case.batch_item_id).order_by("-revision")[:20]),
        similar=found,
        alike=alike,
        unfinished=tuple(unfinished),
    )


def thread_of(case: Disagreement, names: dict[int, str] | None = None) -> list[tuple[DiscussionMessage, str]]:
    """The messages of a case, each with who speaks: a rater's number, or the name of someone who rules."""
    names = rater_names(case.batch.project) if names is None else names
    raters: set[int | None] = set(
        Assignment.objects.filter(batch_item_id=case.batch_item_id, status=PlaceStatus.SUBMITTED).values_list(
            "member_id", flat=True
        )
    )
    rows = DiscussionMessage.objects.filter(disagreement=case).select_related("by__user").order_by("pk")
    return [(message, _speaker(message.by, names, raters)) for message in rows]


def _speaker(member: Membership, names: dict[int, str], raters: set[int | None]) -> str:
    """Who rules speaks by name; who answered the item is a number, whatever else they are."""
    if member.role in (Role.OWNER, Role.SME) and member.pk not in raters:
        return member.user.name
    return names.get(member.pk, "Rater")


def discussions_waiting_for(seats: Sequence[Membership], *, most: int) -> list[Assignment]:
    """Places that these members answered, of items in discussion in which they did not speak last; one query.

    It starts from the cases in discussion, which are few, and not from the rater's answers.
    """
    last = DiscussionMessage.objects.filter(disagreement=OuterRef("batch_item__disagreement")).order_by("-pk")
    talked_over = Disagreement.objects.filter(
        batch__project__in=[seat.project_id for seat in seats[:500]],
        status__in=(DisagreementStatus.DISCUSSING, DisagreementStatus.HELD),
        batch_item__revealed_at__isnull=False,
    )
    rows = (
        Assignment.objects.filter(
            batch_item__in=talked_over.values("batch_item"),
            member__in=[seat.pk for seat in seats[:500]],
            status=PlaceStatus.SUBMITTED,
        )
        .annotate(spoke_last=Subquery(last.values("by")[:1]))
        .filter(Q(spoke_last__isnull=True) | ~Q(spoke_last=F("member")))
        .select_related("batch_item__item")
        .order_by("batch_item__revealed_at", "pk")
    )
    return list(rows[:most])


def similar_cases(case: Disagreement, *, most: int) -> tuple[list[Similar], int]:
    """Cases of the same confusion in the batch, those first that share what few share; and how many there are.

    Of a large cluster the nearest by severity are looked through.
    """
    if not case.confusion:
        return [], 0
    rows = Disagreement.objects.filter(batch_id=case.batch_id, confusion=case.confusion).exclude(
        Q(pk=case.pk) | Q(status=DisagreementStatus.DISMISSED)
    )
    alike = rows.count()
    candidates = list(
        rows.select_related("batch_item__item", "holder__user").order_by("-distance", "-entropy", "id")[:CANDIDATES]
    )
    tags = _tags_of([case.batch_item.item_id, *(one.batch_item.item_id for one in candidates)])
    mine = _traits(case.batch_item.item, tags)
    common = Counter(trait for one in candidates for trait in _traits(one.batch_item.item, tags) & mine)

    def shared(one: Disagreement) -> tuple[str, ...]:
        # What few share says more than what nearly all do; what all share says nothing.
        both = (trait for trait in mine & _traits(one.batch_item.item, tags) if common[trait] < len(candidates))
        return tuple(sorted(both, key=lambda trait: (common[trait], trait)))

    def nearness(one: Disagreement) -> float:
        return sum(1 / common[trait] for trait in shared(one))

    nearest = sorted(candidates, key=lambda one: (-nearness(one), abs(one.distance - case.distance), one.pk))[:most]
    scored = [(shared(one)[:TRAITS_SHOWN], one) for one in nearest]
    rulings = _newest_rulings([one.pk for _, one in scored])
    lines = lines_of(case.batch, [one for _, one in scored])
    return [
        Similar(line, shared, rulings.get(one.pk)) for line, (shared, one) in zip(lines, scored, strict=True)
    ], alike


def _newest_rulings(cases: Iterable[int]) -> dict[int, Adjudication]:
    rows = Adjudication.objects.filter(disagreement_id__in=list(cases)).order_by("revision")
    return {row.disagreement_id: row for row in rows}


def _tags_of(items: Sequence[int]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for item_id, tag in ItemTag.objects.filter(item_id__in=items[:500], removed_at__isnull=True).values_list(
        "item_id", "tag"
    ):
        found.setdefault(item_id, set()).add(tag)
    return found


def _traits(item: Item, tags: dict[int, set[str]]) -> set[str]:
    """What is known of an item, each in words: its metadata and tags."""
    return {f"{name} {value}" for name, value in (item.metadata or {}).items()} | tags.get(item.pk, set())
