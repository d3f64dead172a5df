"""The last resort: a vote fills items that nobody ruled on. The owner starts it, and every row says that it was a vote.

It fills what differs within the threshold, and, where the owner releases them, open cases of the bench. It never
touches a ruling, an item on which all agree, an audit case, or a case someone holds or discusses. Ties stay ties.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from labeling import jobs, transitions
from labeling.access import Seat, require, seat_in
from labeling.db.retry import retry_deadlocks
from labeling.events import event, record
from labeling.models import Batch, BatchItem, Job
from labeling.queries.annotations import that_resolve
from labeling.refusals import BadValue, Refusal
from labeling.vocabulary import BatchStatus, Cohort, Outcome

from .comparing import ITEMS_PER_CHUNK, KINDS
from .comparing_steps import NOT_HELD, VOTED
from .models import Disagreement, Resolution, ResolutionRun
from .queries.answers import Judging, verdicts
from .resolving import next_resolution, resolutions_in_force
from .verdict import Verdict
from .vocabulary import DisagreementKind, DisagreementStatus, ResolutionMethod, value_key

if TYPE_CHECKING:
    from .statistics.consensus import Consensus, Votes

CODE_VERSION = "vote 1"
SMOOTHING = 0.1


@dataclass
class VoteReport:
    """What a vote did: its run, items filled, ties left to a person, and items whose answers changed meanwhile."""

    run: ResolutionRun
    resolved: int = 0
    ties: int = 0
    changed: int = 0


@dataclass
class _Ballot:
    """Every answer of a batch that counts, as codes; `values[code]` is the label, None for not enough information."""

    items: dict[int, int] = field(default_factory=dict)  # batch item → row
    raters: dict[int, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)
    item: array[int] = field(default_factory=lambda: array("q"))
    rater: array[int] = field(default_factory=lambda: array("q"))
    value: array[int] = field(default_factory=lambda: array("q"))


def clean_method(method: str, cohort: str | None) -> None:
    """Raise BadValue unless the method is a vote and the cohort one of ours."""
    if method not in VOTED:
        raise BadValue("bad_value", f"method must be one of {', '.join(VOTED)}.", field="method")
    if cohort and cohort not in Cohort.values:
        raise BadValue("bad_value", f"cohort must be one of {', '.join(Cohort.values)}.", field="cohort")


def enqueue_vote(*, by: Seat, batch: Batch, method: str, cohort: str | None = None, release: bool = False) -> Job:
    """The same as `resolve_by_vote`, in the background: for batches of any size."""
    require(by.membership, "manage")
    clean_method(method, cohort)
    return jobs.enqueue(
        kind="resolve_by_vote",
        by=by.user,
        project=by.project,
        dedup_key=f"resolve_by_vote:{batch.pk}",
        parameters={"batch": batch.pk, "method": str(method), "cohort": cohort or "", "release": release},
    )


@jobs.handles("resolve_by_vote")
def resolve_by_vote_job(run: jobs.JobRun) -> dict[str, Any]:
    batch = Batch.objects.select_related("project", "guideline_version").get(pk=run.parameters["batch"])
    report = resolve_by_vote(
        by=seat_in(run.job.by, batch.project_id, "manage"),
        batch=batch,
        method=run.parameters["method"],
        cohort=run.parameters["cohort"] or None,
        release=run.parameters["release"],
        progress=run.report,
    )
    return {"run": str(report.run.uuid), "resolved": report.resolved, "ties": report.ties, "changed": report.changed}


def resolve_by_vote(
    *,
    by: Seat,
    batch: Batch,
    method: str,
    cohort: str | None = None,
    release: bool = False,
    at: datetime | None = None,
    progress: Any = None,
) -> VoteReport:
    """Fill items by majority or Dawid–Skene. `cohort`: only its answers vote. `release`: open cases may be filled too.

    Writes one run and the rows that change. Voting is the last resort: it hides that people differ.
    Raises NotAllowed, BadValue, or `no_answers`.
    """
    at = at or timezone.now()
    require(by.membership, "manage")
    clean_method(method, cohort)
    if batch.project_id != by.project.pk or batch.kind not in KINDS or batch.status == BatchStatus.OPENING:
        raise Refusal("not_compared", "There is nothing to resolve in this batch.")
    ballot = _read(batch, cohort)
    if not len(ballot.item):
        raise Refusal("no_answers", "There are no answers to count yet.")
    votes, consensus = _count(ballot, method)
    counts = votes.counts()
    observed = votes.observed
    run = ResolutionRun.objects.create(
        batch=batch,
        method=method,
        cohort=cohort or "",
        parameters={"release": release, **({"smoothing": SMOOTHING} if method != ResolutionMethod.MAJORITY else {})},
        code_version=CODE_VERSION,
        by=by.user,
        at=at,
    )
    report = VoteReport(run)
    judging = Judging(batch)
    ids = _in_question(ballot, counts, cohort)
    for start in range(0, len(ids), ITEMS_PER_CHUNK):
        chunk = ids[start : start + ITEMS_PER_CHUNK]
        choices = {
            pk: _Choice.of(ballot, consensus, counts, observed, ballot.items[pk]) for pk in chunk
        }  # fmt: skip
        _fill(by, run, batch, chunk, choices, release, report, at, judging)
        if progress is not None:
            progress(min(start + ITEMS_PER_CHUNK, len(ids)), len(ids), "counting answers")
    record(
        event(
            "voted", batch, by=by.user, at=at, project=by.project, run=str(run.uuid), method=str(method),
            cohort=cohort or "", resolved=report.resolved, ties=report.ties,
        )
    )  # fmt: skip
    return report


def _in_question(ballot: _Ballot, counts: Any, cohort: str | None) -> list[int]:
    """The batch items a vote could decide: what all raters answered alike is decided, and read no further.

    Of one cohort's answers that is not known: the others may differ from it.
    """
    if cohort:
        return list(ballot.items)
    differing = (counts > 0).sum(axis=1) > 1
    return [pk for pk, row in ballot.items.items() if differing[row]]


@dataclass(frozen=True)
class _Choice:
    """What the vote says of an item: its value and share, unless it is a tie; `counted` is what was counted."""

    tie: bool
    value: Any
    confidence: float
    counted: dict[str, int]

    @classmethod
    def of(cls, ballot: _Ballot, consensus: Consensus, counts: Any, observed: Any, row: int) -> _Choice:
        code = int(consensus.value[row])
        keys = list(ballot.codes)
        counted = {keys[int(observed[column])]: int(n) for column, n in enumerate(counts[row]) if n}
        tie = bool(consensus.tie[row]) or code < 0
        confidence = float(consensus.posterior[row].max())
        return cls(tie, None if tie else ballot.values[code], min(1.0, max(0.0, confidence)), counted)


def _read(batch: Batch, cohort: str | None) -> _Ballot:
    rows = that_resolve([batch])
    if cohort:
        rows = rows.filter(assignment__cohort=cohort)
    ballot = _Ballot()
    columns = ("assignment__batch_item_id", "assignment__member_id", "outcome", "value")
    for batch_item_id, member_id, outcome, value in (
        rows.order_by("assignment__batch_item_id", "assignment_id").values_list(*columns).iterator(chunk_size=2000)
    ):
        key = _key(outcome, value)
        code = ballot.codes.setdefault(key, len(ballot.codes))
        if code == len(ballot.values):
            ballot.values.append(value)
        ballot.item.append(ballot.items.setdefault(batch_item_id, len(ballot.items)))
        ballot.rater.append(ballot.raters.setdefault(member_id, len(ballot.raters)))
        ballot.value.append(code)
    return ballot


def _key(outcome: str, value: Any) -> str:
    return "-" if outcome == Outcome.CANNOT_LABEL else "=" + value_key(value)


def _count(ballot: _Ballot, method: str) -> tuple[Votes, Consensus]:
    import numpy as np

    from .statistics.consensus import Votes
    from .statistics.consensus.dawid_skene import dawid_skene_of
    from .statistics.consensus.majority import majority_of

    item, rater, value = (np.frombuffer(column, dtype=np.int64) for column in (ballot.item, ballot.rater, ballot.value))
    votes = Votes.of_codes(item, rater, value, n_items=len(ballot.items), n_raters=len(ballot.raters))
    if method == ResolutionMethod.MAJORITY:
        return votes, majority_of(votes, n_categories=len(ballot.codes))
    return votes, dawid_skene_of(votes, n_categories=len(ballot.codes), smoothing=SMOOTHING)


@retry_deadlocks
def _fill(
    by: Seat,
    run: ResolutionRun,
    batch: Batch,
    ids: Sequence[int],
    choices: dict[int, _Choice],
    release: bool,
    report: VoteReport,
    at: datetime,
    judging: Judging,
) -> None:
    """One chunk of items in one transaction, under the locks that comparing takes."""
    resolved: list[Resolution] = []
    events = []
    ties = changed = 0
    with transaction.atomic():
        rows = BatchItem.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
        batch_items = list(rows)
        cases = {
            case.batch_item_id: case
            for case in Disagreement.objects.select_for_update(no_key=True).filter(batch_item_id__in=ids).order_by("pk")
        }
        standing = resolutions_in_force(ids)
        now = verdicts(batch, batch_items, judging)
        for batch_item in batch_items:
            case, last, verdict = cases.get(batch_item.pk), standing.get(batch_item.pk), now[batch_item.pk]
            if not _may_fill(case, last, verdict, release):
                continue
            choice = choices[batch_item.pk]
            if choice.counted != _counted(verdict, run.cohort):
                changed += 1
                continue
            if choice.tie:
                ties += 1
                continue
            if last is not None and (last.method, last.input_sha256, last.value, last.run and last.run.cohort) == (
                run.method, verdict.input_sha256, choice.value, run.cohort,
            ):  # fmt: skip
                continue
            if case is not None and case.status == DisagreementStatus.OPEN:
                if not transitions.move(case, DisagreementStatus.DISMISSED, changed_at=at, **NOT_HELD):
                    continue
                events.append(event("voted", case, by=by.user, at=at, project=by.project, run=str(run.uuid)))
            resolved.append(
                next_resolution(
                    batch_item,
                    last,
                    verdict,
                    method=run.method,
                    value=choice.value,
                    at=at,
                    run=run,
                    confidence=choice.confidence,
                )
            )
        Resolution.objects.bulk_create(resolved)
        record(*events)
    report.resolved += len(resolved)
    report.ties += ties
    report.changed += changed


def _may_fill(case: Disagreement | None, last: Resolution | None, verdict: Verdict, release: bool) -> bool:
    if not verdict.complete or not verdict.raters or verdict.method:
        return False  # still answered, unanswered, or all of one mind
    by_vote = last is not None and last.method in VOTED and last.input_sha256 == verdict.input_sha256
    if case is None:
        return not verdict.kind or by_vote
    if case.status == DisagreementStatus.DISMISSED:
        return by_vote or not verdict.kind
    return release and case.status == DisagreementStatus.OPEN and case.kind != DisagreementKind.AUDIT


def _counted(verdict: Verdict, cohort: str) -> dict[str, int]:
    """The answers as the vote counts them: of all raters, or of one cohort."""
    return dict(verdict.counts.get(cohort, {}))
