"""Agreement weights of the kappa family: 1 on the diagonal, falling with the distance on the scale.

Definitions: Cohen 1968; Gwet 2014 (Handbook of Inter-Rater Reliability, 4th ed., chapter 3). They use the categories'
numbers when all are numbers, else their declared order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def _spread(x: FloatArray) -> float:
    return float(x.max() - x.min()) if len(x) else 0.0


def _gaps(x: FloatArray) -> FloatArray:
    gaps: FloatArray = np.abs(x[:, None] - x[None, :])
    return gaps


def identity(x: FloatArray) -> FloatArray:
    """1 for the same category, else 0.

    >>> identity(np.array([1.0, 2.0])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return np.eye(len(x))


def linear(x: FloatArray) -> FloatArray:
    """1 - |x_k - x_l| / (max - min) (Cicchetti and Allison 1971).

    >>> linear(np.array([1.0, 2.0, 3.0]))[0].tolist()
    [1.0, 0.5, 0.0]
    """
    return 1.0 - _gaps(x) / _spread(x)


def quadratic(x: FloatArray) -> FloatArray:
    """1 - (x_k - x_l)² / (max - min)² (Fleiss and Cohen 1973).

    >>> quadratic(np.array([1.0, 2.0, 3.0]))[0].tolist()
    [1.0, 0.75, 0.0]
    """
    squares: FloatArray = (_gaps(x) / _spread(x)) ** 2
    return 1.0 - squares


def ordinal(x: FloatArray) -> FloatArray:
    """1 - C(|k - l| + 1, 2) / C(K, 2) on the ranks of the categories (Gwet 2014).

    >>> ordinal(np.array([1.0, 2.0, 3.0]))[0].round(4).tolist()
    [1.0, 0.6667, 0.0]
    """
    rank = np.unique(x, return_inverse=True)[1].astype(np.float64)
    steps = _gaps(rank)
    top = _spread(rank) + 1.0
    return 1.0 - (steps + 1.0) * steps / (top * (top - 1.0))


def radical(x: FloatArray) -> FloatArray:
    """1 - sqrt(|x_k - x_l| / (max - min)) (Gwet 2014).

    >>> radical(np.array([1.0, 2.0, 5.0]))[0].tolist()
    [1.0, 0.5, 0.0]
    """
    return 1.0 - np.sqrt(_gaps(x) / _spread(x))


def ratio(x: FloatArray) -> FloatArray:
    """1 - ((x_k - x_l) / (x_k + x_l))² / ((max - min) / (max + min))² (Gwet 2014); for positive scales.

    >>> ratio(np.array([1.0, 3.0])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if len(x) and x.min() < 0:
        raise ValueError(f"ratio weights need numbers that are not negative; {x.min():g} is")
    total = x[:, None] + x[None, :]
    share = np.divide(_gaps(x), total, out=np.zeros_like(total), where=total > 0)
    squares: FloatArray = (share / (_spread(x) / (x.max() + x.min()))) ** 2
    return 1.0 - squares


def circular(x: FloatArray) -> FloatArray:
    """Weights on a circle of equal steps (hours, directions): sin² of half the angle, scaled to 0..1 (Gwet 2014).

    >>> circular(np.array([0.0, 1.0, 2.0, 3.0]))[0].round(4).tolist()
    [1.0, 0.5, 0.0, 0.5]
    """
    steps = _gaps(x)
    lost: FloatArray = np.sin(np.pi * steps / (_spread(x) + 1.0)) ** 2
    weights: FloatArray = 1.0 - lost / lost.max()
    return weights


WEIGHTS: dict[str, Callable[[FloatArray], FloatArray]] = {
    f.__name__: f for f in (identity, linear, quadratic, ordinal, radical, ratio, circular)
}


def weight_matrix(weights: str | npt.ArrayLike, categories: tuple[str, ...], numeric: FloatArray | None) -> FloatArray:
    """The K x K agreement weights by name, or a matrix of one's own.

    Returns
    -------
    float64 array (K, K), symmetric, 1 on the diagonal, at most 1.

    Raises
    ------
    ValueError
        Unknown name; a matrix that does not fit the categories, is not symmetric or not 1 on its diagonal.
    """
    k = len(categories)
    if isinstance(weights, str):
        if weights not in WEIGHTS:
            raise ValueError(f"unknown weights {weights!r}: use one of {', '.join(WEIGHTS)}")
        x = numeric if numeric is not None else np.arange(1, k + 1, dtype=np.float64)
        if k < 2 or _spread(x) == 0:
            return np.ones((k, k)) if k and weights != "identity" else np.eye(k)
        return WEIGHTS[weights](x)
    matrix: npt.NDArray[Any] = np.asarray(weights, np.float64)
    if matrix.shape != (k, k):
        raise ValueError(f"the weights are {matrix.shape}, but there are {k} categories")
    if not np.allclose(matrix, matrix.T) or not np.allclose(np.diag(matrix), 1.0) or matrix.max() > 1 + 1e-12:
        raise ValueError("agreement weights are symmetric, 1 on the diagonal and nowhere above 1")
    return matrix.astype(np.float64)
