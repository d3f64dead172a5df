"""The readable report of `agreement` for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

import numpy as np

from consistency.statistics.estimate import Estimate

from . import words
from .measuring import Measured
from .numbers import count, interval, level, number, percent, plural

WIDTH = 96
MOST_ROWS = 20
NAMED = 6
"""Figures named when several have no value for the same reason."""


def agreement_report(m: Measured, *, with_pairs: bool = False) -> str:
    """The whole report as text: what was measured, the headline, what to look at, what not to trust, the tables."""
    file = m.loaded.file
    out = [f"Agreement · {file.source}", words.measured_line(m), "", _wrapped(words.headline(m)), ""]
    out += ["LOOK AT FIRST"]
    for number_, point in enumerate(words.look_first(m), start=1):
        out += [_wrapped(f"{number_}. {point.what} {point.why}", indent="   ")]
    caution = words.beware(m) + list(file.notes)
    if caution:
        out += ["", "WHAT NOT TO TRUST", *(_wrapped(f"-  {text}", indent="   ") for text in caution)]
    out += ["", *_coefficients(m), "", *_labels(m), "", *_hlp(m)]
    for part in (_cohorts(m), _self(m), _worst(m), _pairs(m) if with_pairs else []):
        if part:
            out += ["", *part]
    out += ["", "LEFT OUT"]
    out += [f"  {what:<24}{count(n):>10}   {why}" for what, n, why in words.left_out(m)]
    return "\n".join(out) + "\n"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _row(name: str, estimate: Estimate, *, as_percent: bool, extra: Sequence[str] = ()) -> str:
    if estimate.value is None:
        return _wrapped(f"  {_short(name):<36}{estimate.undefined}", indent=" " * 38)
    value = percent(estimate.value) if as_percent else number(estimate.value)
    cells = "".join(f"{cell:>12}" for cell in extra)
    return f"  {_short(name):<34}{value:>9}   {interval(estimate, as_percent=as_percent):<16}{cells}".rstrip()


def _rows(rows: Iterable[tuple[str, Estimate, Sequence[str], bool]]) -> list[str]:
    """(name, figure, further cells, as percent) line by line; those without a value once per reason."""
    lines: list[str] = []
    without: dict[str, list[str]] = {}
    for name, estimate, extra, as_percent in rows:
        if estimate.value is None:
            without.setdefault(estimate.undefined or "", []).append(name)
        else:
            lines.append(_row(name, estimate, as_percent=as_percent, extra=extra))
    for reason, names in without.items():
        if len(names) == 1:
            lines.append(_wrapped(f"  {_short(names[0]):<36}{reason}", indent=" " * 38))
        else:
            more = f" and {count(len(names) - NAMED)} more" if len(names) > NAMED else ""
            shown = ", ".join(_short(name) for name in names[:NAMED])
            lines.append(_wrapped(f"  {shown}{more}: {reason}", indent="    "))
    return lines


def _short(name: str) -> str:
    return name if len(name) <= 34 else name[:33] + "…"


def _head(title: str, confidence: float, columns: Iterable[str] = ()) -> str:
    return f"{title:<36}{'value':>9}   {level(confidence):<16}" + "".join(f"{name:>12}" for name in columns)


def _coefficients(m: Measured) -> list[str]:
    names = words.coefficient_names(m.options.weights)
    order = sorted(m.coefficients, key=list(names).index)
    lines = [_head("COEFFICIENTS", m.options.confidence, ("SE items", "SE raters")).rstrip()]
    figures = [(name, m.coefficients[name]) for name in order]
    return lines + _rows(
        (names[name], one, (number(one.se_items, 3), number(one.se_raters, 3)), name == "percent_agreement")
        for name, one in figures
    )


def _labels(m: Measured) -> list[str]:
    lines = [_head("LABELS (agreement of a second rater)", m.options.confidence, ("ratings", "κ")).rstrip()]
    rows = sorted(
        m.categories.values(),
        key=lambda one: one.specific_agreement.value if one.specific_agreement.value is not None else 2.0,
    )
    known = [one for one in rows if one.specific_agreement.value is not None]
    shown = [*known[:MOST_ROWS], *rows[len(known) :]]
    lines += _rows(
        (one.label, one.specific_agreement, (count(one.count), number(one.kappa.value)), True) for one in shown
    )
    return lines + _and_more(len(known))


def _and_more(n: int) -> list[str]:
    return [f"  … and {count(n - MOST_ROWS)} more (--json has all)"] if n > MOST_ROWS else []


def _hlp(m: Measured) -> list[str]:
    lines = [_head("HUMAN-LEVEL PERFORMANCE", m.options.confidence, ("same answer", "ceiling")).rstrip()]
    lines += _rows(
        (name, estimate, (percent(constant), percent(ceiling)), True)
        for name, estimate, constant, ceiling in words.kinds(m)
    )
    artefact = m.hlp.artefact
    lines.append(_wrapped(f"  {artefact.sentence}", indent="  "))
    return lines


def _cohorts(m: Measured) -> list[str]:
    if m.cohorts is None or len(m.cohorts.within) < 2:
        return []
    lines = [_head("COHORTS, Krippendorff α within", m.options.confidence, ("raters", "ratings")).rstrip()]
    for name, within in m.cohorts.within.items():
        alpha = within[words.ALPHA]
        lines.append(_row(name, alpha, as_percent=False, extra=(count(m.cohorts.raters[name]), count(alpha.n_ratings))))
    for pair in m.cohorts.between:
        lines.append(_row(f"xRR {pair.a} – {pair.b}", pair.xrr, as_percent=False))
        lines.append(_wrapped(f"    {pair.sentence}", indent="    "))
    return lines


def _self(m: Measured) -> list[str]:
    if not m.intra.raters:
        return []
    repeats = sum(one.repeats for one in m.intra.raters.values())
    return [
        _head("SELF-AGREEMENT", m.options.confidence, ("repeats",)).rstrip(),
        _row(plural(len(m.intra.raters), "rater"), m.intra.pooled, as_percent=True, extra=(count(repeats),)),
    ]


def _worst(m: Measured) -> list[str]:
    lines = ["WORST ITEMS", _wrapped(f"  {words.worst_sentence(m)}", indent="  ")]
    for one in m.worst:
        lines.append(f"  {_short(one.item):<36}{words.votes(one.votes)}")
    return lines


def _pairs(m: Measured) -> list[str]:
    if m.pairs is None:
        return []
    lines = ["RATER PAIRS", _wrapped(f"  {words.pairs_sentence(m, m.table.n_raters)}", indent="  ")]
    busiest = np.argsort(-m.pairs.items, kind="stable")[:MOST_ROWS]
    rows = []
    for i in busiest.tolist():
        a, b = (str(m.pairs.raters[int(side[i])]) for side in (m.pairs.rater_a, m.pairs.rater_b))
        agreement = m.pairs.percent_agreement(i).value
        extra = (plural(int(m.pairs.items[i]), "item"), percent(agreement))
        rows.append((f"{a} – {b}", m.pairs.cohen_kappa(i), extra, False))
    return [*lines, *_rows(rows), *_and_more(len(m.pairs))]
