"""The cross network against plain NumPy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from checks import as_array

from multimodal.encoders import CrossEncoder

ROWS = {
    "numeric": np.array([[1.0, np.nan], [-2.0, 3.0]], "float32"),
    "categorical": np.array([[0, 2], [1, 0]], "int32"),
}


@pytest.mark.parametrize("rank", [None, 2])
def test_agrees_with_numpy(rank: int | None) -> None:
    encoder = CrossEncoder([2, 3], [6, 4], num_layers=3, rank=rank, embedding_dim=3)
    found = as_array(encoder(ROWS))
    assert found.shape == (2, 1, 4)
    table = as_array(encoder.embedding.embeddings)
    codes = ROWS["categorical"] + [0, 2]
    numbers = ROWS["numeric"]
    x0 = np.concatenate([np.nan_to_num(numbers), np.isnan(numbers), *table[codes.T]], axis=1)
    x = deep = x0
    for i, cross in enumerate(encoder.crosses):
        thin = x @ as_array(encoder.thin[i].kernel) if rank else x
        x = x0 * (thin @ as_array(cross.kernel) + as_array(cross.bias)) + x
    for dense in encoder.mlp.layers:
        deep = np.maximum(deep @ as_array(dense.kernel) + as_array(dense.bias), 0)
    joint = np.concatenate([x, deep], axis=1) @ as_array(encoder.joint.kernel)
    np.testing.assert_allclose(found[:, 0], joint + as_array(encoder.joint.bias), atol=1e-5)


def test_a_low_rank_needs_fewer_weights() -> None:
    full, low = CrossEncoder(hidden_dims=[4]), CrossEncoder(hidden_dims=[4], rank=1)
    rows = np.ones((2, 10), "float32")
    full(rows), low(rows)
    assert full.count_params() - low.count_params() == 2 * (20 * 20 - 2 * 20)


def test_dropout_works_in_training_only() -> None:
    encoder = CrossEncoder(hidden_dims=[64], dropout=0.9)
    rows = np.ones((4, 3), "float32")
    still = as_array(encoder(rows))
    np.testing.assert_array_equal(as_array(encoder(rows, training=False)), still)
    assert not np.array_equal(as_array(encoder(rows, training=True)), still)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_dims": []}, "`hidden_dims` must be a list of integers of at least 1"),
        ({"num_layers": 0}, "`num_layers` must be an integer of at least 1"),
        ({"rank": 0}, "`rank` must be an integer of at least 1. Received: rank=0"),
        ({"embedding_dim": 0}, "`embedding_dim` must be an integer of at least 1"),
        ({"numeric_embedding_dim": 0}, "`numeric_embedding_dim` must be an integer of at least 1"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        CrossEncoder(**arguments)
