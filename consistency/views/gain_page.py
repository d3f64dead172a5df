"""What the before/after page shows of a stored comparison: lines, tables and sentences."""

from __future__ import annotations

from typing import Any

from labeling.models import GuidelineVersion, LabelDefinition

from ..models import AgreementRun
from ..offline.numbers import interval, percent
from ..queries.gains import Compared, rows_of
from . import gain_charts as charts
from . import gain_words as words


def _names(*versions: GuidelineVersion) -> dict[str, str]:
    names: dict[str, str] = {}
    for version in versions:
        names.update(LabelDefinition.objects.filter(version=version).order_by("ordinal").values_list("key", "name"))
    return names


def compared(run: AgreementRun, old: GuidelineVersion, new: GuidelineVersion) -> dict[str, Any]:
    """Everything the page shows of a stored comparison."""
    told, rows = run.findings, rows_of(run)
    names = _names(old, new)
    headline = str(told.get("headline") or "")
    main = [row for row in rows if row.sample == headline and not row.cohort and not row.part]
    # Of the labels' rows those of few labels; the rest are in the CSV.
    labels = [row for row in main if row.label]
    main = [row for row in main if not row.label] + labels[:12]
    cohorts = [row for row in rows if row.sample == headline and row.cohort and row.coefficient == "krippendorff_alpha"]
    merging = [row for row in rows if row.sample == headline and row.part == "merging"]
    points, changes = charts.points_axis(main + cohorts), charts.change_axis(main + cohorts)
    distribution = told.get("distribution")
    collapsed, collapse_sentence = words.collapse_words(distribution, names)
    flips = told.get("flips") or {}
    paired = headline if headline in flips else next((name for name in ("control", "affected") if name in flips), "")
    moved = flips.get(paired)
    pair = _most_frequent(moved)
    fresh = words.find(rows, "fresh", "krippendorff_alpha")
    return {
        "lead": words.lead(rows, told, old, new),
        "design": words.design_words(told, headline),
        "main": [_line(row, points, changes, names) for row in main],
        "more_labels": len(labels) > 12,
        "cohort_rows": [_line(row, points, changes, names) for row in cohorts],
        "points": points,
        "changes": changes,
        "merging": [_line(row, points, changes, names) for row in merging],
        "merged": [(names.get(a, a), names.get(b, b), kind) for a, b, kind in told.get("merged") or ()],
        "relabeling": [_line(row, points, changes, names) for row in main if row.coefficient in _MERGED]
        if merging
        else [],
        "fresh": None if fresh is None else {**_line(fresh, points, changes, names), "says": words.fresh_words(fresh)},
        "fresh_is_headline": headline == "fresh",
        "control": _control(rows, flips.get("control")),
        "affected": _affected(rows, points, changes, names),
        "hint": words.hint_words(told, run.parameters),
        "flips_sentence": words.flips_words(moved, names),
        "flips": moved,
        "flips_of": words.SAMPLE_WORDS.get(paired, ""),
        "flip_pair": [names.get(label, label) for label in pair] if pair else None,
        "flip_bars": charts.flip_bars(moved["cohorts"] or {"": moved}, *pair) if moved and pair else [],
        "flip_tables": [_flip_table(name, one, names) for name, one in flips.items() if one["n"]],
        "distribution": _distribution(distribution, names) if distribution else None,
        "collapsed": collapsed,
        "collapse_sentence": collapse_sentence,
        "history": _history(told.get("history") or [], run.parameters.get("target")),
        "notes": _notes(rows, told),
    }


_MERGED = ("krippendorff_alpha", "gwet_ac", "percent_agreement")


def _most_frequent(moved: dict[str, Any] | None) -> tuple[str, str] | None:
    """The two labels between which most answers moved."""
    if not moved or not moved["directions"]:
        return None
    old, new, _ = moved["directions"][0]
    return old, new


def _line(row: Compared, points: Any, changes: Any, names: dict[str, str]) -> dict[str, Any]:
    """One row of the table with its drawing."""
    as_percent = charts.is_percent(row.coefficient)
    title, sub = words.NAMES[row.coefficient]
    if row.label:
        title = f"Label {names.get(row.label, row.label)}"
    if row.origin:
        title = f"HLP, against {words.ORIGINS[row.origin][0]}"
        sub = words.ORIGINS[row.origin][1]
    return {
        "row": row,
        "title": title,
        "sub": sub,
        "cohort": row.cohort,
        "before": words.figure(row.before, as_percent=as_percent),
        "before_interval": interval(row.before, as_percent=as_percent),
        "after": words.figure(row.after, as_percent=as_percent),
        "after_interval": interval(row.after, as_percent=as_percent),
        "change": words.signed(row.change.value, as_percent=as_percent),
        "change_interval": words.signed_interval(row.change, as_percent=as_percent),
        "general": None if row.general is None else words.signed_interval(row.general, as_percent=as_percent),
        "undefined": row.before.undefined or row.after.undefined or row.change.undefined,
        "was": charts.dot(points, row.before),
        "now": charts.dot(points, row.after),
        "moved": charts.dot(changes, row.change),
        "zero": changes.x(0.0),
    }


def _control(rows: list[Compared], told: dict[str, Any] | None) -> dict[str, Any] | None:
    if not told or not told["n"]:
        return None
    share = words.find(rows, "control", "percent_agreement")
    return {
        **told,
        "share": percent(told["changed"] / told["n"]),
        "interval": f"[{words.number(100 * told['low'], 1)}, {words.number(100 * told['high'], 1)}]",
        "before": None if share is None else percent(share.before.value),
        "after": None if share is None else percent(share.after.value),
        "says": words.control_words(told),
    }


def _affected(rows: list[Compared], points: Any, changes: Any, names: dict[str, str]) -> list[dict[str, Any]]:
    found = [row for row in rows if row.sample == "affected"]
    return [_line(row, points, changes, names) for row in found]


def _flip_table(sample: str, told: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    labels = told["labels"]
    return {
        "title": words.SAMPLE_WORDS[sample],
        "labels": [names.get(label, label) for label in labels],
        "rows": [
            {
                "label": names.get(label, label),
                "cells": [{"n": n, "same": i == j} for j, n in enumerate(counts)],
            }
            for i, (label, counts) in enumerate(zip(labels, told["counts"], strict=False))
        ],
        "n": told["n"],
        "changed": told["changed"],
    }


def _distribution(told: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    one, two = told["rates"]
    shares = [
        (names.get(label, label), percent(p), percent(q), words.signed(q - p, as_percent=True))
        for label, p, q in told["labels"]
    ]
    for title, key in (("Marked borderline", "marked_share"), ("Not enough information", "cannot_share")):
        p, q = one[key], two[key]
        shift = None if p is None or q is None else q - p
        shares.append((title, percent(p), percent(q), words.signed(shift, as_percent=True)))
    (a, of_a), (b, of_b) = told["unanimous"]
    l_infinity, js = told["l_infinity"], told["js"]
    first, second = told["entropy"]
    return {
        "shares": shares,
        "unanimous": (f"{a:,} of {of_a:,}", f"{b:,} of {of_b:,}"),
        "l_infinity": None if l_infinity["value"] is None else words.number(l_infinity["value"], 3),
        "js": None if js["value"] is None else words.number(js["value"], 4),
        "by_chance": None if told["js_by_chance"] is None else words.number(told["js_by_chance"], 4),
        "entropy": (words.number(first), words.number(second)),
    }


def _history(history: list[dict[str, Any]], target: float | None) -> dict[str, Any]:
    names = list(dict.fromkeys(name for point in history for name in point["figures"]))
    table = []
    for name in names:
        cells = []
        for point in history:
            told = point["figures"].get(name)
            if told is None or told["value"] is None:
                cells.append({"value": "–", "interval": (told or {}).get("undefined") or "no labels"})
            else:
                bounds = told["low"] is not None
                cells.append(
                    {
                        "value": words.number(told["value"]),
                        "interval": f"[{words.number(told['low'])}, {words.number(told['high'])}]" if bounds else "",
                    }
                )
        table.append({"cohort": name or "all", "cells": cells})
    return {
        "points": history,
        "chart": charts.history_chart(history, target),
        "table": table,
        "sentence": _history_sentence(history),
    }


def _history_sentence(history: list[dict[str, Any]]) -> str:
    told = [(point, point["figures"].get("", {})) for point in history]
    known = [(point, one["value"]) for point, one in told if one.get("value") is not None]
    if len(known) < 2:
        return "One version has figures so far." if known else "No version has a figure yet."
    (first, a), (last, b) = known[0], known[-1]
    words_ = f"Agreement (α) went from {words.number(a)} under v{first['version']} to {words.number(b)} under v{last['version']}"
    return words_ + ("." if last["complete"] else "; the newest is still running.")


def _notes(rows: list[Compared], told: dict[str, Any]) -> list[str]:
    """What was left out and what else must be known, each once."""
    said: dict[str, None] = {}
    headline = told.get("headline")
    for row in rows:
        if row.sample == headline and row.coefficient == "krippendorff_alpha" and not row.part:
            said.update(dict.fromkeys(note[0].upper() + note[1:] + "." for note in row.change.notes))
    if told.get("never_came"):
        n = told["never_came"]
        said[
            f"{words.plural(n, 'rater')} of before {'has' if n == 1 else 'have'} not labeled again; they hold nothing up."
        ] = None
    for cohort in told.get("cohorts_never_came") or ():
        said[f"No {cohort.replace('_', ' ')} has labeled again."] = None
    if any(gone := told.get("withdrawn") or (0, 0)):
        said[f"Withdrawn items are left out of both: {gone[0]:,} of the earlier batch, {gone[1]:,} of this one."] = None
    if told.get("exact"):
        said["Answers are compared as wholes: the same or not."] = None
    return list(said)
