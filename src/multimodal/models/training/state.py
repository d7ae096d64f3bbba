"""Fit a model: early stopping, the best weights kept, and a training that can be taken up again.

A training is a function of its config, data and seed: after a kill it goes on from the last
checkpoint, in the middle of an epoch if need be, and ends with the same weights on a processor.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.config import Config, Training
from multimodal.core.errors import RunError, TrainingError
from multimodal.core.interrupted import Termination
from multimodal.models.build import compile_model
from multimodal.models.training.checkpoints import Checkpoint, Checkpoints
from multimodal.models.training.optimizer import compiler_options, make_optimizer

Batches = Callable[[int, int], Any]
Weights = list[NDArray[Any]]
_MEMORY = ("RESOURCE_EXHAUSTED", "out of memory", "OOM when allocating")


@dataclass
class TrainingState:
    """How far a training has come, and how it went.

    `log` has one dict of losses and metrics per finished epoch; `epoch` epochs and `step` batches
    of the next one are done; `wait` counts the epochs since the best one, or since the stage began;
    `best` has the weights of the best epoch.
    """

    log: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = math.inf
    seconds: float = 0.0
    interrupted: bool = False
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
        """Return all but the weights, as plain JSON."""
        return {name: value for name, value in vars(self).items() if name != "best"}


def added(total: TrainingState, fitted: TrainingState) -> TrainingState:
    """Return the sum of fits: all epochs and seconds, and the best epoch of the first."""
    return TrainingState(
        log=[*total.log, *fitted.log],
        best_epoch=total.best_epoch or fitted.best_epoch,
        seconds=total.seconds + fitted.seconds,
        interrupted=fitted.interrupted,
    )


@dataclass(frozen=True)
class FaultTolerance:
    """What guards a training: where checkpoints go, who asks for its end, which rows a batch holds.

    Args:
        checkpoints: Where checkpoints go.
        termination: Whether someone has asked for the end.
        rows: Names the rows of the batch at (epoch, step), for an error.
        every: Seconds of training between checkpoints.
    """

    checkpoints: Checkpoints
    termination: Termination
    rows: Callable[[int, int], str]
    every: float


def fit(
    model: keras.Model,
    config: Config,
    train: Batches,
    validation: Any,
    *,
    steps_per_epoch: int,
    epochs: tuple[int, int] | None = None,
    fitted: TrainingState | None = None,
    fault_tolerance: FaultTolerance | None = None,
    start: Checkpoint | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainingState:
    """Compile and fit `model`; leave it with the weights of its best epoch.

    Args:
        model: What `build` returned.
        config: Its config.
        train: Batches from (epoch, step) on, of that epoch and all later ones.
        validation: Batches of one pass over the validation rows.
        steps_per_epoch: Batches of one epoch.
        epochs: Epoch to start with and to stop before; all of the config's by default.
        fitted: What earlier stages have done; this stage is added.
        fault_tolerance: What guards the training.
        start: The checkpoint to go on from.
        callbacks: Further Keras callbacks.

    Raises:
        TrainingError: The loss became NaN, or the memory was not enough.
    """
    training = config.training
    first, last = epochs or (0, int(training.epochs))
    optimizer = make_optimizer(training, (last - first) * steps_per_epoch)
    compile_model(model, config, optimizer, **compiler_options())
    fitted = fitted or TrainingState(epoch=first)
    return fit_compiled(
        model,
        training,
        train,
        validation,
        steps_per_epoch=steps_per_epoch,
        last=last,
        fitted=fitted,
        fault_tolerance=fault_tolerance,
        start=start,
        callbacks=callbacks,
    )


def fit_compiled(
    model: keras.Model,
    training: Training,
    train: Batches,
    validation: Any,
    *,
    steps_per_epoch: int,
    last: int | None = None,
    fitted: TrainingState | None = None,
    fault_tolerance: FaultTolerance | None = None,
    start: Checkpoint | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainingState:
    """Fit a compiled model with early stopping; Ctrl-C ends it with the best weights so far."""
    last, fitted = last or int(training.epochs), fitted or TrainingState()
    tracker = Tracker(fitted, training, steps_per_epoch, fault_tolerance)
    if start is not None:
        tracker.restore(model, start, validation)
    logger = logging.getLogger("tensorflow")
    logger.addFilter(_is_news)
    try:
        if fault_tolerance is not None:
            fault_tolerance.termination.waiting = True
        while fitted.epoch < last and fitted.wait < training.patience:
            model.fit(  # first the rest of an epoch
                train(fitted.epoch, fitted.step),
                validation_data=validation,
                verbose=0,
                epochs=last,
                steps_per_epoch=steps_per_epoch - fitted.step,
                initial_epoch=fitted.epoch,
                shuffle=False,
                callbacks=[tracker, *callbacks],
            )
        tracker.finish(model)
    except KeyboardInterrupt:
        fitted.interrupted = True
    except Exception as error:
        if not isinstance(error, MemoryError) and not any(m in str(error) for m in _MEMORY):
            raise
        raise TrainingError(_too_large(training, fault_tolerance)) from None
    finally:
        logger.removeFilter(_is_news)
        if fault_tolerance is not None:
            fault_tolerance.termination.waiting = False
    if fitted.best:
        model.set_weights(fitted.best)
    fitted.seconds = tracker.elapsed()
    return fitted


class Tracker(keras.callbacks.Callback):
    """Keep the books of a fit in `fitted`: log, early stopping, best weights, checkpoints.

    With a moving average of the weights, validation measures the average, and the best weights are
    averages.
    """

    def __init__(
        self,
        fitted: TrainingState,
        training: Training,
        steps: int,
        fault_tolerance: FaultTolerance | None,
    ) -> None:
        super().__init__()
        self.fitted = fitted
        self.training = training
        self.steps = steps
        self.fault_tolerance = fault_tolerance
        self._pending: Weights = []
        self._kept: Weights = []
        self._raw: Weights = []
        self._offset = 0
        self._since = self._saved = time.monotonic()

    def elapsed(self) -> float:
        """Seconds of training so far, those before a kill included."""
        now = time.monotonic()
        self.fitted.seconds += now - self._since
        self._since = now
        return self.fitted.seconds

    def restore(self, model: keras.Model, start: Checkpoint, validation: Any) -> None:
        """Take over a checkpoint's arrays when the first epoch begins.

        Raises:
            RunError: The checkpoint is of another model.
        """
        model.optimizer.build(model.trainable_variables)
        model.evaluate(validation.take(1), verbose=0)  # makes the variables of the metrics
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

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._offset = self.fitted.step
        if self._pending:
            self._take_over(self.model)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._end_if_interrupted()
        step = self._offset + batch
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            raise TrainingError(self._not_finite(step))
        self.fitted.step = step + 1
        if self.fitted.step < self.steps:  # the end of an epoch comes after its validation
            self._save_if_due()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.training.ema_momentum is not None:
            averages = self.model.optimizer._model_variables_moving_average
            self._kept = [_value(v) for v in self.model.trainable_variables]
            _assign(self.model.trainable_variables, [_value(v) for v in averages])

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._end_if_interrupted()

    def _end_if_interrupted(self) -> None:
        if self.fault_tolerance is not None and self.fault_tolerance.termination.interrupted:
            raise KeyboardInterrupt

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._kept:
            averages = [_value(v) for v in self.model.trainable_variables]
            _assign(self.model.trainable_variables, self._kept)
            self._raw, self._kept = self._kept, averages

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        fitted = self.fitted
        entry = {"epoch": epoch + 1, **{k: float(v) for k, v in (logs or {}).items()}}
        fitted.log.append(entry)
        fitted.epoch, fitted.step, fitted.wait = epoch + 1, 0, fitted.wait + 1
        better = entry["val_loss"] < fitted.best_loss  # never true of NaN
        if better or not fitted.best:
            fitted.best_loss = entry["val_loss"] if better else math.inf
            fitted.best_epoch, fitted.wait, fitted.best = epoch + 1, 0, self._weights()
        self.model.stop_training = fitted.wait >= self.training.patience or self._offset > 0
        self._save_if_due()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._raw:  # the optimizer has put the averages in their place, but a fit may follow
            _assign(self.model.trainable_variables, self._raw)

    def _weights(self) -> Weights:
        """Return the weights that validation has measured."""
        weights: Weights = self.model.get_weights()
        if self._kept:
            places = {id(w): i for i, w in enumerate(self.model.weights)}
            for variable, average in zip(self.model.trainable_variables, self._kept, strict=True):
                weights[places[id(variable)]] = average
        return weights

    def _save_if_due(self) -> None:
        fault_tolerance = self.fault_tolerance
        if fault_tolerance is None:
            return
        asked = fault_tolerance.termination.asked
        if asked or time.monotonic() - self._saved >= fault_tolerance.every:
            self.save(self.model)
        if asked:
            fault_tolerance.termination.leave()

    def save(self, model: keras.Model) -> None:
        """Write a checkpoint, unless a weight is not finite."""
        assert self.fault_tolerance is not None
        arrays = [_value(variable) for variable in _variables(model)]
        if all(np.isfinite(array).all() for array in arrays):
            self.elapsed()
            number = self.fitted.epoch * self.steps + self.fitted.step
            self.fault_tolerance.checkpoints.save(
                number, self.fitted.progress(), arrays, self.fitted.best
            )
        self._saved = time.monotonic()

    def _not_finite(self, step: int) -> str:
        epoch, rows, kept = self.fitted.epoch, "", ""
        if self.fault_tolerance is not None:
            rows = f", with {self.fault_tolerance.rows(epoch, step)}"
            kept = (
                " The last good checkpoint is kept."
                if self.fault_tolerance.checkpoints.there
                else ""
            )
        return (
            f"the loss is not a number in epoch {epoch + 1}, step {step + 1}{rows}. Lower "
            "`training.learning_rate`, or set `training.precision` to 'float32', and train into "
            f"another --out.{kept}"
        )


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether a message is one; that a further network is compiled anew is none."""
    return "retracing" not in str(record.msg)


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
    return [*model.variables, *model.metrics_variables, *model.optimizer.variables]


def _value(variable: keras.Variable) -> NDArray[Any]:
    return np.array(keras.ops.convert_to_numpy(variable))


def _assign(variables: Sequence[keras.Variable], values: Weights) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
