import uuid

from django.db import models
from django.db.models import Q

from ..vocabulary import DisagreementKind, DisagreementStatus

HELD = Q(status=DisagreementStatus.HELD)


class Disagreement(models.Model):
    """A settled item whose answers differ by more than the task's threshold, or that was drawn for audit.

    `batch` repeats what the batch item says, because the queue's index needs it in one table. `confusion` names the
    labels that were mixed up, sorted and joined by " | ": the cluster an SME may rule at once.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    batch_item = models.OneToOneField("labeling.BatchItem", on_delete=models.PROTECT, related_name="disagreement")
    batch = models.ForeignKey("labeling.Batch", on_delete=models.PROTECT, related_name="disagreements", db_index=False)
    kind = models.CharField(max_length=8, choices=DisagreementKind)
    distance = models.FloatField()  # mean distance between two raters of the item, 0 to 1
    entropy = models.FloatField()  # of the answers' distribution, 0 to 1 (by the logarithm of the label count)
    confusion = models.CharField(max_length=400, blank=True)
    cohorts_split = models.JSONField(default=list, blank=True)  # cohorts that disagree within, or with another cohort
    # Every cohort has answered (or the batch closed). Until then the case is seen at the bench and not ruled on.
    complete = models.BooleanField(default=True)
    status = models.CharField(max_length=10, choices=DisagreementStatus, default=DisagreementStatus.OPEN)
    holder = models.ForeignKey(
        "labeling.Membership", on_delete=models.PROTECT, null=True, blank=True, related_name="held_disagreements"
    )
    hold_token = models.UUIDField(null=True, blank=True)
    hold_until = models.DateTimeField(null=True, blank=True)
    # Digest of the answers it was found in: the same answers again change nothing.
    input_sha256 = models.CharField(max_length=64)
    found_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=DisagreementKind.values), name="disagreement_kind_is_known"),
            models.CheckConstraint(
                condition=Q(status__in=DisagreementStatus.values), name="disagreement_status_is_known"
            ),
            models.CheckConstraint(condition=Q(distance__gte=0, distance__lte=1), name="distance_is_0_to_1"),
            models.CheckConstraint(condition=Q(entropy__gte=0, entropy__lte=1), name="entropy_is_0_to_1"),
            models.CheckConstraint(
                condition=~HELD | Q(holder__isnull=False, hold_token__isnull=False, hold_until__isnull=False),
                name="a_held_disagreement_has_holder_token_and_lease",
            ),
            models.CheckConstraint(
                condition=HELD | Q(holder__isnull=True, hold_token__isnull=True, hold_until__isnull=True),
                name="only_a_held_disagreement_has_a_holder",
            ),
        ]
        indexes = [
            # the queue: the worst first, and by cluster
            models.Index(fields=["batch", "status", "-distance", "-entropy", "id"], name="disagreement_queue"),
            models.Index(fields=["batch", "confusion", "status"], name="disagreement_cluster"),
            # holds that ran out
            models.Index(fields=["hold_until"], condition=HELD, name="disagreement_hold"),
        ]


class DiscussionMessage(models.Model):
    """One message of the thread between an SME and the raters of a disputed item."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    disagreement = models.ForeignKey(Disagreement, on_delete=models.PROTECT, related_name="messages")
    by = models.ForeignKey("labeling.Membership", on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [models.CheckConstraint(condition=~Q(text=""), name="a_message_says_something")]
