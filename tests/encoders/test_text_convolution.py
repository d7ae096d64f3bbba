"""The convolutional text encoder against plain NumPy."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.encoders import ConvolutionalTextEncoder

IDS = np.array([[3, 4, 1, 2], [2, 3, 0, 0]], "int32")


def values(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def same(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolve one text `(L, E)`: kernel tap i sees the word i - (size - 1) // 2 places on."""
    size, length = len(kernel), len(x)
    left = (size - 1) // 2
    padded = np.pad(x, ((left, size - 1 - left), (0, 0)))
    return np.maximum(sum(padded[i : i + length] @ kernel[i] for i in range(size)) + bias, 0)


def test_stacked_parallel_kernels_agree_with_numpy_on_the_words_alone() -> None:
    encoder = ConvolutionalTextEncoder(5, 3, embedding_dim=2, kernel_sizes=[2, 3], num_layers=2)
    found = values(encoder(IDS))
    table, *layers = encoder.get_weights()
    for row, ids in enumerate(IDS):
        x = table[ids[ids != 0]]
        for i in (0, 4):
            x = np.concatenate([same(x, *layers[i : i + 2]), same(x, *layers[i + 2 : i + 4])], 1)
        np.testing.assert_allclose(found[row, : len(x)], x, atol=1e-6)


def test_padding_does_not_leak_whatever_it_holds() -> None:
    encoder = ConvolutionalTextEncoder(5, 3, embedding_dim=2, num_layers=2, pooling="max")
    words, keep = values(encoder(IDS) * 0).shape, IDS != 0
    assert words == (2, 9)
    vectors = values(encoder.embed(IDS))
    noisy = np.where(keep[..., None], vectors, np.float32(np.nan))
    np.testing.assert_allclose(
        values(encoder(noisy, mask=keep)), values(encoder(vectors, mask=keep)), atol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "`filters` must be an integer of at least 1"),
        ({"kernel_sizes": []}, "`kernel_sizes` must be a list of integers of at least 1"),
        ({"num_layers": 0}, "`num_layers` must be an integer of at least 1"),
        ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ConvolutionalTextEncoder(9, **arguments)
