"""The frame of predictions: in the order of the source, with intervals and notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multimodal.core.errors import RunError
from multimodal.data.columns.schema import Column, Schema
from multimodal.data.read.readers import read_table
from multimodal.evaluation.task import Task
from multimodal.runs.rows import Outputs, check_level, predictions_frame

SCHEMA = Schema(columns=[Column(name="id", kind="identifier", missing=0, distinct=3, example="")])


def outputs(unusual: list[str] | None = None) -> Outputs:
    return Outputs({"price": np.array([[1.0], [3.0]])}, None, {1: "photo: gone"}, {}, {}, unusual)


def test_rows_stand_in_the_order_of_the_source() -> None:
    table = read_table(pd.DataFrame({"id": ["a", "b", "c"]})).drop({1: "no number"})
    ends = {"price": {"low": np.array([0.0, 2.0]), "high": np.array([2.0, 4.0])}}
    found = predictions_frame(table, SCHEMA, [Task("price")], outputs(["", "large"]), ends)
    assert list(found) == [
        "row",
        "id",
        "price_prediction",
        "price_low",
        "price_high",
        "note",
        "unusual",
    ]
    assert found["row"].tolist() == [0, 1, 2]
    assert found["price_prediction"].fillna(-1).tolist() == [1.0, -1.0, 3.0]
    assert found["price_high"].fillna(-1).tolist() == [2.0, -1.0, 4.0]
    assert found["note"].tolist() == ["", "line 2: no number", "photo: gone"]
    assert found["unusual"].tolist() == ["", "", "large"]


def test_what_is_not_known_has_no_column() -> None:
    table = read_table(pd.DataFrame({"size": [1, 2]}))
    found = predictions_frame(table, SCHEMA, [Task("price")], outputs(), {})
    assert list(found) == ["row", "price_prediction", "note"]


def test_a_run_without_calibration_has_no_intervals() -> None:
    with pytest.raises(RunError, match="run: has no calibration.json, so it knows no intervals"):
        check_level(Path("run"), None, [Task("price")], 0.9)
