"""Human-level performance of a reading, and everything it must be read beside: baselines, ceiling, models, slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labeling.vocabulary import GoldOrigin

from .agreement_figures import Slices, left_out, strata
from .queries.figures import CONFIDENCE, Sheet, key_of
from .queries.ratings import Reading
from .queries.references import Reference
from .statistics.agreement import coefficient
from .statistics.estimate import Estimate
from .statistics.gold_figures import measure_against_gold
from .statistics.hlp import HLP, measure_hlp
from .statistics.label_scores import LabelScores, score_labels, score_raters, score_table
from .statistics.model_comparison import MARGIN, ModelComparison, compare_model, compare_model_with_gold
from .statistics.ratings import RatingsTable
from .vocabulary import Scope

# Origins in the order in which one of them stands for "gold" where a single one is needed: truth before opinion.
ORIGINS = (
    GoldOrigin.EXTERNAL, GoldOrigin.ADJUDICATED, GoldOrigin.FEEDBACK, GoldOrigin.USER_DECLARED, GoldOrigin.SINGLE_RATER,
)  # fmt: skip
PLAIN = (
    "pairwise", "pairwise_with_replacement", "leave_one_out", "leave_one_out_macro", "constant_model",
    "constant_model_item_weight", "convention_ceiling",
)  # fmt: skip
# Per-rater scores by label are stored where a person can still read them.
MOST_RATER_LABELS = 120
Predictions = Mapping[str, Mapping[str, str]]


def measure_performance(
    reading: Reading,
    slices: Slices,
    references: Mapping[str, Reference],
    predictions: Predictions,
    *,
    disputed: Reference | None = None,
    margin: float = MARGIN,
) -> Sheet:
    """Every HLP figure of the reading.

    `references` by origin; `predictions` by model, {item name: label}; `disputed`: all rulings, of which those outside
    the audit sample make no HLP and get a figure that says so.
    """
    sheet = Sheet(reading.level)
    sheet.findings["left_out"] = left_out(reading)
    sheet.findings["references"] = {
        origin: {"items": len(one.labels), "outside_audit": one.left_out} for origin, one in references.items()
    }
    sheet.findings["audit"] = {"items": int(reading.audit.sum())}
    sheet.findings["margin"] = margin
    ordered: dict[str, Reference] = {
        origin: references[origin] for origin in ORIGINS if origin in references and references[origin].labels
    }
    for base, part in strata(reading):
        for cohort in part.cohorts:
            mine, key = part.cohort(cohort), {**base, "cohort": cohort}
            own = Scope.ROLE if base else Scope.COHORT
            _measure(sheet, own, mine, key, ordered, predictions, margin, permutations=999)
            if disputed is not None and disputed.left_out:
                _rulings(sheet, own, mine, key, disputed)
            _rater_scores(sheet, mine, key, ordered)
            for slice_key, items in slices.items():
                inside = mine.with_items(items)
                narrowed = {**key, "slice": slice_key}
                _measure(sheet, Scope.SLICE, inside, narrowed, ordered, predictions, margin, permutations=99)
                sheet.add(
                    Scope.SLICE, key_of(**narrowed), "krippendorff_alpha",
                    coefficient(inside.table, "krippendorff_alpha", level=inside.level),
                )  # fmt: skip
                of = mine.table.n_items
                share = Estimate(inside.table.n_items / of, n_items=inside.table.n_items) if of else NOTHING
                sheet.add(Scope.SLICE, key_of(**narrowed), "share_of_items", share)
    _model_scores(sheet, reading, ordered, predictions)
    return sheet


NOTHING = Estimate.missing("there are no ratings", level=CONFIDENCE)


def _measure(
    sheet: Sheet,
    scope: str,
    mine: Reading,
    key: dict[str, str],
    references: Mapping[str, Reference],
    predictions: Predictions,
    margin: float,
    *,
    permutations: int,
) -> None:
    place = key_of(**key)
    first = next((one for one in references.values() if not one.authors), None)
    hlp = measure_hlp(
        mine.table, gold=first.labels if first else None, gold_origin=first.origin if first else None,
        permutations=permutations,
    )  # fmt: skip
    for name in PLAIN:
        sheet.add(scope, place, name, getattr(hlp, name))
    sheet.say("artefact", place, hlp.artefact.as_json())
    for reference in references.values():
        _against(sheet, scope, mine, key, reference, hlp if reference is first else None)
    for model, labels in predictions.items():
        narrowed = {**key, "model": model}
        _compared(sheet, narrowed, "", compare_model(mine.table, labels, margin=margin))
        for origin, reference in references.items():
            apart = reference.reading(mine)
            found = compare_model_with_gold(apart.table, labels, reference.labels, gold_origin=origin, margin=margin)
            _compared(sheet, narrowed, origin, found)


def _against(
    sheet: Sheet, scope: str, mine: Reading, key: dict[str, str], reference: Reference, measured: HLP | None
) -> None:
    place, origin = key_of(**key), reference.origin
    apart = reference.reading(mine)
    if measured is not None:
        micro, macro = measured.against_gold, measured.against_gold_macro
    else:
        micro, macro = measure_against_gold(apart.table, reference.labels)
    sheet.add(scope, place, "against_gold", micro, origin=origin)
    sheet.add(scope, place, "against_gold_macro", macro, origin=origin)
    sheet.add(scope, place, "constant_against_gold", constant_against(apart.table, reference.labels), origin=origin)
    scores = score_table(apart.table, reference.labels)
    for label, one in scores.labels.items():
        narrowed = key_of(**key, label=label)
        for name in ("precision", "recall", "f1"):
            sheet.add(Scope.LABEL, narrowed, name, getattr(one, name), origin=origin)


def constant_against(table: RatingsTable, gold: Mapping[str, str]) -> Estimate:
    """How often gold would be met by giving every item gold's most frequent label (rating weight, as HLP has it)."""
    weight: dict[str, int] = {}
    for item, ratings in zip(table.items, table.ratings_per_item().tolist(), strict=True):
        label = gold.get(item)
        if label is not None:
            weight[label] = weight.get(label, 0) + ratings
    if not weight:
        return Estimate.missing("no rated item has gold", level=CONFIDENCE)
    label = max(weight, key=lambda one: (weight[one], one))
    total = sum(weight.values())
    return Estimate(weight[label] / total, n_ratings=total, notes=(f"always “{label}”",))


def _rulings(sheet: Sheet, scope: str, mine: Reading, key: dict[str, str], disputed: Reference) -> None:
    """Ratings against all rulings: of disputed items, which are hard by selection. No HLP, and it says so."""
    micro, _ = measure_against_gold(disputed.reading(mine).table, disputed.labels)
    n = sum(1 for name in mine.table.items if name in disputed.labels)
    words = f"on the {n:,} ruled items only, most of them disputed: hard by selection, so this is no HLP"
    sheet.add(scope, key_of(**key), "against_rulings", micro.with_notes(words), origin=GoldOrigin.ADJUDICATED)


def _compared(sheet: Sheet, key: dict[str, str], origin: str, found: ModelComparison) -> None:
    place = key_of(**key)
    sheet.add(Scope.MODEL, place, "model_minus_raters", found.difference, origin=origin)
    counts: dict[str, Any] = {"n_items": found.difference.n_items, "n_ratings": found.difference.n_ratings}
    reason = found.difference.undefined or "this was not measured"
    for name, value in (("model_score", found.model_score), ("rater_score", found.rater_score)):
        figure = Estimate.missing(reason, level=CONFIDENCE) if value is None else Estimate(value, **counts)
        sheet.add(Scope.MODEL, place, name, figure, origin=origin)
    sheet.findings.setdefault("models", {}).setdefault(place, {})[origin or "raters"] = {
        "verdict": found.verdict,
        "sentence": found.sentence,
    }


def _rater_scores(sheet: Sheet, mine: Reading, key: dict[str, str], references: Mapping[str, Reference]) -> None:
    for origin, reference in references.items():
        apart = reference.reading(mine)
        uuid = {name: str(r.uuid) for name, r in zip(apart.table.raters, apart.raters, strict=True)}
        by_label = apart.table.n_raters * apart.table.n_categories <= MOST_RATER_LABELS
        for name, scores in score_raters(apart.table, reference.labels).items():
            narrowed = {**key, "rater": uuid[name]}
            sheet.add(Scope.RATER, key_of(**narrowed), "against_gold", scores.accuracy, origin=origin)
            if by_label:
                _add_scores(sheet, narrowed, scores, origin, Scope.RATER)


def _model_scores(
    sheet: Sheet, reading: Reading, references: Mapping[str, Reference], predictions: Predictions
) -> None:
    """Precision, recall and F1 of each model by label, over all items with gold and a prediction."""
    names = reading.table.items
    for model, labels in predictions.items():
        for origin, reference in references.items():
            known = [name for name in names if name in labels and name in reference.labels]
            truth = [reference.labels[name] for name in known]
            said = [labels[name] for name in known]
            declared = list(dict.fromkeys([*reading.table.categories, *truth, *said]))
            scores = score_labels(truth, said, categories=declared)
            sheet.add(Scope.MODEL, key_of(model=model), "against_gold", scores.accuracy, origin=origin)
            _add_scores(sheet, {"model": model}, scores, origin, Scope.MODEL)


def _add_scores(sheet: Sheet, key: dict[str, Any], scores: LabelScores, origin: str, scope: str) -> None:
    for label, one in scores.labels.items():
        for name in ("precision", "recall", "f1"):
            sheet.add(scope, key_of(**key, label=label), name, getattr(one, name), origin=origin)


def audit_ruled(reading: Reading, reference: Reference | None) -> tuple[int, int]:
    """(ruled, drawn) items of the audit sample: until all are ruled its rulings may be those of the easy or hard ones."""
    drawn = [name for name, audit in zip(reading.table.items, reading.audit.tolist(), strict=True) if audit]
    ruled = sum(1 for name in drawn if reference is not None and name in reference.labels)
    return ruled, int(np.count_nonzero(reading.audit))
