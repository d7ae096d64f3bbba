"""What a search goes by: the right rows of the right side, and one answer as the yardstick."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import plain_config, plain_rows

from multimodal.data.prepare import Prepared, prepare
from multimodal.evaluation.task import measure
from multimodal.studies.fits import tasks
from multimodal.studies.tune.tune import (
    SPLITS,
    constant_errors,
    split_error,
    tuned_head,
    tuned_metric,
)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    rows = plain_rows(120)
    rows["mood"] = np.where(rows["cost"] > rows["cost"].median(), "glad", "sad")
    rows["weight"] = 1.0 + np.arange(120) % 2
    rows = rows.drop(columns="cost")
    return prepare(rows, ["price", "mood"], plain_config(), weight="weight")


def answers(prepared: Prepared, off: float) -> dict[str, np.ndarray]:
    """Answers of both sides: prices too high by a share, moods as sure as right."""
    rows = np.concatenate([prepared.rows(split) for split in SPLITS])
    price = prepared.labels["price"][rows] * (1 + off)
    right = np.eye(2)[prepared.labels["mood"][rows]]
    return {"price": price[:, None], "mood": np.abs(right - off)}


def test_errors_are_those_of_the_side(prepared: Prepared) -> None:
    found, (price, mood) = answers(prepared, 0.1), tasks(prepared)
    assert (tuned_metric(prepared, price), tuned_metric(prepared, mood)) == (
        "log_rmse",
        "log_loss",
    )
    found["price"][: len(prepared.rows("validation"))] *= 2
    assert split_error(prepared, price, found, "validation") == pytest.approx(np.log(2.2))
    assert split_error(prepared, price, found, "test") == pytest.approx(np.log(1.1))
    assert split_error(prepared, mood, found, "test") == pytest.approx(-np.log(0.9))


def test_one_answer_is_the_yardstick(prepared: Prepared) -> None:
    price, _ = tasks(prepared)
    rows, train = prepared.rows("validation"), prepared.rows("train")
    y_true, weight = prepared.labels["price"], prepared.source.weights["price"]
    found = constant_errors(prepared)
    order = np.argsort(y_true[train])
    below = np.cumsum(weight[train][order]) / weight[train].sum()
    median = y_true[train][order][np.searchsorted(below, 0.5)]
    guess = np.full((len(rows), 1), median)
    expected = measure(price, y_true[rows], guess, weight[rows])["log_rmse"]
    assert found["price"] == pytest.approx(expected, rel=0.02)
    assert found["mood"] > 0.5


def test_two_configs_side_by_side(prepared: Prepared) -> None:
    price, mood = tasks(prepared)
    head = tuned_head(prepared, price, answers(prepared, 0.2), answers(prepared, 0.1))
    share = 1 - np.log(1.1) / np.log(1.2)
    assert head.differences["test"].gain == pytest.approx(share)
    assert head.values["test"][2] == len(prepared.rows("test"))
    worse = tuned_head(prepared, mood, answers(prepared, 0.1), answers(prepared, 0.2))
    assert worse.differences["validation"].high < 0
