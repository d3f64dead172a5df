"""Rights by role, and fetching with permission: a stranger gets 404, an insider without the right 403."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet

from .models import Batch, Membership, Project, User
from .refusals import NotAllowed, NotSeen, Refusal
from .vocabulary import Role

# right → roles that hold it. `label` is held by whoever has a cohort, whatever the role.
RIGHTS: dict[str, frozenset[str]] = {
    "view": frozenset({Role.OWNER, Role.SME, Role.ENGINEER, Role.RATER}),
    "see_setup": frozenset({Role.OWNER, Role.SME, Role.ENGINEER}),
    "see_items": frozenset({Role.OWNER, Role.SME, Role.ENGINEER}),
    "see_progress": frozenset({Role.OWNER, Role.SME, Role.ENGINEER}),
    "see_figures": frozenset({Role.OWNER, Role.SME, Role.ENGINEER}),
    "identify_raters": frozenset({Role.OWNER}),
    "manage": frozenset({Role.OWNER}),
    "manage_members": frozenset({Role.OWNER}),
    "import": frozenset({Role.OWNER, Role.ENGINEER}),
    "export": frozenset({Role.OWNER, Role.ENGINEER}),
    "define": frozenset({Role.OWNER, Role.SME}),
    "dispatch": frozenset({Role.OWNER}),
    "answer_questions": frozenset({Role.SME, Role.OWNER}),
    "adjudicate": frozenset({Role.SME, Role.OWNER}),
    "label": frozenset(),
}

# Rights that change a project. While it is set aside nobody uses them; the others read, and stay.
CHANGING = frozenset(
    {"manage", "manage_members", "import", "define", "dispatch", "answer_questions", "adjudicate", "label"}
)

SENTENCES = {
    "manage": "Only the project's owner may change this.",
    "manage_members": "Only the project's owner may change members.",
    "import": "Importing is for the project's owner and ML engineers.",
    "export": "Exporting is for the project's owner and ML engineers.",
    "define": "Definitions are written by the project's owner and SMEs.",
    "dispatch": "Batches are opened by the project's owner.",
    "answer_questions": "Questions are answered by SMEs.",
    "label": "To label here you need a cohort; the project's owner can give you one.",
}


@dataclass(frozen=True)
class Seat:
    """A person in a project: what views and acts need to know of them."""

    project: Project
    membership: Membership

    @property
    def user(self) -> User:
        return self.membership.user

    def may(self, right: str) -> bool:
        """Whether the person can use the right now: what decides which controls a page offers."""
        return can_use(self.membership, right)

    def holds(self, right: str) -> bool:
        """Whether the right is part of the person's role: what decides which pages they find."""
        return has_right(self.membership, right)


def has_right(membership: Membership, right: str) -> bool:
    """Whether the member holds the right now. Raises KeyError on an unknown right."""
    if not membership.active:
        return False
    if right == "label":
        return membership.cohort is not None
    return membership.role in RIGHTS[right]


def can_use(membership: Membership, right: str) -> bool:
    """Whether the member holds the right and the project takes such acts now."""
    return has_right(membership, right) and not (right in CHANGING and membership.project.archived_at is not None)


def require(membership: Membership, right: str) -> None:
    """What every act asks first: the member holds the right, and the project takes changes.

    Raises NotAllowed, or `archived` when the project is set aside and the right would change it.
    """
    hold_right(membership, right)
    if right in CHANGING:
        refuse_archived(membership.project)


def refuse_archived(project: Project) -> None:
    """Raise `archived` when the project is set aside: nothing is written to it until its owner brings it back."""
    if project.archived_at is not None:
        raise Refusal("archived", "This project is set aside: nothing in it changes until its owner brings it back.")


def hold_right(membership: Membership, right: str) -> None:
    """Raise NotAllowed unless the right is part of the member's role, also in a project set aside."""
    if not has_right(membership, right):
        raise NotAllowed("no_right", SENTENCES.get(right, "This is not part of your role in the project."), right=right)


def _seat(user: Any, membership: Membership | None, right: str) -> Seat:
    if membership is None or not membership.active:
        raise NotSeen("not_found", "There is no such page for you.")
    # Pages of a project set aside stay readable, so only the right is asked here; its acts ask `require`.
    hold_right(membership, right)
    return Seat(project=membership.project, membership=membership)


def project_for(user: Any, slug: str, right: str = "view") -> Seat:
    """The project and the person's seat in it.

    Raises NotSeen for strangers, former members and unknown slugs alike, NotAllowed for members without the right.
    """
    membership = (
        Membership.objects.select_related("project", "user").filter(user_id=user.pk, project__slug=slug).first()
        if user.is_authenticated
        else None
    )
    return _seat(user, membership, right)


def seat_in(user: Any, project_id: int, right: str = "view") -> Seat:
    """As `project_for`, by the project's id: for rows that were reached by their own uuid."""
    membership = (
        Membership.objects.select_related("project", "user").filter(user_id=user.pk, project_id=project_id).first()
        if user.is_authenticated
        else None
    )
    return _seat(user, membership, right)


def row_for(
    user: Any, rows: QuerySet[Any], uuid: UUID | str, right: str, *, project: str = "project"
) -> tuple[Any, Seat]:
    """A row by uuid with the person's seat in its project; `project` is the lookup path from the row to it.

    >>> row_for(user, Batch.objects.all(), uuid, "see_progress")  # doctest: +SKIP
    """
    row: Model | None = rows.select_related(project).filter(uuid=uuid).first() if user.is_authenticated else None
    if row is None:
        raise NotSeen("not_found", "There is no such page for you.")
    owner: Any = row
    for step in project.split("__"):
        owner = getattr(owner, step)
    return row, seat_in(user, owner.pk, right)


def batch_for(user: Any, uuid: UUID | str, right: str = "see_progress") -> tuple[Batch, Seat]:
    """A batch, with its guideline version and project, and the person's seat."""
    return row_for(user, Batch.objects.select_related("guideline_version"), uuid, right)
