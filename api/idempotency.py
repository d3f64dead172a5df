"""A request with an Idempotency-Key is carried out once: the same key again gets the answer of the first time.

The act and its stored answer are one transaction, so neither is there without the other. What was refused changed
nothing, and its key is free again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from labeling.db.retry import retry_deadlocks
from labeling.models import Membership
from labeling.refusals import BadValue, Refusal
from labeling.sweeps import each_minute

from .models import IdempotencyRecord

KEPT = timedelta(days=1)
# A process that died while answering leaves its key behind; after this the key may be taken over.
ABANDONED = timedelta(minutes=5)


@dataclass(frozen=True)
class Answered:
    """An answer as it is stored and sent. `replayed`: it was given before."""

    status: int
    body: Any
    headers: dict[str, str]
    replayed: bool = False


def answer_once(
    *, member: Membership, key: str, request_sha256: str, act: Callable[[], Answered], at: datetime | None = None
) -> Answered:
    """The answer of `act`, or the one that this key was given before.

    Raises `in_progress` (409) while the first request with the key is being answered, BadValue `key_reused` when the key
    came with another request.
    """
    at = at or timezone.now()
    record = _reserve(member, key, request_sha256, at)
    if isinstance(record, Answered):
        return record
    try:
        return _carry_out(record, act)
    except BaseException:
        IdempotencyRecord.objects.filter(pk=record.pk, status__isnull=True, at=record.at).delete()
        raise


@retry_deadlocks
def _carry_out(record: IdempotencyRecord, act: Callable[[], Answered]) -> Answered:
    """Act and answer in one transaction; an act's own second try after a deadlock could not start inside it."""
    with transaction.atomic():
        answer = act()
        stored = {"body": answer.body, "headers": answer.headers}
        if not IdempotencyRecord.objects.filter(pk=record.pk, status__isnull=True, at=record.at).update(
            status=answer.status, response=stored
        ):
            # This request took so long that another one took its key over: only one of them may stand.
            raise in_progress()
    return answer


def in_progress() -> Refusal:
    return Refusal("in_progress", "A request with this key is being answered. Try again in a moment.", retry_after=1)


def _reserve(member: Membership, key: str, request_sha256: str, at: datetime) -> IdempotencyRecord | Answered:
    for _ in range(3):
        try:
            with transaction.atomic():
                return IdempotencyRecord.objects.create(member=member, key=key, request_sha256=request_sha256, at=at)
        except IntegrityError:
            known = IdempotencyRecord.objects.filter(member=member, key=key).first()
        if known is None:
            continue  # it was refused and freed between our insert and our look
        if known.at < at - (KEPT if known.status is not None else ABANDONED):
            IdempotencyRecord.objects.filter(pk=known.pk, at=known.at).delete()
            continue
        if known.request_sha256 != request_sha256:
            raise BadValue(
                "key_reused", "This Idempotency-Key was used for another request. Use a new key for each request.",
                field="Idempotency-Key",
            )  # fmt: skip
        if known.status is None:
            raise in_progress()
        stored = known.response or {}
        return Answered(known.status, stored.get("body"), stored.get("headers") or {}, replayed=True)
    raise in_progress()


@each_minute("idempotency")
def forget_old_keys(at: datetime | None = None) -> int:
    """Delete keys that are a day old, some at a time."""
    at = at or timezone.now()
    old = list(IdempotencyRecord.objects.filter(at__lt=at - KEPT).values_list("pk", flat=True)[:2000])
    for start in range(0, len(old), 500):
        IdempotencyRecord.objects.filter(pk__in=old[start : start + 500]).delete()
    return len(old)
