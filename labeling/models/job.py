import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from ..vocabulary import JobStatus


class Job(models.Model):
    """Work to be done outside a request. The row is the truth; a transport only knocks."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=40)
    project = models.ForeignKey(
        "labeling.Project", on_delete=models.PROTECT, null=True, blank=True, related_name="jobs"
    )
    parameters = models.JSONField(default=dict, blank=True)
    dedup_key = models.CharField(max_length=200)
    status = models.CharField(max_length=8, choices=JobStatus, default=JobStatus.QUEUED)
    # Only ever grows: it is also the fence that tells a worker its job was taken over.
    attempts = models.PositiveSmallIntegerField(default=0)
    # Trying again by hand, and a worker that was asked to stop, allow more.
    attempts_allowed = models.PositiveSmallIntegerField(default=5)
    progress = models.JSONField(default=dict, blank=True)  # {"done", "total", "what"}
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    lease_until = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # One running and one queued: a request made while its twin runs is not lost.
            models.UniqueConstraint(
                fields=["dedup_key"], condition=Q(status=JobStatus.QUEUED), name="one_queued_job_per_key"
            ),
            models.UniqueConstraint(
                fields=["dedup_key"], condition=Q(status=JobStatus.RUNNING), name="one_running_job_per_key"
            ),
            models.CheckConstraint(condition=Q(status__in=JobStatus.values), name="job_status_is_known"),
            models.CheckConstraint(
                condition=~Q(status=JobStatus.RUNNING) | Q(lease_until__isnull=False), name="a_running_job_has_a_lease"
            ),
            models.CheckConstraint(condition=~Q(status=JobStatus.FAILED) | ~Q(error=""), name="a_failed_job_says_why"),
        ]
        indexes = [
            # workers: the next job to take, and running ones whose lease ran out
            models.Index(fields=["status", "id"], name="job_by_status"),
        ]
