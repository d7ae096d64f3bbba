"""Rows that a run is given, and the table of its predictions for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.core.config import Config
from multimodal.core.errors import RunError
from multimodal.core.spec import FittedHead, FittedSpec
from multimodal.data.columns.schema import Column, Schema
from multimodal.data.read.readers import read_table
from multimodal.evaluation.task import Task
from multimodal.runs.rows import (
    Outputs,
    Predictions,
    check_level,
    measure_heads,
    predictions_frame,
    read_all_labels,
    read_weights,
    target_names,
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
    return Outputs({"price": np.array([[1.0], [3.0]])}, None, {1: "photo: gone"}, {}, unusual)


def test_rows_stand_in_the_order_of_the_source() -> None:
    table = read_table(pd.DataFrame({"id": [7, 8, 9]})).drop({1: "no number"})
    intervals = {"price": {"low": np.array([0.0, 2.0]), "high": np.array([2.0, 4.0])}}
    said = replace(outputs(["", "large"]), intervals=intervals)
    found = predictions_frame(table, NAMED, [Task("price")], said)
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
    assert found["id"].tolist() == [7, pd.NA, 9]
    assert found["price_prediction"].fillna(-1).tolist() == [1.0, -1.0, 3.0]
    assert found["price_high"].fillna(-1).tolist() == [2.0, -1.0, 4.0]
    assert found["note"].tolist() == ["", "line 2: no number", "photo: gone"]
    assert found["unusual"].tolist() == ["", "", "large"]


DATES = pd.date_range("2026-01-30", periods=3)
INDEXES = [
    pd.Index([5, 3, 4]),
    pd.Index(["a", "a", "b"], name="sku"),
    pd.Index(DATES, name="row"),
    pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)], names=["shop", None]),
]


@pytest.mark.parametrize("index", INDEXES)
def test_the_index_of_a_frame_comes_back(index: pd.Index) -> None:
    frame = pd.DataFrame({"size": [1, 2, 3]}, index=index)
    said = Outputs({"price": np.array([[1.0], [3.0], [2.0]])}, None, {}, {}, None)
    made = predictions_frame(read_table(frame), NAMED, [Task("price")], said, frame.index)
    pd.testing.assert_index_equal(made.index, index)
    frame["price"] = Predictions(made, {}, [])["price"]
    assert frame["price"].tolist() == [1.0, 3.0, 2.0]


@pytest.mark.parametrize(
    ("label_type", "classes", "wanted"),
    [
        ("text", ["no", "yes"], ["yes", "no"]),
        ("integer", ["0", "1"], [1, 0]),
        ("float", ["0.5", "2"], [2.0, 0.5]),
        ("flag", ["False", "True"], [True, False]),
    ],
)
def test_classes_are_what_they_were(label_type: Any, classes: list[str], wanted: list[Any]) -> None:
    table = read_table(pd.DataFrame({"size": [1, 2]}))
    task = Task("y", "class", classes, label_type=label_type)
    values = np.array([[0.2, 0.8], [0.9, 0.1]])
    said = Outputs({"y": values}, None, {}, {}, None)
    found = predictions_frame(table, NAMED, [task], said)["y_prediction"]
    assert found.tolist() == wanted and type(found.tolist()[0]) is type(wanted[0])
    assert (found == pd.Series(wanted)).all()
    values[1] = np.nan
    found = predictions_frame(table, NAMED, [task], said)["y_prediction"]
    assert found[0] == wanted[0] and pd.isna(found[1])


def test_what_is_not_known_has_no_column() -> None:
    table = read_table(pd.DataFrame({"size": [1, 2]}))
    found = predictions_frame(table, NAMED, [Task("price")], outputs())
    assert list(found) == ["row", "price_prediction", "note"]


def test_a_run_without_calibration_has_no_intervals() -> None:
    with pytest.raises(RunError, match="run: has no calibration.json, so it knows no intervals"):
        check_level(Path("run"), None, [Task("price")], 0.9)


@pytest.mark.parametrize(
    ("heads", "names"),
    [
        ([("price", "price")], ["price"]),
        ([("vk_preis", "VK-Preis")], ["VK-Preis"]),
        ([("x", "价格"), ("x_2", "数量")], ["价格", "数量"]),
        ([("mine", "VK-Preis"), ("Größe", "b")], ["mine", "Größe"]),
        ([("price", "price"), ("price_2", "price")], ["price", "price_2"]),
        ([("tags", ["a", "b"])], ["tags"]),
    ],
)
def test_predictions_are_named_as_the_user_names_targets(
    heads: list[tuple[str, Any]], names: list[str]
) -> None:
    config = Config.parse({"heads": [{"name": name, "column": column} for name, column in heads]})
    spec = FittedSpec(groups=[], heads=[FittedHead(name=name, columns=[name]) for name, _ in heads])
    assert list(target_names(config, spec).values()) == names


def test_a_target_is_found_by_any_spelling_of_its_name() -> None:
    found = Predictions(pd.DataFrame({"VK-Preis_prediction": [1.0], "note": [""]}), {}, [])
    for name in ("VK-Preis", "vk_preis"):
        assert found[name].tolist() == [1.0] and found[name].name == name
    with pytest.raises(KeyError):
        found["price"]
