"""What a network and a second model of the same rows should count in their sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_SHARE = 5.0


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
