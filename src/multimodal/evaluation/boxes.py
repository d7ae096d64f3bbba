"""How well predicted boxes lie on the true ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from multimodal.core.errors import DataError
from multimodal.data.labels.detection import iou
from multimodal.evaluation.metrics import check_weights


def box_metrics(
    truth: ArrayLike, prediction: ArrayLike, weight: ArrayLike | None = None
) -> dict[str, float]:
    """Measure predicted boxes (N, 4) against the true ones, in one and the same unit.

    `n` (rows with a weight above 0), `mean_iou` and `iou_50`, the share of rows that overlap by at
    least half. All but `n` is weighted.

    Raises:
        DataError: Shapes differ, there are no rows, a number is not finite, a weight is negative
            or all are 0.

    Example:
    >>> box_metrics([[0, 0, 2, 2]], [[0, 0, 2, 1]])["mean_iou"]
    0.5
    """
    y, p = (np.asarray(boxes, dtype=np.float64) for boxes in (truth, prediction))
    if not len(y):
        raise DataError("there are no rows to evaluate. Received: 0 rows")
    if not (np.isfinite(y).all() and np.isfinite(p).all()):
        raise DataError("boxes must be finite. Received: a corner that is not a number")
    w = np.ones(len(y)) if weight is None else check_weights(weight, len(y))
    share = iou(y, p)
    return {
        "n": float((w > 0).sum()),
        "mean_iou": float(np.average(share, weights=w)),
        "iou_50": float(np.average(share >= 0.5, weights=w)),
    }
