"""Rows that a run is given, and the table of its predictions for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multimodal.core.errors import DataError, RunError
from multimodal.core.spec import FittedSpec
from multimodal.data.columns.schema import Column, Schema
from multimodal.data.read.readers import read_table
from multimodal.evaluation.task import Task
from multimodal.runs.rows import (
    Outputs,
    check_level,
    measure_heads,
    predictions_frame,
    read_all_labels,
    read_weights,
    without_missing_photos,
)

SPEC = FittedSpec.model_validate(
    {
        "groups": [
            {
                "name": "photos",
                "modality": "image",
                "columns": ["photo"],
                "photos": 2,
                "image_size": 16,
            }
        ],
        "heads": [{"name": "price", "columns": ["price"]}, {"name": "cost", "columns": ["cost"]}],
    }
)
SCHEMA = Schema(
    columns=[
        Column(name="price", kind="target", missing=0, distinct=3, example=""),
        Column(name="w", kind="weight", missing=0, distinct=3, example=""),
    ]
)


def test_photos_that_are_not_there_are_taken_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    frame = pd.DataFrame({"photo": ["a.png", "b.png", None]})
    found, notes, counts = without_missing_photos(SPEC, read_table(frame), tmp_path)
    assert found["photo"].tolist() == [["a.png"], [], []]
    assert notes == {1: f"photo: {tmp_path / 'b.png'}: no such photo"}
    assert counts == {"photos not found": 1, "rows without a photo": 2}
    assert frame["photo"].tolist()[:2] == ["a.png", "b.png"]


def test_a_photo_outside_is_told_with_its_row(tmp_path: Path) -> None:
    table = read_table(pd.DataFrame({"photo": ["a.png", "../b.png"]}))
    with pytest.raises(DataError, match="table, row 2, column 'photo': "):
        without_missing_photos(SPEC, table, tmp_path)


def test_a_bad_weight_weighs_nothing_and_no_column_weighs_one() -> None:
    frame = pd.DataFrame({"w": ["2", "-1", "x", "0.5"]})
    assert read_weights(SCHEMA, read_table(frame)).tolist() == [2.0, 0.0, 0.0, 0.5]
    assert read_weights(SCHEMA, read_table(pd.DataFrame({"a": [1, 2]}))).tolist() == [1.0, 1.0]


def test_labels_are_read_of_heads_whose_columns_are_there(said: list[str]) -> None:
    table = read_table(pd.DataFrame({"price": [3.0, None]}))
    found = read_all_labels(SPEC, SCHEMA, table, Path())
    assert list(found) == ["price"] and found["price"].shape == (2,)
    assert "cost: not scored; the rows lack cost" in said


def test_rows_without_label_weight_or_prediction_are_left_out(said: list[str]) -> None:
    table = read_table(pd.DataFrame({"price": [1.0, 2.0, 3.0, 4.0]}))
    labels = {"price": np.array([1.0, 2.0, np.nan, 4.0])}
    outputs = {"price": np.array([[2.0], [np.nan], [3.0], [9.0]])}
    weights = np.array([1.0, 1.0, 1.0, 0.0])
    tasks = [Task("price"), Task("cost")]
    found = measure_heads(tasks, labels, outputs, weights, table)
    assert found["price"]["n"] == 1 and found["price"]["mae"] == 1.0
    assert list(found) == ["price"]
    assert said == ["price: 3 of 4 rows left out; they lack a truth, a weight or a prediction"]
    assert measure_heads(tasks, labels, outputs, np.zeros(4), table) == {}


NAMED = Schema(columns=[Column(name="id", kind="identifier", missing=0, distinct=3, example="")])


def outputs(unusual: list[str] | None = None) -> Outputs:
    return Outputs({"price": np.array([[1.0], [3.0]])}, None, {1: "photo: gone"}, {}, {}, unusual)


def test_rows_stand_in_the_order_of_the_source() -> None:
    table = read_table(pd.DataFrame({"id": ["a", "b", "c"]})).drop({1: "no number"})
    intervals = {"price": {"low": np.array([0.0, 2.0]), "high": np.array([2.0, 4.0])}}
    found = predictions_frame(table, NAMED, [Task("price")], outputs(["", "large"]), intervals)
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
    found = predictions_frame(table, NAMED, [Task("price")], outputs(), {})
    assert list(found) == ["row", "price_prediction", "note"]


def test_a_run_without_calibration_has_no_intervals() -> None:
    with pytest.raises(RunError, match="run: has no calibration.json, so it knows no intervals"):
        check_level(Path("run"), None, [Task("price")], 0.9)
