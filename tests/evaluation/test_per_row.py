"""Metrics from rows agree with those that are measured at once."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.evaluation.measures import compared_metrics, metric_of_ratio, ratio_terms
from multimodal.evaluation.task import Task, measure

RANDOM = np.random.default_rng(0)
N = 60
SHARES = RANDOM.dirichlet(np.ones(3), N)
LOW = RANDOM.random((N, 2)) * 0.5
BOXES = np.hstack([LOW, LOW + 0.1 + RANDOM.random((N, 2)) * 0.4])
CASES = {
    "positive": (Task("y"), RANDOM.lognormal(2, 1, N), RANDOM.normal(5, 9, (N, 1))),
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
        "positive": "log_rmse",
        "signed": "rmse",
        "quantiles": "pinball",
        "class": "accuracy",
        "grades": "mae_grades",
        "labels": "micro_f1",
        "box": "mean_iou",
    }
