"""Table of metrics: names, the better direction, formats, and the loss of each row.

The rest of the package, the reports and the studies look metrics up here. A metric that models are
compared by is a weighted mean of a loss per row, or its square root (`micro_f1`: a ratio of two
sums), so that it can be computed over any resample of the rows from what each row adds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from multimodal.core.arrays import Floats
from multimodal.core.formatting import DASH, percent, short_number
from multimodal.data.labels.boxes import iou
from multimodal.evaluation.metrics import best_class, log_floored, log_losses, pinball_losses
from multimodal.evaluation.records import ModelScore
from multimodal.evaluation.task import Task

RatioTerms = tuple[Floats, Floats]
RowLoss = Callable[[Task, Any, Floats], Any]
Value = TypeVar("Value", float, Floats)


@dataclass(frozen=True)
class Measure:
    """One metric: what it is called, which way is better, how it is written and computed.

    Args:
        label: Its name in words.
        better: None where a metric is to be as large as it should be, not as large as it can. One
            where higher is better is at most 1.
        written: How its values are written.
        unit: Whether values are in the unit of the labels.
        row: What a row adds to it, from the task, labels (N,) and decoded outputs (N, width); None
            where it is no mean over rows.
        root: Whether it is the square root of the mean over rows.
    """

    label: str
    better: Literal["lower", "higher"] | None = "lower"
    written: Literal["number", "percent", "count"] = "number"
    unit: bool = False
    row: RowLoss | None = None
    root: bool = False


def _error(task: Task, y: Floats, p: Floats) -> Floats:
    return p[:, task.middle] - y


def _log_error(task: Task, y: Floats, p: Floats) -> Floats:
    return log_floored(p[:, task.middle], y) - np.log(y)


def _classes_off(task: Task, y: Any, p: Floats) -> Any:
    return np.abs(best_class(p, ordered=task.ordered) - y)


MEASURES = {
    "n": Measure("rows", None, "count"),
    "log_rmse": Measure(
        "RMSE of the logarithm (0.10 is about 10 % off)",
        row=lambda task, y, p: _log_error(task, y, p) ** 2,
        root=True,
    ),
    "pinball": Measure(
        "pinball loss of the quantiles",
        unit=True,
        row=lambda task, y, p: pinball_losses(y, p, task.quantiles),
    ),
    "coverage": Measure("rows between the outer quantiles", None, "percent"),
    "rmse": Measure("RMSE", unit=True, row=lambda task, y, p: _error(task, y, p) ** 2, root=True),
    "mae": Measure(
        "mean absolute error", unit=True, row=lambda task, y, p: np.abs(_error(task, y, p))
    ),
    "mape": Measure("mean relative error", written="percent"),
    "median_ape": Measure("median relative error", written="percent"),
    "r2": Measure("share of variance explained (R²)", "higher"),
    "log_r2": Measure("R² of the logarithm", "higher"),
    "mae_grades": Measure("mean error in grades", row=_classes_off),
    "accuracy": Measure(
        "accuracy", "higher", "percent", row=lambda task, y, p: _classes_off(task, y, p) == 0
    ),
    "balanced_accuracy": Measure("balanced accuracy (mean recall)", "higher", "percent"),
    "exact": Measure(
        "rows with all labels right",
        "higher",
        "percent",
        row=lambda task, y, p: ((y > 0.5) == (p >= 0.5)).all(axis=1),
    ),
    "micro_f1": Measure("F1 over all labels", "higher"),
    "macro_f1": Measure("mean F1 of the classes", "higher"),
    "average_precision": Measure("mean average precision", "higher"),
    "roc_auc": Measure("area under the ROC curve", "higher"),
    "log_loss": Measure("log loss", row=lambda task, y, p: log_losses(y, p)),
    "mean_iou": Measure(
        "mean overlap with the true box (IoU)", "higher", row=lambda task, y, p: iou(y, p)
    ),
    "iou_50": Measure(
        "boxes that overlap by at least half",
        "higher",
        "percent",
        row=lambda task, y, p: iou(y, p) >= 0.5,
    ),
}
# Where a record does not say what was optimised, models are compared by the first of these that all
# of them have.
MAIN = ("pinball", "log_rmse", "rmse", "mae_grades", "accuracy", "average_precision", "mean_iou")
# What is shown beside a main metric.
BESIDE = {
    "pinball": ("coverage", "mae"),
    "log_rmse": ("mae", "median_ape", "log_r2"),
    "rmse": ("mae", "median_ape", "r2"),
    "mae_grades": ("accuracy", "log_loss"),
    "accuracy": ("balanced_accuracy", "macro_f1", "log_loss"),
    "average_precision": ("micro_f1", "macro_f1", "exact"),
    "mean_iou": ("iou_50",),
}


def optimised_metric(task: Task, measured: Mapping[str, float]) -> str:
    """Name the metric that is closest to what a head's loss makes small, of those measured.

    A number is judged by its logarithm only where that is what the head learns: under `log1p`.

    Args:
        task: What the head is asked.
        measured: What `measure` returned; where a label is not above 0 there is no logarithm.

    Example:
    >>> measured = {"rmse": 2.0, "log_rmse": 0.3}
    >>> [optimised_metric(Task("y", transform=t), measured) for t in ("log1p", "standardise")]
    ['log_rmse', 'rmse']
    """
    known = (name for name in MAIN if name in measured)
    return next((n for n in known if n != "log_rmse" or task.transform == "log1p"), "rmse")


def main_metric(scores: Sequence[ModelScore], optimised: str = "") -> str:
    """Name the metric to compare models by, `rmse` where they share none.

    Args:
        scores: The models.
        optimised: What `optimised_metric` returned; empty for runs that do not say.

    Example:
    >>> main_metric([ModelScore("a", "trees", "table", {"accuracy": 0.9, "log_loss": 0.3})])
    'accuracy'
    """
    names = (optimised, *MAIN) if optimised else MAIN
    shared = (name for name in names if scores and all(name in s.metrics for s in scores))
    return next(shared, "rmse")


def measure_of(metric: str) -> Measure:
    """Return what is known of a metric; an unknown one is a number that is better lower."""
    return MEASURES.get(metric, Measure(metric))


def shortfall(metric: str, value: Value) -> Value:
    """Return how far values are from perfect: themselves, or the rest to 1 if higher is better.

    Example:
    >>> shortfall("rmse", 3.0), round(shortfall("accuracy", 0.9), 6)
    (3.0, 0.1)
    """
    return 1 - value if measure_of(metric).better == "higher" else value


def ranked(scores: Sequence[ModelScore], metric: str) -> list[ModelScore]:
    """Return the scores that have a finite value of `metric`, the best first."""
    there = [s for s in scores if math.isfinite(s.metrics.get(metric, math.nan))]
    return sorted(there, key=lambda score: shortfall(metric, score.metrics[metric]))


def metric_label(metric: str, unit: str = "") -> str:
    """Name a metric for an axis or a caption, with the unit of one that has it.

    Example:
    >>> metric_label("rmse", "EUR"), metric_label("log_loss", "EUR")
    ('RMSE (EUR)', 'log loss')
    """
    found = measure_of(metric)
    return f"{found.label} ({unit})" if unit and found.unit else found.label


def format_metric(metric: str, value: float | None, digits: int = 3) -> str:
    """Write a value of a metric, a dash for one that is not there.

    Example:
    >>> format_metric("accuracy", 0.8912), format_metric("mape", None)
    ('89.1%', '–')
    >>> format_metric("log_rmse", 0.1999), format_metric("rmse", 12345.6)
    ('0.200', '12,346')
    """
    if value is None or math.isnan(value):
        return DASH
    kind = measure_of(metric).written
    if kind == "percent":
        return percent(value)
    if kind == "count":
        return f"{value:,.0f}"
    exact = math.isfinite(value) and abs(value) < 999.5
    return f"{value:#.{digits}g}".rstrip(".") if exact else short_number(value, digits)


def compared_metrics(task: Task, y_true: ArrayLike) -> list[str]:
    """Name the metrics to compare models by, the main one first; each is known per row.

    Args:
        task: What the head is asked.
        y_true: Labels (N,) that are there.

    Example:
    >>> compared_metrics(Task("price", transform="log1p"), [1.0, 2.0])
    ['log_rmse', 'mae']
    >>> compared_metrics(Task("score"), [1.0, 2.0])
    ['rmse', 'mae']
    """
    if task.kind == "class":
        return ["mae_grades" if task.ordered else "accuracy", "log_loss"]
    if task.kind == "labels":
        return ["micro_f1", "exact"]
    if task.kind == "box":
        return ["mean_iou", "iou_50"]
    if task.quantiles:
        return ["pinball", "mae"]
    log = task.transform == "log1p" and np.all(np.asarray(y_true) > 0)
    return ["log_rmse" if log else "rmse", "mae"]


def ratio_terms(metric: str, task: Task, y_true: ArrayLike, outputs: ArrayLike) -> RatioTerms:
    """Return what each row adds to numerator and denominator of a metric, both (N,).

    Args:
        metric: One of `compared_metrics`.
        task: What the head is asked.
        y_true: Labels as :func:`multimodal.evaluation.task.measure` takes them, none missing.
        outputs: Decoded outputs (N, width).

    Example:
    >>> added, counted = ratio_terms("rmse", Task("price"), [1.0, 2.0], [[1.0], [4.0]])
    >>> added.tolist(), counted.tolist()
    ([0.0, 4.0], [1.0, 1.0])
    """
    y, p = np.asarray(y_true), np.asarray(outputs, np.float64)
    row = MEASURES[metric].row
    if row is not None:
        return np.asarray(row(task, y, p), np.float64), np.ones(len(y))
    known, guess = y > 0.5, p >= 0.5  # micro F1
    return 2.0 * (known & guess).sum(axis=1), 1.0 * known.sum(axis=1) + guess.sum(axis=1)


def metric_of_ratio(metric: str, ratio: Any) -> Any:
    """Return a metric from the ratio of the sums of its terms, of any shape.

    Example:
    >>> float(metric_of_ratio("rmse", 2.25)), metric_of_ratio("mae", 2.25)
    (1.5, 2.25)
    """
    return np.sqrt(ratio) if MEASURES[metric].root else ratio
