"""Metrics of classes by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multimodal.heads.metrics import (
    BinaryAccuracy,
    MulticlassAccuracy,
    MultilabelAccuracy,
    MultilabelJaccard,
    OrdinalAccuracy,
    OrdinalMeanAbsoluteError,
)

WEIGHTS = np.array([1.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("metric", "y_true", "raw", "rows"),
    [
        (BinaryAccuracy, [1, 1, 0], [[2.0], [-1.0], [-3.0]], [1, 0, 1]),
        (MulticlassAccuracy, [1, 2, 0], [[0, 1, 0], [3, 0, 1], [1, 0, 0]], [1, 0, 1]),
        (
            OrdinalMeanAbsoluteError,
            [0, 3, 1],
            [[-1, -2, -3], [2, -1, -2], [5, 4, 3]],
            [0, 2, 2],
        ),
        (OrdinalAccuracy, [0, 3, 3], [[-1, -2, -3], [2, -1, -2], [5, 4, 3]], [1, 0, 1]),
        (
            MultilabelAccuracy,
            [[1, 0], [1, 1], [0, 0]],
            [[1, 1], [-1, -1], [-1, -1]],
            [0.5, 0, 1],
        ),
        (
            MultilabelJaccard,
            [[1, 0, 1], [1, 1, 0], [0, 0, 0]],
            [[1, 1, 1], [-1, -1, -1], [-1, -1, -1]],
            [2 / 3, 0, 1],
        ),
    ],
)
def test_by_hand(metric: Any, y_true: Any, raw: Any, rows: list[float]) -> None:
    for batches in (1, 3):
        each = metric()
        parts = (np.array(y_true), np.array(raw, "float32"), WEIGHTS)
        for batch in zip(*(np.split(part, batches) for part in parts), strict=True):
            each.update_state(*batch)
        assert float(each.result()) == pytest.approx((WEIGHTS * rows).sum() / WEIGHTS.sum())
