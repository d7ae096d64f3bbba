"""Test rows of one head as a table, its metrics, and the rows ranked by error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.core.errors import RunError
from multimodal.evaluation.predictions import (
    BASELINE_PREDICTIONS_FILE,
    baseline_predictions,
    label_columns,
    prediction_columns,
    write_baseline_predictions,
)
from multimodal.evaluation.records import HeadMetrics, RunMetrics
from multimodal.evaluation.task import Task, measure
from multimodal.report.head_rows import (
    KEPT,
    baseline_rows,
    covered,
    head_rows,
    label_matrix,
    quantiles,
    rank_rows,
    statistic,
)
from multimodal.report.run_files import RunFiles, read_files

RANDOM = np.random.default_rng(0)
N = 60
NUMBER = RANDOM.gamma(2.0, 50.0, N)
CLASSES = ["low", "mid", "NA"]
SPREAD = NUMBER[:, None] * np.array([0.7, 1.1, 1.6])
CHANCE = RANDOM.dirichlet([1, 1, 1], N)
CASES: dict[str, tuple[Task, Any, Any]] = {
    "number": (Task("y"), NUMBER, NUMBER[:, None] * RANDOM.lognormal(0, 0.3, (N, 1))),
    "quantiles": (Task("y", quantiles=[0.05, 0.5, 0.975]), NUMBER, SPREAD),
    "class": (Task("y", "class", CLASSES), RANDOM.integers(0, 3, N), CHANCE),
    "grades": (Task("y", "class", CLASSES, ordered=True), RANDOM.integers(0, 3, N), CHANCE),
    "labels": (Task("y", "labels", CLASSES), RANDOM.integers(0, 2, (N, 3)), RANDOM.random((N, 3))),
    "box": (
        Task("y", "box"),
        np.sort(RANDOM.random((N, 4)))[:, [0, 1, 2, 3]],
        np.sort(RANDOM.random((N, 4))),
    ),
}


def write(folder: Path, task: Task, y_true: Any, outputs: Any, **columns: Any) -> RunFiles:
    """Write the files of a run with one head, and read them."""
    known = {**label_columns(task, y_true), **prediction_columns(task, outputs)}
    table = pd.DataFrame({"row": 2 * np.arange(len(outputs)), **columns})
    table = table.assign(**{f"{task.name}_{end}": values for end, values in known.items()})
    table.to_csv(folder / "predictions.csv", index=False)
    head = HeadMetrics(column=task.name, kind=task.kind, classes=task.classes)
    (folder / "metrics.json").write_text(RunMetrics(heads={task.name: head}).to_json())
    return read_files(folder, {}, None)


@pytest.mark.parametrize("case", CASES)
def test_statistics_are_the_metrics(case: str, tmp_path: Path) -> None:
    task, y_true, outputs = CASES[case]
    weight = RANDOM.integers(1, 4, N).astype(float)
    rows = head_rows(write(tmp_path, task, y_true, outputs, weight=weight), "y")
    expected = measure(task, y_true, outputs, weight)
    found = {}
    for metric in expected:
        drawn = statistic(metric, rows, task.classes)
        if drawn is not None:
            found[metric] = float(drawn(rows["weight"].to_numpy()[None])[0])
    main = {
        "number": "log_rmse",
        "quantiles": "pinball",
        "class": "accuracy",
        "grades": "mae_grades",
        "labels": "average_precision",
        "box": "mean_iou",
    }
    assert main[case] in found and len(found) >= 2
    for metric, value in found.items():
        tolerance = 0.05 if metric == "median_ape" else 1e-9
        assert value == pytest.approx(expected[metric], rel=tolerance), metric


def test_rows_without_truth_answer_or_weight_are_left_out(tmp_path: Path) -> None:
    y_true, outputs = np.array([1.0, np.nan, 3, 4, 5]), np.array([[1.0], [2], [np.nan], [4], [5]])
    run = write(tmp_path, Task("y"), y_true, outputs, weight=[1.0, 1, 1, 0, 2])
    assert head_rows(run, "y").index.tolist() == [0, 4]
    assert head_rows(run, "y")["row"].tolist() == [0, 8]
    assert not len(head_rows(run, "absent"))
    assert statistic("rmse", head_rows(run, "absent"), []) is None


def test_a_head_whose_name_begins_with_another_is_apart(tmp_path: Path) -> None:
    names = ("price", "price_net")
    columns = {
        f"{n}_{end}": [float(i)] for i, n in enumerate(names) for end in ("true", "prediction")
    }
    pd.DataFrame(columns).to_csv(tmp_path / "predictions.csv", index=False)
    run = read_files(tmp_path, {}, None)
    assert [head_rows(run, name)["true"].tolist() for name in names] == [[0.0], [1.0]]


def test_baselines_are_joined_by_row(tmp_path: Path) -> None:
    task, y_true, outputs = CASES["class"]
    write(tmp_path, task, y_true, outputs)
    kept = baseline_predictions(task, "Shares", np.array([4, 2, 999, 2]), CHANCE[:4])
    kept.to_csv(tmp_path / BASELINE_PREDICTIONS_FILE, index=False)
    found = baseline_rows(read_files(tmp_path, {}, None), "y")
    assert list(found) == ["Shares"] and found["Shares"].index.tolist() == [1, 2]
    assert found["Shares"]["true"].tolist() == [CLASSES[y_true[1]], CLASSES[y_true[2]]]
    assert found["Shares"]["probability_mid"].tolist() == pytest.approx(
        [CHANCE[1, 1], CHANCE[0, 1]]
    )
    assert baseline_rows(read_files(tmp_path, {}, None), "other") == {}


def test_a_head_is_not_lost_among_others(tmp_path: Path) -> None:
    """The lines of one head have no values in the columns of another."""
    task, y_true, outputs = CASES["quantiles"]
    write(tmp_path, task, y_true, outputs)
    other = baseline_predictions(Task("mood", "class", CLASSES), "Shares", np.arange(3), CHANCE[:3])
    mine = baseline_predictions(task, "Quantiles", 2 * np.arange(N), SPREAD)
    write_baseline_predictions(tmp_path, [mine, other])
    found = baseline_rows(read_files(tmp_path, {}, None), "y")
    assert list(found) == ["Quantiles"] and len(found["Quantiles"]) == N
    assert list(quantiles(found["Quantiles"])) == ["q05", "q50", "q97_5"]


def test_a_file_of_answers_of_another_form_is_named(tmp_path: Path) -> None:
    (tmp_path / BASELINE_PREDICTIONS_FILE).write_text("a,b\n1,2\n")
    with pytest.raises(RunError, match="baseline_predictions.csv: column 'head' is missing"):
        read_files(tmp_path, {}, None)


def test_quantiles_and_what_they_enclose() -> None:
    rows = pd.DataFrame({"q05": [0.0, 0], "q97_5": [2.0, 2], "true": [2.0, 3], "quality": 1})
    assert quantiles(rows) == {"q05": 0.05, "q97_5": 0.975}
    assert covered(rows).tolist() == [True, False]
    with pytest.raises(KeyError):
        covered(rows[["true"]])


def test_labels_out_of_cells() -> None:
    assert label_matrix(["b|a", "[]", "c"], ["a", "b"]).tolist() == [[1, 1], [0, 0], [0, 0]]


def test_numbers_by_their_ratio() -> None:
    rows = pd.DataFrame({"true": [10.0, 1000.0, 5.0], "prediction": [20.0, 1100.0, 5.0]})
    assert rank_rows("number", rows, ()) == ([0, 1, 2], [])
    many = pd.DataFrame({"true": [10.0] * 30, "prediction": [10.0 + i for i in range(30)]})
    wrong, right = rank_rows("number", many, ())
    assert wrong == list(range(29, 29 - KEPT, -1)) and right == list(range(10))


@pytest.mark.parametrize("sure", [True, False])
def test_classes_by_how_sure_the_answer_is(sure: bool) -> None:
    rows = pd.DataFrame(
        {
            "true": ["a", "a", "b", "b", "a"],
            "prediction": ["a", "b", "a", "b", "a"],
            "probability": [0.6, 0.7, 0.9, 0.95, 0.8],
        },
        index=[3, 4, 5, 8, 9],
    )
    found = rank_rows("class", rows if sure else rows.drop(columns="probability"), ["a", "b"])
    assert found == (([5, 4], [8, 9, 3]) if sure else ([4, 5], [9, 8, 3]))


def test_labels_by_how_many_are_wrong() -> None:
    rows = pd.DataFrame({"true": ["a|b", "[]", "c"], "prediction": ["c", "[]", "b|c"]})
    assert rank_rows("labels", rows, ["a", "b", "c"]) == ([0, 2], [1])


def test_boxes_by_their_overlap() -> None:
    corners = {"xmin": 0.0, "ymin": 0.0, "xmax": 1.0, "ymax": 1.0}
    rows = pd.DataFrame(
        {
            **{f"{k}_true": [v, v] for k, v in corners.items()},
            **{k: [v, v / 2] for k, v in corners.items()},
        }
    )
    assert rank_rows("box", rows, ()) == ([1, 0], [])


def test_no_rows_have_no_order() -> None:
    assert rank_rows("number", pd.DataFrame(), ()) == ([], [])
