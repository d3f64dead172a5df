"""Stored comparisons: the newest of a batch, its rows side by side, how often an unfinished one was looked at."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from labeling.models import Batch, Project
from labeling.vocabulary import BatchKind

from ..models import AgreementEstimate, AgreementRun
from ..statistics.estimate import Estimate
from ..vocabulary import RunKind
from .figures import as_estimate

# Raise it when a comparison changes its meaning: runs of older code are then measured again.
GAIN_VERSION = "gains-1"


@dataclass(frozen=True)
class Compared:
    """One line: before, after and difference, as stored. `general`: the difference for raters in general, or None."""

    sample: str
    coefficient: str
    cohort: str
    label: str
    origin: str
    part: str
    before: Estimate
    after: Estimate
    change: Estimate
    general: Estimate | None


def newest_comparison(child: Batch) -> AgreementRun | None:
    """The newest comparison of a batch with its parent, by this code."""
    return (
        AgreementRun.objects.filter(kind=RunKind.COMPARISON, batch=child, code_version=GAIN_VERSION)
        .filter(parameters__arm="after")
        .order_by("-pk")
        .first()
    )


def looks_at(child: Batch) -> int:
    """How many states of the unfinished batch were looked at."""
    runs = AgreementRun.objects.filter(kind=RunKind.COMPARISON, batch=child, parameters__arm="after")
    return len({digest for digest, told in runs.values_list("input_sha256", "findings") if not told.get("complete")})


def rows_of(run: AgreementRun) -> list[Compared]:
    """Every line of a comparison, in stored order; two queries."""
    rows = list(run.estimates.order_by("pk"))
    arm = next((row.compared_run_id for row in rows if row.compared_run_id is not None), None)
    before: Iterable[AgreementEstimate] = (
        AgreementEstimate.objects.filter(run_id=arm, compared_run__isnull=True) if arm is not None else ()
    )
    index = lambda row: (row.scope, row.scope_key, row.coefficient, row.reference_origin)  # noqa: E731
    old = {index(row): row for row in before}
    changes = {index(row): row for row in rows if row.compared_run_id is not None}
    found = []
    for row in rows:
        if row.compared_run_id is not None or index(row) not in old or index(row) not in changes:
            continue
        key = json.loads(row.scope_key)
        scope, scope_key, name, origin = index(row)
        general = changes.get((scope, scope_key, f"{name}:in_general", origin))
        found.append(
            Compared(
                sample=key.get("sample", ""), coefficient=name, cohort=key.get("cohort", ""),
                label=key.get("label", ""), origin=origin, part=key.get("part", ""),
                before=as_estimate(old[index(row)]), after=as_estimate(row), change=as_estimate(changes[index(row)]),
                general=as_estimate(general) if general is not None else None,
            )
        )  # fmt: skip
    return found


def relabel_batches(project: Project) -> list[Batch]:
    """The project's batches that can be compared with an earlier one, newest first."""
    rows = Batch.objects.filter(project=project, kind=BatchKind.RELABEL, parent__isnull=False)
    return list(rows.select_related("project", "guideline_version", "parent__guideline_version").order_by("-pk")[:50])
