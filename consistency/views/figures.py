"""The figures of a batch: agreement within and between cohorts, and what narrows them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from labeling.access import Seat
from labeling.models import Batch, Job
from labeling.refusals import NotSeen
from labeling.views.batches import batch_and_seat
from labeling.views.decorators import member_page
from labeling.views.navigation import project_context
from labeling.vocabulary import BatchStatus, JobStatus

from ..agreement_figures import HEADLINES, ROLE_WORDS
from ..measuring import figures_for
from ..models import AgreementRun
from ..offline.drawing import axis_for, heat_step
from ..offline.numbers import count, interval, number, percent, plural
from ..queries.figures import Figures, figures_of
from ..statistics.estimate import Estimate
from ..vocabulary import RunKind, Scope
from .figure_rows import (
    COEFFICIENTS,
    Names,
    age_words,
    cohort_word,
    figure,
    figures_csv,
    plotted,
    true_minus,
    unique_reasons,
)

ALPHA = "krippendorff_alpha"
MOST_RATERS = 60


@member_page
@require_safe
def figures(request: HttpRequest, slug: str, uuid: UUID) -> HttpResponse:
    """Agreement of a batch. `pooled=1`: all cohorts together as well. `part=age`: the piece that says how old it is."""
    batch, seat = batch_and_seat(request, slug, uuid, "see_figures")
    if request.GET.get("part") == "panel":
        return HttpResponse(show_on_batch(request, seat, batch))
    pooled = request.GET.get("pooled") == "1"
    run, job = figures_for(by=seat, batch=batch, pooled=pooled)
    context = freshness(batch, run, job)
    context["pooled"] = pooled
    if request.GET.get("part") == "age":
        return age_piece(request, seat, run, context)
    context = project_context(seat, "batches", batch=batch, tab="figures", **context)
    if run is not None:
        context |= page_of(figures_of(run), Names(seat))
    return render(request, "consistency/figures.html", context)


def freshness(batch: Batch, run: AgreementRun | None, job: Job | None) -> dict[str, Any]:
    """How old figures are, whether they are being measured, and when to ask again."""
    waits = job is not None and job.status in (JobStatus.QUEUED, JobStatus.RUNNING)
    every = "every 2s" if run is None or waits else "every 20s" if batch.status == BatchStatus.OPEN else ""
    return {
        "run": run,
        "age": age_words(run, timezone.now()) if run is not None else "",
        "job": job,
        "failed": job is not None and job.status == JobStatus.FAILED,
        "poll": every,
        "is_draft": batch.status in (BatchStatus.DRAFT, BatchStatus.OPENING),
    }


def age_piece(request: HttpRequest, seat: Seat, run: AgreementRun | None, context: dict[str, Any]) -> HttpResponse:
    """The age alone; where newer figures are there than those shown, the page is loaded again."""
    response = render(request, "consistency/figures/age.html", {**context, "url": request.path})
    if run is not None and request.GET.get("run", "") != str(run.uuid):
        response["HX-Refresh"] = "true"
    return response


@member_page
@require_safe
def batch_figures_csv(request: HttpRequest, slug: str, uuid: UUID, kind: str) -> HttpResponse:
    """Every stored figure of the batch as CSV: `agreement` or `hlp`."""
    batch, seat = batch_and_seat(request, slug, uuid, "see_figures")
    if kind not in (RunKind.AGREEMENT, RunKind.HLP):
        raise NotSeen("not_found", "There is no such file for you.")
    pooled = request.GET.get("pooled") == "1"
    run, _ = figures_for(by=seat, batch=batch, kind=kind, pooled=pooled and kind == RunKind.AGREEMENT)
    rows = run.estimates.order_by("pk").iterator(chunk_size=500) if run is not None else ()
    response = HttpResponse(figures_csv(rows, Names(seat, stable=True)), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug}-{batch.pk}-{kind}.csv"'
    return response


# ------------------------------------------------------------------------------------------------ the page


def page_of(found: Figures, names: Names) -> dict[str, Any]:
    """Everything the page shows of a run."""
    groups = groups_of(found)
    return {
        "lead": lead(found, groups),
        "within": within(found, groups),
        "every": [_every(found, group) for group in groups],
        "between": between(found),
        "labels": labels(found, groups),
        "slices": _narrowed(found, Scope.SLICE, "slice"),
        "roles": _roles(found),
        "raters": raters(found, groups, names),
        "pairs": pairs(found, names),
        "marks": [_marks(found, group) for group in groups if _marks(found, group) is not None],
        "left_out": left_out(found.run.findings.get("left_out", {})),
    }


def groups_of(found: Figures) -> list[dict[str, str]]:
    """Scope keys of the figures that stand by themselves: cohorts, or cohorts by role, and all raters where asked for."""
    groups = list(found.keys(Scope.COHORT, ALPHA))
    if not groups:
        groups = [key for key in found.keys(Scope.ROLE, ALPHA) if "cohort" in key]
    pooled = [*found.keys(Scope.BATCH, ALPHA), *(k for k in found.keys(Scope.ROLE, ALPHA) if "cohort" not in k)]
    return [*groups, *pooled]


def scope_of(key: dict[str, str]) -> str:
    return Scope.ROLE if "role" in key else Scope.COHORT if "cohort" in key else Scope.BATCH


def group_name(key: dict[str, str]) -> str:
    """“Experts”, “All raters”, “Experts, fresh sample”."""
    who = cohort_word(key["cohort"]) if "cohort" in key else "All raters"
    return f"{who}, {key['role']} items" if "role" in key else who


def headline(found: Figures, key: dict[str, str], name: str = ALPHA) -> Estimate:
    return found.get(name, scope_of(key), **key)


def lead(found: Figures, groups: list[dict[str, str]]) -> str:
    """The sentence a reader takes away."""
    if not groups:
        return "There are no labels yet, so there is nothing to compare."
    known = [(group_name(key), headline(found, key), headline(found, key, "percent_agreement")) for key in groups]
    defined = [one for one in known if one[1].value is not None]
    if not defined:
        reason = known[0][1].undefined or ""
        return f"Agreement cannot be measured yet: {reason}."
    parts = [
        f"{name} agree on {percent(share.value)} of the items (α {number(alpha.value)} {interval(alpha)})"
        for name, alpha, share in defined
    ]
    return f"{'; '.join(parts)}."


def within(found: Figures, groups: list[dict[str, str]]) -> dict[str, Any]:
    axis = axis_for([headline(found, key) for key in groups])
    rows = []
    for key in groups:
        alpha = headline(found, key)
        share, ac = headline(found, key, "percent_agreement"), headline(found, key, "gwet_ac")
        rows.append(
            plotted(
                axis, group_name(key), alpha, cohort=key.get("cohort", ""), percent=figure(share, as_percent=True),
                ac=figure(ac), role=ROLE_WORDS.get(key.get("role", ""), ""),  # type: ignore[call-overload]
                cannot=figure(headline(found, key, "cannot_label_rate"), as_percent=True),
                self_agreement=figure(headline(found, key, "self_agreement"), as_percent=True)
                if found.has("self_agreement", scope_of(key), **key)
                else None,
            )
        )  # fmt: skip
    populations = list(dict.fromkeys(row["population"] for row in rows if row["population"]))
    notes = list(dict.fromkeys(note for row in rows for note in row["notes"]))
    return {
        "axis": axis,
        "rows": rows,
        "populations": populations,
        "notes": notes,
        "has_self": any(row["self_agreement"] for row in rows),
    }


def _every(found: Figures, key: dict[str, str]) -> dict[str, Any]:
    names = [name for name in COEFFICIENTS if found.has(name, scope_of(key), **key)]
    axis = axis_for([headline(found, key, name) for name in names])
    rows = [
        plotted(axis, COEFFICIENTS[name], headline(found, key, name), cohort=key.get("cohort", "")) for name in names
    ]
    return {
        "name": group_name(key),
        "axis": axis,
        "rows": [row for row in rows if row["value"]],
        "reasons": unique_reasons(rows),
    }


def between(found: Figures) -> list[dict[str, Any]]:
    rows = []
    for key in found.keys(Scope.COHORT_PAIR, "xrr"):
        said = found.said("between", {}, **key)

        def get(name: str, key: dict[str, str] = key) -> Estimate:
            return found.get(name, Scope.COHORT_PAIR, **key)

        sentence = said.get("sentence", "")
        for cohort in (key["a"], key["b"]):
            sentence = sentence.replace(cohort, cohort_word(cohort).lower())
        rows.append(
            {
                "a": key["a"], "b": key["b"], "role": key.get("role", ""),
                "xrr": figure(get("xrr")), "normalised": figure(get("normalised_xrr")), "gai_a": figure(get("gai_a")),
                "gai_b": figure(get("gai_b")), "d": figure(get("d")), "flips": figure(get("flips"), as_percent=True),
                "p": number(said["p"], 3) if said.get("p") is not None else "",
                "floor": number(said["floor"], 3) if said.get("floor") is not None else "",
                "sentence": true_minus(sentence[:1].upper() + sentence[1:]),
            }
        )  # fmt: skip
    return rows


def labels(found: Figures, groups: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Per group: how often a second rater gives the label too."""
    names = (
        {label.key: label.name for label in found.run.batch.guideline_version.labels.all()} if found.run.batch else {}
    )
    tables = []
    for group in groups:
        keys = [key for key in found.keys(Scope.LABEL, "specific_agreement") if _is_of(key, group, "label")]
        if not keys:
            continue
        figures = {key["label"]: found.get("specific_agreement", Scope.LABEL, **key) for key in keys}
        axis = axis_for(figures.values(), as_percent=True)
        given = found.said("label_counts", {}, **group)
        total = sum(given.values()) or 1
        rows = [
            plotted(
                axis, names.get(key["label"], key["label"]), figures[key["label"]], cohort=group.get("cohort", ""),
                as_percent=True, kappa=figure(found.get("label_kappa", Scope.LABEL, **key)),
                count=count(given[key["label"]]) if key["label"] in given else "",
                share=percent(given[key["label"]] / total) if key["label"] in given else "",
            )
            for key in keys
        ]  # fmt: skip
        tables.append({"name": group_name(group), "axis": axis, "rows": rows})
    return tables


def _is_of(key: dict[str, str], group: dict[str, str], extra: str) -> bool:
    return {name: value for name, value in key.items() if name != extra} == group


def _narrowed(found: Figures, scope: str, name: str) -> list[dict[str, Any]]:
    keys = list(found.keys(scope, ALPHA))
    axis = axis_for([found.get(ALPHA, scope, **key) for key in keys])
    names = _slice_names(found) if name == "slice" else {}
    rows = [
        plotted(
            axis, names.get(key[name], key[name]), found.get(ALPHA, scope, **key), cohort=key["cohort"],
            who=cohort_word(key["cohort"]), role=key.get("role", "") if name != "role" else "",
            percent=figure(found.get("percent_agreement", scope, **key), as_percent=True),
        )
        for key in keys
    ]  # fmt: skip
    return [{"axis": axis, "rows": rows}] if rows else []


def _slice_names(found: Figures) -> dict[str, str]:
    from ..queries.slices import slices_of

    return {one.key: one.name for one in slices_of(found.run.project)}


def _roles(found: Figures) -> list[dict[str, Any]]:
    """By role, where the batch's own figures are not by role already."""
    if not list(found.keys(Scope.COHORT, ALPHA)):
        return []
    return _narrowed(found, Scope.ROLE, "role")


def raters(found: Figures, groups: list[dict[str, str]], names: Names) -> dict[str, Any]:
    """Each rater beside the others of their cohort."""
    rows = []
    for group in groups:
        for key in found.keys(Scope.RATER, "agreement_with_others"):
            if not _is_of(key, group, "rater"):
                continue
            one = found.get("agreement_with_others", Scope.RATER, **key)
            again = (
                found.get("self_agreement", Scope.RATER, **key)
                if found.has("self_agreement", Scope.RATER, **key)
                else None
            )
            rows.append((one, key, again))
    rows.sort(key=lambda row: (-row[0].n_items, names(row[1]["rater"])))
    shown = rows[:MOST_RATERS]
    axis = axis_for([one for one, _, _ in shown], as_percent=True)
    return {
        "axis": axis,
        "rows": [
            plotted(
                axis, names(key["rater"]), one, cohort=key["cohort"], as_percent=True, role=key.get("role", ""),
                again=figure(again, as_percent=True) if again is not None else None,
            )
            for one, key, again in shown
        ],
        "more": len(rows) - len(shown),
        "has_again": any(again is not None for _, _, again in shown),
    }  # fmt: skip


def pairs(found: Figures, names: Names) -> dict[str, Any] | None:
    """The heat map of rater pairs: percent of shared items with the same answer, kappa and the items in the title."""
    keys = list(found.keys(Scope.RATER_PAIR, "percent_agreement"))
    if not keys or len({key.get("role", "") for key in keys}) > 1:
        return None
    cohort = {key["rater"]: key["cohort"] for key in found.keys(Scope.RATER, "agreement_with_others")}
    order = list(dict.fromkeys(uuid for key in keys for uuid in (key["a"], key["b"])))
    order.sort(key=lambda uuid: (COHORT_ORDER.index(cohort[uuid]) if uuid in cohort else 9, names(uuid)))
    by_pair = {frozenset((key["a"], key["b"])): key for key in keys}
    rows, shares = [], []
    for a in order:
        cells: list[dict[str, Any]] = []
        for b in order:
            key = by_pair.get(frozenset((a, b)))
            if a == b:
                cells.append({"diagonal": True})
            elif key is None:
                cells.append({"none": True})
            else:
                share = found.get("percent_agreement", Scope.RATER_PAIR, **key)
                kappa = found.get("cohen_kappa", Scope.RATER_PAIR, **key)
                shares.append(share.value or 0.0)
                cells.append(
                    {
                        "value": number(100 * (share.value or 0), 0),
                        "step": heat_step(share.value),
                        "title": f"{count(share.n_items)} items in common, {interval(share, as_percent=True)} %, "
                        f"κ {number(kappa.value)}",
                    }
                )
        rows.append({"name": names(a), "cohort": cohort.get(a, ""), "cells": cells})
    about = found.said("pair_raters", {"shown": len(order), "of": len(order)})
    low, high = number(100 * min(shares), 0), number(100 * max(shares), 0)
    says = f"Same answer, in % of shared items: {low if low == high else f'{low} to {high}'}."
    if about["of"] > about["shown"]:
        says += f" The {about['shown']} raters with most labels, of {count(about['of'])}."
    return {"names": [names(uuid) for uuid in order], "rows": rows, "says": says}


COHORT_ORDER = ("generalist", "expert", "target_user")


def _marks(found: Figures, key: dict[str, str]) -> dict[str, Any] | None:
    if not found.has(f"borderline_{ALPHA}", scope_of(key), **key):
        return None
    one = {
        name: figure(headline(found, key, f"borderline_{name}"), as_percent=name == "percent_agreement")
        for name in HEADLINES
    }
    return {
        "name": group_name(key), "cohort": key.get("cohort", ""), "alpha": one[ALPHA], "percent": one["percent_agreement"],
        "rate": figure(headline(found, key, "borderline_rate"), as_percent=True),
    }  # fmt: skip


def left_out(given: dict[str, Any]) -> list[dict[str, str]]:
    """What does not count, how much, and why."""
    words = (
        ("cannot_label", "“Not enough information”", "an answer with a rate of its own, no label"),
        ("single_rating_items", "Items with one label", "nothing to compare them with"),
        ("repeats", "Repeats", "later labels of the same rater: self-agreement"),
        ("ratings_set_aside", "Labels set aside", "given by {raters} set aside by the owner; the ledger keeps them"),
        (
            "ratings_withdrawn",
            "Labels of withdrawn items",
            "{items} taken out of use; the ledger keeps what was said of them",
        ),
    )
    rows = [
        {
            "what": what,
            "count": count(given.get(name, 0)),
            "why": why.format(
                raters=plural(given.get("raters_set_aside", 0), "rater"),
                items=plural(given.get("items_withdrawn", 0), "item"),
            ),
        }
        for name, what, why in words
        if given.get(name)
    ]
    if given.get("compared_as_wholes"):
        rows.append(
            {
                "what": "Parts of an answer",
                "count": "",
                "why": "answers count as equal only when all of them is the same",
            }
        )
    return rows


# ------------------------------------------------------------------------------------------------ on the batch's page


def show_on_batch(request: HttpRequest, seat: Seat, batch: Batch) -> str:
    """The piece on the batch's page: agreement now, how old it is, and the way to everything else."""
    if batch.status in (BatchStatus.DRAFT, BatchStatus.OPENING) or not seat.holds("see_figures"):
        return ""
    run, job = figures_for(by=seat, batch=batch)
    context = freshness(batch, run, job)
    if run is not None:
        found = figures_of(run)
        groups = groups_of(found)
        context |= {"within": within(found, groups), "left_out": left_out(run.findings.get("left_out", {}))}
    context |= {
        "project": seat.project,
        "batch": batch,
        "figures_url": reverse("consistency:figures", args=[seat.project.slug, batch.uuid]),
        "hlp_url": reverse("consistency:hlp", args=[seat.project.slug]) + f"?batch={batch.uuid}",
    }
    return render_to_string("consistency/figures/on_batch.html", context, request=request)
