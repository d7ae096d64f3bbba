"""Task of a head: the kind of its labels, and the metrics of its decoded outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from multimodal.core.arrays import Bools
from multimodal.core.config import Head, LabelKind
from multimodal.core.errors import DataError
from multimodal.core.spec import FittedHead, LabelType
from multimodal.evaluation.metrics import (
    box_metrics,
    check_weights,
    class_metrics,
    label_metrics,
    nearest_to_median,
    quantile_metrics,
    regression_metrics,
)


@dataclass(frozen=True)
class Task:
    """What one head predicts, and what its decoded outputs stand for.

    Args:
        name: Of the head.
        kind: Of its labels.
        classes: Names of classes or labels, one for each column of probabilities.
        ordered: Whether classes are ordered, lowest first.
        quantiles: Those that the outputs of a quantile head stand for.
        label_type: What a class was in the table.
        transform: The space that a number is learned in, which its errors are measured in.
    """

    name: str
    kind: LabelKind = "number"
    classes: list[str] = field(default_factory=list)
    ordered: bool = False
    quantiles: list[float] = field(default_factory=list)
    label_type: LabelType = "text"
    transform: str = "none"

    @classmethod
    def of(cls, head: Head, fitted: FittedHead, layer: Any) -> Task:
        """Return the task of a head, whose layer knows its quantiles and its transform."""
        quantiles = [float(share) for share in getattr(layer, "quantiles", [])]
        ordered = head.head.name == "ordinal"
        classes, label_type = list(fitted.classes), fitted.label_type
        transform = getattr(layer, "transform", "none")
        return cls(fitted.name, fitted.kind, classes, ordered, quantiles, label_type, transform)

    @property
    def middle(self) -> int:
        """Position of the output that is the prediction of a number."""
        return nearest_to_median(self.quantiles) if self.quantiles else 0


def has_label(task: Task, y_true: ArrayLike) -> Bools:
    """Tell which rows (N,) have a label: no NaN in it, and a class of at least 0."""
    values = np.asarray(y_true)
    if task.kind == "class":
        return np.asarray(values >= 0)
    finite = np.isfinite(values.astype(np.float64))
    return np.asarray(finite.reshape(len(values), -1).all(axis=1))


def has_prediction(outputs: ArrayLike) -> Bools:
    """Tell which rows (N,) of decoded outputs (N, width) are finite."""
    return np.asarray(np.isfinite(np.asarray(outputs, np.float64)).all(axis=1))


def measure(
    task: Task, y_true: ArrayLike, outputs: ArrayLike, weight: ArrayLike | None = None
) -> dict[str, float]:
    """Return the metrics of decoded outputs (N, width), over rows with a label and a prediction.

    Args:
        task: What the head is asked.
        y_true: Number (N,), NaN where missing; class (N,), -1 where missing; labels (N, C) or box
            (N, 4) with rows of NaN where missing.
        outputs: What `decode` returned.
        weight: Row weights (N,).

    Raises:
        DataError: No row has a label, a prediction and a weight; or as the metrics of the kind say.

    Example:
    >>> measure(Task("price"), [1.0, np.nan], [[1.5], [9.0]])["mae"]
    0.5
    """
    y, p = np.asarray(y_true), np.asarray(outputs, np.float64)
    w = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
    known = has_label(task, y) & has_prediction(p) & (w > 0)
    if not known.any():
        raise DataError(f"no row has both a label of '{task.name}' and a prediction.")
    return _METRICS[task.kind](task, y[known], p[known], check_weights(w[known], int(known.sum())))


def _number(task: Task, y: Any, p: Any, w: Any) -> dict[str, float]:
    if task.quantiles:
        return quantile_metrics(y, p, task.quantiles, w)
    return regression_metrics(y, p, w)


def _class(task: Task, y: Any, p: Any, w: Any) -> dict[str, float]:
    return class_metrics(y, p, w, ordered=task.ordered)


_METRICS: dict[LabelKind, Callable[[Task, Any, Any, Any], dict[str, float]]] = {
    "number": _number,
    "class": _class,
    "labels": lambda task, y, p, w: label_metrics(y, p, w),
    "box": lambda task, y, p, w: box_metrics(y, p, w),
}
