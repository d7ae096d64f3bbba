"""The table of metrics: names, directions, formats, and losses per row that add up to them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from multimodal.evaluation.measures import (
    BESIDE,
    MAIN,
    MEASURES,
    compared_metrics,
    format_metric,
    main_metric,
    metric_label,
    metric_of_ratio,
    optimised_metric,
    ranked,
    ratio_terms,
    shortfall,
)
from multimodal.evaluation.records import ModelScore
from multimodal.evaluation.task import Task, measure

SCORE = ModelScore("CNN", "sequential", "photos", {"rmse": 2.0, "log_rmse": 0.3}, 1200, 3.5)


def test_main_metric_needs_every_model() -> None:
    assert main_metric([SCORE]) == "log_rmse"
    assert main_metric([SCORE, ModelScore("a", "trees", "table", {"rmse": 1.0})]) == "rmse"
    assert main_metric([]) == "rmse"
    grades = {"accuracy": 0.5, "mae_grades": 0.6, "log_loss": 1.0}
    assert main_metric([ModelScore("a", "fusion", "table", grades)]) == "mae_grades"
    band = {"rmse": 1.0, "log_rmse": 1.0, "pinball": 0.3}
    assert main_metric([ModelScore("a", "fusion", "table", band)]) == "pinball"


def test_a_metric_is_main_where_it_was_optimised_and_every_model_has_it() -> None:
    assert main_metric([SCORE], "rmse") == "rmse"
    assert main_metric([SCORE, ModelScore("a", "trees", "table", {"rmse": 1.0})], "mae") == "rmse"
    measured = {"rmse": 2.0, "log_rmse": 0.3}
    assert optimised_metric(Task("y", transform="log1p"), measured) == "log_rmse"
    assert optimised_metric(Task("y", transform="log1p"), {"rmse": 2.0}) == "rmse"
    assert optimised_metric(Task("y", transform="standardise"), measured) == "rmse"
    assert optimised_metric(Task("y", "class"), {"log_loss": 1.0, "accuracy": 0.5}) == "accuracy"


def test_every_metric_named_anywhere_is_described() -> None:
    assert set(MAIN) == set(BESIDE)
    assert {*MAIN, *(name for names in BESIDE.values() for name in names)} <= set(MEASURES)
    assert all(MEASURES[name].better for name in MAIN)


def test_the_best_is_first_whichever_way_is_better() -> None:
    scores = [
        ModelScore(name, "trees", "table", {"rmse": value, "accuracy": value})
        for name, value in (("a", 0.3), ("b", 0.9), ("c", math.nan))
    ]
    assert [score.name for score in ranked(scores, "rmse")] == ["a", "b"]
    assert [score.name for score in ranked(scores, "accuracy")] == ["b", "a"]
    assert shortfall("accuracy", 0.75) == 0.25 and shortfall("unheard", 0.75) == 0.75


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("n", 1234.0, "1,234"),
        ("accuracy", 0.8912, "89.1%"),
        ("rmse", 12345.6, "12,346"),
        ("mean_iou", 0.71234, "0.712"),
        ("mape", None, "–"),
        ("r2", math.nan, "–"),
    ],
)
def test_values_are_written_as_their_metric_is_read(
    metric: str, value: float | None, shown: str
) -> None:
    assert format_metric(metric, value) == shown


def test_only_metrics_in_the_targets_unit_carry_it() -> None:
    assert metric_label("mae", "EUR") == "mean absolute error (EUR)"
    assert metric_label("accuracy", "EUR") == "accuracy" and metric_label("unheard") == "unheard"


RANDOM = np.random.default_rng(0)
N = 60
SHARES = RANDOM.dirichlet(np.ones(3), N)
LOW = RANDOM.random((N, 2)) * 0.5
BOXES = np.hstack([LOW, LOW + 0.1 + RANDOM.random((N, 2)) * 0.4])
CASES = {
    "logarithms": (
        Task("y", transform="log1p"),
        RANDOM.lognormal(2, 1, N),
        RANDOM.normal(5, 9, (N, 1)),
    ),
    "zeros": (Task("y", transform="log1p"), np.arange(N) / 1.0, RANDOM.normal(5, 9, (N, 1))),
    "positive": (
        Task("y", transform="standardise"),
        RANDOM.lognormal(2, 1, N),
        RANDOM.normal(5, 9, (N, 1)),
    ),
    "signed": (Task("y"), RANDOM.normal(size=N), RANDOM.normal(size=(N, 1))),
    "quantiles": (
        Task("y", quantiles=[0.1, 0.5, 0.9]),
        RANDOM.normal(size=N),
        np.sort(RANDOM.normal(size=(N, 3)), axis=1),
    ),
    "class": (Task("y", "class", ["a", "b", "c"]), RANDOM.integers(0, 3, N), SHARES),
    "grades": (Task("y", "class", ["a", "b", "c"], ordered=True), RANDOM.integers(0, 3, N), SHARES),
    "labels": (
        Task("y", "labels", ["a", "b", "c"]),
        RANDOM.integers(0, 2, (N, 3)).astype(float),
        RANDOM.random((N, 3)),
    ),
    "box": (Task("y", "box"), BOXES, BOXES[RANDOM.permutation(N)]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_ratio_of_the_rows_is_the_metric(name: str) -> None:
    task, y_true, outputs = CASES[name]
    weight = RANDOM.random(N) + 0.1
    expected = measure(task, y_true, outputs, weight)
    for metric in compared_metrics(task, y_true):
        added, counted = ratio_terms(metric, task, y_true, outputs)
        found = metric_of_ratio(metric, np.sum(weight * added) / np.sum(weight * counted))
        assert found == pytest.approx(expected[metric]), metric
        assert added.shape == counted.shape == (N,)


def test_the_main_metric_follows_the_task() -> None:
    main = {name: compared_metrics(task, y_true)[0] for name, (task, y_true, _) in CASES.items()}
    assert main == {
        "logarithms": "log_rmse",
        "zeros": "rmse",  # has no logarithm
        "positive": "rmse",  # by chance: the head standardises
        "signed": "rmse",
        "quantiles": "pinball",
        "class": "accuracy",
        "grades": "mae_grades",
        "labels": "micro_f1",
        "box": "mean_iou",
    }
