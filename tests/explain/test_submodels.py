"""The whole model, cut: its raw outputs, and vectors of networks side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from explained import cut_on

from multimodal.explain.submodels import nothing


@pytest.mark.parametrize(("count", "linear"), [(1, False), (3, False), (1, True), (2, True)])
def test_a_cut_model_says_what_the_model_does(
    catalogue_folder: Path, count: int, linear: bool
) -> None:
    run, rows, whole, arrays = cut_on(catalogue_folder, count, linear, 1)
    row = whole.encode(arrays, rows)
    wanted = np.asarray(run.model(arrays.inputs, training=False)["price"])
    np.testing.assert_allclose(whole.raw(row), wanted, rtol=1e-4, atol=1e-4)
    assert (whole.linear is not None) == linear
    counted = whole.counted([2.0])
    assert (counted is not None) == linear
    if counted is not None:
        shares = np.asarray(run.model.get_layer("price").shares)[:, 0]
        assert counted == pytest.approx(tuple(shares))
    assert whole.fused(row).shape == (8 * count,)
    empty = whole.encode(nothing(arrays, run.spec), rows, nothing=True)
    own, scores = whole.scored(row, empty, [2.0])
    networks = float(np.asarray(own.scores(arrays.inputs, ["table", "words"]))[0])
    total = 0.0 if scores is None else scores.total
    assert networks + total == pytest.approx(2 * float(wanted[0, 0]), rel=1e-4)
