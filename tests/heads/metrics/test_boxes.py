"""Mean overlap of boxes, from raw outputs."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.heads.metrics import BoxIoU

MIDDLE = [0.25, 0.25, 0.75, 0.75]


def test_by_hand() -> None:
    metric = BoxIoU()
    y_true = np.array([MIDDLE, [0.25, 0.25, 0.5, 0.75], [0, 0, 0.1, 0.1]], "float32")
    metric.update_state(y_true, np.zeros((3, 4), "float32"), np.array([1.0, 2.0, 1.0]))
    assert float(metric.result()) == pytest.approx((1 + 2 * 0.5 + 0) / 4, rel=1e-5)


def test_a_box_is_cut_at_the_edge_of_the_photo() -> None:
    metric = BoxIoU()
    raw = np.array([[-30.0, 0.0, 0.0, 0.0]], "float32")
    metric.update_state(np.array([[0.0, 0.25, 0.25, 0.75]], "float32"), raw)
    assert float(metric.result()) == pytest.approx(1, rel=1e-5)
