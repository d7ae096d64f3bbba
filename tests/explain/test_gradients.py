"""Gradients on the backend that runs: of each row alone, zero where nothing depends on it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from multimodal.explain.gradients import value_and_gradient


def test_each_row_has_its_own_gradient() -> None:
    x = np.array([[1.0, 2.0], [3.0, -1.0]], "float32")
    values, gradient = value_and_gradient(lambda t: ops.sum(t**3, axis=1), ops.convert_to_tensor(x))
    np.testing.assert_allclose(ops.convert_to_numpy(values), (x**3).sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), 3 * x**2, rtol=1e-6)


def test_through_layers_that_remember_nothing() -> None:
    layer = keras.layers.Dense(1, use_bias=False)
    x = ops.ones((4, 3))
    layer(x)
    _, gradient = value_and_gradient(lambda t: ops.squeeze(layer(t), axis=-1), x)
    wanted = np.repeat(ops.convert_to_numpy(layer.kernel).T, 4, axis=0)
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), wanted, rtol=1e-6)


def test_what_does_not_depend_on_the_inputs_has_no_gradient() -> None:
    _, gradient = value_and_gradient(
        lambda t: ops.sum(ops.zeros_like(t) * t, axis=1), ops.ones((2, 3))
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(gradient), np.zeros((2, 3)))


def test_a_backend_without_gradients_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    function: Any = None
    with pytest.raises(ValueError, match="KERAS_BACKEND='numpy'"):
        value_and_gradient(function, ops.ones((1, 1)))
