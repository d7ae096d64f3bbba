"""The fold models of a run: fitted one after the other, each from its last checkpoint on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import keras

from multimodal.core.budget import Budget
from multimodal.core.formatting import counted
from multimodal.core.interrupted import CHECKPOINTS, Termination
from multimodal.data.defaults import most_networks
from multimodal.data.prepare import Prepared
from multimodal.models.build import blended
from multimodal.models.stack.stack import (
    LinearModels,
    OutOfFold,
    fit_linear_models,
    networks_gain,
    predict_held_out,
    without_networks,
)
from multimodal.models.training.checkpoints import Checkpoints, FaultTolerance
from multimodal.models.training.devices import (
    all_devices,
    is_chief,
    lowest_precision,
    on_several_devices,
    process_count,
)
from multimodal.models.training.fit import TrainingState
from multimodal.models.training.kfold import (
    fit_network,
    named_rows,
    network_to_fit,
    new_network,
)
from multimodal.models.training.progress import EpochSeconds, LogFile, NetworkCallback
from multimodal.runs.provenance import Request
from multimodal.runs.run import Run

logger = logging.getLogger(__name__)

LOG = "training_log.csv"
# Of the loss. On folds of real tables, networks that gained less out of fold made the predictions
# of other rows no better: docs/experiments/defaults.md.
LEAST_GAIN = 0.03


@dataclass(frozen=True)
class FittedNetworks:
    """The networks of a run, and what is known of them.

    Attributes:
        networks: The fold models, in float32.
        state: How their training went, all together.
        precision: The lowest precision that they were fitted in.
        on_several_devices: Whether their weights are spread over several devices or processes.
        linear_models: The sparse linear models to stack them with, where they are fitted.
        held_out: What each says of the rows that it did not learn from, where it was asked.
        epoch_seconds: Seconds of one of their epochs, where they had more than one.
    """

    networks: list[keras.Model]
    state: TrainingState
    precision: str
    on_several_devices: bool = False
    linear_models: LinearModels | None = None
    held_out: list[OutOfFold] | None = None
    epoch_seconds: float | None = None


@dataclass(frozen=True)
class FoldModelFits:
    """Fit the networks of a run: one, or one without each fold.

    Args:
        request: What the run was asked for.
        prepared: The table, made ready.
        origin: The run to start from.
        callbacks: Further Keras callbacks of the fits.
        notes: What the networks do not learn anew is added.
        logs: Losses and metrics of every epoch are added, by network.
        budget: Ends networks and leaves the last ones out where the time is over.
        timer: Measures their epochs.
    """

    request: Request
    prepared: Prepared
    origin: Run | None
    callbacks: Sequence[keras.callbacks.Callback]
    notes: list[str] = field(default_factory=list)
    logs: dict[int, list[dict[str, float]]] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    timer: EpochSeconds = field(default_factory=EpochSeconds)

    @all_devices()
    def run(self, termination: Termination | None) -> FittedNetworks:
        """Return the networks, and how their training went; without checkpoints if nobody ends it.

        Where the number of networks is left open, there are fewer than folds for many rows, and
        further ones are trained only while they add to the linear model.

        Raises:
            TrainingError: A loss is not a number, or the memory is not enough.
        """
        prepared, total = self.prepared, TrainingState()
        count, fitted_on = self._count, network_to_fit(prepared)
        may_stop, in_time = self._may_stop(), self.budget.minutes is not None
        # Within a budget they come first, too: what they take is no guess for what is left.
        linear_models = fit_linear_models(prepared, fitted_on) if may_stop or in_time else None
        networks: list[keras.Model] = []
        held_out: list[OutOfFold] = []
        self._announce_all(fitted_on)
        for i in range(count):
            if networks and self._is_too_late(i, total.seconds / i):
                break
            network, fitted = self._fit_one(i, fitted_on, termination)
            # A network that was interrupted in its first epoch would only spoil the mean of the
            # others.
            if fitted.best or not networks:
                networks.append(network)
            total = total.followed_by(fitted)
            kept = networks[-1] is network
            if fitted.interrupted:
                break
            if may_stop and kept:
                held_out.append(predict_held_out(prepared, network, i, on=networks[0]))
            if fitted.out_of_time:
                self._note_end(i, fitted, kept)
                break
            if linear_models and held_out and i < count - 1:
                if self._adds_nothing(linear_models, held_out):
                    held_out = [without_networks(prepared, linear_models)]
                    break
        if total.interrupted and process_count() > 1:
            raise KeyboardInterrupt  # the others cannot go on, nor end, without this one
        if total.interrupted:
            logger.info("interrupted; the best weights so far are kept")
            held_out = []
        precision = lowest_precision(fitted_on)
        several = on_several_devices()
        return FittedNetworks(
            networks,
            total,
            precision,
            several,
            linear_models,
            held_out or None,
            self.timer.median(),
        )

    def _may_stop(self) -> bool:
        """Tell whether there may be fewer networks than the config says."""
        prepared = self.prepared
        linear = [name for name, _ in blended(prepared.config, prepared.spec)]
        return (
            self.request.config.training.fold_models == "auto"
            and prepared.k_fold
            and len(linear) == len(prepared.spec.heads)
            and not on_several_devices()
        )

    def _adds_nothing(self, linear_models: LinearModels, held_out: list[OutOfFold]) -> bool:
        """Tell, and note, whether the networks so far do not lower the loss of any head."""
        gains = networks_gain(linear_models, held_out)
        if not gains or any(gain.mean + gain.error >= LEAST_GAIN for gain in gains):
            return False
        told = ", ".join(
            f"{gain.head}: {gain.mean:.1%} (standard error {gain.error:.1%})" for gain in gains
        )
        self.notes.append(
            f"The networks have no part in the predictions. On rows that they did not learn from, "
            f"{len(held_out)} of {self._count} lowered the loss of "
            f"the sparse linear model by too little ({told}); the others were not trained. "
            f"`training.fold_models: {self.prepared.config.training.fold_models}` trains them all."
        )
        logger.info(self.notes[-1])
        return True

    def _fit_one(
        self, i: int, fitted_on: keras.Model, termination: Termination | None
    ) -> tuple[keras.Model, TrainingState]:
        """Fit from the last checkpoint on; the weights of the best epoch stay."""
        prepared, training = self.prepared, self.prepared.config.training
        model, notes = new_network(prepared, i, self.origin)
        for note in notes if i == 0 else ():
            logger.info(note)
            self.notes.append(note)
        checkpoints = self._checkpoints(i)
        start = checkpoints.latest()
        fitted = TrainingState() if start is None else TrainingState.of(start)
        fault_tolerance = None
        if termination is not None:
            rows_of = partial(named_rows, prepared, i)
            fault_tolerance = FaultTolerance(
                checkpoints, termination, rows_of, training.checkpoint_seconds, self.budget
            )
        self._announce(i, fitted)
        # The same list that the fit adds to, so that `LogFile` sees every epoch.
        self.logs[i] = fitted.log
        for each in self.callbacks:
            if isinstance(each, NetworkCallback):
                each.network = i + 1
        log = [LogFile(self.request.out / LOG, self.logs)] if is_chief() else []
        fit_network(
            model,
            prepared,
            i,
            fitted,
            fitted_on=fitted_on,
            fault_tolerance=fault_tolerance,
            start=start,
            callbacks=[*log, self.timer, *self.callbacks],
        )
        if fitted.interrupted:  # Keras ends its callbacks only where the fit ends by itself
            for callback in self.callbacks:
                callback.on_train_end()
        return model, fitted

    def _checkpoints(self, i: int) -> Checkpoints:
        folder = self.request.out / CHECKPOINTS
        return Checkpoints(folder if self._count == 1 else folder / str(i))

    @property
    def _count(self) -> int:
        training = self.prepared.config.training
        count = int(training.fold_models)
        if self.request.config.training.fold_models != "auto" or not self.prepared.k_fold:
            return count
        rows, _ = self.prepared.fold_rows(0)
        return min(count, most_networks(int(training.epochs), len(rows)))

    def _is_too_late(self, i: int, expected: float) -> bool:
        """Whether the networks from number `i` on are left out, each of so many seconds."""
        # One that a kill has ended is taken up again, whatever it takes.
        if expected <= self.budget.networks_left() or self._checkpoints(i).there:
            return False
        self._leave_out(i)
        return True

    def _note_end(self, i: int, fitted: TrainingState, kept: bool) -> None:
        """Note that the budget has ended network number `i`, and which are left out for it."""
        if kept:
            name = "the network" if self._count == 1 else f"network {i + 1}"
            self.budget.stopped.append(f"{name} was stopped in epoch {fitted.epoch + 1}")
        self._leave_out(i + kept)

    def _leave_out(self, i: int) -> None:
        if i < self._count:
            last = i + 1 == self._count
            numbers = f"network {i + 1}" if last else f"networks {i + 1} to {self._count}"
            self.budget.left_out.append(numbers)

    def _announce_all(self, model: keras.Model) -> None:
        """Say once what is trained, and how."""
        training, rows = self.prepared.config.training, len(self.prepared.fold_rows(0)[0])
        number = "one network" if self._count == 1 else f"{self._count} networks"
        logger.info(
            f"training {number} of {model.count_params():,} parameters on {rows:,} rows: at most "
            f"{counted(int(training.epochs), 'epoch')} in batches of {training.batch_size}, "
            f"learning rate {training.learning_rate:g}, {lowest_precision(model)}"
        )

    def _announce(self, i: int, fitted: TrainingState) -> None:
        self.budget.begin("networks", i, self._count)
        if self._count > 1:
            left = self.budget.remaining()
            logger.info(f"{self.budget.step}{left and f', {left}'}")
        if fitted.epoch or fitted.step:
            logger.info(f"going on from epoch {fitted.epoch + 1}, step {fitted.step + 1}")
