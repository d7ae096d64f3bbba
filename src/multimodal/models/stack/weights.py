"""Stacking weights: by what the raw outputs of several models of the same rows are weighted.

References:
    Wolpert, Stacked Generalization, 1992; Breiman, Stacked Regressions, 1996 (no weight
    below 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints

MAX_WEIGHT = 5.0
MANY_ROWS = 3_000  # which a weight for each model hardly overfits
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
        likelihood = np.log(found + TINY) / 2 if kind in ("number", "box") else found
        away = float(np.sum((weights - prior) ** 2)) / (2 * PRIOR_DEVIATION**2)
        return float(likelihood) + away / len(y_true)

    bounds = [(0.0, MAX_WEIGHT)] * count
    # The logarithm of a squared error is not convex: the best of several starts.
    starts = (np.full(count, 1 / count), *np.eye(count))
    found = [minimize(loss, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    best: Floats = min(found, key=lambda each: float(each.fun)).x
    return best


def cross_fitted(
    kind: str,
    models: Sequence[Floats],
    y_true: NDArray[Any],
    weight: Floats,
    folds: Ints,
    prior_model: int,
) -> Floats:
    """Return what several models come to together, (N, outputs), in weights of other folds.

    So the loss of these rows is that of new rows, though their labels tell the stacking weights. Of
    more than 3,000 rows, or of one fold, the weights are those of all.

    Args:
        kind, models, y_true, weight, prior_model: As of `fit_stacking_weights`.
        folds: Fold of each row (N,).
    """
    names, found = np.unique(folds), np.zeros_like(models[0], np.float64)
    crossed = len(folds) <= MANY_ROWS and len(names) > 1
    for fold in names if crossed else (None,):
        own = folds == fold if crossed else np.ones(len(folds), bool)
        learned = ~own if crossed else own
        known = y_true[learned], weight[learned]
        weights = fit_stacking_weights(
            kind, [each[learned] for each in models], *known, prior_model
        )
        found[own] = sum(w * raw[own] for w, raw in zip(weights, models, strict=True))
    return found


@dataclass(frozen=True)
class StackingGain:
    """By how much stacking a model lowers the loss of another one, as a fraction of that.

    Attributes:
        head: Name of the head.
        mean: The gain.
        error: Its standard error.
    """

    head: str
    mean: float
    error: float

    @classmethod
    def of(
        cls,
        head: str,
        kind: str,
        models: list[Floats],
        y_true: NDArray[Any],
        weight: Floats,
        folds: Ints | None = None,
    ) -> StackingGain:
        """Measure what the first model adds to the others; arguments as of `fit_stacking_weights`.

        With `folds` (N,) the weights are those of other folds, and a second model alone counts as
        it is; without, all are fitted to the rows measured on, and the gain is rather too high.
        """
        known, all_alike = (y_true, weight), np.zeros(len(y_true), np.int64)
        given = all_alike if folds is None else folds
        stacked = cross_fitted(kind, models, *known, given, prior_model=1)
        alone = models[1]
        if folds is None or len(models) > 2:
            alone = cross_fitted(kind, models[1:], *known, given, prior_model=0)
        before = LOSSES[kind](alone, y_true)
        lowered = before - LOSSES[kind](stacked, y_true)
        scale = max(float(np.average(before, weights=weight)), TINY)
        error = lowered.std() / math.sqrt(len(lowered)) / scale
        return cls(head, float(np.average(lowered, weights=weight)) / scale, float(error))


def raw_loss(kind: str, raw: Floats, y_true: NDArray[Any], weight: Floats) -> float:
    """Return the mean squared error or cross-entropy of raw outputs (N, outputs).

    Args:
        kind: `number`, `binary` or `class` (labels (N,)), `labels` (0 or 1, (N, outputs)), or
            `box` (raw outputs, (N, 4)).
        raw: Raw outputs: numbers or logits.
        y_true: The labels.
        weight: Weight of each row (N,).
    """
    return float(np.average(LOSSES[kind](raw, y_true), weights=weight))


def _squared(raw: Floats, y_true: NDArray[Any]) -> Floats:
    return np.asarray(((raw - y_true.reshape(raw.shape)) ** 2).mean(axis=1))


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
    "box": _squared,
    "binary": _logistic,
    "class": _softmax,
    "labels": _logistic,
}
