"""Fit a Keras model: optimizer, early stopping, best weights, and exact resume after a kill.

A training is a function of its config, data and seed: after a kill it goes on from the last
checkpoint, in the middle of an epoch if need be, and ends with the same weights on a processor.
"""

# Keras' `BackupAndRestore` restores weights, optimizer and epoch, but not the batch, the seeds of
# dropout or callbacks: `EarlyStopping` counts anew, `ModelCheckpoint` forgets the best.

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.config import Training
from multimodal.core.errors import RunError, TrainingError
from multimodal.models.training.checkpoints import Checkpoint, FaultTolerance
from multimodal.models.training.devices import is_out_of_memory

Batches = Callable[[int, int], Any]
Weights = list[NDArray[Any]]
# AdamW looks for these anywhere in a variable's name. A row of an embedding that a batch does not
# hold would shrink all the same.
NO_DECAY = ["bias", "gamma", "beta", "embedding", "missing"]


@keras.saving.register_keras_serializable(package="multimodal")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear rise to `peak` over `warmup_steps`, then half a cosine down to zero at `steps`.

    Args:
        peak: The highest learning rate.
        warmup_steps: Steps until it is reached; the first one has `peak / warmup_steps`.
        steps: All steps of the training.

    References:
        Loshchilov and Hutter, SGDR, 2017.
    """

    # `CosineDecay(warmup_target=...)` cannot give these rates: where its warm-up rises through the
    # same values, its decay begins a step earlier. Saved models name this class.

    def __init__(self, peak: float, warmup_steps: int, steps: int) -> None:
        super().__init__()
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        rise = (step + 1.0) / max(self.warmup_steps, 1)
        done = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        fall = 0.5 * (1.0 + keras.ops.cos(math.pi * keras.ops.clip(done, 0.0, 1.0)))
        return self.peak * keras.ops.minimum(rise, fall)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup_steps": self.warmup_steps, "steps": self.steps}


def make_optimizer(training: Training, steps: int) -> keras.optimizers.Optimizer:
    """Return AdamW with warm-up, cosine decay over `steps` and clipping by the global norm.

    With `ema_momentum` it keeps an exponential moving average of the weights beside them.
    """
    schedule = WarmupCosine(training.learning_rate, int(training.warmup * steps), steps)
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=training.weight_decay,
        global_clipnorm=training.clip_norm,
        use_ema=training.ema_momentum is not None,
        ema_momentum=training.ema_momentum or 0.0,
    )
    optimizer.exclude_from_weight_decay(var_names=NO_DECAY)
    return optimizer


@dataclass
class TrainingState:
    """How far a training has come, and how it went; all but the weights is JSON in a checkpoint.

    Attributes:
        log: One dict of losses and metrics per finished epoch.
        best_epoch: Number of the best epoch, from 1; 0 before the first one has ended.
        best_loss: Its validation loss.
        seconds: Seconds of training, those before a kill included.
        interrupted: Whether Ctrl-C ended it.
        out_of_time: Whether its budget ended it; no part of a checkpoint, which may have more.
        stage: Number of the stage, from 0 (see `kfold.stages`).
        epoch: Epochs that are done.
        step: Batches of the next epoch that are done.
        wait: Epochs since the best one, or since the stage began.
        best: The weights of the best epoch.
    """

    log: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = math.inf
    seconds: float = 0.0
    interrupted: bool = False
    out_of_time: bool = False
    stage: int = 0
    epoch: int = 0
    step: int = 0
    wait: int = 0
    best: Weights = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, start: Checkpoint) -> TrainingState:
        """Return what a checkpoint knows; raise RunError for one that knows something else."""
        kinds = {name: type(value) for name, value in cls().progress().items()}
        if {name: type(value) for name, value in start.progress.items()} != kinds:
            raise RunError(
                "the checkpoints are of another version of this package. Go on with that one, or "
                "train anew into another --out."
            )
        return cls(**start.progress, best=start.best)

    def progress(self) -> dict[str, Any]:
        """Return all but the weights and the end, as plain JSON."""
        return {k: value for k, value in vars(self).items() if k not in ("best", "out_of_time")}

    def followed_by(self, later: TrainingState) -> TrainingState:
        """Return the sum of fits: all epochs and seconds, and the best epoch of the first."""
        return TrainingState(
            log=[*self.log, *later.log],
            best_epoch=self.best_epoch or later.best_epoch,
            seconds=self.seconds + later.seconds,
            interrupted=later.interrupted,
            out_of_time=later.out_of_time,
        )


def fit(
    model: keras.Model,
    training: Training,
    train: Batches,
    validation: Any,
    *,
    steps_per_epoch: int,
    last: int | None = None,
    state: TrainingState | None = None,
    fault_tolerance: FaultTolerance | None = None,
    start: Checkpoint | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainingState:
    """Fit a compiled model with early stopping; leave it with the weights of its best epoch.

    Ctrl-C ends the fit with the best weights so far; so does the end of a budget.

    Args:
        model: A compiled model.
        training: Its epochs, patience and batch size.
        train: Batches from (epoch, step) on, of that epoch and all later ones.
        validation: Batches of one pass over the validation rows.
        steps_per_epoch: Batches of one epoch.
        last: Epoch to stop before; all of the config's by default.
        state: What earlier stages have done; this one is added.
        fault_tolerance: What guards the training; without it, nothing is saved on the way.
        start: The checkpoint to go on from.
        callbacks: Further Keras callbacks.

    Raises:
        TrainingError: The loss became NaN, or the memory was not enough.
        RunError: `start` is of another model.
    """
    last, state = last or int(training.epochs), state or TrainingState()
    callback = EarlyStoppingCheckpoint(state, training, steps_per_epoch, fault_tolerance)
    # TensorFlow traces a step a second time where its first trace makes variables.
    model.optimizer.build(model.trainable_variables)
    if start is not None:
        callback.restore(model, start, validation)
    with _waiting(fault_tolerance):
        try:
            _fit_epochs(model, train, validation, callback, last, callbacks)
            callback.finish(model)
        except _OutOfTime:
            state.out_of_time = True
            for each in callbacks:
                each.on_train_end()
        except KeyboardInterrupt:
            state.interrupted = True
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(_too_large(training, fault_tolerance)) from None
    if state.best:
        model.set_weights(state.best)
    state.seconds = callback.elapsed()
    return state


def _fit_epochs(
    model: keras.Model,
    train: Batches,
    validation: Any,
    callback: EarlyStoppingCheckpoint,
    last: int,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Fit until epoch `last` or until patience ends: the rest of an epoch first, then the others.

    Each is a fit of its own, since Keras can begin a fit at an epoch but not at a step.
    """
    state = callback.state
    while state.epoch < last and state.wait < callback.patience:
        if (state.epoch or state.step) and callback.is_out_of_time():
            state.out_of_time = True
            return
        model.fit(
            train(state.epoch, state.step),
            validation_data=validation,
            verbose=0,
            epochs=last,
            steps_per_epoch=callback.steps - state.step,
            initial_epoch=state.epoch,
            shuffle=False,
            callbacks=[callback, *callbacks],
        )


@contextmanager
def _waiting(fault_tolerance: FaultTolerance | None) -> Iterator[None]:
    """Let signals wait for the end of a step."""
    try:
        if fault_tolerance is not None:
            fault_tolerance.termination.waiting = True
        yield
    finally:
        if fault_tolerance is not None:
            fault_tolerance.termination.waiting = False


class EarlyStoppingCheckpoint(keras.callbacks.Callback):
    """Early stopping, best weights and checkpoints of a fit, whose books are kept in `state`.

    With a moving average of the weights, validation measures the average, and the best weights are
    averages.

    Args:
        state: How far the training has come; changed in place.
        training: Its patience, batch size and moving average.
        steps: Batches of one epoch.
        fault_tolerance: What guards the training.
    """

    def __init__(
        self,
        state: TrainingState,
        training: Training,
        steps: int,
        fault_tolerance: FaultTolerance | None,
    ) -> None:
        super().__init__()
        self.state = state
        self.training = training
        self.patience = int(training.patience)
        self.steps = steps
        self.fault_tolerance = fault_tolerance
        self._pending: Weights = []
        self._swapped: Weights = []  # during validation the raw weights, after it the averages
        self._raw: Weights = []
        self._offset = 0
        self._clock = fault_tolerance.budget.clock if fault_tolerance else time.monotonic
        self._since = self._saved = self._clock()

    def elapsed(self) -> float:
        """Seconds of training so far, those before a kill included."""
        now = self._clock()
        self.state.seconds += now - self._since
        self._since = now
        return self.state.seconds

    def restore(self, model: keras.Model, start: Checkpoint, validation: Any) -> None:
        """Take over a checkpoint's arrays when the first epoch begins.

        Raises:
            RunError: The checkpoint is of another model.
        """
        # The variables of optimizer and metrics are made in the first step, too late for values.
        model.evaluate(validation.take(1), verbose=0)
        found = [tuple(array.shape) for array in start.arrays]
        if found != [tuple(variable.shape) for variable in _variables(model)]:
            raise RunError("the checkpoint is of another model. Train anew into another --out.")
        self._pending = start.arrays

    def finish(self, model: keras.Model) -> None:
        """Take over or write the last checkpoint of a stage that is through."""
        if self._pending:
            self._take_over(model)
        elif self.fault_tolerance is not None:
            self.save(model)

    def _take_over(self, model: keras.Model) -> None:
        _assign(_variables(model), self._pending)
        self._pending = []
        if not self.state.step:  # the metrics are those of the last validation
            model.reset_metrics()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._offset = self.state.step
        if self._pending:  # only now, since Keras resets the metrics before an epoch
            self._take_over(self.model)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._end_if_interrupted()
        step = self._offset + batch
        # `TerminateOnNaN` by default returns as if all were well, with weights that are NaN.
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            raise TrainingError(self._not_finite(step))
        self.state.step = step + 1
        if self.state.step < self.steps:  # the end of an epoch comes after its validation
            self._save_if_due()
            if self.is_out_of_time():
                self.save(self.model)  # taken up again, the fit ends here at once
                raise _OutOfTime

    # `SwapEMAWeights` swaps by adding and subtracting on TensorFlow, which rounds the raw weights.
    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.training.ema_momentum is not None:
            averages = self.model.optimizer._model_variables_moving_average
            self._swapped = [_value(v) for v in self.model.trainable_variables]
            _assign(self.model.trainable_variables, [_value(v) for v in averages])

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._end_if_interrupted()

    def _end_if_interrupted(self) -> None:
        if self.fault_tolerance is not None and self.fault_tolerance.termination.interrupted:
            raise KeyboardInterrupt

    def is_out_of_time(self) -> bool:
        """Whether a budget for the networks is over."""
        return self.fault_tolerance is not None and self.fault_tolerance.budget.networks_left() <= 0

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._swapped:
            averages = [_value(v) for v in self.model.trainable_variables]
            _assign(self.model.trainable_variables, self._swapped)
            self._raw, self._swapped = self._swapped, averages

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        state = self.state
        entry = {"epoch": epoch + 1, **{k: float(v) for k, v in (logs or {}).items()}}
        state.log.append(entry)
        state.epoch, state.step, state.wait = epoch + 1, 0, state.wait + 1
        # The first epoch counts as best even where its loss is NaN, so that there are weights to
        # end with.
        better = entry["val_loss"] < state.best_loss  # never true of NaN
        if better or not state.best:
            state.best_loss = entry["val_loss"] if better else math.inf
            state.best_epoch, state.wait, state.best = epoch + 1, 0, self._measured_weights()
        # The rest of an epoch has fewer `steps_per_epoch`; what follows is a fit of its own.
        ends = state.wait >= self.patience or self._offset > 0
        self.model.stop_training = ends or self.is_out_of_time()
        self._save_if_due()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._raw:  # the optimizer has put the averages in their place, but a fit may follow
            _assign(self.model.trainable_variables, self._raw)

    def _measured_weights(self) -> Weights:
        """Return the weights that validation has measured."""
        weights: Weights = self.model.get_weights()
        if self._swapped:
            places = {id(each): i for i, each in enumerate(self.model.weights)}
            for weight, average in zip(self.model.trainable_variables, self._swapped, strict=True):
                weights[places[id(weight)]] = average
        return weights

    def _save_if_due(self) -> None:
        fault_tolerance = self.fault_tolerance
        if fault_tolerance is None:
            return
        asked = fault_tolerance.termination.asked
        if asked or self._clock() - self._saved >= fault_tolerance.every:
            self.save(self.model)
        if asked:
            fault_tolerance.termination.leave()

    def save(self, model: keras.Model) -> None:
        """Write a checkpoint, unless a weight is not finite."""
        assert self.fault_tolerance is not None
        arrays = [_value(variable) for variable in _variables(model)]
        if all(np.isfinite(array).all() for array in arrays):
            self.elapsed()
            number = self.state.epoch * self.steps + self.state.step
            self.fault_tolerance.checkpoints.save(
                number, self.state.progress(), arrays, self.state.best
            )
            self.fault_tolerance.budget.keep()
        self._saved = self._clock()

    def _not_finite(self, step: int) -> str:
        rows, kept = "", ""
        if self.fault_tolerance is not None:
            rows = f", with {self.fault_tolerance.rows(self.state.epoch, step)}"
            if self.fault_tolerance.checkpoints.there:
                kept = " The last good checkpoint is kept."
        return (
            f"the loss is not a number in epoch {self.state.epoch + 1}, step {step + 1}{rows}. "
            "Lower `training.learning_rate`, or set `training.precision` to 'float32', and train "
            f"into another --out.{kept}"
        )


class _OutOfTime(Exception):
    """The budget of a fit is over."""


def _too_large(training: Training, fault_tolerance: FaultTolerance | None) -> str:
    kept = ""
    if fault_tolerance and fault_tolerance.checkpoints.there:
        kept = " The last checkpoint is kept: with more memory, the same command goes on from it."
    return (
        f"the memory is not enough for batches of {training.batch_size} rows. Set "
        f"`training.batch_size` to {max(1, int(training.batch_size) // 2)} and train into another "
        f"--out.{kept}"
    )


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Return all that training changes: weights, states of dropout and metrics, optimizer."""
    # `.weights.h5` files lack the seeds of dropout, which `model.variables` holds.
    return [*model.variables, *model.metrics_variables, *model.optimizer.variables]


def _value(variable: keras.Variable) -> NDArray[Any]:
    return np.array(keras.ops.convert_to_numpy(variable))


def _assign(variables: Sequence[keras.Variable], values: Weights) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
