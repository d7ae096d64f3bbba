"""Neighbours and pairs by hand."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.heads.metrics import NeighbourAccuracy, PairAccuracy

POINTS = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [9.0]], "float32")


def test_nearest_neighbour() -> None:
    metric = NeighbourAccuracy()
    metric.update_state(np.array([0, 0, 1, 1, 1, 2]), POINTS)
    assert float(metric.result()) == pytest.approx(3 / 6)


def test_rows_without_an_id_are_no_neighbours() -> None:
    metric = NeighbourAccuracy()
    weights = np.array([1.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    metric.update_state(np.array([0, 9, 0, 1, 1, 9]), POINTS, weights)
    assert float(metric.result()) == 1


@pytest.mark.parametrize(("threshold", "expected"), [(0.5, 0.75), (2.0, 0.5)])
def test_pairs(threshold: float, expected: float) -> None:
    metric = PairAccuracy(threshold)
    distances = np.array([[0.1], [0.9], [1.5], [1.0]], "float32")
    metric.update_state(np.array([1, 1, 0, 0]), distances)
    assert float(metric.result()) == expected
    assert metric.get_config()["threshold"] == threshold
