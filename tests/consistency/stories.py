"""Labels given elsewhere, brought in by the commands: items with metadata, raters, gold, and what models said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consistency.measuring import measure_now
from consistency.queries.figures import Figures, figures_of
from labeling import access
from labeling.models import Batch, Membership, Project
from tests.intake.test_commands import command
from tests.worlds import make_user


@dataclass
class Told:
    """One item: its metadata, its gold (or none), who said what."""

    gold: str = ""
    said: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Story:
    """A project of imported labels."""

    project: Project
    batch: Batch

    def seat(self) -> access.Seat:
        member = Membership.objects.select_related("project", "user").get(project=self.project, role="owner")
        return access.Seat(self.project, member)

    def figures(self, **options: Any) -> tuple[Figures, Figures]:
        agreement, hlp = measure_now(self.batch, **options)
        return figures_of(agreement), figures_of(hlp)


def tell(
    folder: Path,
    told: Sequence[Told],
    *,
    slug: str = "story",
    cohort: str = "generalist",
    labels: str = "",
    **extra: Any,
) -> Story:
    """Import the items, then everyone's labels, each rater in `cohort` unless `cohorts` says otherwise by rater."""
    project = Project.objects.create(
        slug=slug, name=slug.title(), task_type="single_choice", question="Which?",
        payload_schema={"fields": [{"name": "text", "kind": "text"}]},
    )  # fmt: skip
    Membership.objects.create(project=project, user=make_user(f"owner-{slug}"), role="owner")
    cohorts: Mapping[str, str] = extra.pop("cohorts", {})
    items = folder / f"{slug}-items.jsonl"
    with items.open("w", encoding="utf-8") as stream:
        for number, one in enumerate(told):
            row = {"item_id": f"i{number}", "payload": {"text": f"Text {number}"}, "metadata": dict(one.metadata)}
            stream.write(json.dumps(row) + "\n")
    status, says = command("import_items", slug, items)
    assert status == 0, says
    file = folder / f"{slug}-labels.jsonl"
    with file.open("w", encoding="utf-8") as stream:
        for number, one in enumerate(told):
            for rater, label in one.said.items():
                row = {"item_id": f"i{number}", "rater_id": rater, "label": label, "cohort": cohorts.get(rater, cohort)}
                stream.write(json.dumps(row | ({"gold": one.gold} if one.gold else {})) + "\n")
    status, says = command("import_labels", slug, file, **({"labels": labels} if labels else {}), **extra)
    assert status == 0, says
    batch = Batch.objects.select_related("project", "guideline_version").get(project=project, parent=None)
    return Story(project, batch)


def predict(folder: Path, story: Story, said: Sequence[str], *, model: str = "net", version: str = "1") -> None:
    """The model's labels, item by item; an empty one is no prediction."""
    file = folder / f"{story.project.slug}-{model}.jsonl"
    rows = [{"item_id": f"i{number}", "value": label} for number, label in enumerate(said) if label]
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    number = story.batch.guideline_version.number
    status, says = command(
        "import_predictions", story.project.slug, file, model=model, version=version, guideline=number
    )
    assert status == 0, says
