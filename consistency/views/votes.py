"""Answers as small marks: one per answer, colour and shape say the cohort, filled or hollow which label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labeling.vocabulary import Cohort

STEP, GAP, HALF = 16, 7, 6
CSS = {Cohort.GENERALIST: "generalist", Cohort.EXPERT: "expert", Cohort.TARGET_USER: "target"}
MOST = 24


@dataclass(frozen=True)
class Mark:
    """One answer: where its middle is, and how it looks (`full`, `hollow` or `cross`)."""

    x: int
    cohort: str
    look: str


@dataclass(frozen=True)
class Marks:
    """The answers to an item, drawn: the marks, the drawing's width, and the same in words."""

    marks: list[Mark]
    width: int
    words: str
    more: int


def filled_label(answers: Sequence[tuple[str, str | None]], labels: Sequence[str]) -> str | None:
    """The label that is drawn filled: the first of two, or the most frequent of many."""
    if len(labels) == 2:
        return labels[0]
    given = Counter(key for _, key in answers if key is not None)
    return min(given, key=lambda key: (-given[key], key)) if given else None


def draw(answers: Sequence[tuple[str, str | None]], labels: Sequence[str], names: Mapping[str, str]) -> Marks:
    """The marks of answers that are sorted by cohort: (cohort, label key; None for not enough information)."""
    filled = filled_label(answers, labels)
    marks: list[Mark] = []
    x, before = HALF, ""
    for cohort, key in answers[:MOST]:
        if marks:
            x += STEP + (GAP if cohort != before else 0)
        before = cohort
        look = "cross" if key is None else "full" if key == filled else "hollow"
        marks.append(Mark(x, CSS.get(Cohort(cohort), "all"), look))
    said: dict[str, list[str]] = {}
    for cohort, key in answers:
        said.setdefault(cohort, []).append("not enough information" if key is None else names.get(key, key))
    words = "; ".join(f"{Cohort(cohort).label}: {', '.join(given)}" for cohort, given in said.items())
    return Marks(marks, x + HALF, words, max(0, len(answers) - MOST))
