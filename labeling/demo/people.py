"""The demo's people. Their password is printed by `make run`; it opens nothing but a demo on this machine."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password
from django.db import transaction

from ..models import Membership, Project, User
from ..vocabulary import Cohort, Role
from .conventions import RATERS

PASSWORD = "concord-demo"
STAFF: tuple[tuple[str, str, str, str], ...] = (
    ("olga", "Olga Novak", Role.OWNER, "owner: sets up projects, opens batches, watches progress"),
    ("sam", "Sam Okafor", Role.SME, "SME: answers questions, writes definitions"),
    ("mel", "Mel Lindqvist", Role.ENGINEER, "ML engineer: imports and exports"),
)
COHORT_WORDS = {Cohort.GENERALIST: "generalist", Cohort.EXPERT: "expert", Cohort.TARGET_USER: "target user"}


def seed_people() -> dict[str, User]:
    """The demo's users by name, made where they are not there yet."""
    wanted = [(name, display, name == "olga") for name, display, _, _ in STAFF]
    wanted += [(rater.username, rater.display_name, False) for rater in RATERS]
    users = {}
    # Hashed once for all: nine slow hashes would be most of the seed's time.
    encoded = make_password(PASSWORD)
    for name, display, staff in wanted:
        user = User.objects.filter(username=name).first()
        if user is None:
            user = User(username=name, display_name=display, simulated=True, is_staff=staff)
            user.password = encoded
            user.save()
        users[name] = user
    return users


@transaction.atomic
def seat_everyone(project: Project, users: dict[str, User], cap: int | None = None, *, raters: bool = True) -> None:
    """Give the demo's people their role and cohort in a project; only the staff without `raters`."""
    for name, _, role, _ in STAFF:
        Membership.objects.get_or_create(project=project, user=users[name], defaults={"role": role})
    for rater in RATERS if raters else ():
        Membership.objects.get_or_create(
            project=project,
            user=users[rater.username],
            defaults={
                "role": Role.RATER, "cohort": rater.cohort, "daily_cap": cap,
                "cost_per_label": "0.30" if rater.cohort == Cohort.EXPERT else "0.12",
            },
        )  # fmt: skip


def accounts() -> list[tuple[str, str, str]]:
    """(username, password, what they do) for printing."""
    rows = [(name, PASSWORD, words) for name, _, _, words in STAFF]
    rows += [(rater.username, PASSWORD, f"rater, {COHORT_WORDS[Cohort(rater.cohort)]}") for rater in RATERS]
    return rows
