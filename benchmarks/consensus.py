"""Dawid-Skene against crowd-kit at equal iterations: seconds, memory and the largest difference of a posterior.

    python benchmarks/consensus.py [--labels 1000000] [--categories 5] [--raters 1000] [--iterations 10]

Each side runs in a process of its own on the same seeded labels (about four per item, raters of unequal activity,
drawn from planted confusion matrices). Timed: from integer codes (ours) or a DataFrame of integers (crowd-kit) to
posteriors; reading a file, naming items, and a first call on a thousand labels (imports) are in neither. Both start from vote shares with no smoothing and make
exactly the given number of E and M steps, so the posteriors must be equal.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def planted(labels: int, categories: int, raters: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """(item, rater, value, truth) with items in order."""
    rng = np.random.default_rng(seed)
    items = labels // 4
    truth = rng.integers(0, categories, items)
    item = np.sort(np.concatenate([np.arange(items).repeat(3), rng.integers(0, items, labels - 3 * items)]))
    activity = 1 / np.arange(1, raters + 1) ** 0.7
    rater = rng.choice(raters, labels, p=activity / activity.sum())
    right = rng.uniform(0.55, 0.95, raters)
    wrong = (truth[item] + 1 + rng.integers(0, categories - 1, labels)) % categories
    value = np.where(rng.random(labels) < right[rater], truth[item], wrong)
    return item, rater, value, truth


def fit_ours(
    item: np.ndarray, rater: np.ndarray, value: np.ndarray, items: int, raters: int, given: argparse.Namespace
) -> np.ndarray:
    """Posteriors, items x categories."""
    from consistency.statistics.consensus.dawid_skene import ConfusionModel
    from consistency.statistics.consensus.em import run
    from consistency.statistics.consensus.votes import Votes

    votes = Votes.of_codes(item, rater, value, n_items=items, n_raters=raters)
    return run(ConfusionModel(votes, 0.0), votes.shares(), tol=0.0, max_iter=given.iterations).posterior


def fit_crowdkit(
    item: np.ndarray, rater: np.ndarray, value: np.ndarray, items: int, raters: int, given: argparse.Namespace
) -> np.ndarray:
    """Posteriors, items x categories."""
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    frame = pd.DataFrame({"task": item, "worker": rater, "label": value})
    found = DawidSkene(n_iter=given.iterations, tol=-1e9).fit_predict_proba(frame)
    return found.reindex(range(items))[list(range(given.categories))].to_numpy()


def run(side: str, given: argparse.Namespace, out: Path) -> None:
    """Fit one side and save its posteriors and figures."""
    item, rater, value, truth = planted(given.labels, given.categories, given.raters)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fit = fit_ours if side == "ours" else fit_crowdkit
    fit(*planted(1000, given.categories, 20)[:3], 250, 20, given)
    start, cpu = time.perf_counter(), time.process_time()
    posterior = fit(item, rater, value, len(truth), given.raters, given)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    labeled = np.bincount(item, minlength=len(truth)) > 0
    accuracy = float((posterior.argmax(axis=1) == truth)[labeled].mean())
    np.save(out / f"{side}.npy", posterior)
    figures = {"seconds": seconds, "cpu": cpu, "peak_mb": peak / 1024, "before_mb": before / 1024, "accuracy": accuracy}
    (out / f"{side}.json").write_text(json.dumps(figures))


def main() -> None:
    """Run both sides and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--categories", type=int, default=5)
    parser.add_argument("--raters", type=int, default=1000)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--side", choices=("ours", "crowdkit"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        run(given.side, given, given.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        for side in ("ours", "crowdkit"):
            options = [f"--{name}={getattr(given, name)}" for name in ("labels", "categories", "raters", "iterations")]
            subprocess.run([sys.executable, __file__, f"--side={side}", f"--out={out}", *options], check=True)
        figures = {side: json.loads((out / f"{side}.json").read_text()) for side in ("ours", "crowdkit")}
        gap = float(np.nanmax(np.abs(np.load(out / "ours.npy") - np.load(out / "crowdkit.npy"))))
    print(
        f"{given.labels:,} labels, {given.categories} categories, {given.raters} raters, {given.iterations} iterations"
    )
    print(f"{'':<12}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}{'of it before':>14}{'accuracy':>10}")
    for side, one in figures.items():
        print(
            f"{side:<12}{one['seconds']:>10.2f}{one['cpu']:>10.2f}{one['peak_mb']:>10.0f}{one['before_mb']:>14.0f}"
            f"{one['accuracy']:>10.4f}"
        )
    ours, theirs = figures["ours"], figures["crowdkit"]
    print(f"ratio: {theirs['seconds'] / ours['seconds']:.1f}x wall, {theirs['cpu'] / ours['cpu']:.1f}x CPU (goal 8x)")
    print(f"largest difference of a posterior: {gap:.1e} (goal 1e-8)")


if __name__ == "__main__":
    main()
