"""Fitting: early stopping, interruption, NaN, memory, averages, and going on after a kill."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.core.budget import Budget
from multimodal.core.config import Config, Training
from multimodal.core.errors import RunError, TrainingError
from multimodal.core.interrupted import Termination, on_signals
from multimodal.core.spec import FittedGroup, FittedHead, FittedSpec, NumericColumn
from multimodal.models.build import build, compile_model
from multimodal.models.training.checkpoints import Checkpoint, Checkpoints, FaultTolerance
from multimodal.models.training.fit import (
    TrainingState,
    fit,
    make_optimizer,
)

UNTIL = Training(epochs=6, patience=9)
AVERAGED = UNTIL.model_copy(update={"ema_momentum": 0.8})
Life = tuple[keras.Model, TrainingState]  # a network and how its training went
X = np.linspace(-1, 1, 16, dtype="float32")[:, None]
Y = 3 * X + 1


def linear(learning_rate: float = 0.1) -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(learning_rate), "mse", jit_compile=False)
    return model


def batches(x: np.ndarray = X, y: np.ndarray = Y, epochs: int = 50) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8).repeat(epochs)


def train(x: np.ndarray = X, y: np.ndarray = Y) -> Any:
    """Return a function that gives the batches from (epoch, step) on, two to an epoch."""
    return lambda epoch, step: batches(x, y).skip(2 * epoch + step)


def fit_linear(
    model: keras.Model, training: Training, *, valid_y: Any = Y, **options: Any
) -> TrainingState:
    validation = batches(X, valid_y, 1)
    return fit(model, training, train(), validation, steps_per_epoch=2, **options)


class Recorder(keras.callbacks.Callback):
    """Keeps the weights of each epoch; optionally raises after one."""

    def __init__(self, interrupt_after: int = 10**9) -> None:
        super().__init__()
        self.weights: list[list[np.ndarray]] = []
        self.interrupt_after = interrupt_after

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.weights.append(self.model.get_weights())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if len(self.weights) >= self.interrupt_after:
            raise KeyboardInterrupt


def test_early_stopping_keeps_the_best_weights() -> None:
    model, recorder = linear(0.5), Recorder()
    # the training target leads away from what validation wants after the first epochs
    result = fit_linear(
        model, Training(epochs=30, patience=3), valid_y=0.3 * Y, callbacks=[recorder]
    )
    losses = [epoch["val_loss"] for epoch in result.log]
    best = int(np.argmin(losses))
    assert result.best_epoch == best + 1
    assert len(losses) == best + 1 + 3 < 30
    for found, expected in zip(model.get_weights(), recorder.weights[best], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not result.interrupted and result.seconds > 0
    assert [epoch["epoch"] for epoch in result.log] == list(range(1, len(losses) + 1))


def test_interruption_keeps_the_best_weights() -> None:
    model, recorder = linear(0.5), Recorder(interrupt_after=5)
    result = fit_linear(
        model, Training(epochs=30, patience=9), valid_y=0.3 * Y, callbacks=[recorder]
    )
    assert result.interrupted
    assert len(result.log) == 5
    best = int(np.argmin([epoch["val_loss"] for epoch in result.log]))
    assert result.best_epoch == best + 1 < 5
    for found, expected in zip(model.get_weights(), recorder.weights[best], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_interruption_in_the_first_epoch_leaves_a_model() -> None:
    model = linear()
    result = fit_linear(
        model, Training(epochs=3, patience=9), callbacks=[Recorder(interrupt_after=0)]
    )
    assert result.interrupted and result.log == [] and result.best_epoch == 0
    assert np.isfinite(np.array(model(X))).all()


def test_a_later_stage_counts_on() -> None:
    result = fit_linear(linear(), Training(epochs=5, patience=9), state=TrainingState(epoch=3))
    assert [epoch["epoch"] for epoch in result.log] == [4, 5]
    assert result.best_epoch in (4, 5)


def test_nan_is_an_error_one_can_mend() -> None:
    model = linear()
    message = r"loss is not a number in epoch 1, step 1\. .*`training.learning_rate`"
    with pytest.raises(TrainingError, match=message):
        fit(
            model,
            Training(epochs=3, patience=9),
            train(X * np.nan),
            batches(epochs=1),
            steps_per_epoch=2,
        )


def test_other_errors_pass() -> None:
    class Failing(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fit_linear(linear(), Training(epochs=2, patience=9), callbacks=[Failing()])


def test_the_log_holds_every_metric_of_a_built_model() -> None:
    config = Config.parse(
        {
            "groups": [{"name": "t", "modality": "tabular", "columns": ["w"], "encoder": "dense"}],
            "heads": [{"name": "price", "column": "p"}],
            "training": {"epochs": 2, "patience": 2, "learning_rate": 0.01},
        }
    )
    number = NumericColumn(name="w", source="w")
    spec = FittedSpec(
        groups=[FittedGroup(name="t", modality="tabular", columns=["w"], numeric=[number])],
        heads=[FittedHead(name="price", columns=["p"], mean=1, scale=2)],
    )
    import tensorflow as tf

    model = build(config, spec)
    compile_model(model, config, make_optimizer(config.training, 4), jit_compile=False)
    rows = ({"t_numeric": X}, {"price": Y}, {"price": np.ones(16, "float32")})
    data = tf.data.Dataset.from_tensor_slices(rows).batch(8)
    result = fit(model, config.training, lambda *_: data.repeat(2), data, steps_per_epoch=2)
    names = {"loss", "mae", "rmse"}
    expected = {"epoch", *names, *(f"val_{name}" for name in names)}
    assert [set(epoch) for epoch in result.log] == [expected, expected]


def test_weights_of_an_earlier_stage_stay_where_none_is_better() -> None:
    model = linear()
    best = [np.full_like(weight, 7) for weight in model.get_weights()]
    fitted = TrainingState(best_loss=0.0, best_epoch=1, best=best, epoch=1)
    fit_linear(model, Training(epochs=3, patience=9), state=fitted)
    assert fitted.best_epoch == 1 and len(fitted.log) == 2
    for found, expected in zip(model.get_weights(), best, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("OOM when allocating tensor with shape[64,9]"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
        RuntimeError("CUDA out of memory."),
    ],
)
def test_too_little_memory_suggests_a_batch_size(error: Exception) -> None:
    class Full(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise error

    with pytest.raises(TrainingError, match="not enough for batches of 64 rows.* to 32"):
        fit_linear(linear(), Training(epochs=2, patience=9, batch_size=64), callbacks=[Full()])


class Broken(Exception):
    """Stands for a kill."""


class Break(keras.callbacks.Callback):
    """End a fit after so many steps of this life."""

    def __init__(self, after: int, how: Any = Broken) -> None:
        super().__init__()
        self.left, self.how = after, how

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            if self.how is Broken:
                raise Broken
            os.kill(os.getpid(), self.how)


def noisy(training: Training) -> keras.Model:
    """A model with dropout, batch statistics, warm-up and decay."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(8, "relu"),
            keras.layers.Dropout(0.5),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    metrics = [keras.metrics.MeanAbsoluteError()]
    model.compile(make_optimizer(training, 12), "mse", metrics=metrics, jit_compile=False)
    return model


def life(
    folder: Path,
    training: Training,
    *callbacks: Any,
    termination: Termination | None = None,
    every: float = 0.0,
    budget: Budget | None = None,
) -> Life:
    """Train from the last checkpoint in `folder` on."""
    checkpoints = Checkpoints(folder)
    start = checkpoints.latest()
    model, state = noisy(training), TrainingState() if start is None else TrainingState.of(start)
    fault_tolerance = FaultTolerance(
        checkpoints,
        termination or Termination(),
        lambda e, s: f"{e}:{s}",
        every,
        budget or Budget(),
    )
    fit_linear(
        model,
        training,
        state=state,
        fault_tolerance=fault_tolerance,
        start=start,
        callbacks=callbacks,
    )
    return model, state


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """The training that a killed one must be equal to, bit by bit."""
    return life(tmp_path_factory.mktemp("uninterrupted"), UNTIL)


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """The same with a moving average of the weights."""
    return life(tmp_path_factory.mktemp("averaged"), AVERAGED)


def assert_same(found: Life, expected: Life) -> None:
    for one, other in zip(found[0].get_weights(), expected[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert found[1].log == expected[1].log and found[1].best_epoch == expected[1].best_epoch


def test_a_killed_training_ends_with_the_same_weights(uninterrupted: Life, tmp_path: Path) -> None:
    """It is killed within the first epoch, within the second, and twice at its last step."""
    steps: list[int] = []
    totals: list[int] = []

    class Note(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            totals.append(self.params["epochs"])

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            steps.append(int(self.model.optimizer.iterations))

    for after in (1, 2, 1, 1):
        with pytest.raises(Broken):
            life(tmp_path, UNTIL, Note(), Break(after))
    assert_same(life(tmp_path, UNTIL, Note()), uninterrupted)
    assert steps == [1, 2, 3, 4, 4, *range(4, 13)]  # an epoch's end is saved after its validation
    assert set(totals) == {6}  # also for the rest of an epoch


def test_a_killed_training_goes_on_with_its_averages(averaged: Life, tmp_path: Path) -> None:
    for after in (1, 3):
        with pytest.raises(Broken):
            life(tmp_path, AVERAGED, Break(after))
    assert_same(life(tmp_path, AVERAGED), averaged)


def test_checkpoints_come_after_so_many_seconds(tmp_path: Path) -> None:
    with pytest.raises(Broken):
        life(tmp_path, Training(epochs=3, patience=9), Break(5), every=3600)
    assert not Checkpoints(tmp_path).there


def test_sigterm_saves_and_leaves(
    uninterrupted: Life, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    breaks = Break(3, signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, on_signals() as termination:
        life(tmp_path, UNTIL, breaks, termination=termination, every=3600)
    assert caught.value.code == 143
    assert "the same command goes on" in capsys.readouterr().err
    start = Checkpoints(tmp_path).latest()
    assert start is not None and (start.progress["epoch"], start.progress["step"]) == (2, 0)
    assert_same(life(tmp_path, UNTIL), uninterrupted)


def test_ctrl_c_ends_after_the_step_with_the_best_weights(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with on_signals() as termination:
        _, fitted = life(
            tmp_path,
            Training(epochs=6, patience=9),
            Break(3, signal.SIGINT),
            termination=termination,
        )
    assert fitted.interrupted and (fitted.epoch, fitted.best_epoch) == (1, 1)
    assert signal.getsignal(signal.SIGINT) is before


class Tick(keras.callbacks.Callback):
    """Let a clock go on by a second with every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.ended = 0.0, 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.now += 1

    def on_train_end(self, logs: Any = None) -> None:
        self.ended += 1


@pytest.mark.parametrize(
    ("batches_left", "epochs"),
    [(1, 0), (2, 1), (5, 2), (99, 6)],  # in the first epoch, at its end, in the third, never
)
def test_a_budget_ends_a_fit_with_the_best_weights(
    batches_left: int, epochs: int, tmp_path: Path
) -> None:
    tick = Tick()
    budget = Budget(Training(minutes=(batches_left - 0.5) / 60 / 0.65), clock=lambda: tick.now)
    budget.begin("networks")
    saved: list[float] = []
    budget.keep = lambda: saved.append(tick.now)
    model, state = life(tmp_path, UNTIL, tick, budget=budget)
    assert (state.out_of_time, state.interrupted) == (batches_left < 99, False)
    assert state.epoch == epochs and bool(state.best_epoch) == bool(epochs)
    assert tick.now == min(batches_left, 12) and tick.ended == 1
    assert saved[-1] == tick.now
    # Taken up again, it ends there at once, with the same weights.
    assert_same(life(tmp_path, UNTIL, tick, budget=budget), (model, state))
    assert tick.now == min(batches_left, 12)


def test_early_stopping_counts_on_after_a_kill(tmp_path: Path) -> None:
    training = Training(epochs=30, patience=2, learning_rate=1e-9)
    whole = life(tmp_path / "whole", training)
    epochs = len(whole[1].log)
    assert epochs < 30
    with pytest.raises(Broken):
        life(tmp_path / "killed", training, Break(2 * epochs - 1))
    for _ in range(2):  # the second time nothing is left to do
        assert_same(life(tmp_path / "killed", training), whole)


class Poison(keras.callbacks.Callback):
    """Make a weight NaN after so many steps."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            weight = self.model.trainable_variables[-1]
            weight.assign(weight * math.nan)


def test_nan_names_step_and_rows_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    message = r"epoch 2, step 2, with 1:1\. Lower .*The last good checkpoint is kept"
    with pytest.raises(TrainingError, match=message):
        life(tmp_path, Training(epochs=5, patience=9), Poison(4))
    start = Checkpoints(tmp_path).latest()
    assert start is not None and (start.progress["epoch"], start.progress["step"]) == (1, 1)
    assert all(np.isfinite(array).all() for array in start.arrays)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    """The loss of a step is that before its update."""
    fault_tolerance = FaultTolerance(Checkpoints(tmp_path), Termination(), lambda e, s: "", 0.0)
    with pytest.raises(TrainingError, match="in epoch 1, step 2") as caught:
        fit_linear(
            linear(learning_rate=1e39),
            Training(epochs=2, patience=9),
            fault_tolerance=fault_tolerance,
        )
    assert not fault_tolerance.checkpoints.there and "checkpoint" not in str(caught.value)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Broken):
        life(tmp_path, Training(epochs=2, patience=9), Break(3))
    start, model = Checkpoints(tmp_path).latest(), linear()
    with pytest.raises(RunError, match="of another model"):
        fit_linear(model, Training(epochs=2, patience=9), state=TrainingState(), start=start)


def test_the_best_weights_are_averages(averaged: Life, uninterrupted: Life) -> None:
    """Validation measures what is kept."""
    model, state = averaged
    measured = model.evaluate(batches(epochs=1), verbose=0, return_dict=True)["loss"]
    assert measured == pytest.approx(min(epoch["val_loss"] for epoch in state.log), rel=1e-6)
    assert not np.array_equal(model.get_weights()[0], uninterrupted[0].get_weights()[0])


def test_a_fit_that_is_through_is_saved(tmp_path: Path) -> None:
    _, state = life(tmp_path, Training(epochs=1, patience=9), every=3600)
    start = Checkpoints(tmp_path).latest()
    assert start is not None and start.progress["epoch"] == 1
    assert TrainingState.of(start).log == state.log


def test_a_checkpoint_of_another_version_is_refused() -> None:
    with pytest.raises(RunError, match="of another version"):
        TrainingState.of(Checkpoint({"epochs": 3}, [], []))
