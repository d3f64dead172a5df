"""How the demo's simulated raters decide. Each has a convention of their own where the definition leaves room."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..models import GuidelineVersion, LabelDefinition
from ..submission import Answer
from ..vocabulary import Cohort, Operator, Outcome

POSITIVE = "defect"


@dataclass(frozen=True)
class Rater:
    """A simulated rater: from which length on a mark is a defect for them, when nobody says.

    pits, discolorations: whether such marks count at all. slip: share of answers pressed wrongly.
    borderline: how near their limit (in mm) a mark must be for them to add the borderline mark.
    """

    username: str
    display_name: str
    cohort: str
    limit_mm: float
    pits: bool
    discolorations: bool
    slip: float
    borderline: float
    seconds: float


RATERS: tuple[Rater, ...] = (
    Rater("gene", "Gene Ralston", Cohort.GENERALIST, 0.10, True, True, 0.02, 0.01, 5.0),
    Rater("gina", "Gina Roth", Cohort.GENERALIST, 0.18, True, False, 0.02, 0.02, 6.4),
    Rater("ella", "Ella Engström", Cohort.EXPERT, 0.28, True, False, 0.01, 0.02, 8.1),
    Rater("emil", "Emil Ortega", Cohort.EXPERT, 0.32, True, False, 0.01, 0.02, 7.2),
    Rater("tom", "Tom Tanaka", Cohort.TARGET_USER, 0.46, False, False, 0.03, 0.0, 4.2),
    Rater("tess", "Tess Torres", Cohort.TARGET_USER, 0.38, False, True, 0.03, 0.01, 4.9),
)
# Share of a definition's rule that people follow once it names one limit; the rest stays with their habit.
FOLLOWS_THE_RULE = 0.97
READING_ERROR_MM = 0.012


def _rng(*parts: Any) -> random.Random:
    """A generator of its own per (rater, item, version): the same question gets the same answer in any order."""
    return random.Random(hashlib.sha256("|".join(map(str, parts)).encode()).digest())


def _passes(length: float, operator: str, limit: float) -> bool:
    return {
        Operator.MORE: length > limit,
        Operator.AT_LEAST: length >= limit,
        Operator.LESS: length < limit,
        Operator.AT_MOST: length <= limit,
    }[Operator(operator)]


def _rule(labels: Sequence[LabelDefinition]) -> LabelDefinition | None:
    """The positive label when the definition in force gives it one limit."""
    return next((label for label in labels if label.key == POSITIVE and label.threshold_value is not None), None)


def decide(
    rater: Rater, item: dict[str, Any], external_id: str, version: GuidelineVersion, labels: Sequence[LabelDefinition]
) -> Answer:
    """The rater's answer about a screen with this metadata, under this version.

    Under a vague definition each follows their own limit; under one that names a limit nearly all follow that.
    """
    rng = _rng(rater.username, external_id, version.number)
    keys = [label.key for label in labels]
    negative = next(key for key in keys if key != POSITIVE)
    seconds = round(rater.seconds * math.exp(rng.gauss(0, 0.35)), 1)
    if float(item.get("sharpness", 1)) < 0.3 and rng.random() < 0.8:
        return Answer(
            outcome=Outcome.CANNOT_LABEL, reason="The picture is out of focus.", seconds=seconds * 1.4, comment=""
        )
    mark, length = str(item.get("mark", "scratch")), float(item.get("scratch_mm", 0))
    read = length + rng.gauss(0, READING_ERROR_MM)
    rule = _rule(labels)
    if rule is not None and rng.random() < FOLLOWS_THE_RULE:
        assert rule.threshold_value is not None
        limit = float(rule.threshold_value)
        counts = mark in ("scratch", "pit")
        defect = counts and _passes(read, rule.threshold_operator, limit)
    else:
        limit = rater.limit_mm
        counts = (
            mark == "scratch" or (mark == "pit" and rater.pits) or (mark == "discoloration" and rater.discolorations)
        )
        defect = counts and read > limit
    near = counts and abs(read - limit) < rater.borderline
    if rng.random() < rater.slip:
        defect = not defect
    comment = ""
    if mark == "discoloration" and rng.random() < 0.25:
        comment = "Not a scratch, but the colour is off."
    elif near and rng.random() < 0.3:
        comment = "Hard to say where a defect starts."
    return Answer(value=POSITIVE if defect else negative, borderline=near, seconds=seconds, comment=comment)


def rater_named(username: str) -> Rater | None:
    return next((rater for rater in RATERS if rater.username == username), None)
