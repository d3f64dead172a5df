"""The phone-screen project: a vague definition, six simulated raters who each drew the line somewhere else."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from .. import access, dispatch
from ..guidelines.editing import add_example, add_label, save_draft, start_draft
from ..guidelines.fields import LabelFields
from ..guidelines.publishing import publish_version
from ..models import Batch, GuidelineVersion, Item, Job, Project, User
from ..projects import ProjectForm, create_project
from ..selection import Selection
from ..vocabulary import BatchStatus, Cohort, Polarity, VersionStatus
from .files import bring_in_items, run_now
from .people import seat_everyone
from .screens import Screen, draw_screen, make_screens
from .simulate import simulate_raters

NAME = "Phone screen inspection"
BATCH = "First look"
COUNT, LABELED = 120, 60
EXAMPLES = (
    Screen(901, "scratch", 0.62, "Eastfield", "16", "1", "P1", False),
    Screen(902, "none", 0.0, "Norhaven", "16", "2", "P2", False),
    Screen(903, "scratch", 0.45, "Norhaven", "17", "1", "P3", False),
)
BODY = """Look at the picture of the phone screen. Decide whether the screen has a **defect**.

A visible scratch is a defect. The bar at the lower left is 0.1 mm long.
"""


def seed_phones(users: dict[str, User]) -> Project:
    """The project with 120 screens, definition v1, and the labels of six simulated raters on 60 of them."""
    olga = users["olga"]
    project = Project.objects.filter(name=NAME, simulated=True).first() or create_project(
        by=olga,
        form=ProjectForm(
            name=NAME,
            question="Is there a defect on this screen?",
            fields=[{"name": "image", "title": "Screen", "kind": "image", "required": True}],
            overlap={Cohort.GENERALIST: 2, Cohort.EXPERT: 2, Cohort.TARGET_USER: 2},
        ),
        simulated=True,
    )
    seat_everyone(project, users, cap=400)
    seat = access.project_for(olga, project.slug)
    _bring_in_screens(seat)
    version = _publish_v1(seat)
    _label_half(seat, version)
    return project


def _bring_in_screens(seat: access.Seat) -> None:
    screens = [*make_screens(COUNT), *EXAMPLES]
    if Item.objects.available().filter(project=seat.project).count() >= len(screens):
        return
    rows = [
        {
            "external_id": screen.external_id,
            "payload": {"image": f"{screen.external_id}.jpg"},
            "metadata": {**screen.metadata(), "use": "example" if screen in EXAMPLES else "inspection"},
        }
        for screen in screens
    ]
    bring_in_items(seat, "phones", rows, {f"{screen.external_id}.jpg": draw_screen(screen) for screen in screens})


def _publish_v1(seat: access.Seat) -> GuidelineVersion:
    published = GuidelineVersion.objects.filter(project=seat.project, status=VersionStatus.PUBLISHED).first()
    if published is not None:
        return published
    GuidelineVersion.objects.filter(project=seat.project, status=VersionStatus.DRAFT).delete()
    draft = start_draft(by=seat)
    save_draft(by=seat, version=draft, body=BODY, change_note="")
    items = {item.external_id: item for item in Item.objects.filter(project=seat.project, metadata__use="example")}
    defect = add_label(
        by=seat, version=draft,
        fields=LabelFields(name="Defect", key="defect", definition="A visible scratch on the screen.", hotkey="1"),
    )  # fmt: skip
    clean = add_label(
        by=seat, version=draft,
        fields=LabelFields(name="No defect", key="no_defect", definition="The screen is clean.", hotkey="0"),
    )  # fmt: skip
    for label, polarity, number, note in (
        (defect, Polarity.POSITIVE, 901, "a long scratch"),
        (defect, Polarity.NEGATIVE, 902, "nothing there"),
        (clean, Polarity.POSITIVE, 902, "nothing there"),
        (clean, Polarity.NEGATIVE, 903, "a scratch"),
    ):
        add_example(by=seat, label=label, polarity=polarity, item=items[f"screen-{number}"], note=note)
    return publish_version(by=seat, version=GuidelineVersion.objects.get(pk=draft.pk))


def _label_half(seat: access.Seat, version: GuidelineVersion) -> None:
    batch = Batch.objects.filter(project=seat.project, name=BATCH).first() or dispatch.create_batch(
        by=seat,
        name=BATCH,
        guideline_version=version,
        quotas={Cohort.GENERALIST: 2, Cohort.EXPERT: 2, Cohort.TARGET_USER: 2},
        selection=Selection(mode="random", size=LABELED, metadata={"use": "inspection"}),
        seed=1,
        lease_minutes=60,
    )
    if batch.status == BatchStatus.DRAFT:
        dispatch.open_batch(by=seat, batch=batch)
    if batch.status == BatchStatus.OPENING:
        run_now(Job.objects.filter(dedup_key=f"open_batch:{batch.pk}").first())
    batch = Batch.objects.select_related("project", "guideline_version").get(pk=batch.pk)
    if batch.status == BatchStatus.OPEN:
        simulate_raters(batch=batch, start=timezone.now() - timedelta(days=3))
        run_now(dispatch.close_batch(by=seat, batch=batch))
