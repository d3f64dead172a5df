"""Who is in a project, what they did, and what waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Case, Count, IntegerField, QuerySet, When

from ..models import Assignment, Invite, Membership, Project, Question, User
from ..vocabulary import PlaceStatus, Role


def may_create_projects(user: User) -> bool:
    """Whether the person may found a project: staff, and whoever owns one that is in use."""
    return user.is_active and (
        user.is_staff or Membership.objects.filter(user=user, role=Role.OWNER, active=True).exists()
    )


def count_open_questions(project_ids: Sequence[int]) -> dict[int, int]:
    """{project: questions of its raters that nobody has answered yet}, without those that have none."""
    questions = Question.objects.filter(batch_item__batch__project__in=project_ids, answered_at__isnull=True)
    rows = questions.order_by().values_list("batch_item__batch__project").annotate(count=Count("pk"))
    return dict(rows.values_list("batch_item__batch__project", "count"))


def members_of(project: Project, *, imported: bool = False) -> QuerySet[Membership]:
    """The project's people, active first, then by role and name; or the raters whose labels were imported."""
    rows = Membership.objects.filter(project=project).select_related("user")
    rows = rows.exclude(imported_id="") if imported else rows.filter(imported_id="")
    in_order = Case(
        *(When(role=role, then=place) for place, role in enumerate(Role.values)), output_field=IntegerField()
    )
    return rows.order_by("-active", in_order, "user__display_name", "user__username", "pk")


def count_labels(members: Sequence[Membership]) -> dict[int, int]:
    """{membership id: places answered}, for one page of members; one query."""
    rows = Assignment.objects.filter(member__in=[member.pk for member in members], status=PlaceStatus.SUBMITTED)
    return dict(rows.values_list("member_id").annotate(count=Count("pk")).order_by())


def count_imported(project: Project) -> int:
    return Membership.objects.filter(project=project).exclude(imported_id="").count()


def open_invites(project: Project, at: datetime) -> QuerySet[Invite]:
    """Invites that still let someone in, the newest first."""
    return (
        Invite.objects.filter(project=project, uses_left__gt=0, revoked_at__isnull=True, expires_at__gt=at)
        .select_related("by")
        .order_by("-pk")
    )


def count_active_owners(project: Project, *, without: Membership | None = None) -> int:
    """Owners who can log in and act, leaving one out."""
    rows = Membership.objects.filter(project=project, role=Role.OWNER, active=True, user__is_active=True)
    return rows.exclude(pk=without.pk).count() if without is not None else rows.count()


def opens_more_than(user: User, owner: User) -> bool:
    """Whether the account opens anything that `owner` does not own: another project, or the operator's rights.

    Whoever sets the password of an account can enter everything it opens.
    """
    if user.is_staff or user.is_superuser:
        return True
    owned = Membership.objects.filter(user=owner, role=Role.OWNER, active=True).values("project")
    return Membership.objects.filter(user=user, active=True).exclude(project__in=owned).exists()
