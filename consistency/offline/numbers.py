"""Figures as people read them: one way to print each kind of number, in the terminal and on the page."""

from __future__ import annotations

from consistency.statistics.estimate import Estimate

MINUS = "−"
SPACE = "\u00a0"
"""Between a figure and its sign: a line must not break there."""


def number(value: float | None, places: int = 2) -> str:
    """0.31, with a true minus sign; "–" for nothing.

    >>> number(-0.034), number(-0.0001), number(None)
    ('−0.03', '0.00', '–')
    """
    if value is None:
        return "–"
    text = f"{value:.{places}f}"
    if float(text) == 0:
        text = f"{0:.{places}f}"
    return text.replace("-", MINUS)


def percent(value: float | None, places: int = 1) -> str:
    """66.7 %, with a space that does not break.

    >>> percent(2 / 3).replace(SPACE, " ")
    '66.7 %'
    """
    return "–" if value is None else f"{number(100 * value, places)}{SPACE}%"


def count(value: int) -> str:
    """12,345"""
    return f"{value:,}"


def interval(estimate: Estimate, *, as_percent: bool = False) -> str:
    """[0.08, 0.54], or [8.0, 54.0] for percent; empty where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    if as_percent:
        return f"[{number(100 * estimate.low, 1)}, {number(100 * estimate.high, 1)}]"
    return f"[{number(estimate.low)}, {number(estimate.high)}]"


def level(confidence: float) -> str:
    """95 %"""
    return f"{100 * confidence:g}{SPACE}%"


def plural(n: int, one: str, many: str | None = None) -> str:
    """3 items, 1 item

    >>> plural(1, "item"), plural(1200, "item"), plural(2, "category", "categories")
    ('1 item', '1,200 items', '2 categories')
    """
    return f"{count(n)} {one if n == 1 else many or one + 's'}"
