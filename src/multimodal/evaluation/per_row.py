"""Metrics taken apart into rows, so that they can be drawn again from the rows.

Each is a function of one ratio: the weighted sum of what each row adds, over the weighted sum of
what each row counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multimodal.data.labels.detection import iou
from multimodal.evaluation.classification import LEAST, best_class
from multimodal.evaluation.metrics import log_floored
from multimodal.evaluation.task import Task

Floats = NDArray[np.float64]
Parts = tuple[Floats, Floats]


def compared_metrics(task: Task, truth: ArrayLike) -> list[str]:
    """Name the metrics to compare models by, the main one first; each is known per row.

    Args:
        task: What the head is asked.
        truth: Labels (N,) that are there.

    Example:
    >>> compared_metrics(Task("price"), [1.0, 2.0]), compared_metrics(Task("gain"), [-1.0, 2.0])
    (['log_rmse', 'mae'], ['rmse', 'mae'])
    """
    if task.kind == "class":
        return ["mae_grades" if task.ordered else "accuracy", "log_loss"]
    if task.kind == "labels":
        return ["micro_f1", "exact"]
    if task.kind == "box":
        return ["mean_iou", "iou_50"]
    if task.quantiles:
        return ["pinball", "mae"]
    return ["log_rmse" if np.all(np.asarray(truth) > 0) else "rmse", "mae"]


def parts(metric: str, task: Task, truth: ArrayLike, outputs: ArrayLike) -> Parts:
    """Return what each row adds to the ratio of a metric, and what it counts, both (N,).

    Args:
        metric: One of `compared_metrics`.
        task: What the head is asked.
        truth: Labels as :func:`multimodal.evaluation.task.measure` takes them, none missing.
        outputs: Decoded outputs (N, width).

    Example:
    >>> added, counted = parts("rmse", Task("price"), [1.0, 2.0], [[1.0], [4.0]])
    >>> added.tolist(), counted.tolist()
    ([0.0, 4.0], [1.0, 1.0])
    """
    y, p = np.asarray(truth), np.asarray(outputs, np.float64)
    if metric == "micro_f1":
        known, guess = y > 0.5, p >= 0.5
        return 2.0 * (known & guess).sum(axis=1), 1.0 * known.sum(axis=1) + guess.sum(axis=1)
    return np.asarray(_ROWS[metric](task, y, p), np.float64), np.ones(len(y))


def whole(metric: str, ratio: Any) -> Any:
    """Return the metric, of any shape, from its ratio.

    Example:
    >>> float(whole("rmse", 2.25)), whole("mae", 2.25)
    (1.5, 2.25)
    """
    return np.sqrt(ratio) if metric in ("rmse", "log_rmse") else ratio


def _number(task: Task, p: Floats) -> Floats:
    return p[:, task.middle]


def _pinball(task: Task, y: Floats, p: Floats) -> Floats:
    share, error = np.asarray(task.quantiles), y[:, None] - p
    return np.asarray(np.maximum(share * error, (share - 1) * error).mean(axis=1))


def _log_error(task: Task, y: Floats, p: Floats) -> Floats:
    return np.asarray((log_floored(_number(task, p), y) - np.log(y)) ** 2)


def _log_loss(task: Task, y: NDArray[np.int64], p: Floats) -> Floats:
    of_truth = p[np.arange(len(y)), y] / np.maximum(p.sum(axis=1), LEAST)
    return np.asarray(-np.log(np.clip(of_truth, LEAST, 1)))


def _best(task: Task, p: Floats) -> NDArray[np.int64]:
    return best_class(p, ordered=task.ordered)


_ROWS: dict[str, Callable[[Task, Any, Floats], Any]] = {
    "mae": lambda task, y, p: np.abs(_number(task, p) - y),
    "rmse": lambda task, y, p: (_number(task, p) - y) ** 2,
    "log_rmse": _log_error,
    "pinball": _pinball,
    "accuracy": lambda task, y, p: _best(task, p) == y,
    "mae_grades": lambda task, y, p: np.abs(_best(task, p) - y),
    "log_loss": _log_loss,
    "exact": lambda task, y, p: ((y > 0.5) == (p >= 0.5)).all(axis=1),
    "mean_iou": lambda task, y, p: iou(y, p),
    "iou_50": lambda task, y, p: iou(y, p) >= 0.5,
}
