import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from ..vocabulary import GoldOrigin


class Gold(models.Model):
    """A reference label for an item, with its origin. Sealed; the newest per (item, origin) is in force."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    item = models.ForeignKey("labeling.Item", on_delete=models.PROTECT, related_name="golds")
    guideline_version = models.ForeignKey(
        "labeling.GuidelineVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    value = models.JSONField()
    origin = models.CharField(max_length=13, choices=GoldOrigin)
    import_run = models.ForeignKey(
        "labeling.ImportRun", on_delete=models.PROTECT, null=True, blank=True, related_name="golds"
    )
    adjudication_uuid = models.UUIDField(null=True, blank=True)
    author = models.ForeignKey("labeling.Membership", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    rationale = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(origin__in=GoldOrigin.values), name="gold_origin_is_known"),
            models.CheckConstraint(
                condition=~Q(origin=GoldOrigin.SINGLE_RATER) | Q(author__isnull=False),
                name="single_rater_gold_names_its_author",
            ),
        ]
        indexes = [models.Index(fields=["item", "origin", "id"], name="gold_in_force")]
