"""How raters are named where names are not told: “Expert 2”."""

from __future__ import annotations

from labeling.models import Membership, Project
from labeling.vocabulary import Cohort


def rater_names(project: Project) -> dict[int, str]:
    """{membership id: “Expert 2”}, the same on every page of the project: numbered per cohort in order of joining."""
    names: dict[int, str] = {}
    numbers: dict[str, int] = {}
    words = dict(Cohort.choices)
    rows = Membership.objects.filter(project=project, cohort__isnull=False).order_by("pk").values_list("pk", "cohort")
    for pk, cohort in rows:
        assert cohort is not None  # asked for
        numbers[cohort] = numbers.get(cohort, 0) + 1
        names[pk] = f"{words[cohort]} {numbers[cohort]}"
    return names
