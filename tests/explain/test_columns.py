"""Columns of the table: complete, typical cells count for nothing, parts of a date together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from explained import model_of, spec_of

from multimodal.core.spec import (
    OUT_OF_VOCABULARY,
    CategoricalColumn,
    FittedGroup,
    FittedSpec,
    NumericColumn,
)
from multimodal.explain.attribution import ScoredRow, make_submodels
from multimodal.explain.columns import UNKNOWN, explain_columns, sources


def spec_with(numbers: int) -> FittedSpec:
    """Return a spec whose table has numbers, the two parts of a date, a category."""
    numeric = [NumericColumn(name=f"n{i}", source=f"n{i}", centre=5.0) for i in range(numbers)]
    dates = [NumericColumn(name=f"d_{p}", source="d", part=p) for p in ("year", "month")]
    category = CategoricalColumn(name="k", source="k", categories=["usual", "rare"])
    group = FittedGroup(
        name="tabular",
        modality="tabular",
        columns=["c"],
        numeric=[*numeric, *dates],
        categorical=[category],
        optional=True,
    )
    return FittedSpec(groups=[group, *spec_of("text").groups], heads=spec_of("text").heads)


def inputs_of(numbers: int) -> dict[str, Any]:
    random = np.random.default_rng(3)
    return {
        "tabular_numeric": random.normal(size=(1, numbers + 2)).astype("float32"),
        "tabular_categorical": np.array([[3]], "int32"),
        "tabular_present": np.array([True]),
        "text_tokens": np.array([[2, 3, 0]], "int32"),
        "text_present": np.array([True]),
    }


def frame_of(numbers: int) -> pd.DataFrame:
    cells = {f"n{i}": [i * 1.5] for i in range(numbers)}
    return pd.DataFrame({**cells, "d": ["2024-01-02"], "k": ["rare"]})


def explained(numbers: int, inputs: dict[str, Any], fusion: str = "concat") -> Any:
    spec = spec_with(numbers)
    parts = make_submodels(model_of(spec, {}, fusion=fusion), "price", spec.groups)
    row = ScoredRow(parts, inputs, [part.encode(inputs) for part in parts], [1.0])
    return explain_columns(row, spec.groups[:1], frame_of(numbers))


@pytest.mark.parametrize("fusion", ["concat", "transformer"])
@pytest.mark.parametrize("numbers", [2, 9])
def test_columns_add_up(numbers: int, fusion: str) -> None:
    found = explained(numbers, inputs_of(numbers), fusion)
    assert found.exact == (numbers == 2)
    assert [c.name for c in found.columns] == [*(f"n{i}" for i in range(numbers)), "d", "k"]
    total, whole = sum(c.score for c in found.columns), found.end - found.start
    assert abs(whole) > 1e-3 and total == pytest.approx(whole, rel=1e-3, abs=1e-4)


def test_typical_cells_count_for_nothing() -> None:
    inputs = inputs_of(2)
    inputs["tabular_numeric"][0, 0] = 0.0
    inputs["tabular_categorical"][:] = 2
    scores = {column.name: column.score for column in explained(2, inputs).columns}
    assert scores["n0"] == pytest.approx(0, abs=1e-6) and scores["k"] == pytest.approx(0, abs=1e-6)
    assert abs(scores["n1"]) > 1e-4 and abs(scores["d"]) > 1e-4


def test_a_missing_cell_has_a_score_and_says_so() -> None:
    inputs = inputs_of(2)
    inputs["tabular_numeric"][0, 0] = np.nan
    found = explained(2, inputs)
    assert np.isfinite([column.score for column in found.columns]).all()


def test_cells_are_shown_beside_typical_ones() -> None:
    shown = {c.name: (c.value, c.typical) for c in explained(2, inputs_of(2)).columns}
    assert shown == {
        "n0": ("0", "5"),
        "n1": ("1.5", "5"),
        "d": ("2024-01-02", "median date"),
        "k": ("rare", "usual"),
    }


def test_an_unknown_category_says_what_it_counts_as() -> None:
    inputs = inputs_of(2)
    inputs["tabular_categorical"][:] = OUT_OF_VOCABULARY
    unknown = {column.name: column.counts_as for column in explained(2, inputs).columns}
    assert unknown == {"n0": "", "n1": "", "d": "", "k": UNKNOWN}
    assert not any(column.counts_as for column in explained(2, inputs_of(2)).columns)


def test_no_table_has_no_columns() -> None:
    assert sources([]) == []
