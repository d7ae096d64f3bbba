"""Submodels compute what the model does; many rows are encoded in their order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explained import submodels_on, untrained_on
from keras import tree
from tiny import tiny_config

from multimodal.explain import submodels
from multimodal.explain.attribution import make_submodels, raw_outputs
from multimodal.explain.kernels import KernelSubmodel
from multimodal.explain.submodels import (
    HeadSubmodels,
    baseline_input,
    contribution_vectors,
    encode_rows,
    floats,
    fused_vectors,
    take,
    whole_inputs,
)
from multimodal.layers.kernel_regression import KernelRegression


@pytest.mark.parametrize(("count", "linear"), [(1, False), (3, False), (1, True), (2, True)])
def test_submodels_say_what_the_model_does(
    catalogue_folder: Path, count: int, linear: bool
) -> None:
    run, rows, whole, arrays = submodels_on(catalogue_folder, count, linear, 1)
    row = whole.encode(arrays, rows)
    wanted = np.asarray(run.model(arrays.inputs, training=False)["price"])
    np.testing.assert_allclose(whole.raw(row), wanted, rtol=1e-4, atol=1e-4)
    assert (whole.linear is not None) == linear
    stacking_weights = whole.stacking_weights([2.0])
    assert bool(stacking_weights) == linear
    if stacking_weights:
        shares = np.asarray(run.model.get_layer("price").shares)[:, 0]
        assert [*stacking_weights.values()] == pytest.approx([*shares])
    assert whole.fused(row).shape == (8 * count,)
    empty = whole.encode(baseline_input(arrays, run.spec), rows, baseline=True)
    own, scores = whole.scored(row, empty, [2.0])
    networks = float(np.asarray(own.scores(arrays.inputs, ["table", "words"]))[0])
    total = 0.0 if scores is None else scores.total
    assert networks + total == pytest.approx(2 * float(wanted[0, 0]), rel=1e-4)


@pytest.mark.parametrize("count", [1, 2])
def test_rows_are_encoded_in_their_order(
    catalogue_folder: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    run = untrained_on(catalogue_folder, tiny_config(linear=False), count)
    rows = pd.read_csv(catalogue_folder / "catalogue.csv").head(70)
    arrays = run.preprocessor.arrays(rows, catalogue_folder)
    parts = make_submodels(run.model, "price", run.spec.groups)
    encoded, faults = encode_rows(parts, arrays)
    assert not faults and len(encoded) == count
    places = np.arange(70)
    raw = floats(raw_outputs(parts, [take(each, places) for each in encoded]))
    inputs, _ = whole_inputs(arrays)
    wanted = floats(run.model(inputs, training=False)["price"])
    np.testing.assert_allclose(raw, wanted, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(submodels, "FEW", 0)
    again, _ = encode_rows(parts, arrays)
    for one, other in zip(tree.flatten(encoded), tree.flatten(again), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    vectors = fused_vectors(parts, encoded, chunk=32)
    assert vectors.shape == (70, 8 * count)
    np.testing.assert_allclose(vectors, fused_vectors(parts, encoded), rtol=1e-4, atol=1e-5)


def test_sparse_features_go_into_no_fusion(catalogue_folder: Path) -> None:
    run = untrained_on(catalogue_folder, tiny_config(), 2)
    rows = pd.read_csv(catalogue_folder / "catalogue.csv").head(9)
    arrays = run.preprocessor.arrays(rows, catalogue_folder)
    assert "terms_ids" in arrays.inputs
    encoded, _ = encode_rows(make_submodels(run.model, "price", run.spec.groups), arrays)
    assert [set(each) for each in encoded] == [{"table", "words", "photos"}] * 2
    assert "terms_ids" in arrays.inputs


def test_the_baseline_is_a_row_that_lacks_every_group(catalogue_folder: Path) -> None:
    run = untrained_on(catalogue_folder, tiny_config())
    rows = pd.read_csv(catalogue_folder / "catalogue.csv").head(2)
    bare = baseline_input(run.preprocessor.arrays(rows, catalogue_folder), run.spec)
    inputs, faults = whole_inputs(bare)
    assert not faults
    for group in run.spec.groups:
        assert not inputs[f"{group.name}_present"].any()


def test_contributions_of_all_parts_are_the_raw_outputs(catalogue_folder: Path) -> None:
    run, rows, whole, arrays = submodels_on(catalogue_folder, 2, True, 20)
    encoded, _ = encode_rows(whole.networks, arrays)
    found = contribution_vectors(whole, encoded, arrays.inputs, rows, chunk=8)
    assert whole.linear is not None and found.shape == (20, 1 + len(whole.linear.terms.blocks))
    wanted = np.asarray(run.model(arrays.inputs, training=False)["price"])[:, 0]
    total = found.sum(axis=1) + whole.linear.constant
    np.testing.assert_allclose(total, wanted, rtol=1e-4, atol=1e-4)
    assert (found.std(axis=0) > 0).sum() > 5


def test_networks_decide_with_half_of_the_weight(catalogue_folder: Path) -> None:
    run, *_ = submodels_on(catalogue_folder, 1, True, 1)
    shares = run.model.get_layer("price").shares
    kept = np.asarray(shares)
    decide = {}
    for networks, linear in ((0.5, 0.5), (0.9, 0.0), (0.3, 0.8), (0.0, 1.0)):
        shares.assign([[networks], [linear]])
        decide[networks] = HeadSubmodels.of(run, "price").networks_decide
    shares.assign(kept)
    assert decide == {0.5: True, 0.9: True, 0.3: False, 0.0: False}
    alone, *_ = submodels_on(catalogue_folder, 1, False, 1)
    assert HeadSubmodels.of(alone, "price").networks_decide


def test_each_group_alone_in_a_kernel_regression() -> None:
    layer = KernelRegression(2, 3)
    random = np.random.default_rng(0)
    inputs = {f"{n}_features": random.normal(size=(4, 1, 5)).astype("float32") for n in "ab"}
    layer([*inputs.values()])
    both = KernelSubmodel(layer, ["a", "b"], np.array([0.5, 2.0])).alone(inputs)
    bare = np.zeros((4, 1, 5), "float32")
    for found, given in zip(
        both, ([inputs["a_features"], bare], [bare, inputs["b_features"]]), strict=True
    ):
        np.testing.assert_allclose(found, np.asarray(layer(given)) * [0.5, 2.0], rtol=1e-5)
