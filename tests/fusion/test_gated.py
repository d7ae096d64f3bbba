"""Gated fusion: its sum and its weights against plain NumPy, reading the weights, messages."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.fusion import GatedFusion

RANDOM = np.random.default_rng(0)
VECTORS = {
    "text": RANDOM.normal(size=(4, 2)).astype("float32"),
    "table": RANDOM.normal(size=(4, 3)).astype("float32"),
}
THERE = {"text": np.array([True, False, True, False])}


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_agrees_with_numpy(activation: str) -> None:
    fusion = GatedFusion(5, activation=activation)
    found = array(fusion(VECTORS, THERE))
    text = np.where(THERE["text"][:, None], VECTORS["text"], 0)
    joined = np.concatenate([VECTORS["table"], text], axis=1)
    scores = joined @ array(fusion.score.kernel) + array(fusion.score.bias)
    there = np.stack([np.ones(4, bool), THERE["text"]], axis=1)
    if activation == "softmax":
        gates = np.exp(scores) * there / (np.exp(scores) * there).sum(axis=1, keepdims=True)
    else:
        gates = there / (1 + np.exp(-scores))
    hidden = [
        np.tanh(vectors @ array(dense.kernel) + array(dense.bias))
        for dense, vectors in zip(fusion.hidden, (VECTORS["table"], text), strict=True)
    ]
    expected = gates[:, :1] * hidden[0] + gates[:, 1:] * hidden[1]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(array(fusion.gates(VECTORS, THERE)), gates, atol=1e-5)


def test_an_absent_group_has_no_weight() -> None:
    fusion, nowhere = GatedFusion(5), np.zeros(4, bool)
    fusion(VECTORS)
    assert (array(fusion.gates(VECTORS, {"text": nowhere})) == [1, 0]).all()
    assert not array(fusion.gates(VECTORS, {"text": nowhere, "table": nowhere})).any()
    assert not array(fusion(VECTORS, {"text": nowhere, "table": nowhere})).any()


def test_gates_follow_a_call() -> None:
    with pytest.raises(ValueError, match="`gates` must follow a call of the fusion"):
        GatedFusion(5).gates(VECTORS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_dim": 0}, "`hidden_dim` must be an integer of at least 1"),
        ({"activation": "tanh"}, "`activation` must be one of ['softmax', 'sigmoid']."),
        ({"dropout": 1}, "`dropout` must be in [0, 1)"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        GatedFusion(**arguments)
