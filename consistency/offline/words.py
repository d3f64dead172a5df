"""What the figures say, in sentences: the same for the terminal and the page.

Rules: a value never stands without its interval and whom it speaks about; an adjective only where its interval
bears it (Gwet's benchmark); disagreement points at the definition first and never at a rater.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from consistency.statistics.benchmark import benchmark
from consistency.statistics.estimate import Estimate
from consistency.statistics.intervals import TOO_FEW

from .measuring import Measured
from .numbers import count, interval, level, number, percent, plural

ALPHA = "krippendorff_alpha"
TENTATIVE = 0.667
"""Krippendorff's usual floor for tentative conclusions."""
LOPSIDED = 0.85
FREE_TEXT = 50
"""More labels than this, and more than half as many as ratings: nobody declared them."""


@dataclass(frozen=True)
class Point:
    """One thing to look at: `what` stands alone, `why` explains."""

    what: str
    why: str


def coefficient_names(weights: str) -> dict[str, str]:
    """How coefficients are called in the report; Gwet's is AC1 with identity weights, else AC2."""
    return {
        "krippendorff_alpha": "Krippendorff α",
        "percent_agreement": "Percent agreement" if weights == "identity" else f"Agreement, {weights} weights",
        "cohen_kappa": "Cohen κ",
        "scott_pi": "Scott π",
        "light_kappa": "Light κ",
        "conger_kappa": "Conger κ",
        "fleiss_kappa": "Fleiss κ",
        "gwet_ac": "Gwet AC1" if weights == "identity" else "Gwet AC2",
        "brennan_prediger": "Brennan–Prediger",
        "icc_1_1": "ICC(1,1)",
        "icc_2_1": "ICC(2,1)",
        "icc_3_1": "ICC(3,1)",
        "icc_1_k": "ICC(1,k)",
        "icc_2_k": "ICC(2,k)",
        "icc_3_k": "ICC(3,k)",
    }


def measured_line(m: Measured) -> str:
    """60 items · 6 raters · …"""
    table = m.table
    return " · ".join(
        [
            plural(table.n_items, "item"),
            plural(table.n_raters, "rater"),
            plural(table.n_ratings, "rating"),
            plural(table.n_categories, "category", "categories"),
            m.options.level,
            *([f"{m.options.weights} weights"] if m.options.weights != "identity" else []),
            f"seed {m.options.seed}",
        ]
    )


def quoted(label: str) -> str:
    """“label”, shortened when it is long."""
    return f"“{label if len(label) <= 40 else label[:39] + '…'}”"


def headline(m: Measured) -> str:
    """The one paragraph a reader takes away."""
    agreement, alpha = m.coefficients["percent_agreement"], m.coefficients[ALPHA]
    if agreement.value is None and alpha.value is not None:
        # thousands of different numbers: nobody gives exactly the same one, so only distances say anything
        kind = f"α ({m.options.level}) = {number(alpha.value)} {interval(alpha) or 'without an interval'}"
        return (
            f"The labels are numbers with {count(m.table.n_categories)} different values: {kind}. The "
            f"{level(alpha.level)} interval speaks {alpha.population or 'about nobody else'}."
        )
    if agreement.value is None:
        return f"Agreement cannot be measured: {_ended(agreement.undefined or '')}"
    weighted = "" if m.options.weights == "identity" else f" ({m.options.weights} weights)"
    first = f"Two raters agree on {percent(agreement.value)} of the items{weighted}"
    if alpha.value is None:
        return f"{first}. Corrected for chance there is no figure: {_ended(alpha.undefined or '')}"
    kind = "" if m.options.level == "nominal" else f" ({m.options.level})"
    bounds = interval(alpha) or "without an interval"
    said = (
        f"{first}; corrected for chance that is α = {number(alpha.value)} {bounds}{kind}. "
        f"The {level(alpha.level)} interval speaks {alpha.population or 'about nobody else'}"
    )
    word = benchmark(alpha)
    if TOO_FEW in alpha.notes:
        return f"{said}; these are too few items to say more than that."
    if word.word is not None and word.word != word.cumulative[-1][0]:
        return f"{said}; with 95\u00a0% certainty agreement is at least “{word.word}” (Landis and Koch’s words)."
    return f"{said}."


def look_first(m: Measured) -> list[Point]:
    """What is worth a person's next hour, most useful first; at most five points."""
    points = [*_cohort_points(m), *_artefact_points(m), *_label_points(m), *_item_points(m), *_level_points(m)]
    points += [*_gold_points(m), *_self_points(m)]
    if not points:
        if m.coefficients["percent_agreement"].value is None and m.coefficients[ALPHA].value is None:
            points.append(
                Point("Have two people label the same items.", "Agreement needs items with two or more ratings.")
            )
        else:
            points.append(
                Point("Nothing stands out.", "Raters agree alike on every label, and no group of raters differs.")
            )
    return points[:5]


def _cohort_points(m: Measured) -> list[Point]:
    if m.cohorts is None:
        return []
    found = [pair for pair in m.cohorts.between if pair.p_adjusted is not None and pair.p_adjusted <= 0.05]
    found.sort(key=lambda pair: pair.d.value if pair.d.value is not None else 0.0)
    return [Point(f"{pair.a} and {pair.b} answer differently.", pair.sentence) for pair in found[:1]]


def _artefact_points(m: Measured) -> list[Point]:
    artefact = m.hlp.artefact
    heads = {
        "convention": "Raters follow two conventions.",
        "raters_differ": "Some raters read the definition differently.",
    }
    head = heads.get(artefact.verdict)
    return [Point(head, artefact.sentence)] if head else []


def _label_points(m: Measured) -> list[Point]:
    worst = weakest_label(m)
    if worst is None:
        return []
    label, estimate, top = worst
    return [
        Point(
            f"The definition of {quoted(label)}.",
            f"When one rater gives it, a second does so {percent(estimate.value)} of the time "
            f"{interval(estimate, as_percent=True)}; the label raters agree on best reaches {percent(top)}.",
        )
    ]


def weakest_label(m: Measured) -> tuple[str, Estimate, float] | None:
    """(label, its specific agreement, the best label's) where the weakest label is clearly below the best."""
    known = [
        (label, one.specific_agreement)
        for label, one in m.categories.items()
        if one.specific_agreement.value is not None and one.specific_agreement.high is not None
    ]
    if len(known) < 2:
        return None
    label, low = min(known, key=lambda pair: pair[1].value or 0.0)
    top = max(one.value or 0.0 for _, one in known)
    if low.high is None or low.high >= top:
        return None
    return label, low, top


def _item_points(m: Measured) -> list[Point]:
    if not m.worst:
        return []
    first = m.worst[0]
    names = ", ".join(quoted(one.item) for one in m.worst[:3])
    return [
        Point(
            f"The items raters divide on: {names}.",
            f"Raters disagree on {count(m.divided)} of {count(_pairable(m))} items with two or more ratings. "
            f"{quoted(first.item)} got {votes(first.votes)}: read such items beside the definition.",
        )
    ]


def votes(given: tuple[tuple[str, int], ...], most: int = 5) -> str:
    """5 × “R”, 3 × “P”"""
    shown = ", ".join(f"{n} × {quoted(label)}" for label, n in given[:most])
    return shown + (f" and {len(given) - most} more" if len(given) > most else "")


def _level_points(m: Measured) -> list[Point]:
    if m.options.level != "nominal" or m.table.numeric is None or m.table.n_categories < 3:
        return []
    return [
        Point(
            "Whether a near miss should count.",
            "The labels are numbers but every difference counts as the same disagreement here; "
            "--level ordinal or --level interval counts near misses as near.",
        )
    ]


def _gold_points(m: Measured) -> list[Point]:
    gold = m.hlp.against_gold
    if gold.value is None or m.gold_constant is None or gold.high is None:
        return []
    label, share = m.gold_constant
    if gold.high >= share:
        return []
    return [
        Point(
            "Raters against gold.",
            f"Ratings equal gold {percent(gold.value)} of the time {interval(gold, as_percent=True)}; always answering "
            f"{quoted(label)} would {percent(share)}. Read some gold labels again before anything else.",
        )
    ]


def _self_points(m: Measured) -> list[Point]:
    pooled, agreement = m.intra.pooled, m.coefficients["percent_agreement"]
    if pooled.value is None or agreement.value is None or pooled.low is None:
        return []
    if pooled.value - agreement.value < 0.10 or pooled.low <= agreement.value:
        return []
    return [
        Point(
            "Raters agree with themselves more than with each other.",
            f"The same rater gives the same label again {percent(pooled.value)} of the time, two raters agree "
            f"{percent(agreement.value)}: each keeps nearer to their own reading of the definition than to the others’.",
        )
    ]


def beware(m: Measured) -> list[str]:
    """What not to trust, and why; each a sentence."""
    alpha, table = m.coefficients[ALPHA], m.table
    said = [
        _sentence(f"the interval {note}" if note.startswith("assumes") else note)
        for note in alpha.notes
        if note != TOO_FEW
    ]
    if TOO_FEW in alpha.notes:
        said.insert(0, "Fewer than 20 items, or fewer than 5 with any disagreement: too few to say.")
    if alpha.value is not None and alpha.method == "items":
        said.append(f"The intervals hold {alpha.population}.")
    single = table.excluded["single_rating_items"]
    if single:
        said.append(
            f"{plural(single, 'item has one rating only and says', 'items have one rating only and say')} nothing about "
            "agreement; α leaves such items out, the κ family and AC keep them in the share of each label."
        )
    if table.numeric is None and table.n_categories > max(FREE_TEXT, table.n_ratings / 2):
        said.append(
            f"Most of the {count(table.n_categories)} labels occur once. If they are free text, equal labels say little: "
            "texts that mean the same are seldom equal word for word."
        )
    top, share = _top_label(m)
    if share == 1:
        said.append(f"Every rating is {quoted(top)}: how well people tell labels apart does not show here.")
    elif share >= LOPSIDED:
        said.append(
            f"{quoted(top)} is {percent(share)} of all ratings: with so lopsided labels chance-corrected figures fall "
            "though people agree often. Read the agreement of each label."
        )
    alpha_value, fleiss = alpha.value, m.coefficients["fleiss_kappa"].value
    if (
        alpha_value is not None
        and fleiss is not None
        and abs(alpha_value - fleiss) >= 0.01
        and m.options.level == "nominal"
    ):
        said.append(
            f"α ({number(alpha_value)}) and Fleiss κ ({number(fleiss)}) differ because items have different numbers "
            "of ratings: α weighs ratings, κ weighs items."
        )
    if m.options.level == "ordinal":
        said.append(
            "Ordinal α depends on how often each label is used: do not compare it between batches with other shares."
        )
    if m.hlp.pairwise.value is not None:
        said.append(
            "Rater against rater is not a bar for a model: compare a model with raters left out, on the same reference."
        )
    if m.options.interval == "items" and table.n_raters >= 5:
        said.append("Intervals over items only, as asked for: with other raters the figures can lie well outside them.")
    return list(dict.fromkeys(said))


def coefficients_sentence(m: Measured) -> str:
    """What the plot of coefficients says."""
    corrected = [
        one
        for name, one in m.coefficients.items()
        if name in (ALPHA, "fleiss_kappa", "conger_kappa", "gwet_ac", "brennan_prediger") and one.value is not None
    ]
    if not corrected:
        return _sentence(m.coefficients[ALPHA].undefined or "There is nothing to compare")
    values = [one.value for one in corrected if one.value is not None]
    low, high = min(values), max(values)
    if high < TENTATIVE:
        said = f"All chance-corrected figures lie below the {TENTATIVE:.2f} usually asked for tentative conclusions."
    elif low >= TENTATIVE:
        said = f"All chance-corrected figures lie above the {TENTATIVE:.2f} usually asked for tentative conclusions."
    else:
        said = (
            f"Chance-corrected figures run from {number(low)} to {number(high)}: what counts as chance decides, "
            "so read the agreement of each label."
        )
    return said


def labels_sentence(m: Measured) -> str:
    """What the plot of labels says."""
    worst = weakest_label(m)
    if worst is None:
        known = [one for one in m.categories.values() if one.specific_agreement.value is not None]
        if len(known) < 2:
            return "Given that one rater chose a label: how often a second rater of the item did."
        return "Given that one rater chose a label, how often a second did: no label is clearly below the best."
    label, estimate, top = worst
    return (
        f"Given that one rater chose it, a second rater also chooses {quoted(label)} {percent(estimate.value)} of the "
        f"time; the best label reaches {percent(top)}."
    )


def hlp_sentence(m: Measured) -> str:
    """What the HLP plot says."""
    hlp = m.hlp
    if hlp.pairwise.value is None:
        return _sentence(hlp.pairwise.undefined or "")
    top, _ = _top_label(m)
    said = f"One rater agrees with another on {percent(hlp.pairwise.value)}"
    constant = hlp.constant_model_item_weight
    if constant.value is not None:
        said += f"; always answering {quoted(top)} reaches {percent(constant.value)}"
    if hlp.convention_ceiling.value is not None:
        said += f", always knowing the majority {percent(hlp.convention_ceiling.value)}"
    if constant.value is not None and hlp.pairwise.value < constant.value:
        said += ". People are below the same answer: no model can be said to beat them by this figure"
    return said + "."


def pairs_sentence(m: Measured, drawn: int) -> str:
    """What the heat map says."""
    if m.pairs is None or not len(m.pairs):
        return "No two raters labeled the same item."
    kappa = m.pairs.kappa[np.isfinite(m.pairs.kappa)]
    of_all = f" (the {drawn} with most ratings, of {count(m.table.n_raters)})" if drawn < m.table.n_raters else ""
    if not len(kappa):
        return f"Cohen κ of each two raters{of_all}; none is defined."
    return (
        f"Cohen κ of each two raters{of_all}. Over all {plural(len(m.pairs), 'pair')} the middle one is "
        f"{number(float(np.median(kappa)))}; a pair with few common items says little."
    )


def worst_sentence(m: Measured) -> str:
    """What the worst items say."""
    if not m.worst:
        return "Raters agree on every item with two or more ratings." if _pairable(m) else "No item has two ratings."
    if m.worst[0].agreement.value is None:
        return "The items whose ratings lie furthest apart, by the spread of the numbers raters gave."
    return (
        f"Raters disagree on {count(m.divided)} of {count(_pairable(m))} items with two or more ratings; "
        "here those where that is surest, not merely two people who differ once."
    )


def left_out(m: Measured) -> list[tuple[str, int, str]]:
    """(what, rows or items, why) of everything that does not count between raters."""
    out = m.table.excluded
    return [
        ("Missing labels", out["missing_labels"], "no label in the row: not a disagreement"),
        ("Items with one rating", out["single_rating_items"], "nothing to compare them with"),
        (
            "Repeats",
            out["repeats"],
            "later labels of the same rater: self-agreement",
        ),
    ]


def kinds(m: Measured) -> list[tuple[str, Estimate, float | None, float | None]]:
    """(kind, HLP, same answer, ceiling) rows; the two baselines on the scale of each kind, None where they do not apply."""
    hlp = m.hlp
    ceiling = hlp.convention_ceiling.value
    rows = [
        ("Rater against rater", hlp.pairwise, hlp.constant_model_item_weight.value, ceiling),
        ("Against the others’ majority", hlp.leave_one_out, hlp.constant_model.value, None),
        ("The same, raters’ mean", hlp.leave_one_out_macro, None, None),
    ]
    if m.loaded.gold:
        constant = m.gold_constant[1] if m.gold_constant else None
        rows += [
            ("Against gold", hlp.against_gold, constant, None),
            ("Against gold, raters’ mean", hlp.against_gold_macro, None, None),
        ]
    return rows


def _top_label(m: Measured) -> tuple[str, float]:
    label = max(m.categories, key=lambda one: m.categories[one].count)
    return label, m.categories[label].count / max(m.table.n_ratings, 1)


def _pairable(m: Measured) -> int:
    return m.table.n_items - m.table.excluded["single_rating_items"]


def _ended(text: str) -> str:
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _sentence(text: str) -> str:
    ended = _ended(text)
    return ended[:1].upper() + ended[1:]
