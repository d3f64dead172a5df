import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from ..vocabulary import DatasetFormat, DatasetStatus


class DatasetVersion(models.Model):
    """A dataset that never changes once it is ready: its bytes, their sha256 and the manifest. Sealed when ready."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="datasets")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=120)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    filter = models.JSONField(default=dict)  # what was asked for, as it was checked
    format = models.CharField(max_length=7, choices=DatasetFormat, default=DatasetFormat.JSONL)
    status = models.CharField(max_length=8, choices=DatasetStatus, default=DatasetStatus.BUILDING)
    error = models.TextField(blank=True)
    rows = models.PositiveBigIntegerField(null=True, blank=True)
    bytes = models.PositiveBigIntegerField(null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    manifest = models.JSONField(default=dict, blank=True)
    file = models.CharField(max_length=300, blank=True)  # below MEDIA_ROOT or DATA_DIR
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="dataset_numbers_are_unique_in_a_project"),
            models.CheckConstraint(condition=Q(status__in=DatasetStatus.values), name="dataset_status_is_known"),
            models.CheckConstraint(condition=Q(format__in=DatasetFormat.values), name="dataset_format_is_known"),
            models.CheckConstraint(
                condition=~Q(status=DatasetStatus.READY)
                | (Q(rows__isnull=False, bytes__isnull=False, ready_at__isnull=False) & ~Q(sha256="") & ~Q(file="")),
                name="a_ready_dataset_has_rows_bytes_hash_and_file",
            ),
            models.CheckConstraint(
                condition=~Q(status=DatasetStatus.FAILED) | ~Q(error=""), name="a_failed_dataset_says_why"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.number})"


class DatasetNotice(models.Model):
    """What became known after a dataset was built, shown beside it; its bytes and manifest stay."""

    dataset_version = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="notices")
    reason = models.TextField()
    item = models.ForeignKey("labeling.Item", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [models.CheckConstraint(condition=~Q(reason=""), name="a_notice_says_why")]
