"""Poolings, photo folding and the MLP against plain NumPy, and their error messages."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.layers import basic

TOKENS = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")
KEEP = np.array([[1, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], bool)


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def softmax_mean(pooling: basic.AttentionPooling, tokens: np.ndarray) -> np.ndarray:
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
        "mean": basic.MeanPooling,
        "max": basic.MaxPooling,
        "last": basic.LastPooling,
        "attention": lambda: basic.AttentionPooling(num_heads=3),
    }[name]()
    found = array(pooling(TOKENS, mask=KEEP if masked else None))
    reduce = {
        "mean": lambda tokens: tokens.mean(axis=0),
        "max": lambda tokens: tokens.max(axis=0),
        "last": lambda tokens: tokens[-1],
        "attention": lambda tokens: softmax_mean(pooling, tokens),
    }[name]
    for row, tokens in enumerate(TOKENS):
        kept = tokens[KEEP[row]] if masked else tokens
        expected = reduce(kept) if len(kept) else np.zeros(6)
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


@pytest.mark.parametrize("pooling", [basic.MaxPooling(), basic.AttentionPooling(num_heads=2)])
def test_one_token_is_its_own_pooling(pooling: Any) -> None:
    np.testing.assert_allclose(array(pooling(TOKENS[:, :1])), TOKENS[:, 0], atol=1e-6)


def test_fold_and_unfold_are_inverse() -> None:
    photos = np.arange(2 * 3 * 4 * 4 * 3).reshape(2, 3, 4, 4, 3)
    folded = array(basic.FoldPhotos()(photos))
    np.testing.assert_array_equal(folded, photos.reshape(6, 4, 4, 3))
    np.testing.assert_array_equal(array(basic.UnfoldPhotos(photos=3)(folded)), photos)


def test_fold_joins_presence_in_the_same_order() -> None:
    present = np.array([[True, False], [False, True]])
    np.testing.assert_array_equal(array(basic.FoldPhotos()(present)), present.ravel())


def test_any_photo() -> None:
    present = np.array([[True, False], [False, False]])
    found = basic.AnyPhoto()(present)
    assert keras.backend.standardize_dtype(found.dtype) == "bool"
    np.testing.assert_array_equal(array(found), [True, False])


def test_mlp_agrees_with_numpy() -> None:
    mlp = basic.MLP([5, 3], dropout=0.5, name="mlp")
    rows = TOKENS[:, 0]
    found = array(mlp(rows))
    for kernel, bias in zip(mlp.get_weights()[::2], mlp.get_weights()[1::2], strict=True):
        rows = np.maximum(rows @ kernel + bias, 0)
    np.testing.assert_allclose(found, rows, atol=1e-6)
    assert [weight.path for weight in mlp.weights][0] == "mlp/dense_0/kernel"


def test_each_member_of_an_mlp_agrees_with_numpy() -> None:
    mlp = basic.MLP([5, 3], num_members=4, dropout=0.5)
    rows = TOKENS[:, 0]
    found = array(mlp(rows))
    assert found.shape == (len(rows), 4, 3) == mlp.compute_output_shape(rows.shape)
    for member in range(4):
        hidden = rows
        for layer in mlp.layers:
            kernel, scale_in, scale_out, bias = layer.get_weights()
            hidden = (hidden * scale_in[member]) @ kernel * scale_out[member] + bias[member]
            hidden = np.maximum(hidden, 0)
        np.testing.assert_allclose(found[:, member], hidden, atol=1e-5)
    assert set(np.unique(array(mlp.layers[0].scale_in))) == {-1, 1}


def test_expand_mask_takes_the_dtype_of_the_tokens() -> None:
    found = basic.expand_mask(KEEP, TOKENS)
    assert found.shape == (3, 4, 1) and keras.backend.standardize_dtype(found.dtype) == "float32"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: basic.AttentionPooling(num_heads=0), "`num_heads` must be an integer"),
        (lambda: basic.AttentionPooling(num_heads=4)(TOKENS), "`num_heads` must divide"),
        (lambda: basic.UnfoldPhotos(photos=0), "`photos` must be an integer of at least 1"),
        (lambda: basic.MLP([]), "`hidden_dims` must be a list of integers of at least 1"),
        (lambda: basic.MLP([3], num_members=0), "`num_members` must be an integer of at least 1"),
        (lambda: basic.MLP([3], dropout=1), "`dropout` must be in [0, 1). Received: dropout=1"),
    ],
)
def test_refuses(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
