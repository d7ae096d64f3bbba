"""Linear models of sparse terms, measured out of fold, and their share beside the networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Matrix = Any  # scipy.sparse.csr_matrix, (rows, terms)
RIDGE = (10.0, 3.0, 1.0, 0.3)  # strengths of regularisation, the strongest first
LOGISTIC = (1 / 3, 1 / 30, 1 / 300)
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
    kernel, bias = _FITS[kind](terms[known], truth[known], weight[known], best[1], outputs)
    return Linear(kernel, bias, best[2], best[1])


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
        fit = _FITS[kind]
        kernel, bias = fit(terms[learned], truth[learned], weight[learned], strength, outputs)
        found[held] = terms[held] @ kernel + bias
    return found


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
    model = LogisticRegression(C=1 / strength, max_iter=200, tol=1e-3)
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
