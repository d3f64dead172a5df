import uuid

from django.db import models
from django.db.models import Q

from ..vocabulary import AnnotationOrigin, Outcome


class Annotation(models.Model):
    """One ledger entry: what a rater said for a place, revision r. Sealed: nothing here is ever changed.

    `value` is the task type's canonical value; which revision counts for what is told by `queries.annotations`.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    assignment = models.ForeignKey(
        "labeling.Assignment", on_delete=models.PROTECT, related_name="annotations", db_index=False
    )
    revision = models.PositiveSmallIntegerField()
    guideline_version = models.ForeignKey(
        "labeling.GuidelineVersion", on_delete=models.PROTECT, related_name="annotations"
    )
    value = models.JSONField(null=True, blank=True)
    value_sha256 = models.CharField(max_length=64)
    outcome = models.CharField(max_length=12, choices=Outcome)
    borderline = models.BooleanField(default=False)
    second_value = models.JSONField(null=True, blank=True)
    reason = models.TextField(blank=True)
    confidence = models.FloatField(null=True, blank=True)
    comment = models.TextField(blank=True)
    seconds = models.FloatField(null=True, blank=True)
    origin = models.CharField(max_length=9, choices=AnnotationOrigin)
    assisted_by = models.CharField(max_length=200, blank=True)
    blind = models.BooleanField()
    # The key the client gave this submission: the same key again is a replay.
    idempotency_key = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["assignment", "revision"], name="revisions_are_numbered_per_place"),
            models.UniqueConstraint(
                fields=["assignment", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="a_submission_is_recorded_once",
            ),
            models.CheckConstraint(condition=Q(outcome__in=Outcome.values), name="outcome_is_known"),
            models.CheckConstraint(condition=Q(origin__in=AnnotationOrigin.values), name="annotation_origin_is_known"),
            models.CheckConstraint(
                condition=Q(outcome=Outcome.LABELED, value__isnull=False)
                | Q(outcome=Outcome.CANNOT_LABEL, value__isnull=True),
                name="labeled_means_a_value",
            ),
            models.CheckConstraint(
                condition=~Q(outcome=Outcome.CANNOT_LABEL) | ~Q(reason=""), name="cannot_label_says_why"
            ),
            models.CheckConstraint(
                condition=Q(confidence__isnull=True) | Q(confidence__gte=0, confidence__lte=1),
                name="confidence_is_0_to_1",
            ),
            models.CheckConstraint(
                condition=Q(seconds__isnull=True) | Q(seconds__gte=0), name="seconds_are_not_negative"
            ),
            models.CheckConstraint(condition=Q(revision__gte=1), name="revisions_start_at_one"),
        ]
