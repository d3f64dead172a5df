"""Geometry of the small charts: where marks stand. The templates draw them as SVG; nothing here knows markup."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consistency.statistics.estimate import Estimate

from .numbers import number

WIDTH = 300
PAD = 12
HEIGHT = 32


@dataclass(frozen=True)
class Axis:
    """A horizontal scale from `low` to `high`, drawn `width` units wide."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    """(x, text)"""
    width: int = WIDTH

    def x(self, value: float) -> float:
        """Where `value` stands; values outside stand at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return round(PAD + (self.width - 2 * PAD) * min(max(share, 0.0), 1.0), 1)


@dataclass(frozen=True)
class IntervalMark:
    """One row of an interval dot plot."""

    x: float
    low: float | None
    high: float | None
    grid: tuple[float, ...]
    shape: str
    """circle, diamond or triangle"""
    tone: str
    """The colour token: all, generalist, expert or target."""
    points: str
    """The polygon of a diamond or triangle."""
    constant: float | None
    ceiling: float | None
    model: float | None = None
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def model_left(self) -> float | None:
        """The left edge of the model's square."""
        return None if self.model is None else round(self.model - 4.5, 1)


@dataclass(frozen=True)
class Segment:
    """One part of a stacked bar of votes."""

    x: float
    width: float
    shade: int
    """1 for the most frequent label, 2 for the second, 3 for the rest."""
    text: str
    """The label, when it fits."""
    middle: float


SHAPES = {"generalist": "circle", "expert": "diamond", "target": "triangle"}
TONES = {"generalist": "generalist", "expert": "expert", "target_user": "target", "target": "target"}


def axis_for(
    estimates: Iterable[Estimate],
    marks: Sequence[float | None] = (),
    *,
    as_percent: bool = False,
    width: int = WIDTH,
) -> Axis:
    """The scale that holds every interval: quarters for coefficients (0 to 1 at least), tens for shares.

    Examples
    --------
    >>> axis = axis_for([Estimate(0.5, 0.4, 0.6)])
    >>> axis.low, axis.high, [text for _, text in axis.ticks]
    (0.0, 1.0, ['0.00', '0.25', '0.50', '0.75', '1.00'])
    """
    values = [v for e in estimates for v in (e.value, e.low, e.high) if v is not None]
    values += [mark for mark in marks if mark is not None]
    if as_percent:
        low, high = 0.0, 1.0
        if values and min(values) >= 0.45:
            low = math.floor(min(values) * 10 - 1e-9) / 10
        step = 0.1 if high - low <= 0.6 else 0.25
    else:
        low = min(0.0, math.floor(min(values, default=0.0) * 4 + 1e-9) / 4)
        high = max(1.0, math.ceil(max(values, default=1.0) * 4 - 1e-9) / 4)
        step = 0.25 if high - low <= 1.5 else 0.5
    bare = Axis(low, high, (), width)
    n = round((high - low) / step)
    at = [low + i * step for i in range(n + 1) if low + i * step <= high + 1e-9]
    ticks = tuple((bare.x(v), number(100 * v, 0) if as_percent else number(v)) for v in at)
    return Axis(low, high, ticks, width)


def interval_mark(
    axis: Axis,
    estimate: Estimate,
    *,
    cohort: str = "",
    constant: float | None = None,
    ceiling: float | None = None,
    model: float | None = None,
) -> IntervalMark | None:
    """The mark of one estimate; None when it has no value. `model`: where a model stands, a hollow square."""
    if estimate.value is None:
        return None
    tone = TONES.get(cohort, "all")
    shape = SHAPES.get(tone, "circle")
    x, y = axis.x(estimate.value), HEIGHT / 2
    points = {
        "diamond": f"{x},{y - 6} {x + 6:.1f},{y} {x},{y + 6} {x - 6:.1f},{y}",
        "triangle": f"{x},{y - 6} {x + 6:.1f},{y + 5} {x - 6:.1f},{y + 5}",
    }
    bounds = estimate.low is not None and estimate.high is not None
    return IntervalMark(
        x=x,
        low=axis.x(estimate.low) if bounds and estimate.low is not None else None,
        high=axis.x(estimate.high) if bounds and estimate.high is not None else None,
        grid=tuple(tick for tick, _ in axis.ticks),
        shape=shape,
        tone=tone,
        points=points.get(shape, ""),
        constant=None if constant is None else axis.x(constant),
        ceiling=None if ceiling is None else axis.x(ceiling),
        model=None if model is None else axis.x(model),
        width=axis.width,
    )


def vote_bar(given: Sequence[tuple[str, int]], width: int = 320) -> list[Segment]:
    """A stacked bar: how an item's ratings divide over the labels, most frequent first."""
    total = sum(n for _, n in given)
    segments, x = [], 0.0
    for place, (label, n) in enumerate(given):
        part = width * n / total
        text = f"{n} × {label}"
        # 6.6 units a character is what 12-unit tabular text takes; a label that does not fit stands in the next cell.
        fits = 6.6 * len(text) + 8 <= part
        segments.append(
            Segment(
                round(x, 1), round(max(part - 1, 1), 1), min(place + 1, 3), text if fits else "", round(x + part / 2, 1)
            )
        )
        x += part
    return segments


def heat_step(value: float | None) -> int:
    """1..5: the shade of a coefficient, in steps of .2; 0 for none.

    >>> heat_step(-0.1), heat_step(0.39), heat_step(1.0), heat_step(None)
    (1, 2, 5, 0)
    """
    if value is None or math.isnan(value):
        return 0
    return min(max(int(value / 0.2), 0), 4) + 1
