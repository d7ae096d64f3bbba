"""Boxes as tensors against plain NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from plain import iou

from multimodal.heads.box_ops import (
    centre_and_size,
    corners,
    generalized_iou,
    intersection_over_union,
)

RANDOM = np.random.default_rng(0)


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def boxes(rows: int) -> np.ndarray:
    return np.sort(RANDOM.uniform(size=(rows, 2, 2)), axis=1).reshape(rows, 4).astype("float32")


def test_corners_are_in_order() -> None:
    raw = RANDOM.normal(0, 30, (50, 4)).astype("float32")
    found = array(corners(raw))
    assert (found[:, :2] <= found[:, 2:]).all()
    np.testing.assert_allclose(array(corners(np.zeros((1, 4)))), [[0.25, 0.25, 0.75, 0.75]])
    moved = array(corners(np.array([[9.0, -9.0, -9.0, 9.0]], "float32")))
    np.testing.assert_allclose(moved, [[1, -0.5, 1, 0.5]], atol=1e-3)


def test_centre_and_size() -> None:
    found = array(centre_and_size(np.array([[0.0, 0.2, 0.5, 0.4]], "float32")))
    np.testing.assert_allclose(found, [[0.25, 0.3, 0.5, 0.2]], atol=1e-6)


def test_intersection_over_union_agrees_with_numpy() -> None:
    first, second = boxes(40), boxes(40)
    found = array(intersection_over_union(first, second))
    np.testing.assert_allclose(found, iou(first, second), atol=1e-5)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([0.0, 0.0, 0.4, 0.4], 1.0),
        ([0.2, 0.0, 0.6, 0.4], 0.08 / 0.24),
        ([0.6, 0.6, 1.0, 1.0], -(1 - 0.32) / 1.0),
        ([0.4, 0.0, 0.8, 0.4], 0.0),
    ],
)
def test_generalized_iou(second: list[float], expected: float) -> None:
    first = np.array([[0.0, 0.0, 0.4, 0.4]], "float32")
    found = array(generalized_iou(first, np.array([second], "float32")))
    np.testing.assert_allclose(found, [expected], atol=1e-5)


def test_boxes_without_area_are_finite() -> None:
    point = np.full((1, 4), 0.3, "float32")
    assert array(intersection_over_union(point, point)).tolist() == [0]
    assert np.isfinite(array(generalized_iou(point, point))).all()
