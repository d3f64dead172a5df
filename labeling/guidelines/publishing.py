"""A draft becomes a sealed, numbered, hashed version, or is given up."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from .. import transitions
from ..access import Seat
from ..events import event, record
from ..models import GuidelineVersion
from ..queries.guideline_content import content_sha256
from ..refusals import Refusal
from ..vocabulary import VersionStatus
from .checks import Check, check_draft
from .editing import lock_draft


def publish_version(
    *, by: Seat, version: GuidelineVersion, seen: str | None = None, at: datetime | None = None
) -> GuidelineVersion:
    """Seal the draft: from here on neither it nor its labels, examples and mappings ever change.

    `seen` is the `content_sha256` of what the person looked at: when the draft differs by now, the act raises
    `changed_meanwhile`. Raises `not_ready` with the sentences in `data["reasons"]` while a required check is open;
    warnings do not hold it up and are kept in the Event.
    """
    at = at or timezone.now()
    with transaction.atomic():
        draft = lock_draft(by, version)
        sha256 = content_sha256(draft)
        if seen is not None and seen != sha256:
            who = draft.saved_by.name if draft.saved_by is not None else "Someone"
            raise Refusal(
                "changed_meanwhile", f"{who} changed the draft since you opened this page. Look at it again first."
            )
        checks = check_draft(draft)
        if reasons := [check.text for check in checks if check.blocks]:
            raise Refusal(
                "not_ready",
                f"{draft} cannot be published yet: {' '.join(reasons)}",
                reasons=reasons,
            )
        if not transitions.move(
            draft, VersionStatus.PUBLISHED, published_by=by.user, published_at=at, body_sha256=sha256
        ):
            raise Refusal("published", f"{draft} has been published already.")
        record(
            event(
                "published", draft, by=by.user, at=at, project=by.project, number=draft.number, sha256=sha256,
                warnings=[check.text for check in warnings(checks)],
            )
        )  # fmt: skip
    return draft


def warnings(checks: list[Check]) -> list[Check]:
    """The open checks that do not hold publishing up."""
    return [check for check in checks if not check.done and not check.required]


def discard_draft(*, by: Seat, version: GuidelineVersion, at: datetime | None = None) -> None:
    """Give the draft up, with its labels, examples and mappings. Published versions are not touched."""
    at = at or timezone.now()
    with transaction.atomic():
        draft = lock_draft(by, version)
        pk, number, sha256 = draft.pk, draft.number, content_sha256(draft)
        draft.delete()
        record(
            event(
                "draft_discarded", ("guidelineversion", pk), by=by.user, at=at, project=by.project, number=number,
                sha256=sha256,
            )
        )  # fmt: skip
