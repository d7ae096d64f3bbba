"""The transformer text encoder: positions, padding, and its error messages."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.encoders import TransformerTextEncoder

IDS = np.array([[3, 4, 1, 2], [2, 3, 0, 0]], "int32")


def values(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_order_of_words_counts(positions: str) -> None:
    encoder = TransformerTextEncoder(9, 8, positions=positions, pooling="mean")
    one, other = values(encoder(np.array([[3, 4, 5], [4, 3, 5]])))
    assert np.abs(one - other).max() > 1e-4


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_padding_is_not_attended_whatever_it_holds(positions: str) -> None:
    encoder = TransformerTextEncoder(9, 8, positions=positions, pooling="mean")
    encoder(IDS)
    vectors, keep = values(encoder.embed(IDS)), IDS != 0
    noisy = np.where(keep[..., None], vectors, np.float32(np.nan))
    np.testing.assert_allclose(values(encoder(noisy, mask=keep)), values(encoder(IDS)), atol=1e-6)


def test_tokens_are_normalised_last() -> None:
    tokens = values(TransformerTextEncoder(9, 8)(IDS))
    np.testing.assert_allclose(tokens.mean(axis=2), 0, atol=1e-5)
    np.testing.assert_allclose(tokens.std(axis=2), 1, atol=1e-3)


def test_learned_places_are_added_and_the_last_one_is_shared_behind_it() -> None:
    encoder = TransformerTextEncoder(9, 8, positions="learned", max_length=2, num_layers=1)
    found = values(encoder(np.array([[5, 5, 5, 5]])))
    np.testing.assert_allclose(found[0, 1], found[0, 3], atol=1e-6)
    assert np.abs(found[0, 0] - found[0, 1]).max() > 1e-4
    assert encoder.places.embeddings.shape == (2, 8)
    encoder.places.embeddings.assign(np.zeros((2, 8)))
    found = values(encoder(np.array([[5, 5, 5, 5]])))
    np.testing.assert_allclose(found[0, 0], found[0, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_layers": 0}, "`num_layers` must be an integer of at least 1"),
        ({"num_heads": 0}, "`num_heads` must be an integer of at least 1"),
        ({"mlp_dim": 0}, "`mlp_dim` must be an integer of at least 1"),
        ({"positions": "sine"}, "`positions` must be one of ['rotary', 'learned']. Received"),
        ({"max_length": 0}, "`max_length` must be an integer of at least 1"),
        ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
        ({"embedding_dim": 12}, "`embedding_dim` must be a multiple of 8 with num_heads=4 and"),
        ({"embedding_dim": 6, "positions": "learned"}, "`embedding_dim` must be a multiple of 4"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TransformerTextEncoder(9, **arguments)
