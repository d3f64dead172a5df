"""Where items do not show enough: what to improve before people label, as a page and as CSV."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from labeling import access
from labeling.access import Seat
from labeling.formats.cells import csv_text
from labeling.models import Batch
from labeling.refusals import NotSeen, Refusal
from labeling.views.decorators import member_page, person
from labeling.views.navigation import project_context

from ..comparing import KINDS
from ..input_reporting import report_for
from ..offline.numbers import percent
from ..queries.input_report import Group, InputReport
from .figures import age_piece, freshness

COLUMNS = ("kind", "where", "items", "affected", "share", "low", "high", "elsewhere")


def _batch(seat: Seat, raw: str) -> Batch | None:
    """The batch that is asked for, or the newest one that was opened."""
    rows = Batch.objects.select_related("project", "guideline_version").filter(project=seat.project, kind__in=KINDS)
    rows = rows.exclude(status__in=("draft", "opening")).order_by("-pk")
    if raw:
        try:
            found = rows.filter(uuid=UUID(raw)).first()
        except ValueError:
            found = None
        if found is None:
            raise NotSeen("not_found", "There is no such batch in this project.")
        return found
    return rows.first()


def sentence(report: InputReport) -> str:
    """What the page says on top."""
    if not report.items:
        return "Nobody has answered an item of this batch yet."
    if not report.affected:
        return f"Everyone found enough to decide in each of the {report.items} items answered."
    worst = report.headline
    words = f"{report.affected} of {report.items} items did not show enough to somebody."
    if worst is None:
        return f"{words} No part of them stands out; too few to say, or spread evenly."
    rest = report.items - worst.items
    return (
        f"{words} Most stand under {worst.words}: {worst.affected} of {worst.items} items ({percent(worst.share, 0)}); "
        f"elsewhere {report.affected - worst.affected} of {rest}."
    )


@member_page
@require_safe
def input_report_page(request: HttpRequest, slug: str) -> HttpResponse:
    seat = access.project_for(person(request), slug, "see_figures")
    batch = _batch(seat, request.GET.get("batch", ""))
    context: dict[str, Any] = {"batch": batch}
    if batch is None:
        return render(request, "consistency/input_report.html", project_context(seat, "consistency:bench", **context))
    run, job = report_for(by=seat, batch=batch)
    context |= freshness(batch, run, job) | {"extra": f"batch={batch.uuid}"}
    if request.GET.get("part") == "age":
        return age_piece(request, seat, run, context)
    if run is not None:
        report = InputReport.of_json(run.findings)
        context |= {
            "report": report,
            "says": sentence(report),
            "groups": [_shown(group) for group in report.groups],
            "pairs": [_shown(group) for group in report.pairs],
        }
    return render(request, "consistency/input_report.html", project_context(seat, "consistency:bench", **context))


@member_page
@require_safe
def input_report_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """The same numbers for a spreadsheet."""
    seat = access.project_for(person(request), slug, "see_figures")
    batch = _batch(seat, request.GET.get("batch", ""))
    if batch is None:
        raise NotSeen("not_found", "There is no batch to report on yet.")
    run, _ = report_for(by=seat, batch=batch)
    if run is None:
        raise Refusal("not_counted_yet", "The answers are being counted for the first time. Try again in a moment.")
    report = InputReport.of_json(run.findings)
    rows = [
        [kind, *_row(group)]
        for kind, groups in (
            ("all", [report.overall] if report.overall else []),
            ("one", report.groups),
            ("two", report.pairs),
        )
        for group in groups
    ]
    response = HttpResponse(csv_text(COLUMNS, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="improve-the-input.csv"'
    return response


def _shown(group: Group) -> dict[str, Any]:
    """A group as a row of the page: numbers in words."""
    return {
        "words": group.words,
        "affected": group.affected,
        "items": group.items,
        "share": f"{group.share:.1%}".replace("%", " %"),
        "interval": f"[{100 * group.low:.1f}, {100 * group.high:.1f}]",
        "elsewhere": "no others" if group.elsewhere is None else f"{group.elsewhere:.1%}".replace("%", " %"),
        "stands_out": group.stands_out,
    }


def _row(group: Group) -> list[Any]:
    words = "; ".join(f"{name}={value}" for name, value in group.where)
    shares = [group.share, group.low, group.high, group.elsewhere]
    return [words, group.items, group.affected, *("" if share is None else f"{share:.4f}" for share in shares)]
