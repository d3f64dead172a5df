"""Room 7, the bench: an SME rules on a case with a reason, or on a cluster of them; the owner may overrule.

A ruling is compared and set: it names the hold it was made under and the answers it was made over, and is refused when
either is no longer so. It takes the lock of the batch item, which a rater's revision and the comparison take too.
Nobody rules on an item they rated.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from labeling import task_types, transitions
from labeling.access import Seat, require
from labeling.db.retry import retry_deadlocks
from labeling.events import event, record
from labeling.guideline_settings import version_settings
from labeling.models import Batch, Gold
from labeling.refusals import BadValue, NotSeen, Refusal
from labeling.submission import lock_item
from labeling.vocabulary import GoldOrigin

from . import bench
from .bench import HELD, RULED
from .comparing_steps import NOT_HELD
from .holding import lapse
from .models import Adjudication, Disagreement
from .resolving import next_resolution, resolutions_in_force
from .verdict import Verdict
from .vocabulary import Cause, ResolutionMethod, RulingOutcome

CLUSTER_MOST = 500
CASES_PER_CHUNK = 50


@dataclass(frozen=True)
class Ruling:
    """What an SME decides: a value, a distribution, or neither (the item is left without a label), and why.

    With `keep_distribution` and no distribution the shares of the answers are kept.
    """

    cause: str
    outcome: str
    rationale: str
    value: Any = None
    distribution: Mapping[str, float] | None = None
    borderline: bool = False


@dataclass(frozen=True)
class Refused:
    """A case of a cluster that was not ruled on, and why."""

    disagreement: uuid.UUID
    code: str
    message: str


@dataclass
class ClusterReport:
    """What became of a cluster: the rulings, and the cases left as they were."""

    cluster: uuid.UUID
    rulings: list[Adjudication] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


# --- ruling -----------------------------------------------------------------------------------------------------------


@retry_deadlocks
def rule_on(
    *,
    by: Seat,
    disagreement: Disagreement,
    token: uuid.UUID | str,
    seen: str,
    ruling: Ruling,
    at: datetime | None = None,
) -> Adjudication:
    """Rule on a held case. `seen` is the digest (`input_sha256`) of the answers that were looked at.

    Writes ruling, resolution, adjudicated gold where there is a value, and the event, in one transaction. The same
    ruling by the same person again returns the recorded one.
    Raises `hold_lost`, `answers_changed`, `ruled`, `not_complete`, BadValue naming the field, or NotAllowed for someone
    who rated the item.
    """
    at = at or timezone.now()
    require(by.membership, "adjudicate")
    with transaction.atomic():
        case = bench.locked_case(by, disagreement)
        clean = _clean(ruling, case)
        if case.status == RULED:
            return _replayed(case, by, clean)
        bench.refuse_unless_held(case, by.membership, token)
        bench.refuse_raters(case, by.membership)
        verdict = bench.verdict_on(case)
        bench.refuse_stale(case, verdict, seen)
        adjudication, events = _write(by, case, clean, verdict, at)
        record(*events)
    return adjudication


def keep_distribution(
    *,
    by: Seat,
    disagreement: Disagreement,
    token: uuid.UUID | str,
    seen: str,
    rationale: str,
    cause: str = Cause.LEGITIMATELY_SUBJECTIVE,
    at: datetime | None = None,
) -> Adjudication:
    """Leave the answers' distribution as the answer: people may rightly differ here."""
    ruling = Ruling(cause=cause, outcome=RulingOutcome.KEEP_DISTRIBUTION, rationale=rationale)
    return rule_on(by=by, disagreement=disagreement, token=token, seen=seen, ruling=ruling, at=at)


def rule_on_cluster(
    *,
    by: Seat,
    batch: Batch,
    cases: Sequence[tuple[uuid.UUID | str, str]],
    ruling: Ruling,
    at: datetime | None = None,
) -> ClusterReport:
    """One ruling and one rationale for several cases of the same confusion: (uuid, digest seen) of each.

    What stands against a case by itself (another holds it, its answers changed, you rated it) leaves that case out and
    is reported. The others are written in chunks, each whole or not at all.
    """
    at = at or timezone.now()
    require(by.membership, "adjudicate")
    if not cases:
        raise BadValue("empty", "Choose the cases that this ruling covers.", field="cases")
    if len(cases) > CLUSTER_MOST:
        raise BadValue("too_many", f"A ruling covers {CLUSTER_MOST} cases at most at once.", field="cases")
    report = ClusterReport(cluster=uuid.uuid4())
    seen = {bench.as_uuid(case): digest for case, digest in cases}
    known = {
        case.uuid: case
        for start in range(0, len(seen), CASES_PER_CHUNK)
        for case in bench.all_cases().filter(uuid__in=list(seen)[start : start + CASES_PER_CHUNK], batch=batch)
    }
    if batch.project_id != by.project.pk or len(known) < len(seen):
        raise NotSeen("not_found", "One of these cases is not in this batch.")
    confusions = {case.confusion for case in known.values()}
    if len(confusions) > 1:
        raise BadValue("mixed", "One ruling covers cases of the same confusion only.", field="cases")
    ordered = sorted(known.values(), key=lambda case: case.batch_item_id)
    _clean(ruling, ordered[0])  # a ruling that is not well formed is refused as a whole
    for start in range(0, len(ordered), CASES_PER_CHUNK):
        chunk = ordered[start : start + CASES_PER_CHUNK]
        try:
            _rule_on_chunk(by, chunk, seen, ruling, report, at)
        except Refusal as refusal:
            report.refused += [Refused(case.uuid, refusal.code, refusal.message) for case in chunk]
    return report


@retry_deadlocks
def _rule_on_chunk(
    by: Seat,
    cases: list[Disagreement],
    seen: Mapping[uuid.UUID | None, str],
    ruling: Ruling,
    report: ClusterReport,
    at: datetime,
) -> None:
    refused: list[Refused] = []
    rulings: list[Adjudication] = []
    events = []
    with transaction.atomic():
        for found in cases:
            case = bench.locked_case(by, found)
            try:
                clean = _clean(ruling, case)
                bench.refuse_unless_free(case, by.membership, at)
                if case.status == HELD and case.holder_id != by.membership.pk:
                    events += lapse(case, at)
                bench.refuse_raters(case, by.membership)
                verdict = bench.verdict_on(case)
                bench.refuse_stale(case, verdict, seen[case.uuid])
                if found.confusion != case.confusion:
                    raise bench.answers_changed()
            except Refusal as refusal:
                refused.append(Refused(case.uuid, refusal.code, refusal.message))
                continue
            adjudication, written = _write(by, case, clean, verdict, at, cluster=report.cluster)
            rulings.append(adjudication)
            events += written
        record(*events)
    report.rulings += rulings
    report.refused += refused


@retry_deadlocks
def overrule(
    *, by: Seat, disagreement: Disagreement, revision: int, ruling: Ruling, at: datetime | None = None
) -> Adjudication:
    """The owner replaces the ruling in force; the earlier ones stay as history. `revision` is the one they saw.

    Raises `not_ruled`, `changed_meanwhile`, BadValue, or NotAllowed.
    """
    at = at or timezone.now()
    require(by.membership, "manage")
    with transaction.atomic():
        case = bench.locked_case(by, disagreement)
        clean = _clean(ruling, case)
        if case.status != RULED:
            raise Refusal("not_ruled", "There is no ruling to replace yet.")
        bench.refuse_raters(case, by.membership)
        newest = _newest(case)
        assert newest is not None  # a ruled case has a ruling: both are written in one transaction
        if newest.revision != revision:
            raise Refusal("changed_meanwhile", "This ruling was replaced meanwhile. Look at the new one first.")
        adjudication, events = _write(by, case, clean, bench.verdict_on(case), at, after=newest)
        record(*events)
    return adjudication


def _newest(case: Disagreement) -> Adjudication | None:
    return Adjudication.objects.filter(disagreement=case).order_by("-revision").first()


def _write(
    by: Seat,
    case: Disagreement,
    ruling: Ruling,
    verdict: Verdict,
    at: datetime,
    *,
    after: Adjudication | None = None,
    cluster: uuid.UUID | None = None,
) -> tuple[Adjudication, list[Any]]:
    """The rows of a ruling, under the batch item's lock; the events to be written."""
    if ruling.outcome == RulingOutcome.KEEP_DISTRIBUTION and ruling.distribution is None:
        ruling = replace(ruling, distribution=_shares(verdict))
    lock_item(batch_item=case.batch_item, at=at)
    try:
        with transaction.atomic():
            adjudication = Adjudication.objects.create(
                disagreement=case,
                revision=after.revision + 1 if after is not None else 1,
                value=ruling.value,
                distribution=ruling.distribution,
                borderline=ruling.borderline,
                cause=ruling.cause,
                outcome=ruling.outcome,
                rationale=ruling.rationale,
                cluster=cluster,
                by=by.user,
                at=at,
            )
    except IntegrityError:
        raise Refusal("ruled", "Someone ruled on this case just now. Look at their ruling.") from None
    standing = resolutions_in_force([case.batch_item_id]).get(case.batch_item_id)
    next_resolution(
        case.batch_item, standing, verdict, method=ResolutionMethod.ADJUDICATED, value=ruling.value, at=at,
        adjudication=adjudication,
    ).save()  # fmt: skip
    if ruling.value is not None:
        Gold.objects.create(
            item_id=case.batch_item.item_id,
            guideline_version_id=case.batch.guideline_version_id,
            value=ruling.value,
            origin=GoldOrigin.ADJUDICATED,
            adjudication_uuid=adjudication.uuid,
            author=by.membership,
            rationale=ruling.rationale,
            by=by.user,
            at=at,
        )
    verb = "ruled"
    if after is not None:
        verb = "overruled"
    elif not transitions.move(case, RULED, changed_at=at, **NOT_HELD):
        raise Refusal("changed_meanwhile", "This case changed just now. Look at it again; your text is kept.")
    return adjudication, [
        event(
            verb, case, by=by.user, at=at, project=by.project, revision=adjudication.revision, cause=ruling.cause,
            outcome=ruling.outcome,
        )
    ]  # fmt: skip


def _shares(verdict: Verdict) -> dict[str, float]:
    counts: dict[str, int] = verdict.distribution["labels"]
    total = sum(counts.values())
    if not total:
        raise BadValue("no_labels", "Nobody gave a label, so there is no distribution to keep.", field="outcome")
    return {key: count / total for key, count in counts.items()}


def _replayed(case: Disagreement, by: Seat, ruling: Ruling) -> Adjudication:
    """The recorded ruling, where this is the same one sent twice; else `ruled`."""
    newest = _newest(case)
    assert newest is not None
    same = (newest.value, newest.cause, newest.outcome, newest.rationale) == (
        ruling.value, ruling.cause, ruling.outcome, ruling.rationale,
    )  # fmt: skip
    if newest.by_id == by.user.pk and newest.revision == 1 and same:
        return newest
    raise Refusal("ruled", "This case has been ruled on already. Your text is kept; look at the ruling first.")


# --- what a ruling must be --------------------------------------------------------------------------------------------


def _clean(ruling: Ruling, case: Disagreement) -> Ruling:
    """The ruling as it is written; raises BadValue naming the field and what would be right."""
    rationale = bench.clean_text(
        "rationale", ruling.rationale, "Say why in a sentence: raters and the next definition need it."
    )
    if ruling.cause not in Cause.values:
        raise BadValue("bad_value", f"cause must be one of {', '.join(Cause.values)}.", field="cause")
    if ruling.outcome not in RulingOutcome.values:
        raise BadValue("bad_value", f"outcome must be one of {', '.join(RulingOutcome.values)}.", field="outcome")
    keeps = ruling.outcome == RulingOutcome.KEEP_DISTRIBUTION
    if keeps and ruling.value is not None:
        raise BadValue("bad_value", "Keeping the distribution gives no single label.", field="value")
    if not keeps and ruling.distribution is not None:
        raise BadValue("bad_value", "A distribution goes with “keep the distribution” only.", field="distribution")
    if ruling.outcome == RulingOutcome.ADJUDICATE and ruling.value is None:
        raise BadValue("empty", "Choose the label that is right for this item.", field="value")
    value = ruling.value
    settings = version_settings(case.batch.guideline_version)
    if value is not None:
        task = task_types.get(case.batch.project.task_type)
        try:
            value = task.clean(value, case.batch_item.item.payload, settings)
        except ValidationError as error:
            raise BadValue("bad_value", error.messages[0], field="value") from None
    return replace(
        ruling,
        value=value,
        rationale=rationale,
        borderline=bool(ruling.borderline) and value is not None,
        distribution=_clean_distribution(ruling.distribution, settings.get("labels", [])),
    )


def _clean_distribution(raw: Mapping[str, float] | None, labels: Iterable[str]) -> dict[str, float] | None:
    if raw is None:
        return None
    known = set(labels)
    wrong = BadValue(
        "bad_value", "A distribution gives each label a share; the shares add up to 1.", field="distribution"
    )
    if not isinstance(raw, Mapping) or not raw:
        raise wrong
    shares: dict[str, float] = {}
    for key, share in raw.items():
        if known and key not in known:
            raise BadValue("bad_value", f"{key!r} is not a label of this definition.", field="distribution")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise wrong
        shares[str(key)] = float(share)
    if not math.isclose(math.fsum(shares.values()), 1.0, abs_tol=1e-6):
        raise wrong
    return shares
