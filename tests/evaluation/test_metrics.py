"""Metrics of numbers, classes, labels and boxes: against scikit-learn, by hand, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from multimodal.core.errors import DataError
from multimodal.evaluation.metrics import (
    LOG_FLOOR,
    best_class,
    box_metrics,
    class_metrics,
    deciles,
    label_metrics,
    regression_metrics,
    worst_rows,
)

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
    one_zero = regression_metrics([0, 1, 2, 4], [9, 1, 3, 4])
    assert one_zero["median_ape"] == 0 and one_zero["mape"] == pytest.approx(1 / 6)
    assert "log_rmse" not in one_zero
    negative = regression_metrics([-2, 1], [-1, 1])
    assert negative["mape"] == pytest.approx(0.25) and "log_rmse" not in negative


def test_negative_prediction_has_a_finite_log_error_in_any_unit() -> None:
    found = regression_metrics([10, 10], [-5, 10])["log_rmse"]
    assert found == pytest.approx(math.sqrt(math.log(1 / LOG_FLOOR) ** 2 / 2))
    assert regression_metrics([1e6, 1e6], [-5e5, 1e6])["log_rmse"] == pytest.approx(found)


def test_r2_of_constant_labels() -> None:
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


CLASSES_RANDOM = np.random.default_rng(0)
CLASSES_TRUE = CLASSES_RANDOM.integers(0, 4, 150)
CHANCES = CLASSES_RANDOM.dirichlet(np.ones(4), 150)
CHANCES[np.arange(150), CLASSES_TRUE] += 0.4
CHANCES /= CHANCES.sum(axis=1, keepdims=True)
WEIGHT = CLASSES_RANDOM.random(150)
MARKS = CLASSES_RANDOM.integers(0, 2, (150, 3))
LABELS = np.clip(0.4 * MARKS + CLASSES_RANDOM.random((150, 3)) * 0.6, 0, 1)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_classes_agree_with_scikit_learn(weight: np.ndarray | None) -> None:
    found = class_metrics(CLASSES_TRUE, CHANCES, weight)
    best, kind = CHANCES.argmax(axis=1), {"sample_weight": weight}
    assert found == pytest.approx(
        {
            "n": 150,
            "accuracy": reference.accuracy_score(CLASSES_TRUE, best, **kind),
            "balanced_accuracy": reference.balanced_accuracy_score(CLASSES_TRUE, best, **kind),
            "macro_f1": reference.f1_score(CLASSES_TRUE, best, average="macro", **kind),
            "log_loss": reference.log_loss(CLASSES_TRUE, CHANCES, **kind),
        }
    )


def test_two_classes_have_an_area_under_the_curve() -> None:
    y_true, chance = CLASSES_TRUE % 2, CLASSES_RANDOM.random(150)
    found = class_metrics(y_true, np.stack([1 - chance, chance], axis=1), WEIGHT)
    expected = reference.roc_auc_score(y_true, chance, sample_weight=WEIGHT)
    assert found["roc_auc"] == pytest.approx(expected)
    assert "roc_auc" not in class_metrics([1, 1], [[0.5, 0.5], [0.2, 0.8]])


def test_ordered_classes_are_medians_and_their_distance_matters() -> None:
    chances = [[0.4, 0.25, 0.35], [0.0, 0.1, 0.9]]
    assert best_class(chances, ordered=True).tolist() == [1, 2]
    found = class_metrics([2, 0], chances, [1, 3], ordered=True)
    assert found["mae_grades"] == pytest.approx((1 * 1 + 3 * 2) / 4)
    assert found["accuracy"] == 0


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_labels_agree_with_scikit_learn(weight: np.ndarray | None) -> None:
    found = label_metrics(MARKS, LABELS, weight)
    guess, kind = LABELS >= 0.5, {"sample_weight": weight}
    assert found == pytest.approx(
        {
            "n": 150,
            "exact": reference.accuracy_score(MARKS, guess, **kind),
            "micro_f1": reference.f1_score(MARKS, guess, average="micro", **kind),
            "macro_f1": reference.f1_score(MARKS, guess, average="macro", **kind),
            "average_precision": reference.average_precision_score(
                MARKS, LABELS, average="macro", **kind
            ),
        }
    )


def test_labels_that_never_occur() -> None:
    found = label_metrics([[0, 0], [0, 0]], [[0.1, 0.2], [0.3, 0.1]])
    assert (found["exact"], found["micro_f1"], found["average_precision"]) == (1, 0, 0)


def test_rows_of_weight_zero_do_not_exist() -> None:
    chances = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]
    assert class_metrics([1, 1, 0], chances, [0, 1, 1])["accuracy"] == 1


@pytest.mark.parametrize(
    ("y_true", "chances", "reason"),
    [
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "classes must be from 0 to 1. Received: 0 to 2"),
        ([0], [[np.nan, 1.0]], "probabilities must be finite. Received: .* at position 0"),
        ([0, 1], [[1.0, 0.0]], r"shape \(N,\) and probabilities \(N, C\)"),
        (np.zeros(0, int), np.zeros((0, 2)), "no rows to evaluate"),
    ],
)
def test_bad_input_is_named_classes(y_true: object, chances: object, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        class_metrics(y_true, chances)  # type: ignore[arg-type]


def test_labels_must_have_one_shape() -> None:
    with pytest.raises(DataError, match=r"Received: \(1, 2\) and \(1, 3\)"):
        label_metrics([[0, 1]], [[0.1, 0.2, 0.3]])


BOX = [0.0, 0.0, 4.0, 4.0]


def test_metrics_are_weighted() -> None:
    found = box_metrics([BOX, BOX, BOX], [BOX, [2, 2, 6, 6], [0, 0, 4, 2]], [1, 3, 0])
    assert found == pytest.approx({"n": 2, "mean_iou": (1 + 3 / 7) / 4, "iou_50": 0.25})
    assert box_metrics([BOX], [[0, 0, 4, 2]])["iou_50"] == 1


def test_bad_input_is_named_boxes() -> None:
    with pytest.raises(DataError, match="boxes must be finite"):
        box_metrics([BOX], [[0, 0, np.nan, 1]])
    with pytest.raises(DataError, match="no rows"):
        box_metrics(np.zeros((0, 4)), np.zeros((0, 4)))
