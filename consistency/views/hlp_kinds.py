"""The kinds of human-level performance, and one figure of a run: of a group, of a kind, of a model."""

from __future__ import annotations

from dataclasses import dataclass

from labeling.vocabulary import GoldOrigin

from ..queries.figures import Figures
from ..queries.references import ORIGIN_WORDS
from ..statistics.estimate import Estimate
from ..vocabulary import Scope
from .figure_rows import cohort_word

VERDICTS = {"better": "better", "matches": "matches", "falls_short": "falls short", "cannot_say": "cannot say"}


@dataclass(frozen=True)
class Kind:
    """One kind of HLP: which figure, beside which constant, against which reference a model is held."""

    slug: str
    title: str
    coefficient: str
    constant: str
    origin: str = ""
    takes_model: bool = True
    has_ceiling: bool = False

    @property
    def reference(self) -> str:
        if self.origin:
            return f"Reference: {ORIGIN_WORDS[GoldOrigin(self.origin)]}. Nobody's labels count against gold that came from them."
        if self.takes_model:
            return "Reference: the most frequent label of the item's other raters. The rater's own label is never part of it."
        return "Reference: one other rater of the item. No model is held against this figure: a model is compared with raters left out."


RATERS = Kind(
    "raters", "Rater against rater", "pairwise", "constant_model_item_weight", takes_model=False, has_ceiling=True
)
REST = Kind("rest", "One against the rest", "leave_one_out", "constant_model")


def kinds_of(found: Figures) -> list[Kind]:
    """The kinds this run can show: one per origin of gold, then those among raters."""
    gold = [
        Kind(
            f"gold-{origin}",
            f"Against {GoldOrigin(origin).label.lower()} gold",
            "against_gold",
            "constant_against_gold",
            origin,
        )
        for origin in found.origins()
        if any(found.keys(Scope.COHORT, "against_gold", origin=origin))
        or any(found.keys(Scope.ROLE, "against_gold", origin=origin))
    ]
    return [*gold, REST, RATERS]


def groups_of(found: Figures) -> list[dict[str, str]]:
    """Scope keys that stand by themselves: cohorts, or cohorts by role in a relabel batch."""
    return list(found.keys(Scope.COHORT, "pairwise")) or list(found.keys(Scope.ROLE, "pairwise"))


def group_id(key: dict[str, str]) -> str:
    return "-".join(key[name] for name in ("cohort", "role") if name in key)


def group_name(key: dict[str, str]) -> str:
    return cohort_word(key["cohort"]) + (f", {key['role']} items" if "role" in key else "")


def scope_of(key: dict[str, str]) -> str:
    return Scope.SLICE if "slice" in key else Scope.ROLE if "role" in key else Scope.COHORT


def get(found: Figures, key: dict[str, str], name: str, origin: str = "") -> Estimate:
    return found.get(name, scope_of(key), origin=origin, **key)


def value_of(found: Figures, key: dict[str, str], kind: Kind) -> Estimate:
    return get(found, key, kind.coefficient, kind.origin)


def constant_of(found: Figures, key: dict[str, str], kind: Kind) -> float | None:
    return get(found, key, kind.constant, kind.origin).value


def model_of(found: Figures, key: dict[str, str], kind: Kind, model: str, name: str = "model_score") -> Estimate | None:
    if not model:
        return None
    return found.get(name, Scope.MODEL, origin=kind.origin, **{**key, "model": model})


def verdict_of(found: Figures, key: dict[str, str], kind: Kind, model: str) -> str:
    """The verdict in words; no claim where people are below the same answer."""
    if not model:
        return ""
    said = found.said("models", {}, **{**key, "model": model}).get(kind.origin or "raters")
    if said is None:
        return ""
    people, constant = value_of(found, key, kind).value, constant_of(found, key, kind)
    below = people is not None and constant is not None and people < constant
    return "no claim" if below and said["verdict"] in ("better", "matches") else VERDICTS[said["verdict"]]
