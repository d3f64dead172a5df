"""Scenes of the loop: a disputed item, a ruling, two versions."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from consistency.models import Adjudication, Disagreement
from consistency.relabeling import Sizes, accept_relabel_offer
from labeling.claiming import acknowledge_version
from labeling.models import Batch, BatchItem, GuidelineVersion, LabelDefinition, LabelMapping, Membership
from labeling.queries.guideline_content import content_sha256
from tests.worlds import LABELS, World, make_user, run_jobs


def a_disagreement(batch_item: BatchItem, **values: Any) -> Disagreement:
    """A dispute about the item, as comparing would find it."""
    now = timezone.now()
    return Disagreement.objects.create(
        batch_item=batch_item, batch=batch_item.batch,
        **{
            "kind": "labels", "distance": 0.5, "entropy": 1.0, "confusion": "defect | no_defect", "complete": True,
            "input_sha256": "0" * 64, "found_at": now, "changed_at": now, **values,
        },
    )  # fmt: skip


def a_ruling(case: Disagreement, *, by: Any, **values: Any) -> Adjudication:
    """A ruling on it, as the bench would write it."""
    return Adjudication.objects.create(
        disagreement=case, by=by, at=timezone.now(),
        **{
            "revision": 1, "value": "no_defect", "cause": "ambiguous_definition", "outcome": "revise",
            "rationale": "Nobody said from which length on a mark counts.", **values,
        },
    )  # fmt: skip


def publish_next(
    world: World, parent: GuidelineVersion, *, labels: Any = LABELS, mappings: Any = ()
) -> GuidelineVersion:
    """The next version, published plainly, with mappings (kind, from, to)."""
    highest = (
        GuidelineVersion.objects.filter(project=world.project).order_by("-number").values_list("number", flat=True)
    )
    version = GuidelineVersion.objects.create(
        project=world.project, number=(highest.first() or 0) + 1, parent=parent, body="Longer than 0.3 mm.",
        change_note="A limit in mm.",
    )  # fmt: skip
    for ordinal, (key, name, hotkey) in enumerate(labels):
        LabelDefinition.objects.create(
            version=version, key=key, name=name, hotkey=hotkey, ordinal=ordinal, definition=f"What {name} means now.",
            colour_token=f"label-{ordinal + 1}",
        )  # fmt: skip
    for kind, from_key, to_key in mappings:
        LabelMapping.objects.create(guideline_version=version, kind=kind, from_key=from_key, to_key=to_key)
    GuidelineVersion.objects.filter(pk=version.pk).update(
        status="published", published_at=timezone.now(), body_sha256=content_sha256(version)
    )
    version.refresh_from_db()
    return version


def read_by_all(world: World, batch: Batch) -> None:
    for name, user in world.people.items():
        if batch.project.memberships.filter(user=user, cohort__isnull=False, active=True).exists() and name != "otto":
            acknowledge_version(by=user, batch=batch)


def relabel(world: World, parent: Batch, version: GuidelineVersion, sizes: Sizes, **extra: Any) -> Batch:
    """The relabel batch, open, its version read by everyone."""
    batch = accept_relabel_offer(by=world.seat("olga"), parent=parent, version=version, sizes=sizes, seed=3, **extra)
    run_jobs()
    batch = Batch.objects.select_related("project", "guideline_version", "parent").get(pk=batch.pk)
    read_by_all(world, batch)
    return batch


def add_raters(world: World, count: int, cohort: str = "generalist") -> list[str]:
    """Further raters of a cohort, by name."""
    names = []
    for number in range(count):
        name = f"{cohort}{number}"
        world.people[name] = make_user(name)
        Membership.objects.create(project=world.project, user=world.people[name], role="rater", cohort=cohort)
        names.append(name)
    return names
