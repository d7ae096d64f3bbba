"""Pixels, overlap and mean average precision, by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from multimodal.core.errors import DataError
from multimodal.data.labels.boxes import (
    bootstrap_interval,
    iou,
    mean_average_precision,
    to_fractions,
    to_pixels,
)

BOX = [0.0, 0.0, 2.0, 2.0]
ELSEWHERE = [5.0, 5.0, 6.0, 6.0]


def test_pixels_and_shares_undo_each_other() -> None:
    boxes, sizes = [[0.1, 0.2, 0.5, 1.0], [0, 0, 1, 1]], [[200, 100], [30, 60]]
    pixels = to_pixels(boxes, sizes)
    np.testing.assert_allclose(pixels, [[20, 20, 100, 100], [0, 0, 30, 60]])
    np.testing.assert_allclose(to_fractions(pixels, sizes), boxes)


def test_iou() -> None:
    second = [BOX, [1.0, 0.0, 3.0, 2.0], ELSEWHERE, [1.0, 1.0, 1.0, 1.0]]
    np.testing.assert_allclose(iou([BOX] * 4, second), [1, 1 / 3, 0, 0])
    assert iou([[1, 1, 1, 1]], [[1, 1, 1, 1]]).tolist() == [0]


def test_average_precision_by_hand() -> None:
    """Right, wrong, right in the order of the scores: (1 + 2/3) / 4 true ones."""
    boxes = [BOX, ELSEWHERE, BOX, ELSEWHERE]
    found = mean_average_precision(boxes, [1] * 4, [0.9, 0.8, 0.7, 0.1], [BOX] * 4, [1] * 4)
    assert found == pytest.approx((1 + 2 / 3) / 4)


def test_precision_is_made_to_fall_only() -> None:
    """Wrong, right, right: precision 0, 1/2, 2/3 becomes 2/3 throughout."""
    boxes = [ELSEWHERE, BOX, BOX]
    found = mean_average_precision(boxes, [1] * 3, [0.9, 0.8, 0.7], [BOX] * 3, [1] * 3)
    assert found == pytest.approx((2 / 3 + 2 / 3) / 3)


def test_a_wrong_class_is_wrong_for_both_classes() -> None:
    found = mean_average_precision([BOX] * 3, ["a", "a", "b"], [3, 2, 1], [BOX] * 3, list("aba"))
    assert found == pytest.approx((1 / 2 + 0) / 2)
    assert mean_average_precision([BOX], ["c"], [1], [BOX], ["a"]) == 0


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_equal_scores_count_at_once(order: list[int]) -> None:
    boxes = [[ELSEWHERE, BOX, BOX][i] for i in order]
    found = mean_average_precision(boxes, [1] * 3, [0.5] * 3, [BOX] * 3, [1] * 3)
    assert found == pytest.approx(2 / 3 * 2 / 3)


def test_threshold() -> None:
    arguments = ([BOX], [0], [1.0], [[1.0, 0.0, 3.0, 2.0]], [0])
    assert mean_average_precision(*arguments) == 0
    assert mean_average_precision(*arguments, threshold=0.3) == 1


def test_bootstrap_interval_holds_the_mean_and_repeats() -> None:
    values = np.random.default_rng(1).normal(5, 1, 400)
    low, high = bootstrap_interval(lambda taken: float(values[taken].mean()), 400, seed=3)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.2)
    assert (low, high) == bootstrap_interval(lambda t: float(values[t].mean()), 400, seed=3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: iou([BOX], [BOX, BOX]), "boxes must come in pairs. Received: 1 and 2"),
        (lambda: iou([[1, 2, 3]], [BOX]), "`first` must have shape (N, 4). Received: (1, 3)"),
        (lambda: to_pixels([BOX], [[1, 2], [3, 4]]), "`sizes` must hold width and height"),
        (lambda: to_pixels([BOX], [[0, 2]]), "`sizes` must hold width and height"),
        (
            lambda: mean_average_precision([BOX], [1, 2], [1], [BOX], [1]),
            "`classes` must have shape (1,). Received: (2,)",
        ),
        (
            lambda: mean_average_precision(np.zeros((0, 4)), [], [], np.zeros((0, 4)), []),
            "there are no boxes to evaluate. Received: 0 rows",
        ),
        (lambda: bootstrap_interval(float, 0), "`rows` must be at least 1. Received: rows=0"),
    ],
)
def test_refuses(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        call()
