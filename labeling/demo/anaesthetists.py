"""Five anaesthetists, 45 patients, one of them asked three times: Dawid & Skene (1979), Table 1. Published facts."""

from __future__ import annotations

from .. import access
from ..importing.label_columns import LabelMapping
from ..models import Batch, Project, User
from ..projects import ProjectForm, create_project
from ..vocabulary import Cohort
from .files import bring_in_items, bring_in_labels
from .people import STAFF, seat_everyone

NAME = "Anaesthetists"
# One row a patient: observer 1 (three sessions), then observers 2 to 5. 1 = fit … 4 = unfit for anaesthesia.
TABLE_1 = (
    "111 1 1 1 1",
    "333 4 3 3 4",
    "112 2 1 2 2",
    "222 3 1 2 1",
    "222 3 2 2 2",
    "222 3 3 2 2",
    "112 2 1 1 1",
    "333 3 4 3 3",
    "222 2 2 2 3",
    "232 2 2 2 3",
    "444 4 4 4 4",
    "222 3 3 4 3",
    "111 1 1 1 1",
    "222 3 2 1 2",
    "121 1 1 1 1",
    "111 2 1 1 1",
    "111 1 1 1 1",
    "111 1 1 1 1",
    "222 2 2 2 1",
    "222 1 3 2 2",
    "222 2 2 2 2",
    "222 2 2 2 1",
    "222 3 2 2 2",
    "221 2 2 2 2",
    "111 1 1 1 1",
    "111 1 1 1 1",
    "232 2 2 2 2",
    "111 1 1 1 1",
    "111 1 1 1 1",
    "112 1 1 2 1",
    "111 1 1 1 1",
    "333 3 2 3 3",
    "111 1 1 1 1",
    "222 2 2 2 2",
    "222 3 2 3 2",
    "433 4 3 4 3",
    "221 2 2 3 2",
    "232 3 2 3 3",
    "333 3 4 3 2",
    "111 1 1 1 1",
    "111 1 1 1 1",
    "121 2 1 1 1",
    "232 2 2 2 2",
    "121 1 1 1 1",
    "222 2 2 2 2",
)


def table_rows() -> list[tuple[int, int, int, str]]:
    """(patient, observer, session, class) of the published table: 315 labels."""
    rows = []
    for patient, line in enumerate(TABLE_1, start=1):
        for observer, classes in enumerate(line.split(), start=1):
            rows += [(patient, observer, session, value) for session, value in enumerate(classes, start=1)]
    return rows


def seed_anaesthetists(users: dict[str, User]) -> Project:
    """The project with the published labels imported; its first column of sessions becomes self-agreement."""
    project = Project.objects.filter(name=NAME).first() or create_project(
        by=users["olga"],
        form=ProjectForm(
            name=NAME,
            question="How fit is this patient for a general anaesthetic?",
            fields=[{"name": "patient", "title": "Patient", "kind": "text", "required": True}],
            overlap={Cohort.EXPERT: 5},
        ),
    )
    seat_everyone(project, {name: users[name] for name in users if name in {row[0] for row in STAFF}}, raters=False)
    seat = access.project_for(users["olga"], project.slug)
    if Batch.objects.filter(project=project, status="closed").exists():
        return project
    bring_in_items(
        seat,
        "anaesthetists",
        (
            {
                "external_id": str(patient),
                "payload": {"patient": f"Patient {patient}: the pre-operative form was not published."},
                "metadata": {"source": "Dawid & Skene 1979, Table 1"},
            }
            for patient in range(1, len(TABLE_1) + 1)
        ),
        {},
    )
    text = "item_id,rater_id,cohort,label,session\n" + "".join(
        f"{patient},observer {observer},expert,{value},{session}\n"
        for patient, observer, session, value in table_rows()
    )
    mapping = LabelMapping(
        item="item_id", rater="rater_id", label="label", cohort="cohort", session="session",
        cohorts={"expert": Cohort.EXPERT}, labels=("1", "2", "3", "4"),
    )  # fmt: skip
    bring_in_labels(seat, "anaesthetists", text, mapping)
    return project
