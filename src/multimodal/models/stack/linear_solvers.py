"""Ridge and logistic regression on sparse n-gram features, for several strengths at once.

References:
    Saunders et al., Ridge Regression Learning Algorithm in Dual Variables, 1998; Huber, Robust
    Estimation of a Location Parameter, 1964, with the usual constant of 1.345; Holland & Welsch,
    Robust Regression Using Iteratively Reweighted Least-Squares, 1977; Zou, The Adaptive Lasso and
    Its Oracle Properties, 2006 (weights by a first estimate); Fan & Lv, Sure Independence
    Screening, 2008 (a first estimate from each variable alone).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.data.sparse.ngrams import Matrix

Fit = tuple[Floats, Floats]  # kernel (V, outputs) and bias (outputs,)
Solve = Callable[[Floats, float], tuple[Floats, float]]
ADAPTIVE_POWER = 0.4  # between plain ridge regression, 0, and the adaptive lasso, 1
MAX_ROWS = 7_500  # of which products between rows, a square, are kept: 450 MB
COMMON = 48  # one in so many rows holds a feature, for it to be multiplied as a dense column
HUBER = 1.345  # standard deviations beyond which an error counts by its size, not its square
REWEIGHTINGS = 2


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let linear algebra inside run on one thread.

    OpenBLAS' threads wait for each other by spinning. Where a core is busy with something else, a
    system of 1,440 equations took 2 s with two threads, 0.06 s with one, and the logistic
    regression of 2,000 reviews 127 s instead of 12.
    """
    import scipy.linalg  # noqa: F401  only libraries that are loaded can be limited
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def fit_regularised(
    kind: str,
    features: Matrix,
    y_true: NDArray[Any],
    weight: Floats,
    strengths: Sequence[float],
    outputs: int,
    *,
    robust: bool = False,
) -> Iterator[Fit]:
    """Yield kernel (V, outputs) and bias (outputs,) of the linear model, per strength.

    Features are multiplied by their adaptive weights before all are regularised alike.

    Args:
        kind: `number`, `binary`, `class` or `labels`, as in `sparse_linear.LabelledRows`.
        features: Sparse (N, V).
        y_true: The labels.
        weight: Weights of the rows (N,), above 0.
        strengths: Those of the penalty.
        outputs: Number of raw outputs: classes, labels, or 1.
        robust: Whether numbers are fitted with Huber's loss instead of squared error.
    """
    import scipy.sparse as sparse

    factors = adaptive_weights(features, to_columns(kind, y_true, outputs), weight)
    scaled = sparse.csr_matrix(features @ sparse.diags(factors.astype(np.float32)))
    fits: Iterator[Fit]
    if kind == "number":
        fits = fit_ridge(scaled, y_true, weight, strengths, robust=robust)
    elif kind == "labels":
        each = [fit_logistic(scaled, y_true[:, i], weight, strengths, 1) for i in range(outputs)]
        fits = (
            (np.hstack([kernel for kernel, _ in some]), np.concatenate([bias for _, bias in some]))
            for some in zip(*each, strict=True)
        )
    else:
        fits = fit_logistic(scaled, y_true, weight, strengths, outputs)
    for kernel, bias in fits:
        yield kernel * factors[:, None], bias


def adaptive_weights(features: Matrix, targets: Floats, weight: Floats) -> Floats:
    """Return what each feature is multiplied by, (V,): `|t| ** 0.4` with its t statistic.

    Informative features are regularised less so; rows keep their mean length.

    Args:
        features: Sparse (N, V).
        targets: Numbers (N, T).
        weight: Weights of the rows (N,).
    """
    mean, total = np.average(targets, axis=0, weights=weight), weight.sum()
    centred = (targets - mean) * weight[:, None]
    squares = features.multiply(features)
    deviation = np.sqrt((centred * (targets - mean)).sum(axis=0) / total)
    found = np.asarray(features.T @ (centred / np.where(deviation > 0, deviation, 1.0)))
    power = np.asarray(squares.T @ weight).ravel()
    t2 = np.divide((found**2).mean(axis=1), power, out=np.zeros(len(power)), where=power > 0)
    factors = t2 ** (ADAPTIVE_POWER / 2)
    before, after = power.sum(), (power * factors**2).sum()
    return np.asarray(factors * np.sqrt(before / after) if after > 0 else np.ones(len(power)))


def to_columns(kind: str, y_true: NDArray[Any], outputs: int) -> Floats:
    """Return labels as numbers (N, T): one-hot classes, or as they are."""
    if kind == "class":
        return np.eye(outputs)[y_true.astype(np.int64)]
    return np.asarray(y_true, np.float64).reshape(len(y_true), -1)


def fit_logistic(
    features: Matrix, y_true: NDArray[Any], weight: Floats, strengths: Sequence[float], outputs: int
) -> Iterator[Fit]:
    """Yield a fit of the logits of the classes, or of the second of two, per strength.

    A class that has no rows is predicted as rare.
    """
    from sklearn.linear_model import LogisticRegression

    there = np.unique(y_true).astype(np.int64)
    rare = -np.log(len(y_true) + 1.0)
    for strength in strengths:
        kernel, bias = np.zeros((features.shape[1], outputs)), np.full(outputs, rare)
        if len(there) == 1:
            bias[0 if outputs == 1 else there[0]] = -rare if outputs > 1 or there[0] else rare
            yield kernel, bias
            continue
        model = LogisticRegression(C=1 / strength, max_iter=500, tol=1e-5)
        model.fit(features, y_true, sample_weight=weight)
        slopes, starts = model.coef_.T, model.intercept_
        # Of two classes scikit-learn fits one logit, also where they are two of several.
        if len(there) == 2 and outputs > 1:
            slopes, starts = slopes * [-0.5, 0.5], starts * [-0.5, 0.5]
        columns = there if outputs > 1 else [0]
        kernel[:, columns], bias[columns] = slopes, starts
        yield kernel, bias


def fit_ridge(
    features: Matrix,
    y_true: Floats,
    weight: Floats,
    strengths: Sequence[float],
    *,
    robust: bool = False,
) -> Iterator[Fit]:
    """Yield slopes (V, 1) and intercept (1,) that make the penalised squared error least.

    The error is `sum_i weight_i (y_i - features_i @ slopes - intercept)**2`, the penalty
    `strength * sum(slopes**2)`, once per strength. With more features than rows, the rows' products
    with each other are taken once, and each strength costs one system of as many equations as rows;
    else conjugate gradients.

    Args:
        features: Sparse (N, V).
        y_true: Numbers (N,).
        weight: Weights of the rows (N,), above 0.
        strengths: Above 0.
        robust: Whether Huber's loss takes the place of the square.

    Example:
    >>> import scipy.sparse as sparse
    >>> features, ones = sparse.csr_matrix(np.eye(3, 5, dtype="float32")), np.ones(3)
    >>> [(slopes, bias)] = fit_ridge(features, np.array([0.0, 1.0, 5.0]), ones, [1.0])
    >>> slopes[:, 0].round(3).tolist(), bias.round(3).tolist()
    ([-1.0, -0.5, 1.5, 0.0, 0.0], [2.0])
    """
    wide = features.shape[0] < min(features.shape[1], MAX_ROWS + 1)
    solve = _dual(features, y_true) if wide else _conjugate_gradients(features, y_true)
    for strength in strengths:
        slopes, bias = solve(weight, strength)
        for _ in range(REWEIGHTINGS if robust else 0):
            reweighted = weight * huber_weights(features @ slopes + bias - y_true)
            reweighted *= weight.sum() / reweighted.sum()  # the penalty keeps its strength
            slopes, bias = solve(reweighted, strength)
        yield slopes[:, None], np.array([bias])


def huber_weights(errors: Floats) -> Floats:
    """Return weights (N,) with which squared errors are Huber's loss of these errors (N,).

    Their scale is that of a normal distribution with their median of absolute values.
    """
    sizes = np.abs(errors)
    edge = HUBER * np.median(sizes) / 0.6745  # the median of a standard normal's absolute value
    if edge == 0:
        return np.ones_like(sizes)
    return np.asarray(edge / np.maximum(sizes, edge))


def _conjugate_gradients(features: Matrix, y_true: Floats) -> Solve:
    """Return what solves for as many slopes as features."""
    from sklearn.linear_model import Ridge

    def solve(weight: Floats, strength: float) -> tuple[Floats, float]:
        model = Ridge(alpha=strength, solver="sparse_cg", tol=1e-5)
        model.fit(features, y_true, sample_weight=weight)
        return np.asarray(model.coef_, np.float64), float(model.intercept_)

    return solve


# Measured on the features of real tables, seconds of one core for the four strengths: 889 product
# descriptions (71,255 features) 0.5, where `Ridge(solver="sparse_cg")` takes 1.4 and "lsqr" 1.0;
# 3,060 books (175,602 features) 3.3, 5.6 and 3.5. A robust fit, with three times the systems, takes
# 0.5 and 6.2. The others keep the single precision of the features: their fitted values differ from
# these by up to 2e-4 and 2e-3 standard deviations of the labels.
def _dual(features: Matrix, y_true: Floats) -> Solve:
    """Return what solves for as many numbers as rows, and makes slopes of them."""
    from scipy import linalg

    square = products(features)

    def solve(weight: Floats, strength: float) -> tuple[Floats, float]:
        fractions, roots = weight / weight.sum(), np.sqrt(weight)
        mean, to_mean = float(fractions @ y_true), square @ fractions
        system = square - to_mean[:, None]
        system -= to_mean - fractions @ to_mean
        system *= roots[:, None]
        system *= roots
        system[np.diag_indices_from(system)] += strength
        found = linalg.solve(system, roots * (y_true - mean), assume_a="pos", overwrite_a=True)
        found *= roots
        found -= found.sum() * fractions
        slopes = np.asarray(features.T @ found).ravel()
        return slopes, mean - float(fractions @ (features @ slopes))

    return solve


def products(features: Matrix) -> Floats:
    """Return the products of all rows with each other, (N, N), for sparse features (N, V).

    Features that many rows hold are multiplied as a dense matrix, the others as a sparse one.
    """
    features = features.astype(np.float64)  # in single precision, heavy rows make it indefinite
    counts = np.bincount(features.indices, minlength=features.shape[1])
    common = counts > max(features.shape[0] / COMMON, 1)
    dense, rare = features[:, common].toarray(), features[:, (counts > 1) & ~common]
    square = np.asarray(dense @ dense.T)
    square += (rare @ rare.T).toarray()
    alone = features[:, counts == 1]
    square[np.diag_indices_from(square)] += np.asarray(alone.multiply(alone).sum(axis=1)).ravel()
    return square
