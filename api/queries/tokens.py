"""Tokens as their owners see them."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F, Q, QuerySet

from labeling.access import Seat

from ..models import ApiToken


def tokens_for(seat: Seat) -> QuerySet[ApiToken]:
    """The member's own tokens; for who manages members everyone's. Working ones first, the newest on top."""
    rows = ApiToken.objects.filter(membership__project=seat.project).select_related("membership__user")
    if not seat.holds("manage_members"):
        rows = rows.filter(membership=seat.membership)
    return rows.order_by(F("revoked_at").asc(nulls_first=True), "-pk")


def works(at: datetime) -> Q:
    """Condition on tokens: neither revoked nor expired."""
    return Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=at))
