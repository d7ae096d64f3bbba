"""Kernel regression on frozen features against plain NumPy, and in a blend."""

from __future__ import annotations

import keras
import numpy as np

from multimodal.layers import Blend, KernelRegression
from multimodal.layers.kernel_regression import joined_features, joined_width

RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("float32")


def filled(layer: KernelRegression) -> KernelRegression:
    for variable in layer.weights:
        variable.assign(np.abs(floats(*variable.shape)))
    return layer


def test_features_have_length_one_and_absent_ones_are_zeros() -> None:
    photos, texts = 100 * floats(4, 3, 5), floats(4, 1, 2)
    photos[1] = 0
    found = keras.ops.convert_to_numpy(joined_features([photos, texts]))
    assert found.shape == (4, joined_width([(None, 3, 5), (None, 1, 2)]))
    norms = (found**2).sum(axis=1)
    np.testing.assert_allclose(norms[[0, 2, 3]], 1, rtol=1e-5)
    assert not found[1, :20].any() and abs(norms[1] - 0.5) < 1e-5


def test_a_group_is_told_by_each_photo_in_its_place_and_by_their_mean() -> None:
    photos = floats(1, 2, 3)
    found, turned = (
        keras.ops.convert_to_numpy(joined_features([each])) for each in (photos, photos[:, ::-1])
    )
    np.testing.assert_allclose(found[:, :3], turned[:, 3:6], rtol=1e-5)
    np.testing.assert_allclose(found[:, 6:], turned[:, 6:], rtol=1e-5)


def test_it_is_a_sum_over_landmarks() -> None:
    layer, features = KernelRegression(2, 5), floats(3, 1, 4)
    layer([features])
    filled(layer)
    unit = features[:, 0] / np.linalg.norm(features[:, 0], axis=1, keepdims=True)
    places, gamma, kernel, bias = (keras.ops.convert_to_numpy(v) for v in layer.weights)
    apart = ((unit[:, None] - places[None]) ** 2).sum(axis=2)
    wanted = np.exp(-gamma * apart) @ kernel + bias
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer([features])), wanted, rtol=1e-4)


def test_a_blend_weights_networks_linear_model_and_kernel_regressions() -> None:
    layer = Blend(1, 5, features=[["a_features"], ["b_features", "c_features"]], landmarks=4)
    assert layer.input_keys == [
        *("a_features", "b_features", "c_features"),
        *("terms_ids", "terms_weights"),
    ]
    network, a, b, c = floats(2, 1), floats(2, 2, 3), floats(2, 1, 3), floats(2, 1, 4)
    sparse = [np.array([[2], [3]], "int32"), floats(2, 1)]
    layer([network, a, b, c, *sparse])
    for each in layer.kernel_regressions:
        filled(each)
    layer.kernel.assign(floats(6, 1))
    layer.shares.assign([[0.5], [2.0], [3.0], [0.1]])
    first, second = (
        keras.ops.convert_to_numpy(each(given))
        for each, given in zip(layer.kernel_regressions, ([a], [b, c]), strict=True)
    )
    linear = keras.ops.convert_to_numpy(layer.kernel)[[2, 3]] * sparse[1]
    wanted = 0.5 * network + 2 * linear + 3 * first + 0.1 * second
    found = keras.ops.convert_to_numpy(layer([network, a, b, c, *sparse]))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_a_blend_without_a_linear_model_takes_no_sparse_features() -> None:
    layer = Blend(1, 0, features=[["a_features"]], landmarks=4)
    assert layer.input_keys == ["a_features"]
    assert layer([floats(2, 1), floats(2, 1, 3)]).shape == (2, 1)
    assert layer.shares.shape == (2, 1)
