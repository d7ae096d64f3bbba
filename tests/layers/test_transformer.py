"""The transformer block against plain NumPy; its mask, its positions, its error messages."""

from __future__ import annotations

import math
import re
from typing import Any

import keras
import numpy as np
import pytest
from checks import as_array

from multimodal.layers.transformer import TransformerBlock, rotate

RANDOM = np.random.default_rng(0)
TOKENS = RANDOM.normal(size=(3, 5, 8)).astype("float32")
MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)


def normalised(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    moved = x - x.mean(axis=-1, keepdims=True)
    return moved / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-6) * gamma + beta


def turned(x: np.ndarray) -> np.ndarray:
    """Rotary positions by complex numbers: `(T, H)`."""
    half = x.shape[1] // 2
    angles = np.arange(len(x))[:, None] * 10_000.0 ** (-np.arange(half) / half)
    pairs = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angles)
    return np.concatenate([pairs.real, pairs.imag], axis=1)


def by_hand(block: TransformerBlock, x: np.ndarray) -> np.ndarray:
    """One sample's tokens `(T, D)` through the block, one head after the other."""
    g1, b1, qkv, qkv_bias, out, out_bias, g2, b2, w1, c1, w2, c2 = block.get_weights()
    dim, heads = x.shape[1], []
    size = dim // block.num_heads
    query, key, value = np.split(normalised(x, g1, b1) @ qkv + qkv_bias, 3, axis=1)
    for i in range(block.num_heads):
        q, k, v = (each[:, i * size : (i + 1) * size] for each in (query, key, value))
        if block.rotary:
            q, k = turned(q), turned(k)
        scores = np.exp(q @ k.T / math.sqrt(size))
        heads.append(scores / scores.sum(axis=1, keepdims=True) @ v)
    x = x + np.concatenate(heads, axis=1) @ out + out_bias
    hidden = normalised(x, g2, b2) @ w1 + c1
    erf = np.vectorize(math.erf)
    return x + 0.5 * hidden * (1 + erf(hidden / math.sqrt(2))) @ w2 + c2


def test_rotate_agrees_with_complex_numbers() -> None:
    found = as_array(rotate(keras.ops.convert_to_tensor(TOKENS[:, :, None, :])))
    for row, tokens in enumerate(TOKENS):
        np.testing.assert_allclose(found[row, :, 0], turned(tokens), atol=1e-5)


@pytest.mark.parametrize("rotary", [False, True])
def test_agrees_with_numpy(rotary: bool) -> None:
    block = TransformerBlock(2, 6, rotary=rotary)
    block(TOKENS)
    block.set_weights([w + RANDOM.normal(0, 0.2, w.shape) for w in block.get_weights()])
    found = as_array(block(TOKENS, mask=MASK))
    for row, keep in ((0, 3), (1, 5)):
        expected = by_hand(block, TOKENS[row, :keep])
        np.testing.assert_allclose(found[row, :keep], expected, atol=1e-4)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_padding_is_never_attended(policy: str) -> None:
    block = TransformerBlock(2, 6, rotary=True, dtype=policy)
    expected = as_array(block(TOKENS, mask=MASK))
    assert np.isfinite(expected).all()
    for garbage in (np.nan, 6e4):
        found = as_array(block(np.where(MASK[..., None], TOKENS, garbage), mask=MASK))
        np.testing.assert_array_equal(found, expected)


def test_gradients_are_finite_where_nothing_is_kept() -> None:
    inputs, mask = keras.Input((None, 8)), keras.Input((None,), dtype="bool")
    model = keras.Model([inputs, mask], TransformerBlock(2, 6)(inputs, mask=mask))
    model.compile("sgd", "mse")
    garbage = np.where(MASK[..., None], TOKENS, np.float32(np.nan))
    assert np.isfinite(model.train_on_batch([garbage, MASK], np.zeros_like(TOKENS)))
    assert all(np.isfinite(as_array(weight)).all() for weight in model.weights)


def test_without_rotary_the_order_is_nothing() -> None:
    plain, rotary = TransformerBlock(2, 6), TransformerBlock(2, 6, rotary=True)
    for block, same in ((plain, True), (rotary, False)):
        forwards = as_array(block(TOKENS))
        backwards = as_array(block(TOKENS[:, ::-1]))[:, ::-1]
        assert np.allclose(forwards, backwards, atol=1e-5) == same


def test_rotary_sees_distances_alone() -> None:
    block = TransformerBlock(2, 6, rotary=True)
    mask = np.array([[0, 0, 1, 1, 1]] * 3, bool)
    moved = as_array(block(TOKENS, mask=mask))[:, 2:]
    np.testing.assert_allclose(moved, as_array(block(TOKENS[:, 2:])), atol=1e-5)


def test_hands_the_mask_on() -> None:
    tokens = keras.layers.Masking()(np.where(MASK[..., None], TOKENS, 0))
    np.testing.assert_array_equal(as_array(TransformerBlock(2, 6)(tokens)._keras_mask), MASK)


def test_dropout_works_in_training_only() -> None:
    block = TransformerBlock(2, 6, dropout=0.9)
    still = as_array(block(TOKENS))
    np.testing.assert_array_equal(as_array(block(TOKENS, training=False)), still)
    assert not np.array_equal(as_array(block(TOKENS, training=True)), still)


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        ({"num_heads": 0}, None, "`num_heads` must be an integer of at least 1"),
        ({"mlp_dim": 0}, None, "`mlp_dim` must be an integer of at least 1"),
        ({"dropout": 1.5}, None, "`dropout` must be in [0, 1). Received: dropout=1.5"),
        ({}, (None, 8), "`inputs` must be tokens of shape (batch, tokens, dim) with a fixed dim"),
        ({}, (None, 3, None), "`inputs` must be tokens of shape (batch, tokens, dim)"),
        ({}, (None, 3, 9), "`num_heads` must divide the token size. Received: num_heads=2"),
        ({"rotary": True}, (None, 3, 6), "`rotary` must go with an even token size per head."),
    ],
)
def test_refuses(arguments: dict[str, Any], shape: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TransformerBlock(**{"num_heads": 2, "mlp_dim": 6, **arguments}).build(shape)
