"""Before and after: two batches' labels become one stored comparison, and looks at an unfinished one are counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from django.db import IntegrityError, transaction
from django.utils import timezone

from labeling import jobs
from labeling.access import Seat, hold_right, refuse_archived
from labeling.events import event, record
from labeling.hashing import sha256_json
from labeling.models import Batch, GuidelineVersion, Job, User
from labeling.project_settings import agreement_target, delta_min, most_rounds, planned_looks
from labeling.queries.version_chain import VersionChain
from labeling.refusals import Refusal
from labeling.vocabulary import BatchKind, ItemRole

from .gain_figures import (
    FRESH,
    RANDOM,
    WHOLE,
    Row,
    Sample,
    compare_merging,
    compare_sample,
    headline_of,
    hint_for,
    mapped,
    only_items,
    samples_of,
    told_distribution,
    told_flips,
)
from .models import AgreementEstimate, AgreementRun
from .queries.figures import CONFIDENCE, as_row, input_digest, is_fresh, key_of, question_of
from .queries.gains import GAIN_VERSION, looks_at, newest_comparison
from .queries.ratings import Reading, read_ratings
from .queries.references import Reference, references_of
from .queries.relabels import Progress, covers_whole, progress_of
from .statistics.agreement import coefficient
from .statistics.estimate import Estimate
from .statistics.hlp import measure_hlp
from .vocabulary import RunKind, Scope

ROWS_PER_INSERT = 200
LONGEST_HISTORY = 20


# ------------------------------------------------------------------------------------------------ asking


def comparison_for(
    *, by: Seat, child: Batch, now: datetime | None = None
) -> tuple[AgreementRun | None, Job | None, Progress]:
    """The newest comparison of a relabel batch with its parent, the job that brings it up to date, and the progress.

    A batch that is not finished is compared only when someone asks for a look: each look is one of a few planned ones.
    """
    now = now or timezone.now()
    hold_right(by.membership, "see_figures")
    progress = progress_of(child)
    found = newest_comparison(child)
    if not progress.complete or (found is not None and found.findings.get("complete") and is_fresh(found, now)):
        return found, None, progress
    return found, _enqueue(by, child), progress


def look_now(*, by: Seat, child: Batch, at: datetime | None = None) -> Job:
    """Compare a relabel batch that is not finished. Raises `no_look_left` when the planned looks are used up.

    The last planned look is kept for the finished batch.
    """
    at = at or timezone.now()
    hold_right(by.membership, "see_figures")
    refuse_archived(by.project)
    if child.parent is None:
        raise Refusal("no_parent", "This batch has no earlier one to be compared with.")
    most = planned_looks(child.project)
    if not progress_of(child).complete and looks_at(child) >= most - 1:
        raise Refusal(
            "no_look_left",
            f"{most - 1} of {most} planned looks are used; the last one is for the finished batch. More looks would "
            "find a gain where there is none.",
        )
    with transaction.atomic():
        record(event("looked", child, by=by.user, at=at, project=by.project))
        return _enqueue(by, child)


def _enqueue(by: Seat, child: Batch) -> Job:
    return jobs.enqueue(
        kind="measure_gain",
        by=by.user,
        project=child.project,
        dedup_key=f"measure_gain:{child.pk}",
        parameters={"batch": child.pk},
    )


@jobs.handles("measure_gain")
def measure_gain_job(run: jobs.JobRun) -> dict[str, Any]:
    child = Batch.objects.select_related("project", "guideline_version", "parent").get(pk=run.parameters["batch"])
    found = measure_gain(child, by=run.job.by, progress=run)
    return {"comparison": str(found.uuid)}


# ------------------------------------------------------------------------------------------------ measuring


def measure_gain(
    child: Batch, *, by: User | None = None, now: datetime | None = None, progress: jobs.JobRun | None = None
) -> AgreementRun:
    """Compare a batch with its parent where labels, gold or progress changed since; returns the run of the later arm."""
    now = now or timezone.now()
    parent = child.parent
    if parent is None:
        raise Refusal("no_parent", "This batch has no earlier one to be compared with.")
    state = progress_of(child)
    whole = covers_whole(parent, child)
    parameters = _parameters(child)
    digest = sha256_json(
        [
            input_digest([parent], RunKind.HLP),
            input_digest([child], RunKind.HLP),
            sorted(state.unfinished),
            list(state.never_came),
            whole,
            [str(batch.uuid) for batch in _lineage(child)],
        ]
    )
    question = question_of(RunKind.COMPARISON, [parent, child], {**parameters, "arm": "after"})
    known = AgreementRun.objects.filter(
        question_sha256=question, input_sha256=digest, code_version=GAIN_VERSION
    ).first()
    if known is not None:
        AgreementRun.objects.filter(pk=known.pk).update(checked_at=now)
        known.checked_at = now
        return known
    if progress is not None:
        progress.report(0, 3, "reading labels")
    sheet = _Comparison(parent, child, state, whole)
    if progress is not None:
        progress.report(1, 3, "comparing")
    rows = sheet.rows()
    findings = sheet.findings(rows, parameters, looks_at(child))
    if progress is not None:
        progress.report(2, 3, "history")
    findings["history"] = history_of(child)
    return _store(parent, child, parameters, question, digest, rows, findings, by=by, now=now)


def _parameters(child: Batch) -> dict[str, Any]:
    project = child.project
    return {
        "confidence": CONFIDENCE,
        "delta_min": delta_min(project),
        "target": agreement_target(project),
        "looks": planned_looks(project),
        "most_rounds": most_rounds(project),
    }


def _reader(batch: Batch, version: GuidelineVersion) -> Callable[[str], str]:
    """How the batch's labels read under the version."""
    chain = VersionChain(version)
    if not chain.holds(batch.guideline_version_id):
        return lambda label: label
    return lambda label: chain.reads(batch.guideline_version_id, label).key


class _Comparison:
    """The labels of both batches, cut to what is finished, and everything that is said about them."""

    def __init__(self, parent: Batch, child: Batch, state: Progress, whole: bool) -> None:
        self.parent, self.child, self.state, self.whole = parent, child, state, whole
        given, after = read_ratings([parent], retests=False), read_ratings([child], retests=False)
        if state.unfinished:
            after = only_items(after, ~np.isin(after.item_ids, np.array(sorted(state.unfinished), np.int64)))
        self.reads = _reader(parent, child.guideline_version)
        self.given, self.after = given, after
        self.before = mapped(given, self.reads)
        self.samples = samples_of(self.before, after, whole=whole)
        self.headline = headline_of(self.samples)

    def rows(self) -> list[Row]:
        found: list[Row] = []
        for sample in self.samples.values():
            if not sample.empty:
                found += compare_sample(sample, golds=self._golds(sample))
        if self.headline and self.before is not self.given:
            sample = self.samples[self.headline]
            found += compare_merging(self.given.with_items(sample.before.item_ids), sample.before, self.headline)
        return found

    def _golds(self, sample: Sample) -> list[tuple[Reference, Reference]]:
        """References of each origin that either version has; each arm is held against its own version's."""
        one, two = references_of(sample.before), references_of(sample.after)
        golds = []
        for origin in sorted({*one, *two}):
            old = one.get(origin) or Reference(origin, {}, {})
            new = two.get(origin) or Reference(origin, {}, {})
            labels = {item: self.reads(label) for item, label in old.labels.items()}
            golds.append((Reference(origin, labels, old.authors, old.left_out), new))
        return golds

    def findings(self, rows: Sequence[Row], parameters: dict[str, Any], looks: int) -> dict[str, Any]:
        headline = self.samples.get(self.headline)
        peeked = looks > 0 or not self.state.complete
        rounds = len(VersionChain(self.child.guideline_version).versions) - 1
        hint, row = hint_for(
            rows, self.headline, delta_min=parameters["delta_min"], target=parameters["target"],
            looks=parameters["looks"] if peeked else 1, rounds=rounds, most_rounds=parameters["most_rounds"],
        )  # fmt: skip
        chain = VersionChain(self.child.guideline_version)
        held = chain.holds(self.parent.guideline_version_id)
        merged = [
            [label, self.reads(label), chain.reads(self.parent.guideline_version_id, label).kind]
            for label in self.given.table.categories
            if held and self.reads(label) != label
        ]
        return {
            "complete": self.state.complete,
            "items": self.state.items,
            "done": self.state.done,
            "never_came": len(self.state.never_came),
            "cohorts_never_came": list(self.state.cohorts_never_came),
            "look": looks + (not self.state.complete),
            "whole": self.whole,
            "withdrawn": [self.given.withdrawn["items"], self.after.withdrawn["items"]],
            "headline": self.headline,
            "raters": row.change.raters if row is not None else "",
            "design": row.change.items if row is not None else "",
            "samples": {name: _told_sample(sample) for name, sample in self.samples.items()},
            "merged": merged,
            "exact": self.after.exact,
            "flips": {name: told_flips(one) for name, one in self.samples.items() if one.paired and not one.empty},
            "distribution": told_distribution(headline, seed=self.child.seed) if headline is not None else None,
            "rounds": rounds,
            "hint": None
            if hint is None or row is None
            else {
                "verdict": hint.verdict,
                "sentence": hint.sentence,
                "lower": hint.lower,
                "upper": hint.upper,
                "items_needed": hint.items_needed,
                "n": row.change.n_items,
                "peeked": peeked,
            },
        }


def _told_sample(sample: Sample) -> dict[str, Any]:
    return {
        "items_before": sample.before.table.n_items,
        "items_after": sample.after.table.n_items,
        "raters": len(set(sample.before.table.raters) & set(sample.after.table.raters)),
        "raters_before": sample.before.table.n_raters,
        "raters_after": sample.after.table.n_raters,
        "ratings": [sample.before.table.n_ratings, sample.after.table.n_ratings],
        "paired": sample.paired,
    }


# ------------------------------------------------------------------------------------------------ history


def _lineage(child: Batch) -> list[Batch]:
    """The batch and those it was labeled again from, oldest first."""
    found: list[Batch] = []
    current: Batch | None = child
    while current is not None and len(found) < LONGEST_HISTORY:
        found.append(current)
        current = (
            Batch.objects.select_related("project", "guideline_version").get(pk=current.parent_id)
            if current.parent_id is not None
            else None
        )
    return found[::-1]


def history_of(child: Batch) -> list[dict[str, Any]]:
    """Agreement of every version on the way here, on items that nobody selected; each batch by its own labels."""
    points = []
    for batch in _lineage(child):
        reading = read_ratings([batch], retests=False)
        state = None
        if batch.kind == BatchKind.RELABEL:
            state = progress_of(batch)
            if state.unfinished:
                left = np.array(sorted(state.unfinished), np.int64)
                reading = only_items(reading, ~np.isin(reading.item_ids, left))
            reading = unselected(batch, reading)
        figures = {"": coefficient(reading.table, "krippendorff_alpha", level=reading.level)}
        if len(reading.cohorts) > 1:
            for cohort in reading.cohorts:
                table = reading.cohort(cohort).table
                figures[cohort] = coefficient(table, "krippendorff_alpha", level=reading.level)
        points.append(
            {
                "version": batch.guideline_version.number,
                "batch": batch.name,
                "uuid": str(batch.uuid),
                "at": batch.opened_at.isoformat() if batch.opened_at is not None else None,
                "complete": state is None or state.complete,
                "done": reading.table.n_items if state is None else state.done,
                "items": reading.table.n_items if state is None else state.items,
                "figures": {name: one.as_json() for name, one in figures.items()},
                "hlp": {
                    cohort: measure_hlp(reading.cohort(cohort).table, permutations=0).leave_one_out.as_json()
                    for cohort in reading.cohorts
                },
            }
        )
    return points


def unselected(batch: Batch, reading: Reading) -> Reading:
    """The part of a relabel batch whose items were not chosen by their answers: whole, drawn at random, or else fresh."""
    if batch.parent is not None and covers_whole(batch.parent, batch):
        return only_items(reading, reading.role != ItemRole.FRESH)
    if (reading.role == ItemRole.NORMAL).any():
        return only_items(reading, reading.role == ItemRole.NORMAL)
    return only_items(reading, reading.role == ItemRole.FRESH)


# ------------------------------------------------------------------------------------------------ storing


def _key(row: Row) -> tuple[str, str]:
    key = key_of(sample=row.sample, cohort=row.cohort, label=row.label, part=row.part)
    if row.label:
        return Scope.LABEL, key
    if row.cohort:
        return Scope.COHORT, key
    return (Scope.BATCH if row.sample in (WHOLE, RANDOM, FRESH) else Scope.ROLE), key


def _store(
    parent: Batch,
    child: Batch,
    parameters: dict[str, Any],
    question: str,
    digest: str,
    rows: Sequence[Row],
    findings: dict[str, Any],
    *,
    by: User | None,
    now: datetime,
) -> AgreementRun:
    """Keep both arms as runs, the differences with the later one; of two that measured the same at once one is kept."""
    common: dict[str, Any] = {
        "project": child.project, "kind": RunKind.COMPARISON, "batches": [str(parent.uuid), str(child.uuid)],
        "code_version": GAIN_VERSION, "input_sha256": digest, "by": by, "at": now, "checked_at": now,
    }  # fmt: skip
    try:
        with transaction.atomic():
            before = AgreementRun.objects.create(
                batch=parent, parameters={**parameters, "arm": "before"},
                question_sha256=question_of(RunKind.COMPARISON, [parent, child], {**parameters, "arm": "before"}),
                **common,
            )  # fmt: skip
            after = AgreementRun.objects.create(
                batch=child, parameters={**parameters, "arm": "after"}, question_sha256=question, findings=findings,
                **common,
            )  # fmt: skip
            estimates: list[AgreementEstimate] = []
            for row in rows:
                scope, key = _key(row)
                told: dict[str, Any] = {"level": "nominal", "origin": row.origin}
                estimates.append(as_row(row.before, scope, key, row.coefficient, run=before, **told))
                estimates.append(as_row(row.after, scope, key, row.coefficient, run=after, **told))
                for suffix, one in (("", row.change.headline), (":in_general", _general(row))):
                    if one is not None:
                        name = f"{row.coefficient}{suffix}"
                        estimates.append(as_row(one, scope, key, name, run=after, compared_run=before, **told))
            AgreementEstimate.objects.bulk_create(estimates, batch_size=ROWS_PER_INSERT)
    except IntegrityError:
        after = AgreementRun.objects.get(question_sha256=question, input_sha256=digest, code_version=GAIN_VERSION)
    return after


def _general(row: Row) -> Estimate | None:
    """The difference for raters in general, where it stands beside one for these raters."""
    general = row.change.in_general
    return general if row.change.headline is not general and general.value is not None else None
