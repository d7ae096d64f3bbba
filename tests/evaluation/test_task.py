"""One head's question: which rows count, and which metrics its kind has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from multimodal.core.config import Head
from multimodal.core.errors import DataError
from multimodal.core.spec import FittedHead
from multimodal.evaluation.task import Task, has_label, has_prediction, measure


def test_a_task_follows_from_config_spec_and_layer() -> None:
    head = Head.model_validate({"name": "Age", "column": "a", "head": "ordinal"})
    fitted = FittedHead(name="age", columns=["a"], kind="class", classes=["0-9", "10+"])
    task = Task.of(head, fitted, SimpleNamespace(quantiles=[0.1, 0.6]))
    assert task == Task("age", "class", ["0-9", "10+"], True, [0.1, 0.6])
    assert task.middle == 1 and Task("a").middle == 0
    plain = head.model_copy(update={"head": head.head.model_copy(update={"name": "multiclass"})})
    assert not Task.of(plain, fitted, object()).ordered


@pytest.mark.parametrize(
    ("kind", "y_true", "outputs", "metric", "value"),
    [
        ("number", [1.0, np.nan, 3.0], [[1.0], [2.0], [np.nan]], "mae", 0),
        ("class", [0, -1, 1], [[0.9, 0.1]] * 2 + [[np.nan] * 2], "accuracy", 1),
        ("labels", [[1.0, 0], [np.nan] * 2, [1, 1]], [[0.9, 0]] * 2 + [[np.nan] * 2], "exact", 1),
        (
            "box",
            [[0.0, 0, 1, 1], [np.nan] * 4, [0, 0, 1, 1]],
            [[0.0, 0, 1, 1]] * 2 + [[np.nan] * 4],
            "mean_iou",
            1,
        ),
    ],
)
def test_rows_without_label_or_prediction_are_not_measured(
    kind: Any, y_true: Any, outputs: Any, metric: str, value: float
) -> None:
    task = Task("t", kind, ["a", "b"])
    found = measure(task, y_true, outputs)
    assert (found["n"], found[metric]) == (1, value)
    assert has_label(task, y_true).tolist() == [True, False, True]
    assert has_prediction(outputs).tolist() == [True, True, False]
    with pytest.raises(DataError, match="no row has both a label of 't' and a prediction"):
        measure(task, y_true, outputs, [0, 1, 1])


def test_quantiles_have_pinball_and_coverage() -> None:
    task = Task("t", quantiles=[0.1, 0.5, 0.9])
    found = measure(task, [1.0, 5.0], [[0, 2, 3], [0, 2, 3]], [1, 3])
    first = (0.1 * 1 + 0.5 * 1 + 0.1 * 2) / 3
    second = (0.1 * 5 + 0.5 * 3 + 0.9 * 2) / 3
    assert found["pinball"] == pytest.approx((first + 3 * second) / 4)
    assert found["coverage"] == pytest.approx(0.25)
    assert found["mae"] == pytest.approx((1 + 3 * 3) / 4)
