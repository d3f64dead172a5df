"""Why a batch is not served, or goes slower than it could: in words, with what would change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..models import Batch
from ..queries.progress import CohortPeople, CohortProgress
from ..vocabulary import BatchKind, BatchStatus, Cohort

PLURAL = {Cohort.GENERALIST: "generalists", Cohort.EXPERT: "experts", Cohort.TARGET_USER: "target users"}


@dataclass(frozen=True)
class Reason:
    """A fact about a batch that its owner may want to act on."""

    strong: str
    text: str
    kind: str = "caution"


def people(cohort: str, number: int) -> str:
    """“1 expert”, “3 experts”."""
    words = PLURAL[Cohort(cohort)]
    return f"{number} {words[:-1] if number == 1 else words}"


def reasons(
    batch: Batch, rows: Sequence[CohortProgress], cohorts: Mapping[str, CohortPeople], *, told: bool
) -> list[Reason]:
    """What stands in the way of this batch, the most important first; empty when all goes its way.

    `told`: a job that waits, runs or failed is shown beside, and says itself why a batch is not open yet.
    """
    if batch.kind == BatchKind.IMPORT:
        return [Reason("Imported labels.", "This batch is a closed record; nothing is served from it.", "note")]
    if batch.status == BatchStatus.DRAFT:
        return [Reason("Nothing is served yet.", "Raters see this batch once it is opened.", "note")]
    if batch.status == BatchStatus.OPENING:
        if told:
            return []
        return [Reason("Being prepared.", "Places are being laid out; raters see the batch after that.", "note")]
    found = _short(rows)
    if batch.status == BatchStatus.CLOSED:
        left = sum(row.in_hand for row in rows)
        text = "Answers stay as they are. Opening it again adds places where answers are missing."
        if left:
            items = "item is" if left == 1 else "items are"
            text = f"{left:,} {items} still in hand: answered before the lease ends, that counts. {text}"
        return [Reason("Closed.", text, "note"), *found]
    if rows and all(row.open + row.in_hand == 0 for row in rows):
        return [Reason("Every place is answered.", "Close the batch, or add items or raters to it.", "note"), *found]
    served = [row for row in rows if row.open + row.in_hand]
    for row in served:
        found += _cohort(row, cohorts.get(row.cohort))
    return found + _unread({row.cohort: cohorts[row.cohort] for row in served if row.cohort in cohorts})


def _short(rows: Sequence[CohortProgress]) -> list[Reason]:
    return [
        Reason(
            f"{row.short_items:,} {'item is' if row.short_items == 1 else 'items are'} short for {PLURAL[Cohort(row.cohort)]}.",
            f"They have fewer than {row.raters} answers, and no place is left for more.",
        )
        for row in rows
        if row.short_items
    ]


def _cohort(row: CohortProgress, own: CohortPeople | None) -> list[Reason]:
    cohort = row.cohort
    waiting = f"{row.open:,} {'place waits' if row.open == 1 else 'places wait'} for {PLURAL[Cohort(cohort)]}."
    members = own.members if own else 0
    if members == 0:
        return [Reason(waiting, "Nobody in the project has that cohort. Invite someone, or give a member the cohort.")]
    if members < row.raters:
        text = f"Each item asks for {people(cohort, row.raters)} and the project has {members}: the rest cannot be answered."
        return [Reason(waiting, text)]
    return []


def _unread(cohorts: Mapping[str, CohortPeople]) -> list[Reason]:
    """One note for all cohorts: several would say the same and push the progress down."""
    missing = {cohort: own.members - own.read for cohort, own in cohorts.items() if own.read < own.members}
    if not missing:
        return []
    *first, last = [people(cohort, number) for cohort, number in missing.items()]
    who = f"{', '.join(first)} and {last}" if first else last
    have = "has" if sum(missing.values()) == 1 else "have"
    return [Reason(f"{who} {have} not read the definition yet.", "They are asked to when they start.", "note")]
