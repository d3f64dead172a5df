"""Room 7, the bench: an SME holds a case, rules on it with a reason, or asks the raters of the item.

A ruling is compared and set: it names the hold it was made under and the answers it was made over, and is refused when
either is no longer so. It takes the lock of the batch item, which a rater's revision and the comparison take too.
Nobody rules on an item they rated.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from labeling import sweeps, task_types, transitions
from labeling.access import Seat, require
from labeling.db.retry import retry_deadlocks
from labeling.events import event, record
from labeling.guideline_settings import version_settings
from labeling.models import Annotation, Assignment, Batch, BatchItem, Gold, Membership
from labeling.refusals import BadValue, NotAllowed, NotSeen, Refusal
from labeling.submission import lock_item, reveal_item
from labeling.vocabulary import GoldOrigin, PlaceStatus

from .comparing import resolutions_in_force
from .comparing_steps import NOT_HELD
from .models import Adjudication, Disagreement, DiscussionMessage, Resolution
from .verdict import Verdict
from .verdicts import verdicts
from .vocabulary import Cause, DisagreementKind, DisagreementStatus, ResolutionMethod, RulingOutcome

HOLD = timedelta(minutes=10)
TEXT_LIMIT = 4000
CLUSTER_MOST = 500
CASES_PER_CHUNK = 50
OPEN, HELD, DISCUSSING, RULED = (
    DisagreementStatus.OPEN,
    DisagreementStatus.HELD,
    DisagreementStatus.DISCUSSING,
    DisagreementStatus.RULED,
)


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


# --- holding ----------------------------------------------------------------------------------------------------------


def hold_disagreement(*, by: Seat, disagreement: Disagreement, at: datetime | None = None) -> Disagreement:
    """Hold a case for ten minutes: its row then has `hold_token` and `hold_until`. Holding it again renews the hold.

    Raises `held_by_other`, `ruled`, `dismissed`, `not_complete` (people are still answering) or NotAllowed for someone
    who rated the item.
    """
    at = at or timezone.now()
    require(by.membership, "adjudicate")
    with transaction.atomic():
        case = _case(by, disagreement)
        _refuse_unless_free(case, by.membership, at)
        _refuse_raters(case, by.membership)
        if _unfinished(case):
            raise Refusal(
                "not_complete",
                "People are still answering this item; it can be ruled on once all have. Nothing is lost.",
            )
        if case.status == HELD and case.holder_id == by.membership.pk:
            Disagreement.objects.filter(pk=case.pk, hold_token=case.hold_token).update(hold_until=at + HOLD)
            case.hold_until = at + HOLD
            return case
        events = []
        if case.status == HELD:
            events += _lapse(case, at)
        if not transitions.move(case, HELD, holder=by.membership, hold_token=uuid.uuid4(), hold_until=at + HOLD):
            raise Refusal("changed_meanwhile", "Someone else took this case just now. Take the next one.")
        record(*events, event("held", case, by=by.user, at=at, project=by.project))
    return case


def extend_hold(
    *, by: Seat, disagreement: Disagreement, token: uuid.UUID | str, at: datetime | None = None
) -> Disagreement:
    """The case is still on the screen: its hold lasts ten minutes from now. Raises `hold_lost`."""
    at = at or timezone.now()
    require(by.membership, "adjudicate")
    kept = Disagreement.objects.filter(
        pk=disagreement.pk, status=HELD, holder=by.membership, hold_token=_uuid(token)
    ).update(hold_until=at + HOLD)
    if not kept:
        raise _hold_lost()
    return _case(by, disagreement, lock=False)


def release_hold(*, by: Seat, disagreement: Disagreement, token: uuid.UUID | str, at: datetime | None = None) -> None:
    """Give a case back unruled. Saying it twice changes nothing."""
    at = at or timezone.now()
    require(by.membership, "adjudicate")
    with transaction.atomic():
        case = _case(by, disagreement)
        if case.status != HELD or case.holder_id != by.membership.pk or case.hold_token != _uuid(token):
            return
        if transitions.move(case, _resting(case), where={"hold_token": case.hold_token}, **NOT_HELD):
            record(event("released", case, by=by.user, at=at, project=by.project, status=case.status))


@sweeps.each_minute("lapsed_holds")
def sweep_holds(now: datetime | None = None) -> int:
    """Give back cases whose holder went away; returns how many."""
    now = now or timezone.now()
    count = 0
    for pk in list(Disagreement.objects.filter(status=HELD, hold_until__lt=now).values_list("pk", flat=True)[:500]):
        with transaction.atomic():
            case = _cases().select_for_update(of=("self",), no_key=True).filter(pk=pk, status=HELD).first()
            if case is not None and case.hold_until is not None and case.hold_until < now:
                events = _lapse(case, now)
                record(*events)
                count += len(events)
    return count


def _lapse(case: Disagreement, at: datetime) -> list[Any]:
    """Give back a held case; the event to be written, none when it was no longer held so."""
    if not transitions.move(case, _resting(case), where={"hold_token": case.hold_token}, **NOT_HELD):
        return []
    project = case.batch.project_id
    return [event("lapsed", case, by=None, at=at, project_id=project, implicit=True, status=case.status)]


def _resting(case: Disagreement) -> str:
    """Where a case goes when it is held no longer: back to its discussion, if it has one."""
    return DISCUSSING if case.batch_item.revealed_at is not None else OPEN


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
        case = _locked_case(by, disagreement, at)
        clean = _clean(ruling, case)
        if case.status == RULED:
            return _replayed(case, by, clean)
        if case.status != HELD or case.holder_id != by.membership.pk or case.hold_token != _uuid(token):
            raise _hold_lost()
        _refuse_raters(case, by.membership)
        verdict = _verdict(case)
        _refuse_stale(case, verdict, seen)
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
    seen = {_uuid(case): digest for case, digest in cases}
    known = {
        case.uuid: case
        for start in range(0, len(seen), CASES_PER_CHUNK)
        for case in _cases().filter(uuid__in=list(seen)[start : start + CASES_PER_CHUNK], batch=batch)
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
            case = _locked_case(by, found, at)
            try:
                clean = _clean(ruling, case)
                _refuse_unless_free(case, by.membership, at)
                if case.status == HELD and case.holder_id != by.membership.pk:
                    events += _lapse(case, at)
                _refuse_raters(case, by.membership)
                verdict = _verdict(case)
                _refuse_stale(case, verdict, seen[case.uuid])
                if found.confusion != case.confusion:
                    raise _answers_changed()
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
        case = _locked_case(by, disagreement, at)
        clean = _clean(ruling, case)
        if case.status != RULED:
            raise Refusal("not_ruled", "There is no ruling to replace yet.")
        _refuse_raters(case, by.membership)
        newest = _newest(case)
        assert newest is not None  # a ruled case has a ruling: both are written in one transaction
        if newest.revision != revision:
            raise Refusal("changed_meanwhile", "This ruling was replaced meanwhile. Look at the new one first.")
        adjudication, events = _write(by, case, clean, _verdict(case), at, after=newest)
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
    Resolution.objects.create(
        batch_item=case.batch_item,
        revision=standing.revision + 1 if standing is not None else 1,
        adjudication=adjudication,
        value=ruling.value,
        method=ResolutionMethod.ADJUDICATED,
        distribution=verdict.distribution,
        raters=verdict.raters,
        input_sha256=verdict.input_sha256,
        at=at,
    )
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


def _text(name: str, raw: Any, empty: str) -> str:
    if not isinstance(raw, str):
        raise BadValue("bad_value", f"{name} must be text.", field=name)
    text = raw.replace("\x00", "").strip()
    if not text:
        raise BadValue("empty", empty, field=name)
    if len(text) > TEXT_LIMIT:
        raise BadValue("too_long", f"{name} is longer than {TEXT_LIMIT:,} characters.", field=name)
    return text


def _clean(ruling: Ruling, case: Disagreement) -> Ruling:
    """The ruling as it is written; raises BadValue naming the field and what would be right."""
    rationale = _text("rationale", ruling.rationale, "Say why in a sentence: raters and the next definition need it.")
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


# --- discussing -------------------------------------------------------------------------------------------------------


def open_discussion(
    *, by: Seat, disagreement: Disagreement, token: uuid.UUID | str, text: str, at: datetime | None = None
) -> DiscussionMessage:
    """Ask the raters of a held case; what they change after this is no longer blind.

    The hold ends: the case waits for what they say.
    """
    at = at or timezone.now()
    require(by.membership, "adjudicate")
    text = _text("text", text, "Write what you would like to know from the raters.")
    with transaction.atomic():
        case = _locked_case(by, disagreement, at)
        if case.status != HELD or case.holder_id != by.membership.pk or case.hold_token != _uuid(token):
            raise _hold_lost()
        reveal_item(batch_item=case.batch_item, at=at)
        case.batch_item.revealed_at = case.batch_item.revealed_at or at
        transitions.move(case, DISCUSSING, changed_at=at, **NOT_HELD)
        message = DiscussionMessage.objects.create(disagreement=case, by=by.membership, text=text, at=at)
        record(event("discussed", case, by=by.user, at=at, project=by.project))
    return message


def say_in_discussion(
    *, by: Seat, disagreement: Disagreement, text: str, at: datetime | None = None
) -> DiscussionMessage:
    """Another message in a case's thread: by someone who rules, or by a rater of the item.

    Raises NotSeen for others, `not_discussed` before a discussion was opened or after the ruling.
    """
    at = at or timezone.now()
    text = _text("text", text, "Write something first.")
    with transaction.atomic():
        case = _case(by, disagreement)
        may_rule = by.may("adjudicate") and not rated(by.membership, case.batch_item.item_id)
        if not may_rule:
            if not took_part(by.membership, case):
                raise NotSeen("not_found", "There is no such discussion for you.")
            require(by.membership, "label")
        if case.batch_item.revealed_at is None or case.status not in (DISCUSSING, HELD):
            raise Refusal("not_discussed", "This item is not in discussion (any more).")
        message = DiscussionMessage.objects.create(disagreement=case, by=by.membership, text=text, at=at)
        record(event("said", case, by=by.user, at=at, project=by.project))
    return message


def took_part(member: Membership, case: Disagreement) -> bool:
    """Whether the member answered this very case."""
    return Assignment.objects.filter(
        batch_item_id=case.batch_item_id, member=member, status=PlaceStatus.SUBMITTED
    ).exists()


def rated(member: Membership, item_id: int) -> bool:
    """Whether the member ever answered the item, in whichever batch."""
    return Annotation.objects.filter(assignment__member=member, assignment__batch_item__item_id=item_id).exists()


# --- looking, locking, refusing ---------------------------------------------------------------------------------------


def _cases() -> Any:
    return Disagreement.objects.select_related(
        "batch__project", "batch__guideline_version", "batch_item__item", "holder"
    )


def _case(by: Seat, disagreement: Disagreement, *, lock: bool = True) -> Disagreement:
    """The case as it is now, of the person's project."""
    rows = _cases().filter(pk=disagreement.pk, batch__project=by.project)
    if lock:
        rows = rows.select_for_update(of=("self",), no_key=True)
    case: Disagreement | None = rows.first()
    if case is None:
        raise NotSeen("not_found", "There is no such case in this project.")
    return case


def _locked_case(by: Seat, disagreement: Disagreement, at: datetime) -> Disagreement:
    """The case under the lock of its batch item, then of itself: the order in which comparing takes them too."""
    BatchItem.objects.select_for_update(no_key=True).get(pk=disagreement.batch_item_id)
    return _case(by, disagreement)


def _unfinished(case: Disagreement) -> bool:
    return Assignment.objects.filter(
        batch_item_id=case.batch_item_id, status__in=(PlaceStatus.OPEN, PlaceStatus.CLAIMED)
    ).exists()


def _verdict(case: Disagreement) -> Verdict:
    return verdicts(case.batch, [case.batch_item])[case.batch_item_id]


def _refuse_unless_free(case: Disagreement, member: Membership, at: datetime) -> None:
    if case.status == RULED:
        raise Refusal("ruled", "This case has been ruled on already.")
    if case.status == DisagreementStatus.DISMISSED:
        raise Refusal("dismissed", "The answers agree now, so there is nothing to rule on.")
    theirs = case.status == HELD and case.holder_id != member.pk
    if theirs and case.hold_until is not None and case.hold_until >= at:
        raise Refusal("held_by_other", "Someone else is ruling on this case just now. Take the next one.")


def _refuse_raters(case: Disagreement, member: Membership) -> None:
    if rated(member, case.batch_item.item_id):
        raise NotAllowed("own_item", "You answered this item yourself, so someone else rules on it.")


def _refuse_stale(case: Disagreement, verdict: Verdict, seen: str) -> None:
    if not verdict.complete:
        raise Refusal("not_complete", "People are still answering this item; it can be ruled on once all have.")
    if verdict.input_sha256 != seen:
        raise _answers_changed()
    if not verdict.kind and case.kind != DisagreementKind.AUDIT:
        raise Refusal("dismissed", "The answers agree now, so there is nothing to rule on.")


def _answers_changed() -> Refusal:
    return Refusal(
        "answers_changed", "An answer was changed while you looked at this case. Look at it again; your text is kept."
    )


def _hold_lost() -> Refusal:
    return Refusal("hold_lost", "You hold this case no longer. Hold it again; your text is kept.")


def _uuid(token: uuid.UUID | str) -> uuid.UUID | None:
    if isinstance(token, uuid.UUID):
        return token
    try:
        return uuid.UUID(str(token))
    except ValueError:
        return None
