"""Embeddings of numbers against plain NumPy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from checks import as_array

from multimodal.encoders import NumericEmbedding

NUMBERS = np.array([[0.25, 3.0], [-2.0, np.nan], [1.5, -4.0], [9.0, 0.0]], "float32")
BINS = [[0.0, 1.0, 2.0, 4.0], [-1.0, 1.0]]


def filled(x: float, edges: list[float]) -> list[float]:
    """The share of each bin below x; the outer ones go on without end."""
    shares = [(x - low) / (high - low) for low, high in zip(edges, edges[1:], strict=False)]
    last = len(shares) - 1
    return [
        max(share, 0.0 if i else -np.inf) if i == last else min(max(share, 0.0 if i else share), 1)
        for i, share in enumerate(shares)
    ]


def weights(layer: NumericEmbedding) -> dict[str, np.ndarray]:
    return {weight.name: as_array(weight) for weight in layer.weights}


def test_linear() -> None:
    layer = NumericEmbedding(3)
    found, w = as_array(layer(NUMBERS)), weights(layer)
    expected = NUMBERS[..., None] * w["kernel"] + w["bias"]
    expected[1, 1] = w["missing"][1]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_piecewise_linear_with_as_many_bins_as_each_column_has() -> None:
    layer = NumericEmbedding(3, "piecewise_linear", bins=BINS)
    found, w = as_array(layer(NUMBERS)), weights(layer)
    assert w["kernel"].shape == (2, 3, 3)
    for row, numbers in enumerate(NUMBERS):
        for column, x in enumerate(numbers):
            shares = filled(x, BINS[column])
            expected = shares @ w["kernel"][column, : len(shares)] + w["bias"][column]
            if np.isnan(x):
                expected = w["missing"][column]
            np.testing.assert_allclose(found[row, column], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "shares"),
    [(0.5, [0.5, 0, 0]), (1.5, [1, 0.5, 0]), (3, [1, 1, 0.5]), (-2, [-2, 0, 0]), (8, [1, 1, 3])],
)
def test_shares_of_bins(x: float, shares: list[float]) -> None:
    assert filled(x, BINS[0]) == shares
    layer = NumericEmbedding(3, "piecewise_linear", bins=[BINS[0]])
    layer.build((None, 1))
    layer.set_weights([np.eye(3)[None], np.zeros((1, 3)), np.zeros((1, 3))])
    np.testing.assert_allclose(as_array(layer(np.array([[x]], "float32")))[0, 0], shares)


def test_periodic() -> None:
    layer = NumericEmbedding(3, "periodic", frequency_scale=0.5)
    found, w = as_array(layer(NUMBERS)), weights(layer)
    angles = 2 * np.pi * NUMBERS[..., None] * w["frequencies"]
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
    expected = np.maximum(np.einsum("bnk,nkd->bnd", waves, w["kernel"]) + w["bias"], 0)
    expected[1, 1] = w["missing"][1]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_frequencies_start_at_their_scale() -> None:
    layer = NumericEmbedding(4000, "periodic", frequency_scale=0.3)
    layer.build((None, 1))
    assert abs(weights(layer)["frequencies"].std() - 0.3) < 0.03


def test_columns_do_not_mix() -> None:
    for kind in ("linear", "piecewise_linear", "periodic"):
        layer = NumericEmbedding(3, kind, bins=BINS)
        moved = NUMBERS.copy()
        moved[:, 1] = 7
        before, after = as_array(layer(NUMBERS)), as_array(layer(moved))
        np.testing.assert_array_equal(before[:, 0], after[:, 0])
        assert not np.array_equal(before[:, 1], after[:, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embedding_dim": 0}, "`embedding_dim` must be an integer of at least 1"),
        ({"kind": "none"}, "`kind` must be one of ['linear', 'piecewise_linear', 'periodic']"),
        ({"bins": [[1, 1]]}, "`bins` must be a list with one list of rising edges"),
        ({"bins": [["a", "b"]]}, "`bins` must be a list with one list of rising edges"),
        ({"frequency_scale": -1}, "`frequency_scale` must be greater than 0. Received"),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        NumericEmbedding(**{"embedding_dim": 3, **arguments})


@pytest.mark.parametrize("shape", [(None,), (None, None), (None, 2, 2)])
def test_refuses_shapes(shape: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"numbers of shape \(batch, columns\)"):
        NumericEmbedding(3).build(shape)


@pytest.mark.parametrize("bins", [[[0.0, 1.0]], [[0.0, 1.0], [2.0]], []])
def test_refuses_missing_bins(bins: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="`bins` must have at least two edges for each of the 2"):
        NumericEmbedding(3, "piecewise_linear", bins=bins).build((None, 2))
