"""The loss of a box against plain NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from multimodal.heads.losses import BoxLoss

TRUE = np.array([[0.2, 0.2, 0.6, 0.4]], "float32")
RAW = np.zeros((1, 4), "float32")  # 0.25, 0.25, 0.75, 0.75
GIOU = 0.35 * 0.15 / (0.08 + 0.25 - 0.35 * 0.15) - (0.55 * 0.55 - (0.33 - 0.35 * 0.15)) / 0.55**2
DISTANCE = abs(0.4 - 0.5) + abs(0.3 - 0.5) + abs(0.4 - 0.5) + abs(0.2 - 0.5)


@pytest.mark.parametrize(("giou", "l1"), [(1.0, 0.0), (0.0, 1.0), (2.0, 5.0)])
def test_by_hand(giou: float, l1: float) -> None:
    loss = BoxLoss(giou_weight=giou, l1_weight=l1)
    expected = giou * (1 - GIOU) + l1 * DISTANCE
    assert float(loss(TRUE, RAW)) == pytest.approx(expected, rel=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(again(TRUE, RAW)) == float(loss(TRUE, RAW))


def test_descends_to_a_box_that_it_does_not_touch() -> None:
    y_true = np.array([[0.02, 0.9, 0.08, 0.98]], "float32")
    head = keras.layers.Dense(4)
    model = keras.Sequential([keras.Input((1,)), head])
    model.compile(
        keras.optimizers.Adam(0.2), BoxLoss(), jit_compile=keras.backend.backend() == "jax"
    )
    ones = np.ones((100, 1), "float32")
    model.fit(ones, np.tile(y_true, (100, 1)), batch_size=1, verbose=0)
    loss = model.evaluate(ones[:1], y_true, verbose=0)
    assert loss < 1, "boxes that do not touch cost at least 2"
