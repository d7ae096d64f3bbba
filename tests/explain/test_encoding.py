"""Many rows: in their order, the same whether compiled or not, absent groups as rows lack them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explained import untrained_on
from keras import tree
from tiny import tiny_config

from multimodal.explain import submodels
from multimodal.explain.attribution import cut, raw_outputs
from multimodal.explain.submodels import (
    encode_rows,
    floats,
    fused_vectors,
    nothing,
    take,
    whole_inputs,
)


@pytest.mark.parametrize("count", [1, 2])
def test_rows_are_encoded_in_their_order(
    catalogue_folder: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    run = untrained_on(catalogue_folder, tiny_config(linear=False), count)
    rows = pd.read_csv(catalogue_folder / "catalogue.csv").head(70)
    arrays = run.preprocessor.arrays(rows, catalogue_folder)
    parts = cut(run.model, "price", run.spec.groups)
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


def test_terms_go_into_no_fusion(catalogue_folder: Path) -> None:
    run = untrained_on(catalogue_folder, tiny_config(), 2)
    rows = pd.read_csv(catalogue_folder / "catalogue.csv").head(9)
    arrays = run.preprocessor.arrays(rows, catalogue_folder)
    assert "terms_ids" in arrays.inputs
    encoded, _ = encode_rows(cut(run.model, "price", run.spec.groups), arrays)
    assert [set(each) for each in encoded] == [{"table", "words", "photos"}] * 2
    assert "terms_ids" in arrays.inputs


def test_nothing_is_a_row_that_lacks_every_group(catalogue_folder: Path) -> None:
    run = untrained_on(catalogue_folder, tiny_config())
    rows = pd.read_csv(catalogue_folder / "catalogue.csv").head(2)
    bare = nothing(run.preprocessor.arrays(rows, catalogue_folder), run.spec)
    inputs, faults = whole_inputs(bare)
    assert not faults
    for group in run.spec.groups:
        assert not inputs[f"{group.name}_present"].any()
