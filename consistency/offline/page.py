"""The report of `agreement` as one self-contained page: styles inside, no script, nothing fetched, prints."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from django.template import Context, Engine

from consistency.statistics.estimate import Estimate

from . import words
from .drawing import axis_for, heat_step, interval_mark, vote_bar
from .measuring import Measured
from .numbers import count, interval, level, number, percent

ROOT = Path(__file__).resolve().parent.parent.parent
STYLES = ("tokens.css", "app.css", "report.css")
HEAT_RATERS = 12
LABELS_SHOWN = 20
RATERS_SHOWN = 8
BAR = 240
NAMES = {"generalist": "Generalists", "expert": "Experts", "target_user": "Target users"}


def agreement_page(m: Measured, *, command: str = "manage.py agreement", now: datetime | None = None) -> str:
    """The page as HTML.

    Parameters
    ----------
    command : str
        What was typed, for the first lines.
    now : datetime, optional
        The time to print; the present when not given.
    """
    style = _styles()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    at = now or datetime.now(UTC)
    context = {
        "style": style,
        "style_hash": digest,
        "source": m.loaded.file.source,
        "command": command,
        "when": f"{at.day} {at:%B %Y, %H:%M} UTC",
        "measured": words.measured_line(m),
        "sha256": m.loaded.file.sha256,
        "lead": words.headline(m),
        "look_first": words.look_first(m),
        "beware": [*words.beware(m), *m.loaded.file.notes],
        "confidence": level(m.options.confidence),
        "coefficients": _coefficients(m),
        "labels": _labels(m),
        "cohorts": _cohorts(m),
        "hlp": _hlp(m),
        "pairs": _pairs(m),
        "worst": _worst(m),
        "bar": BAR,
        "intra": _intra(m),
        "left_out": [{"what": what, "rows": count(n), "why": why} for what, n, why in words.left_out(m)],
        "how": _how(m),
    }
    engine = Engine(dirs=[str(ROOT / "templates")], autoescape=True)
    return engine.get_template("consistency/offline/report.html").render(Context(context, use_l10n=False))


def _styles() -> str:
    """tokens.css, app.css and report.css in one; dark tokens follow the reader's system, on screen only."""
    text = "\n".join((ROOT / "static" / "css" / name).read_text(encoding="utf-8") for name in STYLES)
    # On our own pages a script sets data-bs-theme; a page without script follows the system. Paper stays light.
    dark = re.search(r'\[data-bs-theme="dark"\]\s*\{([^}]*)\}', text)
    if dark:
        text += f"\n@media screen and (prefers-color-scheme: dark) {{ :root {{{dark.group(1)}}} }}\n"
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return re.sub(r"\n\s*\n+", "\n", text).replace("</", "<\\/")


def _figure(estimate: Estimate, *, as_percent: bool = False) -> dict[str, Any]:
    return {
        "value": (percent if as_percent else number)(estimate.value) if estimate.value is not None else "",
        "interval": interval(estimate, as_percent=as_percent),
        "undefined": estimate.undefined or "",
        # In a narrow cell the reason without its figures; they stand in the title and in the sentence below.
        "short": (estimate.undefined or "").split(" (")[0],
        "se_items": number(estimate.se_items, 3),
        "se_raters": number(estimate.se_raters, 3),
    }


def _coefficients(m: Measured) -> dict[str, Any]:
    names = words.coefficient_names(m.options.weights)
    order = sorted(m.coefficients, key=list(names).index)
    defined = [m.coefficients[name] for name in order if m.coefficients[name].value is not None]
    axis = axis_for(defined)
    return {
        "says": words.coefficients_sentence(m),
        "axis": axis,
        "rows": [
            {"name": names[name], "mark": interval_mark(axis, m.coefficients[name]), **_figure(m.coefficients[name])}
            for name in order
            if m.coefficients[name].value is not None
        ],
        "undefined": _grouped_reasons(
            [
                (names[name], m.coefficients[name].undefined or "")
                for name in order
                if m.coefficients[name].value is None
            ]
        ),
    }


def _grouped_reasons(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    """One line per reason, with all it applies to."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in pairs:
        by_reason.setdefault(reason, []).append(name)
    return [{"names": ", ".join(names), "reason": reason} for reason, names in by_reason.items()]


def _labels(m: Measured) -> dict[str, Any]:
    rows = sorted(
        m.categories.values(),
        key=lambda one: 2.0 if one.specific_agreement.value is None else one.specific_agreement.value,
    )
    axis = axis_for([one.specific_agreement for one in rows[:LABELS_SHOWN]], as_percent=True)
    return {
        "says": words.labels_sentence(m),
        "axis": axis,
        "rows": [
            {
                "name": one.label,
                "mark": interval_mark(axis, one.specific_agreement),
                "count": count(one.count),
                "share": percent(one.count / max(m.table.n_ratings, 1)),
                "kappa": number(one.kappa.value),
                **_figure(one.specific_agreement, as_percent=True),
            }
            for one in rows[:LABELS_SHOWN]
        ],
        "more": max(0, len(rows) - LABELS_SHOWN),
    }


def _cohorts(m: Measured) -> dict[str, Any] | None:
    if m.cohorts is None or len(m.cohorts.within) < 2:
        return None
    alphas = {name: within[words.ALPHA] for name, within in m.cohorts.within.items()}
    axis = axis_for([*alphas.values(), *(pair.xrr for pair in m.cohorts.between)])
    return {
        "says": (
            "α inside each cohort, and xRR across two (chance-corrected agreement of a rater of one with a rater of "
            "the other). Above 1, GAI says that a cohort agrees more inside itself than across."
        ),
        "axis": axis,
        "rows": [
            {
                "name": NAMES.get(name, name),
                "chip": _chip(name),
                "mark": interval_mark(axis, alpha, cohort=name),
                "raters": count(m.cohorts.raters[name]),
                "ratings": count(alpha.n_ratings),
                **_figure(alpha),
            }
            for name, alpha in alphas.items()
        ],
        "between": [
            {
                "a": NAMES.get(pair.a, pair.a),
                "b": NAMES.get(pair.b, pair.b),
                "chip_a": _chip(pair.a),
                "chip_b": _chip(pair.b),
                "xrr": _figure(pair.xrr),
                "normalised": _figure(pair.normalised_xrr),
                "gai_a": _figure(pair.gai_a),
                "gai_b": _figure(pair.gai_b),
                "sentence": pair.sentence,
            }
            for pair in m.cohorts.between
        ],
    }


def _chip(cohort: str) -> str:
    return {"generalist": "chip-generalist", "expert": "chip-expert", "target_user": "chip-target_user"}.get(cohort, "")


def _hlp(m: Measured) -> dict[str, Any]:
    kinds = words.kinds(m)
    axis = axis_for(
        [estimate for _, estimate, _, _ in kinds], [mark for *_, a, b in kinds for mark in (a, b)], as_percent=True
    )
    artefact = m.hlp.artefact
    head = {
        "convention": "A convention, not skill.",
        "raters_differ": "Some raters read the definition differently.",
        "noise_or_hard_items": "No sign of a convention.",
        "cannot_say": "Whether a convention is behind it cannot be said.",
    }
    return {
        "says": words.hlp_sentence(m),
        "axis": axis,
        "rows": [
            {
                "name": name,
                "mark": interval_mark(axis, estimate, constant=constant, ceiling=ceiling),
                "constant": percent(constant),
                "ceiling": percent(ceiling),
                **_figure(estimate, as_percent=True),
            }
            for name, estimate, constant, ceiling in kinds
        ],
        "banner": head[artefact.verdict],
        "sentence": artefact.sentence,
        "caution": artefact.verdict in ("convention", "raters_differ"),
        "origin": m.hlp.gold_origin,
    }


def _pairs(m: Measured) -> dict[str, Any] | None:
    """The heat map of the busiest raters: Cohen's kappa below the diagonal and above, common items in the title."""
    if m.pairs is None or not len(m.pairs) or m.table.n_raters < 3:
        return None
    labels = np.bincount(m.table.rater, minlength=m.table.n_raters)
    chosen = np.sort(np.argsort(-labels, kind="stable")[:HEAT_RATERS]).tolist()
    drawn = np.flatnonzero(np.isin(m.pairs.rater_a, chosen) & np.isin(m.pairs.rater_b, chosen)).tolist()
    position = {(int(m.pairs.rater_a[i]), int(m.pairs.rater_b[i])): i for i in drawn}
    rows = []
    for a in chosen:
        cells: list[dict[str, Any]] = []
        for b in chosen:
            at = position.get((min(a, b), max(a, b)))
            if a == b:
                cells.append({"diagonal": True})
            elif at is None:
                cells.append({"none": True})
            else:
                kappa = float(m.pairs.kappa[at])
                shown = None if np.isnan(kappa) else kappa
                cells.append({"value": number(shown), "step": heat_step(shown), "items": count(int(m.pairs.items[at]))})
        rows.append({"name": m.table.raters[a], "cells": cells, "labels": count(int(labels[a]))})
    return {
        "says": words.pairs_sentence(m, len(chosen)),
        "names": [m.table.raters[a] for a in chosen],
        "rows": rows,
    }


def _worst(m: Measured) -> dict[str, Any]:
    return {
        "says": words.worst_sentence(m),
        "rows": [
            {
                "name": one.item,
                "bar": vote_bar(one.votes, BAR),
                "votes": " · ".join(f"{n} × {label}" for label, n in one.votes[:5])
                + (" …" if len(one.votes) > 5 else ""),
                **_figure(one.agreement, as_percent=True),
            }
            for one in m.worst
        ],
    }


def _intra(m: Measured) -> dict[str, Any] | None:
    if not m.intra.raters:
        return None
    order = sorted(m.intra.raters.items(), key=lambda pair: -pair[1].repeats)
    pooled = m.intra.pooled
    return {
        "says": (
            f"The same rater, the same item, again: {percent(pooled.value)} {interval(pooled, as_percent=True)} alike. "
            "Only as good as the break between the two: after a short one people remember their answer."
        ),
        "rows": [
            {"name": name, "repeats": count(one.repeats), **_figure(one.consistent, as_percent=True)}
            for name, one in order[:RATERS_SHOWN]
        ],
        "more": max(0, len(order) - RATERS_SHOWN),
    }


def _how(m: Measured) -> str:
    alpha = m.coefficients[words.ALPHA]
    variance = (
        f"item bootstrap, {count(m.options.bootstrap)} replicates" if m.options.bootstrap else "linearised over items"
    )
    if alpha.method == "two_way":
        variance += ", with a jackknife over raters (two-way)"
    gold = " Gold: as given in the file." if m.loaded.gold else ""
    return f"Intervals: {variance}.{gold} One file, no network."
