"""Do the intervals cover? New raters and new items against known population values, in all settings.

    python benchmarks/coverage.py [--runs 400] [--seed 0]

Each run draws raters (confusion matrices about a common mean) and items from a population whose agreement is known in
closed form, computes the 95 % interval, and notes whether it holds the value. 200 runs have a simulation error of .015.
`two-way` is the rule the product uses from five raters on; `items only` is what resampling items gives, however often.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from consistency.statistics.coefficients import POOLED
from consistency.statistics.engine import estimate_pooled, grouped_of
from consistency.statistics.simulation import RaterPopulation
from consistency.statistics.sums import Sums

NAMES = ("percent_agreement", "fleiss_kappa", "krippendorff_alpha", "gwet_ac")
DESIGNS = ((10, 300), (10, 3000), (30, 1000), (100, 3000))
POPULATIONS = {
    "3 labels, raters differ": (RaterPopulation.of(3), 0.0),
    "3 labels, raters differ, Zipf activity": (RaterPopulation.of(3), 0.8),
    "2 labels, one rarer": (RaterPopulation.of(2, accuracy=0.85, skew=3), 0.0),
    "5 labels, good raters": (RaterPopulation.of(5, accuracy=0.9, concentration=20), 0.0),
    "5 raters only": (RaterPopulation.of(3), 0.0),
}


def cover(
    population: RaterPopulation, zipf: float, r: int, n: int, runs: int, seed: int
) -> dict[str, dict[str, float]]:
    """Share of runs that hold the population value, by kind of interval and coefficient."""
    rng = np.random.default_rng([seed, r, n])
    k = len(population.prevalence)
    sums = Sums(k, None, 1 - np.eye(k))
    hits = {kind: dict.fromkeys(NAMES, 0) for kind in ("auto", "items")}
    for _ in range(runs):
        grouped = grouped_of(population.draw(n, r, rng, zipf=zipf))
        for kind, counted in hits.items():
            found = estimate_pooled(grouped, [POOLED[c] for c in NAMES], sums, kind=kind)  # type: ignore[arg-type]
            for name in NAMES:
                e = found[name]
                if e.low is not None and e.high is not None:
                    counted[name] += e.low <= population.values[name] <= e.high
    return {kind: {name: h / runs for name, h in counted.items()} for kind, counted in hits.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {given.runs} runs a cell, seed {given.seed}, "
          f"{time.strftime('%Y-%m-%d')}\n")  # fmt: skip
    print(
        "| population | raters x items | two-way: p_a | Fleiss | alpha | AC1 | items only: p_a | Fleiss | alpha | AC1 |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, (population, zipf) in POPULATIONS.items():
        for r, n in ((5, 300),) if name.startswith("5 raters") else DESIGNS:
            found = cover(population, zipf, r, n, given.runs, given.seed)
            cells = [f"{found[kind][c]:.3f}" for kind in ("auto", "items") for c in NAMES]
            print(f"| {name} | {r} x {n:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
