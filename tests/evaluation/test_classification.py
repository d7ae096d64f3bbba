"""Metrics of classes and labels against scikit-learn and plain counting."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from multimodal.core.errors import DataError
from multimodal.evaluation.metrics import best_class, class_metrics, label_metrics

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.integers(0, 4, 150)
CHANCES = RANDOM.dirichlet(np.ones(4), 150)
CHANCES[np.arange(150), TRUTH] += 0.4
CHANCES /= CHANCES.sum(axis=1, keepdims=True)
WEIGHT = RANDOM.random(150)
MARKS = RANDOM.integers(0, 2, (150, 3))
LABELS = np.clip(0.4 * MARKS + RANDOM.random((150, 3)) * 0.6, 0, 1)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_classes_agree_with_scikit_learn(weight: np.ndarray | None) -> None:
    found = class_metrics(TRUTH, CHANCES, weight)
    best, kind = CHANCES.argmax(axis=1), {"sample_weight": weight}
    assert found == pytest.approx(
        {
            "n": 150,
            "accuracy": reference.accuracy_score(TRUTH, best, **kind),
            "balanced_accuracy": reference.balanced_accuracy_score(TRUTH, best, **kind),
            "macro_f1": reference.f1_score(TRUTH, best, average="macro", **kind),
            "log_loss": reference.log_loss(TRUTH, CHANCES, **kind),
        }
    )


def test_two_classes_have_an_area_under_the_curve() -> None:
    y_true, chance = TRUTH % 2, RANDOM.random(150)
    found = class_metrics(y_true, np.stack([1 - chance, chance], axis=1), WEIGHT)
    expected = reference.roc_auc_score(y_true, chance, sample_weight=WEIGHT)
    assert found["roc_auc"] == pytest.approx(expected)
    assert "roc_auc" not in class_metrics([1, 1], [[0.5, 0.5], [0.2, 0.8]])


def test_grades_are_medians_and_count_the_distance() -> None:
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
def test_bad_input_is_named(y_true: object, chances: object, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        class_metrics(y_true, chances)  # type: ignore[arg-type]


def test_labels_must_have_one_shape() -> None:
    with pytest.raises(DataError, match=r"Received: \(1, 2\) and \(1, 3\)"):
        label_metrics([[0, 1]], [[0.1, 0.2, 0.3]])
