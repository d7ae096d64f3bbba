"""What tabular encoders share: columns, precision, embeddings of numbers against plain NumPy."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest
from checks import as_array

from multimodal.core.spec import CategoricalColumn, FittedGroup, NumericColumn
from multimodal.encoders import CrossEncoder, DenseEncoder, FTTransformerEncoder, NumericEmbedding

FAMILY = [DenseEncoder, CrossEncoder, FTTransformerEncoder]
NUMBERS = np.array([[1.0, np.nan], [-2.0, 3.0]], "float32")
CODES = np.array([[0, 2], [1, 0]], "int32")
ROWS = {"numeric": NUMBERS, "categorical": CODES}
every = pytest.mark.parametrize("cls", FAMILY)


@every
def test_fitted_group_decides_cardinalities_and_bins(cls: Any) -> None:
    columns = [
        CategoricalColumn(name="a", source="a", categories=["x"]),
        CategoricalColumn(name="b", source="b", categories=["x", "y", "z"]),
    ]
    group = FittedGroup(
        name="g",
        modality="tabular",
        columns=["a", "b", "n"],
        numeric=[NumericColumn(name="n", source="n", bins=[-1.0, 0.0, 2.0])],
        categorical=columns,
    )
    assert cls.from_group(group) == {"cardinalities": [3, 5], "bins": [[-1.0, 0.0, 2.0]]}
    encoder = cls(**cls.from_group(group), numeric_embedding="piecewise_linear")
    assert encoder({"numeric": NUMBERS[:, :1], "categorical": CODES}).shape[0] == 2


@every
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cardinalities": [0]}, "`cardinalities` must be a list of integers of at least 1"),
        ({"numeric_embedding": "linar"}, "`numeric_embedding` must be one of ["),
        ({"bins": [[0, 2, 1]]}, "`bins` must be a list with one list of rising edges"),
        ({"bins": [0, 1]}, "Received: bins=[0, 1]"),
        ({"frequency_scale": 0}, "`frequency_scale` must be greater than 0. Received"),
        ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
        ({"pooling": "meen"}, "unknown pooling 'meen'. Did you mean 'mean'?"),
    ],
)
def test_refuses_arguments(cls: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        cls(**arguments)
    assert "\n" not in str(caught.value)


@every
@pytest.mark.parametrize(
    ("cardinalities", "rows", "error", "message"),
    [
        ([3], ROWS, ValueError, "`cardinalities` must have one entry per categorical column"),
        ([3], NUMBERS, ValueError, "one entry per categorical column. Received: 1 entries"),
        ([], {"numbers": NUMBERS}, ValueError, "Received: keys=['numbers']"),
        ([], {}, ValueError, "a dict with `numeric` and/or `categorical`. Received: keys=[]"),
        ([], NUMBERS[0], ValueError, "`inputs` must have shape (batch, columns). Received: shape="),
        ([], NUMBERS > 0, TypeError, "`inputs` must be int or float. Received: dtype='bool'"),
        ([3, 3], {**ROWS, "numeric": NUMBERS[None]}, ValueError, '`inputs["numeric"]` must have'),
        ([3, 3], {**ROWS, "categorical": CODES[:, 0]}, ValueError, '`inputs["categorical"]` must'),
        ([3, 3], {**ROWS, "categorical": CODES > 0}, TypeError, '`inputs["categorical"]` must be'),
        ([], [[1.0]], ValueError, "`inputs` must have shape (batch, columns). Received: shape="),
    ],
)
def test_refuses_inputs(
    cls: Any, cardinalities: list[int], rows: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        cls(cardinalities)(rows)
    assert "\n" not in str(caught.value)


@every
def test_refuses_symbolic_inputs(cls: Any) -> None:
    with pytest.raises(ValueError, match=r"`inputs` must have shape \(batch, columns\)"):
        cls()(keras.Input((3, 4)))


@every
def test_refuses_other_columns_than_it_was_built_for(cls: Any) -> None:
    encoder = cls([3, 3])
    encoder(ROWS)
    message = "(2 numeric, 2 categorical). Received: 1 numeric, 2 categorical"
    with pytest.raises(ValueError, match=re.escape(message)):
        encoder({**ROWS, "numeric": NUMBERS[:, :1]})
    with pytest.raises(ValueError, match="Received: 2 numeric, 0 categorical"):
        encoder(NUMBERS)


@every
def test_refuses_to_cut_without_bins(cls: Any) -> None:
    message = "`bins` must have at least two edges for each of the 2 numeric columns. Received: 1"
    with pytest.raises(ValueError, match=message):
        cls(numeric_embedding="piecewise_linear", bins=[[0.0, 1.0]])(NUMBERS)


VALUES = np.array([[0.25, 3.0], [-2.0, np.nan], [1.5, -4.0], [9.0, 0.0]], "float32")
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
    found, w = as_array(layer(VALUES)), weights(layer)
    expected = VALUES[..., None] * w["kernel"] + w["bias"]
    expected[1, 1] = w["missing"][1]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_piecewise_linear_with_as_many_bins_as_each_column_has() -> None:
    layer = NumericEmbedding(3, "piecewise_linear", bins=BINS)
    found, w = as_array(layer(VALUES)), weights(layer)
    assert w["kernel"].shape == (2, 3, 3)
    for row, numbers in enumerate(VALUES):
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
    found, w = as_array(layer(VALUES)), weights(layer)
    angles = 2 * np.pi * VALUES[..., None] * w["frequencies"]
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
        moved = VALUES.copy()
        moved[:, 1] = 7
        before, after = as_array(layer(VALUES)), as_array(layer(moved))
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
def test_an_embedding_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
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
