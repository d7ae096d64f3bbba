"""Probabilities made as sure as they may be: one temperature per head."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multimodal.evaluation.confidence import log_loss
from multimodal.evaluation.task import Task, has_answer, has_truth

LOWEST, HIGHEST = 0.2, 10.0
_PRIOR = 0.5  # standard deviation of the log temperature that is expected beforehand
_TINY = 1e-300

Floats = NDArray[np.float64]


def tempered(task: Task, outputs: ArrayLike, temperature: float) -> Floats:
    """Return probabilities (N, C) as if the logits had been divided by `temperature`.

    What they name stays: the likeliest class, the median grade, the labels from 0.5 on. Outputs
    that are no probabilities stay as they are.

    Example:
    >>> tempered(Task("mood", "class", ["sad", "glad"]), [[0.2, 0.8]], 2.0).round(3).tolist()
    [[0.333, 0.667]]
    """
    p = np.asarray(outputs, np.float64)
    if temperature == 1.0 or task.kind not in ("class", "labels"):
        return p
    if task.kind == "labels":
        return _power(p, 1 - p, temperature)
    if task.ordered:
        above, below = p[:, :0:-1].cumsum(axis=1)[:, ::-1], p[:, :-1].cumsum(axis=1)
        kept = _power(above, below, temperature)
        ends = np.ones((len(p), 1)), np.zeros((len(p), 1))
        return -np.diff(np.hstack([ends[0], kept, ends[1]]), axis=1)
    logs = np.log(np.maximum(p, _TINY)) / temperature
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float64)


def fit_temperature(
    task: Task, outputs: ArrayLike, truth: ArrayLike, weights: ArrayLike
) -> float | None:
    """Return the temperature under which rows that the model did not learn from are likeliest.

    A prior holds it near 1 where rows are few; on the rows given it is never worse than 1.

    Args:
        task: What the head is asked; classes or labels.
        outputs: Probabilities (N, C), as `decode` returns them.
        truth: Classes (N,) or labels (N, C), as `evaluation.measure` takes them.
        weights: Row weights (N,).

    Returns:
        A number from 0.2 to 10; None where the task is another, or no row has a label.

    References:
        Guo et al., On Calibration of Modern Neural Networks, 2017.

    Example:
    >>> task = Task("mood", "class", ["sad", "glad"])
    >>> sure = np.tile([[0.01, 0.99]], (200, 1))
    >>> fit_temperature(task, sure, np.arange(200) % 4 > 0, np.ones(200)) > 2
    True
    """
    p, y, w = np.asarray(outputs, np.float64), np.asarray(truth), np.asarray(weights, np.float64)
    if task.kind not in ("class", "labels"):
        return None
    known = has_truth(task, y) & has_answer(p) & (w > 0)
    if not known.any():
        return None
    p, y, w = p[known], y[known], w[known]

    def loss(log: float) -> float:
        held = log**2 / (2 * _PRIOR**2 * len(y))
        return log_loss(y, tempered(task, p, math.exp(log)), w) + held

    from scipy.optimize import minimize_scalar

    ends = (math.log(LOWEST), math.log(HIGHEST))
    found = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-3})
    return float(math.exp(found.x)) if found.fun < loss(0.0) else 1.0


def _power(first: Floats, second: Floats, temperature: float) -> Floats:
    """Return the share of `first` in the two once both are raised to 1 / temperature."""
    logs = (np.log(np.maximum(second, _TINY)) - np.log(np.maximum(first, _TINY))) / temperature
    return np.asarray(1 / (1 + np.exp(logs.clip(-700, 700))), np.float64)
