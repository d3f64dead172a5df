"""The readable report of `consensus` for a terminal, and the answers as a CSV file."""

from __future__ import annotations

import csv
import io
import textwrap
from typing import Any

import numpy as np

from .aggregating import Aggregated
from .numbers import count, number, percent, plural
from .words import quoted

WIDTH = 96
MOST_ROWS = 20
_METHODS = {"majority": "majority vote", "one_coin": "one-coin model", "dawid_skene": "Dawid–Skene"}


def consensus_report(a: Aggregated) -> str:
    """What was found, what to look at first, what not to trust, and the raters."""
    table, found, file = a.loaded.table, a.consensus, a.loaded.file
    ties = int(found.tie.sum())
    lines = [
        f"Consensus · {file.source}",
        " · ".join(
            [
                plural(table.n_items, "item"),
                plural(table.n_raters, "rater"),
                plural(table.n_ratings + len(table.repeats), "label"),
                plural(table.n_categories, "category", "categories"),
                _METHODS[found.method] + _smoothing(a),
            ]
        ),
        "",
    ]
    answered = table.n_items - ties
    verb = "has" if answered == 1 else "have"
    said = f"{count(answered)} of {plural(table.n_items, 'item')} {verb} one answer; {_ties(ties)}"
    if a.accuracy is not None:
        low, high = a.accuracy_interval()
        said += (
            f" Against the gold of {plural(a.gold_items, 'item')} the answers are right {percent(a.accuracy)} of the "
            f"time, 95 % interval [{number(100 * low, 1)}, {number(100 * high, 1)}]; a tie counts its share."
        )
    lines += [_wrapped(said), _wrapped(a.choice.reason), "", "LOOK AT FIRST"]
    lines += [_wrapped(f"-  {text}", "   ") for text in _look_first(a)]
    caution = [*_beware(a), *found.notes, *file.notes]
    if caution:
        lines += ["", "WHAT NOT TO TRUST", *(_wrapped(f"-  {text}", "   ") for text in caution)]
    lines += ["", f"{'LABELS':<36}{'answers':>10}{'share':>10}{'expected':>10}"]
    for k, label in enumerate(table.categories):
        n = int((found.value == k).sum())
        lines.append(
            f"  {_cut(label):<34}{count(n):>10}{percent(n / max(table.n_items, 1)):>10}{percent(float(found.prior[k])):>10}"
        )
    lines += ["", *_raters(a)]
    if a.choice.candidates:
        lines += ["", f"{'SETTINGS TRIED':<46}{'log-probability of a held-out label':>40}"]
        for one in sorted(a.choice.candidates, key=lambda c: -c.per_label):
            name = f"{_METHODS[one.setting.method]}, {_spread(one.setting.smoothing, one.setting.toward)}"
            shown = name if one.setting.method != "majority" else "majority vote (all raters alike)"
            lines.append(f"  {shown:<54}{number(one.per_label, 4):>20} ± {number(one.se, 4)}")
    return "\n".join(lines) + "\n"


def consensus_csv(a: Aggregated) -> str:
    """item, value, tie, probability, effective_votes and one column per category."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = list(a.loaded.table.categories)
    writer.writerow(["item", "value", "tie", "probability", "effective_votes", *(f"p:{name}" for name in names)])
    for row in a.item_rows():
        posterior: dict[str, Any] = row["posterior"]
        writer.writerow(
            [
                row["item"],
                row["value"] if row["value"] is not None else "",
                "true" if row["tie"] else "false",
                f"{max(posterior.values()):.6g}",
                f"{row['effective_votes']:.4g}",
                *(f"{posterior[name]:.6g}" for name in names),
            ]
        )
    return out.getvalue()


def _ties(ties: int) -> str:
    if not ties:
        return "there is no tie."
    return f"{plural(ties, 'tie stays a tie', 'ties stay ties')} for a person to decide."


def _smoothing(a: Aggregated) -> str:
    found = a.consensus
    return "" if found.smoothing is None else f", {_spread(found.smoothing, found.toward)}"


def _spread(smoothing: float, toward: str | None) -> str:
    if smoothing == 0:
        return "no smoothing"
    where = " toward all raters’ habits" if toward == "raters" else ""
    return f"smoothing {smoothing:.3g}{where}"


def _look_first(a: Aggregated) -> list[str]:
    found, table = a.consensus, a.loaded.table
    points = []
    if found.tie.any():
        names = [quoted(str(table.items[i])) for i in np.flatnonzero(found.tie)[:3].tolist()]
        points.append(
            f"The ties, by somebody who knows the definition: {', '.join(names)}{' …' if found.tie.sum() > 3 else ''}"
        )
    top = found.posterior.max(axis=1)
    # Between a tie and two to one: an answer, but a thin one.
    thin = np.flatnonzero(~found.tie & (top < 2 / 3) & (found.value >= 0))
    if len(thin):
        worst = thin[np.argsort(top[thin], kind="stable")[:3]]
        names = [f"{quoted(str(table.items[i]))} ({percent(float(top[i]))})" for i in worst.tolist()]
        points.append(
            f"{plural(len(thin), 'answer is', 'answers are')} less than two to one sure: {', '.join(names)}"
            f"{' …' if len(thin) > 3 else ''}"
        )
    if found.method != "majority":
        differs = _against_votes(a)
        if differs:
            points.append(
                f"{plural(differs, 'answer is', 'answers are')} not what most raters of the item said: "
                "the model trusts some raters more. Look at some of them before believing it."
            )
    return points or ["Nothing stands out: every answer has a clear majority behind it."]


def _against_votes(a: Aggregated) -> int:
    counts = a.loaded.table.counts()
    top = counts.max(axis=1)
    value = a.consensus.value
    decided = value >= 0
    mine = counts[np.arange(len(value)), np.maximum(value, 0)]
    return int((decided & (mine < top)).sum())


def _beware(a: Aggregated) -> list[str]:
    found, table = a.consensus, a.loaded.table
    said = []
    single = table.excluded["single_rating_items"]
    if single:
        said.append(f"{plural(single, 'item has', 'items have')} one label only: that is an opinion, not a consensus.")
    if found.method != "majority":
        said.append(
            "Posteriors suppose that raters err independently; where they share a wrong reading of the definition, "
            "the answer is sure and wrong."
        )
    cohorts = set((a.loaded.cohort_of or {}).values())
    if len(cohorts) > 1:
        said.append(
            f"{len(cohorts)} cohorts are pooled here ({', '.join(sorted(cohorts))}): where they read the definition "
            "differently, find the consensus of each."
        )
    return said


def _raters(a: Aggregated) -> list[str]:
    raters, table = a.consensus.raters, a.loaded.table
    lines = [f"{'RATERS':<36}{'labels':>10}{'coverage':>10}{'accuracy':>10}{'quality':>10}"]
    order = np.argsort(-raters.labels, kind="stable")
    for g in order[:MOST_ROWS].tolist():
        accuracy = None if np.isnan(raters.accuracy[g]) else float(raters.accuracy[g])
        quality = None if np.isnan(raters.quality[g]) else float(raters.quality[g])
        lines.append(
            f"  {_cut(table.raters[g]):<34}{count(int(raters.labels[g])):>10}{percent(float(raters.coverage[g])):>10}"
            f"{percent(accuracy):>10}{number(quality):>10}"
        )
    if len(order) > MOST_ROWS:
        lines.append(f"  … and {count(len(order) - MOST_ROWS)} more (--json has all)")
    lines.append(
        _wrapped(
            "  accuracy: estimated share of right labels; quality: 0 when a label tells nothing about the answer, "
            "1 when it tells all. A low figure often means a definition read differently.",
            "  ",
        )
    )
    return lines


def _cut(name: str) -> str:
    return name if len(name) <= 34 else name[:33] + "…"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
