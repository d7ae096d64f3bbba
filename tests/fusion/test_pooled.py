"""Fusions by dense layers against plain NumPy: presence, modality dropout, error messages."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.fusion import ConcatFusion, LateFusion

VECTORS = {
    "text": np.random.default_rng(0).normal(size=(3, 2)).astype("float32"),
    "table": np.random.default_rng(1).normal(size=(3, 4)).astype("float32"),
}
THERE = {"text": np.array([True, False, True])}


def test_agrees_with_numpy_and_fills_absent_groups() -> None:
    fusion = ConcatFusion([5], dropout=0)
    fusion(VECTORS, presence=THERE)
    fusion.missing["text"].assign([7.0, -8.0])
    found = keras.ops.convert_to_numpy(fusion(VECTORS, presence=THERE))
    text = np.where(THERE["text"][:, None], VECTORS["text"], [7.0, -8.0])
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in fusion.mlp.weights)
    expected = np.maximum(np.concatenate([VECTORS["table"], text], axis=1) @ kernel + bias, 0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def array(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def test_members_are_averaged_and_the_same_as_one_where_they_do_not_differ() -> None:
    one, many = ConcatFusion([5, 3], dropout=0), ConcatFusion([5, 3], num_members=4, dropout=0)
    one(VECTORS), many(VECTORS)
    assert len(np.unique(array(many.mlp.layers[0].scale_in), axis=0)) > 1
    weights = iter(one.mlp.get_weights())
    for layer in many.mlp.layers:
        kernel, scale_in, scale_out, bias = layer.get_weights()
        ones = np.ones_like(scale_in), np.ones_like(scale_out)
        layer.set_weights([next(weights), *ones, np.tile(next(weights), (len(bias), 1))])
    np.testing.assert_allclose(array(many(VECTORS)), array(one(VECTORS)), atol=1e-5)
    bias = many.mlp.layers[-1].bias
    bias.assign(array(bias) + 10)  # so that each ReLU passes all
    before = array(many(VECTORS))
    bias.assign(array(bias) + np.array([[4.0], [0.0], [0.0], [0.0]]))  # one of four is 4 higher
    np.testing.assert_allclose(array(many(VECTORS)), before + 1, atol=1e-4)


@pytest.mark.parametrize(
    ("presence", "modality_dropout", "learned"),
    [(None, 0, []), ({}, 0, []), (THERE, 0, ["text"]), (None, 0.5, ["table", "text"])],
)
def test_only_groups_that_can_be_absent_learn_a_vector(
    presence: Any, modality_dropout: float, learned: list[str]
) -> None:
    fusion = ConcatFusion([5], modality_dropout=modality_dropout)
    fusion(VECTORS, presence=presence)
    assert sorted(fusion.missing) == learned


def kept_groups(presence: Any, rate: float) -> np.ndarray:
    """Return which groups of many rows modality dropout keeps, bool (rows, groups)."""
    rows = 4000
    vectors = {name: np.ones((rows, 1), "float32") for name in ("a", "b", "c")}
    fusion = ConcatFusion([3], dropout=0, modality_dropout=rate, seed=0)
    fusion(vectors, presence=presence)
    fusion.mlp.set_weights([np.eye(3), np.zeros(3)])
    return keras.ops.convert_to_numpy(fusion(vectors, presence=presence, training=True)) > 0


def test_modality_dropout_withholds_at_its_rate_and_never_everything() -> None:
    kept = kept_groups(None, 0.5)
    assert kept.any(axis=1).all()
    # all three were drawn in 1/8 of the rows, which then keep all
    np.testing.assert_allclose(kept.mean(axis=0), 0.5 + 0.125, atol=0.03)


def test_modality_dropout_brings_no_absent_group_back() -> None:
    there = np.arange(4000) % 2 == 0
    kept = kept_groups({"a": there, "b": np.zeros(4000, bool)}, 0.4)
    assert not kept[~there, 0].any() and not kept[:, 1].any()
    assert kept.any(axis=1).all()


def test_modality_dropout_works_in_training_only() -> None:
    fusion = ConcatFusion([5], modality_dropout=0.9, dropout=0)
    fusion(VECTORS)
    before = keras.ops.convert_to_numpy(fusion(VECTORS))
    found = keras.ops.convert_to_numpy(fusion(VECTORS, training=False))
    np.testing.assert_array_equal(found, before)


def test_late_fusion_with_a_linear_head_is_the_mean_of_one_head_per_group() -> None:
    fusion, head = LateFusion([5], dropout=0), keras.layers.Dense(1)
    found = keras.ops.convert_to_numpy(head(fusion(VECTORS, presence=THERE)))
    table, text = (  # one model per group: the group's layers and the same head
        keras.ops.convert_to_numpy(head(mlp(VECTORS[group])))
        for mlp, group in zip(fusion.mlps, fusion.groups, strict=True)
    )
    expected = np.where(THERE["text"][:, None], (table + text) / 2, table)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_late_fusion_of_nothing_is_zeros() -> None:
    fusion, nowhere = LateFusion([5]), np.zeros(3, bool)
    found = fusion(VECTORS, presence={"text": nowhere, "table": nowhere})
    assert not keras.ops.convert_to_numpy(found).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_dims": [0]}, "`hidden_dims` must be a list of integers of at least 1"),
        ({"dropout": 1}, "`dropout` must be in [0, 1)"),
        ({"modality_dropout": 1}, "must be in [0, 1). Received: modality_dropout=1"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ConcatFusion(**arguments)


@pytest.mark.parametrize(
    ("inputs", "presence", "message"),
    [
        (VECTORS["text"], None, "`inputs` must be a dict of group name -> vector"),
        (VECTORS, {"photo": THERE["text"]}, "`presence` must name groups of `inputs`"),
    ],
)
def test_refuses_inputs(inputs: Any, presence: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ConcatFusion()(inputs, presence=presence)
