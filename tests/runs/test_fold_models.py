"""The networks of a run are fitted one after the other, and what was said stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from tiny import plain_config, plain_rows

from multimodal.core.budget import Budget
from multimodal.core.config import Training
from multimodal.data.prepare import Prepared, prepare
from multimodal.evaluation.records import RunMetrics
from multimodal.models.build import decoded
from multimodal.models.training.fit import TrainingState
from multimodal.runs import fold_models
from multimodal.runs.fold_models import FoldModelFits
from multimodal.runs.provenance import Request
from multimodal.runs.run import Run
from multimodal.runs.train import train


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(plain_rows(), ["price"], plain_config(fold_models=3, epochs=2, linear=False))


def fits(prepared: Prepared, out: Path) -> FoldModelFits:
    out.mkdir(exist_ok=True)
    request = Request(plain_rows(), ["price"], prepared.config, out)
    return FoldModelFits(request, prepared, None, [])


def test_each_network_is_announced_and_logged(
    prepared: Prepared, tmp_path: Path, said: list[str]
) -> None:
    work = fits(prepared, tmp_path / "run")
    found = work.run(None)
    networks, fitted = found.networks, found.state
    assert len(networks) == 3 and len(fitted.log) == 6 and not fitted.interrupted
    assert said[0].startswith("training 3 networks of ") and said[0].endswith(", float32")
    assert "on 45 rows: at most 2 epochs in batches of 32, learning rate 0.003" in said[0]
    assert [line.split(",")[0] for line in said[1:]] == [f"network {i} of 3" for i in (1, 2, 3)]
    assert {i: len(log) for i, log in work.logs.items()} == {0: 2, 1: 2, 2: 2}
    lines = (tmp_path / "run" / "training_log.csv").read_text().splitlines()
    assert len(lines) == 7 and lines[0].startswith("network,")


@pytest.mark.parametrize(
    ("seconds", "ends", "kept", "note"),
    [
        ([30, 30, 30], [], 1, "networks 2 to 3 were left out"),  # of 39 seconds for the networks
        ([15, 15, 15], [], 2, "network 3 was left out"),
        ([10, 10, 10], [], 3, ""),
        ([60], [0], 1, "network 1 was stopped in epoch 2; networks 2 to 3 were left out"),
        ([10, 60], [1], 2, "network 2 was stopped in epoch 2; network 3 was left out"),
    ],
)
def test_a_budget_leaves_out_the_last_networks(
    seconds: list[float],
    ends: list[int],
    kept: int,
    note: str,
    prepared: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]

    def fit(
        model: keras.Model, given: Prepared, i: int, fitted: TrainingState, **rest: Any
    ) -> None:
        now[0] += seconds[i]
        fitted.seconds, fitted.best, fitted.epoch = seconds[i], model.get_weights(), 1
        fitted.out_of_time = i in ends

    monkeypatch.setattr(fold_models, "fit_network", fit)
    budget = Budget(Training(minutes=1), clock=lambda: now[0])
    found = replace(fits(prepared, tmp_path / "run"), budget=budget).run(None)
    assert len(found.networks) == kept
    assert budget.note() == (note and f"{note}, to keep to 1 minute")


@pytest.mark.parametrize(("first", "kept"), [(0, 1), (1, 1), (2, 2)])
def test_an_interruption_keeps_the_networks_that_learned(
    first: int,
    kept: int,
    prepared: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
) -> None:
    def fit(
        model: keras.Model, given: Prepared, i: int, fitted: TrainingState, **rest: Any
    ) -> None:
        fitted.interrupted = i == first
        fitted.best = [] if fitted.interrupted else model.get_weights()

    monkeypatch.setattr(fold_models, "fit_network", fit)
    found = fits(prepared, tmp_path / "run").run(None)
    networks, fitted = found.networks, found.state
    assert len(networks) == kept and fitted.interrupted
    assert said[-1] == "interrupted; the best weights so far are kept"


ROWS = plain_rows(240).drop(columns=["cost", "weight"])


def one_run(out: Path, rows: pd.DataFrame, **training: Any) -> Run:
    config = plain_config(epochs=1, linear=True, explanations=False, report=False)
    return train(rows, "price", out=out, config=config.merge(training=training))


def test_networks_that_add_nothing_are_not_trained_further(tmp_path: Path) -> None:
    """One epoch teaches a network little; the words give the price away to the linear model."""
    words = ROWS["price"].rank().floordiv(30).map(lambda rank: f"size{rank:.0f} shoe")
    run = one_run(tmp_path / "run", ROWS.assign(words=words), fold_models="auto")
    assert run.config.training.fold_models == 1
    networks, linear = np.asarray(run.model.get_layer("price").shares)[:, 0]
    assert networks == 0 and linear > 0.5
    [note] = RunMetrics.read(tmp_path / "run").notes
    assert "1 of 5 lowered the loss" in note
    lines = (tmp_path / "run" / "training_log.csv").read_text().splitlines()
    assert len(lines) == 2
    # What is predicted is measured on the rows of all folds, not only on those of the network.
    assert run.calibration is not None
    assert run.calibration.number("price").rows > 150
    # The predictor leaves the networks out; the saved Keras model holds them, with weight 0.
    arrays = run.preprocessor.arrays(ROWS.assign(words=words).iloc[:20], tmp_path)
    found = decoded(run.model, "price", run.model.predict_on_batch(arrays.inputs)["price"])
    np.testing.assert_allclose(run.decoded(arrays)[0]["price"], found, rtol=1e-6)


def test_networks_that_are_asked_for_are_all_trained(tmp_path: Path) -> None:
    run = one_run(tmp_path / "run", ROWS, fold_models=2)
    assert run.config.training.fold_models == 2


def test_five_networks_are_no_cause_for_retracing_warnings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow warns from the fifth trace of one function on, whichever model it is of."""
    from tensorflow.python.eager.polymorphic_function import polymorphic_function as traced

    fresh = traced._FrequentTracingDetectorManager()  # without what other tests have traced
    monkeypatch.setattr(traced, "_frequent_tracing_detector_manager", fresh)
    run = one_run(tmp_path / "run", ROWS, fold_models=5, epochs=1)
    run.predict(ROWS.iloc[:70])
    assert "retracing" not in caplog.text
