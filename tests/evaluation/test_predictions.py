"""Predictions as columns of a table, and those of baselines in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multimodal.evaluation.predictions import (
    BASELINE_PREDICTIONS_FILE,
    MOST_COLUMNS,
    baseline_predictions,
    label_columns,
    one_prediction,
    prediction_columns,
    write_baseline_predictions,
)
from multimodal.evaluation.task import Task

NAN = float("nan")
MOOD = Task("mood", "class", ["sad", "glad", "so so"])
TAGS = Task("tags", "labels", ["red", "big"])


def test_a_number_and_its_quantiles() -> None:
    assert prediction_columns(Task("p"), [[1.5], [NAN]])["prediction"][0] == 1.5
    task = Task("p", quantiles=[0.025, 0.5, 0.95])
    found = prediction_columns(task, [[1, 2, 3]])
    assert list(found) == ["prediction", "q02_5", "q50", "q95"]
    assert [column[0] for column in found.values()] == [2, 1, 2, 3]
    assert label_columns(task, [4.0])["true"].tolist() == [4.0]


def test_a_class_has_its_name_and_probabilities() -> None:
    found = prediction_columns(MOOD, [[0.2, 0.7, 0.1], [NAN] * 3])
    assert list(found) == [
        "prediction",
        "probability",
        "probability_sad",
        "probability_glad",
        "probability_so_so",
    ]
    assert found["prediction"].tolist() == ["glad", None]
    np.testing.assert_array_equal(found["probability"], [0.7, NAN])
    assert label_columns(MOOD, [2, -1])["true"].tolist() == ["so so", None]


def test_ordered_classes_are_told_by_their_median() -> None:
    task = Task("grade", "class", ["low", "mid", "high"], ordered=True)
    found = prediction_columns(task, [[0.4, 0.25, 0.35]])
    assert (found["prediction"][0], found["probability"][0]) == ("mid", 0.25)


def test_many_classes_have_no_columns_of_their_own() -> None:
    names = [f"c{i}" for i in range(MOST_COLUMNS + 1)]
    found = prediction_columns(Task("k", "class", names), np.eye(len(names)))
    assert list(found) == ["prediction", "probability"]
    assert found["prediction"].tolist() == names


def test_classes_of_one_slug_have_columns_apart() -> None:
    found = prediction_columns(Task("k", "class", ["10-19", "10 19"]), [[0.4, 0.6]])
    assert list(found)[2:] == ["probability_10_19", "probability_10_19_2"]


def test_labels_are_joined() -> None:
    found = prediction_columns(TAGS, [[0.9, 0.5], [0.1, 0.2], [NAN, NAN]])
    assert found["prediction"].tolist() == ["red|big", "[]", None]
    known = label_columns(TAGS, [[0.0, 1.0], [NAN, NAN]])
    assert known["true"].tolist() == ["big", None]


def test_boxes_are_in_pixels_of_their_photo() -> None:
    task, shares = Task("cell", "box"), [[0.25, 0.5, 0.75, 1.0], [0, 0, 1, 1]]
    found = prediction_columns(task, shares, [[200, 100], [NAN, NAN]])
    assert list(found) == ["xmin", "ymin", "xmax", "ymax"]
    assert [column[0] for column in found.values()] == [50, 50, 150, 100]
    assert all(np.isnan(column[1]) for column in found.values())
    assert label_columns(task, shares, [[200, 100], [10, 10]])["xmax_true"].tolist() == [150, 10]


@pytest.mark.parametrize(
    ("task", "outputs", "answer"),
    [
        (Task("p"), [[2.5]], 2.5),
        (
            TAGS,
            [[0.9, 0.5]],
            {"prediction": "red|big", "probability_red": 0.9, "probability_big": 0.5},
        ),
    ],
)
def test_one_prediction_has_plain_values(task: Task, outputs: object, answer: object) -> None:
    found = one_prediction(task, outputs)  # type: ignore[arg-type]
    assert found == answer
    parts = found.values() if isinstance(found, dict) else [found]
    assert all(type(part) in (float, str) for part in parts)


def test_all_heads_share_one_file(tmp_path: Path) -> None:
    mood = Task("mood", "class", ["NA", "01"])
    write_baseline_predictions(
        tmp_path,
        [
            baseline_predictions(mood, "Shares", np.array([7, 2]), [[0.2, 0.8], [0.6, 0.4]]),
            baseline_predictions(Task("price"), "Median", np.array([9, 4]), [[1.5], [2.5]]),
        ],
    )
    found = pd.read_csv(tmp_path / BASELINE_PREDICTIONS_FILE, dtype=str, keep_default_na=False)
    assert found[["head", "model", "row", "prediction"]].to_numpy().tolist() == [
        ["mood", "Shares", "2", "NA"],
        ["mood", "Shares", "7", "01"],
        ["price", "Median", "4", "2.5"],
        ["price", "Median", "9", "1.5"],
    ]
    assert list(found["probability_01"]) == ["0.4", "0.8", "", ""]


def test_boxes_are_in_pixels() -> None:
    box = Task("cell", "box")
    found = baseline_predictions(box, "Mean box", np.array([0]), [[0, 0, 0.5, 1]], [[200, 100]])
    assert found[["xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist() == [[0, 0, 100, 100]]


def test_without_baselines_there_is_no_file(tmp_path: Path) -> None:
    write_baseline_predictions(tmp_path, [])
    assert not list(tmp_path.iterdir())
