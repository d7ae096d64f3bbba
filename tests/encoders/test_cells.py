"""What all tabular encoders refuse, and what a fitted group decides."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.core.spec import CategoricalColumn, FittedGroup, NumericColumn
from multimodal.encoders import CrossEncoder, DenseEncoder, FTTransformerEncoder

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
