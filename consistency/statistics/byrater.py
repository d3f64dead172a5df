"""Coefficients that know who rated: Cohen, Light and Conger.

They are no function of the count vectors, so their item variance comes from influences summed over each item's labels
(Conger) or over its pairs of labels (Light, Cohen).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .bootstrap import Replicates
from .coefficients import ONE, ONE_CATEGORY
from .engine import labels_per_rater
from .estimate import Estimate
from .intervals import Basis, Kind, Variances, items_variance, make_estimate, missing, raters_variance
from .pairs import NO_COMMON, PairStatistics, pair_statistics, pair_table
from .patterns import Batch, Grouped, PairTable, PatternTable, Transitions, row_blocks, within_item_pairs
from .ratings import RatingsTable

FloatArray = npt.NDArray[np.float64]

WORK = 4e8  # labels x replicates up to which a bootstrap by item is worth its time
MOST_PAIRS = 200_000_000  # pairs of ratings up to which Light's interval is worked out
TOO_MANY = "too many pairs of ratings on one item: no interval, read the pairs themselves"
STREAMED = "the labels themselves are not in memory: no interval"
UNKNOWN = "who rated what is not known"


@dataclass(frozen=True, slots=True, eq=False)
class RaterAnalysis:
    """Value, variances, and the influences behind them (for differences between tables).

    Attributes
    ----------
    value : float
    variances : Variances
    chance : float or None
        p_e, for the bound when nobody disagreed.
    by_item : float64 (N,) or None
        g·V_i, centred where the statistic's sums are.
    by_label : float64 (n,) or None
        Change of g·V when the label is taken away.
    without : dict from rater index to the value without that rater
    """

    value: float
    variances: Variances
    chance: float | None
    by_item: FloatArray | None
    by_label: FloatArray | None
    without: dict[int, float]
    notes: tuple[str, ...] = ()


def item_agreement(counts: npt.NDArray[np.int32], weights: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Weighted agreement a of each count row (n,), 0 below two ratings, and whether it has two."""
    c = counts.astype(np.float64)
    r = c.sum(axis=1)
    two = r >= 2
    a = np.zeros(len(c))
    np.divide(np.einsum("ij,ij->i", c @ weights, c) - r, r * (r - 1), out=a, where=two)
    return a, two


# ------------------------------------------------------------------------------------------------ Conger


def analyse_conger(
    patterns: PatternTable,
    transitions: Transitions,
    weights: FloatArray,
    table: RatingsTable | None,
    pairs: PairTable | None = None,
) -> RaterAnalysis | str:
    """Conger's kappa (1980): p_e is the mean over ordered rater pairs of p_gᵀ W p_h, p_g over all of g's ratings.

    (Σ w_kl (p̄_k p̄_l - s²_kl / R) in Gwet's writing.) Returns the reason in words where it is undefined.
    """
    k = len(weights)
    a, two = item_agreement(patterns.counts, weights)
    m = patterns.multiplicity.astype(np.float64)
    n_two, together = float(m @ two), float(m @ a)
    pa = together / n_two
    labels = transitions.by_category(k).astype(np.float64)
    n_g = labels.sum(axis=1)
    present = np.flatnonzero(n_g > 0)
    share = np.zeros_like(labels)
    share[present] = labels[present] / n_g[present, None]
    r = len(present)
    total = share.sum(axis=0)
    own = np.einsum("gk,kl,gl->g", share, weights, share, optimize=True)
    pe = (float(total @ weights @ total) - float(own.sum())) / (r * (r - 1))
    if 1 - pe <= ONE:
        return ONE_CATEGORY
    kappa = (pa - pe) / (1 - pe)
    by_pe = -(1 - kappa) / (1 - pe)
    slope = 2 * ((total - share) @ weights) / (r * (r - 1))
    slope[n_g == 0] = 0
    mean_slope = np.einsum("gk,gk->g", slope, share)
    per_label = by_pe * (slope - mean_slope[:, None]) / np.maximum(n_g, 1)[:, None]  # (R, K)
    per_pattern = np.where(two, a - pa, 0.0) / n_two / (1 - pe)
    n = patterns.n_items
    by_item = by_label = None
    if table is not None and patterns.index is not None:
        of_labels = np.bincount(table.item, weights=per_label[table.rater, table.value], minlength=n)
        by_item = per_pattern[patterns.index] + of_labels
        vi = items_variance(by_item, np.ones(n), n)
    elif pairs is not None:
        vi = _conger_from_pairs(per_pattern, per_label, m, transitions, pairs, labels, n)
    else:
        vi = None
    # one label less
    pattern, category, _ = patterns.cells()
    place = np.zeros(patterns.counts.shape, np.int64)
    place[pattern, category] = np.arange(len(pattern))
    less = patterns.counts[pattern]
    less[np.arange(len(pattern)), category] -= 1
    a_less, two_less = item_agreement(less, weights)
    d_together = a_less - a[pattern]
    d_two = two_less.astype(np.float64) - two[pattern]
    change = (d_together - pa * d_two) / n_two / (1 - pe)
    of_transition = change[place[transitions.pattern, transitions.category]]
    vir = float(transitions.count @ (of_transition - per_label[transitions.rater, transitions.category]) ** 2)
    if by_item is not None and table is not None and patterns.index is not None:
        by_label = change[place[patterns.index[table.item], table.value]] - per_label[table.rater, table.value]
    # one rater less
    cell = place[transitions.pattern, transitions.category]
    d_t = np.bincount(transitions.rater, weights=transitions.count * d_together[cell], minlength=len(n_g))
    d_n = np.bincount(transitions.rater, weights=transitions.count * d_two[cell], minlength=len(n_g))
    counted = np.flatnonzero(labels_per_rater(patterns, transitions) > 0)
    without = np.full(len(counted), np.nan)
    if r >= 3:
        left = total - share[counted]
        pe_less = np.einsum("gk,kl,gl->g", left, weights, left, optimize=True) - (own.sum() - own[counted])
        pe_less /= (r - 1) * (r - 2)
        pairs_left = n_two + d_n[counted]
        ok = (pairs_left > 0) & (1 - pe_less > ONE)
        pa_less = np.divide(together + d_t[counted], pairs_left, out=np.full(len(counted), np.nan), where=ok)
        without = np.divide(pa_less - pe_less, 1 - pe_less, out=np.full(len(counted), np.nan), where=ok)
    variances = Variances(vi, raters_variance(without), vir)
    each = dict(zip(counted.tolist(), without.tolist(), strict=True))
    return RaterAnalysis(kappa, variances, pe, by_item, by_label, each)


def _conger_from_pairs(
    per_pattern: FloatArray,
    per_label: FloatArray,
    m: FloatArray,
    transitions: Transitions,
    pairs: PairTable,
    labels: FloatArray,
    n: int,
) -> float | None:
    """Σ_i (A_i + Σ_labels b)² multiplied out, from the pair table instead of the items."""
    if n < 2:
        return None
    b = per_label
    mixed = b[transitions.rater, transitions.category] * per_pattern[transitions.pattern]
    both = b[pairs.rater_a, pairs.category_a] * b[pairs.rater_b, pairs.category_b]
    squares = float(m @ per_pattern**2) + 2 * float(transitions.count @ mixed)
    squares += float((labels * b**2).sum()) + 2 * float(pairs.count @ both)
    return max(0.0, squares) * n / (n - 1)


# ------------------------------------------------------------------------------------------- Light, Cohen


def analyse_light(
    stats: PairStatistics,
    weights: FloatArray,
    table: RatingsTable | None,
    n_raters: int,
    rows: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None,
    by_batch: Callable[[], Iterable[Batch]] | None = None,
) -> RaterAnalysis | str:
    """Light's kappa (1971): the mean of the Cohen kappas of all pairs for which one exists; of two raters, Cohen's."""
    if not len(stats):
        return NO_COMMON if n_raters == 2 else "no two raters have an item in common"
    defined = ~np.isnan(stats.kappa)
    m = int(defined.sum())
    if not m:
        return ONE_CATEGORY
    value = float(stats.kappa[defined].mean())
    notes: tuple[str, ...] = ()
    possible = n_raters * (n_raters - 1) // 2
    if m < possible:
        notes = (f"the mean of the {m:,} pairs of raters that have a kappa, of {possible:,}",)
    by_item = by_label = None
    vi, vir = None, 0.0
    if table is not None:
        if rows is not None:
            by_item, by_label, used = _light_joined(stats, table, rows, defined, m)
        elif int((stats.items).sum()) > MOST_PAIRS:
            return RaterAnalysis(value, Variances(None), None, None, None, {}, (*notes, TOO_MANY))
        else:
            by_item, by_label, used = _light_influences(
                stats, weights, table.item, table.rater, table.value, table.n_items, defined, m
            )
        vi = items_variance(by_item[used], np.ones(int(used.sum())), int(used.sum()))
        vir = float((by_label**2).sum())
    elif by_batch is not None:
        vi, vir = _light_streamed(stats, weights, by_batch, defined, m)
    sums = np.bincount(stats.rater_a[defined], weights=stats.kappa[defined], minlength=n_raters)
    sums += np.bincount(stats.rater_b[defined], weights=stats.kappa[defined], minlength=n_raters)
    number = np.bincount(stats.rater_a[defined], minlength=n_raters) + np.bincount(
        stats.rater_b[defined], minlength=n_raters
    )
    present = np.flatnonzero(
        np.bincount(stats.rater_a, minlength=n_raters) + np.bincount(stats.rater_b, minlength=n_raters)
    )
    left = m - number[present]
    without = np.divide(value * m - sums[present], left, out=np.full(len(present), np.nan), where=left > 0)
    variances = Variances(vi, raters_variance(without), vir)
    chance = float(stats.chance[defined].mean())
    each = dict(zip(present.tolist(), without.tolist(), strict=True))
    return RaterAnalysis(value, variances, chance, by_item, by_label, each, notes)


def _light_joined(
    stats: PairStatistics,
    table: RatingsTable,
    rows: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    defined: npt.NDArray[np.bool_],
    m: int,
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """As `_light_influences`, where every entry of the pair table is one pair of ratings."""
    scale = np.where(defined, 1.0 / (m * stats.items), 0.0)
    counts = defined[stats.pair]
    phi = np.where(counts, stats.influence, 0.0) * scale[stats.pair]
    i, j = rows
    by_item = np.bincount(table.item[i], weights=phi, minlength=table.n_items).astype(np.float64)
    by_label = -np.bincount(i, weights=phi, minlength=table.n_ratings).astype(np.float64)
    by_label -= np.bincount(j, weights=phi, minlength=table.n_ratings)
    used = np.zeros(table.n_items, np.bool_)
    used[table.item[i[counts]]] = True
    return by_item, by_label, used


def _light_influences(
    stats: PairStatistics,
    weights: FloatArray,
    item: npt.NDArray[Any],
    rater: npt.NDArray[Any],
    value: npt.NDArray[Any],
    n_items: int,
    defined: npt.NDArray[np.bool_],
    m: int,
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Influence by item (N,), change by label (n,), and the items with a pair that counts (N,)."""
    by_item = np.zeros(n_items)
    by_label = np.zeros(len(item))
    used = np.zeros(n_items, np.bool_)
    room = np.where(defined, 1 - stats.chance, 1.0)
    shrink = np.where(defined, 1 - stats.kappa, 0.0)
    scale = np.where(defined, 1.0 / (m * room * stats.items), 0.0)
    for i, j in within_item_pairs(item):
        pair = stats.position(rater[i], rater[j])
        ca, cb = value[i], value[j]
        expected = stats.by_a[pair, ca] + stats.by_b[pair, cb] - 2 * stats.chance[pair]
        phi = scale[pair] * (weights[ca, cb] - stats.agreement[pair] - shrink[pair] * expected)
        by_item += np.bincount(item[i], weights=phi, minlength=n_items)
        used[item[i][defined[pair]]] = True
        by_label -= np.bincount(i, weights=phi, minlength=len(item))
        by_label -= np.bincount(j, weights=phi, minlength=len(item))
    return by_item, by_label, used


def _light_streamed(
    stats: PairStatistics,
    weights: FloatArray,
    by_batch: Callable[[], Iterable[Batch]],
    defined: npt.NDArray[np.bool_],
    m: int,
) -> tuple[float | None, float]:
    """(Vi, Vir) from batches in the order of the items; an item may go on in the next batch."""
    n, total, squares, of_labels = 0, 0.0, 0.0, 0.0

    def add(item: npt.NDArray[Any], rater: npt.NDArray[Any], value: npt.NDArray[Any]) -> None:
        nonlocal n, total, squares, of_labels
        local = np.cumsum(np.append(0, item[1:] != item[:-1]))
        order = np.lexsort((rater, local))
        by_item, by_label, used = _light_influences(
            stats, weights, local[order], rater[order], value[order], int(local[-1]) + 1, defined, m
        )
        n += int(used.sum())
        total += float(by_item[used].sum())
        squares += float((by_item[used] ** 2).sum())
        of_labels += float((by_label**2).sum())

    rest = tuple(np.zeros(0, np.int64) for _ in range(3))
    for batch in by_batch():
        item, rater, value = (np.concatenate([a, np.asarray(b)]) for a, b in zip(rest, batch, strict=True))
        if not len(item):
            continue
        cut = int(np.searchsorted(item, item[-1]))
        rest = item[cut:], rater[cut:], value[cut:]
        if cut:
            add(item[:cut], rater[:cut], value[:cut])
    if len(rest[0]):
        add(*rest)
    if n < 2:
        return None, of_labels
    return max(0.0, squares - total * total / n) * n / (n - 1), of_labels


# ----------------------------------------------------------------------------------------------- estimates


def estimate_by_rater(
    grouped: Grouped,
    table: RatingsTable | None,
    weights: FloatArray,
    basis: Basis,
    *,
    kind: Kind = "auto",
    confidence: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
) -> dict[str, Estimate]:
    """``cohen_kappa`` (two raters), ``light_kappa`` and ``conger_kappa``."""
    out: dict[str, Estimate] = {}
    if grouped.transitions is None:
        return {name: missing(UNKNOWN, basis, confidence) for name in ("cohen_kappa", "light_kappa", "conger_kappa")}
    found: dict[str, RaterAnalysis | str] = {}
    n_raters = grouped.transitions.n_raters
    pairs = grouped.pairs if table is None else pair_table(table)
    if pairs is None:
        found["light_kappa"] = "the rater pairs were not counted"
    else:
        stats = pair_statistics(pairs, weights, grouped.raters, confidence=confidence)
        found["light_kappa"] = analyse_light(stats, weights, table, n_raters, pairs.rows, grouped.by_item)
    found["conger_kappa"] = analyse_conger(grouped.patterns, grouped.transitions, weights, table, pairs)
    if basis.n_raters == 2:
        found["cohen_kappa"] = found["light_kappa"]
        if table is None and pairs is not None and not isinstance(found["light_kappa"], str):
            se = float(stats.kappa_se[0])  # for one pair the pair table is all there is to know
            variances = Variances(None if np.isnan(se) else se * se)
            light = found["light_kappa"]
            found["cohen_kappa"] = found["light_kappa"] = RaterAnalysis(
                light.value, variances, light.chance, None, None, light.without
            )
    else:
        found["cohen_kappa"] = (
            f"Cohen's kappa is for two raters, here are {basis.n_raters}: see Light's and Conger's kappa, or the pairs"
        )
    drawn = None
    if bootstrap and table is not None:
        drawn = _bootstrap(table, grouped, weights, bootstrap, seed)
    for name, result in found.items():
        if isinstance(result, str):
            out[name] = missing(result, basis, confidence)
            continue
        variances, notes = result.variances, result.notes
        if bootstrap and drawn is None:
            notes += ("too many labels for a bootstrap by item: the linearised variance stands",)
        elif drawn is not None:
            column = 1 if name == "conger_kappa" else 0
            variance = float(drawn.variance()[column])
            if np.isfinite(variance) and variances.items is not None:
                variances = Variances(variance, variances.raters, variances.labels)
                notes += (f"item variance from {bootstrap:,} bootstrap replicates, seed {seed}",)
            bad = int(drawn.degenerate[column])
            if bad:
                notes += (f"{bad:,} of {bootstrap:,} replicates were degenerate and are not in the variance",)
        if variances.items is None and basis.pairable > 1 and TOO_MANY not in notes:
            notes += (STREAMED,)
        out[name] = make_estimate(
            result.value,
            variances,
            basis,
            scale="kappa",
            kind=kind,
            confidence=confidence,
            chance=result.chance,
            notes=notes,
        )
    return out


def _bootstrap(
    table: RatingsTable,
    grouped: Grouped,
    weights: FloatArray,
    replicates: int,
    seed: int,
) -> Replicates | None:
    """Item bootstrap of (Light, Conger): (B, 2); None where it would take too long."""
    from scipy.sparse import coo_array, csr_array, hstack

    index = grouped.patterns.index
    assert index is not None
    together = sum(len(i) for i, _ in within_item_pairs(table.item))
    n, k, r = table.n_items, len(weights), table.n_raters
    if (together + table.n_ratings + n) * replicates > WORK or n < 2:
        return None
    pairs = pair_table(table, by_product=True)  # one entry per cell
    key = _pair_key(pairs.rater_a, pairs.rater_b, pairs.category_a, pairs.category_b, r, k)
    order = np.argsort(key)
    rows, cols = [], []
    for i, j in within_item_pairs(table.item):
        wanted = _pair_key(table.rater[i], table.rater[j], table.value[i], table.value[j], r, k)
        rows.append(table.item[i])
        cols.append(order[np.searchsorted(key, wanted, sorter=order)])
    row, col = (np.concatenate(x) if x else np.zeros(0, np.int64) for x in (rows, cols))
    of_pairs = coo_array((np.ones(len(row)), (row, col)), shape=(n, len(key))).tocsr()
    column = table.rater.astype(np.int64) * k + table.value
    of_labels = csr_array(coo_array((np.ones(len(column)), (table.item, column)), shape=(n, r * k)))
    a, two = item_agreement(grouped.patterns.counts, weights)
    of_items = csr_array(np.stack([a[index], two[index].astype(np.float64)], axis=1))
    design = csr_array(hstack([of_pairs, of_labels, of_items]))
    rng = np.random.default_rng(seed)
    values = np.full((replicates, 2), np.nan)
    equal = np.full(n, 1 / n)
    for block in row_blocks(replicates, max(n, design.shape[1]), 1_000_000):
        drawn = rng.multinomial(n, equal, size=block.stop - block.start).astype(np.float64)
        sums = (design.T @ drawn.T).T
        cells, marginals, items = sums[:, : len(key)], sums[:, len(key) : -2], sums[:, -2:]
        values[block, 0] = _light_of(cells, pairs, weights)
        values[block, 1] = _conger_of(marginals.reshape(len(sums), r, k), items, weights)
    return Replicates(values)


def _pair_key(
    a: npt.NDArray[Any],
    b: npt.NDArray[Any],
    ca: npt.NDArray[Any],
    cb: npt.NDArray[Any],
    r: int,
    k: int,
) -> npt.NDArray[np.int64]:
    key = (np.asarray(a, np.int64) * r + b) * k + ca
    return np.asarray(key * k + cb, np.int64)


def _light_of(cells: FloatArray, pairs: PairTable, weights: FloatArray) -> FloatArray:
    """Light's kappa of replicated pair tables (B, T): mean over the pairs that have a kappa in the replicate."""
    distinct, pair = np.unique(np.asarray(pairs.rater_a) * pairs.n_raters + pairs.rater_b, return_inverse=True)
    m, k = len(distinct), len(weights)

    def added(column: npt.NDArray[np.int64], width: int, per_entry: FloatArray | None = None) -> FloatArray:
        from scipy.sparse import coo_array

        data = np.ones(len(column)) if per_entry is None else per_entry
        spread = coo_array((data, (column, np.arange(len(column)))), shape=(width, len(column))).tocsr()
        return np.asarray((spread @ cells.T).T, np.float64)

    n = added(pair, m)
    ca, cb = np.asarray(pairs.category_a), np.asarray(pairs.category_b)
    with np.errstate(invalid="ignore", divide="ignore"):
        pa = added(pair, m, weights[ca, cb]) / n
        p = added(pair * k + ca, m * k).reshape(-1, m, k) / n[..., None]
        q = added(pair * k + cb, m * k).reshape(-1, m, k) / n[..., None]
        pe = np.einsum("bmk,kl,bml->bm", p, weights, q, optimize=True)
        kappa = np.where((n > 0) & (1 - pe > ONE), (pa - pe) / (1 - pe), np.nan)
        number = (~np.isnan(kappa)).sum(axis=1)
        mean: FloatArray = np.where(number > 0, np.nansum(kappa, axis=1) / number, np.nan)
    return mean


def _conger_of(labels: FloatArray, items: FloatArray, weights: FloatArray) -> FloatArray:
    """Conger's kappa of replicated marginals (B, R, K) and (Σ a, number of pairable items) (B, 2)."""
    n_g = labels.sum(axis=2)
    r = (n_g > 0).sum(axis=1).astype(np.float64)
    share = np.divide(labels, n_g[..., None], out=np.zeros_like(labels), where=n_g[..., None] > 0)
    total = share.sum(axis=1)
    own = np.einsum("bgk,kl,bgl->b", share, weights, share, optimize=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        pe = (np.einsum("bk,kl,bl->b", total, weights, total, optimize=True) - own) / (r * (r - 1))
        pa = items[:, 0] / items[:, 1]
        kappa: FloatArray = np.where((r > 1) & (items[:, 1] > 0) & (1 - pe > ONE), (pa - pe) / (1 - pe), np.nan)
    return kappa
