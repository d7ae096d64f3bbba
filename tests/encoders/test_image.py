"""The convolutional encoder against plain NumPy, its statistics, and its error messages."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.encoders import ConvolutionalEncoder

PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype("uint8")
POINTWISE: dict[str, Any] = {"filters": [4], "kernel_size": 1, "strides": [1]}


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_agrees_with_numpy(slope: float) -> None:
    encoder = ConvolutionalEncoder(
        **POINTWISE, pool_sizes=[2], normalization="none", negative_slope=slope
    )
    found = array(encoder(PHOTOS))
    kernel, bias = encoder.get_weights()
    x = (PHOTOS / 127.5 - 1) @ kernel[0, 0] + bias
    x = np.where(x > 0, x, slope * x).reshape(3, 4, 2, 4, 2, 4).max(axis=(2, 4))
    np.testing.assert_allclose(found, x.reshape(3, 16, 4), atol=1e-5)


def test_statistics_are_those_of_the_photos_that_are_there() -> None:
    encoder = ConvolutionalEncoder(**POINTWISE, pool_sizes=[1], normalization="batch")
    there = np.array([True, False, True])
    found = array(encoder(PHOTOS, mask=there, training=True))
    kernel = encoder.get_weights()[0][0, 0]
    x = (PHOTOS[there] / 127.5 - 1) @ kernel
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    norm = encoder.norms[0]
    np.testing.assert_allclose(array(norm.moving_mean), 0.1 * mean, atol=1e-5)
    np.testing.assert_allclose(array(norm.moving_variance), 0.9 + 0.1 * variance, atol=1e-5)
    expected = np.maximum((x - mean) / np.sqrt(variance + norm.epsilon), 0)
    np.testing.assert_allclose(found[there], expected.reshape(2, 64, 4), atol=1e-3)


def test_absent_photos_leave_the_gradients_alone() -> None:
    model_input, mask = keras.Input((8, 8, 3)), keras.Input((), dtype="bool")
    encoder = ConvolutionalEncoder(
        **POINTWISE, pool_sizes=[1], normalization="batch", pooling="mean"
    )
    model = keras.Model([model_input, mask], encoder(model_input, mask=mask))
    model.compile("sgd", "mse")
    photos = PHOTOS.astype("float32")
    photos[1] = np.nan
    there = np.array([True, False, True])
    loss = model.train_on_batch([photos, there], np.ones((3, 4), "float32"))
    assert np.isfinite(loss)
    assert all(np.isfinite(array(weight)).all() for weight in model.weights)


@pytest.mark.parametrize(
    ("side", "strides", "pools", "cells"),
    [(64, (1, 2, 2), (1, 2, 1), 8), (65, (1, 2, 2), (1, 2, 1), 9), (7, (2, 2, 2), (1, 1, 1), 1)],
)
def test_map_size(side: int, strides: Any, pools: Any, cells: int) -> None:
    encoder = ConvolutionalEncoder([2, 2, 2], strides=strides, pool_sizes=pools)
    assert encoder.compute_output_shape((None, side, side, 3)) == (None, cells**2, 2)
    assert encoder(np.zeros((1, side, side, 3), "uint8")).shape == (1, cells**2, 2)


@pytest.mark.parametrize(("filters", "groups"), [(8, 8), (6, 2), (5, 1), (16, 8)])
def test_groups_divide_the_filters(filters: int, groups: int) -> None:
    encoder = ConvolutionalEncoder(
        [filters], strides=[1], pool_sizes=[1], normalization="group", pooling="max"
    )
    encoder(PHOTOS)
    assert encoder.norms[0].groups == groups


def test_integers_and_floats_are_one() -> None:
    encoder = ConvolutionalEncoder(**POINTWISE, pool_sizes=[1], dropout=0.5)
    np.testing.assert_array_equal(array(encoder(PHOTOS)), array(encoder(PHOTOS.astype("float32"))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": []}, "`filters` must be a list of integers of at least 1"),
        ({"strides": [1, 2]}, "one entry per stage (3). Received: strides=[1, 2]"),
        ({"pool_sizes": [1]}, "`pool_sizes` must have one entry per stage (3)"),
        ({"kernel_size": 0}, "`kernel_size` must be an integer of at least 1"),
        ({"normalization": "layer"}, "`normalization` must be one of ['batch', 'group', 'none']"),
        ({"negative_slope": 1}, "`negative_slope` must be in [0, 1). Received: negative_slope=1"),
        ({"dropout": 2}, "`dropout` must be in [0, 1). Received: dropout=2"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ConvolutionalEncoder(**arguments)


@pytest.mark.parametrize("shape", [(8, 8, 3), (None, 8, 8, 1), (None, None, None, 3)])
def test_refuses_inputs(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(ValueError, match="`inputs` must be photos of shape"):
        ConvolutionalEncoder()(keras.KerasTensor(shape, "uint8"))
