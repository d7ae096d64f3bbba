"""Fusions by attention: against plain NumPy, and that tokens of one group meet another's."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.fusion import CrossAttentionFusion, TransformerFusion

RANDOM = np.random.default_rng(0)
INPUTS = {
    "text": RANDOM.normal(size=(3, 4, 5)).astype("float32"),
    "photo": RANDOM.normal(size=(3, 2, 3)).astype("float32"),
}
MASK = {"text": np.array([[1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], bool)}


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def normalise(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)


def dense(layer: Any, x: np.ndarray) -> np.ndarray:
    return x @ array(layer.kernel) + array(layer.bias)


def test_latents_look_at_the_tokens_that_count() -> None:
    fusion = CrossAttentionFusion(6, 2, num_latents=3, num_layers=1, dropout=0)
    tokens = RANDOM.normal(size=(2, 5, 6)).astype("float32")
    mask = np.array([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0]], bool)
    fusion(INPUTS)
    latents = RANDOM.normal(size=(2, 3, 6)).astype("float32")
    found = array(fusion._look(0, latents, tokens, keras.ops.convert_to_tensor(mask)))
    query = dense(fusion.queries[0], normalise(latents)).reshape(2, 3, 2, 3)
    key = dense(fusion.keys[0], normalise(tokens)).reshape(2, 5, 2, 3)
    value = dense(fusion.values[0], tokens).reshape(2, 5, 2, 3)
    scores = np.exp(np.einsum("blhd,bthd->bhlt", query, key) / np.sqrt(3)) * mask[:, None, None]
    weights = scores / np.maximum(scores.sum(-1, keepdims=True), 1e-9)
    seen = np.einsum("bhlt,bthd->blhd", weights, value).reshape(2, 3, 6)
    expected = dense(fusion.outputs[0], seen)
    expected[1] = 0  # where no token counts
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_learned_token_comes_out_of_the_transformer() -> None:
    fusion = TransformerFusion(6, 2, num_layers=1, dropout=0)
    found = array(fusion(INPUTS, mask=MASK))
    photo, text = (
        dense(layer, np.where(MASK["text"][..., None], tokens, 0) if name == "text" else tokens)
        for layer, (name, tokens) in zip(fusion.projections, sorted(INPUTS.items()), strict=True)
    )
    summary = np.broadcast_to(array(fusion.summary), (3, 1, 6))
    keep = np.concatenate([np.ones((3, 3), bool), MASK["text"]], axis=1)
    joined = np.concatenate([summary, photo, text], axis=1).astype("float32")
    block = fusion.blocks[0](joined, mask=keras.ops.convert_to_tensor(keep))
    np.testing.assert_allclose(found, normalise(array(block)[:, 0]), atol=1e-4)


@pytest.mark.parametrize("cls", [TransformerFusion, CrossAttentionFusion])
def test_what_one_group_does_depends_on_the_other(cls: Any) -> None:
    fusion = cls(8, 2)
    changed = {"text": INPUTS["text"] + 1, "photo": INPUTS["photo"] * 2}

    def fused(*names: str) -> np.ndarray:
        return array(fusion({**INPUTS, **{name: changed[name] for name in names}}))

    interaction = fused("text", "photo") - fused("text") - fused("photo") + fused()
    assert np.abs(interaction).max() > 1e-3


def test_number_of_latents_is_checked() -> None:
    message = "`num_latents` must be an integer of at least 1. Received: num_latents=0"
    with pytest.raises(ValueError, match=re.escape(message)):
        CrossAttentionFusion(num_latents=0)
