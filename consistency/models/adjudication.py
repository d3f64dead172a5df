import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from ..vocabulary import Cause, RulingOutcome


class Adjudication(models.Model):
    """An SME's ruling on a disagreement; the highest revision is in force. Sealed.

    Without a value the distribution stands as the answer, or the item is left without one (`improve_input`).
    Rulings made at once over a cluster share `cluster`.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    disagreement = models.ForeignKey(
        "consistency.Disagreement", on_delete=models.PROTECT, related_name="adjudications", db_index=False
    )
    revision = models.PositiveSmallIntegerField()
    value = models.JSONField(null=True, blank=True)
    distribution = models.JSONField(null=True, blank=True)  # {label: share}, sums to 1
    borderline = models.BooleanField(default=False)
    cause = models.CharField(max_length=24, choices=Cause)
    outcome = models.CharField(max_length=17, choices=RulingOutcome)
    rationale = models.TextField()
    cluster = models.UUIDField(null=True, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["disagreement", "revision"], name="rulings_are_numbered_per_disagreement"),
            models.CheckConstraint(condition=Q(revision__gte=1), name="rulings_start_at_one"),
            models.CheckConstraint(condition=~Q(rationale=""), name="a_ruling_says_why"),
            models.CheckConstraint(condition=Q(cause__in=Cause.values), name="cause_is_known"),
            models.CheckConstraint(condition=Q(outcome__in=RulingOutcome.values), name="ruling_outcome_is_known"),
            models.CheckConstraint(
                condition=Q(value__isnull=True) | Q(distribution__isnull=True),
                name="a_ruling_gives_a_value_or_a_distribution",
            ),
            models.CheckConstraint(
                condition=~Q(outcome=RulingOutcome.KEEP_DISTRIBUTION) | Q(distribution__isnull=False),
                name="keeping_a_distribution_names_it",
            ),
        ]
        indexes = [models.Index(fields=["cluster"], condition=Q(cluster__isnull=False), name="adjudication_cluster")]


class GuidelineMotive(models.Model):
    """Why a guideline version came to be: a ruling, or a disagreement still to be ruled, that it answers."""

    guideline_version = models.ForeignKey("labeling.GuidelineVersion", on_delete=models.CASCADE, related_name="motives")
    adjudication = models.ForeignKey(
        Adjudication, on_delete=models.PROTECT, null=True, blank=True, related_name="motives"
    )
    disagreement = models.ForeignKey(
        "consistency.Disagreement", on_delete=models.PROTECT, null=True, blank=True, related_name="motives"
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(adjudication__isnull=False, disagreement__isnull=True)
                | Q(adjudication__isnull=True, disagreement__isnull=False),
                name="a_motive_is_a_ruling_or_a_disagreement",
            ),
            models.UniqueConstraint(
                fields=["guideline_version", "adjudication"],
                condition=Q(adjudication__isnull=False),
                name="a_ruling_motivates_a_version_once",
            ),
            models.UniqueConstraint(
                fields=["guideline_version", "disagreement"],
                condition=Q(disagreement__isnull=False),
                name="a_disagreement_motivates_a_version_once",
            ),
        ]
