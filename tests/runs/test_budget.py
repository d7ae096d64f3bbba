"""A training within `training.minutes`: complete and honest, however little they are."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tiny import plain_config, plain_rows

from multimodal.core.budget import Budget
from multimodal.core.errors import ConfigError
from multimodal.core.manifest import check_manifest
from multimodal.evaluation.records import RunMetrics
from multimodal.runs import train as workflow
from multimodal.runs.run import Run, load
from multimodal.runs.steps import RunTraining

# Three networks of nine batches each.
CONFIG = plain_config(
    epochs=3, batch_size=16, fold_models=3, linear=False, baselines=True, checkpoint_seconds=0
)


class Cut(Exception):
    """Stands for a kill."""


class Clock(keras.callbacks.Callback):
    """A clock that goes on by two seconds with every batch, and may kill the training at one."""

    def __init__(self, kill_at: float = 1e9, now: float = 0.0) -> None:
        super().__init__()
        self.now, self.kill_at = now, kill_at

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.now += 2

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.now >= self.kill_at:
            raise Cut


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that trains by a clock of its own, 14 seconds of which go to scoring."""

    def run(out: Path, clock: Clock, **options: Any) -> Run:
        score = RunTraining._score

        def slow(*arguments: Any) -> Any:
            clock.now += 14
            return score(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(workflow, "Budget", partial(Budget, clock=lambda: clock.now))
            patch.setattr(RunTraining, "_score", slow)
            rows = plain_rows()
            return workflow.train(
                rows, "price", out=out, config=CONFIG, callbacks=[clock], **options
            )

    return run


def test_what_does_not_fit_in_is_left_out_and_named(
    train: Any, tmp_path: Path, said: list[str]
) -> None:
    run = train(tmp_path / "run", Clock(), minutes=1)
    note = "network 3, explanations and gradient boosting were left out, to keep to 1 minute"
    metrics = RunMetrics.read(run.path)
    assert metrics.notes[-1] == note and f"warning: {note}" in said
    assert run.config.training.fold_models == 2 and metrics.training.epochs == 6
    scores = metrics.comparison["price"]
    assert [score.name for score in scores] == ["Model", "Median", "Sequential MLP"]
    assert not (run.path / "importance.json").exists()
    assert note in (run.path / "report.html").read_text()
    assert note in (run.path / "model_card.md").read_text()
    check_manifest(run.path, ["model.keras", "metrics.json", "report.html"])
    assert load(run.path).predict(plain_rows(3)).frame["price_prediction"].notna().all()


def test_enough_time_leaves_out_nothing(train: Any, tmp_path: Path) -> None:
    run = train(tmp_path / "run", Clock(), minutes=100)
    metrics = RunMetrics.read(run.path)
    assert metrics.notes == [] and len(metrics.comparison["price"]) == 4
    assert run.config.training.fold_models == 3 and metrics.training.epochs == 9
    assert (run.path / "importance.json").is_file()


def test_too_little_time_for_an_epoch_leaves_a_usable_run(train: Any, tmp_path: Path) -> None:
    run = train(tmp_path / "run", Clock(), minutes=0.01)
    (note,) = RunMetrics.read(run.path).notes
    assert note.startswith("network 1 was stopped in epoch 1; networks 2 to 3, explanations, ")
    assert (run.path / "report.html").is_file()
    assert load(run.path).predict(plain_rows(3)).frame["price_prediction"].notna().all()


@pytest.mark.usefixtures("only_the_model")
def test_a_resumed_training_keeps_to_what_is_left(train: Any, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", Clock(), minutes=0.4)
    with pytest.raises(Cut):
        train(tmp_path / "cut", Clock(kill_at=6), minutes=0.4)
    with pytest.raises(Cut):
        train(tmp_path / "cut", Clock(kill_at=504, now=500.0), minutes=0.4)
    resumed = train(tmp_path / "cut", Clock(now=9000.0), minutes=0.4)
    assert whole.config.training.fold_models == resumed.config.training.fold_models == 1
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    notes = [RunMetrics.read(run.path).notes for run in (whole, resumed)]
    assert notes[0] == notes[1]
    assert notes[0][0].startswith("network 1 was stopped in epoch 3; networks 2 to 3, ")


def test_several_processes_have_no_budget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(workflow, "process_count", lambda: 2)
    with pytest.raises(ConfigError, match="of one process"):
        workflow.train(plain_rows(), "price", out=tmp_path / "run", minutes=1)
    assert not (tmp_path / "run").exists()
