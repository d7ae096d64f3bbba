"""Losses of numbers against plain NumPy: weights, missing labels, serialization."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from multimodal.heads.losses import (
    PinballLoss,
    ReconstructionLoss,
    TransformedHuber,
    TransformedMeanSquaredError,
)

TRUE = np.array([[10.0], [20.0], [0.0]], "float32")
RAW = np.array([[0.5], [1.5], [9.0]], "float32")


def by_hand(transform: str, weights: np.ndarray) -> float:
    y = np.log1p(TRUE) if transform == "log1p" else TRUE
    y = y if transform == "none" else (y - 2) / 3
    return float((weights * (y - RAW)[:, 0] ** 2).sum() / weights.sum())


@pytest.mark.parametrize("transform", ["none", "standardise", "log1p"])
@pytest.mark.parametrize("weights", [[1, 1, 1], [1, 3, 0], [0.5, 0, 0]])
def test_is_a_mean_that_knows_the_weights(transform: str, weights: list[float]) -> None:
    array = np.array(weights, "float32")
    loss = TransformedMeanSquaredError(transform, mean=2.0, scale=3.0)
    assert float(loss(TRUE, RAW, array)) == pytest.approx(by_hand(transform, array), rel=1e-5)


def test_no_label_at_all_is_zero() -> None:
    loss = TransformedMeanSquaredError("log1p", mean=2.0, scale=3.0)
    assert float(loss(TRUE, RAW, np.zeros(3, "float32"))) == 0


def test_low_precision_predictions_are_compared_in_float32() -> None:
    loss = TransformedMeanSquaredError()
    raw = keras.ops.cast(TRUE, "bfloat16")
    assert float(loss(keras.ops.cast(TRUE, "int32"), raw)) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"transform": "log1p", "mean": 1.5, "scale": 2.5, "reduction": "sum", "name": "own"},
        {"transform": "standardise", "mean": -1.0, "scale": 0.5},
    ],
)
def test_survives_serialization(arguments: dict[str, object]) -> None:
    loss = TransformedMeanSquaredError(**arguments)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert {key: again.get_config()[key] for key in arguments} == arguments
    assert float(again(TRUE, RAW)) == float(loss(TRUE, RAW))


def test_huber_is_squared_within_delta_and_straight_beyond() -> None:
    loss = TransformedHuber(delta=2.0, reduction=None)
    y_true, raw = np.array([[1.0], [5.0], [-5.0]], "float32"), np.zeros((3, 1), "float32")
    found = keras.ops.convert_to_numpy(loss(y_true, raw))
    np.testing.assert_allclose(found, [0.5, 0.5 * 4 + 2 * 3, 0.5 * 4 + 2 * 3])
    assert TransformedHuber("log1p", 1.0, 2.0, delta=3.0).get_config()["delta"] == 3


def test_pinball_agrees_with_numpy() -> None:
    raw = np.array([[0.5, 1.5], [1.0, 9.0], [0.0, 0.0]], "float32")
    error = (np.log1p(TRUE) - 2) / 3 - raw
    levels = np.array([[0.1, 0.9]])
    rows = np.where(error > 0, levels * error, (levels - 1) * error).mean(axis=1)
    loss = PinballLoss([0.1, 0.9], "log1p", mean=2.0, scale=3.0)
    weights = np.array([1.0, 3.0, 0.0], "float32")
    expected = (weights * rows).sum() / weights.sum()
    assert float(loss(TRUE, raw, weights)) == pytest.approx(expected, rel=1e-5)


def test_the_best_constants_under_pinball_are_the_quantiles() -> None:
    y_true = np.arange(101, dtype="float32")[:, None]
    loss = PinballLoss([0.25])
    costs = [float(loss(y_true, np.full((101, 1), c, "float32"))) for c in range(101)]
    assert int(np.argmin(costs)) == 25


@pytest.mark.parametrize("kind", ["squared", "binary"])
def test_reconstruction_compares_number_by_number(kind: str) -> None:
    random = np.random.default_rng(0)
    y_true = random.uniform(size=(3, 2, 2)).astype("float32")
    raw = random.normal(size=(3, 4)).astype("float32")
    flat, p = y_true.reshape(3, 4), 1 / (1 + np.exp(-raw))
    cells = (flat - raw) ** 2
    if kind == "binary":
        cells = -(flat * np.log(p) + (1 - flat) * np.log(1 - p))
    loss = ReconstructionLoss(kind)
    assert float(loss(y_true, raw)) == pytest.approx(cells.mean(), rel=1e-5)
    assert loss.get_config()["loss"] == kind
