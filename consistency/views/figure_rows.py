"""Figures as rows of tables and marks of plots: words and positions, no markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from labeling.access import Seat
from labeling.formats.cells import csv_text
from labeling.models import Membership
from labeling.pseudonyms import pseudonym
from labeling.vocabulary import Cohort

from ..models import AgreementEstimate, AgreementRun
from ..offline.drawing import Axis, interval_mark
from ..offline.numbers import MINUS, count, interval, number, percent
from ..queries.figures import as_estimate
from ..queries.people import rater_names
from ..statistics.estimate import Estimate

COHORT_WORDS = {Cohort.GENERALIST: "Generalists", Cohort.EXPERT: "Experts", Cohort.TARGET_USER: "Target users"}
COEFFICIENTS = {
    "krippendorff_alpha": "Krippendorff α",
    "percent_agreement": "Percent agreement",
    "gwet_ac": "Gwet AC1",
    "cohen_kappa": "Cohen κ",
    "scott_pi": "Scott π",
    "light_kappa": "Light κ",
    "conger_kappa": "Conger κ",
    "fleiss_kappa": "Fleiss κ",
    "brennan_prediger": "Brennan–Prediger",
    "icc_1_1": "ICC(1,1)", "icc_2_1": "ICC(2,1)", "icc_3_1": "ICC(3,1)",
    "icc_1_k": "ICC(1,k)", "icc_2_k": "ICC(2,k)", "icc_3_k": "ICC(3,k)",
}  # fmt: skip


def true_minus(text: str) -> str:
    """The sentence with a true minus before numbers.

    >>> true_minus("D = -0.25, screen-net 1.2")
    'D = −0.25, screen-net 1.2'
    """
    return re.sub(r"(?<![\w-])-(?=\d)", MINUS, text)


def cohort_word(cohort: str) -> str:
    """Experts, …"""
    return COHORT_WORDS.get(Cohort(cohort), cohort) if cohort in Cohort.values else cohort


def figure(estimate: Estimate, *, as_percent: bool = False) -> dict[str, Any]:
    """One figure for a cell: value, interval, reason, counts."""
    write = percent if as_percent else number
    return {
        "value": write(estimate.value) if estimate.value is not None else "",
        "interval": interval(estimate, as_percent=as_percent),
        "undefined": _sentence(estimate.undefined or ""),
        # in a narrow cell the reason without its figures; they stand in the title
        "short": (estimate.undefined or "").split(" (")[0].split(":")[0],
        "items": count(estimate.n_items),
        "raters": count(estimate.n_raters),
        "ratings": count(estimate.n_ratings),
        "population": estimate.population,
        "notes": list(estimate.notes),
    }


def plotted(
    axis: Axis,
    name: str,
    estimate: Estimate,
    *,
    cohort: str = "",
    as_percent: bool = False,
    constant: float | None = None,
    ceiling: float | None = None,
    model: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A row of an interval dot plot; `mark` is None where the figure is undefined."""
    return {
        "name": name,
        "cohort": cohort,
        "mark": interval_mark(axis, estimate, cohort=cohort, constant=constant, ceiling=ceiling, model=model),
        **figure(estimate, as_percent=as_percent),
        **more,
    }


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text else text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def age_words(run: AgreementRun, now: datetime) -> str:
    """“40 s old”: how long ago the labels were last found to be those of the figures."""
    seconds = max(0, int((now - run.checked_at).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} old"
    return f"{seconds} s old"


class Names:
    """What raters are called on this page: by name for those who may know, else “Expert 2”.

    `stable`: for files, the pseudonym that every export of the project gives them.
    """

    def __init__(self, seat: Seat, *, stable: bool = False) -> None:
        named = seat.holds("identify_raters")
        rows = Membership.objects.filter(project=seat.project).select_related("user")
        numbered = {} if named or stable else rater_names(seat.project)
        self._names = {
            str(member.uuid): (member.imported_id or member.user.name) if named else numbered.get(member.pk, "")
            for member in (rows if named or not stable else ())
        }

    def __call__(self, uuid: str) -> str:
        return self._names.get(uuid) or pseudonym(UUID(uuid))


def unique_reasons(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Each reason of undefined rows once, with what it applies to."""
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        if not row["value"] and row["undefined"]:
            by_reason.setdefault(row["undefined"], []).append(row["name"])
    return [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]


FIGURE_COLUMNS = (
    "scope", "cohort", "label", "slice", "role", "rater", "a", "b", "model", "coefficient", "reference_origin", "value", "low",
    "high", "se", "se_items", "se_raters", "method", "population", "items", "raters", "ratings", "excluded", "undefined",
    "notes",
)  # fmt: skip


def figures_csv(rows: Iterable[AgreementEstimate], names: Names) -> str:
    """Every figure of a run, one a row; raters as the page names them."""

    def cells() -> Iterable[list[Any]]:
        for row in rows:
            key: dict[str, str] = json.loads(row.scope_key)
            one = as_estimate(row)
            if row.scope == "rater_pair":
                key = {**key, "a": names(key["a"]), "b": names(key["b"])}
            if "rater" in key:
                key["rater"] = names(key["rater"])
            given = {
                **key, "scope": row.scope, "coefficient": row.coefficient, "reference_origin": row.reference_origin,
                "value": one.value, "low": one.low, "high": one.high, "se": one.se, "se_items": one.se_items,
                "se_raters": one.se_raters, "method": one.method, "population": one.population, "items": one.n_items,
                "raters": one.n_raters, "ratings": one.n_ratings, "undefined": one.undefined,
                "excluded": "; ".join(f"{name}={n}" for name, n in one.excluded.items()), "notes": "; ".join(one.notes),
            }  # fmt: skip
            yield [given.get(name) for name in FIGURE_COLUMNS]

    return csv_text(FIGURE_COLUMNS, cells())
