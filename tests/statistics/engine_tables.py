"""Tables the engine's tests share, and the coefficients written out from their definitions."""

from __future__ import annotations

import itertools

import numpy as np

from consistency.statistics.ratings import RatingsTable

N = None
RAW_4_RATERS = [
    [1, 1, N, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4],
    [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [N, 5, 5, 5], [N, N, 1, 1], [N, N, 3, N],
]  # fmt: skip
PSYCHIATRIC = [
    "444444", "222555", "233335", "555555", "222444", "113333", "333355", "113334", "114444", "555555",
    "144444", "124444", "222333", "144444", "224445", "333335", "111455", "111112", "224444", "133555",
    "555555", "244444", "224555", "114444", "144445", "222224", "111155", "224444", "133333", "555555",
]  # fmt: skip


def psychiatric() -> RatingsTable:
    """Fleiss 1971: 30 patients, 6 raters, 5 diagnoses."""
    return RatingsTable.from_matrix([list(row) for row in PSYCHIATRIC])


def from_contingency(counts, categories=None) -> RatingsTable:
    """Two raters' cross table as ratings, item by item."""
    records, item = [], 0
    names = list(categories) if categories is not None else list(range(1, len(counts) + 1))
    for a, row in enumerate(counts):
        for b, n in enumerate(row):
            for _ in range(n):
                records += [(item, "A", names[a]), (item, "B", names[b])]
                item += 1
    return RatingsTable.from_records(records, categories=names)


def simulated(
    n: int, r: int, k: int, *, seed: int, missing: float = 0.0, skill: tuple[float, float] = (0.5, 0.9)
) -> RatingsTable:
    """Labels of raters with different error rates on items with a true class."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    accuracy = rng.uniform(*skill, r)
    right = rng.random((n, r)) < accuracy
    value = np.where(right, truth[:, None], rng.integers(0, k, (n, r)))
    value = np.where(rng.random((n, r)) < missing, -1, value)
    item, rater = np.meshgrid(np.arange(n), np.arange(r), indexing="ij")
    return RatingsTable.from_codes(item.ravel(), rater.ravel(), value.ravel(), categories=range(1, k + 1))


def matrix_of(table: RatingsTable) -> list[list[int | None]]:
    """Items x raters of codes, None where missing."""
    out: list[list[int | None]] = [[None] * table.n_raters for _ in range(table.n_items)]
    for i, g, v in zip(table.item.tolist(), table.rater.tolist(), table.value.tolist(), strict=True):
        out[i][g] = v
    return out


# ---------------------------------------------------------------- the definitions, by loops over single ratings


def by_definition(matrix: list[list[int | None]], k: int, weights, delta) -> dict[str, float | None]:
    """Every coefficient from its definition. `delta` is a function (c, k, n_c counts) -> δ²."""
    items = [[v for v in row if v is not None] for row in matrix]
    items = [row for row in items if row]
    pairable = [row for row in items if len(row) >= 2]
    if not pairable:
        return {}
    pa = sum(
        sum(weights[a][b] for a, b in itertools.permutations(row, 2)) / (len(row) * (len(row) - 1)) for row in pairable
    ) / len(pairable)
    pi = [sum(row.count(c) / len(row) for row in items) / len(items) for c in range(k)]
    total = sum(map(sum, weights))

    def corrected(pe: float) -> float | None:
        return None if abs(1 - pe) < 1e-12 else (pa - pe) / (1 - pe)

    out: dict[str, float | None] = {"percent_agreement": pa}
    out["fleiss_kappa"] = corrected(sum(weights[a][b] * pi[a] * pi[b] for a in range(k) for b in range(k)))
    if k > 1:
        out["gwet_ac"] = corrected(total / (k * (k - 1)) * sum(p * (1 - p) for p in pi))
        out["brennan_prediger"] = corrected(total / k**2)
    else:
        out["gwet_ac"] = out["brennan_prediger"] = None
    # Krippendorff
    flat = [v for row in pairable for v in row]
    n_c = [flat.count(c) for c in range(k)]
    observed = sum(
        sum(delta(a, b, n_c) for a, b in itertools.permutations(row, 2)) / (len(row) - 1) for row in pairable
    ) / len(flat)
    expected = sum(delta(a, b, n_c) for a, b in itertools.permutations(flat, 2)) / (len(flat) * (len(flat) - 1))
    out["krippendorff_alpha"] = None if expected == 0 else 1 - observed / expected
    # who rated
    columns = [[row[g] for row in matrix] for g in range(len(matrix[0]))]
    columns = [c for c in columns if any(v is not None for v in c)]
    r = len(columns)
    shares = []
    for c in columns:
        given = [v for v in c if v is not None]
        shares.append([given.count(x) / len(given) for x in range(k)])
    if r >= 2:
        pe = sum(
            weights[a][b] * p[a] * q[b]
            for p, q in itertools.permutations(shares, 2)
            for a in range(k)
            for b in range(k)
        ) / (r * (r - 1))
        out["conger_kappa"] = corrected(pe)
        kappas = [cohen(a, b, k, weights) for a, b in itertools.combinations(columns, 2)]
        kappas = [x for x in kappas if x is not None]
        out["light_kappa"] = sum(kappas) / len(kappas) if kappas else None
    return out


def cohen(a, b, k: int, weights) -> float | None:
    both = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    if not both:
        return None
    n = len(both)
    po = sum(weights[x][y] for x, y in both) / n
    p = [sum(x == c for x, _ in both) / n for c in range(k)]
    q = [sum(y == c for _, y in both) / n for c in range(k)]
    pe = sum(weights[i][j] * p[i] * q[j] for i in range(k) for j in range(k))
    return None if abs(1 - pe) < 1e-12 else (po - pe) / (1 - pe)


def nominal(a, b, n_c):
    return float(a != b)


def interval(a, b, n_c):
    return float((a - b) ** 2)


def ratio(a, b, n_c):
    """On the values code + 1."""
    return ((a - b) / (a + b + 2)) ** 2


def ordinal(a, b, n_c):
    low, high = min(a, b), max(a, b)
    return (sum(n_c[low : high + 1]) - (n_c[a] + n_c[b]) / 2) ** 2
