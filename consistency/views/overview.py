"""The overview on a project's page, and a rater's own figures on theirs."""

from __future__ import annotations

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse

from labeling.access import Seat
from labeling.models import Batch, Membership, Project
from labeling.vocabulary import BatchStatus, JobStatus

from ..measuring import figures_for, measure_batch, parameters_of
from ..queries.figures import figures_of, newest_run
from ..vocabulary import RunKind, Scope
from . import overview_pieces as pieces
from .figure_rows import age_words, figure
from .figures import groups_of, pairs


def show_on_project(request: HttpRequest, seat: Seat, project: Project) -> str:
    """The piece on the project's page; nothing until a batch was opened."""
    if not seat.holds("see_figures"):
        return ""
    found = pieces.overview_of(seat)
    if not found.measured:
        return ""
    newest = found.measured[-1]
    run, job = figures_for(by=seat, batch=newest.batch)
    for older in found.measured[:-1]:
        if older.agreement is None:  # nobody has looked at its figures yet, and the chart needs them
            measure_batch(by=seat, batch=older.batch)
    if run is not None and (newest.agreement is None or newest.agreement.run.pk != run.pk):
        found = pieces.overview_of(seat)
    first = run is None and job is not None and job.status != JobStatus.FAILED
    context = {
        "project": project,
        "age": age_words(run, found.now) if run is not None else "",
        "measuring": job is not None and not first,
        "first": first,
        "url": reverse("labeling:project", args=[project.slug]),
        "lead": pieces.lead(found, first=first),
        "stats": pieces.stats(found),
        "progress": pieces.progress(found),
        "cost": pieces.cost(found),
        "agreement": pieces.over_versions(found, "agreement"),
        "hlp": pieces.over_versions(found, "hlp"),
        "meetings": pieces.meetings(found),
        "waiting": pieces.waits(found),
        "pairs": pairs(found.newest.agreement, found.names) if found.newest and found.newest.agreement else None,
        "raters": pieces.raters(found),
        "newest": found.newest.batch if found.newest else None,
        "figures_url": reverse("consistency:figures", args=[project.slug, found.newest.batch.uuid])
        if found.newest
        else "",
    }
    return render_to_string("consistency/overview.html", context, request=request)


def show_own(request: HttpRequest, seat: Seat, batch: Batch) -> str:
    """A rater's own figures above their answers in a closed batch: nobody else's, and nothing while others still answer."""
    if batch.status != BatchStatus.CLOSED:
        return ""
    run = newest_run(batch, RunKind.AGREEMENT, parameters_of(batch, RunKind.AGREEMENT))
    if run is None:
        return ""
    found = figures_of(run)
    member: Membership = seat.membership
    rows = []
    for key in groups_of(found):
        narrowed = {**key, "rater": str(member.uuid)}
        about = found.said("speed", {}, **key).get("raters", {}).get(str(member.uuid))
        if about is None or not found.has("agreement_with_others", Scope.RATER, **narrowed):
            continue
        rows.append(
            {
                "labels": about["labels"],
                "usual": f"{about['usual']:.1f} s" if about["usual"] is not None else "not known",
                "others": figure(found.get("agreement_with_others", Scope.RATER, **narrowed), as_percent=True),
                "again": figure(found.get("self_agreement", Scope.RATER, **narrowed), as_percent=True)
                if found.has("self_agreement", Scope.RATER, **narrowed)
                else None,
                "role": key.get("role", ""),
            }
        )
    return render_to_string("consistency/own_figures.html", {"rows": rows}, request=request) if rows else ""
