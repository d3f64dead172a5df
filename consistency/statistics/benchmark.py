"""Words for a coefficient that take its uncertainty into account (Gwet 2014, chapter 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .estimate import Estimate
from .intervals import TOO_FEW

SCALES: dict[str, tuple[tuple[float, str], ...]] = {
    "landis_koch": (
        (0.8, "almost perfect"),
        (0.6, "substantial"),
        (0.4, "moderate"),
        (0.2, "fair"),
        (0.0, "slight"),
        (-1.0, "poor"),
    ),
    "altman": ((0.8, "very good"), (0.6, "good"), (0.4, "moderate"), (0.2, "fair"), (-1.0, "poor")),
    "fleiss": ((0.75, "excellent"), (0.4, "intermediate to good"), (-1.0, "poor")),
}


@dataclass(frozen=True, slots=True)
class Benchmark:
    """How sure one can be that the coefficient deserves at least each word.

    Attributes
    ----------
    cumulative : tuple of (word, lower bound, probability of at least that bound), best word first
    word : str or None
        The best word whose cumulative probability reaches 95 %; None where it is too early to say.
    reason : str or None
        Why there is no word.
    """

    cumulative: tuple[tuple[str, float, float], ...]
    word: str | None
    reason: str | None = None


def benchmark(estimate: Estimate, *, scale: str = "landis_koch", certainty: float = 0.95) -> Benchmark:
    """Gwet's benchmark: membership probabilities of each range from a normal approximation, added from the top.

    With few raters the estimate's own interval (Student's t, atanh scale) reaches further down than a normal one of
    its standard error; a probability is never above the one that interval gives, so that no word stands above what
    is printed beside it.

    Raises
    ------
    ValueError
        Unknown scale.

    Examples
    --------
    >>> e = Estimate(0.77544, se=0.14295, method="items")
    >>> b = benchmark(e, scale="altman")
    >>> b.word, [round(p, 2) for _, _, p in b.cumulative[:3]]
    ('moderate', [0.4, 0.88, 1.0])
    """
    if scale not in SCALES:
        raise ValueError(f"unknown benchmark scale {scale!r}: use one of {', '.join(SCALES)}")
    if estimate.value is None:
        return Benchmark((), None, estimate.undefined)
    if estimate.se is None or estimate.se <= 0:
        return Benchmark((), None, "there is no standard error to judge it with")
    from scipy.special import ndtr

    value, se = estimate.value, estimate.se
    whole = float(ndtr((value + 1) / se) - ndtr((value - 1) / se))
    if whole <= 0:
        return Benchmark((), None, "the value lies outside -1 to 1")
    # P(coefficient ≥ bound), within -1..1: the ranges' probabilities added from the best one down
    rows = tuple(
        (
            word,
            bound,
            min(float(ndtr((value - bound) / se) - ndtr((value - 1) / se)) / whole, _by_interval(estimate, bound)),
        )
        for bound, word in SCALES[scale]
    )
    if TOO_FEW in estimate.notes:
        return Benchmark(rows, None, TOO_FEW)
    return Benchmark(rows, next(word for word, _, p in rows if p >= certainty - 1e-12))


def _by_interval(estimate: Estimate, bound: float) -> float:
    """Probability of at least `bound` under the distribution the interval was made from; 1 where it is not known."""
    from scipy.special import ndtri, stdtr, stdtridf

    value, low, se = estimate.value, estimate.low, estimate.se
    if value is None or low is None or se is None or not -1 < low < value < 1 or bound <= -1:
        return 1.0
    scaled = se / (1 - value**2)
    quantile = (math.atanh(value) - math.atanh(low)) / scaled
    sure = (1 + estimate.level) / 2
    away = (math.atanh(value) - math.atanh(bound)) / scaled
    if quantile <= float(ndtri(sure)) + 1e-6:
        return 1.0
    return float(stdtr(float(stdtridf(sure, quantile)), away))
