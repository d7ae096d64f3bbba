"""Alt texts: what a plot shows, in numbers; amounts with their unit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from multimodal.core.formatting import short_number
from multimodal.evaluation.bootstrap import ConfidenceInterval
from multimodal.evaluation.records import ModelScore
from multimodal.report import alt_text
from multimodal.report.alt_text import format_amount
from multimodal.report.slices import by_prediction, measured


def test_bars_are_told_best_first() -> None:
    scores = [
        ModelScore(name, "trees", "table", {"accuracy": value}, 0, 0)
        for name, value in (("low", 0.5), ("high", 0.9), ("none", float("nan")))
    ]
    told = alt_text.of_comparison(
        scores, "accuracy", {"high on table": ConfidenceInterval(0.9, 0.8, 1)}
    )
    assert (
        told == "Bars of accuracy, the best first: high on table 90.0% (80.0% to 100.0%), "
        "low on table 50.0%."
    )


def test_equal_predictions_have_no_correlation() -> None:
    assert "correlation" not in alt_text.of_numbers([1, 2], [3, 3], "price", short_number)


def test_parts_are_told_with_their_errors() -> None:
    y_true = np.arange(1.0, 201.0)
    rows = pd.DataFrame({"weight": 1.0, "true": y_true, "prediction": y_true + 2})
    told = alt_text.of_tenths(
        y_true, y_true + 2, by_prediction(rows, measured(rows, "number", [])), "price"
    )
    assert told.startswith("Boxes of the error by predicted price, of all 200 rows a median of 2: ")
    assert told.count("median error 2") == 10


def test_of_many_dots_the_first_are_told() -> None:
    found = [ConfidenceInterval(float(i), np.nan, np.nan) for i in range(20)]
    told = alt_text.of_dots([f"n{i}" for i in range(20)], found, "Error", short_number)
    assert told.startswith("Error: n0 0, n1 1,") and told.endswith("n11 11 and 8 more.")


def test_no_mistake_is_said() -> None:
    assert alt_text.of_confusion(["a"], ["a"], "x").endswith("1 of 1 rows right. No mistake.")


def test_broken_logs_are_told() -> None:
    log = pd.DataFrame({"epoch": [1, 2], "loss": [np.nan, "x"], "val_loss": [2.0, 1.0]})
    told = alt_text.of_curves(log)
    assert told == "Lines over 2 epochs: validation loss from 2 to 1, least 1 in epoch 2."


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (1234.0, "Rs. #", "Rs. 1,234"),
        (0.0, "$#", "$0"),
        (-1234.0, "$#", "−$1,234"),
        (5.0, "# of # pieces", "5 of # pieces"),
        (5.0, "EUR", "5"),
        (5.0, f"#{'x' * 40}", "5"),
    ],
)
def test_amounts(value: float, number_format: str, shown: str) -> None:
    assert format_amount(value, number_format) == shown
