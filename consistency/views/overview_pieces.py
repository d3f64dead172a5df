"""The pieces of a project's overview: each a sentence with its numbers, for the page and for its CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.dateformat import format as date_format

from labeling.access import Seat
from labeling.models import Batch, Project
from labeling.vocabulary import BatchStatus, Cohort

from ..charts import Chart, chart_over
from ..offline.numbers import count, interval, number, percent, plural
from ..queries.figures import Figures
from ..queries.overview import (
    Forecast,
    Measured,
    Waiting,
    costs_of,
    currency,
    forecasts,
    mean_cost,
    measured_batches,
    waiting,
)
from ..statistics.estimate import Estimate
from ..vocabulary import Scope
from .figure_rows import Names, cohort_word, figure
from .figures import ALPHA, groups_of, scope_of
from .hlp_kinds import REST, kinds_of, value_of

MOST_RATERS = 40
# A hint about a person needs this many timed answers, and this share of quick ones.
FEWEST_TIMED, QUICK_SHARE = 20, 0.2
BAR = 260


@dataclass(frozen=True, eq=False)
class Overview:
    """What the page and its CSV files are made of."""

    project: Project
    now: datetime
    measured: list[Measured]
    forecasts: list[Forecast]
    waiting: Waiting
    names: Names

    @property
    def newest(self) -> Measured | None:
        """The newest batch whose figures are there and say something."""
        return next((m for m in reversed(self.measured) if m.agreement is not None and groups_of(m.agreement)), None)


def overview_of(seat: Seat, now: datetime | None = None, *, stable: bool = False) -> Overview:
    now = now or timezone.now()
    project = seat.project
    return Overview(
        project,
        now,
        measured_batches(project),
        forecasts(project, now),
        waiting(project, now),
        Names(seat, stable=stable),
    )


def column_title(batch: Batch) -> str:
    return f"{batch.guideline_version}{' running' if batch.status == BatchStatus.OPEN else ''}"


def shown_group(found: Figures, cohort: str) -> dict[str, str] | None:
    """The scope key of a cohort that may be compared over versions: of a relabel batch never the items chosen because
    they disagreed."""
    keys = [key for key in groups_of(found) if key.get("cohort") == cohort]
    by_role = {key.get("role", ""): key for key in keys}
    return next((by_role[role] for role in ("", "fresh", "normal", "control") if role in by_role), None)


def figure_over(one: Measured, cohort: str, what: str) -> tuple[Estimate | None, str]:
    """(the cohort's figure in the batch, what kind it is)."""
    if what == "agreement":
        if cohort in one.unselected:
            return one.unselected[cohort], ""
        if one.agreement is None or (key := shown_group(one.agreement, cohort)) is None:
            return None, ""
        return one.agreement.get(ALPHA, scope_of(key), **key), key.get("role", "")
    if cohort in one.unselected_hlp:
        return one.unselected_hlp[cohort], REST.title
    if one.hlp is None:
        return None, ""
    keys = [
        k
        for k in (*one.hlp.keys(Scope.COHORT, "pairwise"), *one.hlp.keys(Scope.ROLE, "pairwise"))
        if k["cohort"] == cohort
    ]
    by_role = {key.get("role", ""): key for key in keys}
    key = next((by_role[role] for role in ("", "fresh", "normal", "control") if role in by_role), None)
    if key is None:
        return None, ""
    kind = next((k for k in kinds_of(one.hlp) if value_of(one.hlp, key, k).value is not None), REST)
    return value_of(one.hlp, key, kind), kind.title


def alphas(one: Measured) -> list[tuple[str, Estimate, str]]:
    """(cohort, α, role of its items) of a batch, each cohort once: never the items chosen because they disagreed."""
    known = [(cohort, *figure_over(one, cohort, "agreement")) for cohort in Cohort.values]
    return [(cohort, alpha, role) for cohort, alpha, role in known if alpha is not None]


def _on(role: str) -> str:
    return f" on {role} items" if role else ""


def over_versions(found: Overview, what: str) -> dict[str, Any] | None:
    """The chart over definition versions with the same numbers in a table."""
    as_percent = what == "hlp"
    columns: list[tuple[str, bool, dict[str, Estimate]]] = []
    kinds: set[str] = set()
    shown: list[Measured] = []
    for one in found.measured:
        row: dict[str, Estimate] = {}
        for cohort in Cohort.values:
            estimate, kind = figure_over(one, cohort, what)
            if estimate is not None:
                row[cohort] = estimate
                if estimate.value is not None:
                    kinds.add(kind)
        if row:
            columns.append((column_title(one.batch), one.batch.status == BatchStatus.OPEN, row))
            shown.append(one)
    chart: Chart | None = chart_over(columns, as_percent=as_percent)
    if chart is None:
        return None
    cohorts = [cohort for cohort in Cohort.values if any(cohort in row for _, _, row in columns)]
    rows = [
        {
            "cohort": cohort,
            "name": cohort_word(cohort),
            "cells": [figure(row[cohort], as_percent=as_percent) if cohort in row else None for _, _, row in columns],
        }
        for cohort in cohorts
    ]
    heads = [
        {"title": title, "batch": one.batch.name, "uuid": one.batch.uuid}
        for (title, _, _), one in zip(columns, shown, strict=True)
    ]
    return {
        "chart": chart,
        "rows": rows,
        "heads": heads,
        "kinds": sorted(kind for kind in kinds if kind),
        "says": _versions_sentence(columns, what, kinds),
        "running": any(running for _, running, _ in columns),
        "no_links": what == "hlp" and len(kinds) > 1,
    }


def _versions_sentence(columns: Sequence[tuple[str, bool, dict[str, Estimate]]], what: str, kinds: set[str]) -> str:
    name = "α" if what == "agreement" else "HLP"
    write: Callable[[float | None], str] = (lambda v: percent(v)) if what == "hlp" else (lambda v: number(v))
    if len(columns) == 1:
        parts = [f"{cohort_word(c).lower()} {write(e.value)}" for c, e in columns[0][2].items() if e.value is not None]
        return f"One batch so far, under {columns[0][0]}: {', '.join(parts)}. A second definition makes this a line."
    if what == "hlp" and len(kinds) > 1:
        return "These figures are of different kinds, as each column says: they are not one line."
    (first_title, _, first), (last_title, _, last) = columns[0], columns[-1]
    parts = []
    for cohort, end in last.items():
        start = first.get(cohort)
        if start is None or start.value is None or end.value is None:
            continue
        apart = (
            end.low is not None and start.high is not None and start.low is not None and end.high is not None
            and (end.low > start.high or end.high < start.low)
        )  # fmt: skip
        change = f"{cohort_word(cohort).lower()} from {write(start.value)} to {write(end.value)}"
        parts.append(change if apart else f"{change}, not told apart")
    if not parts:
        return f"{name} under {first_title} and {last_title}; no cohort has a figure in both."
    return f"From {first_title} to {last_title}, {name}: {'; '.join(parts)}. Whether the definition helped is asked on the comparison's own page."


def lead(found: Overview, *, first: bool = False) -> str:
    """The sentence on top. `first`: the newest batch is being measured for the first time."""
    newest = found.newest
    parts = [BEING_MEASURED] if first else []
    if newest is not None and newest.agreement is not None:
        values = [
            (f"{cohort_word(cohort).lower()}{_on(role)}", alpha)
            for cohort, alpha, role in alphas(newest)
            if alpha.value is not None
        ]
        if values:
            said = ", ".join(f"{number(e.value)} among {name}" for name, e in values)
            parts.append(f"Under {newest.batch.guideline_version} agreement (α) is {said}.")
        else:
            parts.append(f"Agreement under {newest.batch.guideline_version} cannot be measured yet.")
    for batch in dict.fromkeys(f.batch for f in found.forecasts):
        rows = [f for f in found.forecasts if f.batch == batch]
        total, done = sum(f.progress.total for f in rows), sum(f.progress.done for f in rows)
        if total:
            said = f"“{batch}” is {percent(done / total, 0)} done"
            ready = [f.ready for f in rows if f.left]
            if ready and all(ready):
                said += f"; at the last days’ pace it is filled {when(max(r for r in ready if r), found)}"
            elif done < total:
                said += "; nobody answered in the last days"
            parts.append(f"{said}.")
        break
    if found.waiting.all:
        parts.append(f"{plural(found.waiting.all, 'case waits', 'cases wait')} at the bench.")
    return " ".join(parts) or "The figures appear once two people have labeled the same items."


BEING_MEASURED = "The newest batch is being measured; its figures appear here in a moment."


def when(moment: datetime, found: Overview) -> str:
    """“today”, “Thursday”, “12 December” in the project's time zone."""
    zone = ZoneInfo(found.project.time_zone)
    day, today = moment.astimezone(zone).date(), found.now.astimezone(zone).date()
    if day <= today:
        return "today"
    if day - today == timedelta(days=1):
        return "tomorrow"
    return date_format(day, "l") if day - today < timedelta(days=7) else date_format(day, "j F Y")


def stats(found: Overview) -> list[dict[str, str]]:
    """The row of headline figures, of the newest batch with figures."""
    out: list[dict[str, str]] = []
    newest = found.newest
    if newest is not None and newest.agreement is not None:
        for cohort, alpha, role in alphas(newest):
            out.append(
                {
                    "name": f"α, {cohort_word(cohort).lower()}{', ' + role if role else ''}",
                    "value": number(alpha.value) if alpha.value is not None else "undefined",
                    "note": f"{interval(alpha)} · {plural(alpha.n_items, 'item')}, {plural(alpha.n_raters, 'rater')}"
                    if alpha.value is not None
                    else (alpha.undefined or ""),
                }
            )
        none, every = _no_information(newest.agreement)
        if every:
            out.append(
                {
                    "name": "Not enough information",
                    "value": percent(none / every),
                    "note": f"{count(none)} of {count(every)} answers",
                }
            )
    oldest = found.waiting.oldest
    out.append(
        {
            "name": "Waiting at the bench",
            "value": count(found.waiting.all),
            "note": "nothing waits"
            if oldest is None
            else f"the oldest {plural(oldest.days, 'day')}"
            if oldest.days
            else "none longer than a day",
        }
    )
    return out


def _no_information(found: Figures) -> tuple[int, int]:
    every = none = 0
    for key in groups_of(found):
        rate = found.get("cannot_label_rate", scope_of(key), **key)
        if "cohort" in key and rate.value is not None:
            every += rate.n_ratings
            none += round(rate.value * rate.n_ratings)
    return none, every


def progress(found: Overview) -> dict[str, Any] | None:
    rows = [
        {
            "batch": f.batch,
            "cohort": f.progress.cohort,
            "done": f.progress.done,
            "total": f.progress.total,
            "left": f.left,
            "a_day": number(f.a_day, 1),
            "ready": "done" if not f.left else when(f.ready, found) if f.ready else "no answers lately",
        }
        for f in found.forecasts
    ]
    if not rows:
        return None
    slow = max(
        (f for f in found.forecasts if f.left), key=lambda f: (f.ready is None, f.ready or found.now), default=None
    )
    says = "Every place is filled."
    if slow is not None:
        says = f"{cohort_word(slow.progress.cohort)} are the ones to wait for: {plural(slow.left, 'place')} of “{slow.batch}” left."
        if slow.ready is None:
            says += f" Nobody of them answered in the last {plural(3, 'day')}."
    return {"rows": rows, "says": says}


def cost(found: Overview) -> dict[str, Any] | None:
    """What an agreed label costs: the mean cost of a label over the share of pairs that agree."""
    newest = found.newest
    if newest is None or newest.agreement is None:
        return None
    unit = currency(found.project)
    costs = costs_of(found.project)
    rows: list[dict[str, Any]] = []
    for key in [k for k in groups_of(newest.agreement) if "cohort" in k]:
        share = newest.agreement.get("percent_agreement", scope_of(key), **key)
        speed = newest.agreement.said("speed", {}, **key)
        labels = {uuid: about["labels"] for uuid, about in speed.get("raters", {}).items()}
        price, whole = mean_cost(labels, costs)
        agreed = float(price) / share.value if price is not None and share.value else None
        rows.append(
            {
                "cohort": key["cohort"],
                "role": key.get("role", ""),
                "price": f"{float(price):.3f} {unit}".strip() if price is not None else "not known",
                "partly": price is not None and not whole,
                "share": figure(share, as_percent=True),
                "agreed": f"{agreed:.3f} {unit}".strip() if agreed is not None else "",
                "agreed_value": agreed,
                "usual": f"{speed['usual']:.1f} s" if speed.get("usual") is not None else "not known",
                "plain": {
                    "price": float(price) if price is not None else None,
                    "share": share.value,
                    "agreed": agreed,
                    "usual": speed.get("usual"),
                },
            }
        )
    if not rows:
        return None
    known_rows: list[dict[str, Any]] = [row for row in rows if row["agreed_value"] is not None]
    if not known_rows:
        says = "No cost per label is entered; the project's owner enters it with each member."
    elif len(known_rows) == 1:
        says = f"An agreed label of the {cohort_word(known_rows[0]['cohort']).lower()} costs {known_rows[0]['agreed']}."
    else:
        low, high = min(known_rows, key=lambda r: r["agreed_value"]), max(known_rows, key=lambda r: r["agreed_value"])
        says = f"An agreed label costs from {low['agreed']} ({cohort_word(low['cohort']).lower()}) to {high['agreed']} ({cohort_word(high['cohort']).lower()})."
    return {"rows": rows, "says": says}


def meetings(found: Overview) -> dict[str, Any] | None:
    """Which answers meet on an item, cohort by cohort."""
    newest = found.newest
    if newest is None or newest.agreement is None:
        return None
    names = {label.key: label.name for label in newest.batch.guideline_version.labels.all()}
    tables: list[dict[str, Any]] = []
    total, apart = 0, dict[tuple[str, str], int]()
    for key in [k for k in groups_of(newest.agreement) if "cohort" in k]:
        said = newest.agreement.said("meetings", None, **key)
        if said is None:
            continue
        labels = [names.get(label, label) for label in said["labels"]] + ["Not enough information"]
        matrix: list[list[int]] = said["pairs"]
        most = max((n for row in matrix for n in row), default=0)
        for i, row in enumerate(matrix):
            for j in range(i + 1, len(row)):
                apart[labels[i], labels[j]] = apart.get((labels[i], labels[j]), 0) + row[j]
                total += row[j]
        tables.append(
            {
                "cohort": key["cohort"],
                "role": key.get("role", ""),
                "pairs": sum(map(sum, matrix)),
                "labels": labels,
                "rows": [
                    {
                        "name": labels[i],
                        "cells": [
                            None
                            if j < i
                            else {"value": count(n), "step": 1 + min(4, int(5 * n / most)) if most and n else 1}
                            for j, n in enumerate(row)
                        ],
                    }
                    for i, row in enumerate(matrix)
                ],
            }
        )
    if not tables:
        return None
    says = "No two answers of a cohort differ."
    if total:
        (a, b), n = max(apart.items(), key=lambda item: item[1])
        says = f"When two people of a cohort differ it is {'always' if n == total else 'most often'} {a} against {b}: {count(n)} of {count(total)} pairs."
    # Of a batch labeled again each kind of item has its tables: the kind with most pairs is shown, the others on asking.
    pairs_of: dict[str, int] = {}
    for table in tables:
        pairs_of[table["role"]] = pairs_of.get(table["role"], 0) + table["pairs"]
    role = max(pairs_of, key=lambda name: pairs_of[name])
    return {
        "tables": [table for table in tables if table["role"] == role],
        "others": [table for table in tables if table["role"] != role],
        "says": says,
    }


def waits(found: Overview) -> dict[str, Any]:
    most = max((n for _, n in found.waiting.ages), default=0)
    rows = [{"name": name, "n": n, "width": round(BAR * n / most, 1) if most else 0} for name, n in found.waiting.ages]
    if not found.waiting.all:
        says = "No case waits at the bench."
    else:
        late = found.waiting.ages[-1][1]
        says = f"{count(late)} of {plural(found.waiting.all, 'case')} have waited more than three days." if late else (
            f"{plural(found.waiting.all, 'case waits', 'cases wait')}, none longer than three days."
        )  # fmt: skip
    return {"rows": rows, "says": says, "any": bool(found.waiting.all)}


def raters(found: Overview) -> dict[str, Any] | None:
    """Each rater of the newest measured batch: coverage, speed, agreement, and a kind hint."""
    newest = found.newest
    if newest is None or newest.agreement is None:
        return None
    items = max((newest.agreement.get(ALPHA, scope_of(k), **k).n_items for k in groups_of(newest.agreement)), default=0)
    rows = []
    for key in [k for k in groups_of(newest.agreement) if "cohort" in k]:
        speed = newest.agreement.said("speed", {}, **key)
        for uuid, about in speed.get("raters", {}).items():
            rows.append(rater_row(newest, key, uuid, about, speed, items, found.names(uuid)))
    if not rows:
        return None
    rows.sort(key=lambda row: (-row["labels"], row["name"]))
    hints = sum(1 for row in rows if row["hint"])
    says = "Disagreement points at the definition first: a rater apart may be the one who reads it rightly."
    if hints:
        says = f"{plural(hints, 'rater answers', 'raters answer')} many items very quickly: worth a friendly question. {says}"
    return {"rows": rows[:MOST_RATERS], "all": rows, "more": max(0, len(rows) - MOST_RATERS), "says": says}


def rater_row(
    one: Measured, key: dict[str, str], uuid: str, about: dict[str, Any], speed: dict[str, Any], items: int, name: str
) -> dict[str, Any]:
    assert one.agreement is not None
    narrowed = {**key, "rater": uuid}
    gold: Estimate | None = None
    origin = ""
    if one.hlp is not None:
        origin = next(
            (o for o in one.hlp.origins() if one.hlp.has("against_gold", Scope.RATER, origin=o, **narrowed)), ""
        )
        gold = one.hlp.get("against_gold", Scope.RATER, origin=origin, **narrowed) if origin else None
    again = (
        one.agreement.get("self_agreement", Scope.RATER, **narrowed)
        if one.agreement.has("self_agreement", Scope.RATER, **narrowed)
        else None
    )
    others = one.agreement.get("agreement_with_others", Scope.RATER, **narrowed)
    quick = about["timed"] >= FEWEST_TIMED and about["quick"] / about["timed"] >= QUICK_SHARE
    return {
        "name": name,
        "uuid": uuid,
        "cohort": key["cohort"],
        "role": key.get("role", ""),
        "labels": about["labels"],
        "coverage": percent(about["labels"] / items, 0) if items else "",
        "usual": f"{about['usual']:.1f} s" if about["usual"] is not None else "not known",
        "others": figure(others, as_percent=True),
        "gold": figure(gold, as_percent=True) if gold is not None else None,
        "origin": origin,
        "again": figure(again, as_percent=True) if again is not None else None,
        # The same for a file: numbers, and nothing where there is none.
        "plain": {
            "coverage": about["labels"] / items if items else None,
            "usual": about["usual"],
            "others": others.value,
            "gold": gold.value if gold is not None else None,
            "again": again.value if again is not None else None,
        },
        "hint": f"{percent(about['quick'] / about['timed'], 0)} of the answers in under {speed['usual'] / 3:.1f} s, a third of the "
        "usual time. The items may be easy; a question costs nothing."
        if quick
        else "",
    }
