"""The figures of a before/after comparison, from the labels of two batches alone: nothing here reads or writes rows.

Every sample of the relabel batch stands by itself: items chosen because people differed agree more the second time with
nothing changed, so they never meet the headline (docs/statistics.md A.9).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from labeling.vocabulary import ItemRole

from .queries.figures import CONFIDENCE
from .queries.ratings import COHORTS, Reading, names_as_ids
from .queries.references import Reference
from .statistics.agreement import coefficient
from .statistics.categories import per_category
from .statistics.differences import Difference, Flips, StopHint, difference, flips, stop_hint
from .statistics.drift import compare_tables
from .statistics.estimate import Estimate
from .statistics.hlp import measure_hlp
from .statistics.ratings import RatingsTable
from .statistics.ratio_differences import gold_difference, label_difference, leave_one_out_difference

WHOLE, RANDOM, FRESH, AFFECTED, CONTROL = "whole", "random", "fresh", "affected", "control"
UNSELECTED = (WHOLE, RANDOM, FRESH)
POOLED = ("krippendorff_alpha", "gwet_ac", "percent_agreement")
MOST_LABELS = 60
MOST_FLIPS = 40


@dataclass(frozen=True)
class Row:
    """One line of the comparison: a figure before, after, and their difference.

    `part` "merging" is the step from the labels as given to the same labels as they read under the new version.
    """

    sample: str
    coefficient: str
    before: Estimate
    after: Estimate
    change: Difference
    cohort: str = ""
    label: str = ""
    origin: str = ""
    part: str = ""


@dataclass(frozen=True)
class Sample:
    """The same items before and after, or fresh items against the earlier batch."""

    name: str
    before: Reading
    after: Reading
    paired: bool

    @property
    def empty(self) -> bool:
        return not self.before.table.n_ratings or not self.after.table.n_ratings


# ------------------------------------------------------------------------------------------------ reading as of now


def read_as(table: RatingsTable, reads: Callable[[str], str]) -> RatingsTable:
    """The table with each label as it reads under another version; labels that now are one become one category."""
    names = [reads(label) for label in table.categories]
    categories = list(dict.fromkeys(names))
    code = np.array([categories.index(name) for name in names], np.int32)
    value = code[table.value] if len(code) else table.value
    return RatingsTable.from_codes(
        table.item, table.rater, value, categories=categories, items=table.items, raters=table.raters
    )


def mapped(reading: Reading, reads: Callable[[str], str]) -> Reading:
    """The reading with its labels as they read under another version."""
    if all(reads(label) == label for label in reading.table.categories):
        return reading
    return replace(reading, table=read_as(reading.table, reads), marks=None, _memo={})


# ------------------------------------------------------------------------------------------------ samples


def samples_of(before: Reading, after: Reading, *, whole: bool) -> dict[str, Sample]:
    """The samples that the relabel batch holds, each with the earlier labels it is compared with.

    Paired samples keep the items that have labels in both; `whole` says that every item of the earlier batch was to be
    labeled again, so that all of them together were chosen by nobody.
    """
    found: dict[str, Sample] = {}
    again = after.role != ItemRole.FRESH
    if whole:
        found[WHOLE] = _paired(WHOLE, before, after, again)
    elif (after.role == ItemRole.NORMAL).any():
        found[RANDOM] = _paired(RANDOM, before, after, after.role == ItemRole.NORMAL)
    if (after.role == ItemRole.FRESH).any():
        found[FRESH] = Sample(FRESH, before, after.subset(items=after.role == ItemRole.FRESH), paired=False)
    for name, role in ((AFFECTED, ItemRole.AFFECTED), (CONTROL, ItemRole.CONTROL)):
        if (after.role == role).any():
            found[name] = _paired(name, before, after, after.role == role)
    return found


def _paired(name: str, before: Reading, after: Reading, wanted: npt.NDArray[np.bool_]) -> Sample:
    both = np.intersect1d(before.item_ids, after.item_ids[wanted])
    return Sample(name, before.with_items(both), after.with_items(both), paired=True)


def headline_of(samples: Mapping[str, Sample]) -> str:
    """The sample the headline and the stop hint rest on; "" where nothing unselected was labeled again."""
    return next((name for name in UNSELECTED if name in samples and not samples[name].empty), "")


# ------------------------------------------------------------------------------------------------ rows


def compare_sample(sample: Sample, *, golds: Sequence[tuple[Reference, Reference]] = ()) -> list[Row]:
    """Every figure of a sample. Of items chosen by their answers only what tells how much moves by itself."""
    before, after = sample.before.table, sample.after.table
    level = sample.after.level
    rows = [_pooled(sample, name, before, after, level) for name in POOLED]
    if sample.name not in UNSELECTED:
        return rows
    rows.append(_leave_one_out(sample, before, after))
    rows += [_against(sample, old, new) for old, new in golds]
    categories = list(dict.fromkeys((*after.categories, *before.categories)))
    if not sample.after.exact and len(categories) <= MOST_LABELS:
        one, two = per_category(before), per_category(after)
        for label in categories:
            change = label_difference(before, after, label)
            missing = Estimate.missing(f"{label!r} is no label of this definition", level=CONFIDENCE)
            rows.append(
                Row(
                    sample.name, "specific_agreement",
                    one[label].specific_agreement if label in one else missing,
                    two[label].specific_agreement if label in two else missing,
                    change, label=label,
                )
            )  # fmt: skip
    cohorts = [c for c in COHORTS if c in sample.before.answers or c in sample.after.answers]
    for cohort in cohorts if len(cohorts) > 1 else ():
        old, new = sample.before.cohort(cohort).table, sample.after.cohort(cohort).table
        rows += [
            _pooled(sample, name, old, new, level, cohort=cohort)
            for name in ("krippendorff_alpha", "percent_agreement")
        ]
    return rows


def _pooled(
    sample: Sample, name: str, before: RatingsTable, after: RatingsTable, level: str, *, cohort: str = ""
) -> Row:
    return Row(
        sample.name, name, coefficient(before, name, level=level), coefficient(after, name, level=level),
        difference(before, after, name, level=level), cohort=cohort,
    )  # fmt: skip


def _leave_one_out(sample: Sample, before: RatingsTable, after: RatingsTable) -> Row:
    one, two = (measure_hlp(table, permutations=0).leave_one_out for table in (before, after))
    return Row(sample.name, "leave_one_out", one, two, leave_one_out_difference(before, after))


def _against(sample: Sample, old: Reference, new: Reference) -> Row:
    """Each version's labels against the reference that is in force under it, nobody against their own label."""
    before, after = old.reading(sample.before).table, new.reading(sample.after).table
    one = measure_hlp(before, gold=dict(old.labels), gold_origin=old.origin, permutations=0).against_gold
    two = measure_hlp(after, gold=dict(new.labels), gold_origin=new.origin, permutations=0).against_gold
    change = gold_difference(before, after, dict(old.labels), dict(new.labels))
    return Row(sample.name, "against_gold", one, two, change, origin=old.origin)


def compare_merging(given: Reading, read_now: Reading, sample: str) -> list[Row]:
    """What merging alone changes: the same labels as they were given and as they read now. Nobody labeled anything."""
    return [
        Row(
            sample, name, coefficient(given.table, name, level=given.level),
            coefficient(read_now.table, name, level=given.level),
            difference(given.table, read_now.table, name, level=given.level), part="merging",
        )
        for name in POOLED
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ beside the figures


def told_flips(sample: Sample) -> dict[str, Any]:
    """How the same raters' labels of the same items moved: overall and by cohort, with the most frequent directions."""
    every = flips(sample.before.table, sample.after.table)
    told = _flips_as_json(every)
    told["cohorts"] = {}
    cohorts = [c for c in COHORTS if c in sample.before.answers and c in sample.after.answers]
    for cohort in cohorts:
        mine = flips(sample.before.cohort(cohort).table, sample.after.cohort(cohort).table)
        if mine.n:
            told["cohorts"][cohort] = _flips_as_json(mine)
    return told


def _flips_as_json(found: Flips) -> dict[str, Any]:
    share = _wilson(found.changed, found.n)
    return {
        "n": found.n,
        "changed": found.changed,
        "low": share[0],
        "high": share[1],
        "directions": [list(one) for one in found.directions()[:MOST_FLIPS]],
        "labels": list(found.categories),
        "counts": found.counts.tolist() if len(found.categories) <= MOST_LABELS else [],
    }


def _wilson(part: int, of: int) -> tuple[float | None, float | None]:
    if not of:
        return None, None
    from scipy.stats import binomtest

    found = binomtest(part, of).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def _entropy(shares: Sequence[float], labels: int) -> float | None:
    """Of the labels' shares, 0 (one label only) to 1 (all labels equally often)."""
    if labels < 2 or not sum(shares):
        return None
    return -sum(p * math.log(p) for p in shares if p > 0) / math.log(labels)


def told_distribution(sample: Sample, *, seed: int) -> dict[str, Any]:
    """Shares of the labels before and after, how far they moved, and whether they collapsed into one."""
    before, after = sample.before.table, sample.after.table
    drift = compare_tables(before, after, seed=seed)
    one = _entropy(drift.before, len(before.categories))
    two = _entropy(drift.after, len(after.categories))
    lost = [
        label for label, p, q in zip(drift.labels, drift.before, drift.after, strict=True) if p >= 0.05 and q < 0.01
    ]
    fell = one is not None and two is not None and one > 0 and two < one / 2
    return {
        "labels": [list(row) for row in zip(drift.labels, drift.before, drift.after, strict=True)][:MOST_LABELS],
        "n": [drift.n_before, drift.n_after],
        "l_infinity": drift.l_infinity.as_json(),
        "l_infinity_label": drift.l_infinity_label,
        "js": drift.js.as_json(),
        "js_by_chance": drift.js_by_chance,
        "p": drift.chi_square.p,
        "entropy": [one, two],
        "collapsed": bool(fell or lost),
        "lost": lost,
        "rates": [_rates(sample.before), _rates(sample.after)],
        "unanimous": [_unanimous(before), _unanimous(after)],
    }


def _rates(reading: Reading) -> dict[str, Any]:
    labeled = sum(one.labeled for one in reading.answers.values())
    none = sum(one.cannot_label for one in reading.answers.values())
    marks = reading.marks
    marked = int((marks.value == 1).sum()) if marks is not None else 0
    return {
        "labeled": labeled,
        "cannot_label": none,
        "marked": marked,
        "cannot_share": none / (labeled + none) if labeled + none else None,
        "marked_share": marked / labeled if labeled else None,
    }


def _unanimous(table: RatingsTable) -> list[int]:
    """[items on which everyone agreed, items with two or more labels]."""
    p = table.patterns()
    two = p.per_item >= 2
    alike = two & (p.counts.max(axis=1, initial=0) == p.per_item)
    return [int(p.multiplicity[alike].sum()), int(p.multiplicity[two].sum())]


# ------------------------------------------------------------------------------------------------ stop or go on


def hint_for(
    rows: Sequence[Row],
    headline: str,
    *,
    delta_min: float,
    target: float | None,
    looks: int,
    rounds: int,
    most_rounds: int,
) -> tuple[StopHint | None, Row | None]:
    """The stop hint of the headline's alpha; affected items never reach this."""
    for row in rows:
        if row.sample == headline and row.coefficient == POOLED[0] and not (row.cohort or row.part):
            hint = stop_hint(
                row.change, delta_min=delta_min, after=row.after, target=target, looks=looks, rounds=rounds,
                most_rounds=most_rounds,
            )  # fmt: skip
            return hint, row
    return None, None


def only_items(reading: Reading, keep: npt.ArrayLike) -> Reading:
    """The reading for a mask of its items, or itself when nothing is left out."""
    mask = np.asarray(keep, np.bool_)
    return reading if mask.all() else reading.subset(items=mask)


def item_names(reading: Reading) -> set[int]:
    return set(names_as_ids(reading.table.items).tolist())
