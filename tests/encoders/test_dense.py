"""The dense encoder against plain NumPy, and its error messages."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from checks import as_array

from multimodal.encoders import DenseEncoder

ROWS = {
    "numeric": np.array([[1.0, np.nan], [-2.0, 3.0]], "float32"),
    "categorical": np.array([[0, 2], [1, 0]], "int32"),
}


def by_hand(encoder: DenseEncoder, rows: dict[str, np.ndarray]) -> np.ndarray:
    """Compute the encoder's vector in NumPy from its weights."""
    table, *layers = encoder.get_weights() if encoder.cardinalities else [None, *encoder.weights]
    parts = []
    if "numeric" in rows:
        parts += [np.nan_to_num(rows["numeric"]), np.isnan(rows["numeric"])]
    for i, codes in enumerate(rows["categorical"].T if "categorical" in rows else ()):
        parts.append(table[sum(encoder.cardinalities[:i]) + codes])
    x = np.concatenate(parts, axis=1)
    for kernel, bias in zip(layers[::2], layers[1::2], strict=True):
        x = np.maximum(x @ as_array(kernel) + as_array(bias), 0)
    return x


@pytest.mark.parametrize("keys", [["numeric"], ["categorical"], ["numeric", "categorical"]])
def test_agrees_with_numpy(keys: list[str]) -> None:
    cardinalities = [2, 3] if "categorical" in keys else []
    rows = {key: ROWS[key] for key in keys}
    encoder = DenseEncoder(cardinalities, [6, 4], embedding_dim=3)
    tokens = encoder(rows)
    assert tokens.shape == (2, 1, 4)
    np.testing.assert_allclose(as_array(tokens)[:, 0], by_hand(encoder, rows), atol=1e-6)


def test_columns_share_one_table_but_no_rows() -> None:
    encoder = DenseEncoder([2, 3], [4], embedding_dim=3)
    encoder({"categorical": ROWS["categorical"]})
    assert encoder.embedding.embeddings.shape == (5, 3)
    assert encoder.count_params() == 5 * 3 + (2 * 3 * 4 + 4)


@pytest.mark.parametrize("dtype", ["int8", "int64", "float32"])
def test_takes_codes_and_numbers_of_any_type(dtype: str) -> None:
    encoder = DenseEncoder([2, 3], [4], pooling="mean")
    rows = {"numeric": np.array([[1, 2], [3, 4]]), "categorical": ROWS["categorical"]}
    expected = encoder(rows)
    found = encoder({key: array.astype(dtype) for key, array in rows.items()})
    np.testing.assert_array_equal(as_array(found), as_array(expected))


def test_one_plain_tensor_stands_for_numeric() -> None:
    encoder = DenseEncoder(hidden_dims=[4], pooling="mean")
    expected = encoder({"numeric": ROWS["numeric"]})
    np.testing.assert_array_equal(as_array(encoder(ROWS["numeric"])), as_array(expected))


def test_years_stay_apart_in_bfloat16() -> None:
    encoder = DenseEncoder(hidden_dims=[1], dropout=0, pooling="mean", dtype="mixed_bfloat16")
    encoder(np.zeros((1, 1), "float32"))
    encoder.set_weights([np.array([[1.0], [0.0]]), np.array([-2010.0])])
    years = np.array([[2013.0], [2016.0]], "float32")
    np.testing.assert_array_equal(as_array(encoder(years)), [[3.0], [6.0]])


def test_dropout_works_in_training_only() -> None:
    encoder = DenseEncoder(hidden_dims=[64], dropout=0.9, pooling="mean")
    rows = np.ones((4, 3), "float32")
    zeros = [float(np.mean(as_array(encoder(rows, training=t)) == 0)) for t in (False, True)]
    assert zeros[1] > zeros[0] + 0.2


def test_blocks_add_to_their_input() -> None:
    encoder = DenseEncoder(hidden_dims=[4], num_blocks=2)
    rows = ROWS["numeric"]
    encoder(rows)
    plain = DenseEncoder(hidden_dims=[4])
    plain(rows)
    plain.set_weights(encoder.get_weights()[:2])
    x = as_array(plain(rows))[:, 0]
    for block in encoder.blocks:
        block.set_weights([each + 0.1 for each in block.get_weights()])
        gamma, beta, expand, expand_bias, contract, contract_bias = block.get_weights()
        moved = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
        hidden = np.maximum((moved * gamma + beta) @ expand + expand_bias, 0)
        x = x + hidden @ contract + contract_bias
    np.testing.assert_allclose(as_array(encoder(rows))[:, 0], x, rtol=1e-5, atol=1e-5)


def test_members_share_kernels_and_differ() -> None:
    one = DenseEncoder(hidden_dims=[32, 16])
    many = DenseEncoder(hidden_dims=[32, 16], num_members=8)
    rows = np.ones((3, 4), "float32")
    assert one(rows).shape == (3, 1, 16) and many(rows).shape == (3, 8, 16)
    own = 8 * (8 + 32 + 32) + 8 * (32 + 16 + 16)
    assert many.count_params() == 8 * 32 + 32 * 16 + own
    tokens = as_array(many(rows))[0]
    assert len(np.unique(tokens, axis=0)) > 1


def test_a_member_alone_is_the_plain_network() -> None:
    many = DenseEncoder(hidden_dims=[6, 4], num_members=3, num_blocks=1)
    plain = DenseEncoder(hidden_dims=[6, 4], num_blocks=1)
    many(ROWS["numeric"]), plain(ROWS["numeric"])
    weights, layers = [], [*many.mlp.layers, many.blocks[0].expand, many.blocks[0].contract]
    for layer in layers:
        kernel, scale_in, scale_out, bias = (as_array(each) for each in layer.weights)
        weights += [scale_in[1][:, None] * kernel * scale_out[1], bias[1]]
    weights[4:4] = many.blocks[0].norm.get_weights()
    plain.set_weights(weights)
    member = as_array(many(ROWS["numeric"]))[:, 1]
    np.testing.assert_allclose(as_array(plain(ROWS["numeric"]))[:, 0], member, atol=1e-5)


def test_embedded_numbers_take_the_place_of_flags() -> None:
    encoder = DenseEncoder(
        hidden_dims=[4], numeric_embedding="linear", numeric_embedding_dim=3, dropout=0
    )
    found = as_array(encoder(ROWS["numeric"]))[:, 0]
    vectors = as_array(encoder.numbers(ROWS["numeric"])).reshape(2, 6)
    kernel, bias = (as_array(each) for each in encoder.mlp.weights)
    np.testing.assert_allclose(found, np.maximum(vectors @ kernel + bias, 0), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_dims": []}, "`hidden_dims` must be a list of integers of at least 1"),
        ({"hidden_dims": 64}, "`hidden_dims` must be a list of integers of at least 1"),
        ({"hidden_dims": [4, 0]}, "Received: hidden_dims=[4, 0]"),
        ({"hidden_dims": "64"}, "Received: hidden_dims='64'"),
        ({"cardinalities": [0]}, "`cardinalities` must be a list of integers of at least 1"),
        ({"embedding_dim": 0}, "`embedding_dim` must be an integer of at least 1"),
        ({"embedding_dim": True}, "Received: embedding_dim=True"),
        ({"embedding_dim": [3]}, "Received: embedding_dim=[3]"),
        ({"numeric_embedding_dim": 0}, "`numeric_embedding_dim` must be an integer of at least 1"),
        ({"num_blocks": -1}, "`num_blocks` must be an integer of at least 0. Received: num_blocks"),
        ({"num_members": 0}, "`num_members` must be an integer of at least 1"),
        ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
        ({"dropout": "half"}, "`dropout` must be in [0, 1). Received: dropout='half'"),
        ({"pooling": "meen"}, "unknown pooling 'meen'. Did you mean 'mean'?"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        DenseEncoder(**arguments)
