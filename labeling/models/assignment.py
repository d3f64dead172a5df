import uuid

from django.db import models
from django.db.models import Q

from ..vocabulary import Cohort, PlaceOrigin, PlaceStatus

OPEN, CLAIMED, SUBMITTED = Q(status=PlaceStatus.OPEN), Q(status=PlaceStatus.CLAIMED), Q(status=PlaceStatus.SUBMITTED)
SKIPPED, VOID = Q(status=PlaceStatus.SKIPPED), Q(status=PlaceStatus.VOID)


class Assignment(models.Model):
    """One place: the ordinal-th rater of a cohort for an item of a batch.

    Over-assignment is impossible because place k+1 does not exist. `batch`, `cohort` and `rank` repeat what
    the batch item says, because the claim's index needs them in one table.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    batch_item = models.ForeignKey("labeling.BatchItem", on_delete=models.PROTECT, related_name="assignments")
    batch = models.ForeignKey("labeling.Batch", on_delete=models.PROTECT, related_name="assignments", db_index=False)
    cohort = models.CharField(max_length=12, choices=Cohort)
    ordinal = models.PositiveSmallIntegerField()
    rank = models.PositiveIntegerField()
    status = models.CharField(max_length=9, choices=PlaceStatus, default=PlaceStatus.OPEN)
    origin = models.CharField(max_length=11, choices=PlaceOrigin, default=PlaceOrigin.PLANNED)
    reserved_for = models.ForeignKey(
        "labeling.Membership", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    not_before = models.DateTimeField(null=True, blank=True)
    member = models.ForeignKey(
        "labeling.Membership",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="assignments",
        db_index=False,
    )
    slot = models.PositiveSmallIntegerField(null=True, blank=True)
    # Kept after submission: the same token with the same answer is a replay, not a second answer.
    claim_token = models.UUIDField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    shown_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch_item", "cohort", "ordinal"], name="places_are_numbered_per_item_and_cohort"),
            models.UniqueConstraint(
                fields=["batch_item", "member"], condition=Q(member__isnull=False), name="a_rater_has_one_place_per_item"
            ),
            models.UniqueConstraint(
                fields=["batch", "member", "slot"], condition=CLAIMED, name="a_hand_has_one_place_per_slot"
            ),
            models.CheckConstraint(condition=Q(status__in=PlaceStatus.values), name="place_status_is_known"),
            models.CheckConstraint(condition=Q(origin__in=PlaceOrigin.values), name="place_origin_is_known"),
            models.CheckConstraint(condition=Q(cohort__in=Cohort.values), name="place_cohort_is_known"),
            models.CheckConstraint(
                condition=~(OPEN | VOID)
                | Q(member__isnull=True, slot__isnull=True, claim_token__isnull=True, lease_until__isnull=True),
                name="an_open_or_void_place_is_nobodys",
            ),
            models.CheckConstraint(
                condition=~CLAIMED
                | Q(
                    member__isnull=False, slot__gte=1, slot__lte=4, claim_token__isnull=False,
                    lease_until__isnull=False, finished_at__isnull=True,
                ),
                name="a_claimed_place_has_rater_slot_token_and_lease",
            ),
            models.CheckConstraint(
                condition=~(SUBMITTED | SKIPPED)
                | Q(member__isnull=False, slot__isnull=True, lease_until__isnull=True, finished_at__isnull=False),
                name="a_finished_place_has_rater_and_time",
            ),
        ]  # fmt: skip
        indexes = [
            # claim_next: open places of a cohort from a rank on
            models.Index(fields=["batch", "cohort", "rank", "ordinal"], condition=OPEN, name="place_to_claim"),
            # lapse: claims whose lease ran out
            models.Index(fields=["batch", "lease_until"], condition=CLAIMED, name="place_lease"),
            # the rater's cursor (latest claim), their own answers and counts
            models.Index(
                fields=["batch", "member", "claimed_at", "rank"], condition=Q(member__isnull=False), name="place_cursor"
            ),
            # what the rater passed on, which counts as seen
            models.Index(fields=["batch", "member"], condition=SKIPPED, name="place_skipped"),
            # the daily cap: what a member finished since midnight
            models.Index(fields=["member", "finished_at"], condition=SUBMITTED, name="place_finished"),
            # progress per batch, and how many open places are left for whom
            models.Index(fields=["batch", "cohort", "status", "reserved_for"], name="place_progress"),
        ]
