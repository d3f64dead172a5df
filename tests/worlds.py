"""Small worlds for stories: a project, its people, a published definition, items, an open batch.

The cast: olga owner, gene and gina generalists, ella expert, tom target user, sam SME, mel ML engineer,
otto outsider (member of nothing here, owner of a project of his own).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from labeling import access, dispatch
from labeling.claiming import acknowledge_version, claim_next
from labeling.events import event, record
from labeling.hashing import sha256_json
from labeling.models import Batch, GuidelineVersion, Item, LabelDefinition, Membership, Project, User
from labeling.queries.guideline_content import content_sha256
from labeling.selection import Selection
from labeling.submission import Answer, skip_place, submit_annotation
from labeling.vocabulary import Cohort, Role, VersionStatus

PASSWORD = "correct horse battery"
CAST: dict[str, tuple[str, str, str | None]] = {
    "olga": ("Olga Owner", Role.OWNER, None),
    "gene": ("Gene Ralston", Role.RATER, Cohort.GENERALIST),
    "gina": ("Gina Roth", Role.RATER, Cohort.GENERALIST),
    "ella": ("Ella Expert", Role.RATER, Cohort.EXPERT),
    "tom": ("Tom Target", Role.RATER, Cohort.TARGET_USER),
    "sam": ("Sam Ode", Role.SME, None),
    "mel": ("Mel Lane", Role.ENGINEER, None),
}
LABELS = (("defect", "Defect", "1"), ("no_defect", "No defect", "0"))


def make_user(name: str, display: str = "", **extra: Any) -> User:
    user = User(username=name, display_name=display or name.title(), **extra)
    user.set_password(PASSWORD)
    user.save()
    return user


def publish_plainly(project: Project, number: int = 1, labels: Any = LABELS) -> GuidelineVersion:
    """A published version without going through the editor: for stories that start later."""
    version = GuidelineVersion.objects.create(project=project, number=number, body="Look at the screen.")
    for ordinal, (key, name, hotkey) in enumerate(labels):
        LabelDefinition.objects.create(
            version=version, key=key, name=name, hotkey=hotkey, ordinal=ordinal, definition=f"What {name} means.",
            colour_token=f"label-{ordinal + 1}",
        )  # fmt: skip
    now = timezone.now()
    GuidelineVersion.objects.filter(pk=version.pk).update(
        status=VersionStatus.PUBLISHED, published_at=now, body_sha256=content_sha256(version)
    )
    record(event("published", version, by=None, at=now, project=project))
    version.refresh_from_db()
    return version


@dataclass
class World:
    """A project and what is in it. `people` by name, `seats` by name (their seat in the project)."""

    project: Project
    people: dict[str, User]
    version: GuidelineVersion
    items: list[Item] = field(default_factory=list)

    @classmethod
    def build(cls, *, slug: str = "phones", items: int = 5, with_otto: bool = True) -> World:
        project = Project.objects.create(
            slug=slug, name="Phone screens", task_type="single_choice", question="Is there a defect on this screen?",
            payload_schema={"fields": [{"name": "text", "kind": "text", "title": "Note"}]},
        )  # fmt: skip
        people = {}
        for name, (display, role, cohort) in CAST.items():
            people[name] = User.objects.filter(username=name).first() or make_user(name, display)
            Membership.objects.create(project=project, user=people[name], role=role, cohort=cohort)
        world = cls(project, people, publish_plainly(project))
        world.add_items(items)
        if with_otto:
            world.people["otto"] = make_user("otto", "Otto Other")
            other = Project.objects.create(
                slug=f"{slug}-otto", name="Otto's own", task_type="single_choice", question="Which?"
            )
            Membership.objects.create(project=other, user=world.people["otto"], role=Role.OWNER)
        return world

    def add_items(self, count: int, **metadata: Any) -> list[Item]:
        start = len(self.items)
        new = []
        for number in range(start + 1, start + count + 1):
            payload = {"text": f"Note number {number}: a mark near the camera."}
            new.append(
                Item(
                    project=self.project, external_id=f"n{number}", payload=payload, payload_sha256=sha256_json(payload),
                    metadata={"camera": str(number % 3), **metadata},
                )
            )  # fmt: skip
        Item.objects.bulk_create(new)
        self.items += list(
            Item.objects.filter(project=self.project, external_id__in=[item.external_id for item in new])
        )
        return self.items[start:]

    def seat(self, name: str) -> access.Seat:
        return access.project_for(self.people[name], self.project.slug)

    def member(self, name: str) -> Membership:
        return Membership.objects.select_related("user", "project").get(project=self.project, user=self.people[name])

    def open_batch(
        self, name: str = "First look", *, quotas: dict[str, Any] | None = None, read: bool = True, **extra: Any
    ) -> Batch:
        """An open batch over all items, in listed order; everyone with a cohort has read the version unless told otherwise."""
        batch = dispatch.create_batch(
            by=self.seat("olga"), name=name, guideline_version=extra.pop("version", self.version),
            quotas=quotas or {"generalist": 2}, selection=extra.pop("selection", Selection(order="as_listed")), seed=7, **extra,
        )  # fmt: skip
        dispatch.open_batch(by=self.seat("olga"), batch=batch)
        run_jobs()
        batch = Batch.objects.select_related("project", "guideline_version").get(pk=batch.pk)
        if read:
            for person in ("gene", "gina", "ella", "tom"):
                acknowledge_version(by=self.people[person], batch=batch)
        return batch

    def say(self, batch: Batch, who: str, answers: dict[str, Any], *, at: Any = None) -> int:
        """`who` labels until the queue is empty; answers by external id: a label, or None for not enough information.

        An Answer is taken as it is. What is not named is skipped. Returns how many answers were recorded.
        """
        count = 0
        while (hand := claim_next(by=self.people[who], batch=batch, slots=1, at=at)).places:
            place = hand.places[0]
            external_id = place.batch_item.item.external_id
            if external_id not in answers:
                skip_place(by=self.people[who], batch=batch, assignment=place.uuid, token=place.claim_token, at=at)
                continue
            said = answers[external_id]
            if not isinstance(said, Answer):
                said = Answer(value=said) if said is not None else Answer(outcome="cannot_label", reason="Too dark.")
            submit_annotation(
                by=self.people[who], batch=batch, assignment=place.uuid, token=place.claim_token, answer=said,
                idempotency_key=uuid.uuid4().hex, at=at,
            )  # fmt: skip
            count += 1
        return count


def run_jobs() -> int:
    """Run every due job now. Inline jobs run on commit, which a test's own transaction never reaches."""
    from labeling import jobs

    count = 0
    while (job := jobs.take()) is not None:
        done = jobs.run(job, heartbeat=False)
        assert done.status != "failed", done.error
        count += 1
    return count
