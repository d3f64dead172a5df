"""What every statistic returns: a value with its interval, its counts and, where there is none, the reason in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Estimate:
    """One figure, never a bare number.

    Attributes
    ----------
    value : float or None
        The statistic; None exactly when `undefined` is a sentence.
    low, high : float or None
        Bounds of the interval at confidence `level`; None when there is no interval (`notes` say why).
    se : float or None
        The standard error the interval was made from, on the statistic's own scale.
    se_items, se_raters : float or None
        Its two margins: new items with these raters; new raters with these items (rater jackknife).
    level : float
        Confidence of the interval, in (0, 1).
    method : str
        ``items`` (these raters, new items), ``two_way`` (new raters and items), ``anova`` (F-based), ``none``, …
    population : str
        Whom the interval speaks about, in words.
    n_items, n_raters, n_ratings : int
        What the figure rests on.
    excluded : Mapping[str, int]
        What was left out, counted by reason.
    undefined : str or None
        Why there is no value.
    notes : tuple of str
        Warnings a reader needs, in words.

    Examples
    --------
    >>> Estimate.missing("no item has two ratings").as_json()["undefined"]
    'no item has two ratings'
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    se: float | None = None
    se_items: float | None = None
    se_raters: float | None = None
    level: float = 0.95
    method: str = "none"
    population: str = ""
    n_items: int = 0
    n_raters: int = 0
    n_ratings: int = 0
    excluded: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    undefined: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.undefined):
            raise ValueError("an Estimate has either a value or the reason why it has none")
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has both bounds or none")
        for name in ("value", "low", "high", "se", "se_items", "se_raters"):
            number = getattr(self, name)
            if number is None:
                continue
            if not math.isfinite(number):
                raise ValueError(f"{name} is {number}: an undefined statistic carries a reason instead")
            if type(number) is not float:
                object.__setattr__(self, name, float(number))

    @classmethod
    def missing(
        cls,
        reason: str,
        *,
        level: float = 0.95,
        n_items: int = 0,
        n_raters: int = 0,
        n_ratings: int = 0,
        excluded: Mapping[str, int] | None = None,
        notes: Iterable[str] = (),
    ) -> Estimate:
        """An undefined figure: the reason is a sentence for a person, the counts stay."""
        return cls(
            value=None,
            level=level,
            n_items=n_items,
            n_raters=n_raters,
            n_ratings=n_ratings,
            excluded=excluded if excluded is not None else _NOTHING,
            undefined=reason,
            notes=tuple(notes),
        )

    @property
    def defined(self) -> bool:
        return self.value is not None

    def with_notes(self, *notes: str) -> Estimate:
        """The same figure with further warnings (each said once)."""
        return replace(self, notes=self.notes + tuple(n for n in notes if n not in self.notes))

    def as_json(self) -> dict[str, Any]:
        """Plain types only, every key always present."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "se": self.se,
            "se_items": self.se_items,
            "se_raters": self.se_raters,
            "level": self.level,
            "method": self.method,
            "population": self.population,
            "n_items": self.n_items,
            "n_raters": self.n_raters,
            "n_ratings": self.n_ratings,
            "excluded": dict(self.excluded),
            "undefined": self.undefined,
            "notes": list(self.notes),
        }
