"""Dense layers that members share, and residual blocks of them, against plain NumPy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from checks import as_array

from multimodal.layers.mlp import MLP, DenseBlock, EnsembleDense

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(3, 6)).astype("float32")


def test_members_agree_with_numpy() -> None:
    layer = EnsembleDense(4, 3, activation="relu", random_signs=True)
    rows = RANDOM.normal(size=(5, 1, 2)).astype("float32")
    layer(rows)
    layer.set_weights([RANDOM.normal(size=each.shape) for each in layer.get_weights()])
    kernel, scale_in, scale_out, bias = layer.get_weights()
    found = as_array(layer(rows))
    for member in range(3):
        x = (rows[:, 0] * scale_in[member]) @ kernel * scale_out[member] + bias[member]
        np.testing.assert_allclose(found[:, member], np.maximum(x, 0), atol=1e-5)


def test_members_start_with_random_signs_or_ones() -> None:
    for signs, expected in ((True, {-1.0, 1.0}), (False, {1.0})):
        layer = EnsembleDense(4, 8, random_signs=signs)
        layer.build((None, 1, 16))
        assert set(np.unique(as_array(layer.scale_in))) == expected


def test_each_member_has_its_own_input() -> None:
    layer = EnsembleDense(4, 3)
    rows = RANDOM.normal(size=(5, 3, 2)).astype("float32")
    before = as_array(layer(rows))
    rows[:, 1] = 0
    changed = np.abs(as_array(layer(rows)) - before).max(axis=(0, 2)) > 0
    assert changed.tolist() == [False, True, False]


def test_mlp_agrees_with_numpy() -> None:
    mlp = MLP([5, 3], dropout=0.5, name="mlp")
    rows = ROWS
    found = as_array(mlp(rows))
    for kernel, bias in zip(mlp.get_weights()[::2], mlp.get_weights()[1::2], strict=True):
        rows = np.maximum(rows @ kernel + bias, 0)
    np.testing.assert_allclose(found, rows, atol=1e-6)
    assert [weight.path for weight in mlp.weights][0] == "mlp/dense_0/kernel"


def test_each_member_of_an_mlp_agrees_with_numpy() -> None:
    mlp = MLP([5, 3], num_members=4, dropout=0.5)
    rows = ROWS
    found = as_array(mlp(rows))
    assert found.shape == (len(rows), 4, 3) == mlp.compute_output_shape(rows.shape)
    for member in range(4):
        hidden = rows
        for layer in mlp.layers:
            kernel, scale_in, scale_out, bias = layer.get_weights()
            hidden = (hidden * scale_in[member]) @ kernel * scale_out[member] + bias[member]
            hidden = np.maximum(hidden, 0)
        np.testing.assert_allclose(found[:, member], hidden, atol=1e-5)
    assert set(np.unique(as_array(mlp.layers[0].scale_in))) == {-1, 1}


def test_a_row_of_a_block_depends_on_no_other() -> None:
    block = DenseBlock()
    rows = RANDOM.normal(size=(5, 6)).astype("float32")
    together = as_array(block(rows, training=True))
    np.testing.assert_allclose(as_array(block(rows[:1], training=True)), together[:1], atol=1e-6)


def test_dropout_works_in_training_only() -> None:
    block = DenseBlock(dropout=0.9)
    rows = RANDOM.normal(size=(5, 6)).astype("float32")
    assert not np.array_equal(as_array(block(rows, training=True)), as_array(block(rows)))
    np.testing.assert_array_equal(as_array(block(rows, training=False)), as_array(block(rows)))


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (EnsembleDense(4, 3), (None, 2), "`inputs` must have shape (batch, 1 or 3, features)"),
        (EnsembleDense(4, 3), (None, 2, 5), "Received: input_shape=(None, 2, 5)"),
        (DenseBlock(), (None, 2, 5), "`inputs` must have shape (batch, features). Received"),
        (DenseBlock(2), (None, 5), "`inputs` must have shape (batch, members, features)."),
    ],
)
def test_refuses_shapes(layer: Any, shape: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        layer.build(shape)


def test_refuses_arguments() -> None:
    with pytest.raises(ValueError, match="`units` must be an integer of at least 1"):
        EnsembleDense(0, 2)
    with pytest.raises(ValueError, match="`num_members` must be an integer of at least 1"):
        EnsembleDense(2, 0)
    with pytest.raises(ValueError, match="`num_members` must be an integer of at least 1"):
        DenseBlock(0)
    with pytest.raises(ValueError, match=r"`dropout` must be in \[0, 1\)"):
        DenseBlock(dropout=1)
    with pytest.raises(ValueError, match="`hidden_dims` must be a list of integers of at least 1"):
        MLP([])
    with pytest.raises(ValueError, match="`num_members` must be an integer of at least 1"):
        MLP([3], num_members=0)
    with pytest.raises(ValueError, match=r"`dropout` must be in \[0, 1\). Received: dropout=1"):
        MLP([3], dropout=1)
