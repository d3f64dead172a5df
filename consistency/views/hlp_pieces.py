"""What the page of human-level performance shows of a run: its first sentence, banner, tables and rankings."""

from __future__ import annotations

from typing import Any

from labeling.vocabulary import GoldOrigin

from ..offline.drawing import axis_for
from ..offline.numbers import count, interval, number, percent
from ..queries.figures import Figures
from ..queries.references import ORIGIN_WORDS
from ..statistics.estimate import Estimate
from ..statistics.priorities import Priorities, SliceFigures, rank_slices, worst_beside_mean
from ..vocabulary import Scope
from .figure_rows import figure, plotted, true_minus
from .hlp_kinds import (
    REST,
    Kind,
    constant_of,
    get,
    group_name,
    kinds_of,
    model_of,
    scope_of,
    value_of,
    verdict_of,
)

ARTEFACT_HEADS = {
    "convention": "Raters follow two conventions.",
    "raters_differ": "Some raters read the definition differently.",
    "noise_or_hard_items": "No sign of a convention.",
    "cannot_say": "Whether a convention is behind it cannot be said.",
}


def lead(found: Figures, key: dict[str, str], kind: Kind) -> str:
    people, constant = value_of(found, key, kind), constant_of(found, key, kind)
    who = group_name(key)
    if people.value is None:
        return f"{who}: no figure of this kind, because {(people.undefined or '').rstrip('.')}."
    does = {
        "pairwise": f"Two of the {who.lower()} agree on {percent(people.value)} of the items",
        "leave_one_out": f"One of the {who.lower()} agrees with the majority of the others {percent(people.value)} of the time",
        "against_gold": f"{who} match {ORIGIN_WORDS[GoldOrigin(kind.origin)] if kind.origin else 'the reference'} "
        f"{percent(people.value)} of the time",
    }[kind.coefficient]
    if constant is None:
        return f"{does}."
    said = f"{does}; always giving the same answer would reach {percent(constant)}."
    if people.value < constant:
        said += " So the reference and the definition deserve a look before anyone’s work does."
    return said


def banner(found: Figures, key: dict[str, str], kind: Kind, model: str) -> dict[str, str]:
    """What to think of first: habit instead of skill, else what the artefact's test says."""
    people, constant = value_of(found, key, kind), constant_of(found, key, kind)
    difference = model_of(found, key, kind, model, "model_minus_raters")
    if (
        difference is not None
        and difference.value is not None
        and difference.value > 0
        and people.value is not None
        and constant is not None
        and people.value < constant
    ):
        span = interval(difference, as_percent=True)
        return {
            "kind": "caution",
            "strong": "This model does not beat people; it follows the habit.",
            "text": f"{model} is {number(100 * difference.value, 1)} points above raters {span}, and always giving the same "
            f"answer is {number(100 * (constant - people.value), 1)} points above them.",
        }
    artefact = found.said("artefact", {}, **key)
    verdict = artefact.get("verdict", "cannot_say")
    return {
        "kind": "caution" if verdict in ("convention", "raters_differ") else "",
        "strong": ARTEFACT_HEADS[verdict],
        "text": true_minus(artefact.get("sentence", "")),
    }


def by_cohort_and_slice(
    found: Figures, groups: list[dict[str, str]], kind: Kind, model: str, slices: dict[str, str]
) -> dict[str, Any]:
    """The plot: every cohort, then its slices, on one axis with the model."""
    sections = [("", groups)]
    for group in groups:
        inside = [
            key
            for key in found.keys(Scope.SLICE, "pairwise")
            if {n: v for n, v in key.items() if n != "slice"} == group
        ]
        if inside:
            sections.append((f"{group_name(group)}, by slice; an item may be in several", inside))
    every = [key for _, keys in sections for key in keys]
    marks: list[float | None] = []
    for key in every:
        marks += [
            constant_of(found, key, kind),
            get(found, key, "convention_ceiling").value if kind.has_ceiling else None,
        ]
        scored = model_of(found, key, kind, model)
        marks.append(scored.value if scored else None)
    axis = axis_for([value_of(found, key, kind) for key in every], marks, as_percent=True, width=420)
    out: list[dict[str, Any]] = []
    for title, keys in sections:
        rows = []
        for key in keys:
            scored = model_of(found, key, kind, model)
            ceiling, constant = get(found, key, "convention_ceiling"), constant_of(found, key, kind)
            rows.append(
                plotted(
                    axis,
                    slices.get(key["slice"], key["slice"]) if "slice" in key else group_name(key),
                    value_of(found, key, kind),
                    cohort="" if "slice" in key else key["cohort"],
                    as_percent=True,
                    constant=constant,
                    ceiling=ceiling.value if kind.has_ceiling else None,
                    model=scored.value if scored else None,
                    constant_text=percent(constant),
                    ceiling_text=percent(ceiling.value),
                    model_text=percent(scored.value) if scored else "",
                    verdict=verdict_of(found, key, kind, model),
                    is_slice="slice" in key,
                )
            )
        out.append({"title": title, "rows": rows})
    return {
        "axis": axis,
        "sections": out,
        "populations": sorted({r["population"] for s in out[:1] for r in s["rows"] if r["population"]}),
    }


def three_kinds(found: Figures, key: dict[str, str], kinds: list[Kind]) -> list[dict[str, Any]]:
    rows = [{"name": kind.title, **figure(value_of(found, key, kind), as_percent=True)} for kind in kinds]
    macro = [("The same, raters’ mean: rest", get(found, key, "leave_one_out_macro"))]
    replaced = [("Rater against rater, these raters as everyone", get(found, key, "pairwise_with_replacement"))]
    ceiling = [("Convention ceiling", get(found, key, "convention_ceiling"))]
    rows += [{"name": name, **figure(one, as_percent=True)} for name, one in (*macro, *replaced, *ceiling)]
    if found.has("against_rulings", scope_of(key), origin=GoldOrigin.ADJUDICATED, **key):
        one = found.get("against_rulings", scope_of(key), origin=GoldOrigin.ADJUDICATED, **key)
        rows.append(
            {"name": "All rulings: no HLP", **figure(one, as_percent=True), "says": one.notes[-1] if one.notes else ""}
        )
    return rows


def ranking(
    found: Figures, group: dict[str, str], kind: Kind, model: str, slices: dict[str, str]
) -> dict[str, Any] | None:
    """Both rankings over the cohort's slices, and the worst slice beside the mean."""
    kind = kind if kind.takes_model else REST
    people, both = [], []
    for key in found.keys(Scope.SLICE, "pairwise"):
        if {name: value for name, value in key.items() if name != "slice"} != group:
            continue
        share = min(get(found, key, "share_of_items").value or 0.0, 1.0)
        name, alpha = slices.get(key["slice"], key["slice"]), get(found, key, "krippendorff_alpha")
        one = value_of(found, key, kind)
        people.append(SliceFigures(name, share, one, None, alpha, one.n_items))
        both.append(with_model(found, key, kind, model, people[-1]))
    if not people:
        return None
    labels, models = rank_slices(people), rank_slices(both)
    said = [sentence for sentence in models.sentences if not sentence.startswith("Check label")]
    return {
        "labels": [_ranked(row, row.consistency_rank) for row in labels.label_consistency if row.consistency_rank],
        "models": [_ranked(row, row.model_rank) for row in models.model_work if row.model_rank],
        "says": said[0] if said else "",
        "notes": said[1:],
        "worst": worst(found, group, kind, labels, models),
        "kind": kind,
        "undefined": [
            f"{row.figures.name}: {row.figures.hlp.undefined}."
            for row in labels.label_consistency
            if isinstance(row.figures.hlp, Estimate) and row.figures.hlp.undefined
        ],
        "totals": {
            "share": number(100 * models.share_total, 1),
            "accuracy": percent(models.accuracy, 2),
            "hlp": percent(models.hlp, 2),
            "difference": number(100 * models.difference, 2),
        }
        if models.accuracy is not None and models.hlp is not None and models.difference is not None
        else None,
    }


def with_model(found: Figures, key: dict[str, str], kind: Kind, model: str, people: SliceFigures) -> SliceFigures:
    """The slice with the model's score: both sides from the same items, each item alike, and the same reference."""
    scored, rated = model_of(found, key, kind, model), model_of(found, key, kind, model, "rater_score")
    if scored is None or rated is None or scored.value is None or rated.value is None:
        return people
    return SliceFigures(people.name, people.share, rated.value, scored.value, people.agreement, scored.n_items)


def _ranked(row: Any, rank: int) -> dict[str, str]:
    alpha = row.figures.agreement
    return {
        "rank": str(rank),
        "name": row.figures.name,
        "hlp": number(100 * row.hlp, 1) if row.hlp is not None else "",
        "accuracy": number(100 * row.accuracy, 1) if row.accuracy is not None else "",
        "alpha": number(alpha.value) if isinstance(alpha, Estimate) and alpha.value is not None else "undefined",
        "gap": number(100 * row.gap, 1) if row.gap is not None else "",
        "share": number(100 * row.figures.share, 1),
        "gain": number(100 * row.possible_gain, 2) if row.possible_gain is not None else "",
    }


def worst(found: Figures, group: dict[str, str], kind: Kind, labels: Priorities, models: Priorities) -> str:
    """The worst slice, always beside the mean: of the model's distance to people where slices divide the items."""
    rows = [row for row in labels.label_consistency if row.hlp is not None]
    if not rows:
        return ""
    low, mean = rows[0], value_of(found, group, kind)
    overall = f"Overall {percent(mean.value)}" if mean.value is not None else "Overall there is no figure"
    said = f"{overall}; the worst slice is {low.figures.name} with {percent(low.hlp)} on {percent(low.figures.share, 0)} of the items."
    gaps = [(row.figures.name, row.figures.share, -row.gap) for row in models.model_work if row.gap is not None]
    if len(gaps) == len(rows) and models.share_total <= 1 + 1e-6:
        said += f" The model: {true_minus(worst_beside_mean(gaps).sentence)}"
    return said


def compared(found: Figures, groups: list[dict[str, str]], models: list[str]) -> list[dict[str, Any]]:
    """Every model with every cohort, against the other raters and against each origin of gold."""
    rows = []
    for model in models:
        for group in groups:
            said = found.said("models", {}, **{**group, "model": model})
            for reference, words in said.items():
                origin = "" if reference == "raters" else reference
                one = found.get("model_minus_raters", Scope.MODEL, origin=origin, **{**group, "model": model})
                score = found.get("model_score", Scope.MODEL, origin=origin, **{**group, "model": model})
                rater = found.get("rater_score", Scope.MODEL, origin=origin, **{**group, "model": model})
                kind = next((k for k in kinds_of(found) if k.origin == origin and k.takes_model), REST)
                shown = verdict_of(found, group, kind, model)
                sentence = true_minus(words["sentence"])
                if shown == "no claim":
                    sentence += (
                        " People are below always giving the same answer here: no page says that a model beats them."
                    )
                rows.append(
                    {
                        "model": model, "cohort": group["cohort"], "who": group_name(group),
                        "reference": f"{GoldOrigin(origin).label} gold" if origin else "the other raters",
                        "score": percent(score.value), "rater": percent(rater.value),
                        "difference": number(100 * one.value, 1) if one.value is not None else "",
                        "interval": interval(one, as_percent=True), "verdict": shown, "sentence": sentence,
                        "items": count(one.n_items), "population": one.population,
                    }
                )  # fmt: skip
    return rows


def scores(
    found: Figures, group: dict[str, str], kind: Kind, models: list[str], labels: dict[str, str]
) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each label against gold: raters, then models. 0/0 is undefined, in words."""
    if not kind.origin:
        return []
    tables = []
    people = [
        k
        for k in found.keys(Scope.LABEL, "f1", origin=kind.origin)
        if {n: v for n, v in k.items() if n != "label"} == group
    ]
    if people:
        tables.append((group_name(group), group["cohort"], Scope.LABEL, people))
    for model in models:
        keys = [
            k for k in found.keys(Scope.MODEL, "f1", origin=kind.origin) if k.get("model") == model and "label" in k
        ]
        if keys:
            tables.append((model, "model", Scope.MODEL, keys))
    return [
        {
            "name": name,
            "cohort": cohort,
            "rows": [
                {
                    "label": labels.get(key["label"], key["label"]),
                    **{
                        part: figure(found.get(part, scope, origin=kind.origin, **key), as_percent=True)
                        for part in ("precision", "recall", "f1")
                    },
                }
                for key in keys
            ],
        }
        for name, cohort, scope, keys in tables
    ]


def references(found: Figures) -> list[dict[str, str]]:
    """Where each reference comes from, and how far it goes."""
    rows = []
    audit = found.run.findings.get("audit") or {}
    for origin, about in (found.run.findings.get("references") or {}).items():
        says = ""
        if origin == GoldOrigin.ADJUDICATED:
            says = f"{count(audit.get('ruled', 0))} of {count(audit.get('items', 0))} items of the random audit sample are ruled"
            if about["outside_audit"]:
                says += f"; {count(about['outside_audit'])} rulings outside it are no reference: disputed items are hard by selection"
        rows.append(
            {
                "origin": GoldOrigin(origin).label,
                "words": ORIGIN_WORDS[GoldOrigin(origin)],
                "items": count(about["items"]),
                "says": says,
            }
        )
    return rows
