"""Handwritten digits: 300 real images of scikit-learn's bundled set, with external gold, waiting to be labeled."""

from __future__ import annotations

import gzip
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from django.utils import timezone
from PIL import Image

from .. import access, dispatch
from ..guidelines.editing import add_example, add_label, save_draft, start_draft
from ..guidelines.fields import LabelFields
from ..guidelines.publishing import publish_version
from ..models import Batch, Gold, GuidelineVersion, Item, Job, Project, User
from ..projects import ProjectForm, create_project
from ..selection import Selection
from ..vocabulary import BatchStatus, Cohort, GoldOrigin, Polarity, VersionStatus
from .files import bring_in_items, run_now
from .people import seat_everyone

NAME = "Handwritten digits"
COUNT, EXAMPLES = 300, 10
WORDS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def seed_digits(users: dict[str, User]) -> Project:
    """The project with its definition and an open batch; nobody has labeled anything."""
    project = Project.objects.filter(name=NAME).first() or create_project(
        by=users["olga"],
        form=ProjectForm(
            name=NAME,
            question="Which digit is this?",
            fields=[{"name": "image", "title": "Digit", "kind": "image", "required": True}],
            overlap={Cohort.GENERALIST: 2, Cohort.EXPERT: 1, Cohort.TARGET_USER: 1},
        ),
    )
    seat_everyone(project, users)
    seat = access.project_for(users["olga"], project.slug)
    _bring_in_digits(seat)
    version = _publish(seat)
    _open(seat, version)
    return project


def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    """(images (n, 8, 8) of 0..16, digits (n,)) of scikit-learn's bundled set."""
    found = find_spec("sklearn")
    file = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz" if found and found.origin else None
    if file is not None and file.is_file():
        # Read from its file: importing scikit-learn takes seconds, and the first start should not.
        with gzip.open(file, "rt") as lines:
            table = np.loadtxt(lines, delimiter=",")
        return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(int)
    from sklearn.datasets import load_digits

    bundle = load_digits()
    return bundle.images, bundle.target


def _png(pixels: Any) -> bytes:
    """An 8 × 8 picture of 0..16, enlarged so that its strokes are easy to see."""
    # A margin: the strokes reach the picture's edge, and a digit cut by its frame reads badly.
    image = Image.fromarray((255 - np.pad(pixels, 2) * 15.9).clip(0, 255).astype("uint8"))
    out = io.BytesIO()
    image.resize((192, 192), Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()


def _bring_in_digits(seat: access.Seat) -> None:
    total = COUNT + EXAMPLES
    if Gold.objects.filter(item__project=seat.project).count() >= total:
        return
    pixels, digits = _load_digits()
    firsts = [int((digits == digit).nonzero()[0][0]) for digit in range(EXAMPLES)]
    others = [index for index in range(len(digits)) if index not in firsts][:COUNT]
    chosen = [(index, "example") for index in firsts] + [(index, "label") for index in others]
    names = {index: f"digit-{index:04d}" for index, _ in chosen}
    if Item.objects.available().filter(project=seat.project).count() < total:
        rows = [
            {
                "external_id": names[index], "payload": {"image": f"{names[index]}.png"},
                "metadata": {"source": "scikit-learn digits", "index": index, "use": use},
            }
            for index, use in chosen
        ]  # fmt: skip
        images = {f"{names[index]}.png": _png(pixels[index]) for index, _ in chosen}
        bring_in_items(seat, "digits", rows, images)
    items = dict(Item.objects.filter(project=seat.project).values_list("external_id", "pk"))
    have = set(Gold.objects.filter(item__project=seat.project).values_list("item_id", flat=True))
    Gold.objects.bulk_create(
        Gold(
            item_id=items[names[index]], value=str(digits[index]), origin=GoldOrigin.EXTERNAL,
            rationale="the data set's own label", by=seat.user, at=timezone.now(),
        )
        for index, _ in chosen
        if items[names[index]] not in have
    )  # fmt: skip


def _publish(seat: access.Seat) -> GuidelineVersion:
    published = GuidelineVersion.objects.filter(project=seat.project, status=VersionStatus.PUBLISHED).first()
    if published is not None:
        return published
    GuidelineVersion.objects.filter(project=seat.project, status=VersionStatus.DRAFT).delete()
    draft = start_draft(by=seat)
    save_draft(
        by=seat,
        version=draft,
        body="Press the key of the digit you see. If two seem possible, press b first, then the likelier one.",
        change_note="",
    )
    examples = {
        item.metadata["index"]: item for item in Item.objects.filter(project=seat.project, metadata__use="example")
    }
    in_order = [examples[index] for index in sorted(examples)]
    gold = dict(Gold.objects.filter(item__in=in_order).values_list("value", "item_id"))
    by_digit = {value: next(item for item in in_order if item.pk == pk) for value, pk in gold.items()}
    for digit, word in enumerate(WORDS):
        label = add_label(
            by=seat, version=draft,
            fields=LabelFields(
                name=word, key=str(digit), hotkey=str(digit), definition=f"The digit {digit}, as most people would read it."
            ),
        )  # fmt: skip
        add_example(by=seat, label=label, polarity=Polarity.POSITIVE, item=by_digit[str(digit)])
        other = str((digit + 1) % 10)
        add_example(by=seat, label=label, polarity=Polarity.NEGATIVE, item=by_digit[other], note=f"this is a {other}")
    return publish_version(by=seat, version=GuidelineVersion.objects.get(pk=draft.pk))


def _open(seat: access.Seat, version: GuidelineVersion) -> None:
    batch = Batch.objects.filter(project=seat.project, name="Digits to read").first() or dispatch.create_batch(
        by=seat,
        name="Digits to read",
        guideline_version=version,
        quotas={Cohort.GENERALIST: 2, Cohort.EXPERT: 1, Cohort.TARGET_USER: 1},
        selection=Selection(metadata={"use": "label"}),
        seed=2,
    )
    if batch.status == BatchStatus.DRAFT:
        dispatch.open_batch(by=seat, batch=batch)
    if batch.status == BatchStatus.OPENING:
        run_now(Job.objects.filter(dedup_key=f"open_batch:{batch.pk}").first())
