"""The statistics engine against the packages a user would pick, and against its own goals.

    python benchmarks/engine.py [--labels 1000000] [--largest 100000000] [--only NAME] [--irrcac PYTHON]

Every measurement runs in a process of its own and reports wall seconds, CPU seconds and its peak memory, Python and
imports included; ratios are of CPU seconds, which a busy machine disturbs least. Synthetic labels: five categories,
three to five raters per item, Zipf activity, each rater with an accuracy of their own. Timed from integer codes in
memory, or from a Parquet file of integers (streamed); naming items and reading text are not in it. `--irrcac` is the
Python of an environment that holds irrCAC (it cannot be installed beside this project's pandas and scipy).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
K = 5


def chunks(labels: int, raters: int, seed: int = 0, size: int = 250_000) -> Iterator[tuple[np.ndarray, ...]]:
    """Batches (item, rater, value) of about `labels` labels, items in order, each (item, rater) once."""
    rng = np.random.default_rng(seed)
    items = labels // 4
    activity = np.cumsum(1 / np.arange(1, raters + 1) ** 0.8)
    accuracy = rng.uniform(0.5, 0.95, raters)
    for start in range(0, items, size):
        n = min(size, items - start)
        item = np.repeat(np.arange(n), rng.integers(3, 6, n))
        rater = np.searchsorted(activity, rng.random(len(item)) * activity[-1])
        key = np.unique(item * raters + rater)
        item, rater = key // raters, key % raters
        truth = rng.integers(0, K, n)
        right = rng.random(len(item)) < accuracy[rater]
        value = np.where(right, truth[item], rng.integers(0, K, len(item)))
        yield item + start, rater.astype(np.int32), value.astype(np.int32)


def memory() -> float:
    """Peak resident memory of this process in MB (on Linux the parent's peak would be inherited by getrusage)."""
    status = Path("/proc/self/status")
    if status.exists():
        return float(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(act: Callable[[], Any]) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = act()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "mb": memory(), "result": result}


# ---------------------------------------------------------------- one measurement per process


def coefficients(given: argparse.Namespace) -> dict[str, Any]:
    from consistency.statistics.agreement import agree
    from consistency.statistics.ratings import RatingsTable

    item, rater, value = (np.concatenate(x) for x in zip(*chunks(given.labels, given.raters), strict=True))
    small = slice(0, 1000)
    agree(RatingsTable.from_codes(item[small], rater[small], value[small], categories=range(K)), bootstrap=2000)

    def act() -> dict[str, Any]:
        table = RatingsTable.from_codes(item, rater, value, categories=range(1, K + 1))
        found = agree(table, bootstrap=0 if given.mode == "linearised" else 2000)
        return {n: e.value for n, e in found.items()} | {"labels": table.n_ratings}

    return timed(act)


def matrix(given: argparse.Namespace) -> np.ndarray:
    item, rater, value = (np.concatenate(x) for x in zip(*chunks(given.labels, given.raters), strict=True))
    out = np.full((int(item.max()) + 1, given.raters), np.nan)
    out[item, rater] = value + 1
    return out


def irrcac(given: argparse.Namespace) -> dict[str, Any]:
    import types

    sys.modules.setdefault("coverage", types.ModuleType("coverage"))  # it asks for it and never uses it
    import pandas as pd
    from irrCAC.raw import CAC

    frame = pd.DataFrame(matrix(given))

    def act() -> dict[str, Any]:
        cac = CAC(frame, categories=list(range(1, K + 1)))
        return {"gwet_ac": float(cac.gwet()["est"]["coefficient_value"]),
                "fleiss_kappa": float(cac.fleiss()["est"]["coefficient_value"])}  # fmt: skip

    return timed(act)


def krippendorff_counts(given: argparse.Namespace) -> dict[str, Any]:
    import krippendorff

    item, _, value = (np.concatenate(x) for x in zip(*chunks(given.labels, given.raters), strict=True))
    n = int(item.max()) + 1

    def act() -> dict[str, Any]:
        counts = np.bincount(item * K + value, minlength=n * K).reshape(n, K)
        return {"krippendorff_alpha": float(
            krippendorff.alpha(value_counts=counts, level_of_measurement="nominal", value_domain=list(range(K)))
        )}  # fmt: skip

    return timed(act)


def streamed(given: argparse.Namespace) -> dict[str, Any]:
    import pyarrow.parquet as pq

    from consistency.statistics.agreement import agree
    from consistency.statistics.grouping import stream

    def batches() -> Iterator[tuple[np.ndarray, ...]]:
        columns = ["item", "value"] if given.mode == "items" else ["item", "rater", "value"]
        for batch in pq.ParquetFile(given.file).iter_batches(batch_size=500_000, columns=columns):
            got = {name: batch.column(name).to_numpy() for name in columns}
            yield got["item"], got.get("rater", got["item"]), got["value"]

    items = given.labels // 4

    def act() -> dict[str, Any]:
        raters = None if given.mode == "items" else given.raters
        grouped = stream(batches, categories=range(1, K + 1), n_items=items, largest=5, n_raters=raters)
        found = agree(grouped, bootstrap=2000)
        return {n: e.value for n, e in found.items()} | {"labels": grouped.patterns.n_ratings}

    agree_warm_up()
    next(batches())  # pyarrow's first array imports pandas
    return timed(act)


def agree_warm_up() -> None:
    from consistency.statistics.agreement import agree
    from consistency.statistics.ratings import RatingsTable

    agree(RatingsTable.from_matrix([[1, 1, 2], [1, 2, 2], [2, 2, 2]]), bootstrap=2000)


def pairs_ours(given: argparse.Namespace) -> dict[str, Any]:
    from consistency.statistics.pairs import pairs
    from consistency.statistics.ratings import RatingsTable

    item, rater, value = (np.concatenate(x) for x in zip(*chunks(given.labels, given.raters), strict=True))
    table = RatingsTable.from_codes(item, rater, value, categories=range(1, K + 1))
    pairs(table.subset(rows=np.arange(1000)))

    def act() -> dict[str, Any]:
        found = pairs(table)
        return {
            "pairs": len(found),
            "mean": float(np.nanmean(found.kappa)),
            "with se": int(np.isfinite(found.kappa_se).sum()),
        }

    return timed(act)


def pairs_sklearn(given: argparse.Namespace) -> dict[str, Any]:
    """A sample of pairs, pair by pair as one would: align the two raters' items, then the score; times all pairs."""
    import pandas as pd
    from sklearn.metrics import cohen_kappa_score

    item, rater, value = (np.concatenate(x) for x in zip(*chunks(given.labels, given.raters), strict=True))
    by_rater = {g: pd.Series(f["v"].to_numpy(), index=f["i"]) for g, f in
                pd.DataFrame({"i": item, "g": rater, "v": value}).groupby("g")}  # fmt: skip
    names = sorted(by_rater)
    every = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    chosen = np.random.default_rng(1).choice(len(every), 300, replace=False)

    def act() -> dict[str, Any]:
        for c in chosen:
            a, b = (by_rater[g] for g in every[c])
            both = a.index.intersection(b.index)
            if not len(both):
                continue
            cohen_kappa_score(a[both], b[both], labels=range(K))
        return {"pairs": len(every)}

    found = timed(act)
    for key in ("wall", "cpu"):
        found[key] *= len(every) / 300
    return found


def bootstrap_cost(given: argparse.Namespace) -> dict[str, Any]:
    """2,000 replicates of the same patterns standing for ever more items."""
    from consistency.statistics.agreement import agree
    from consistency.statistics.patterns import PatternTable
    from consistency.statistics.ratings import RatingsTable

    item, rater, value = (np.concatenate(x) for x in zip(*chunks(100_000, 200), strict=True))
    p = RatingsTable.from_codes(item, rater, value, categories=range(1, K + 1)).patterns()
    big = PatternTable(p.counts, p.multiplicity * given.times, p.categories, p.numeric)
    agree(big, bootstrap=2000)
    return timed(lambda: {"patterns": big.n_patterns, "items": big.n_items, "x": len(agree(big, bootstrap=2000))})


CASES = {
    f.__name__: f
    for f in (coefficients, irrcac, krippendorff_counts, streamed, pairs_ours, pairs_sklearn, bootstrap_cost)
}


# ---------------------------------------------------------------- the run


def measure(case: str, python: str = sys.executable, **options: Any) -> dict[str, Any]:
    """Run one case in a process of its own, one thread for linear algebra."""
    words = [python, __file__, "--case", case]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["killed"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def write_parquet(path: Path, labels: int, raters: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("item", pa.int32()), ("rater", pa.int32()), ("value", pa.int32())])
    with pq.ParquetWriter(path, schema) as writer:
        for item, rater, value in chunks(labels, raters):
            writer.write_table(pa.table([item.astype(np.int32), rater, value], schema=schema))


def show(name: str, found: dict[str, Any], goal: str = "") -> None:
    if "failed" in found:
        print(f"| {name} | – | – | – | {found['failed']} |", flush=True)
    else:
        print(f"| {name} | {found['wall']:.2f} | {found['cpu']:.2f} | {found['mb']:.0f} | {goal} |", flush=True)


def run(given: argparse.Namespace) -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}, "
          f"load {os.getloadavg()[0]:.1f} at the start; {time.strftime('%Y-%m-%d')}\n")  # fmt: skip
    print("| what | wall s | CPU s | peak MB | |\n|---|---|---|---|---|")
    wanted = given.only.split(",") if given.only else ["coefficients", "streamed", "pairs", "bootstrap"]
    if "coefficients" in wanted:
        ours = measure("coefficients", labels=given.labels, raters=1000)
        show(
            f"all coefficients, two-way, 2,000 replicates, {given.labels:,} labels, 1,000 raters", ours, "goal < 400 MB"
        )
        linear = measure("coefficients", labels=given.labels, raters=1000, mode="linearised")
        show("the same with linearised variances", linear)
        theirs = measure("krippendorff_counts", labels=given.labels, raters=1000)
        show("krippendorff, value counts given: alpha, no interval", theirs)
        if given.irrcac:
            if given.irrcac_raters != 1000:
                ours = measure("coefficients", labels=given.labels, raters=given.irrcac_raters)
                show(f"all coefficients, two-way, 2,000 replicates, {given.irrcac_raters:,} raters", ours)
            theirs = measure("irrcac", given.irrcac, labels=given.labels, raters=given.irrcac_raters)
            ratio = f"{theirs['cpu'] / ours['cpu']:.0f} × ours" if "cpu" in theirs and "cpu" in ours else ""
            show(f"irrCAC, two coefficients, {given.irrcac_raters:,} raters", theirs, ratio + " (goal ≥ 20)")
    if "streamed" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            for labels in (10_000_000, 100_000_000):
                if labels > given.largest:
                    continue
                file = Path(folder) / "labels.parquet"
                write_parquet(file, labels, 1000)
                goals = {10_000_000: "goal 1.5 s, 500 MB", 100_000_000: "goal < 1 GB"}
                for mode in ("items", "two_way"):
                    found = measure("streamed", labels=labels, raters=1000, mode=mode, file=file)
                    show(f"{labels:,} labels streamed from Parquet, {mode}, 2,000 replicates", found, goals[labels])
    if "pairs" in wanted:
        ours = measure("pairs_ours", labels=given.labels, raters=200)
        show(f"all pairs of 200 raters, {given.labels:,} labels, kappa and its error", ours)
        theirs = measure("pairs_sklearn", labels=given.labels, raters=200)
        ratio = f"{theirs['cpu'] / ours['cpu']:.0f} × ours (goal ≥ 50)" if "cpu" in theirs and "cpu" in ours else ""
        show("scikit-learn pair by pair, kappa only (300 pairs, scaled to all)", theirs, ratio)
    if "bootstrap" in wanted:
        for times in (1, 100, 10_000, 1_000_000):
            found = measure("bootstrap_cost", times=times)
            if "result" in found:
                r = found["result"]
                show(f"2,000 replicates, {r['patterns']} patterns, {r['items']:,} items", found, "goal: flat")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--largest", type=int, default=100_000_000)
    parser.add_argument("--only", default="", help="coefficients,streamed,pairs,bootstrap")
    parser.add_argument("--irrcac", default="", help="the Python of an environment with irrCAC")
    parser.add_argument("--irrcac-raters", type=int, default=1000, help="its matrix is items x raters")
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--raters", type=int, default=1000, help=argparse.SUPPRESS)
    parser.add_argument("--mode", default="two_way", help=argparse.SUPPRESS)
    parser.add_argument("--times", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--file", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(CASES[given.case](given)))
    else:
        run(given)


if __name__ == "__main__":
    main()
