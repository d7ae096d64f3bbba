"""The inception encoder: its branches against plain NumPy, and its error messages."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from keras import ops

from multimodal.encoders import InceptionEncoder
from multimodal.encoders.image_inception import InceptionBlock

MAPS = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")


def array(tensor: Any) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


def dense(x: np.ndarray, unit: Any) -> np.ndarray:
    """Apply a unit of a 1x1 convolution and ReLU."""
    kernel, bias = unit.get_weights()
    return np.maximum(x @ kernel[0, 0] + bias, 0)


def largest_nearby(x: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    shifted = [padded[:, i : i + 4, j : j + 4] for i in range(3) for j in range(3)]
    return np.max(shifted, axis=0)


def test_branches_lie_side_by_side() -> None:
    block = InceptionBlock(16, normalization="none")
    found = array(block(MAPS))
    small, middle, large, pooled = block.branches
    np.testing.assert_allclose(found[..., :4], dense(MAPS, small[0]), atol=1e-5)
    np.testing.assert_allclose(found[..., 4:12], array(middle[1](middle[0](MAPS))), atol=1e-5)
    ends = array(large[2](large[1](large[0](MAPS))))
    np.testing.assert_allclose(found[..., 12:14], ends, atol=1e-5)
    np.testing.assert_allclose(found[..., 14:], dense(largest_nearby(MAPS), pooled[0]), atol=1e-5)


def test_the_large_branch_sees_five_cells() -> None:
    block = InceptionBlock(8, normalization="none")
    block.build((None, 9, 9, 1))
    block.set_weights([np.ones_like(each) for each in block.get_weights()])
    dot = np.zeros((1, 9, 9, 1), "float32")
    dot[0, 4, 4] = 1
    change = (array(block(dot)) - array(block(0 * dot)))[0]
    widths = [int((change[4, :, channel] > 0).sum()) for channel in (0, 2, 6, 7)]
    assert widths == [1, 3, 5, 3]


def test_statistics_are_those_of_the_photos_that_are_there() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype("uint8")
    encoder = InceptionEncoder([16], [1], pool_sizes=[1], stem_filters=4)
    there = np.array([True, False, True])
    encoder.build((None, 8, 8, 3))
    start = encoder.get_weights()
    found = array(encoder(photos, mask=there, training=True))
    encoder.set_weights(start)
    expected = array(encoder(photos[there], training=True))
    np.testing.assert_allclose(found[there], expected, atol=1e-3)


@pytest.mark.parametrize(("side", "cells"), [(64, 8), (65, 9), (7, 1)])
def test_map_size(side: int, cells: int) -> None:
    encoder = InceptionEncoder([8, 8, 16])
    assert encoder.compute_output_shape((None, side, side, 3)) == (None, cells**2, 16)
    assert tuple(encoder(np.zeros((1, side, side, 3), "uint8")).shape) == (1, cells**2, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": [8, 12, 16]}, "`filters` must be multiples of 8. Received: filters=[8, 12"),
        ({"filters": 8}, "`filters` must be a list of integers of at least 1"),
        ({"num_blocks": [1]}, "`num_blocks` must have one entry per stage (3)"),
        ({"pool_sizes": [1, 2]}, "`pool_sizes` must have one entry per stage (3)"),
        ({"stem_filters": 0}, "`stem_filters` must be an integer of at least 1"),
        ({"stem_stride": 1.5}, "`stem_stride` must be an integer of at least 1"),
        ({"normalization": None}, "`normalization` must be one of ['batch', 'group', 'none']"),
        ({"dropout": -1}, "`dropout` must be in [0, 1). Received: dropout=-1"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        InceptionEncoder(**arguments)
