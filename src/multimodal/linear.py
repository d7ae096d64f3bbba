"""Linear models of sparse terms, measured out of fold, and their share beside the networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Matrix = Any  # scipy.sparse.csr_matrix, (rows, terms)
RIDGE = (10.0, 3.0, 1.0, 0.3)  # strengths of regularisation, the strongest first
LOGISTIC = (1 / 3, 1 / 30, 1 / 300)
EMPHASIS = 0.4  # between no emphasis, 0, and that of the adaptive lasso, 1
MOST_SHARE = 5.0


@dataclass(frozen=True)
class Linear:
    """A linear model: raw outputs are `terms @ kernel + bias`, (rows, outputs).

    `out_of_fold` has the outputs of every row by a model that did not learn from its fold, NaN for
    rows without a fold; `strength` is that of the regularisation.
    """

    kernel: Floats
    bias: Floats
    out_of_fold: Floats
    strength: float


def fit_linear(
    kind: str,
    terms: Matrix,
    truth: NDArray[Any],
    weight: Floats,
    folds: NDArray[np.int64],
    outputs: int,
) -> Linear | None:
    """Fit ridge regression, or logistic regression, with the strength that is best out of fold.

    Terms that tell the targets apart by themselves are regularised less: a term's values are
    multiplied by `|t| ** 0.4`, with its t statistic over the training rows.

    Args:
        kind: `number` (truth float (N,), transformed), `binary` or `class` (ids (N,)), or `labels`
            (0 or 1, (N, C)).
        terms: Sparse (N, V).
        truth: The labels.
        weight: Weight of each row (N,); rows of weight 0 are predicted, not learned from.
        folds: Fold of each row (N,); -1 is in every training.
        outputs: Number of raw outputs: classes, labels, or 1.

    Returns:
        The model of all rows, None where no row can be measured.

    References:
        Zou, The Adaptive Lasso and Its Oracle Properties, 2006 (weights by a first estimate); Fan
        & Lv, Sure Independence Screening, 2008 (a first estimate from each variable alone).
    """
    weight = weight / max(float(weight[weight > 0].mean()), 1e-12) if (weight > 0).any() else weight
    scored = (weight > 0) & (folds >= 0)
    if not scored.any():
        return None
    best: tuple[float, float, Floats] | None = None
    for strength in RIDGE if kind == "number" else LOGISTIC:
        found = _out_of_fold(kind, terms, truth, weight, folds, strength, outputs)
        loss = raw_loss(kind, found[scored], truth[scored], weight[scored])
        if best is not None and loss >= best[0]:
            break  # the valley lies behind
        best = loss, strength, found
    assert best is not None
    known = weight > 0
    kernel, bias = _fit(kind, terms[known], truth[known], weight[known], best[1], outputs)
    return Linear(kernel, bias, best[2], best[1])


def nested_out_of_fold(
    kind: str,
    terms: Matrix,
    truth: NDArray[Any],
    weight: Floats,
    folds: NDArray[np.int64],
    linear: Linear,
) -> dict[int, Floats]:
    """Return, for each fold, the outputs of all rows by models that have not learned from it.

    Nor has any of them learned from the fold of the row itself. What learns from these outputs of
    the other folds' rows can be measured on the fold; what learns from `linear.out_of_fold` cannot,
    as that knows the fold's truths. Arguments and shapes are those of `fit_linear`, where `linear`
    comes from.
    """
    names = [int(fold) for fold in np.unique(folds[folds >= 0])]
    found = {fold: linear.out_of_fold.copy() for fold in names}
    for first, second in combinations(names, 2):
        learned = (folds != first) & (folds != second) & (weight > 0)
        if not learned.any():
            continue
        rows = terms[learned], truth[learned], weight[learned]
        kernel, bias = _fit(kind, *rows, linear.strength, linear.out_of_fold.shape[1])
        for fold, other in ((first, second), (second, first)):
            found[fold][folds == other] = terms[folds == other] @ kernel + bias
    return found


def fit_shares(
    kind: str, network: Floats, linear: Floats, truth: NDArray[Any], weight: Floats
) -> Floats:
    """Return what the network's and the linear model's raw outputs should count, `(2,)`.

    Both shares are at least 0; together they make the loss of rows that neither learned from least.
    """
    from scipy.optimize import minimize

    def loss(shares: Floats) -> float:
        return raw_loss(kind, shares[0] * network + shares[1] * linear, truth, weight)

    bounds = [(0.0, MOST_SHARE)] * 2
    starts = ([0.5, 0.5], [1.0, 0.0], [0.0, 1.0])
    found = [minimize(loss, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    best: Floats = min(found, key=lambda each: float(each.fun)).x
    return best


def raw_loss(kind: str, raw: Floats, truth: NDArray[Any], weight: Floats) -> float:
    """Return the mean squared error or cross-entropy of raw outputs (N, outputs)."""
    return float(np.average(_LOSSES[kind](raw, truth), weights=weight))


def _squared(raw: Floats, truth: NDArray[Any]) -> Floats:
    return np.asarray((raw[:, 0] - truth) ** 2)


def _binary(raw: Floats, truth: NDArray[Any]) -> Floats:
    return np.logaddexp(0, np.where(truth == 1, -raw[:, 0], raw[:, 0]))


def _class(raw: Floats, truth: NDArray[Any]) -> Floats:
    shifted = raw - raw.max(axis=1, keepdims=True)
    chosen = np.take_along_axis(shifted, truth[:, None].astype(np.int64), axis=1)[:, 0]
    return np.asarray(np.log(np.exp(shifted).sum(axis=1)) - chosen)


def _labels(raw: Floats, truth: NDArray[Any]) -> Floats:
    return np.asarray(np.logaddexp(0, np.where(truth == 1, -raw, raw)).mean(axis=1))


_LOSSES: dict[str, Callable[[Floats, NDArray[Any]], Floats]] = {
    "number": _squared, "binary": _binary, "class": _class, "labels": _labels,
}  # fmt: skip


def _out_of_fold(
    kind: str, terms: Matrix, truth: NDArray[Any], weight: Floats, folds: NDArray[np.int64],
    strength: float, outputs: int,
) -> Floats:  # fmt: skip
    found = np.full((len(folds), outputs), np.nan)
    for fold in np.unique(folds[folds >= 0]):
        held, learned = folds == fold, (folds != fold) & (weight > 0)
        rows = terms[learned], truth[learned], weight[learned]
        kernel, bias = _fit(kind, *rows, strength, outputs)
        found[held] = terms[held] @ kernel + bias
    return found


def _fit(
    kind: str, terms: Matrix, truth: NDArray[Any], weight: Floats, strength: float, outputs: int
) -> tuple[Floats, Floats]:
    """Return kernel and bias of a model that regularises telling terms less."""
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
