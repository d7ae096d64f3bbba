"""What several models of the same rows should count in their sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats

MOST_SHARE = 5.0
TINY = 1e-12  # of a squared error, so that it has a logarithm
PRIOR_SPREAD = 0.3  # of a share, before any row has told of it


def fit_stacking_weights(
    kind: str, models: Sequence[Floats], y_true: NDArray[Any], weight: Floats, trusted: int
) -> Floats:
    """Return what the raw outputs of each model should count, `(len(models),)`.

    The shares are at least 0; together they make the loss of rows that no model learned from least.
    A few rows tell little: each share has a normal prior distribution around 1 for the trusted
    model and 0 for the others, whose say falls as one over the rows.

    Args:
        kind: Kind of the head, as in `raw_loss`.
        models: Raw outputs of each model, (N, outputs).
        y_true: The labels.
        weight: Weight of each row (N,), above 0.
        trusted: Position of the model that counts alone where no row tells.
    """
    from scipy.optimize import minimize

    count = len(models)
    prior = np.eye(count)[trusted]

    def error(shares: Floats) -> float:
        total = sum(share * raw for share, raw in zip(shares, models, strict=True))
        return raw_loss(kind, np.asarray(total), y_true, weight)

    def loss(shares: Floats) -> float:
        """Return minus the logarithm of the posterior, the variance of numbers profiled out."""
        found = error(shares)
        likelihood = np.log(found + TINY) / 2 if kind == "number" else found
        away = float(np.sum((shares - prior) ** 2)) / (2 * PRIOR_SPREAD**2)
        return float(likelihood) + away / len(y_true)

    bounds = [(0.0, MOST_SHARE)] * count
    starts = (np.full(count, 1 / count), *np.eye(count))
    found = [minimize(loss, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    best: Floats = min(found, key=lambda each: float(each.fun)).x
    return best


def raw_loss(kind: str, raw: Floats, y_true: NDArray[Any], weight: Floats) -> float:
    """Return the mean squared error or cross-entropy of raw outputs (N, outputs)."""
    return float(np.average(_LOSSES[kind](raw, y_true), weights=weight))


def _squared(raw: Floats, y_true: NDArray[Any]) -> Floats:
    return np.asarray((raw[:, 0] - y_true) ** 2)


def _binary(raw: Floats, y_true: NDArray[Any]) -> Floats:
    return np.logaddexp(0, np.where(y_true == 1, -raw[:, 0], raw[:, 0]))


def _class(raw: Floats, y_true: NDArray[Any]) -> Floats:
    shifted = raw - raw.max(axis=1, keepdims=True)
    chosen = np.take_along_axis(shifted, y_true[:, None].astype(np.int64), axis=1)[:, 0]
    return np.asarray(np.log(np.exp(shifted).sum(axis=1)) - chosen)


def _labels(raw: Floats, y_true: NDArray[Any]) -> Floats:
    return np.asarray(np.logaddexp(0, np.where(y_true == 1, -raw, raw)).mean(axis=1))


_LOSSES: dict[str, Callable[[Floats, NDArray[Any]], Floats]] = {
    "number": _squared,
    "binary": _binary,
    "class": _class,
    "labels": _labels,
}


LINEAR = {
    "regression": "number",
    "binary": "binary",
    "multiclass": "class",
    "multilabel": "labels",
}
