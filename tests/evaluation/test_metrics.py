"""Metrics of numbers against plain formulas and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from multimodal.core.errors import DataError
from multimodal.evaluation.metrics import LOG_FLOOR, deciles, regression_metrics, worst_rows

RANDOM = np.random.default_rng(0)
TRUTH = np.exp(RANDOM.normal(4, 1, 200))
PREDICTION = TRUTH * np.exp(RANDOM.normal(0, 0.3, 200))


@pytest.mark.parametrize("weight", [None, RANDOM.random(200)])
def test_agrees_with_scikit_learn(weight: np.ndarray | None) -> None:
    found = regression_metrics(TRUTH, PREDICTION, weight)
    pair, logs = (TRUTH, PREDICTION), (np.log(TRUTH), np.log(PREDICTION))
    expected = {
        "n": 200.0,
        "rmse": math.sqrt(reference.mean_squared_error(*pair, sample_weight=weight)),
        "mae": reference.mean_absolute_error(*pair, sample_weight=weight),
        "mape": reference.mean_absolute_percentage_error(*pair, sample_weight=weight),
        "r2": reference.r2_score(*pair, sample_weight=weight),
        "log_rmse": math.sqrt(reference.mean_squared_error(*logs, sample_weight=weight)),
        "log_r2": reference.r2_score(*logs, sample_weight=weight),
    }
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert set(found) - set(expected) == {"median_ape"}
    assert all(type(value) is float for value in found.values())


def test_median_is_numpys_without_weights_and_follows_them() -> None:
    share = np.abs(PREDICTION - TRUTH) / TRUTH
    assert regression_metrics(TRUTH, PREDICTION)["median_ape"] == pytest.approx(np.median(share))
    odd = regression_metrics([1, 1, 1], [1.1, 1.2, 1.9])
    assert odd["median_ape"] == pytest.approx(0.2)
    heavy = regression_metrics([1, 1, 1], [1.1, 1.2, 1.9], [1, 1, 5])
    assert heavy["median_ape"] == pytest.approx(0.9)


def test_a_row_of_weight_zero_does_not_exist() -> None:
    found = regression_metrics([-1, 2, 4], [1e9, 3, 4], [0, 1, 1])
    assert found == pytest.approx(regression_metrics([2, 4], [3, 4]))
    assert found["n"] == 2


def test_columns_of_one_are_vectors() -> None:
    column = regression_metrics(TRUTH[:, None], PREDICTION[:, None])
    assert column == regression_metrics(TRUTH, PREDICTION)


def test_relative_metrics_are_left_out_where_they_mean_nothing() -> None:
    assert set(regression_metrics([0, 1], [1, 1])) == {"n", "rmse", "mae", "r2"}
    negative = regression_metrics([-2, 1], [-1, 1])
    assert negative["mape"] == pytest.approx(0.25) and "log_rmse" not in negative


def test_negative_prediction_has_a_finite_log_error_in_any_unit() -> None:
    found = regression_metrics([10, 10], [-5, 10])["log_rmse"]
    assert found == pytest.approx(math.sqrt(math.log(1 / LOG_FLOOR) ** 2 / 2))
    assert regression_metrics([1e6, 1e6], [-5e5, 1e6])["log_rmse"] == pytest.approx(found)


def test_r2_of_a_constant_truth() -> None:
    assert regression_metrics([3, 3], [3, 3])["r2"] == 1
    assert regression_metrics([3, 3], [3, 4])["r2"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [1]), "equal lengths. Received: 2 and 1"),
        (([], []), "Received: 0 rows"),
        (([1, math.nan], [1, 2]), "`truth` must be finite. Received: nan at position 1, 1 such"),
        (([1, 2], [math.inf, math.inf]), "`prediction` must be finite. Received: inf .* 2 such"),
        ((["x"], [1]), "`truth` must hold numbers"),
        ((np.ones((2, 2)), [1, 2]), r"shape \(N,\) or \(N, 1\). Received: \(2, 2\)"),
        (([1, 2], [1, 2], [1]), "one value per row. Received: 1 for 2 rows"),
        (([1, 2], [1, 2], [1, -1]), "`weight` must be >= 0 and not all 0"),
        (([1, 2], [1, 2], [0, 0]), "`weight` must be >= 0 and not all 0"),
    ],
)
def test_bad_input_is_named(arguments: tuple, message: str) -> None:
    with pytest.raises(DataError, match=message):
        regression_metrics(*arguments)


def test_deciles_cover_every_row_once() -> None:
    found = deciles(TRUTH)
    assert np.bincount(found).tolist() == [0, *[20] * 10]
    assert (np.diff(found[np.argsort(TRUTH)]) >= 0).all()


def test_deciles_of_few_or_equal_values() -> None:
    assert deciles([4.0, 4.0, 4.0]).tolist() == [1, 1, 1]
    assert len(np.unique(deciles([1, 2, 3]))) == 3
    assert np.bincount(deciles([0] * 50 + list(range(1, 51))))[1] == 50


def test_worst_rows_by_ratio_or_by_size() -> None:
    assert worst_rows([1, 100, 10], [3, 160, 10], k=2) == [0, 1]
    assert worst_rows([-1, 100, 10], [3, 160, 10], k=2) == [1, 0]
    assert worst_rows([5, 5, 5], [-1, -9, 5]) == [0, 1, 2]  # equally bad: in their order
    assert worst_rows([1], [2], k=0) == []
