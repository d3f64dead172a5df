"""Has the distribution of labels moved? Between batches, raters or definition versions.

Four figures that answer different questions, each with what it assumes in words. None of them tells whether the
items changed or the raters did: for that, let the same raters label items that lie in both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .estimate import Estimate

if TYPE_CHECKING:
    from .ratings import RatingsTable

__all__ = [
    "ASSUMPTIONS",
    "Drift",
    "TestResult",
    "compare_distributions",
    "compare_tables",
    "js_divergence",
    "l_infinity",
    "psi",
]

RESAMPLES = 2000

ASSUMPTIONS: dict[str, str] = {
    "l_infinity": (
        "Largest change of any one label's share. A threshold on it is a house rule, not a test: small samples pass "
        "it by chance, so read the interval."
    ),
    "js": (
        "Jensen-Shannon divergence, base 2: 0 is equal, 1 is no label in common. Never below 0, so some of it is "
        "chance: compare it with what chance alone gives."
    ),
    "psi": (
        "Population stability index, with half a label added to each count. The customary limits .1 and .25 are not "
        "tests: chance alone gives about (K - 1)(1/n1 + 1/n2)."
    ),
    "chi_square": (
        "Takes every label as an independent draw. Several labels of one item or one rater are not: then its p is "
        "too small. Needs expected counts of 5; below that the p comes from permutations."
    ),
    "permutation": "Takes items as exchangeable between the two samples; the labels of one item stay together.",
}


@dataclass(frozen=True)
class TestResult:
    """A test: its statistic, p value, how the p was obtained, or why there is none."""

    __test__ = False  # keeps pytest from collecting it

    statistic: float | None
    p: float | None
    df: int | None
    method: str
    undefined: str | None = None


@dataclass(frozen=True)
class Drift:
    """Two label distributions compared.

    Attributes
    ----------
    labels, before, after
        Labels and their shares in the two samples.
    n_before, n_after
        Labels counted.
    l_infinity
        Largest absolute change of a share; its interval is the one of that label's change in the direction it moved
        (so it may reach below 0).
    l_infinity_label
        The label that moved most.
    threshold, alarm
        Alarm when `l_infinity` > `threshold`.
    js, js_distance
        Jensen-Shannon divergence (base 2) and its square root, which is a metric. The intervals of `js`, `psi` and
        `cramers_v` are percentiles of 2,000 resamples, shifted by their mean's excess over the value: these figures
        only ever grow by chance, and a plain percentile interval would count the chance twice.
    js_by_chance, psi_by_chance
        What equal distributions give: the 95 % point under permutation for JS, the expectation for PSI.
    psi
        Population stability index, 0.5 added to every count.
    chi_square, cramers_v
        Test of equal distributions and its effect size in [0, 1].
    new_labels, lost_labels
        Labels found in only one sample.
    assumes
        What each figure assumes, in words.
    sentence
        What to read first.
    """

    labels: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    n_before: int
    n_after: int
    l_infinity: Estimate
    l_infinity_label: str | None
    threshold: float
    alarm: bool
    js: Estimate
    js_distance: float | None
    js_by_chance: float | None
    psi: Estimate
    psi_by_chance: float | None
    chi_square: TestResult
    cramers_v: Estimate
    new_labels: tuple[str, ...]
    lost_labels: tuple[str, ...]
    assumes: dict[str, str]
    sentence: str


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = counts / counts.sum(axis=-1, keepdims=True)
    return shares


def l_infinity(p: Sequence[float], q: Sequence[float]) -> float:
    """Largest absolute difference of two aligned vectors of shares, in [0, 1].

    >>> round(l_infinity([.70, .30], [.58, .42]), 10)
    0.12
    """
    return float(np.abs(np.asarray(p, dtype=float) - np.asarray(q, dtype=float)).max())


def js_divergence(p: Sequence[float] | NDArray[np.float64], q: Sequence[float] | NDArray[np.float64]) -> float:
    """Jensen-Shannon divergence in bits, in [0, 1], of two aligned vectors of shares (Lin 1991).

    >>> js_divergence([1, 0], [0, 1])
    1.0
    """
    return float(_js(np.asarray(p, dtype=float), np.asarray(q, dtype=float)))


def _js(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import rel_entr

    mean = (p + q) / 2
    divergence = (rel_entr(p, mean).sum(axis=-1) + rel_entr(q, mean).sum(axis=-1)) / (2 * math.log(2))
    never_below_0: NDArray[np.float64] = np.maximum(np.asarray(divergence), 0.0)
    return never_below_0


def psi(before: Sequence[float], after: Sequence[float], *, smoothing: float = 0.5) -> float:
    """Population stability index sum (p - q) ln(p / q) of two aligned count vectors, `smoothing` added to each count.

    >>> psi([70, 30], [70, 30])
    0.0
    """
    return float(_psi(np.asarray(before, dtype=float), np.asarray(after, dtype=float), smoothing))


@dataclass(frozen=True)
class _Samples:
    """Two vectors of counts, and what chance (`null`) and resampling (`boot`) make of them: B x K arrays each."""

    labels: list[str]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    n_items: int
    unit: str
    null: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    boot: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None


def compare_distributions(
    before: Mapping[str, int],
    after: Mapping[str, int],
    *,
    threshold: float = 0.03,
    confidence: float = 0.95,
    permutations: int = 999,
    seed: int = 0,
) -> Drift:
    """Compare two label distributions given as counts; every label counts as one independent draw.

    Parameters
    ----------
    before, after
        Number of times each label was given. Labels missing from one side count 0 there.
    threshold
        Alarm limit on the L-infinity distance.
    confidence
        Level of the intervals, in (0, 1).
    permutations, seed
        For what chance alone gives, and for the p value where an expected count is below 5.

    Returns
    -------
    Drift
        With undefined figures, never an error, when a side is empty.

    Raises
    ------
    ValueError
        A count below 0 or not whole; the message names the label.

    Examples
    --------
    >>> drift = compare_distributions({"A": 70, "B": 30}, {"A": 58, "B": 42})
    >>> round(drift.l_infinity.value, 4), drift.alarm
    (0.12, True)
    """
    labels = list(dict.fromkeys([*before, *after]))
    for side, counts in (("before", before), ("after", after)):
        for label, count in counts.items():
            if not float(count).is_integer() or count < 0:
                raise ValueError(
                    f"{side}: the count of label {label!r} must be a whole number of 0 or more, not {count!r}"
                )
    x = np.array([before.get(label, 0) for label in labels], dtype=np.int64)
    y = np.array([after.get(label, 0) for label in labels], dtype=np.int64)
    one_label_each = np.eye(len(labels), dtype=np.int64)
    samples = _resampled(labels, one_label_each, x, y, permutations=permutations, seed=seed, unit="label")
    return _drift(samples, threshold=threshold, confidence=confidence)


def compare_tables(
    before: RatingsTable,
    after: RatingsTable,
    *,
    threshold: float = 0.03,
    confidence: float = 0.95,
    permutations: int = 999,
    seed: int = 0,
) -> Drift:
    """Compare the label distributions of two ratings tables; the labels of one item stay together.

    As `compare_distributions`, but chance is what exchanging whole *items* between the two tables gives, and the
    intervals resample items, so several raters per item do not make the figures over-confident. The p value in
    `chi_square` is always the permutation's.
    """
    labels = list(dict.fromkeys([*map(str, before.categories), *map(str, after.categories)]))
    position = {label: j for j, label in enumerate(labels)}
    found = [before.patterns(), after.patterns()]
    blocks = []
    for table, patterns in zip((before, after), found, strict=True):
        counts = np.zeros((len(patterns.counts), len(labels)), dtype=np.int64)
        counts[:, [position[str(label)] for label in table.categories]] = patterns.counts
        blocks.append(counts)
    every, inverse = np.unique(np.vstack(blocks), axis=0, return_inverse=True)
    inverse = inverse.ravel()
    first = len(blocks[0])
    mx = np.bincount(inverse[:first], weights=found[0].multiplicity, minlength=len(every)).astype(np.int64)
    my = np.bincount(inverse[first:], weights=found[1].multiplicity, minlength=len(every)).astype(np.int64)
    samples = _resampled(labels, every, mx, my, permutations=permutations, seed=seed, unit="item")
    return _drift(samples, threshold=threshold, confidence=confidence)


def _resampled(
    labels: list[str],
    units: NDArray[np.int64],
    mx: NDArray[np.int64],
    my: NDArray[np.int64],
    *,
    permutations: int,
    seed: int,
    unit: str,
) -> _Samples:
    """Exchange and resample whole units: `units` (U x K) counts of labels, `mx` and `my` how often each occurs."""
    x, y = (mx @ units).astype(float), (my @ units).astype(float)
    n_items = int(mx.sum() + my.sum())
    if not x.sum() or not y.sum():
        return _Samples(labels, x, y, n_items, unit)
    rng = np.random.default_rng(seed)
    together = mx + my
    drawn = rng.multivariate_hypergeometric(together, int(mx.sum()), size=permutations, method="marginals")
    bx = rng.multinomial(int(mx.sum()), mx / mx.sum(), size=RESAMPLES) @ units
    by = rng.multinomial(int(my.sum()), my / my.sum(), size=RESAMPLES) @ units
    return _Samples(
        labels,
        x,
        y,
        n_items,
        unit,
        null=((drawn @ units).astype(float), ((together - drawn) @ units).astype(float)),
        boot=(bx.astype(float), by.astype(float)),
    )


def _chi_square(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's statistic of the 2 x K table (x; y) over the last axis; columns empty in both count 0."""
    nx, ny = x.sum(axis=-1, keepdims=True), y.sum(axis=-1, keepdims=True)
    column = x + y
    ex, ey = column * nx / (nx + ny), column * ny / (nx + ny)
    with np.errstate(invalid="ignore", divide="ignore"):
        cells = np.where(column > 0, (x - ex) ** 2 / ex + (y - ey) ** 2 / ey, 0.0)
    return np.asarray(cells.sum(axis=-1))


def _psi(x: NDArray[np.float64], y: NDArray[np.float64], smoothing: float = 0.5) -> NDArray[np.float64]:
    p, q = _shares(x + smoothing), _shares(y + smoothing)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1))


def _test(s: _Samples, used: NDArray[np.bool_]) -> TestResult:
    assert s.null is not None
    k = int(used.sum())
    if k < 2:
        return TestResult(None, None, None, "none", "only one label was ever used: there is no distribution to move")
    x, y = s.x[used], s.y[used]
    statistic = float(_chi_square(x, y))
    smallest = float(((x + y) * min(x.sum(), y.sum()) / (x.sum() + y.sum())).min())
    if s.unit == "label" and smallest >= 5:
        from scipy.special import chdtrc

        return TestResult(statistic, float(chdtrc(k - 1, statistic)), k - 1, "chi-square")
    chance = _chi_square(s.null[0][:, used], s.null[1][:, used])
    # the statistic of an exchange that gives the same table again differs in the last digits
    p = float((1 + (chance >= statistic * (1 - 1e-9) - 1e-12).sum()) / (1 + len(chance)))
    return TestResult(statistic, p, k - 1, f"permutation of {s.unit}s")


def _shifted(
    value: float, resamples: NDArray[np.float64], s: _Samples, confidence: float, note: str, high: float = math.inf
) -> Estimate:
    """Estimate of a distance-like figure: percentile interval less the resamples' mean excess, never below 0."""
    excess = float(resamples.mean()) - value
    low, top = np.quantile(resamples, [(1 - confidence) / 2, (1 + confidence) / 2]) - excess
    return Estimate(
        value=value,
        low=max(0.0, float(low)),
        high=min(high, max(0.0, float(top))),
        se=float(resamples.std(ddof=1)),
        level=confidence,
        method="bootstrap",
        population=f"{s.unit}s like these",
        n_items=s.n_items,
        n_ratings=int(s.x.sum() + s.y.sum()),
        notes=(note,),
    )


def _drift(s: _Samples, *, threshold: float, confidence: float) -> Drift:
    nx, ny = int(s.x.sum()), int(s.y.sum())
    if s.null is None or s.boot is None:
        return _nothing_to_compare(s, threshold)
    p, q = s.x / nx, s.y / ny
    used = (s.x + s.y) > 0
    boot_p, boot_q = _shares(s.boot[0]), _shares(s.boot[1])
    distance = l_infinity(list(p), list(q))
    moved = int(np.abs(p - q).argmax())
    change = (boot_q - boot_p)[:, moved] * (1 if q[moved] >= p[moved] else -1)
    low, high = np.quantile(change, [(1 - confidence) / 2, (1 + confidence) / 2])
    js_value = js_divergence(list(p), list(q))
    null_js = _js(_shares(s.null[0]), _shares(s.null[1]))
    test = _test(s, used)
    if test.statistic is None:
        effect = Estimate.missing(test.undefined or "", n_items=s.n_items, n_ratings=nx + ny)
    else:
        effect = _shifted(
            math.sqrt(test.statistic / (nx + ny)),
            np.sqrt(_chi_square(*s.boot) / (s.boot[0].sum(axis=1) + s.boot[1].sum(axis=1))),
            s,
            confidence,
            "Cramer's V: 0 no association, 1 complete",
            high=1.0,
        )
    drift = Drift(
        labels=tuple(s.labels),
        before=tuple(map(float, p)),
        after=tuple(map(float, q)),
        n_before=nx,
        n_after=ny,
        l_infinity=Estimate(
            value=distance,
            low=float(low),
            high=float(high),
            se=float(change.std(ddof=1)),
            level=confidence,
            method="bootstrap",
            population=f"{s.unit}s like these",
            n_items=s.n_items,
            n_ratings=nx + ny,
            notes=(ASSUMPTIONS["l_infinity"],),
        ),
        l_infinity_label=s.labels[moved],
        threshold=threshold,
        alarm=distance > threshold,
        js=_shifted(js_value, _js(boot_p, boot_q), s, confidence, ASSUMPTIONS["js"], high=1.0),
        js_distance=math.sqrt(js_value),
        js_by_chance=float(np.quantile(null_js, 0.95)),
        psi=_shifted(float(_psi(s.x, s.y)), _psi(*s.boot), s, confidence, ASSUMPTIONS["psi"]),
        psi_by_chance=(int(used.sum()) - 1) * (1 / nx + 1 / ny),
        chi_square=test,
        cramers_v=effect,
        new_labels=tuple(label for label, a, b in zip(s.labels, s.x, s.y, strict=True) if b and not a),
        lost_labels=tuple(label for label, a, b in zip(s.labels, s.x, s.y, strict=True) if a and not b),
        assumes=dict(ASSUMPTIONS),
        sentence="",
    )
    return replace(drift, sentence=_sentence(drift))


def _sentence(d: Drift) -> str:
    j = d.labels.index(d.l_infinity_label or "")
    said = (
        f"The share of {d.l_infinity_label} went from {100 * d.before[j]:.1f} % to {100 * d.after[j]:.1f} %: "
        f"{'above' if d.alarm else 'not above'} the limit of {100 * d.threshold:g} points."
    )
    p = d.chi_square.p
    if p is not None and d.alarm and p > 0.05:
        said += f" Chance alone could do this (p = {p:.2f}): count more labels before acting."
    elif p is not None and not d.alarm and p <= 0.05:
        said += f" Small, but not chance (p = {p:.3g})."
    if d.new_labels:
        said += f" Not seen before: {', '.join(d.new_labels)}."
    return said


def _nothing_to_compare(s: _Samples, threshold: float) -> Drift:
    nx, ny = int(s.x.sum()), int(s.y.sum())
    reason = f"the {'first' if not nx else 'second'} sample has no labels"
    missing = Estimate.missing(reason, n_items=s.n_items, n_ratings=nx + ny)
    return Drift(
        labels=tuple(s.labels),
        before=tuple(map(float, s.x / max(nx, 1))),
        after=tuple(map(float, s.y / max(ny, 1))),
        n_before=nx,
        n_after=ny,
        l_infinity=missing,
        l_infinity_label=None,
        threshold=threshold,
        alarm=False,
        js=missing,
        js_distance=None,
        js_by_chance=None,
        psi=missing,
        psi_by_chance=None,
        chi_square=TestResult(None, None, None, "none", reason),
        cramers_v=missing,
        new_labels=(),
        lost_labels=(),
        assumes=dict(ASSUMPTIONS),
        sentence=f"Nothing to compare: {reason}.",
    )
