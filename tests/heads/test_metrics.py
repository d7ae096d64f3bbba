"""Metrics against plain NumPy, in the user's units."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.heads.metrics import (
    BinaryAccuracy,
    BoxIoU,
    Coverage,
    DecodedMeanAbsoluteError,
    DecodedPinball,
    DecodedRootMeanSquaredError,
    HeadMetric,
    MulticlassAccuracy,
    MultilabelAccuracy,
    MultilabelJaccard,
    NeighbourAccuracy,
    OrdinalAccuracy,
    OrdinalMeanAbsoluteError,
    PairAccuracy,
    ReconstructionError,
)


def test_rows_without_a_label_do_not_count() -> None:
    metric = MulticlassAccuracy()
    raw = np.eye(3, dtype="float32")
    metric.update_state(np.array([0, 2, -7]), raw, np.array([1.0, 1.0, 0.0]))
    assert float(metric.result()) == 0.5
    metric.update_state(np.array([np.nan, 1, 9]), raw, np.array([0.0, 2.0, 0.0]))
    assert float(metric.result()) == 0.75


def test_nothing_labelled_is_zero() -> None:
    metric = BinaryAccuracy()
    metric.update_state(np.array([np.nan]), np.ones((1, 1), "float32"), np.zeros(1))
    assert float(metric.result()) == 0


def test_survives_serialization() -> None:
    metric = BinaryAccuracy(learned_weight=True, name="own")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert again.get_config() == metric.get_config() and again.learned_weight


def test_what_a_metric_must_write() -> None:
    with pytest.raises(NotImplementedError):
        HeadMetric().update_state(np.ones(1), np.ones((1, 1)))


CLASS_WEIGHTS = np.array([1.0, 2.0, 1.0])


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
        parts = (np.array(y_true), np.array(raw, "float32"), CLASS_WEIGHTS)
        for batch in zip(*(np.split(part, batches) for part in parts), strict=True):
            each.update_state(*batch)
        assert float(each.result()) == pytest.approx(
            (CLASS_WEIGHTS * rows).sum() / CLASS_WEIGHTS.sum()
        )


TRUE = np.array([[10.0], [200.0], [0.0]], "float32")
RAW = np.array([[0.5], [1.5], [9.0]], "float32")
WEIGHTS = np.array([1.0, 3.0, 0.0], "float32")
ARGUMENTS: dict[str, Any] = {"transform": "log1p", "mean": 2.0, "scale": 3.0, "bounds": (0.0, 7.0)}
BOTH = [DecodedMeanAbsoluteError, DecodedRootMeanSquaredError]


def errors() -> np.ndarray:
    return (np.expm1(np.clip(RAW * 3 + 2, 0, 7)) - TRUE)[:, 0]


def by_hand(cls: type, weights: np.ndarray) -> float:
    power = 1 if cls is DecodedMeanAbsoluteError else 2
    mean = (weights * np.abs(errors()) ** power).sum() / weights.sum()
    return float(mean if power == 1 else math.sqrt(mean))


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_agrees_with_numpy(cls: type, weights: np.ndarray | None) -> None:
    metric = cls(**ARGUMENTS)
    metric.update_state(TRUE, RAW, sample_weight=weights)
    expected = by_hand(cls, np.ones(3) if weights is None else weights)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("cls", BOTH)
def test_batches_add_up(cls: type) -> None:
    metric = cls(**ARGUMENTS)
    for row in range(3):
        metric.update_state(TRUE[row : row + 1], RAW[row : row + 1], WEIGHTS[row : row + 1])
    assert float(metric.result()) == pytest.approx(by_hand(cls, WEIGHTS), rel=1e-4)
    metric.reset_state()
    assert float(metric.result()) == 0


@pytest.mark.parametrize("cls", BOTH)
def test_number_metrics_survive_serialization(cls: type) -> None:
    metric = cls(**ARGUMENTS, name="own")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is cls and again.name == "own"
    assert again.get_config() == metric.get_config()
    assert {key: again.get_config()[key] for key in ARGUMENTS} == ARGUMENTS
    for each in (metric, again):
        each.update_state(TRUE, RAW)
    assert float(again.result()) == float(metric.result())


def test_plain_units_need_no_arguments() -> None:
    metric = DecodedMeanAbsoluteError()
    metric.update_state(TRUE, TRUE + 4)
    assert float(metric.result()) == 4


def test_quantiles_are_measured_in_the_users_units() -> None:
    raw = np.array([[0.5, 1.0, 2.0], [0.5, 1.0, 1.5], [0.0, 0.0, 0.0]], "float32")
    guess = np.expm1(np.clip(raw * 3 + 2, 0, 7))
    error, levels = TRUE - guess, np.array([[0.1, 0.5, 0.9]])
    rows = np.where(error > 0, levels * error, (levels - 1) * error).mean(axis=1)
    inside = (TRUE[:, 0] >= guess[:, 0]) & (TRUE[:, 0] <= guess[:, 2])
    for metric, each in (
        (DecodedPinball([0.1, 0.5, 0.9], **ARGUMENTS), rows),
        (Coverage(**ARGUMENTS), inside),
    ):
        metric.update_state(TRUE, raw, WEIGHTS)
        expected = (WEIGHTS * each).sum() / WEIGHTS.sum()
        assert float(metric.result()) == pytest.approx(float(expected), rel=1e-4)
    assert 0 < float(metric.result()) < 1


@pytest.mark.parametrize("loss", ["squared", "binary"])
def test_reconstruction(loss: str) -> None:
    y_true = np.array([[[0.0, 1.0]], [[0.5, 0.5]]], "float32")
    raw = np.array([[1.0, -1.0], [0.0, 2.0]], "float32")
    metric = ReconstructionError(loss)
    metric.update_state(y_true, raw)
    guess = raw if loss == "squared" else 1 / (1 + np.exp(-raw))
    expected = math.sqrt(np.mean((y_true.reshape(2, 2) - guess) ** 2))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


MIDDLE = [0.25, 0.25, 0.75, 0.75]


def test_boxes_by_hand() -> None:
    metric = BoxIoU()
    y_true = np.array([MIDDLE, [0.25, 0.25, 0.5, 0.75], [0, 0, 0.1, 0.1]], "float32")
    metric.update_state(y_true, np.zeros((3, 4), "float32"), np.array([1.0, 2.0, 1.0]))
    assert float(metric.result()) == pytest.approx((1 + 2 * 0.5 + 0) / 4, rel=1e-5)


def test_a_box_is_cut_at_the_edge_of_the_photo() -> None:
    metric = BoxIoU()
    raw = np.array([[-30.0, 0.0, 0.0, 0.0]], "float32")
    metric.update_state(np.array([[0.0, 0.25, 0.25, 0.75]], "float32"), raw)
    assert float(metric.result()) == pytest.approx(1, rel=1e-5)


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
