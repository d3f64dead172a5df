"""The tables of the overview as CSV."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from labeling import access
from labeling.formats.cells import csv_text
from labeling.refusals import NotSeen
from labeling.views.decorators import member_page, person
from labeling.vocabulary import Cohort

from ..queries.overview import currency
from ..vocabulary import Scope
from .figures import groups_of
from .overview_pieces import Overview, cost, figure_over, overview_of, raters

TABLES = ("progress", "cost", "agreement", "hlp", "confusion", "waiting", "pairs", "raters")


@member_page
@require_safe
def overview_csv(request: HttpRequest, slug: str, table: str) -> HttpResponse:
    """One table of the overview as CSV."""
    seat = access.project_for(person(request), slug, "see_figures")
    if table not in TABLES:
        raise NotSeen("not_found", "There is no such file for you.")
    header, rows = table_of(overview_of(seat, stable=not seat.holds("identify_raters")), table)
    response = HttpResponse(csv_text(header, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug}-{table}.csv"'
    return response


def table_of(found: Overview, table: str) -> tuple[list[str], list[list[Any]]]:
    """(header, rows) of one of TABLES, with plain numbers."""
    if table in ("agreement", "hlp"):
        rows = []
        for one in found.measured:
            for cohort in Cohort.values:
                estimate, kind = figure_over(one, cohort, table)
                if estimate is not None:
                    rows.append(
                        [
                            str(one.batch.guideline_version), one.batch.name, one.batch.status, cohort, kind, estimate.value,
                            estimate.low, estimate.high, estimate.n_items, estimate.n_raters, estimate.n_ratings,
                            estimate.undefined,
                        ]
                    )  # fmt: skip
        kind_name = "role" if table == "agreement" else "kind"
        return [
            "definition",
            "batch",
            "status",
            "cohort",
            kind_name,
            "value",
            "low",
            "high",
            "items",
            "raters",
            "ratings",
            "undefined",
        ], rows
    if table == "progress":
        return ["batch", "cohort", "done", "total", "left", "answers_a_day", "filled_by"], [
            [
                f.batch.name,
                f.progress.cohort,
                f.progress.done,
                f.progress.total,
                f.left,
                round(f.a_day, 2),
                f.ready.isoformat() if f.ready else "",
            ]
            for f in found.forecasts
        ]
    if table == "waiting":
        return ["waited", "cases"], [[name, n] for name, n in found.waiting.ages]
    if table == "cost":
        given = cost(found)
        return ["cohort", "role", "currency", "cost_per_label", "pairs_agree", "cost_per_agreed_label", "usual_seconds"], [
            [r["cohort"], r["role"], currency(found.project), *(r["plain"][name] for name in ("price", "share", "agreed", "usual"))]
            for r in (given["rows"] if given else ())
        ]  # fmt: skip
    if table == "raters":
        everyone = raters(found)
        return ["rater", "cohort", "role", "labels", "coverage", "usual_seconds", "agreement_with_others", "against_gold", "gold_origin", "self_agreement"], [
            [
                r["name"], r["cohort"], r["role"], r["labels"], *(r["plain"][name] for name in ("coverage", "usual", "others", "gold")),
                r["origin"], r["plain"]["again"],
            ]
            for r in (everyone["all"] if everyone else ())
        ]  # fmt: skip
    newest = found.newest.agreement if found.newest else None
    if table == "pairs":
        rows = []
        for key in newest.keys(Scope.RATER_PAIR, "percent_agreement") if newest else ():
            share = newest.get("percent_agreement", Scope.RATER_PAIR, **key) if newest else None
            kappa = newest.get("cohen_kappa", Scope.RATER_PAIR, **key) if newest else None
            if share is not None and kappa is not None:
                rows.append(
                    [
                        found.names(key["a"]),
                        found.names(key["b"]),
                        key.get("role", ""),
                        share.n_items,
                        share.value,
                        share.low,
                        share.high,
                        kappa.value,
                    ]
                )
        return ["a", "b", "role", "items", "percent_agreement", "low", "high", "cohen_kappa"], rows
    rows = []
    for key in [k for k in groups_of(newest) if "cohort" in k] if newest else ():
        said = newest.said("meetings", None, **key) if newest else None
        labels = [*said["labels"], "cannot_label"] if said else []
        rows += [
            [key["cohort"], key.get("role", ""), labels[i], labels[j], said["pairs"][i][j]]
            for i in range(len(labels))
            for j in range(i, len(labels))
            if said
        ]
    return ["cohort", "role", "label", "other", "pairs"], rows
