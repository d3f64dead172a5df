import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from labeling.vocabulary import Cohort

from ..vocabulary import ResolutionMethod


class ResolutionRun(models.Model):
    """One pass that filled items by vote: which method, over which cohort, by which code. Sealed."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    batch = models.ForeignKey("labeling.Batch", on_delete=models.PROTECT, related_name="resolution_runs")
    method = models.CharField(max_length=12, choices=ResolutionMethod)
    cohort = models.CharField(max_length=12, choices=Cohort, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    code_version = models.CharField(max_length=60)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(method__in=ResolutionMethod.values), name="resolution_run_method_is_known"
            )
        ]


class Resolution(models.Model):
    """The value in force for an item of a batch, and how it was reached; the highest revision is in force. Sealed.

    `distribution` = {"labels": {key: count}, "cannot_label": count, "borderline": count,
    "cohorts": {cohort: {key: count}}} over the answers that counted.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    batch_item = models.ForeignKey(
        "labeling.BatchItem", on_delete=models.PROTECT, related_name="resolutions", db_index=False
    )
    revision = models.PositiveIntegerField()
    run = models.ForeignKey(ResolutionRun, on_delete=models.PROTECT, null=True, blank=True, related_name="resolutions")
    adjudication = models.ForeignKey(
        "consistency.Adjudication", on_delete=models.PROTECT, null=True, blank=True, related_name="resolutions"
    )
    value = models.JSONField(null=True, blank=True)
    method = models.CharField(max_length=12, choices=ResolutionMethod)
    # Share of the answers for the value, a posterior, or null where a person decided.
    confidence = models.FloatField(null=True, blank=True)
    distribution = models.JSONField(default=dict)
    raters = models.PositiveSmallIntegerField()
    input_sha256 = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch_item", "revision"], name="resolutions_are_numbered_per_item"),
            models.CheckConstraint(condition=Q(revision__gte=1), name="resolutions_start_at_one"),
            models.CheckConstraint(condition=Q(method__in=ResolutionMethod.values), name="resolution_method_is_known"),
            models.CheckConstraint(
                condition=~Q(method=ResolutionMethod.NONE) | Q(value__isnull=True), name="none_has_no_value"
            ),
            models.CheckConstraint(
                condition=~Q(method=ResolutionMethod.ADJUDICATED) | Q(adjudication__isnull=False),
                name="adjudicated_names_its_ruling",
            ),
            models.CheckConstraint(
                condition=Q(confidence__isnull=True) | Q(confidence__gte=0, confidence__lte=1),
                name="resolution_confidence_is_0_to_1",
            ),
        ]
