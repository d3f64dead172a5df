"""Simulated raters answer an open batch through the real acts, each by their convention and the definition in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from ..claiming import acknowledge_version, claim_next
from ..models import Batch, GuidelineVersion, LabelDefinition, Membership, User
from ..refusals import Refusal
from ..submission import Answer, submit_annotation
from ..vocabulary import AnnotationOrigin, BatchStatus
from .conventions import decide, rater_named


def simulated_raters(batch: Batch, only: Iterable[str] = ()) -> list[Membership]:
    """Active members of the batch's project who label, are simulated, and have a convention."""
    members = Membership.objects.filter(
        project=batch.project, active=True, cohort__isnull=False, user__simulated=True
    ).select_related("user")
    wanted = set(only)
    return [
        member
        for member in members.order_by("pk")
        if rater_named(member.user.username) and (not wanted or member.user.username in wanted)
    ]


def simulate_raters(
    *,
    batch: Batch,
    only: Iterable[str] = (),
    start: datetime | None = None,
    tell: Callable[[str, int], Any] | None = None,
) -> dict[str, int]:
    """Let the simulated raters answer everything the batch serves them; {username: answers}.

    `start` sets the clock of the first answer; each next one follows after the seconds the rater takes. Raises Refusal
    when the batch is not open or is not about the demo's screens.
    """
    if batch.status != BatchStatus.OPEN:
        raise Refusal("not_open", f"“{batch.name}” is not open. Open it first, then let the raters answer.")
    version: GuidelineVersion = batch.guideline_version
    labels = list(LabelDefinition.objects.filter(version=version))
    if {"defect"} - {label.key for label in labels} or len(labels) < 2:
        raise Refusal("no_convention", "Simulated raters know the phone screens only: labels “defect” and another one.")
    raters = simulated_raters(batch, only)
    if not raters:
        raise Refusal("no_raters", "No simulated rater is an active member of this project.")
    counts: dict[str, int] = {}
    for member in raters:
        counts[member.user.username] = _answer_all(member.user, batch, version, labels, start)
        if tell:
            tell(member.user.username, counts[member.user.username])
    return counts


def _answer_all(
    user: User, batch: Batch, version: GuidelineVersion, labels: list[LabelDefinition], start: datetime | None
) -> int:
    rater = rater_named(user.username)
    assert rater is not None  # simulated_raters asked
    clock = start or timezone.now()
    acknowledge_version(by=user, batch=batch, at=clock)
    count = 0
    while (hand := claim_next(by=user, batch=batch, at=clock)).places:
        for place in hand.places:
            item = place.batch_item.item
            answer: Answer = decide(rater, item.metadata, item.external_id, version, labels)
            clock = clock + timedelta(seconds=answer.seconds or 5) if start else timezone.now()
            submit_annotation(
                by=user,
                batch=batch,
                assignment=place.uuid,
                token=place.claim_token or "",
                answer=answer,
                origin=AnnotationOrigin.SIMULATED,
                idempotency_key=f"simulated-{place.uuid.hex}",
                at=clock,
            )
            count += 1
    return count
