"""Low-rank fusion against the full outer product in plain NumPy, and its messages."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.fusion import LowRankFusion

RANDOM = np.random.default_rng(0)
VECTORS = {
    "a": RANDOM.normal(size=(4, 2)).astype("float32"),
    "b": RANDOM.normal(size=(4, 3)).astype("float32"),
    "c": RANDOM.normal(size=(4, 1)).astype("float32"),
}


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def test_agrees_with_the_full_tensor() -> None:
    fusion = LowRankFusion(5, rank=2)
    found = array(fusion(VECTORS))
    factors = []  # (features + 1, rank, D): the kernel, and the bias as the weights of the 1
    for dense in fusion.factors:
        stacked = np.concatenate([array(dense.kernel), array(dense.bias)[None]])
        factors.append(stacked.reshape(-1, 2, 5))
    weights = array(fusion.rank_weights)[:, 0]
    full = np.einsum("r,ird,jrd,krd->ijkd", weights, *factors)
    a, b, c = (np.pad(each, ((0, 0), (0, 1)), constant_values=1) for each in VECTORS.values())
    expected = np.einsum("ni,nj,nk,ijkd->nd", a, b, c, full) + array(fusion.bias)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_many_large_factors_stay_finite_in_float16() -> None:
    rows = {str(i): np.full((2, 4), 30, "float32") for i in range(6)}
    found = LowRankFusion(4, dtype="mixed_float16")(rows)
    assert np.isfinite(array(found).astype("float32")).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_dim": 1.5}, "`hidden_dim` must be an integer of at least 1"),
        ({"rank": 0}, "`rank` must be an integer of at least 1. Received: rank=0"),
        ({"dropout": -1}, "`dropout` must be in [0, 1)"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        LowRankFusion(**arguments)
