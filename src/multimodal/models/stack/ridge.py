"""Ridge regression of sparse terms, for several strengths of the penalty at once.

References:
    Saunders et al., Ridge Regression Learning Algorithm in Dual Variables, 1998; Huber, Robust
    Estimation of a Location Parameter, 1964, with the usual constant of 1.345; Holland & Welsch,
    Robust Regression Using Iteratively Reweighted Least-Squares, 1977.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from multimodal.core.arrays import Floats

Matrix = Any  # scipy.sparse.csr_matrix, (rows, terms)
Solve = Callable[[Floats, float], tuple[Floats, float]]
MOST_ROWS = 7_500  # of which products between rows, a square, are kept
COMMON = 48  # one in so many rows holds a term, for it to be multiplied as a dense column
HUBER = 1.345  # standard deviations beyond which an error counts by its size, not its square
REWEIGHTINGS = 2


def fit_ridge(
    terms: Matrix,
    y_true: Floats,
    weight: Floats,
    strengths: Sequence[float],
    *,
    robust: bool = False,
) -> Iterator[tuple[Floats, float]]:
    """Yield slopes (V,) and intercept that make the penalised squared error least, per strength.

    The error is `sum_i weight_i (truth_i - terms_i @ slopes - intercept)**2`, the penalty
    `strength * sum(slopes**2)`. With more terms than rows, the rows' products with each other are
    taken once, and each strength costs one system of as many equations as rows; else conjugate
    gradients.

    Args:
        terms: Sparse (N, V).
        y_true: Numbers (N,).
        weight: Weights of the rows (N,), above 0.
        strengths: Above 0.
        robust: Whether Huber's loss takes the place of the square.

    Example:
    >>> import scipy.sparse as sparse
    >>> terms, ones = sparse.csr_matrix(np.eye(3, 5, dtype="float32")), np.ones(3)
    >>> [(slopes, bias)] = fit_ridge(terms, np.array([0.0, 1.0, 5.0]), ones, [1.0])
    >>> slopes.round(3).tolist(), round(bias, 3)
    ([-1.0, -0.5, 1.5, 0.0, 0.0], 2.0)
    """
    wide = terms.shape[0] < min(terms.shape[1], MOST_ROWS + 1)
    solve = _by_rows(terms, y_true) if wide else _by_terms(terms, y_true)
    for strength in strengths:
        slopes, bias = solve(weight, strength)
        for _ in range(REWEIGHTINGS if robust else 0):
            counted = weight * huber_weights(terms @ slopes + bias - y_true)
            counted *= weight.sum() / counted.sum()  # the penalty keeps its strength
            slopes, bias = solve(counted, strength)
        yield slopes, bias


def huber_weights(errors: Floats) -> Floats:
    """Return weights (N,) with which squared errors are Huber's loss of these errors (N,).

    Their scale is that of a normal distribution with their median of absolute values.
    """
    sizes = np.abs(errors)
    edge = HUBER * np.median(sizes) / 0.6745
    if edge == 0:
        return np.ones_like(sizes)
    return np.asarray(edge / np.maximum(sizes, edge))


def _by_terms(terms: Matrix, y_true: Floats) -> Solve:
    """Return what solves for as many slopes as terms."""
    from sklearn.linear_model import Ridge

    def solve(weight: Floats, strength: float) -> tuple[Floats, float]:
        model = Ridge(alpha=strength, solver="sparse_cg", tol=1e-5)
        model.fit(terms, y_true, sample_weight=weight)
        return np.asarray(model.coef_, np.float64), float(model.intercept_)

    return solve


def _by_rows(terms: Matrix, y_true: Floats) -> Solve:
    """Return what solves for as many numbers as rows, and makes slopes of them."""
    from scipy import linalg

    square = products(terms)

    def solve(weight: Floats, strength: float) -> tuple[Floats, float]:
        shares, roots = weight / weight.sum(), np.sqrt(weight)
        mean, to_mean = float(shares @ y_true), square @ shares
        system = square - to_mean[:, None]
        system -= to_mean - shares @ to_mean
        system *= roots[:, None]
        system *= roots
        system[np.diag_indices_from(system)] += strength
        found = linalg.solve(system, roots * (y_true - mean), assume_a="pos", overwrite_a=True)
        found *= roots
        found -= found.sum() * shares
        slopes = np.asarray(terms.T @ found).ravel()
        return slopes, mean - float(shares @ (terms @ slopes))

    return solve


def products(terms: Matrix) -> Floats:
    """Return the products of all rows with each other, (N, N).

    Terms that many rows hold are multiplied as a dense matrix, the others as a sparse one.

    Args:
        terms: Sparse (N, V).
    """
    terms = terms.astype(np.float64)  # in single precision, heavy rows would make it indefinite
    counts = np.bincount(terms.indices, minlength=terms.shape[1])
    common = counts > max(terms.shape[0] / COMMON, 1)
    dense, rare = terms[:, common].toarray(), terms[:, (counts > 1) & ~common]
    square = np.asarray(dense @ dense.T)
    square += (rare @ rare.T).toarray()
    alone = terms[:, counts == 1]
    square[np.diag_indices_from(square)] += np.asarray(alone.multiply(alone).sum(axis=1)).ravel()
    return square
