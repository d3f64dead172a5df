import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from ..vocabulary import Cohort, Role


class Membership(models.Model):
    """What a person may do in a project, and which rater type they are. Who has a cohort may label."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)
    cohort = models.CharField(max_length=12, choices=Cohort, null=True, blank=True)
    daily_cap = models.PositiveIntegerField(null=True, blank=True)
    cost_per_label = models.DecimalField(max_digits=10, decimal_places=4, null=True, blank=True)
    active = models.BooleanField(default=True)
    # The rater id of the file that brought this member in; empty for people.
    imported_id = models.CharField(max_length=200, blank=True)
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="one_membership_per_person_and_project"),
            models.UniqueConstraint(
                fields=["project", "imported_id"],
                condition=~Q(imported_id=""),
                name="one_membership_per_imported_rater",
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_is_known"),
            models.CheckConstraint(
                condition=Q(cohort__isnull=True) | Q(cohort__in=Cohort.values), name="membership_cohort_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(role=Role.RATER) | Q(cohort__isnull=False), name="a_rater_has_a_cohort"
            ),
            models.CheckConstraint(
                condition=Q(daily_cap__isnull=True) | Q(daily_cap__gte=1), name="daily_cap_is_at_least_one"
            ),
            models.CheckConstraint(
                condition=Q(cost_per_label__isnull=True) | Q(cost_per_label__gte=0), name="cost_is_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}"


class Invite(models.Model):
    """A limited, revocable way into a project; the link carries its signed uuid."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="invites")
    role = models.CharField(max_length=10, choices=Role)
    cohort = models.CharField(max_length=12, choices=Cohort, null=True, blank=True)
    uses_left = models.PositiveIntegerField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invite_role_is_known"),
            models.CheckConstraint(
                condition=Q(cohort__isnull=True) | Q(cohort__in=Cohort.values), name="invite_cohort_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(role=Role.RATER) | Q(cohort__isnull=False), name="an_invited_rater_has_a_cohort"
            ),
            models.CheckConstraint(condition=Q(uses_left__gte=0), name="invite_uses_are_not_negative"),
        ]
