"""The dense encoder against plain NumPy, and its error messages."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.encoders import DenseEncoder
from multimodal.spec import CategoricalColumn, FittedGroup, NumericColumn

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
        x = np.maximum(x @ np.array(kernel) + np.array(bias), 0)
    return x


@pytest.mark.parametrize("keys", [["numeric"], ["categorical"], ["numeric", "categorical"]])
def test_agrees_with_numpy(keys: list[str]) -> None:
    cardinalities = [2, 3] if "categorical" in keys else []
    rows = {key: ROWS[key] for key in keys}
    encoder = DenseEncoder(cardinalities, [6, 4], embedding_dim=3)
    tokens = encoder(rows)
    assert tokens.shape == (2, 1, 4)
    np.testing.assert_allclose(np.array(tokens)[:, 0], by_hand(encoder, rows), atol=1e-6)


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
    np.testing.assert_array_equal(np.array(found), np.array(expected))


def test_one_plain_tensor_stands_for_numeric() -> None:
    encoder = DenseEncoder(hidden_dims=[4], pooling="mean")
    expected = encoder({"numeric": ROWS["numeric"]})
    np.testing.assert_array_equal(np.array(encoder(ROWS["numeric"])), np.array(expected))


def test_years_stay_apart_in_bfloat16() -> None:
    encoder = DenseEncoder(hidden_dims=[1], dropout=0, pooling="mean", dtype="mixed_bfloat16")
    encoder(np.zeros((1, 1), "float32"))
    encoder.set_weights([np.array([[1.0], [0.0]]), np.array([-2010.0])])
    years = np.array([[2013.0], [2016.0]], "float32")
    found = keras.ops.cast(encoder(years), "float32")
    np.testing.assert_array_equal(np.array(found), [[3.0], [6.0]])


def test_dropout_works_in_training_only() -> None:
    encoder = DenseEncoder(hidden_dims=[64], dropout=0.9, pooling="mean")
    rows = np.ones((4, 3), "float32")
    zeros = [float(np.mean(np.array(encoder(rows, training=t)) == 0)) for t in (False, True)]
    assert zeros[1] > zeros[0] + 0.2


def test_fitted_group_decides_cardinalities() -> None:
    columns = [
        CategoricalColumn(name="a", source="a", categories=["x"]),
        CategoricalColumn(name="b", source="b", categories=["x", "y", "z"]),
    ]
    group = FittedGroup(
        name="g",
        modality="tabular",
        columns=["a", "b"],
        numeric=[NumericColumn(name="n", source="n")],
        categorical=columns,
    )
    assert DenseEncoder.from_group(group) == {"cardinalities": [3, 5]}


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
        ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
        ({"dropout": "half"}, "`dropout` must be in [0, 1). Received: dropout='half'"),
        ({"pooling": "meen"}, "unknown pooling 'meen'. Did you mean 'mean'?"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        DenseEncoder(**arguments)


@pytest.mark.parametrize(
    ("cardinalities", "rows", "message"),
    [
        ([3], ROWS, "`cardinalities` must have one entry per categorical column. Received: 1"),
        ([3], ROWS["numeric"], "one entry per categorical column"),
        ([], {"numbers": ROWS["numeric"]}, "a dict with `numeric` and/or `categorical`"),
    ],
)
def test_refuses_inputs(cardinalities: list[int], rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        DenseEncoder(cardinalities)(rows)
