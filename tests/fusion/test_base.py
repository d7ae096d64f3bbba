"""What all fusions share: missing vectors, modality dropout, checks, contributions of a layer."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.fusion import ConcatFusion, LateFusion, TransformerFusion
from multimodal.fusion.base import Fusion
from multimodal.layers import registry

RANDOM = np.random.default_rng(0)
VECTORS = {name: RANDOM.normal(size=(6, 2)).astype("float32") for name in ("a", "b", "c")}
THERE = {"a": np.array([True, False] * 3)}


class SumFusion(Fusion):
    """The smallest fusion: the sum of the groups' vectors."""

    def fuse(self, inputs: Any, keep: Any, mask: Any, training: bool | None) -> Any:
        return sum(self.fill(inputs, keep))

    def output_dim(self) -> int:
        return 2


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def test_a_small_fusion_gets_the_rest_for_nothing() -> None:
    fusion = SumFusion()
    expected = VECTORS["b"] + VECTORS["c"] + np.where(THERE["a"][:, None], VECTORS["a"], 0)
    np.testing.assert_allclose(array(fusion(VECTORS, THERE)), expected, atol=1e-6)
    assert fusion.groups == ["a", "b", "c"] and list(fusion.missing) == ["a"]
    fusion.missing["a"].assign([1.0, 2.0])
    change = np.where(THERE["a"][:, None], 0, [1.0, 2.0])
    np.testing.assert_allclose(array(fusion(VECTORS, THERE)), expected + change, atol=1e-6)


def test_modality_dropout_takes_groups_out_and_leaves_one() -> None:
    fusion = SumFusion(modality_dropout=0.6, seed=1)
    ones = {name: np.eye(2, dtype="float32")[[i % 2] * 500] for i, name in enumerate("ab")}
    totals = array(fusion(ones, training=True)).sum(axis=1)
    assert set(totals) == {1.0, 2.0}
    np.testing.assert_array_equal(array(fusion(ones)).sum(axis=1), 2)


@pytest.mark.parametrize("kind", [None, "_keras_mask", "argument"])
def test_masks_come_from_the_tokens_or_the_argument(kind: str | None) -> None:
    fusion = TransformerFusion(4, 1, num_layers=1, mlp_dim=4)
    tokens = keras.ops.convert_to_tensor(RANDOM.normal(size=(2, 3, 2)).astype("float32"))
    keep = keras.ops.convert_to_tensor(np.array([[1, 0, 0], [1, 1, 0]], bool))
    expected = array(fusion({"t": tokens}, mask={"t": keep}))
    if kind == "_keras_mask":
        tokens._keras_mask = keep
    given = {"mask": {"t": keep}} if kind == "argument" else {}
    found = array(fusion({"t": tokens}, **given))
    assert np.allclose(found, expected, atol=1e-6) == (kind is not None)


def test_masks_pass_through_functional_models_beside_presence() -> None:
    words, there = keras.Input((None,), dtype="int32"), keras.Input((), dtype="bool")
    tokens = keras.layers.Embedding(9, 4, mask_zero=True)(words)
    fusion = TransformerFusion(4, 1, num_layers=1, mlp_dim=4)
    model = keras.Model([words, there], fusion({"t": tokens}, presence={"t": there}))
    assert getattr(model.output, "_keras_mask", None) is None
    ids, yes = np.array([[3, 4, 0], [5, 0, 0]], "int32"), np.array([True, True])
    longer = np.pad(ids, ((0, 0), (0, 4)))
    np.testing.assert_allclose(array(model([longer, yes])), array(model([ids, yes])), atol=1e-5)
    model.compile("sgd", "mse", jit_compile=False)
    for batch in (ids, longer):  # one graph for every length
        assert np.isfinite(model.train_on_batch([batch, yes], np.ones((2, 4), "float32")))


def test_presence_after_build_is_for_groups_that_learned_to_be_absent() -> None:
    fusion = ConcatFusion([3])
    fusion(VECTORS)
    message = "`presence` must name groups that can be absent since the fusion was built, []. "
    with pytest.raises(ValueError, match=re.escape(message)):
        fusion(VECTORS, presence=THERE)
    late = LateFusion([3])
    late(VECTORS)
    late(VECTORS, presence=THERE)  # leaves a group out, so needs nothing learned


def test_a_subclass_must_write() -> None:
    for name in ("fuse", "output_dim"):
        with pytest.raises(NotImplementedError):
            getattr(Fusion(), name)(*[None] * (4 if name == "fuse" else 0))


# Contributions


def test_contributions_of_a_sum_are_the_vectors_themselves() -> None:
    fusion = SumFusion()
    found = fusion.contributions(VECTORS, output=lambda v: v, background={"inputs": VECTORS})
    for name, vectors in VECTORS.items():
        expected = vectors - vectors.mean(axis=0)
        np.testing.assert_allclose(array(found[name]), expected, atol=1e-5)


@pytest.mark.parametrize("name", registry.names("fusion"))
def test_contributions_add_up(name: str) -> None:
    keras.utils.set_random_seed(0)
    cls = registry.get("fusion", name)
    fusion, head = cls(), keras.layers.Dense(2)
    other = {g: RANDOM.normal(size=(5, 2)).astype("float32") for g in VECTORS}
    background = {"inputs": other, "presence": {"a": np.array([False] + [True] * 4)}}
    found = fusion.contributions(VECTORS, THERE, output=lambda v: head(v), background=background)
    total = sum(array(each) for each in found.values())
    outputs, base = (array(head(fusion(*rows))) for rows in ((VECTORS, THERE), background.values()))
    np.testing.assert_allclose(total, outputs - base.mean(axis=0), atol=1e-4)


def test_texts_of_different_lengths_are_compared() -> None:
    fusion = TransformerFusion(4, 1, num_layers=1, mlp_dim=4)
    short, long = (
        {"t": RANDOM.normal(size=(3, n, 2)).astype("float32"), "v": VECTORS["a"][:3]}
        for n in (2, 5)
    )
    found = fusion.contributions(short, output=lambda v: v, background={"inputs": long})
    total = sum(array(each) for each in found.values())
    expected = array(fusion(short)) - array(fusion(long)).mean(axis=0)
    np.testing.assert_allclose(total, expected, atol=1e-5)


@pytest.mark.parametrize("name", registry.names("fusion"))
def test_the_planted_cause_ranks_first(name: str) -> None:
    """One model of three targets: what only one group decides is laid to that group."""
    random = np.random.default_rng(0)
    rows = {g: random.normal(size=(256, 2)).astype("float32") for g in VECTORS}
    targets = np.stack([rows[g][:, 0] - 0.5 * rows[g][:, 1] for g in VECTORS], axis=1)
    cls = registry.get("fusion", name)
    small = {"hidden_dims": [16], "hidden_dim": 16, "num_heads": 2, "num_layers": 1, "mlp_dim": 16}
    fusion = cls(**{each: small[each] for each in registry.options(cls) if each in small})
    groups = {g: keras.Input((2,), name=g) for g in VECTORS}
    head = keras.layers.Dense(3)
    model = keras.Model(groups, head(fusion(groups)))
    model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=False)
    model.fit(rows, targets, batch_size=32, epochs=8, verbose=0)
    some = {g: vectors[:48] for g, vectors in rows.items()}
    found = fusion.contributions(some, output=lambda v: head(v))
    sizes = np.abs(np.stack([array(found[g]) for g in VECTORS]))  # by group, row and target
    for cause in range(3):
        assert sizes[:, :, cause].mean(axis=1).argmax() == cause
        assert (sizes[:, :, cause].argmax(axis=0) == cause).mean() > 0.8
