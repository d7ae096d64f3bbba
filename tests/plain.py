"""Formulas in NumPy, to compare layers with; without pandas, so that any backend has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def iou(first: Floats, second: Floats) -> Floats:
    """Return the intersection over union (N,) of boxes (N, 4) `xmin, ymin, xmax, ymax`."""
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, 2:], second[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = [(box[:, 2:] - box[:, :2]).prod(axis=1) for box in (first, second)]
    return np.asarray(shared / (areas[0] + areas[1] - shared))
