import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q


class Exclusion(models.Model):
    """A rater, or one place, set aside from figures and resolutions; the ledger stays as it is."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    member = models.ForeignKey(
        "labeling.Membership", on_delete=models.PROTECT, null=True, blank=True, related_name="exclusions"
    )
    assignment = models.ForeignKey(
        "labeling.Assignment", on_delete=models.PROTECT, null=True, blank=True, related_name="exclusions"
    )
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(member__isnull=False, assignment__isnull=True)
                | Q(member__isnull=True, assignment__isnull=False),
                name="an_exclusion_is_of_a_member_or_a_place",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="an_exclusion_says_why"),
            models.UniqueConstraint(
                fields=["member"],
                condition=Q(lifted_at__isnull=True, member__isnull=False),
                name="a_member_is_set_aside_once",
            ),
        ]
