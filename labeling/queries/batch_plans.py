"""What a batch would hold and cost, before it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ..models import Project
from ..vocabulary import Cohort
from .progress import CohortPeople, cohort_people


@dataclass(frozen=True)
class PlannedCohort:
    """One cohort's share of a planned batch: places, what they cost at least, usually and at most, and its people."""

    cohort: str
    raters: int
    places: int
    people: CohortPeople | None
    lowest: Decimal | None
    usual: Decimal | None
    highest: Decimal | None

    @property
    def title(self) -> str:
        return str(Cohort(self.cohort).label)

    @property
    def members(self) -> int:
        return self.people.members if self.people else 0

    @property
    def missing(self) -> int:
        """How many raters the cohort lacks for its overlap: one rater labels an item once."""
        return max(0, self.raters - self.members)


@dataclass(frozen=True)
class Plan:
    """Items × overlap, by cohort. Costs are null when no member of a planned cohort has a cost per label."""

    items: int
    cohorts: list[PlannedCohort]

    @property
    def places(self) -> int:
        return sum(cohort.places for cohort in self.cohorts)

    @property
    def cost_known(self) -> bool:
        return any(cohort.usual is not None for cohort in self.cohorts)

    @property
    def cost_partial(self) -> bool:
        """Whether some planned places are of raters whose cost nobody entered."""
        return self.cost_known and any(
            cohort.people is None or cohort.people.cost_known < cohort.people.members for cohort in self.cohorts
        )

    def _sum(self, name: str) -> Decimal:
        return sum((getattr(cohort, name) or Decimal(0) for cohort in self.cohorts), Decimal(0))

    @property
    def lowest(self) -> Decimal:
        return self._sum("lowest")

    @property
    def usual(self) -> Decimal:
        return self._sum("usual")

    @property
    def highest(self) -> Decimal:
        return self._sum("highest")


def plan_batch(project: Project, items: int, quotas: Mapping[str, int]) -> Plan:
    """The plan for so many items and {cohort: raters}; one query. Usual cost: the mean over the cohort's members."""
    people = cohort_people(project)
    cohorts = []
    for cohort, raters in quotas.items():
        own, places = people.get(cohort), items * raters

        def cost(each: Decimal | None, places: int = places) -> Decimal | None:
            return None if each is None else Decimal(each) * places

        cohorts.append(
            PlannedCohort(
                cohort=cohort,
                raters=raters,
                places=places,
                people=own,
                lowest=cost(own.lowest if own else None),
                usual=cost(own.usual if own else None),
                highest=cost(own.highest if own else None),
            )
        )
    return Plan(items, cohorts)
