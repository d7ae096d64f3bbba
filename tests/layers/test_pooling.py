"""Poolings against plain NumPy, and their error messages."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from multimodal.encoders import ConvolutionalEncoder
from multimodal.layers.pooling import (
    AttentionPooling,
    GridPooling,
    LastPooling,
    MaxPooling,
    MeanPooling,
    SpatialSoftmaxPooling,
    expand_mask,
)

TOKENS = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")
KEPT = np.array([[1, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], bool)
MAPS = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype("float32")
CELLS = MAPS.reshape(2, 25, 3)
KEEP = np.random.default_rng(1).integers(0, 2, (2, 25)).astype(bool)


def array(tensor: Any) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


def softmax_mean(pooling: AttentionPooling, tokens: np.ndarray) -> np.ndarray:
    """Compute attention pooling of one row of kept tokens `(T, D)`."""
    (kernel,) = pooling.get_weights()
    scores = np.exp(tokens @ kernel)
    weights = scores / scores.sum(axis=0)
    parts = tokens.reshape(len(tokens), pooling.num_heads, -1)
    return np.einsum("th,thd->hd", weights, parts).ravel()


@pytest.mark.parametrize("name", ["mean", "max", "last", "attention"])
@pytest.mark.parametrize("masked", [True, False])
def test_pooling_agrees_with_numpy(name: str, masked: bool) -> None:
    pooling: Any = {
        "mean": MeanPooling,
        "max": MaxPooling,
        "last": LastPooling,
        "attention": lambda: AttentionPooling(num_heads=3),
    }[name]()
    found = array(pooling(TOKENS, mask=KEPT if masked else None))
    reduce = {
        "mean": lambda tokens: tokens.mean(axis=0),
        "max": lambda tokens: tokens.max(axis=0),
        "last": lambda tokens: tokens[-1],
        "attention": lambda tokens: softmax_mean(pooling, tokens),
    }[name]
    for row, tokens in enumerate(TOKENS):
        kept = tokens[KEPT[row]] if masked else tokens
        expected = reduce(kept) if len(kept) else np.zeros(6)
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


@pytest.mark.parametrize("pooling", [MaxPooling(), AttentionPooling(num_heads=2)])
def test_one_token_is_its_own_pooling(pooling: Any) -> None:
    np.testing.assert_allclose(array(pooling(TOKENS[:, :1])), TOKENS[:, 0], atol=1e-6)


def test_expand_mask_takes_the_dtype_of_the_tokens() -> None:
    found = expand_mask(KEPT, TOKENS)
    assert found.shape == (3, 4, 1) and keras.backend.standardize_dtype(found.dtype) == "float32"


@pytest.mark.parametrize("masked", [True, False])
def test_grid_agrees_with_numpy(masked: bool) -> None:
    found = array(GridPooling(grid_size=2)(CELLS, mask=KEEP if masked else None))
    keep = KEEP.reshape(2, 5, 5) if masked else np.ones((2, 5, 5), bool)
    for row in range(2):
        parts = [
            MAPS[row, down, across][keep[row, down, across]].mean(axis=0)
            for down in (slice(0, 3), slice(2, 5))
            for across in (slice(0, 3), slice(2, 5))
        ]
        np.testing.assert_allclose(found[row], np.concatenate(parts), atol=1e-5)


def test_grid_of_every_cell_is_the_map() -> None:
    np.testing.assert_allclose(
        array(GridPooling(grid_size=5)(CELLS)), MAPS.reshape(2, 75), atol=1e-6
    )


def test_spatial_softmax_agrees_with_numpy() -> None:
    pooling = SpatialSoftmaxPooling(num_points=4)
    found = array(pooling(CELLS, mask=KEEP))
    scores = np.where(KEEP[..., None], np.exp(CELLS @ pooling.get_weights()[0]), 0)
    shares = (scores / scores.sum(axis=1, keepdims=True)).reshape(2, 5, 5, 4)
    centres = np.array([-0.8, -0.4, 0, 0.4, 0.8])
    x = np.einsum("brcp,c->bp", shares, centres)
    y = np.einsum("brcp,r->bp", shares, centres)
    np.testing.assert_allclose(found, np.concatenate([x, y], axis=1), atol=1e-5)


def test_spatial_softmax_finds_a_dot() -> None:
    pooling = SpatialSoftmaxPooling(num_points=1)
    dot = np.zeros((1, 16, 1), "float32")
    dot[0, 4 * 1 + 3] = 100  # second row, last column
    pooling.build((None, 16, 1))
    pooling.set_weights([np.ones((1, 1), "float32")])
    np.testing.assert_allclose(array(pooling(dot))[0], [0.75, -0.25], atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "size"), [("grid", 16 * 4), ("spatial_softmax", 64), ("mean", 4)]
)
def test_encoder_knows_the_size_of_its_vector(pooling: str, size: int) -> None:
    encoder = ConvolutionalEncoder([4], strides=[2], pool_sizes=[1], pooling=pooling)
    assert encoder.compute_output_shape((None, 16, 16, 3)) == (None, size)
    assert tuple(encoder(np.zeros((2, 16, 16, 3), "uint8")).shape) == (2, size)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AttentionPooling(num_heads=0), "`num_heads` must be an integer"),
        (lambda: AttentionPooling(num_heads=4)(TOKENS), "`num_heads` must divide"),
        (lambda: GridPooling(grid_size=0), "`grid_size` must be an integer of at least 1"),
        (lambda: SpatialSoftmaxPooling(num_points=0), "`num_points` must be an integer of at"),
        (
            lambda: GridPooling(grid_size=6)(CELLS),
            "`grid_size` must be at most the side of the "
            "map. Received: grid_size=6, input_shape=(2, 25, 3) (side 5)",
        ),
        (
            lambda: GridPooling()(CELLS[:, :24]),
            "`inputs` must be the tokens of a square map, "
            "(batch, side * side, dim). Received: input_shape=(2, 24, 3)",
        ),
        (lambda: SpatialSoftmaxPooling()(CELLS[:, :7]), "`inputs` must be the tokens of a square"),
        (lambda: GridPooling().build((None, None, 3)), "`inputs` must be the tokens of a square"),
    ],
)
def test_refuses(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
