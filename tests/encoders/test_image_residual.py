"""The residual encoder against plain NumPy, its statistics, and its error messages."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from keras import ops

from multimodal.encoders import ResidualEncoder
from multimodal.encoders.image_residual import ResidualBlock

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(2, 4, 4, 3)).astype("float32")
PHOTOS = RANDOM.integers(0, 256, (3, 8, 8, 3)).astype("uint8")


def array(tensor: Any) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


def convolve(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolve maps with a kernel of odd size, zeros around, stride 1."""
    size, (height, width) = len(kernel), x.shape[1:3]
    edge = size // 2
    padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    cells = [
        padded[:, i : i + height, j : j + width] @ kernel[i, j]
        for i in range(size)
        for j in range(size)
    ]
    return sum(cells) + bias


def test_block_adds_its_input() -> None:
    block = ResidualBlock(3, normalization="none")
    found = array(block(MAPS))
    kernel_0, bias_0, kernel_1, bias_1 = block.get_weights()
    inner = np.maximum(convolve(np.maximum(MAPS, 0), kernel_0, bias_0), 0)
    np.testing.assert_allclose(found, MAPS + convolve(inner, kernel_1, bias_1), atol=1e-5)


def test_block_brings_its_input_to_a_new_size() -> None:
    block = ResidualBlock(5, 2, normalization="none")
    block(MAPS)
    weights = block.get_weights()
    block.set_weights([*(np.zeros_like(each) for each in weights[:4]), *weights[4:]])
    expected = np.maximum(MAPS, 0)[:, ::2, ::2] @ weights[4][0, 0] + weights[5]
    np.testing.assert_allclose(array(block(MAPS)), expected, atol=1e-5)


def test_depth_does_not_make_the_start_larger() -> None:
    deep = ResidualEncoder([8], [12], strides=[1], normalization="none")
    flat = ResidualEncoder([8], [1], strides=[1], normalization="none")
    sizes = [np.std(array(each(PHOTOS))) for each in (deep, flat)]
    assert sizes[0] < 4 * sizes[1]  # 12 plain blocks would give 2 ** 6 times the size


def test_statistics_are_those_of_the_photos_that_are_there() -> None:
    encoder = ResidualEncoder([4], [1], strides=[1])
    there = np.array([True, False, True])
    encoder.build((None, 8, 8, 3))
    start = encoder.get_weights()
    found = array(encoder(PHOTOS, mask=there, training=True))
    learned = encoder.get_weights()
    encoder.set_weights(start)
    expected = array(encoder(PHOTOS[there], training=True))
    np.testing.assert_allclose(found[there], expected, atol=1e-3)
    for one, other in zip(learned, encoder.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(("side", "cells"), [(64, 8), (65, 9), (7, 1)])
def test_map_size(side: int, cells: int) -> None:
    encoder = ResidualEncoder([2, 2, 3])
    assert encoder.compute_output_shape((None, side, side, 3)) == (None, cells**2, 3)
    assert tuple(encoder(np.zeros((1, side, side, 3), "uint8")).shape) == (1, cells**2, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": [0]}, "`filters` must be a list of integers of at least 1"),
        ({"num_blocks": [1]}, "`num_blocks` must have one entry per stage (3). Received: num_bl"),
        ({"strides": [1, 2]}, "`strides` must have one entry per stage (3)"),
        ({"stem_stride": 0}, "`stem_stride` must be an integer of at least 1"),
        ({"normalization": "layer"}, "`normalization` must be one of ['batch', 'group', 'none']"),
        ({"dropout": 1}, "`dropout` must be in [0, 1). Received: dropout=1"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ResidualEncoder(**arguments)
