"""Who labeled a batch and could label it again, and how many of them each item had."""

from __future__ import annotations

from django.db.models import Count

from ..models import Assignment, Batch, Membership
from ..vocabulary import Cohort, PlaceOrigin, PlaceStatus


def raters_of(batch: Batch) -> list[Membership]:
    """Members who labeled planned places of the batch and can label now, by id; two queries."""
    rows = Assignment.objects.filter(batch=batch, status=PlaceStatus.SUBMITTED, member__isnull=False)
    labeled = set(rows.exclude(origin=PlaceOrigin.EXTRA).order_by().values_list("member_id", flat=True).distinct())
    members = Membership.objects.filter(
        project=batch.project_id, active=True, cohort__isnull=False, user__is_active=True
    ).select_related("user")
    return [member for member in members.order_by("pk") if member.pk in labeled]


def count_gone(batch: Batch) -> int:
    """How many of those who labeled the batch cannot label now."""
    rows = Assignment.objects.filter(batch=batch, status=PlaceStatus.SUBMITTED, member__isnull=False)
    labeled = rows.exclude(origin=PlaceOrigin.EXTRA).order_by().values("member_id").distinct().count()
    return labeled - len(raters_of(batch))


def quotas_of(batch: Batch) -> dict[str, int]:
    """{cohort: raters per item} of a batch; of imported labels the most that an item has."""
    quotas = {quota.cohort: quota.raters for quota in batch.quotas.all()}
    if quotas:
        return quotas
    rows = (
        Assignment.objects.filter(batch=batch, status=PlaceStatus.SUBMITTED)
        .exclude(origin=PlaceOrigin.EXTRA)
        .order_by()
        .values("cohort", "batch_item")
        .annotate(n=Count("pk"))
    )
    for cohort, n in rows.values_list("cohort", "n").order_by("-n")[:1000]:
        quotas[cohort] = max(n, quotas.get(cohort, 0))
    return {cohort: min(quotas[cohort], 50) for cohort in Cohort.values if cohort in quotas}
