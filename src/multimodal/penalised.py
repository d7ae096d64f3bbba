"""Ridge and logistic regression of sparse terms, in which telling terms are regularised less.

References:
    Zou, The Adaptive Lasso and Its Oracle Properties, 2006 (weights by a first estimate); Fan & Lv,
    Sure Independence Screening, 2008 (a first estimate from each variable alone); Huber, Robust
    Estimation of a Location Parameter, 1964, with the usual constant of 1.345; Holland & Welsch,
    Robust Regression Using Iteratively Reweighted Least-Squares, 1977.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Matrix = Any  # scipy.sparse.csr_matrix, (rows, terms)
EMPHASIS = 0.4  # between no emphasis, 0, and that of the adaptive lasso, 1
HUBER = 1.345  # standard deviations beyond which an error counts by its size, not its square
REWEIGHTINGS = 2


def fit_penalised(
    kind: str, terms: Matrix, truth: NDArray[Any], weight: Floats, strength: float, outputs: int,
    *, robust: bool = False,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return kernel (V, outputs) and bias (outputs,) of the linear model of terms.

    A term's values are multiplied by `|t| ** 0.4`, with its t statistic over the rows, before all
    are regularised alike.

    Args:
        kind: `number`, `binary`, `class` or `labels`, as in `linear.Labelled`.
        terms: Sparse (N, V).
        truth: The labels.
        weight: Weights of the rows (N,), above 0.
        strength: That of the penalty.
        outputs: Number of raw outputs: classes, labels, or 1.
        robust: Whether numbers are fitted with Huber's loss instead of squared error.
    """
    kernel, bias = _emphasised(kind, terms, truth, weight, strength, outputs)
    for _ in range(REWEIGHTINGS if robust else 0):
        counted = weight * huber_weights((terms @ kernel + bias)[:, 0] - truth)
        counted *= weight.sum() / counted.sum()  # the penalty keeps its strength
        kernel, bias = _emphasised(kind, terms, truth, counted, strength, outputs)
    return kernel, bias


def huber_weights(errors: Floats) -> Floats:
    """Return weights (N,) with which squared errors are Huber's loss of these errors (N,).

    Their scale is that of a normal distribution with their median of absolute values.
    """
    sizes = np.abs(errors)
    edge = HUBER * np.median(sizes) / 0.6745
    if edge == 0:
        return np.ones_like(sizes)
    return np.asarray(edge / np.maximum(sizes, edge))


def _emphasised(
    kind: str, terms: Matrix, truth: NDArray[Any], weight: Floats, strength: float, outputs: int
) -> tuple[Floats, Floats]:
    import scipy.sparse as sparse

    factors = emphasis(terms, targets_of(kind, truth, outputs), weight)
    scaled = sparse.csr_matrix(terms @ sparse.diags(factors.astype(np.float32)))
    kernel, bias = _FITS[kind](scaled, truth, weight, strength, outputs)
    return kernel * factors[:, None], bias


def emphasis(terms: Matrix, targets: Floats, weight: Floats) -> Floats:
    """Return what each term's values are multiplied by, (V,); rows keep their mean length.

    Args:
        terms: Sparse (N, V).
        targets: Numbers (N, T).
        weight: Weights of the rows (N,).
    """
    mean, total = np.average(targets, axis=0, weights=weight), weight.sum()
    centred = (targets - mean) * weight[:, None]
    squares = terms.multiply(terms)
    spread = np.sqrt((centred * (targets - mean)).sum(axis=0) / total)
    found = np.asarray(terms.T @ (centred / np.where(spread > 0, spread, 1.0)))
    power = np.asarray(squares.T @ weight).ravel()
    t = np.divide((found**2).mean(axis=1), power, out=np.zeros(len(power)), where=power > 0)
    factors = t ** (EMPHASIS / 2)
    before, after = power.sum(), (power * factors**2).sum()
    return np.asarray(factors * np.sqrt(before / after) if after > 0 else np.ones(len(power)))


def targets_of(kind: str, truth: NDArray[Any], outputs: int) -> Floats:
    """Return labels as numbers (N, T): a column for each class, or as they are."""
    if kind == "class":
        return np.eye(outputs)[truth.astype(np.int64)]
    return np.asarray(truth, np.float64).reshape(len(truth), -1)


def _ridge(
    terms: Matrix, truth: NDArray[Any], weight: Floats, strength: float, outputs: int
) -> tuple[Floats, Floats]:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=strength, solver="sparse_cg", tol=1e-5)
    model.fit(terms, truth, sample_weight=weight)
    return np.asarray(model.coef_, np.float64)[:, None], np.array([float(model.intercept_)])


def _logistic(
    terms: Matrix, truth: NDArray[Any], weight: Floats, strength: float, outputs: int
) -> tuple[Floats, Floats]:
    """Fit logits of the classes, or of the second of two; a class that is not there is rare."""
    from sklearn.linear_model import LogisticRegression

    there = np.unique(truth).astype(np.int64)
    rare = -np.log(len(truth) + 1.0)
    kernel, bias = np.zeros((terms.shape[1], outputs)), np.full(outputs, rare)
    if len(there) == 1:
        bias[0 if outputs == 1 else there[0]] = -rare if outputs > 1 or there[0] else rare
        return kernel, bias
    model = LogisticRegression(C=1 / strength, max_iter=500, tol=1e-5)
    model.fit(terms, truth, sample_weight=weight)
    if outputs == 1:
        return model.coef_.T, model.intercept_
    if len(there) == 2:  # one logit for two of several classes
        kernel[:, there], bias[there] = model.coef_.T * [-0.5, 0.5], model.intercept_ * [-0.5, 0.5]
        return kernel, bias
    kernel[:, there], bias[there] = model.coef_.T, model.intercept_
    return kernel, bias


def _one_by_one(
    terms: Matrix, truth: NDArray[Any], weight: Floats, strength: float, outputs: int
) -> tuple[Floats, Floats]:
    each = [_logistic(terms, truth[:, i], weight, strength, 1) for i in range(outputs)]
    return np.hstack([kernel for kernel, _ in each]), np.concatenate([bias for _, bias in each])


_FITS: dict[str, Callable[..., tuple[Floats, Floats]]] = {
    "number": _ridge, "binary": _logistic, "class": _logistic, "labels": _one_by_one,
}  # fmt: skip
