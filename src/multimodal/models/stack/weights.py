"""Stacking weights: by what the raw outputs of several models of the same rows are weighted.

References:
    Wolpert, Stacked Generalization, 1992; Breiman, Stacked Regressions, 1996 (no weight
    below 0).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats

MAX_WEIGHT = 5.0
TINY = 1e-12  # of a squared error, so that it has a logarithm
# Standard deviation of a weight before any row has been seen. With 27 rows the squared error is 6 %
# above that of the linear model alone, without a prior 10 % (houses); with 400 they do not differ.
PRIOR_DEVIATION = 0.3


def fit_stacking_weights(
    kind: str, models: Sequence[Floats], y_true: NDArray[Any], weight: Floats, prior_model: int
) -> Floats:
    """Return by what the raw outputs of each model are weighted, `(len(models),)`.

    The weights are at least 0, and make the loss of rows that no model learned from least. Each has
    a normal prior distribution around 1 for the prior model and 0 for the others, which matters
    less the more rows there are.

    Args:
        kind: Kind of the head, as in `raw_loss`.
        models: Out-of-fold raw outputs of each model, (N, outputs).
        y_true: The labels.
        weight: Weight of each row (N,), above 0.
        prior_model: Position of the model whose outputs are taken as they are without any rows.
    """
    from scipy.optimize import minimize

    count = len(models)
    prior = np.eye(count)[prior_model]

    def loss(weights: Floats) -> float:
        """Return minus the logarithm of the posterior, the variance of numbers profiled out."""
        total = sum(each * raw for each, raw in zip(weights, models, strict=True))
        found = raw_loss(kind, np.asarray(total), y_true, weight)
        likelihood = np.log(found + TINY) / 2 if kind == "number" else found
        away = float(np.sum((weights - prior) ** 2)) / (2 * PRIOR_DEVIATION**2)
        return float(likelihood) + away / len(y_true)

    bounds = [(0.0, MAX_WEIGHT)] * count
    starts = (np.full(count, 1 / count), *np.eye(count))
    found = [minimize(loss, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    best: Floats = min(found, key=lambda each: float(each.fun)).x
    return best


def raw_loss(kind: str, raw: Floats, y_true: NDArray[Any], weight: Floats) -> float:
    """Return the mean squared error or cross-entropy of raw outputs (N, outputs).

    Args:
        kind: `number`, `binary` or `class` (labels (N,)), or `labels` (0 or 1, (N, outputs)).
        raw: Raw outputs: numbers or logits.
        y_true: The labels.
        weight: Weight of each row (N,).
    """
    return float(np.average(LOSSES[kind](raw, y_true), weights=weight))


def _squared(raw: Floats, y_true: NDArray[Any]) -> Floats:
    return np.asarray((raw[:, 0] - y_true) ** 2)


# Of logits, where `sklearn.metrics.log_loss` takes probabilities, which saturate at 0 and 1.
def _logistic(raw: Floats, y_true: NDArray[Any]) -> Floats:
    signed = np.where(y_true.reshape(raw.shape) == 1, -raw, raw)
    return np.asarray(np.logaddexp(0, signed).mean(axis=1))


def _softmax(raw: Floats, y_true: NDArray[Any]) -> Floats:
    from scipy.special import log_softmax

    chosen = y_true[:, None].astype(np.int64)
    return np.asarray(-np.take_along_axis(log_softmax(raw, axis=1), chosen, axis=1)[:, 0])


LOSSES: dict[str, Callable[[Floats, NDArray[Any]], Floats]] = {
    "number": _squared,
    "binary": _logistic,
    "class": _softmax,
    "labels": _logistic,
}
