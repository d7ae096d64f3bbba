"""The one place that knows names, directions and formats of metrics."""

from __future__ import annotations

import math

import pytest

from multimodal.evaluation.measures import (
    BESIDE,
    MAIN,
    MEASURES,
    format_metric,
    main_metric,
    metric_label,
    ranked,
    shortfall,
)
from multimodal.evaluation.records import ModelScore

SCORE = ModelScore("CNN", "sequential", "photos", {"rmse": 2.0, "log_rmse": 0.3}, 1200, 3.5)


def test_main_metric_needs_every_model() -> None:
    assert main_metric([SCORE]) == "log_rmse"
    assert main_metric([SCORE, ModelScore("a", "trees", "table", {"rmse": 1.0})]) == "rmse"
    assert main_metric([]) == "rmse"
    grades = {"accuracy": 0.5, "mae_grades": 0.6, "log_loss": 1.0}
    assert main_metric([ModelScore("a", "fusion", "table", grades)]) == "mae_grades"
    band = {"rmse": 1.0, "log_rmse": 1.0, "pinball": 0.3}
    assert main_metric([ModelScore("a", "fusion", "table", band)]) == "pinball"


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
