"""Where the marks of a comparison's drawings stand. The templates draw them as SVG beside the same numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..charts import lowest, quarters
from ..offline.drawing import TONES, Axis
from ..offline.numbers import number
from ..queries.gains import Compared
from ..statistics.estimate import Estimate
from .gain_words import PERCENT

POINTS_WIDTH, CHANGE_WIDTH = 360, 190
HISTORY_WIDTH, HISTORY_HEIGHT, LEFT, TOP, BOTTOM = 560, 236, 40, 22, 36


@dataclass(frozen=True)
class Dot:
    """A point with its whisker on a horizontal axis."""

    x: float
    low: float | None
    high: float | None


def points_axis(rows: Iterable[Compared]) -> Axis:
    """From 0, or lower where a coefficient is, to 1."""
    both = [estimate for row in rows for estimate in (row.before, row.after)]
    bare = Axis(lowest((e.value for e in both), (e.low for e in both)), 1.0, (), POINTS_WIDTH)
    ticks = tuple((bare.x(value), number(value)) for value in quarters(bare.low))
    return Axis(bare.low, 1.0, ticks, POINTS_WIDTH)


def change_axis(rows: Iterable[Compared]) -> Axis:
    """Around 0, as wide as the intervals need, in quarters (tenths where the changes are small)."""
    values = [v for row in rows for v in (row.change.value, row.change.low, row.change.high) if v is not None]
    furthest = max((abs(v) for v in values), default=0.25)
    step = 0.1 if furthest <= 0.3 else 0.25 if furthest <= 1 else 0.5
    low = min(0.0, math.floor(min(values, default=0.0) / step) * step)
    high = max(step, math.ceil(max(values, default=step) / step) * step)
    low, high = max(low, -2.0), min(high, 2.0)
    bare = Axis(low, high, (), CHANGE_WIDTH)
    steps = round((high - low) / step)
    every = max(1, math.ceil(steps / 4))
    ticks = []
    for i in range(steps + 1):
        value = round(low + i * step, 10)
        if round(value / step) % every == 0:
            text = "0" if value == 0 else f"{'+' if value > 0 else ''}{number(value, 1 if step in (0.1, 0.5) else 2)}"
            ticks.append((bare.x(value), text))
    return Axis(low, high, tuple(ticks), CHANGE_WIDTH)


def dot(axis: Axis, estimate: Estimate) -> Dot | None:
    if estimate.value is None:
        return None
    if estimate.low is None or estimate.high is None:
        return Dot(axis.x(estimate.value), None, None)
    return Dot(axis.x(estimate.value), axis.x(estimate.low), axis.x(estimate.high))


def is_percent(coefficient: str) -> bool:
    return coefficient in PERCENT


def flip_bars(cohorts: Mapping[str, Any], first: str, second: str) -> list[dict[str, Any]]:
    """Of each cohort how many answers went from the first label to the second, and back, as bars around a middle line."""
    rows = []
    for cohort, told in cohorts.items():
        there = sum(n for old, new, n in told["directions"] if (old, new) == (first, second))
        back = sum(n for old, new, n in told["directions"] if (old, new) == (second, first))
        rows.append({"cohort": cohort, "there": there, "back": back, "same": told["n"] - told["changed"]})
    most = max((max(row["there"], row["back"]) for row in rows), default=0) or 1
    for row in rows:
        row["left"], row["right"] = round(96 * row["back"] / most, 1), round(96 * row["there"] / most, 1)
        row["left_x"] = round(111 - row["left"], 1)
        row["tone"] = TONES.get(row["cohort"], "all")
    return rows


def history_chart(history: Sequence[Mapping[str, Any]], target: float | None) -> dict[str, Any]:
    """Agreement over versions: for each series its points with whiskers, and the lines between those of all raters."""
    names = list(dict.fromkeys(name for point in history for name in point["figures"]))
    told_all = [told for point in history for told in point["figures"].values()]
    low = lowest((told["value"] for told in told_all), (told["low"] for told in told_all))
    height = HISTORY_HEIGHT - TOP - BOTTOM

    def y(value: float) -> float:
        return round(TOP + height * (1 - (min(max(value, low), 1.0) - low) / (1 - low)), 1)

    room = (HISTORY_WIDTH - LEFT - 6) / max(1, len(history))
    gap = min(18.0, room / (len(names) + 1))
    series, lines = [], []
    for index, name in enumerate(names):
        marks: list[dict[str, str | float | None] | None] = []
        for place, point in enumerate(history):
            told = point["figures"].get(name)
            if told is None or told["value"] is None:
                marks.append(None)
                continue
            x = round(LEFT + room * (place + 0.5) + gap * (index - (len(names) - 1) / 2), 1)
            bounds = told["low"] is not None
            marks.append(
                {
                    "x": x, "y": y(told["value"]), "hollow": not point["complete"],
                    "top": y(told["high"]) if bounds else None, "bottom": y(told["low"]) if bounds else None,
                    "shape": _shape(name, x, y(told["value"])),
                }
            )  # fmt: skip
        series.append({"name": name, "tone": TONES.get(name, "all"), "marks": [mark for mark in marks if mark]})
        if not name:
            there = [(mark, point) for mark, point in zip(marks, history, strict=True) if mark]
            for (one, _), (two, point) in pairwise(there):
                lines.append({"d": f"M{one['x']} {one['y']}L{two['x']} {two['y']}", "dashed": not point["complete"]})
    return {
        "width": HISTORY_WIDTH,
        "height": HISTORY_HEIGHT,
        "left": LEFT,
        "right": HISTORY_WIDTH - 6,
        "grid": [(y(value), number(value)) for value in quarters(low)],
        "target": None if target is None else {"y": y(target), "text": number(target)},
        "series": series,
        "lines": lines,
        "labels": [
            (round(LEFT + room * (place + 0.5), 1), f"v{point['version']}" + ("" if point["complete"] else ", running"))
            for place, point in enumerate(history)
        ],
        "base": HISTORY_HEIGHT - 12,
    }


def _shape(name: str, x: float, y: float) -> str:
    """The path of a cohort's mark; empty for a circle."""
    if name == "expert":
        return f"M{x} {round(y - 5.5, 1)}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"
    if name == "target_user":
        return f"M{x} {round(y - 5.5, 1)}l5.5 9.5h-11z"
    return ""
