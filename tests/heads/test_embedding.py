"""Embeddings: of length 1, learned from ids or from pairs by a shared encoder."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.heads import EmbeddingHead, PairDistance
from multimodal.heads.losses import ContrastiveLoss
from multimodal.heads.metrics import PairAccuracy

RANDOM = np.random.default_rng(0)
ITEMS = RANDOM.normal(size=(8, 6))


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def views(ids: np.ndarray) -> np.ndarray:
    """Two numbers say which item it is, drowned in four that say nothing."""
    noise = RANDOM.normal(size=(len(ids), 6)) * [0.1, 0.1, 4, 4, 4, 4]
    return (ITEMS[ids] * [3, 3, 0, 0, 0, 0] + noise).astype("float32")


def test_embeddings_have_length_one() -> None:
    head = EmbeddingHead(5)
    found = array(head.decode(head(RANDOM.normal(0, 9, (20, 3)).astype("float32"))))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert np.isfinite(array(head(np.zeros((2, 3), "float32")))).all()


def test_learns_from_ids() -> None:
    ids = np.repeat(np.arange(8), 16)
    RANDOM.shuffle(ids)
    head = EmbeddingHead(4, margin=0.5)
    hidden = keras.layers.Dense(32, activation="relu")
    model = keras.Sequential([keras.Input((6,)), hidden, head])
    model.compile(
        keras.optimizers.Adam(0.01),
        head.make_loss(),
        weighted_metrics=head.make_metrics(),
        jit_compile=keras.backend.backend() == "jax",
    )
    x = views(ids)
    before = model.evaluate(x, ids, batch_size=64, verbose=0)[1]
    model.fit(x, ids, epochs=60, batch_size=64, verbose=0)
    assert model.evaluate(x, ids, batch_size=64, verbose=0)[1] > max(0.8, before + 0.2)
    assert array(model(x)).std(axis=0).min() > 0.05, "all embeddings fell together"


def siamese() -> keras.Model:
    """One encoder and one head, called once for each side."""
    encoder = keras.layers.Dense(32, activation="relu", name="encoder")
    head = EmbeddingHead(4, name="embedding")
    first, second = keras.Input((6,), name="first"), keras.Input((6,), name="second")
    distance = PairDistance(name="distance")([head(encoder(first)), head(encoder(second))])
    model = keras.Model([first, second], distance)
    model.compile(
        keras.optimizers.Adam(0.02),
        ContrastiveLoss(),
        weighted_metrics=[PairAccuracy()],
        jit_compile=keras.backend.backend() == "jax",
    )
    return model


def test_learns_from_pairs(tmp_path: Any) -> None:
    model = siamese()
    assert len(model.trainable_weights) == 4, "both sides share their weights"
    first = RANDOM.integers(0, 8, 512)
    second = np.where(RANDOM.random(512) < 0.5, first, RANDOM.integers(0, 8, 512))
    pairs, same = [views(first), views(second)], (first == second).astype("float32")
    model.fit(pairs, same, epochs=15, batch_size=64, verbose=0)
    fresh = [views(first), views(second)]
    found = model.evaluate(fresh, same, verbose=0)[1]
    assert found > 0.85 > max(same.mean(), 1 - same.mean()) + 0.1
    model.save(tmp_path / "siamese.keras")
    again = keras.models.load_model(tmp_path / "siamese.keras")
    np.testing.assert_allclose(array(again(fresh)), array(model(fresh)), atol=1e-6)
    assert again.evaluate(fresh, same, verbose=0)[1] == found


def test_distance() -> None:
    first = np.array([[0.0, 0.0], [1.0, 2.0]], "float32")
    found = array(PairDistance()([first, np.array([[3.0, 4.0], [1.0, 2.0]], "float32")]))
    np.testing.assert_allclose(found, [[5], [0]], atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: EmbeddingHead(0),
            "`embedding_dim` must be an integer of at least 1. Received: embedding_dim=0",
        ),
        (
            lambda: EmbeddingHead(margin=0),
            "`margin` must be greater than 0. Received: margin=0",
        ),
        (
            lambda: PairDistance()(np.zeros((2, 2), "float32")),
            "`inputs` must be a list of two tensors. Received: <class 'numpy.ndarray'>",
        ),
        (
            lambda: PairDistance()([np.zeros((2, 2, 2)), np.zeros((2, 2))]),
            "`inputs` must have shape (batch, features). Received: shape=(2, 2, 2)",
        ),
        (
            lambda: PairDistance()([np.zeros((2, 2)), np.zeros((2, 3))]),
            "`inputs` must be of equal size. Received: input_shape=((2, 2), (2, 3))",
        ),
    ],
)
def test_refuses(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
