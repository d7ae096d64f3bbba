"""The FT-Transformer: its tokens, what it attends to, and its error messages."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from checks import as_array

from multimodal.encoders import FTTransformerEncoder

ROWS = {
    "numeric": np.array([[1.0, np.nan], [-2.0, 3.0]], "float32"),
    "categorical": np.array([[0, 2], [1, 0]], "int32"),
}


def encoder_of(**options: Any) -> FTTransformerEncoder:
    return FTTransformerEncoder([2, 3], 8, **{"num_heads": 2, "mlp_dim": 6, **options})


def test_one_token_per_column() -> None:
    encoder = encoder_of()
    tokens = encoder(ROWS)
    assert tokens.shape == (2, 4, 8)
    numbers = as_array(encoder.numbers(ROWS["numeric"]))
    table = as_array(encoder.embedding.embeddings)
    expected = np.concatenate([numbers, table[ROWS["categorical"] + [0, 2]]], axis=1)
    for block in encoder.blocks:
        expected = as_array(block(expected))
    np.testing.assert_allclose(as_array(encoder.norm(expected)), as_array(tokens), atol=1e-5)


@pytest.mark.parametrize("keys", [["numeric"], ["categorical"]])
def test_one_kind_of_column_alone(keys: list[str]) -> None:
    rows = {key: ROWS[key] for key in keys}
    encoder = FTTransformerEncoder([2, 3] if "categorical" in keys else [], 8, num_heads=2)
    assert encoder(rows).shape == (2, 2, 8)


def test_columns_attend_to_each_other() -> None:
    encoder = encoder_of()
    before = as_array(encoder(ROWS))
    moved = {**ROWS, "categorical": np.array([[1, 2], [1, 0]], "int32")}
    after = as_array(encoder(moved))
    assert (np.abs(before[0] - after[0]).max(axis=-1) > 1e-6).all()
    np.testing.assert_allclose(before[1], after[1], atol=1e-6)


def test_dropout_works_in_training_only() -> None:
    encoder = encoder_of(dropout=0.9)
    still = as_array(encoder(ROWS))
    np.testing.assert_array_equal(as_array(encoder(ROWS, training=False)), still)
    assert not np.array_equal(as_array(encoder(ROWS, training=True)), still)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_dim": 0}, "`hidden_dim` must be an integer of at least 1"),
        ({"num_layers": 0}, "`num_layers` must be an integer of at least 1"),
        ({"num_heads": 3}, "`hidden_dim` must be a multiple of `num_heads`. Received"),
        ({"mlp_dim": 0.5}, "`mlp_dim` must be an integer of at least 1"),
        ({"numeric_embedding": "none"}, "`numeric_embedding` must be one of ['linear', "),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        FTTransformerEncoder(**arguments)
