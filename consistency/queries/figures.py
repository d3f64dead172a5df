"""Stored figures: the newest run of a question, its estimates as the statistics made them, and how old they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max

from labeling.hashing import canonical_json, sha256_json
from labeling.models import Annotation, Batch, Exclusion, Gold, ImportRun, Item, ItemTag, Prediction
from labeling.vocabulary import RunStatus

from ..models import AgreementEstimate, AgreementRun, Slice
from ..statistics.estimate import Estimate
from ..vocabulary import RunKind, Scope

# Raise it when a figure changes its meaning: runs of older code are then measured again.
CODE_VERSION = "figures-3"
FRESH = timedelta(seconds=60)
CONFIDENCE = 0.95


def question_of(kind: str, batches: Sequence[Batch], parameters: Mapping[str, Any]) -> str:
    """The digest of what is asked."""
    return sha256_json({"kind": str(kind), "batches": [str(b.uuid) for b in batches], "parameters": dict(parameters)})


def input_digest(batches: Sequence[Batch], kind: str) -> str:
    """The digest of what a run reads, without reading it.

    Ledger rows are sealed: they are added and, but for whole imports that are taken back before they count, never
    change or leave. So the number of a batch's annotations and their highest id name their state; the same holds for
    gold and predictions. What can change beside them is listed whole: who is set aside, slices, tags and items.
    """
    project = batches[0].project_id
    ids = [batch.pk for batch in batches]
    state: dict[str, Any] = {
        "annotations": _state(Annotation.objects.filter(assignment__batch__in=ids)),
        "set_aside": sorted(
            Exclusion.objects.filter(lifted_at__isnull=True, member__project=project).values_list("pk", flat=True)
        )
        + sorted(
            -pk
            for pk in Exclusion.objects.filter(lifted_at__isnull=True, assignment__batch__in=ids).values_list(
                "pk", flat=True
            )
        ),
        "slices": [
            [key, canonical_json(given)]
            for key, given in Slice.objects.filter(project=project).order_by("key").values_list("key", "filter")
        ],
        "withdrawn": Item.objects.filter(project=project, withdrawn_at__isnull=False).count(),
    }
    if state["slices"] or kind == RunKind.INPUT:
        # Metadata is corrected by imports only.
        state["items"] = [
            _state(Item.objects.filter(project=project)),
            _state(ImportRun.objects.filter(project=project, status=RunStatus.DONE)),
            _state(ItemTag.objects.filter(item__project=project)),
            ItemTag.objects.filter(item__project=project, removed_at__isnull=False).count(),
        ]
    if kind == RunKind.HLP:
        state["gold"] = _state(Gold.objects.filter(item__project=project))
        state["predictions"] = _state(Prediction.objects.filter(item__project=project))
    return sha256_json(state)


def _state(rows: Any) -> list[int]:
    found = rows.order_by().aggregate(n=Count("pk"), highest=Max("pk"))
    return [found["n"], found["highest"] or 0]


def newest_run(batch: Batch, kind: str, parameters: Mapping[str, Any]) -> AgreementRun | None:
    """The newest run of that question by this code, or None."""
    return (
        AgreementRun.objects.filter(question_sha256=question_of(kind, [batch], parameters), code_version=CODE_VERSION)
        .order_by("-pk")
        .first()
    )


def is_fresh(run: AgreementRun, now: datetime) -> bool:
    return now - run.checked_at < FRESH


# ------------------------------------------------------------------------------------------------ scopes


def key_of(**parts: str) -> str:
    """A scope key: sorted JSON of what narrows the figure, as {"cohort": …, "label": …}.

    >>> key_of(label="yes", cohort="expert", slice="")
    '{"cohort":"expert","label":"yes"}'
    """
    return canonical_json({name: value for name, value in parts.items() if value})


@dataclass
class Sheet:
    """Figures being collected for a run, each once, with what is said in words beside them."""

    level: str
    rows: list[AgreementEstimate] = field(default_factory=list)
    findings: dict[str, Any] = field(default_factory=dict)

    def add(
        self, scope: str, key: str, coefficient: str, figure: Estimate, *, origin: str = "", level: str = ""
    ) -> None:
        self.rows.append(as_row(figure, scope, key, coefficient, level=level or self.level, origin=origin))

    def say(self, topic: str, key: str, what: Any) -> None:
        self.findings.setdefault(topic, {})[key] = what


def as_row(
    figure: Estimate,
    scope: str,
    key: str,
    coefficient: str,
    *,
    level: str,
    origin: str = "",
    run: AgreementRun | None = None,
    compared_run: AgreementRun | None = None,
) -> AgreementEstimate:
    """An unsaved row of a figure."""
    return AgreementEstimate(
        run=run,
        scope=scope,
        scope_key=key,
        compared_run=compared_run,
        coefficient=coefficient,
        level=level,
        method=figure.method,
        population=figure.population,
        reference_origin=origin,
        excluded=dict(figure.excluded),
        value=figure.value,
        low=figure.low,
        high=figure.high,
        se=figure.se,
        se_items=figure.se_items,
        se_raters=figure.se_raters,
        items=figure.n_items,
        raters=figure.n_raters,
        ratings=figure.n_ratings,
        undefined_reason=figure.undefined or "",
        notes=list(figure.notes),
    )


def as_estimate(row: AgreementEstimate, confidence: float = CONFIDENCE) -> Estimate:
    """The figure of a stored row."""
    return Estimate(
        value=row.value,
        low=row.low,
        high=row.high,
        se=row.se,
        se_items=row.se_items,
        se_raters=row.se_raters,
        level=confidence,
        method=row.method or "none",
        population=row.population,
        n_items=row.items,
        n_raters=row.raters,
        n_ratings=row.ratings,
        excluded=row.excluded,
        undefined=row.undefined_reason or None,
        notes=tuple(row.notes),
    )


NOT_MEASURED = Estimate.missing("this was not measured")


@dataclass(frozen=True, eq=False)
class Figures:
    """All figures of one run, found by scope, key and coefficient."""

    run: AgreementRun
    rows: Mapping[tuple[str, str, str, str], Estimate]

    def get(self, coefficient: str, scope: str = Scope.COHORT, *, origin: str = "", **key: str) -> Estimate:
        """The figure; one that says it was not measured where the run has none."""
        return self.rows.get((scope, key_of(**key), coefficient, origin), NOT_MEASURED)

    def has(self, coefficient: str, scope: str = Scope.COHORT, *, origin: str = "", **key: str) -> bool:
        return (scope, key_of(**key), coefficient, origin) in self.rows

    def keys(self, scope: str, coefficient: str, *, origin: str | None = None) -> Iterator[dict[str, str]]:
        """Scope keys with that coefficient, in stored order."""
        for found, key, name, source in self.rows:
            if found == scope and name == coefficient and (origin is None or source == origin):
                yield json.loads(key)

    def origins(self, coefficient: str = "against_gold") -> list[str]:
        """Origins of references that the run has figures for, in stored order."""
        return list(dict.fromkeys(source for _, _, name, source in self.rows if name == coefficient and source))

    def said(self, topic: str, default: Any = None, **key: str) -> Any:
        """What the run says in words about a topic."""
        return (self.run.findings.get(topic) or {}).get(key_of(**key), default)


def figures_of(run: AgreementRun) -> Figures:
    """The run with its figures; one query."""
    confidence = float(run.parameters.get("confidence", CONFIDENCE))
    rows: Iterable[AgreementEstimate] = run.estimates.filter(compared_run__isnull=True).order_by("pk")
    return Figures(
        run,
        {(r.scope, r.scope_key, r.coefficient, r.reference_origin): as_estimate(r, confidence) for r in rows},
    )
