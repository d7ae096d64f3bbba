"""Overlap of boxes, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.core.errors import DataError
from multimodal.evaluation.metrics import box_metrics

BOX = [0.0, 0.0, 4.0, 4.0]


def test_metrics_are_weighted() -> None:
    found = box_metrics([BOX, BOX, BOX], [BOX, [2, 2, 6, 6], [0, 0, 4, 2]], [1, 3, 0])
    assert found == pytest.approx({"n": 2, "mean_iou": (1 + 3 / 7) / 4, "iou_50": 0.25})
    assert box_metrics([BOX], [[0, 0, 4, 2]])["iou_50"] == 1


def test_bad_input_is_named() -> None:
    with pytest.raises(DataError, match="boxes must be finite"):
        box_metrics([BOX], [[0, 0, np.nan, 1]])
    with pytest.raises(DataError, match="no rows"):
        box_metrics(np.zeros((0, 4)), np.zeros((0, 4)))
