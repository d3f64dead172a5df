"""The agreement figures of a reading: within cohorts, between them, and narrowed to labels, slices, roles and raters.

Nothing is pooled over cohorts unless it is asked for, and nothing over the roles of a relabel batch: its affected items
were chosen because they disagreed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from labeling.vocabulary import BatchKind, ItemRole

from .queries.figures import CONFIDENCE, Sheet, key_of
from .queries.ratings import Answers, Reading
from .statistics.agreement import agree
from .statistics.categories import per_category
from .statistics.cohorts import CohortPair, compare_cohorts
from .statistics.estimate import Estimate
from .statistics.intra_rater import self_agreement
from .statistics.pairs import pairs
from .statistics.rater_scores import agreement_with_others, label_meetings
from .vocabulary import Scope

HEADLINES = ("krippendorff_alpha", "percent_agreement", "gwet_ac")
# Beyond these many raters a page draws the busiest; their pairs grow with the square.
PAIR_RATERS = 16
MOST_LABELS = 60
MEETING_LABELS = 12
Slices = Mapping[str, npt.NDArray[np.int64]]


def measure_agreement(reading: Reading, slices: Slices, *, pooled: bool = False) -> Sheet:
    """Every agreement figure of the reading."""
    sheet = Sheet(reading.level)
    sheet.findings["left_out"] = left_out(reading)
    for base, part in strata(reading):
        _measure_part(sheet, part, base, slices)
        if pooled:
            _pool(sheet, part, base)
    return sheet


def strata(reading: Reading) -> list[tuple[dict[str, str], Reading]]:
    """(key, labels) that are measured by themselves: each role of a relabel batch, or the whole."""
    if all(batch.kind != BatchKind.RELABEL for batch in reading.batches):
        return [({}, reading)]
    return [({"role": role}, reading.subset(items=reading.role == role)) for role in reading.roles]


def left_out(reading: Reading) -> dict[str, Any]:
    """What does not count between raters, with its numbers."""
    return {
        **{name: int(n) for name, n in reading.table.excluded.items()},
        "cannot_label": sum(one.cannot_label for one in reading.answers.values()),
        "raters_set_aside": reading.set_aside["raters"],
        "ratings_set_aside": reading.set_aside["ratings"],
        "items_withdrawn": reading.withdrawn["items"],
        "ratings_withdrawn": reading.withdrawn["ratings"],
        "compared_as_wholes": reading.exact,
    }


def _measure_part(sheet: Sheet, part: Reading, base: dict[str, str], slices: Slices) -> None:
    own = Scope.ROLE if base else Scope.COHORT
    cohorts = part.cohorts
    for cohort in cohorts:
        mine, key = part.cohort(cohort), {**base, "cohort": cohort}
        for name, one in agree(mine.table, level=part.level).items():
            sheet.add(own, key_of(**key), name, one)
        _answers(sheet, own, key, mine.answers.get(cohort, Answers()))
        _labels(sheet, mine, key)
        _marks(sheet, own, mine, key)
        _raters(sheet, own, mine, key)
        _meetings(sheet, mine, key)
        _speed(sheet, mine, key)
        for slice_key, items in slices.items():
            _headlines(sheet, Scope.SLICE, mine.with_items(items), {**key, "slice": slice_key})
        if not base and len(mine.roles) > 1:
            for role in mine.roles:
                _headlines(sheet, Scope.ROLE, mine.subset(items=mine.role == role), {**key, "role": role})
    if len(cohorts) > 1:
        compared = compare_cohorts(part.table, part.cohort_of, level=part.level)
        for pair in compared.between:
            _between(sheet, pair, base)
    _pairs(sheet, part, base)


def _headlines(sheet: Sheet, scope: str, part: Reading, key: dict[str, str]) -> None:
    found = agree(part.table, level=part.level)
    for name in HEADLINES:
        sheet.add(scope, key_of(**key), name, found[name])


def _answers(sheet: Sheet, scope: str, key: dict[str, str], answers: Answers) -> None:
    """Rates of the typed answers: "not enough information" among all answers, borderline marks among labels."""
    sheet.add(scope, key_of(**key), "cannot_label_rate", _share(answers.cannot_label, answers.all, "no answers yet"))
    sheet.add(scope, key_of(**key), "borderline_rate", _share(answers.borderline, answers.labeled, "no labels yet"))


def _share(part: int, of: int, undefined: str) -> Estimate:
    if not of:
        return Estimate.missing(undefined, level=CONFIDENCE)
    from scipy.stats import binomtest

    bounds = binomtest(part, of).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(
        part / of, float(bounds.low), float(bounds.high), level=CONFIDENCE, method="wilson",
        population="answers like these, one by one", n_ratings=of,
    )  # fmt: skip


def _labels(sheet: Sheet, mine: Reading, key: dict[str, str]) -> None:
    found = per_category(mine.table)
    for label, one in list(found.items())[:MOST_LABELS]:
        narrowed = key_of(**key, label=label)
        sheet.add(Scope.LABEL, narrowed, "specific_agreement", one.specific_agreement)
        sheet.add(Scope.LABEL, narrowed, "label_kappa", one.kappa)
    sheet.say("label_counts", key_of(**key), {label: one.count for label, one in list(found.items())[:MOST_LABELS]})


def _marks(sheet: Sheet, scope: str, mine: Reading, key: dict[str, str]) -> None:
    """Agreement on the borderline mark itself: a row of its own, never part of the labels' coefficients."""
    if mine.marks is None:
        return
    found = agree(mine.marks, level="nominal")
    for name in HEADLINES:
        sheet.add(scope, key_of(**key), f"borderline_{name}", found[name], level="nominal")


def _raters(sheet: Sheet, scope: str, mine: Reading, key: dict[str, str]) -> None:
    uuids = dict(zip(mine.table.raters, mine.raters, strict=True))
    for name, one in agreement_with_others(mine.table).items():
        sheet.add(Scope.RATER, key_of(**key, rater=str(uuids[name].uuid)), "agreement_with_others", one)
    if not len(mine.table.repeats):
        return
    found = self_agreement(mine.table, level=mine.level)
    sheet.add(scope, key_of(**key), "self_agreement", found.pooled)
    for name, again in found.raters.items():
        narrowed = key_of(**key, rater=str(uuids[name].uuid))
        sheet.add(Scope.RATER, narrowed, "self_agreement", again.consistent)
        sheet.add(Scope.RATER, narrowed, "self_alpha", again.alpha)


# A median of fewer answers says little, and a hint about a person needs more than a few.
FEWEST_TIMED = 20


def _speed(sheet: Sheet, mine: Reading, key: dict[str, str]) -> None:
    """Usual seconds per answer, of the cohort and each rater, and how many labels each gave."""
    who, seconds = mine.seconds
    labels = (
        np.bincount(mine.table.rater, minlength=mine.table.n_raters) if mine.table.n_raters else np.zeros(0, np.int64)
    )
    usual = float(np.median(seconds)) if len(seconds) else None
    raters: dict[str, dict[str, Any]] = {}
    for at, rater in enumerate(mine.raters):
        own = seconds[who == at]
        raters[str(rater.uuid)] = {
            "labels": int(labels[at]),
            "timed": len(own),
            "usual": round(float(np.median(own)), 2) if len(own) else None,
            # answers in under a third of the cohort's usual time
            "quick": int((own < usual / 3).sum()) if usual is not None else 0,
        }
    sheet.say(
        "speed",
        key_of(**key),
        {"usual": None if usual is None else round(usual, 2), "timed": len(seconds), "raters": raters},
    )


def _meetings(sheet: Sheet, mine: Reading, key: dict[str, str]) -> None:
    """Which labels meet on an item: pairs of ratings by two raters of the cohort, "not enough information" with them."""
    table = mine.table
    if not 0 < table.n_categories <= MEETING_LABELS:
        return
    counts = table.counts().astype(np.int64)
    none = np.zeros(table.n_items, np.int64)
    held = np.searchsorted(mine.item_ids, mine.cannot[:, 0]) if len(mine.cannot) else np.zeros(0, np.int64)
    known = held < table.n_items
    known[known] = mine.item_ids[held[known]] == mine.cannot[known, 0]
    np.add.at(none, held[known], 1)
    # items on which everyone said so have no row in the table: their pairs agree among themselves
    _, alone = np.unique(mine.cannot[~known, 0], return_counts=True)
    meetings = label_meetings(np.column_stack([counts, none]), np.ones(table.n_items, np.int64))
    meetings[-1, -1] += int((alone * (alone - 1) // 2).sum())
    sheet.say("meetings", key_of(**key), {"labels": list(table.categories), "pairs": meetings.tolist()})


def _between(sheet: Sheet, pair: CohortPair, base: dict[str, str]) -> None:
    key = key_of(**base, a=pair.a, b=pair.b)
    for name in ("xrr", "normalised_xrr", "gai_a", "gai_b", "alpha_difference", "d"):
        sheet.add(Scope.COHORT_PAIR, key, name, getattr(pair, name))
    sheet.add(Scope.COHORT_PAIR, key, "flips", pair.flips.rate)
    sheet.say(
        "between", key, {"p": pair.p, "floor": pair.floor, "p_adjusted": pair.p_adjusted, "sentence": pair.sentence}
    )


def _pairs(sheet: Sheet, part: Reading, base: dict[str, str]) -> None:
    """Every two raters who share items, of the busiest; across cohorts too, since a pair pools nothing."""
    table = part.table
    if table.n_raters < 2:
        return
    labels = np.bincount(table.rater, minlength=table.n_raters)
    chosen = np.sort(np.argsort(-labels, kind="stable")[:PAIR_RATERS])
    busiest = np.zeros(table.n_raters, np.bool_)
    busiest[chosen] = True
    some = table if table.n_raters <= PAIR_RATERS else table.subset(raters=busiest)
    uuid = {name: str(rater.uuid) for name, rater in zip(table.raters, part.raters, strict=True)}
    for row in pairs(some).rows():
        if uuid[row["a"]] == uuid[row["b"]]:
            continue
        key = key_of(**base, a=uuid[row["a"]], b=uuid[row["b"]])
        sheet.add(Scope.RATER_PAIR, key, "percent_agreement", row["percent_agreement"])
        sheet.add(Scope.RATER_PAIR, key, "cohen_kappa", row["cohen_kappa"])
    sheet.say("pair_raters", key_of(**base), {"shown": int(busiest.sum()), "of": table.n_raters})


def _pool(sheet: Sheet, part: Reading, base: dict[str, str]) -> None:
    """All cohorts together: only where someone asked for it by name."""
    scope = Scope.ROLE if base else Scope.BATCH
    for name, one in agree(part.table, level=part.level).items():
        sheet.add(scope, key_of(**base), name, one)
    for label, found in list(per_category(part.table).items())[:MOST_LABELS]:
        narrowed = key_of(**base, label=label)
        sheet.add(Scope.LABEL, narrowed, "specific_agreement", found.specific_agreement)
        sheet.add(Scope.LABEL, narrowed, "label_kappa", found.kappa)


ROLE_WORDS = {
    ItemRole.NORMAL: "items as they come",
    ItemRole.GOLD: "items with a known answer",
    ItemRole.AFFECTED: "affected items: chosen because they disagreed, so their figure rises by itself",
    ItemRole.CONTROL: "control sample: untouched items, labeled again",
    ItemRole.FRESH: "fresh sample: items nobody had seen",
}
