"""The transformed squared error against plain NumPy: weights, missing labels, serialization."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from multimodal.losses import TransformedMeanSquaredError

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
