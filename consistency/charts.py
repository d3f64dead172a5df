"""Geometry of the chart over definition versions: one column a batch, one mark a cohort. No markup here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .offline.drawing import SHAPES, TONES
from .offline.numbers import number
from .statistics.estimate import Estimate

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 236, 40, 6, 22, 36
GAP = 16


@dataclass(frozen=True)
class Mark:
    """One cohort's figure in one column."""

    x: float
    y: float
    low: float | None
    high: float | None
    tone: str
    shape: str
    points: str
    running: bool
    words: str


@dataclass(frozen=True)
class Link:
    """The line from one column's mark to the next column's of the same cohort."""

    x1: float
    y1: float
    x2: float
    y2: float
    tone: str
    running: bool


@dataclass(frozen=True)
class Chart:
    """Everything a template draws."""

    marks: tuple[Mark, ...]
    links: tuple[Link, ...]
    grid: tuple[tuple[float, str], ...]
    columns: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT


def lowest(points: Iterable[float | None], whiskers: Iterable[float | None]) -> float:
    """Where a scale of agreement begins: at 0, or at the quarter below its lowest point.

    Whiskers take it just below 0 and are cut there: with few items they reach −1 and would leave the points, which are
    what is looked for, half of the drawing. The numbers beside it tell the whole interval.

    >>> lowest([0.0, 0.5], [0.0]), lowest([0.43], [-0.6]), lowest([-0.1], [-0.6])
    (0.0, -0.1, -0.25)
    """
    low = math.floor(min((v for v in points if v is not None), default=0.0) * 4 + 1e-9) / 4
    reach = min((v for v in whiskers if v is not None), default=0.0)
    return max(-1.0, min(0.0, low, -0.1 if reach < 0 else 0.0))


def quarters(low: float) -> list[float]:
    """The ticks from there to 1.

    >>> quarters(-0.1)
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    return [k / 4 for k in range(math.ceil(low * 4 - 1e-9), 5)]


def chart_over(
    columns: Sequence[tuple[str, bool, Mapping[str, Estimate]]], *, as_percent: bool = False
) -> Chart | None:
    """Columns (title, still running, {cohort: figure}), the oldest first; None without any value.

    Examples
    --------
    >>> chart = chart_over([("v1", False, {"expert": Estimate(0.5)}), ("v2", True, {"expert": Estimate(0.75)})])
    >>> [(mark.x, mark.y) for mark in chart.marks], len(chart.links)
    ([(168.5, 111.0), (425.5, 66.5)], 1)
    """
    every = [one for _, _, row in columns for one in row.values()]
    if all(e.value is None for e in every):
        return None
    low, high = lowest((e.value for e in every), (e.low for e in every)), 1.0
    bottom = HEIGHT - BOTTOM

    def y(value: float) -> float:
        return round(bottom - (bottom - TOP) * (min(max(value, low), high) - low) / (high - low), 1)

    grid = tuple((y(value), number(100 * value, 0) if as_percent else number(value)) for value in quarters(low))
    step = (WIDTH - LEFT - RIGHT) / len(columns)
    cohorts = list(dict.fromkeys(cohort for _, _, row in columns for cohort in row))
    marks: list[Mark] = []
    links: list[Link] = []
    before: dict[str, Mark] = {}
    titles = []
    for at, (title, running, row) in enumerate(columns):
        middle = LEFT + step * (at + 0.5)
        titles.append((round(middle, 1), title))
        for cohort, one in row.items():
            if one.value is None:
                continue
            x = round(middle + GAP * (cohorts.index(cohort) - (len(cohorts) - 1) / 2), 1)
            mark = _mark(x, y(one.value), one, cohort, running, y)
            if cohort in before:
                last = before[cohort]
                links.append(Link(last.x, last.y, mark.x, mark.y, mark.tone, running))
            before[cohort] = mark
            marks.append(mark)
    return Chart(tuple(marks), tuple(links), grid, tuple(titles))


def _mark(x: float, y: float, one: Estimate, cohort: str, running: bool, scale: Callable[[float], float]) -> Mark:
    tone = TONES.get(cohort, "all")
    shape = SHAPES.get(tone, "circle")
    points = {
        "diamond": f"{x},{y - 6:.1f} {x + 6:.1f},{y} {x},{y + 6:.1f} {x - 6:.1f},{y}",
        "triangle": f"{x},{y - 6:.1f} {x + 6:.1f},{y + 5:.1f} {x - 6:.1f},{y + 5:.1f}",
    }.get(shape, "")
    low, high = (None if bound is None else scale(bound) for bound in (one.low, one.high))
    return Mark(
        x, y, low, high, tone, shape, points, running,
        f"{cohort} {number(one.value)}",
    )  # fmt: skip
