"""The recurrent encoder against plain NumPy, and its error messages."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.core.spec import FittedGroup
from multimodal.encoders import RecurrentEncoder

IDS = np.array([[3, 4, 1], [2, 0, 0], [0, 0, 0]], "int32")


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gru(x: np.ndarray, keep: np.ndarray, kernel: Any, recurrent: Any, bias: Any) -> np.ndarray:
    """Run Keras' GRU (reset after) over the kept steps of each row; the state waits elsewhere."""
    units = kernel.shape[1] // 3
    state, outputs = np.zeros((len(x), units)), []
    for t in range(x.shape[1]):
        inner = np.split(x[:, t] @ kernel + bias[0], 3, axis=1)
        loop = np.split(state @ recurrent + bias[1], 3, axis=1)
        update, reset = sigmoid(inner[0] + loop[0]), sigmoid(inner[1] + loop[1])
        new = update * state + (1 - update) * np.tanh(inner[2] + reset * loop[2])
        state = np.where(keep[:, t, None], new, state)
        outputs.append(state)
    return np.stack(outputs, axis=1)


def test_both_directions_agree_with_numpy() -> None:
    encoder = RecurrentEncoder(5, 2, embedding_dim=3)
    found = array(encoder(IDS))
    table, *cells = encoder.get_weights()
    x, keep = table[IDS], IDS != 0
    forward = gru(x, keep, *cells[:3])
    backward = gru(x[:, ::-1], keep[:, ::-1], *cells[3:])[:, ::-1]
    expected = np.concatenate([forward, backward], axis=2)
    np.testing.assert_allclose(found[keep], expected[keep], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, 8),
        ({"bidirectional": False}, 4),
        ({"cell": "lstm"}, 8),
        ({"num_layers": 2, "bidirectional": False}, 4),
    ],
)
def test_output_size(options: dict[str, Any], size: int) -> None:
    encoder = RecurrentEncoder(9, 4, **options)
    assert encoder(IDS).shape == (3, 3, size)
    assert encoder.compute_output_shape((None, 7)) == (None, 7, size)
    assert encoder.embedding.embeddings.shape == (9, 32)


def test_order_of_words_counts() -> None:
    encoder = RecurrentEncoder(9, 4, pooling="mean")
    one, other = array(encoder(np.array([[3, 4, 5], [5, 4, 3]])))
    assert np.abs(one - other).max() > 1e-4


def test_dropout_works_in_training_only() -> None:
    encoder = RecurrentEncoder(9, 4, dropout=0.5, pooling="mean")
    np.testing.assert_array_equal(array(encoder(IDS)), array(encoder(IDS)))
    trained = [array(encoder(IDS, training=True)) for _ in range(3)]
    assert any(not np.array_equal(trained[0], other) for other in trained[1:])


def test_fitted_group_decides_the_vocabulary() -> None:
    group = FittedGroup(name="g", modality="text", columns=["t"], vocabulary=["red", "blue"])
    assert RecurrentEncoder.from_group(group) == {"vocabulary_size": 4}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary_size": 0}, "`vocabulary_size` must be an integer of at least 1"),
        ({"hidden_dim": 1.5}, "an integer of at least 1. Received: hidden_dim=1.5"),
        ({"embedding_dim": -1}, "`embedding_dim` must be an integer of at least 1"),
        ({"cell": "gro"}, "`cell` must be one of ['gru', 'lstm']. Received: cell='gro'"),
        ({"num_layers": 0}, "`num_layers` must be an integer of at least 1"),
        ({"dropout": -0.1}, "`dropout` must be in [0, 1). Received: dropout=-0.1"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        RecurrentEncoder(**{"vocabulary_size": 9, **arguments})


@pytest.mark.parametrize("shape", [(4,), (2, 3, 7), (2, 3, 4, 5)])
def test_refuses_inputs(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"embeddings of shape \(batch, length, 32\). Received"):
        RecurrentEncoder(9)(np.zeros(shape, "float32"))


def test_refuses_ids_and_embeddings_of_a_wrong_dtype_in_one_line() -> None:
    with pytest.raises(
        TypeError, match=r"^`inputs` must be int or float\. Received: dtype='bool'$"
    ):
        RecurrentEncoder(9)(np.zeros((2, 3), bool))
    with pytest.raises(TypeError, match=r"^`inputs` must be float\. Received: dtype='int32'$"):
        RecurrentEncoder(9)(np.zeros((2, 3, 32), "int32"))


def test_found_words_start_from_their_vectors() -> None:
    encoder = RecurrentEncoder(4, 2, embedding_dim=3)
    encoder(IDS % 4)
    before = encoder.get_weights()
    matrix = np.arange(12, dtype="float32").reshape(4, 3)
    encoder.load_vectors(matrix, np.array([False, False, True, False]))
    after = encoder.get_weights()
    np.testing.assert_array_equal(after[0][2], matrix[2])
    np.testing.assert_array_equal(after[0][[0, 1, 3]], before[0][[0, 1, 3]])
    encoder.load_vectors(matrix)
    np.testing.assert_array_equal(encoder.get_weights()[0], matrix)


def test_refuses_vectors() -> None:
    encoder = RecurrentEncoder(4, 2, embedding_dim=3)
    with pytest.raises(ValueError, match="needs a built encoder. Call it on a batch first"):
        encoder.load_vectors(np.zeros((4, 3)))
    encoder.build((None, None))
    message = "(vocabulary_size, embedding_dim) = (4, 3). Received: shape=(4, 5)"
    with pytest.raises(ValueError, match=re.escape(message)):
        encoder.load_vectors(np.zeros((4, 5)))
