"""The same slices ranked twice: where model work pays, and where to check label consistency first.

The two questions have different answers (a slice at 90 % accuracy and 90 % HLP has nothing to gain from the model
team and is the first to look at for its labels), so both rankings are always given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .estimate import Estimate

__all__ = ["Priorities", "SliceFigures", "SliceRow", "WorstSlice", "rank_slices", "worst_beside_mean"]

# two gains closer than this are one gain: 0.01 * 0.60 and 0.02 * 0.30 differ in the 17th digit
_TIE = 1e-9


@dataclass(frozen=True)
class SliceFigures:
    """What is known of one slice.

    Attributes
    ----------
    name
        The slice's key.
    share
        Share of all items that lie in it, in [0, 1]. Slices may overlap.
    hlp
        Human-level performance in the slice, in [0, 1], or an Estimate of it; always of one kind over all slices.
    accuracy
        The model's accuracy in [0, 1] against the same reference; None where there is no model.
    agreement
        A coefficient of agreement in the slice, if measured.
    n_items
        Items behind the figures, if known.
    """

    name: str
    share: float
    hlp: Estimate | float | None
    accuracy: Estimate | float | None = None
    agreement: Estimate | float | None = None
    n_items: int | None = None


@dataclass(frozen=True)
class SliceRow:
    """One slice with its place in both rankings (equal figures share a place; None: could not be ranked).

    `gap` is HLP - accuracy; `possible_gain` is gap x share: what the whole would gain if the model reached people
    here. A negative gap means the model is already above HLP. Both are None where a part is missing.
    """

    figures: SliceFigures
    accuracy: float | None
    hlp: float | None
    gap: float | None
    possible_gain: float | None
    model_rank: int | None
    consistency_rank: int | None
    undefined: str | None = None


@dataclass(frozen=True)
class Priorities:
    """Both rankings over the same slices.

    Attributes
    ----------
    model_work
        Rows by possible gain, largest first: "what should the model team work on?"
    label_consistency
        Rows by HLP, lowest first (agreement breaks ties): "where check label consistency first?"
    share_total
        Sum of the shares; 1 when the slices divide the data.
    accuracy, hlp, difference
        Share-weighted over the slices, and hlp - accuracy; None unless the slices divide the data and all have both.
    sentences
        The two answers, and what to mind.
    """

    model_work: tuple[SliceRow, ...]
    label_consistency: tuple[SliceRow, ...]
    share_total: float
    accuracy: float | None
    hlp: float | None
    difference: float | None
    sentences: tuple[str, ...]


def _number(figure: Estimate | float | None) -> float | None:
    value = figure.value if isinstance(figure, Estimate) else figure
    return None if value is None or math.isnan(value) else float(value)


def _places(values: Sequence[float | None], *, largest_first: bool) -> list[int | None]:
    """Competition ranks (1, 1, 3), None where there is no value."""
    sign = -1.0 if largest_first else 1.0
    return [
        None if v is None else 1 + sum(1 for w in values if w is not None and sign * w < sign * v - _TIE)
        for v in values
    ]


def rank_slices(slices: Iterable[SliceFigures]) -> Priorities:
    """Rank slices for the model team and for the people who care for the labels.

    Parameters
    ----------
    slices
        Figures as fractions in [0, 1].

    Returns
    -------
    Priorities

    Raises
    ------
    ValueError
        No slice, a name twice, or a number outside [0, 1]; the message names the slice and the figure.

    Examples
    --------
    >>> result = rank_slices([SliceFigures("scratch", .5, .98, .95), SliceFigures("discoloration", .5, .90, .90)])
    >>> result.model_work[0].figures.name, result.label_consistency[0].figures.name
    ('scratch', 'discoloration')
    """
    given = list(slices)
    if not given:
        raise ValueError("no slices to rank")
    seen: set[str] = set()
    for one in given:
        if one.name in seen:
            raise ValueError(f"slice {one.name!r} is given twice")
        seen.add(one.name)
        for what, number in (("share", one.share), ("hlp", _number(one.hlp)), ("accuracy", _number(one.accuracy))):
            if number is not None and not 0 <= number <= 1:
                raise ValueError(f"slice {one.name!r}: {what} must lie between 0 and 1, not {number!r}")

    accuracy = [_number(one.accuracy) for one in given]
    hlp = [_number(one.hlp) for one in given]
    gap = [None if h is None or a is None else h - a for h, a in zip(hlp, accuracy, strict=True)]
    gain = [None if g is None else g * one.share for g, one in zip(gap, given, strict=True)]
    agreement = [_number(one.agreement) for one in given]
    # HLP decides; where no slice has one, agreement does
    consistency = hlp if any(h is not None for h in hlp) else agreement
    model_rank = _places(gain, largest_first=True)
    consistency_rank = _places(consistency, largest_first=False)

    rows = [
        SliceRow(
            figures=one,
            accuracy=accuracy[j],
            hlp=hlp[j],
            gap=gap[j],
            possible_gain=gain[j],
            model_rank=model_rank[j],
            consistency_rank=consistency_rank[j],
            undefined=_why_not(one, accuracy[j], hlp[j]),
        )
        for j, one in enumerate(given)
    ]
    later = len(rows) + 1
    by_gain = sorted(rows, key=lambda row: (row.model_rank or later, -row.figures.share, row.figures.name))
    by_consistency = sorted(
        rows,
        key=lambda row: (
            row.consistency_rank or later,
            a if (a := _number(row.figures.agreement)) is not None else math.inf,
            -row.figures.share,
            row.figures.name,
        ),
    )
    total = math.fsum(one.share for one in given)
    divides = abs(total - 1) < 1e-6
    overall: tuple[float | None, float | None, float | None] = (None, None, None)
    if divides and all(g is not None for g in gain):
        mean_accuracy = math.fsum(a * one.share for a, one in zip(accuracy, given, strict=True) if a is not None)
        mean_hlp = math.fsum(h * one.share for h, one in zip(hlp, given, strict=True) if h is not None)
        overall = (mean_accuracy, mean_hlp, mean_hlp - mean_accuracy)
    return Priorities(
        model_work=tuple(by_gain),
        label_consistency=tuple(by_consistency),
        share_total=total,
        accuracy=overall[0],
        hlp=overall[1],
        difference=overall[2],
        sentences=_sentences(by_gain, by_consistency, total, divides),
    )


def _why_not(figures: SliceFigures, accuracy: float | None, hlp: float | None) -> str | None:
    if hlp is None:
        reason = figures.hlp.undefined if isinstance(figures.hlp, Estimate) else None
        return reason or "no human-level performance was measured in this slice"
    if accuracy is None:
        reason = figures.accuracy.undefined if isinstance(figures.accuracy, Estimate) else None
        return reason or "no model accuracy is known for this slice"
    return None


def _sentences(
    by_gain: Sequence[SliceRow], by_consistency: Sequence[SliceRow], total: float, divides: bool
) -> tuple[str, ...]:
    said: list[str] = []
    best = [row for row in by_gain if row.model_rank == 1]
    if best and best[0].possible_gain is not None and best[0].possible_gain > _TIE:
        names = " and ".join(row.figures.name for row in best)
        said.append(
            f"Model work pays most on {names}: up to {100 * best[0].possible_gain:.2f} points overall"
            f"{' each' if len(best) > 1 else ''}."
        )
    elif best:
        said.append("No slice has anything to gain: the model is at or above human-level performance everywhere.")
    else:
        said.append("Model work cannot be ranked: no slice has both an accuracy and a human-level performance.")
    first = next((row for row in by_consistency if row.consistency_rank is not None), None)
    if first is not None:
        figure = first.hlp if first.hlp is not None else _number(first.figures.agreement)
        word = "human-level performance" if first.hlp is not None else "agreement"
        said.append(
            f"Check label consistency on {first.figures.name} first: the lowest {word} ({100 * (figure or 0):.1f} %), "
            "so its instructions may be ambiguous."
        )
    if any(row.gap is not None and row.gap < -_TIE for row in by_gain):
        above = ", ".join(row.figures.name for row in by_gain if row.gap is not None and row.gap < -_TIE)
        said.append(f"Above human-level performance on {above}: read the ceiling before calling it better than people.")
    if not divides:
        said.append(
            f"The slices' shares add to {100 * total:.1f} %, not 100 %: they overlap or leave items out, "
            "so gains must not be summed."
        )
    return tuple(said)


@dataclass(frozen=True)
class WorstSlice:
    """A mean with the slice it may be hiding."""

    mean: float
    worst_name: str
    worst: float
    worst_share: float
    sentence: str


def worst_beside_mean(differences: Iterable[tuple[str, float, float]]) -> WorstSlice:
    """Put the worst slice beside the mean, so that a gain by one form cannot mask a collapse elsewhere.

    Parameters
    ----------
    differences
        Triples (slice, share in [0, 1], model minus HLP as a fraction). The slices divide the data; a share left
        over counts as difference 0.

    Returns
    -------
    WorstSlice

    Examples
    --------
    >>> worst_beside_mean([("dictation", .5, .12), ("noisy", .1, -.60), ("rest", .4, 0.)]).worst_name
    'noisy'
    """
    rows = list(differences)
    if not rows:
        raise ValueError("no slices given")
    for name, share, _ in rows:
        if not 0 <= share <= 1:
            raise ValueError(f"slice {name!r}: share must lie between 0 and 1, not {share!r}")
    total = math.fsum(share for _, share, _ in rows)
    if total > 1 + 1e-6:
        raise ValueError(f"the shares add to {total:.3f}: slices that overlap have no common mean")
    mean = math.fsum(share * difference for _, share, difference in rows)
    name, share, worst = min(rows, key=lambda row: row[2])
    sentence = f"Overall {100 * mean:+.1f} points against HLP; worst slice {name}: {100 * worst:+.1f} points on {100 * share:.0f} % of the items."
    if worst < 0 <= mean + _TIE:
        sentence += " The mean hides it."
    return WorstSlice(mean=mean, worst_name=name, worst=worst, worst_share=share, sentence=sentence)
