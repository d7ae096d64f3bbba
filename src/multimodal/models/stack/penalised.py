"""Ridge and logistic regression of sparse terms, in which telling terms are regularised less.

References:
    Zou, The Adaptive Lasso and Its Oracle Properties, 2006 (weights by a first estimate); Fan & Lv,
    Sure Independence Screening, 2008 (a first estimate from each variable alone).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.models.stack.ridge import fit_ridge

Floats = NDArray[np.float64]
Matrix = Any  # scipy.sparse.csr_matrix, (rows, terms)
EMPHASIS = 0.4  # between no emphasis, 0, and that of the adaptive lasso, 1
Fit = tuple[Floats, Floats]  # kernel (V, outputs) and bias (outputs,)


def fit_penalised(
    kind: str, terms: Matrix, truth: NDArray[Any], weight: Floats, strengths: Sequence[float],
    outputs: int, *, robust: bool = False,
) -> Iterator[Fit]:  # fmt: skip
    """Yield kernel (V, outputs) and bias (outputs,) of the linear model of terms, per strength.

    A term's values are multiplied by `|t| ** 0.4`, with its t statistic over the rows, before all
    are regularised alike.

    Args:
        kind: `number`, `binary`, `class` or `labels`, as in `linear.Labelled`.
        terms: Sparse (N, V).
        truth: The labels.
        weight: Weights of the rows (N,), above 0.
        strengths: Those of the penalty.
        outputs: Number of raw outputs: classes, labels, or 1.
        robust: Whether numbers are fitted with Huber's loss instead of squared error.
    """
    import scipy.sparse as sparse

    factors = emphasis(terms, targets_of(kind, truth, outputs), weight)
    scaled = sparse.csr_matrix(terms @ sparse.diags(factors.astype(np.float32)))
    options = {"robust": True} if robust else {}
    for kernel, bias in _FITS[kind](scaled, truth, weight, strengths, outputs, **options):
        yield kernel * factors[:, None], bias


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
    terms: Matrix, truth: NDArray[Any], weight: Floats, strengths: Sequence[float], outputs: int,
    *, robust: bool = False,
) -> Iterator[Fit]:  # fmt: skip
    for slopes, intercept in fit_ridge(terms, truth, weight, strengths, robust=robust):
        yield slopes[:, None], np.array([intercept])


def _logistic(
    terms: Matrix, truth: NDArray[Any], weight: Floats, strengths: Sequence[float], outputs: int
) -> Iterator[Fit]:
    """Fit logits of the classes, or of the second of two; a class that is not there is rare."""
    from sklearn.linear_model import LogisticRegression

    there = np.unique(truth).astype(np.int64)
    rare = -np.log(len(truth) + 1.0)
    for strength in strengths:
        kernel, bias = np.zeros((terms.shape[1], outputs)), np.full(outputs, rare)
        if len(there) == 1:
            bias[0 if outputs == 1 else there[0]] = -rare if outputs > 1 or there[0] else rare
            yield kernel, bias
            continue
        model = LogisticRegression(C=1 / strength, max_iter=500, tol=1e-5)
        model.fit(terms, truth, sample_weight=weight)
        slopes, starts = model.coef_.T, model.intercept_
        if len(there) == 2 and outputs > 1:  # one logit for two of several classes
            slopes, starts = slopes * [-0.5, 0.5], starts * [-0.5, 0.5]
        columns = there if outputs > 1 else [0]
        kernel[:, columns], bias[columns] = slopes, starts
        yield kernel, bias


def _one_by_one(
    terms: Matrix, truth: NDArray[Any], weight: Floats, strengths: Sequence[float], outputs: int
) -> Iterator[Fit]:
    each = [_logistic(terms, truth[:, i], weight, strengths, 1) for i in range(outputs)]
    for fits in zip(*each, strict=True):
        yield np.hstack([kernel for kernel, _ in fits]), np.concatenate([bias for _, bias in fits])


_FITS: dict[str, Callable[..., Iterator[Fit]]] = {
    "number": _ridge, "binary": _logistic, "class": _logistic, "labels": _one_by_one,
}  # fmt: skip
