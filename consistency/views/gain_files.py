"""Before and after as CSV."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from labeling.formats.cells import csv_text
from labeling.views.decorators import member_page

from ..queries.gains import newest_comparison, rows_of
from .loop import child_of

FIGURE_COLUMNS = (
    "sample", "figure", "cohort", "label", "reference", "part", "before", "before_low", "before_high", "after",
    "after_low", "after_high", "change", "change_low", "change_high", "change_se", "general_low", "general_high",
    "items", "raters", "ratings", "method", "population", "undefined",
)  # fmt: skip


@member_page
@require_safe
def comparison_csv(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """Every figure of the newest comparison."""
    child, _ = child_of(request, slug, uuid)
    run = newest_comparison(child)
    rows = rows_of(run) if run is not None else []
    lines = []
    for row in rows:
        change, general = row.change, row.general
        lines.append(
            (
                row.sample, row.coefficient, row.cohort, row.label, row.origin, row.part, row.before.value, row.before.low,
                row.before.high, row.after.value, row.after.low, row.after.high, change.value, change.low, change.high,
                change.se, general.low if general else None, general.high if general else None, change.n_items,
                change.n_raters, change.n_ratings, change.method, change.population,
                row.before.undefined or row.after.undefined or change.undefined or "",
            )
        )  # fmt: skip
    return _csv(FIGURE_COLUMNS, lines, f"{slug}-before-after")


@member_page
@require_safe
def history_csv(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """Agreement over the versions on the way to this batch."""
    child, _ = child_of(request, slug, uuid)
    run = newest_comparison(child)
    lines = []
    for point in run.findings.get("history", []) if run is not None else []:
        for name, told in point["figures"].items():
            lines.append(
                (
                    point["version"], point["batch"], point["at"] or "", name or "all", told["value"], told["low"],
                    told["high"], told["n_items"], told["n_raters"], told["n_ratings"], point["complete"],
                    told["population"], told["undefined"] or "",
                )
            )  # fmt: skip
    columns = (
        "version", "batch", "opened", "cohort", "alpha", "low", "high", "items", "raters", "ratings", "complete",
        "population", "undefined",
    )  # fmt: skip
    return _csv(columns, lines, f"{slug}-versions")


def _csv(columns: Any, lines: Any, name: str) -> HttpResponse:
    response = HttpResponse(csv_text(columns, lines), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}-{timezone.now():%Y-%m-%d}.csv"'
    return response
