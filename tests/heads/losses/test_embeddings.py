"""Contrastive and triplet loss against plain NumPy."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.heads.losses import ContrastiveLoss, TripletLoss, pairwise_distances, relations

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(7, 3)).astype("float32")
IDS = np.array([0, 0, 1, 1, 1, 2, 0])


def number(tensor: Any) -> float:
    return float(keras.ops.convert_to_numpy(tensor))


def triplet_by_hand(ids: np.ndarray, margin: float) -> np.ndarray:
    d = np.linalg.norm(POINTS[:, None] - POINTS[None], axis=-1)
    rows = []
    for i, own in enumerate(ids):
        match = [d[i, j] for j in range(len(ids)) if j != i and ids[j] == own >= 0]
        other = [d[i, j] for j in range(len(ids)) if ids[j] != own and ids[j] >= 0 <= own]
        rows.append(max(max(match) - min(other) + margin, 0) if match and other else 0)
    return np.array(rows)


def test_contrastive() -> None:
    distance = np.array([[0.3], [0.3], [2.5]], "float32")
    loss = ContrastiveLoss(margin=1.5, reduction=None)
    found = keras.ops.convert_to_numpy(loss(np.array([1, 0, 0]), distance))
    np.testing.assert_allclose(found, [0.09, 1.44, 0], rtol=1e-5)
    assert loss.get_config()["margin"] == 1.5


def test_triplet() -> None:
    expected = triplet_by_hand(IDS, 0.4)
    assert expected[5] == 0 and expected.max() > 0
    found = keras.ops.convert_to_numpy(TripletLoss(0.4, reduction=None)(IDS, POINTS))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_rows_without_an_id_are_neither_match_nor_other() -> None:
    weights = np.array([1, 1, 1, 0, 1, 1, 0], "float32")
    ids = np.where(weights > 0, IDS, -1)
    expected = (triplet_by_hand(ids, 0.4) * weights).sum() / weights.sum()
    assert number(TripletLoss(0.4)(IDS, POINTS, weights)) == pytest.approx(expected, rel=1e-5)


def test_relations_and_distances() -> None:
    match, other = (keras.ops.convert_to_numpy(each) for each in relations(np.array([0, 0, 1, -1])))
    assert match.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4]
    assert other.tolist() == [[0, 0, 1, 0], [0, 0, 1, 0], [1, 1, 0, 0], [0] * 4]
    found = keras.ops.convert_to_numpy(pairwise_distances(POINTS))
    expected = np.linalg.norm(POINTS[:, None] - POINTS[None], axis=-1)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_equal_embeddings_have_a_finite_gradient() -> None:
    dense = keras.layers.Dense(3)
    model = keras.Sequential([keras.Input((2,)), dense])
    model.compile("sgd", TripletLoss(), jit_compile=keras.backend.backend() == "jax")
    model.train_on_batch(np.ones((4, 2), "float32"), np.array([0, 0, 1, 1]))
    assert all(np.isfinite(weight).all() for weight in dense.get_weights())


@pytest.mark.parametrize("loss", [ContrastiveLoss, TripletLoss])
def test_refuses_a_margin(loss: Any) -> None:
    message = "`margin` must be greater than 0. Received: margin=0"
    with pytest.raises(ValueError, match=re.escape(message)):
        loss(margin=0)
