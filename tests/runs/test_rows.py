"""Rows that a run is given: photos that are there, weights and labels that count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multimodal.core.errors import DataError
from multimodal.core.spec import FittedSpec
from multimodal.data.columns.schema import Column, Schema
from multimodal.data.read.readers import read_table
from multimodal.evaluation.task import Task
from multimodal.runs.rows import read_all_labels, read_weights, scored, without_absent

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
    found, notes, counts = without_absent(SPEC, read_table(frame), tmp_path)
    assert found["photo"].tolist() == [["a.png"], [], []]
    assert notes == {1: f"photo: {tmp_path / 'b.png'}: no such photo"}
    assert counts == {"photos not found": 1, "rows without a photo": 2}
    assert frame["photo"].tolist()[:2] == ["a.png", "b.png"]


def test_a_photo_outside_is_told_with_its_row(tmp_path: Path) -> None:
    table = read_table(pd.DataFrame({"photo": ["a.png", "../b.png"]}))
    with pytest.raises(DataError, match="table, row 2, column 'photo': "):
        without_absent(SPEC, table, tmp_path)


def test_a_bad_weight_weighs_nothing_and_no_column_weighs_one() -> None:
    frame = pd.DataFrame({"w": ["2", "-1", "x", "0.5"]})
    assert read_weights(SCHEMA, read_table(frame)).tolist() == [2.0, 0.0, 0.0, 0.5]
    assert read_weights(SCHEMA, read_table(pd.DataFrame({"a": [1, 2]}))).tolist() == [1.0, 1.0]


def test_labels_are_read_of_heads_whose_columns_are_there(said: list[str]) -> None:
    table = read_table(pd.DataFrame({"price": [3.0, None]}))
    found = read_all_labels(SPEC, SCHEMA, table, Path())
    assert list(found) == ["price"] and found["price"].shape == (2,)
    assert "cost: not scored; the rows lack cost" in said


def test_rows_without_truth_weight_or_answer_are_left_out(said: list[str]) -> None:
    table = read_table(pd.DataFrame({"price": [1.0, 2.0, 3.0, 4.0]}))
    labels = {"price": np.array([1.0, 2.0, np.nan, 4.0])}
    outputs = {"price": np.array([[2.0], [np.nan], [3.0], [9.0]])}
    weights = np.array([1.0, 1.0, 1.0, 0.0])
    tasks = [Task("price"), Task("cost")]
    found = scored(tasks, labels, outputs, weights, table)
    assert found["price"]["n"] == 1 and found["price"]["mae"] == 1.0
    assert list(found) == ["price"]
    assert said == ["price: 3 of 4 rows left out; they lack a truth, a weight or a prediction"]
    assert scored(tasks, labels, outputs, np.zeros(4), table) == {}
