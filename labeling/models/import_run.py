import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from ..vocabulary import ImportKind, RunStatus


class ImportRun(models.Model):
    """One file read into a project. Its rows are visible only once it is done."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="import_runs")
    kind = models.CharField(max_length=10, choices=ImportKind)
    source = models.CharField(max_length=300)
    file = models.CharField(max_length=400, blank=True)  # stored upload, below MEDIA_ROOT; empty when read in place
    file_sha256 = models.CharField(max_length=64)
    mapping = models.JSONField(default=dict, blank=True)
    mapping_sha256 = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=RunStatus, default=RunStatus.CHECKING)
    rows_read = models.PositiveBigIntegerField(default=0)
    rows_kept = models.PositiveBigIntegerField(default=0)
    rows_refused = models.PositiveBigIntegerField(default=0)
    rows_skipped = models.PositiveBigIntegerField(default=0)
    report = models.JSONField(default=dict, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind", "file_sha256", "mapping_sha256"],
                condition=Q(status=RunStatus.DONE),
                name="a_file_is_imported_once_with_a_mapping",
            ),
            models.CheckConstraint(condition=Q(status__in=RunStatus.values), name="import_status_is_known"),
            models.CheckConstraint(condition=Q(kind__in=ImportKind.values), name="import_kind_is_known"),
        ]
