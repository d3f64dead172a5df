"""One small made-up study: sixty phone screens, two raters of each cohort, gold, a few repeats and gaps."""

from __future__ import annotations

import csv
import io

import numpy as np

COHORTS = {
    "gene": "generalist",
    "gina": "generalist",
    "ella": "expert",
    "emil": "expert",
    "tom": "target_user",
    "tess": "target_user",
}


def rows(seed: int = 7) -> list[dict[str, str]]:
    """Experts see scratches from 0.3 mm on, generalists from 0.2, target users from 0.4; all slip now and then."""
    rng = np.random.default_rng(seed)
    length = rng.uniform(0.05, 0.6, 60)
    line = {"generalist": 0.2, "expert": 0.3, "target_user": 0.4}
    out = []
    for screen in range(60):
        for rater, cohort in COHORTS.items():
            sees = length[screen] > line[cohort] + rng.normal(0, 0.05)
            label = "" if rng.random() < 0.04 else ("defect" if sees else "fine")
            out.append(
                {
                    "item_id": f"screen-{screen:02d}",
                    "rater_id": rater,
                    "cohort": cohort,
                    "label": label,
                    "gold": "defect" if length[screen] > 0.3 else "fine",
                    "session": "1",
                }
            )
        if screen % 6 == 0:
            out.append({**out[-1], "session": "2", "label": "defect" if rng.random() < 0.5 else "fine"})
    return out


def as_csv(given: list[dict[str, str]] | None = None) -> str:
    """The study as CSV text."""
    given = rows() if given is None else given
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(given[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(given)
    return stream.getvalue()
