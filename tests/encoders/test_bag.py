"""The bag of embeddings against plain NumPy."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.encoders import EmbeddingBagEncoder

IDS = np.array([[3, 4, 1], [2, 0, 0], [0, 0, 0]], "int32")


def values(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def test_the_mean_bag_is_the_mean_of_the_words() -> None:
    encoder = EmbeddingBagEncoder(5, 4, pooling="mean")
    found = values(encoder(IDS))
    table = encoder.get_weights()[0]
    expected = [table[[3, 4, 1]].mean(axis=0), table[2], np.zeros(4)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_factors_start_at_one_and_multiply() -> None:
    plain, weighted = EmbeddingBagEncoder(5, 4), EmbeddingBagEncoder(5, 4, weighted=True)
    plain(IDS), weighted(IDS)
    plain.set_weights(weighted.get_weights()[:1])
    np.testing.assert_array_equal(values(weighted(IDS)), values(plain(IDS)))
    factors = np.arange(5, dtype="float32")[:, None]
    weighted.set_weights([weighted.get_weights()[0], factors])
    np.testing.assert_allclose(values(weighted(IDS)), values(plain(IDS)) * factors[IDS], atol=1e-6)


def test_dense_layers_see_each_word_alone() -> None:
    encoder = EmbeddingBagEncoder(5, 4, hidden_dims=[3])
    found = values(encoder(IDS))
    table, kernel, bias = encoder.get_weights()
    np.testing.assert_allclose(found, np.maximum(table[IDS] @ kernel + bias, 0), atol=1e-6)


def test_order_is_nothing() -> None:
    encoder = EmbeddingBagEncoder(9, 4, pooling="mean")
    one, other = values(encoder(np.array([[3, 4, 5], [5, 4, 3]])))
    np.testing.assert_allclose(one, other, atol=1e-7)


def test_dropout_leaves_out_whole_words() -> None:
    encoder = EmbeddingBagEncoder(9, 4, dropout=0.5)
    found = values(encoder(np.full((50, 4), 3), training=True))
    gone = found == 0
    np.testing.assert_array_equal(gone.all(axis=2), gone.any(axis=2))
    assert 0.3 < gone.mean() < 0.7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary_size": 0}, "`vocabulary_size` must be an integer of at least 1"),
        ({"embedding_dim": 0}, "`embedding_dim` must be an integer of at least 1"),
        ({"hidden_dims": [0]}, "`hidden_dims` must be a list of integers of at least 1"),
        ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        EmbeddingBagEncoder(**{"vocabulary_size": 9, **arguments})
