"""The baselines of a prepared table: which there are, and what they are scored on."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest
from tiny import PHOTOS, TABLE, WORDS, plain_config, plain_rows, tiny_config

from multimodal.core.budget import Budget
from multimodal.core.config import Training
from multimodal.data.prepare import Prepared, prepare
from multimodal.evaluation.metrics import regression_metrics
from multimodal.models.training.fit import TrainingState
from multimodal.runs import comparison
from multimodal.runs.comparison import baseline_scores, input_name


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    rows = plain_rows(200)
    rows.loc[::4, "weight"] = 0.0
    config = plain_config(epochs=15, learning_rate=0.01)
    return prepare(rows.drop(columns="cost"), ["price"], config, weight="weight")


def test_baselines_learn_and_are_weighed(prepared: Prepared, said: list[str]) -> None:
    scores = {score.name: score for score in baseline_scores(prepared, 0)}
    assert list(scores) == ["Median", "Gradient boosting", "Sequential MLP"]
    assert said == ["baseline: gradient boosting", "baseline: MLP on table"]
    test = prepared.rows("test")
    weighing = int((prepared.source.weights["price"][test] > 0).sum())
    assert 0 < weighing < len(test)
    assert {score.metrics["n"] for score in scores.values()} == {weighing}
    floor = scores["Median"].metrics["rmse"]
    assert scores["Gradient boosting"].metrics["rmse"] < 0.8 * floor
    assert scores["Sequential MLP"].metrics["rmse"] < 0.8 * floor
    assert scores["Sequential MLP"].parameters > 0
    y_true = prepared.labels["price"]
    train = prepared.rows("train")
    heavy = prepared.source.weights["price"] > 0
    guess = np.full(len(test), np.median(y_true[train][heavy[train]]))
    expected = regression_metrics(y_true[test], guess, prepared.source.weights["price"][test])
    assert scores["Median"].metrics == pytest.approx(expected)


def test_half_of_a_training_is_no_baseline(prepared: Prepared) -> None:
    looks = count()  # at a clock that goes on by a second with each
    budget = Budget(Training(minutes=0.3), clock=lambda: float(next(looks)))
    names = [score.name for score in baseline_scores(prepared, 0, budget=budget)]
    assert names == ["Median", "Gradient boosting"]
    assert budget.left_out == ["the MLP baseline"]


def test_what_does_not_fit_in_is_not_begun(prepared: Prepared, said: list[str]) -> None:
    budget = Budget(Training(minutes=1), clock=lambda: 0.0)
    scores = baseline_scores(prepared, 0, budget=budget, network_seconds=600.0)
    assert [score.name for score in scores] == ["Median", "Gradient boosting"]
    assert said == ["baseline: gradient boosting"]


def test_ctrl_c_in_a_baseline_ends_the_comparison(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = TrainingState(interrupted=True)
    monkeypatch.setattr(comparison, "fit", lambda *a, **k: stopped)
    monkeypatch.setattr(comparison, "tree_scores", lambda *a, **k: [])
    scores: Any = baseline_scores(prepared, 0)
    assert next(scores).name == "Median"
    with pytest.raises(KeyboardInterrupt):
        next(scores)


@pytest.mark.parametrize(
    ("groups", "name"),
    [
        ((TABLE,), "table"),
        ((PHOTOS, TABLE), "table + photos"),
        ((PHOTOS, WORDS, TABLE), "table + text + photos"),
    ],
)
def test_what_the_fusion_reads(groups: Any, name: str) -> None:
    assert input_name(tiny_config(*groups)) == name
