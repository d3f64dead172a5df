import uuid

from django.db import models
from django.db.models import Q

from ..vocabulary import BatchKind, BatchStatus, Cohort, ItemRole


class Batch(models.Model):
    """Items × one guideline version × overlap per cohort. `selection` says which items and in which order."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="batches")
    guideline_version = models.ForeignKey("labeling.GuidelineVersion", on_delete=models.PROTECT, related_name="batches")
    kind = models.CharField(max_length=14, choices=BatchKind, default=BatchKind.LABEL)
    name = models.CharField(max_length=120)
    priority = models.SmallIntegerField(default=0)
    status = models.CharField(max_length=8, choices=BatchStatus, default=BatchStatus.DRAFT)
    seed = models.BigIntegerField(default=0)
    lease_minutes = models.PositiveSmallIntegerField(default=15)
    selection = models.JSONField(default=dict, blank=True)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    import_run = models.ForeignKey(
        "labeling.ImportRun", on_delete=models.PROTECT, null=True, blank=True, related_name="batches"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    opened_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-priority", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="batch_names_are_unique_in_a_project"),
            models.CheckConstraint(condition=Q(kind__in=BatchKind.values), name="batch_kind_is_known"),
            models.CheckConstraint(condition=Q(status__in=BatchStatus.values), name="batch_status_is_known"),
            models.CheckConstraint(condition=Q(lease_minutes__gte=1), name="a_lease_lasts_a_minute_at_least"),
        ]

    def __str__(self) -> str:
        return self.name


class Quota(models.Model):
    """How many raters of a cohort each item of a batch gets, and at how many places replacements stop."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="quotas")
    cohort = models.CharField(max_length=12, choices=Cohort)
    raters = models.PositiveSmallIntegerField()
    max_raters = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["batch_id", "cohort"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "cohort"], name="one_quota_per_batch_and_cohort"),
            models.CheckConstraint(condition=Q(cohort__in=Cohort.values), name="quota_cohort_is_known"),
            models.CheckConstraint(condition=Q(raters__gte=1, raters__lte=50), name="overlap_is_1_to_50"),
            models.CheckConstraint(
                condition=Q(max_raters__isnull=True) | Q(max_raters__gte=models.F("raters")),
                name="max_raters_is_not_below_the_overlap",
            ),
        ]


class BatchItem(models.Model):
    """An item in a batch, at its rank in the queue."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, related_name="batch_items")
    item = models.ForeignKey("labeling.Item", on_delete=models.PROTECT, related_name="batch_items")
    rank = models.PositiveIntegerField()
    role = models.CharField(max_length=8, choices=ItemRole, default=ItemRole.NORMAL)
    audit = models.BooleanField(default=False)
    # Set by `reveal_item` and `lock_item`; submission reads them to set `blind` and to refuse a revision.
    revealed_at = models.DateTimeField(null=True, blank=True)
    ruled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "item"], name="an_item_is_once_in_a_batch"),
            models.UniqueConstraint(fields=["batch", "rank"], name="ranks_are_unique_in_a_batch"),
            models.CheckConstraint(condition=Q(role__in=ItemRole.values), name="item_role_is_known"),
        ]
